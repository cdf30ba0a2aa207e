"""What a long job tells whoever watches: phases, notes, progress."""

from __future__ import annotations

from typing import Protocol


class Events(Protocol):
    """A watcher. The command line draws a progress bar; tests and libraries use `Quiet`."""

    def phase(self, name: str) -> None:
        """A new phase begins: data, model, load, report."""
        ...

    def note(self, text: str) -> None:
        """Something that the user should know."""
        ...

    def start(self, sections: int, done: int) -> None:
        """Scoring begins: so many sections, so many of them finished before."""
        ...

    def tokens(self, computed: int, total: int) -> None:
        """Tokens just computed, of so many in the call under way (0 when not known)."""
        ...

    def section_done(self) -> None:
        """One more section is finished and kept."""
        ...


class Quiet:
    """Shows nothing."""

    def phase(self, name: str) -> None:
        """See Events."""

    def note(self, text: str) -> None:
        """See Events."""

    def start(self, sections: int, done: int) -> None:
        """See Events."""

    def tokens(self, computed: int, total: int) -> None:
        """See Events."""

    def section_done(self) -> None:
        """See Events."""
