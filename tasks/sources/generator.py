"""Rows that a function makes from an installed package (`tasks.sources.words`)."""

from __future__ import annotations

from tasks.card import TaskCard
from tasks.cardsource import GeneratorSource
from tasks.errors import unknown_name
from tasks.sources.types import FileRows, Place, Raw
from tasks.sources.words import GENERATORS


class Generator:
    """Source `generator`."""

    def read(self, card: TaskCard, place: Place) -> Raw:
        source = card.source
        assert isinstance(source, GeneratorSource)
        if source.name not in GENERATORS:
            raise unknown_name("generator", source.name, GENERATORS)
        rows, origin = GENERATORS[source.name](source)
        return Raw({"all": FileRows(f"generator '{source.name}'", rows, ())}, origin)
