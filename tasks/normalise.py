"""When two texts count as the same: NFKC, case folded, punctuation dropped, white space collapsed.

Punctuation between two digits stays: `5-3` and `53`, `1.5` and `15` are different things.

Used for two things that must agree: which split a text falls into, and whether a demonstration gives away a query.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping

from tasks.types import LETTERS, Example, Kind


class _Table(dict[int, str]):
    """Code point → what is kept of it, filled as characters are met; `str.translate` then runs at C speed."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        kept = "" if category.startswith("P") else " " if category in ("Cc", "Zs", "Zl", "Zp") else char
        self[code] = kept
        return kept


_TABLE = _Table()
_BETWEEN_DIGITS = re.compile(r"(?<=\d)([^\w\s]+)(?=\d)")


def normalise(text: str) -> str:
    """The text as it is compared. A text of nothing but punctuation keeps it (`:-)` and `:-(` must stay apart)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    pieces = _BETWEEN_DIGITS.split(folded)  # texts and, at odd positions, what stands between digits
    pieces[::2] = [piece.translate(_TABLE) for piece in pieces[::2]]
    kept = " ".join("".join(pieces).split())
    return kept or " ".join(folded.split())


def inputs_key(inputs: Mapping[str, str], choices: Iterable[str] = ()) -> str:
    """All inputs of an item, normalised and joined; `choices` belong to it where they are part of the question."""
    return "\x1f".join([*map(normalise, inputs.values()), *sorted(map(normalise, choices))])


def example_key(example: Example, kind: Kind) -> str:
    """`inputs_key` of an example. "Which of these is true?" is another question when its choices differ; distractors change nothing."""
    return inputs_key(example.inputs, example.choices if kind == "multiple_choice" else ())


def telling_keys(example: Example, kind: Kind) -> tuple[str, ...]:
    """Under what keys a demonstration of this example could give another item away: its own, and for multiple choice the question with
    its right answer, since the same question may stand elsewhere with other wrong choices."""
    key = example_key(example, kind)
    if kind != "multiple_choice":
        return (key,)
    right = example.choices[LETTERS.index(example.target)]
    return key, f"{inputs_key(example.inputs)}\x1e{normalise(right)}"


def bucket(key: str) -> int:
    """A percent, 0 to 99, by the sha256 of a normalised text: equal texts share it in every task and for ever."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big") % 100
