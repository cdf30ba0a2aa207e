"""A causal language model as a pure function of the parameters that are adapted: what an inner loop differentiates, once or twice.

    logits(example)[y] = log Σ_{w in words of y} e^{s(w)},     s(w) = Σ_t log p(w_t | prompt, w_<t)

So cross-entropy over these logits (`example_loss`) is the loss of compare/training.py, on the spans that are compared.
torch.func.functional_call puts the adapted tensors into the model; everything else is the model's own and frozen. Attention is eager, of
plain products that can be differentiated twice and mapped over tasks, with a four-dimensional mask that tells each node its ancestors. What
is adapted has float32 masters, rounded to the model's dtype for every pass, as in all training here.

The head of the network (compare/backbones/types.py), which ANIL's inner loop moves alone, is what is adapted in the last layer.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compare.backbones.types import HEAD, Backbone
from compare.lm.sheets import Layout
from icl.cost import forward_flops, layer_parameters
from icl.engine.types import Work
from tasks import IclError

if TYPE_CHECKING:
    from torch import Tensor

    from compare.adapted import Adapted
    from compare.meta_gradient import Params
    from icl.engine.head import Head
    from icl.engine.hf import HFEngine

BODY = "body."
ABSENT = -1e30
"""Score of a word that a label does not have; −∞ has no second derivative."""


def example_loss(logits: Tensor, answers: Tensor) -> Tensor:
    """(rows, examples, labels), (rows, examples + 2): compare/lm/sheets.py → mean negative log-likelihood over a group's examples.

    It is a mean over rows, whatever they hold: so it may be computed some rows at a time, like every loss of an inner loop.
    """
    right, examples, rows = answers[:, :-2], answers[:, -2], answers[:, -1]
    found = logits.log_softmax(-1).gather(-1, right.clamp_min(0)[..., None])[..., 0]
    return -((found * (right >= 0)).sum(-1) * rows / examples).mean()


@dataclass(frozen=True)
class Network:
    """A model with an adapter in it, or with trainable weights."""

    adapted: Adapted
    head: Head
    """Of the engine: float32, frozen."""

    def start(self) -> Params:
        """Fresh float32 (float64 for a model in it) copies of what is adapted, under the names that the inner loop knows."""
        import torch

        return {n: v.detach().to(torch.promote_types(v.dtype, torch.float32), copy=True) for n, v in self.tensors.items()}

    def put(self, params: Params) -> None:
        """Sets the model's own tensors to these, rounded to its dtype."""
        import torch

        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(params[name])

    @property
    def tensors(self) -> Params:
        """What is adapted of the model, under the names that the inner loop knows."""
        return {new: self.adapted.trainable[old] for new, old in named(self.adapted.trainable).items()}

    def backbone(self, layout: Layout) -> Backbone:
        """The network for rows of a layout. Its body leaves rows as they are: all layers belong to one pass."""
        scores = self._scores(layout)

        def initial(width: int, outputs: int, rng: Any, dtype: Any) -> Params:
            return self.start()

        return Backbone(initial, lambda params, x: x, scores)

    def _scores(self, layout: Layout) -> Callable[[Params, Tensor], Tensor]:
        from torch.func import functional_call

        scorer = _scorer(self.adapted.model, self.head, layout, _trains_head(self.adapted))
        names = named(self.adapted.trainable)
        dtypes = {name: value.dtype for name, value in self.adapted.trainable.items()}

        def scores(params: Params, rows: Tensor) -> Tensor:
            own = {f"model.{old}": params[new].to(dtypes[old]) for new, old in names.items()}
            logits: Tensor = functional_call(scorer, own, (rows,))
            return logits

        return scores

    def gradient_flops(self, layout: Layout, rows: int, moved: Collection[str]) -> int:
        """Of one gradient with respect to `moved` over so many rows, padding included: forward, then backward through the layers from the
        first moved one on, with the formulas of compare/training.py."""
        tokens, model = rows * layout.tokens, self.adapted.model
        trained = sum(p.numel() for name, p in self.tensors.items() if name in moved and p.ndim >= 2)
        matrices = 2 * layer_parameters(model) * tokens
        head = forward_flops(model, Work(scored_rows=rows * layout.scored))
        attention = forward_flops(model, Work(attended=tokens * layout.tokens))
        return round(2 * head + matrices + attention + self._depth(moved) * (matrices + 2 * attention) + 2 * trained * tokens)

    def _depth(self, moved: Iterable[str]) -> float:
        """Share of the layers that a gradient goes back through."""
        layers = int(self.adapted.model.config.get_text_config(decoder=True).num_hidden_layers)
        found = [layer_of(name) for name in moved]
        return (layers - min((n for n in found if n is not None), default=0)) / layers


def network(base: HFEngine, adapted: Adapted, who: str) -> Network:
    """Raises IclError for a model whose attention cannot be told who sees whom."""
    if base.forward is None or base.head is None:
        raise IclError(
            f"{who} with --adapts lora or all needs a model that the token tree serves, but this one takes the path '{base.path}'; use "
            f"--adapts head, or leave {who} out of --learners"
        )
    adapted.model.config.get_text_config(decoder=True)._attn_implementation = "eager"
    return Network(adapted, base.head)


def check_length(base: HFEngine, layout: Layout, who: str) -> None:
    """Raises IclError where a prompt may reach beyond a sliding window, which the mask of a tree does not know."""
    if not base.uses_tree(layout.longest + 1):
        raise IclError(f"{who} needs prompts within the model's attention window of {base.window} tokens; use --adapts head")


def layer_of(name: str) -> int | None:
    """Number of the layer that a parameter belongs to: the first number in its name; None outside of the layers."""
    found = re.search(r"\.(\d+)\.", name)
    return int(found[1]) if found else None


def named(names: Iterable[str]) -> dict[str, str]:
    """Name for the inner loop → the model's name: those of the last adapted layer are the head's."""
    every = list(names)
    last = max((n for n in map(layer_of, every) if n is not None), default=0)
    return {(HEAD if layer_of(name) == last else BODY) + name: name for name in every}


def _trains_head(adapted: Adapted) -> bool:
    weight = adapted.model.get_output_embeddings().weight
    return any(weight is value for value in adapted.trainable.values())


def _scorer(model: Any, head: Head, layout: Layout, trains_head: bool) -> Any:
    import torch

    class Scorer(torch.nn.Module):
        """Rows (n, width) → logits of the labels (n, examples, labels), float32."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, rows: Tensor) -> Tensor:
            tokens, depths, ends, nodes, targets, candidates, outputs = layout.cut(rows)
            hidden = self.model.base_model(
                input_ids=tokens, position_ids=depths, attention_mask=ancestors(ends, self.model.dtype), use_cache=False
            ).last_hidden_state  # (n, tokens, hidden)
            picked = hidden.gather(1, nodes[..., None].expand(-1, -1, hidden.shape[-1]))
            log_probs = _head(head, self.model, trains_head).logits(picked).log_softmax(-1).gather(-1, targets[..., None])[..., 0]
            of = candidates[..., None] == torch.arange(layout.candidates, device=rows.device)  # (n, scored, candidates)
            sums = (log_probs[..., None] * of.to(log_probs.dtype)).sum(dim=1)  # (n, candidates)
            every = torch.arange(layout.examples * layout.labels, device=rows.device)
            mine = outputs[:, None, :] == every[:, None]  # (n, examples x labels, candidates)
            logits = torch.where(mine, sums[:, None, :], ABSENT).logsumexp(-1)
            return logits.reshape(rows.shape[0], layout.examples, layout.labels)

    return Scorer()


def _head(head: Head, model: Any, trains_head: bool) -> Head:
    """The engine's where it is frozen, else one that is a function of the model's weight; double for a double model."""
    import torch

    output = model.get_output_embeddings()
    if not trains_head and output.weight.dtype != torch.float64:
        return head
    live = copy.copy(head)
    precise = torch.promote_types(output.weight.dtype, torch.float32)
    live.weight = output.weight.to(precise)
    live.bias = output.bias.to(precise) if getattr(output, "bias", None) is not None else None
    return live


def ancestors(ends: Tensor, dtype: Any) -> Tensor:
    """(n, tokens) ends of subtrees → (n, 1, tokens, tokens), 0 where the row's node sees the column's: u ≤ v < end[u]."""
    import torch

    at = torch.arange(ends.shape[-1], device=ends.device)
    seen = (at[None, :] <= at[:, None]) & (at[:, None] < ends[:, None, :])
    return torch.zeros(seen.shape, dtype=dtype, device=ends.device).masked_fill(~seen, torch.finfo(dtype).min)[:, None]
