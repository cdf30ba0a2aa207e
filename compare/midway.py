"""The state in which a long meta-training of a comparison stands, in one file among the run's parts: compare/course.py says when.

There is one such file, of the meta-training under way. What was finished before it is written first, so that who goes on finds all that
this state builds upon. A file of another meta-training is no state of this one, and is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compare.checkpoint import load_state, save_state
from icl.runs.files import writing

if TYPE_CHECKING:
    from compare.outer import OuterState

NAME = "midway.safetensors"


@dataclass(frozen=True)
class Midway:
    """A `Place` of compare/course.py."""

    path: Path
    key: str
    """Of the meta-training in the journal."""
    spec_sha256: str
    check: Callable[[Path, str, str], None]
    """Raises IclError where the kept spec (second) is not the one that is asked for (third)."""
    write_finished: Callable[[], None]

    def load(self) -> tuple[OuterState, dict[str, Any]] | None:
        """See Place. Raises IclError for a damaged file, and for a state of another comparison."""
        if not self.path.is_file():
            return None
        state, facts = load_state(self.path)
        self.check(self.path.parent, facts.get("spec_sha256", ""), self.spec_sha256)
        return (state, facts) if facts.get("key") == self.key else None

    def save(self, state: OuterState, facts: Mapping[str, Any]) -> None:
        """See Place."""
        self.write_finished()
        with writing(self.path):
            save_state(self.path, state, {**facts, "key": self.key, "spec_sha256": self.spec_sha256})
