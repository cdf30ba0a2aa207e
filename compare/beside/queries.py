"""Runs are set side by side only where they answer the same queries: else their differences are not paired."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from icl.runs.store import Run
from tasks import Episode, IclError
from tasks.episodefile import read_episodes


def check_equal_queries(runs: Sequence[Run]) -> list[Episode]:
    """The episodes of the first run. Raises IclError for fewer than two runs, one named twice, and other queries, saying what differs."""
    if len(runs) < 2:
        raise IclError("a comparison of runs needs two or more, but got one; name another, or a task to compare learners on")
    names = [run.dir.resolve() for run in runs]
    if twice := next((run for i, run in enumerate(runs) if names[i] in names[:i]), None):
        raise IclError(f"each run must be named once, but {twice.name} stands there twice")
    first = runs[0]
    wanted = read_episodes(first.dir / "episodes.jsonl")
    for run in runs[1:]:
        if difference := _difference(wanted, read_episodes(run.dir / "episodes.jsonl")):
            raise IclError(
                f"runs must answer the same queries to be compared in pairs, but {first.name} and {run.name} differ in {difference}; "
                f"evaluate again with --episodes-file {first.dir / 'episodes.jsonl'}"
            )
    return wanted


def _difference(a: Sequence[Episode], b: Sequence[Episode]) -> str:
    """What differs first in what is asked, in words; nothing where it is the same. The supports may differ."""
    facts: dict[str, Callable[[Episode], str]] = {
        "the task": lambda e: e.task,
        "the data of the task": lambda e: e.task_fingerprint[:12],
        "the split": lambda e: e.query_split,
    }
    for what, fact in facts.items():
        if (one := fact(a[0])) != (other := fact(b[0])):
            return f"{what} ({one} and {other})"
    if len(a) != len(b):
        return f"the number of episodes ({len(a)} and {len(b)})"
    for mine, theirs in zip(a, b, strict=True):
        if mine.id != theirs.id:
            return f"the episodes ({mine.id} and {theirs.id})"
        if len(mine.query) != len(theirs.query):
            return f"the number of queries ({len(mine.query)} and {len(theirs.query)})"
        if set(mine.query) != set(theirs.query):
            return f"the queries of episode {mine.id} ({len(set(mine.query) - set(theirs.query))} of {len(mine.query)} are others)"
    return ""
