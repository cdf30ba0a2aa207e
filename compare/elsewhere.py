"""Other tasks that learners are played on beside the one that they were meta-trained for: shifts of the distribution (`--meta-test`).

Such a task has the labels of the evaluated one (with --n-way: classes of its own, of which its card holds some out). It takes no part in
meta-training, even where the card names it as related, and none of its texts does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from compare.learning import learning_episode
from compare.meta_tasks import MetaTasks
from compare.types import ComparisonSpec, LearningEpisode
from tasks import Episode, Example, IclError, Task
from tasks.classes import class_task
from tasks.episodes import resolve, sample_kshot
from tasks.types import with_labels


@dataclass(frozen=True)
class Elsewhere:
    """A task to be played on, and its episodes."""

    whole: Task
    """As its card describes it."""
    task: Task
    """With the labels or classes in play."""
    episodes: tuple[Episode, ...]
    queries: tuple[tuple[Example, ...], ...]
    """Of each episode."""

    def learning_episodes(self, k: int) -> list[LearningEpisode]:
        """The episodes at K = k."""
        return [learning_episode(self.task, e, q, k) for e, q in zip(self.episodes, self.queries, strict=True)]


def load_elsewhere(spec: ComparisonSpec, task: Task, load: Callable[[str], Task]) -> tuple[Elsewhere, ...]:
    """As many episodes and queries of each as of the evaluated task. Raises IclError for one that cannot be set beside it."""
    found: list[Elsewhere] = []
    for name in spec.meta_test:
        whole = load(name)
        if whole.name == task.name or whole.name in [other.whole.name for other in found]:
            raise IclError(f"--meta-test must name other tasks than '{task.name}', each once, but names '{whole.name}'; leave it out")
        other = _in_play(spec, task, whole)
        episodes = sample_kshot(
            other, n=spec.episodes, k_shot=spec.k_shot, n_query=spec.queries, split_query=other.evaluated_split(), n_way=spec.n_way,
            seed=spec.seed,
        )  # fmt: skip
        found.append(Elsewhere(whole, other, tuple(episodes), tuple(tuple(resolve(episode, other)[1]) for episode in episodes)))
    return tuple(found)


def _in_play(spec: ComparisonSpec, task: Task, other: Task) -> Task:
    """The other task with what is asked of it, labels in the order of the evaluated task."""
    if other.kind != "classification":
        raise IclError(f"--meta-test needs classification tasks, but '{other.name}' is of kind {other.kind}; leave it out")
    if spec.n_way is not None:
        if task.name in other.overlaps or other.name in task.overlaps:
            raise IclError(f"'{other.name}' overlaps '{task.name}', whose other classes are meta-trained on; leave it out of --meta-test")
        return class_task(other, "test")
    if missing := [label for label in task.labels if label not in other.labels]:
        raise IclError(
            f"--meta-test needs tasks with the labels of '{task.name}' ({', '.join(task.labels)}), but '{other.name}' has no label "
            f"{', '.join(missing)}; leave it out"
        )
    return with_labels(other, task.labels)


def without(task: Task, tests: Sequence[Elsewhere]) -> Task:
    """The evaluated task, related only to tasks that are not played on. Raises IclError when none is left."""
    names = {test.whole.name for test in tests}
    left = tuple(name for name in task.related if name not in names)
    if task.related and not left:
        raise IclError(
            f"--meta-test names every task that '{task.name}' is related to ({', '.join(task.related)}), so none is left to learn from; "
            "leave one out"
        )
    return replace(task, related=left)


def check_apart(tests: Sequence[Elsewhere], related: MetaTasks) -> None:
    """Raises IclError for a task that overlaps one which is meta-trained on."""
    for test in tests:
        for other in related.tasks:
            if other.name in test.whole.overlaps or test.whole.name in other.overlaps:
                raise IclError(
                    f"--meta-test must name tasks that share no texts with those learnt from, but '{test.whole.name}' overlaps "
                    f"'{other.name}'; leave it out"
                )


def notes(tests: Sequence[Elsewhere], task: Task) -> tuple[str, ...]:
    """What who reads a result should know, one line each."""
    names = [test.whole.name for test in tests]
    held = [f"'{name}' is no task to learn from, although it is related: it is played on" for name in names if name in task.related]
    same = [
        f"'{t.whole.name}' overlaps '{task.name}': some of its texts are the same"
        for t in tests
        if t.whole.name in task.overlaps or task.name in t.whole.overlaps
    ]
    return (*held, *same)
