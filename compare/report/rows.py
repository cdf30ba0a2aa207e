"""A row of the main table, as every report of learners prints it, whatever they learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icl.report.facts import number, p_value, scaled, signed, span
from icl.report.facts import seconds as duration

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A learner at one K; an empty text where there is nothing to say."""

    learner: str
    k_shot: int
    accuracy: str
    interval: str
    worst: str
    difference: str
    difference_interval: str
    p_adjusted: str
    adapt: tuple[str, str]
    """Seconds, FLOPs."""
    per_query: tuple[str, str]
    meta_train: tuple[str, str]
    trainable: str
    stored: str
    failed: int


def written(row: Json, difference: Json | None, cost: Json) -> dict[str, Any]:
    """The fields of a Row: from a row of `summary.json`, its paired difference if it has one, and its row of `cost.json`."""
    accuracy = row["accuracy"]

    def pair(part: str) -> tuple[str, str]:
        flops = cost["flops"][part]
        return (short_seconds(cost["seconds"][part]), scaled(flops, "FLOP")) if flops or cost["seconds"][part] >= 1e-3 else ("0", "0")

    return {
        "learner": row["learner"],
        "k_shot": row["k_shot"],
        "accuracy": number(accuracy["mean"]),
        "interval": span(accuracy["ci95"]),
        "worst": number(accuracy["worst"]),
        "difference": signed(difference["mean"]) if difference else "",
        "difference_interval": span(difference["ci95"], signed) if difference else "",
        "p_adjusted": p_value(difference["p_adjusted"]) if difference else "",
        **{part: pair(part) for part in ("adapt", "per_query", "meta_train")},
        "trainable": f"{row['trainable_parameters']:,}",
        "stored": size(row["bytes_per_task"]),
        "failed": row["failed_episodes"],
    }


def short_seconds(value: float) -> str:
    """1.2 ms, 0.42 s, 3 min 20 s."""
    return f"{1000 * value:.2g} ms" if value < 0.1 else duration(value)


def size(value: int) -> str:
    """812 B, 4.6 kB."""
    return f"{value:,} B" if value < 10_000 else f"{value / 1000:,.0f} kB"
