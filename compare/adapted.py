"""A language model with some weights of its own, beside the one that all learners share.

The copy holds new modules, but the very tensors of the original for everything that is frozen. So adapting costs the memory of what it
trains and nothing more, several adapted models may live at once, and the original is out of reach: its tensors never ask for gradients
here, and an optimiser sees the copy's own parameters only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tasks.errors import IclError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Adapted:
    """A model that is ready to be trained."""

    model: Any
    trainable: Mapping[str, Tensor]
    """Name → parameter: what adapting sets, and all that it sets."""
    prefix: tuple[int, ...] = ()
    """Token ids that stand before every prompt (of virtual tokens, beyond the vocabulary)."""

    @property
    def trainable_parameters(self) -> int:
        """Numbers that adapting sets."""
        return sum(parameter.numel() for parameter in self.trainable.values())

    @property
    def bytes_per_task(self) -> int:
        """What must be kept of it."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self.trainable.values())


class Method(Protocol):
    """A choice of what is trained: the hyper-parameters that decide shapes, and how the parts are put into a model."""

    def check(self, model: Any, who: str) -> None:
        """Raises IclError, in the name of the learner, for a model that lacks the modules which the method adapts."""
        ...

    def __call__(self, model: Any, seed: int) -> Adapted:
        """An untrained copy, which answers as the model does; `seed` keys what is drawn at the start."""
        ...


def sharing(model: Any, own: Callable[[str], bool] = lambda name: False) -> Any:
    """A copy whose parameters are the model's own tensors, frozen; those whose name `own` accepts are copied, and trainable."""
    import torch

    memo: dict[int, Any] = {id(buffer): buffer for buffer in model.buffers()}
    for name, parameter in model.named_parameters():  # a tied weight comes once, and stays tied
        value = parameter.detach()
        memo[id(parameter)] = torch.nn.Parameter(value.clone() if own(name) else value, requires_grad=own(name))
    return copy.deepcopy(model, memo)


def adapted(model: Any, prefix: tuple[int, ...] = ()) -> Adapted:
    """What asks for gradients in a copy made by `sharing`."""
    return Adapted(model, {name: p for name, p in model.named_parameters() if p.requires_grad}, prefix)


def with_adapter(model: Any, config: Any, seed: int) -> Adapted:
    """A copy with the layers of a peft configuration put in."""
    import torch
    from peft import inject_adapter_in_model

    copied = sharing(model)
    with torch.random.fork_rng(devices=[]):  # peft draws from torch's own stream: it gets one of its own
        torch.manual_seed(seed)
        inject_adapter_in_model(config, copied)
    return adapted(copied.eval())


def targets(model: Any, wished: Sequence[tuple[str, ...]], who: str) -> tuple[str, ...]:
    """The first of the groups of module names that the model has whole. Raises IclError when it has none of them."""
    there = linear_modules(model)
    for group in wished:
        if set(group) <= there:
            return group
    raise IclError(
        f"{who} adapts modules named {' or '.join(' + '.join(group) for group in wished)}, but {type(model).__name__} has none of these, "
        f"only {', '.join(sorted(there)) or 'no linear module'}; leave {who} out of --learners"
    )


def linear_modules(model: Any) -> set[str]:
    """Last parts of the names of all modules with a weight matrix, embeddings and head left out."""
    import torch

    head = model.get_output_embeddings()
    return {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if module is not head and not isinstance(module, torch.nn.Embedding) and getattr(getattr(module, "weight", None), "ndim", 0) == 2
    }
