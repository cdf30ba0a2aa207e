"""One progress bar over all runs of a sweep, and each note once."""

from __future__ import annotations

from icl.events import Events


class OneBar:
    """Events of single runs, passed on as those of the whole: sections add up, phases between them are not shown."""

    def __init__(self, whole: Events) -> None:
        self.whole = whole
        self.said: set[str] = set()
        self.in_run = 0
        """Sections of the run under way that are done."""

    def phase(self, name: str) -> None:
        """See icl.events.Events. Runs follow each other too fast for their phases to be read."""

    def note(self, text: str) -> None:
        """See icl.events.Events."""
        if text not in self.said:
            self.said.add(text)
            self.whole.note(text)

    def start(self, sections: int, done: int) -> None:
        """See icl.events.Events. Sections that were finished before count as done now."""
        for _ in range(done - self.in_run):
            self.section_done()

    def tokens(self, computed: int, total: int) -> None:
        """See icl.events.Events."""
        self.whole.tokens(computed, total)

    def section_done(self) -> None:
        """See icl.events.Events."""
        self.in_run += 1
        self.whole.section_done()

    def finish(self, sections: int) -> None:
        """The run under way, which has so many sections, is over: made whole, or failed."""
        for _ in range(sections - self.in_run):
            self.whole.section_done()
        self.in_run = 0
