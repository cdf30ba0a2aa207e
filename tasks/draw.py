"""Episodes drawn once and kept in a file, so that many runs (or other programs) see the same ones."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.episodes import sample_episodes, sample_kshot
from tasks.errors import IclError
from tasks.types import Episode, Task


@dataclass(frozen=True, slots=True)
class Draw:
    """What to draw. With `k_shot` the support is K rows per label, without it a pool of `pool` rows (None: the whole split)."""

    episodes: int
    queries: int | None
    """Per episode; None for all rows of the split."""
    pool: int | None = None
    k_shot: int | None = None
    n_way: int | None = None
    """Labels in play, drawn per episode; None for all."""
    seed: int = 0
    split: str | None = None
    """Where queries come from; None for the split that the task is evaluated on."""

    def __post_init__(self) -> None:
        if self.pool is not None and self.k_shot is not None:
            raise IclError("--pool and --k-shot both say what the support is; leave one out")
        if self.n_way is not None and self.k_shot is None:
            raise IclError("--n-way needs --k-shot, the support rows of each label")
        if self.queries is None and self.k_shot is not None:
            raise IclError("--queries must be a number with --k-shot, but is 'all'")


def draw(task: Task, wanted: Draw) -> list[Episode]:
    """The episodes; the same wish draws the same ones. Raises IclError when the task has fewer rows or labels than asked for."""
    split = wanted.split or task.evaluated_split()
    if wanted.k_shot is None:
        queries = "all" if wanted.queries is None else wanted.queries
        return sample_episodes(task, n=wanted.episodes, queries=queries, split=split, pool=wanted.pool, seed=wanted.seed)
    assert wanted.queries is not None  # checked when the wish was made
    return sample_kshot(
        task,
        n=wanted.episodes,
        k_shot=(wanted.k_shot,),
        n_query=wanted.queries,
        split_query=split,
        n_way=wanted.n_way,
        seed=wanted.seed,
    )
