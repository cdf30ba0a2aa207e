"""What a learner can do while it is meta-trained: accuracy on classes it learns from, on new classes, in new domains; and a probe.

Meta-overfitting is a gap that opens between the first and the others (Rajendran et al. 2020). The probe shifts the support's labels by one
place in every validation episode. A learner that reads the support follows: its answers are right by the shifted labels. One that has
memorised which class has which label (Yin et al. 2020) ignores the shift: its answers stay right by the old ones.

The episodes are few, fixed and apart from the test's; nothing is chosen by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from compare.images.play import accuracy
from compare.images.prepare import Prepared, full_name
from compare.images.sampler import tensors
from tasks.errors import IclError
from tasks.images.episodes import Shape, sample
from tasks.images.types import PARTS, ImageTask, Part

if TYPE_CHECKING:
    from compare.images.learners.types import ImageLearner
    from compare.meta_gradient import Params, TaskBatch

EPISODES = 40
QUERIES = 5
"""Of every class."""
POINTS = 10
"""Looks during meta-training, besides the one before its first step."""
FOLLOWS, IGNORES = "shifted labels, followed", "shifted labels, ignored"


def looks(steps: int) -> list[int]:
    """Steps after which a learner is looked at."""
    return sorted({0, *(round(steps * i / POINTS) for i in range(1, POINTS + 1))})


def watched(prepared: Prepared, k: int) -> dict[str, TaskBatch]:
    """What is looked at → its episodes: the task's parts by their names, new domains by theirs. Too small parts are left out."""
    found: dict[str, TaskBatch | None] = {}
    for part in PARTS:
        if part in prepared.task.parts:
            found[part] = _batch(prepared, prepared.task, part, k)
    for domain in prepared.domains:
        found[full_name(domain)] = _batch(prepared, domain, "test", k)
    return {name: batch for name, batch in found.items() if batch is not None}


def _batch(prepared: Prepared, task: ImageTask, part: Part, k: int) -> TaskBatch | None:
    spec = prepared.spec
    images = task.parts[part]
    purpose = f"the meta-{part} part of {full_name(task)}, for its curve"
    try:
        episodes = sample(
            images, Shape(spec.n_way, k, QUERIES), n=EPISODES, seed=spec.seed, purpose=purpose, within_group=task.within_group
        )
    except IclError:
        if part != "validation":
            raise
        return None  # fewer validation classes than ways: there is no such curve, and the report says so
    return to(tensors(images, episodes), spec.device)


def to(tasks: TaskBatch, device: str) -> TaskBatch:
    """On the device."""
    return type(tasks)(*(part.to(device) for part in tasks))


def look(learner: ImageLearner, meta: Params, at: Mapping[str, TaskBatch], n_way: int) -> dict[str, float]:
    """Accuracy on everything that is watched, and of the probe on validation episodes (test episodes where there are none)."""
    found = {name: accuracy(learner, meta, tasks) for name, tasks in at.items()}
    probe = at.get("validation", at["test"])
    shifted = probe._replace(support_y=(probe.support_y + 1) % n_way)
    old = probe.query_y.cpu().numpy()
    found[FOLLOWS] = accuracy(learner, meta, shifted, (old + 1) % n_way)
    found[IGNORES] = accuracy(learner, meta, shifted, old)
    return found
