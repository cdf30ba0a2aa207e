"""Rows of the word tasks, made from installed packages: countries (countryinfo), inflections (lemminflect), elements (periodictable).

What the packages have wrong or out of date is put right in the card (`drop`, `repairs`), where a reader can see it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any

from tasks.cardsource import GeneratorSource, Repair
from tasks.errors import DataError

WordRow = dict[str, Any]
"""`id` and `input` (the word), `target` (the first accepted answer), `answers` (all of them)."""


def _row(word: str, answers: Sequence[str]) -> WordRow:
    return {"id": word, "input": word, "target": answers[0], "answers": list(dict.fromkeys(answers))}


def _finish(source: GeneratorSource, found: Iterable[tuple[str, Sequence[str]]]) -> list[WordRow]:
    """Applies the card's keep, drop and repairs. Each of their names must exist: a repair of nothing has gone stale itself."""
    pairs = dict(found)
    if both := sorted(set(source.drop) & {*source.keep, *source.repairs}):
        raise DataError(f"the card drops {', '.join(both)}, but also keeps or repairs it; take it out of one of them")
    unknown = [name for name in [*source.keep, *source.drop, *source.repairs] if name not in pairs]
    if unknown:
        raise DataError(f"the card names {', '.join(unknown)}, which the generator '{source.name}' does not have")
    rows = []
    for name, answers in pairs.items():
        if name in source.drop or (source.keep and name not in source.keep):
            continue
        repair = source.repairs.get(name, Repair())
        right = repair.answers or answers
        if not right:
            raise DataError(f"the generator '{source.name}' has no answer for '{name}'; repair or drop it in the card")
        rows.append(_row(repair.input or name, right))
    return rows


def _twice(words: Sequence[str]) -> str:
    return next(word for i, word in enumerate(words) if word in words[:i])


def _whole(source: GeneratorSource, found: Iterable[tuple[str, Sequence[str]]]) -> list[WordRow]:
    """As `_finish`, for generators that know their rows themselves."""
    if source.words:
        raise DataError(f"the generator '{source.name}' has its own rows; leave 'words' out, or choose among them with 'keep'")
    return _finish(source, found)


def _origin(package: str) -> str:
    return f"{package} {version(package)} (installed package)"


def plain(text: str) -> str:
    """Without accents: `Bogotá` → `Bogota`."""
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


def _countries(column: str) -> list[tuple[str, Sequence[str]]]:
    from countryinfo import all_countries

    pairs: list[tuple[str, Sequence[str]]] = []
    for country in all_countries():
        value = getattr(country, column)()
        texts = value if isinstance(value, list) else [value]
        pairs.append((country.name(), [text for text in texts if text]))
    return pairs


def country_capital(source: GeneratorSource) -> tuple[list[WordRow], str]:
    """Country → capital; the spelling without accents counts too."""
    rows = _whole(source, _countries("capital"))
    for row in rows:
        row["answers"] = list(dict.fromkeys([*row["answers"], *map(plain, row["answers"])]))
    return rows, _origin("countryinfo")


def country_region(source: GeneratorSource) -> tuple[list[WordRow], str]:
    """Country → one of the five world regions."""
    return _whole(source, _countries("region")), _origin("countryinfo")


def _inflected(source: GeneratorSource, tag: str) -> tuple[list[WordRow], str]:
    """Every inflection that the dictionary lists counts, but for spellings in two words, and for the word itself as a mere variant."""
    from lemminflect import getInflection

    def forms(word: str) -> Sequence[str]:
        listed = [form for form in getInflection(word, tag=tag, inflect_oov=False) if form.isalpha()]
        return [form for i, form in enumerate(listed) if i == 0 or form != word]

    if len(set(source.words)) != len(source.words):
        raise DataError(f"the words of generator '{source.name}' must differ, but {_twice(source.words)} stands twice")
    return _finish(source, ((word, forms(word)) for word in source.words)), _origin("lemminflect")


def past_tense(source: GeneratorSource) -> tuple[list[WordRow], str]:
    """Verb → simple past (Penn Treebank tag VBD)."""
    return _inflected(source, "VBD")


def plural(source: GeneratorSource) -> tuple[list[WordRow], str]:
    """Noun → plural (Penn Treebank tag NNS)."""
    return _inflected(source, "NNS")


def element_symbol(source: GeneratorSource) -> tuple[list[WordRow], str]:
    """Chemical element → symbol."""
    from periodictable import elements

    pairs = [(element.name, [element.symbol]) for element in elements if element.number > 0]
    return _whole(source, pairs), _origin("periodictable")


GENERATORS: dict[str, Callable[[GeneratorSource], tuple[list[WordRow], str]]] = {
    "country-capital": country_capital,
    "country-region": country_region,
    "past-tense": past_tense,
    "plural": plural,
    "element-symbol": element_symbol,
}
