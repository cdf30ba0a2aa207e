"""Gradient-based meta-learners whose inner loop moves weights of the language model itself (`--adapts lora` or `all`).

The methods are those of maml.py, fomaml.py, reptile.py, anil.py and meta_sgd.py, word for word; what differs from compare/learners/head.py
is the network (compare/lm/network.py): the model, asked through the template, with its label words for outputs. So labels are never
permuted: a word means what it means. With `lora` the LAYERS last layers get factors of rank RANK, and ANIL's inner loop moves those of the
very last; with `all` every weight moves, and ANIL's inner loop moves the last layer. LoRA's B begins at zero, where A has no gradient;
the outer loop moves both, so that after its first step inner loops begin elsewhere.

Methods of second order go through a float32 copy of the model. Outer steps take TASKS tasks with QUERIES queries each; there are as
many as BUDGET floating-point operations buy, by what the first one takes, and at most --meta-steps. There is one setting: each further
one would be a whole meta-training. FLOPs: inner steps · G(support) + G(queries) per task, G of one gradient as in compare/lm/network.py; an
inner step that is differentiated again counts three times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.adapted import Adapted
from compare.adapted import Method as Parts
from compare.diverged import check_finite
from compare.learners import anil, fomaml, maml, meta_sgd, reptile
from compare.learners.fine_tune import EveryWeight
from compare.learners.language_course import EPISODES, POINTS
from compare.learners.language_course import QUERIES as MEASURED_QUERIES
from compare.learners.lora import LoraFactors
from compare.learners.outer_loop import outer_loop
from compare.learners.prompted import Asking, PromptPredictor
from compare.learners.types import Family, Tools
from compare.learners.weights import base_engine
from compare.learning import fewer_queries
from compare.lm.network import Network, check_length, example_loss, network
from compare.lm.sheets import Layout, pages
from compare.memory import Chunks
from compare.meta_gradient import TaskBatch, first_order_gradient
from compare.meta_method import Inner, Method
from compare.play import play
from compare.stepwise import Step
from compare.types import Footprint, LearningEpisode, Support
from compare.unrolled import unrolled
from icl.calibration import get_calibrator
from tasks import Example, IclError

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params
    from compare.outer import OuterState

RANK = 8
LAYERS = 8
INNER_STEPS = 2
TASKS = 2
QUERIES = 8
MINIBATCH = 2
"""Rows of one of Reptile's inner steps; a row holds as many examples as the longest has room for (compare/lm/sheets.py)."""
BUDGET = 10**13
"""FLOPs of one meta-training: as much as a learner's search may take (compare/search.py)."""
STEPS = "steps"


def at_the_adapted(inner: Inner, meta: Params, tasks: TaskBatch) -> Params:
    """FOMAML's direction, without an outer derivative."""
    return first_order_gradient(meta, tasks, partial(fomaml.adapt, inner), inner.objective, inner.chunk_size)


METHODS = {
    method.name: method
    for method in (maml.METHOD, replace(fomaml.METHOD, outer=at_the_adapted), reptile.METHOD, anil.METHOD, meta_sgd.METHOD)
}


@dataclass(frozen=True)
class Settings:
    """What moves, how far, and how often."""

    adapts: str
    inner_lr: float
    inner_steps: int
    outer_lr: float

    @property
    def parts(self) -> Parts:
        """What is adapted of the model."""
        return LoraFactors(RANK, last=LAYERS) if self.adapts == "lora" else EveryWeight()


@dataclass(frozen=True)
class _Begun:
    """A support set, as the inner loop reads it."""

    asking: Asking
    net: Network
    layout: Layout
    inner: Inner
    meta: Params
    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class ModelLearner:
    """See the module's opening. `meta` of None: not meta-trained yet."""

    tools: Tools
    settings: Settings
    method: Method
    meta: Mapping[str, Tensor] | None = None
    """What the outer loop has learnt, float32."""
    meta_steps: int = 0
    """Outer steps that were taken."""
    transductive: bool = False
    meta_flops: int = 0

    @property
    def name(self) -> str:
        """The method's."""
        return self.method.name

    def meta_train(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> ModelLearner:
        """Outer steps over TASKS of the episodes each. Raises IclError when there are none, Diverged for what is not finite any more."""
        if not episodes:
            raise IclError(
                f"{self.name} needs meta-train episodes of other tasks, but there are none; name tasks under 'related' in the card"
            )
        net = self._network(int(rng.integers(2**63)))
        chunks = Chunks(1 if self.method.second_order else TASKS, f"{self.name} in meta-training")
        layout, tasks = self._tasks(episodes, rng)
        of_step = self._step_flops(net, layout, tasks)
        steps = int(min(self.tools.meta_steps, max(1, BUDGET // of_step)))
        optimiser = self.method.optimiser(self.settings.outer_lr, steps)
        start = optimiser.start(self.method.begin(self._inner(net, layout), net.start()))
        first, own = (layout, tasks), {"flops": 0}

        def one_step(state: OuterState) -> OuterState:
            layout, tasks = self._tasks(episodes, rng) if int(state.step) else first
            inner = self._inner(net, layout)
            arranged = self.method.arrange(inner, tasks, rng)
            state = optimiser.step(state, chunks(partial(self._direction, inner, state.params, arranged)))
            own["flops"] += self._step_flops(net, layout, tasks)
            check_finite(state.params, f"{self.name} diverged in outer step {int(state.step)} of {steps}", own["flops"])
            return state

        state = outer_loop(self.tools.course, start, steps, rng, chunks, one_step, self._accuracies, own, POINTS)
        return self._with(state.params, steps, own["flops"])

    def _with(self, meta: Params, steps: int = 0, flops: int = 0) -> ModelLearner:
        kept = {name: value.detach() for name, value in meta.items()}
        return replace(self, meta=kept, meta_steps=steps, meta_flops=flops)

    def _accuracies(self, meta: Params, episodes: Sequence[LearningEpisode]) -> list[float]:
        """Of a few episodes with a few queries each (compare/learners/language_course.py)."""
        learner = self._with(meta)
        return [play(learner, fewer_queries(episode, MEASURED_QUERIES), 0).accuracy for episode in episodes[:EPISODES]]

    def _direction(self, inner: Inner, meta: Params, tasks: TaskBatch, size: int) -> Params:
        """Of an outer step, with so many tasks in memory at once."""
        return self.method.direction(replace(inner, chunk_size=size), meta, tasks)

    def learnt(self) -> dict[str, Tensor]:
        """See Learns."""
        import torch

        return {STEPS: torch.tensor(self.meta_steps), **self.meta} if self.meta is not None else {}

    def with_learnt(self, learnt: Mapping[str, Tensor], meta_flops: int) -> ModelLearner:
        """See Learns."""
        meta = {name: value for name, value in learnt.items() if name != STEPS}
        return replace(self, meta=meta, meta_steps=int(learnt[STEPS]), meta_flops=meta_flops)

    def adapt(self, support: Support, rng: np.random.Generator) -> PromptPredictor:
        """The inner loop from what was meta-learnt; `rng` is not used. Raises IclError when it diverges or was never meta-trained."""
        begun = self._begin(support)
        rows = min(len(begun.x), max(1, base_engine(self.tools).batch_tokens // begun.layout.tokens))
        chunks = Chunks(rows, f"{self.name} in episode {support.episode}", "row")
        found = chunks(lambda size: self.method.adapt(replace(begun.inner, rows=size), begun.meta, begun.x, begun.y))
        lr = f"inner_lr {self.settings.inner_lr:g}"
        check_finite(found, f"the inner loop of {self.name} diverged in episode {support.episode} ({lr})")
        return self._predictor(begun, found, self.settings.inner_steps)

    @property
    def adapting_steps(self) -> int:
        """See Stepwise."""
        return self.settings.inner_steps

    def steps(self, support: Support, rng: np.random.Generator) -> Iterator[Step]:
        """See Stepwise; as many again beyond those that `adapt` takes."""
        begun = self._begin(support)
        states = unrolled(self.method, begun.inner, begun.meta, begun.x, begun.y, 2 * self.settings.inner_steps)
        for number, (now, loss, size) in enumerate(states):
            yield Step(number, self._adapt_flops(begun, number), loss, size, partial(self._predictor, begun, now, number))

    def _begin(self, support: Support) -> _Begun:
        import torch

        if self.meta is None:
            raise IclError(f"{self.name} must be meta-trained before it adapts, but it has seen no other task")
        base, asking = base_engine(self.tools), Asking(self.tools, support)
        net = self._network(0)
        layout, (page,) = pages([asking.lessons()], len(support.labels))
        check_length(base, layout, self.name)
        x, y = (torch.from_numpy(values).to(base.model.device) for values in page)
        return _Begun(asking, net, layout, self._inner(net, layout), dict(self.meta), x, y)

    def _adapt_flops(self, begun: _Begun, steps: int) -> int:
        return steps * begun.net.gradient_flops(begun.layout, len(begun.x), self._moved(begun))

    def _moved(self, begun: _Begun) -> set[str]:
        return set(self.method.moved(list(begun.net.start())))

    def _predictor(self, begun: _Begun, found: Params, steps: int) -> PromptPredictor:
        """The model with what is adapted, in the comparison's dtype, whatever the inner loop's."""
        base = base_engine(self.tools)
        ready = Network(self.settings.parts(base.model, 0), begun.net.head)
        ready.put({name: value.detach() for name, value in found.items()})
        kept = [ready.tensors[name] for name in self._moved(begun)]
        size = (sum(p.numel() for p in kept), sum(p.numel() * p.element_size() for p in kept))
        trained = Footprint(self._adapt_flops(begun, steps), *size)
        return PromptPredictor(begun.asking, get_calibrator("none"), adapted=base.over(ready.adapted.model), trained=trained)

    def _network(self, seed: int) -> Network:
        base = base_engine(self.tools)
        adapted: Adapted = self.settings.parts(base.model, seed)
        if self.method.second_order:
            adapted.model.to(_at_least_float32(base.model.dtype))
        return network(base, adapted, self.name)

    def _inner(self, net: Network, layout: Layout) -> Inner:
        return Inner(net.backbone(layout), self.settings.inner_lr, self.settings.inner_steps, example_loss, batch=MINIBATCH)

    def _tasks(self, episodes: Sequence[LearningEpisode], rng: np.random.Generator) -> tuple[Layout, TaskBatch]:
        """Some episodes, each with some of its queries, as one batch."""
        import torch

        chosen = [episodes[int(i)] for i in rng.choice(len(episodes), size=min(TASKS, len(episodes)), replace=False)]
        groups = []
        for episode in chosen:
            asking, labels = Asking(self.tools, episode.support), episode.support.labels
            at = rng.permutation(len(episode.queries))[:QUERIES]
            asked = [(episode.queries[int(i)], labels[int(episode.targets[i])]) for i in at]
            groups += [asking.lessons(), [asking.lesson(Example(q.id, q.inputs, label, q.choices)) for q, label in asked]]
        layout, rows = pages(groups, len(chosen[0].support.labels), columns=2)
        columns = [rows[::2], rows[1::2]]
        device = base_engine(self.tools).model.device
        check_length(base_engine(self.tools), layout, self.name)
        parts = (np.stack([page[part] for page in of]) for of in columns for part in (0, 1))
        return layout, TaskBatch(*(torch.from_numpy(part).to(device) for part in parts))

    def _step_flops(self, net: Network, layout: Layout, tasks: TaskBatch) -> int:
        names = list(net.start())
        moved = self.method.moved(names)
        support, queries = tasks.support_x.shape[1], tasks.query_x.shape[1]
        if self.method.outer is reptile.outer:  # every inner step reads a minibatch of all rows
            of_task = self.settings.inner_steps * net.gradient_flops(layout, min(MINIBATCH, support + queries), moved)
        else:
            inner = self.settings.inner_steps * net.gradient_flops(layout, support, moved)
            of_task = (3 if self.method.second_order else 1) * inner + net.gradient_flops(layout, queries, names)
        return tasks.tasks * of_task


def _at_least_float32(dtype: Any) -> Any:
    import torch

    return torch.promote_types(dtype, torch.float32)


def _grid(adapts: str, inner_lr: Mapping[str, float], outer_lr: Mapping[str, float]) -> dict[str, tuple[Settings, ...]]:
    return {name: (Settings(adapts, inner_lr[name], INNER_STEPS, outer_lr[name]),) for name in METHODS}


GRIDS = {
    "lora": _grid("lora", dict.fromkeys(METHODS, 1.0), {**dict.fromkeys(METHODS, 1e-3), "reptile": 1.0}),
    "all": _grid("all", dict.fromkeys(METHODS, 1e-3), {**dict.fromkeys(METHODS, 1e-5), "reptile": 1.0}),
}
"""What is adapted → learner → its one setting."""


def family(name: str, adapts: str) -> Family:
    """The learner of that name, moving weights of the language model."""
    method = METHODS[name]

    def build(tools: Tools, settings: Settings) -> ModelLearner:
        settings.parts.check(base_engine(tools).model, name)
        return ModelLearner(tools, settings, method)

    return Family(build, GRIDS[adapts][name], uses_features=False, needs_meta_train=True)
