"""What a comparison computed in all: the sum over its parts and over the processes that made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compare.cost import Meter
from icl.cost import Clock, peak_memory_bytes

Json = dict[str, Any]
FLOPS = ("language_model_flops", "probing_flops")
"""Operations of the language model, or of the sentence model in its place; those of measurements apart (compare/probes.py)."""


class Accounts:
    """Deals out what this process has spent: each second and each operation once."""

    def __init__(self, clock: Clock, meter: Meter, device: str) -> None:
        self.clock, self.meter, self.device = clock, meter, device
        self._told: Json = total([])

    def since_last(self) -> Json:
        """Seconds by phase and operations since this was last asked."""
        now, before = self._so_far(), self._told
        self._told = now
        return {
            "seconds": {name: value - before["seconds"].get(name, 0.0) for name, value in now["seconds"].items()},
            **{name: now[name] - before[name] for name in FLOPS},
            "reused": {name: now["reused"][name] - before["reused"][name] for name in now["reused"]},
            "peak_memory_bytes": now["peak_memory_bytes"],
        }

    def _so_far(self) -> Json:
        reused, probing = self.meter.ledger.reused, self.meter.ledger.probing
        return {
            "seconds": dict(self.clock.seconds),
            "language_model_flops": self.meter.so_far() - reused - probing,
            "probing_flops": probing,
            "reused": {"seconds": self.meter.ledger.spared, "flops": reused},
            "peak_memory_bytes": peak_memory_bytes(self.device),
        }


def total(costs: Sequence[Json]) -> Json:
    """The sum, as `cost.json` holds it; `reused`: what the learners are charged for, but the score store held. Memory: the largest."""
    phases = dict.fromkeys(name for cost in costs for name in cost["seconds"])
    return {
        "seconds": {name: round(sum(cost["seconds"].get(name, 0.0) for cost in costs), 4) for name in phases},
        **{name: sum(cost.get(name, 0) for cost in costs) for name in FLOPS},
        "reused": {
            "seconds": round(sum(cost["reused"]["seconds"] for cost in costs), 4),
            "flops": sum(cost["reused"]["flops"] for cost in costs),
        },
        "peak_memory_bytes": max((cost["peak_memory_bytes"] for cost in costs), default=0),
    }
