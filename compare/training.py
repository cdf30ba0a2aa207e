"""The training loop of every learner that changes the language model.

    loss = −mean_i log p(y_i | x_i),     p(y | x) = Σ_{w in words of y} e^{s(w)} / Σ_{all words w'} e^{s(w')},

s(w): log-probability of the word's span after the prompt. So the loss is normalised over the candidates, not over the vocabulary: it is the
very quantity that the referee measures and that learners on features minimise; labels of one token cost no more than the right one
alone, since they share their context; and nothing is spent on making label words likelier than other words, which no comparison sees.

AdamW without weight decay; the rate rises linearly over the first tenth of the steps and falls linearly to zero; no dropout (evaluation
mode throughout). Tensors that are not float32 are trained as float32 masters, rounded to the model's dtype for every pass: an update of
1e-5 would vanish in a bf16 weight. Batches are packed without padding (icl/engine/gradients.py), in passes of at most --batch-tokens.

FLOPs of a training pass: three times its forward pass, less the weight gradients of what is frozen,

    3 F − 2 (P − P_trainable) · tokens − 2 V H · rows (unless the head is trained),     with F, P, V, H of icl/cost.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from compare.adapted import Adapted
from compare.diverged import Diverged
from compare.memory import OutOfMemory
from icl.cost import forward_flops, layer_parameters
from icl.engine.types import ScoreRequest, Work
from icl.tree import TokenTree

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from icl.engine.hf import HFEngine

BATCH = 8
"""Examples of one step; fewer when the support has fewer."""
WARM_UP = 0.1
"""Share of the steps."""
LEAST_TOKENS = 16
"""Tokens of a pass below which running out of memory is an error."""


@dataclass(frozen=True)
class Lesson:
    """A query whose answer is known."""

    requests: tuple[ScoreRequest, ...]
    """One per word of each label in play."""
    labels: tuple[int, ...]
    """Index of the label of each request."""
    target: int
    """Index of the right label."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast."""

    lr: float
    steps: int

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0; positive throughout."""
        rising = max(1, math.ceil(WARM_UP * self.steps))
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * (self.steps - step) / (self.steps - rising + 1)


class Along(Protocol):
    """Goes along with a training: puts it where one stood that was killed, and is told of every step."""

    def begin(self, optimiser: Any, work: Work) -> int:
        """Steps that are done already; optimiser (over the float32 masters), parameters and work are then as they were after these."""
        ...

    def after(self, optimiser: Any, work: Work, done: int) -> None:
        """So many steps are done."""
        ...


def epochs(lessons: Sequence[Lesson], steps: int, rng: np.random.Generator) -> list[list[Lesson]]:
    """Batches for so many steps: each epoch in an order of its own, the last batch of an epoch filled from the next."""
    order: list[int] = []
    size = min(BATCH, len(lessons))
    while len(order) < steps * size:
        order += rng.permutation(len(lessons)).tolist()
    return [[lessons[i] for i in order[step * size : (step + 1) * size]] for step in range(steps)]


def train(base: HFEngine, adapted: Adapted, batches: Sequence[Sequence[Lesson]], lr: float, who: str, along: Along | None = None) -> int:
    """Moves the trainable parameters, one step per batch, and returns the FLOPs. Raises Diverged when the loss is not finite any more."""
    work = Work()
    for _ in losses(base, adapted, batches, lr, who, work, along):
        pass
    return training_flops(adapted, work)


def losses(
    base: HFEngine,
    adapted: Adapted,
    batches: Sequence[Sequence[Lesson]],
    lr: float,
    who: str,
    work: Work,
    along: Along | None = None,
) -> Iterator[float]:
    """One step per batch. Gives each batch's loss before its step is taken, while the gradient stands in the parameters.

    `work` gets what the passes compute. Raises Diverged after a loss that is not finite, and for weights that end so.
    """
    import torch

    engine = base.over(adapted.model)
    parameters = list(adapted.trainable.values())
    masters = [p if p.dtype == torch.float32 else p.detach().float() for p in parameters]
    optimiser = torch.optim.AdamW(masters, lr=lr, weight_decay=0.0)
    schedule = Schedule(lr, len(batches))
    for step in range(along.begin(optimiser, work) if along else 0, len(batches)):
        loss = gradient(engine, batches[step], parameters, work)
        yield loss
        if not math.isfinite(loss):
            reason = f"{who} diverged in step {step + 1} of {len(batches)}: the loss is {loss}, with a learning rate of {lr:g}"
            raise Diverged(reason, training_flops(adapted, work))
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        move(optimiser, parameters, masters)
        if along:
            along.after(optimiser, work, step + 1)
    if not all(bool(torch.isfinite(p).all()) for p in parameters):
        reason = f"{who} diverged in its last step: weights are not finite, with a learning rate of {lr:g}"
        raise Diverged(reason, training_flops(adapted, work))


def move(optimiser: Any, parameters: Sequence[Tensor], masters: Sequence[Tensor]) -> None:
    """One step of the optimiser on the float32 masters, rounded back into the model; gradients are used up."""
    import torch

    for parameter, master in zip(parameters, masters, strict=True):
        if master is not parameter and parameter.grad is not None:
            master.grad, parameter.grad = parameter.grad.float(), None
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    with torch.no_grad():
        for parameter, master in zip(parameters, masters, strict=True):
            if master is not parameter:
                parameter.copy_(master)


def gradient(engine: HFEngine, batch: Sequence[Lesson], parameters: Sequence[Tensor], work: Work) -> float:
    """The mean loss of a batch; its gradient is left in the parameters. Out of memory: once more with half the tokens in a pass."""
    from icl.engine.memory import is_out_of_memory

    while True:
        try:
            total = 0.0
            for lessons in passes(batch, engine.batch_tokens):
                loss = loss_sum(engine, lessons, work) / len(batch)
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
            return total
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if engine.batch_tokens <= LEAST_TOKENS or all(len(part) == 1 for part in passes(batch, engine.batch_tokens)):
                raise OutOfMemory(
                    "training needs more memory than there is, even with one example in a pass; use a smaller model"
                ) from error
        engine.batch_tokens //= 2
        for parameter in parameters:
            parameter.grad = None


def loss_sum(engine: HFEngine, lessons: Sequence[Lesson], work: Work) -> Tensor:
    """Sum over lessons of −log p(right label), a scalar."""
    import torch

    from icl.engine.gradients import span_sums

    sums = span_sums(engine, [request for lesson in lessons for request in lesson.requests], work)
    each = []
    for lesson, scores in zip(lessons, torch.split(sums, [len(lesson.requests) for lesson in lessons]), strict=True):
        right = torch.tensor([label == lesson.target for label in lesson.labels], device=scores.device)
        each.append(scores.logsumexp(0) - scores[right].logsumexp(0))
    return torch.stack(each).sum()


def passes(batch: Sequence[Lesson], budget: int) -> list[list[Lesson]]:
    """Runs of lessons whose distinct tokens stay within the budget; a longer single one goes alone."""
    out: list[list[Lesson]] = []
    for lesson in batch:
        if out and distinct_tokens([*out[-1], lesson]) <= budget:
            out[-1].append(lesson)
        else:
            out.append([lesson])
    return out


def distinct_tokens(lessons: Sequence[Lesson]) -> int:
    """Tokens of a packed pass."""
    return len(TokenTree.build([request.inputs for lesson in lessons for request in lesson.requests]))


def training_flops(adapted: Adapted, work: Work) -> int:
    """The module's formula. Elementwise work and the optimiser's are not counted."""
    import torch

    model = adapted.model
    head = model.get_output_embeddings().weight
    tables = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)} | {id(head)}
    trained = sum(p.numel() for p in adapted.trainable.values() if p.ndim >= 2 and id(p) not in tables)
    frozen = 2 * (layer_parameters(model) - trained) * work.tokens_unique
    return 3 * forward_flops(model, work) - frozen - (0 if head.requires_grad else 2 * head.numel() * work.scored_rows)
