"""From a YAML file of lm-evaluation-harness to a card and a template that ask the same."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from icl.lmeval.answers import read_answers
from icl.lmeval.carding import card_of
from icl.lmeval.harness import read_task
from icl.lmeval.source import source_of
from icl.lmeval.wording import wording_of
from icl.lmeval.yamlfile import read_yaml
from tasks.cardfile import load_card
from tasks.errors import IclError


@dataclass(frozen=True)
class Imported:
    """Two files to write, and what to say about them."""

    name: str
    card: Path
    card_text: str
    template: Path
    template_text: str
    left_out: tuple[str, ...]
    shots: int | None
    """Demonstrations that the harness shows unless told otherwise."""


def import_task(path: Path, out: Path) -> Imported:
    """What to write into the directory `out`; nothing is written here. Raises IclError, one line, for what cannot be asked the same way."""
    read = read_task(read_yaml(path), str(path))
    answers = read_answers(read)
    wording, fields = wording_of(read)
    name = read.task.task
    template = out / f"{name}.jinja"
    card, left_out = card_of(read, answers, fields, source_of(read, out), template)
    _check(card, name, str(path))
    shots = 0 if read.task.fewshot.samples else read.task.num_fewshot
    return Imported(name, out / f"{name}.yaml", card, template, wording, tuple(left_out), shots)


def _check(card: str, name: str, where: str) -> None:
    """Whatever a card may not say is the YAML's mistake, not the user's in a file that does not exist yet."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "card.yaml"
        path.write_text(card, encoding="utf-8")
        try:
            load_card(path)
        except IclError as error:
            why = str(error).removeprefix(f"{path}:").partition(": ")[2]
            raise IclError(f"{where}: task '{name}' cannot be said in a card: {why}") from None
