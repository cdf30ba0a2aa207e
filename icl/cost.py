"""What a run cost: tokens, floating-point operations, seconds by phase, peak memory. Only computed work counts.

FLOPs of a forward pass (multiply and add counted as two):

    2 · P · tokens  +  4 · L · A · attended  +  2 · V · H · rows

P: parameters in the weight matrices of the layers (embeddings and head left out); L: layers; A: heads x head size; `attended`: the sum
over computed positions of the positions that each attends to (scores and weighted values, two products); V, H: vocabulary and hidden
size; rows: positions that went through the LM head. Elementwise work is not counted. State-space layers are counted by P alone.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from icl.engine.types import Work


@dataclass
class Clock:
    """Seconds by phase. Phases may be entered many times and inside each other: time counts for the innermost one only."""

    seconds: dict[str, float] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _since: float = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time spent inside, less that of inner phases, to the phase of that name."""
        self._credit()
        self._open.append(name)
        try:
            yield
        finally:
            self._credit()
            self._open.pop()

    def _credit(self) -> None:
        now = time.perf_counter()
        if self._open:
            name = self._open[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


def layer_parameters(model: Any) -> int:
    """Parameters of all weight matrices but the head and the embeddings (of tokens, and of positions where they are learnt)."""
    import torch

    left_out = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    if (head := model.get_output_embeddings()) is not None:
        left_out.add(id(head.weight))
    if (pooler := getattr(model, "pooler", None)) is not None:  # of encoders: it reads one position of a text
        left_out |= {id(p) for p in pooler.parameters()}
    return sum(p.numel() for p in model.parameters() if p.ndim >= 2 and id(p) not in left_out)


def forward_flops(model: Any, work: Work) -> int:
    """The module's formula for what the engine computed."""
    head = model.get_output_embeddings()
    rows_width, columns = (0, 0) if head is None else head.weight.shape  # an encoder of sentences has none
    config = model.config.get_text_config(decoder=head is not None)
    heads = getattr(config, "num_attention_heads", 0) or 0
    width = heads * (getattr(config, "head_dim", None) or (config.hidden_size // heads if heads else 0))
    return int(
        2 * layer_parameters(model) * work.tokens_unique
        + 4 * config.num_hidden_layers * width * work.attended
        + 2 * rows_width * columns * work.scored_rows
    )


def peak_memory_bytes(device: str) -> int:
    """Peak of the process on a CPU (resident set), of the device's allocator on CUDA."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


COUNTED = ("tokens_unique", "tokens_total", "flops", "spans_reused")
"""What adds up over episodes: computed work, and apart from it the spans that came from the score store."""


def add_costs(costs: list[dict[str, Any]]) -> dict[str, Any]:
    """The sum of cost records (`tokens_unique`, `tokens_total`, `flops`, `seconds`); peak memory is their maximum."""
    total: dict[str, Any] = {**dict.fromkeys(COUNTED, 0), "seconds": {}, "peak_memory_bytes": 0}
    for cost in costs:
        for name in COUNTED:
            total[name] += cost.get(name, 0)
        for phase, seconds in cost.get("seconds", {}).items():
            total["seconds"][phase] = round(total["seconds"].get(phase, 0.0) + seconds, 4)
        total["peak_memory_bytes"] = max(total["peak_memory_bytes"], cost.get("peak_memory_bytes", 0))
    return total
