"""A pure function of tensors, run as the flat list of tensor operations that it consists of.

`vmap` and nested `grad` decide anew in every call what each operation means for each of them; with networks of a few thousand parameters
that is most of the time. Traced once, the same operations run alone: the same numbers, bit for bit, about twice as fast on the sinusoid
study (docs/performance.md). Shapes are those of the trace; other shapes are traced again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of tensors in tuples and dicts; results must not depend on the values in other ways than through tensors."""
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.utils._pytree import tree_flatten, tree_unflatten

    known: dict[Any, tuple[Any, Any]] = {}

    def run(*arguments: Any) -> Any:
        leaves, shape = tree_flatten(arguments)
        leaves = [leaf.contiguous() for leaf in leaves]  # a trace holds views that fit the strides it saw
        key = (str(shape), tuple((tuple(leaf.shape), leaf.dtype) for leaf in leaves))
        if key not in known:
            layout: list[Any] = []

            def flat(*tensors: Any) -> list[Any]:
                out, form = tree_flatten(function(*tree_unflatten(list(tensors), shape)))
                layout.append(form)
                return out

            graph = make_fx(flat)(*(leaf.clone() for leaf in leaves))  # one tensor in two places would become one input
            graph.graph.eliminate_dead_code()
            graph.recompile()
            known[key] = (graph, layout[0])
        graph, form = known[key]
        with torch.no_grad():
            return tree_unflatten(graph(*leaves), form)

    return run
