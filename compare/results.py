"""From played episodes to what is kept: rows of predictions, `summary.json`, `cost.json`. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compare.cost import PrefixCosts, Split
from compare.course import Point
from compare.label_probe import Probe
from compare.play import Played
from compare.search import Chosen
from compare.statistics import Contrast, accuracy_of, adjusted, differences

Json = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """One learner at one K, on the episodes of one task."""

    task: str
    learner: str
    k_shot: int
    transductive: bool
    chosen: Chosen
    played: tuple[Played, ...]
    """In the order of the episodes."""
    seconds: Split
    flops: Split
    probe: Probe | None = None
    """With permuted labels; None for learners that are not probed, and on other tasks."""

    @property
    def trainable_parameters(self) -> int:
        """Numbers that adapting sets; the same in every episode."""
        return max((p.footprint.trainable_parameters for p in self.played if p.footprint), default=0)

    @property
    def bytes_per_task(self) -> int:
        """Mean over episodes that got as far as adapting."""
        kept = [p.footprint.bytes_per_task for p in self.played if p.footprint]
        return round(sum(kept) / len(kept)) if kept else 0


def summary_json(
    results: Sequence[Result],
    elsewhere: Sequence[Result],
    spec_sha256: str,
    episodes_sha256: str,
    budget: Json,
    given: Sequence[str] = (),
) -> Json:
    """`summary.json`: the spec's hash and the results; nothing that was timed.

    `elsewhere`: on other tasks; `given`: learners whose settings came from the user.
    """
    against = contrasts([*results, *elsewhere])
    own = {
        (r.learner, r.k_shot): {
            "settings": r.chosen.settings,
            **({"settings_given": True} if r.learner in given else {}),
            "searched": [asdict(tried) for tried in r.chosen.tried],
            "search_episodes": r.chosen.episodes,
            "course": [_point(point) for point in r.chosen.points],
            "permuted_labels": r.probe.to_json() if r.probe else None,
        }
        for r in results
    }
    return {
        "spec_sha256": spec_sha256,
        "episodes_sha256": episodes_sha256,
        "budget": budget,
        "rows": [{**_row(r, against), **own[r.learner, r.k_shot]} for r in results],
        "meta_test": [_row(r, against) for r in elsewhere],
    }


def contrasts(results: Sequence[Result]) -> dict[tuple[str, str, int], Contrast]:
    """Task, learner, K → against in-context learning on the same episodes; adjusted over all of them."""
    by_task: dict[str, dict[tuple[str, int], list[float]]] = {}
    for r in results:
        by_task.setdefault(r.task, {})[r.learner, r.k_shot] = [p.accuracy for p in r.played]
    return adjusted({(task, *cell): d for task, of in by_task.items() for cell, d in differences(of).items()})


def _row(r: Result, against: Mapping[tuple[str, str, int], Contrast]) -> Json:
    accuracy = accuracy_of([p.accuracy for p in r.played])
    contrast = against.get((r.task, r.learner, r.k_shot))
    failures = [{"episode": p.episode.id, "reason": p.reason} for p in r.played if p.reason]
    return {
        "learner": r.learner,
        "task": r.task,
        "k_shot": r.k_shot,
        "episodes": len(r.played),
        "accuracy": {**accuracy.to_json(), "per_episode": list(accuracy.per_episode), "worst": min(accuracy.per_episode)},
        "difference_to_in_context": contrast.to_json() if contrast else None,
        "trainable_parameters": r.trainable_parameters,
        "bytes_per_task": r.bytes_per_task,
        "transductive": r.transductive,
        "failed_episodes": len(failures),
        "failures": failures,
    }


def _point(point: Point) -> Json:
    """Accuracy so far, on episodes that meta-training draws from and on those that it does not see."""
    parts = {"train": point.train, "validation": point.validation}
    of = {name: {**accuracy_of(values).to_json(), "episodes": len(values)} if values else None for name, values in parts.items()}
    return {"step": point.step, **of}


def cost_json(
    results: Sequence[Result],
    elsewhere: Sequence[Result],
    totals: Mapping[str, Any],
    prefix: Mapping[int, PrefixCosts],
) -> Json:
    """`cost.json`: everything that was timed, and the operations. `totals`: see compare/accounts.py."""
    return {
        "rows": [{**_spent(r), "search": {"seconds": round(r.chosen.search_seconds, 6), "flops": r.chosen.search_flops}} for r in results],
        "meta_test": [{"task": r.task, **_spent(r)} for r in elsewhere],
        "in_context_prefix": [{"k_shot": k, **asdict(costs)} for k, costs in prefix.items()],
        **totals,
    }


def _spent(r: Result) -> Json:
    return {"learner": r.learner, "k_shot": r.k_shot, "seconds": r.seconds.to_json(), "flops": r.flops.to_json(digits=0)}


def public_rows(summary: Json, cost: Json) -> list[Json]:
    """The rows of `--json`: results and costs of each learner and K together, on the evaluated task and then on others."""
    costs = {(row.get("task"), row["learner"], row["k_shot"]): row for row in (*cost["rows"], *cost.get("meta_test", ()))}
    out = []
    for row, task in [*((row, None) for row in summary["rows"]), *((row, row["task"]) for row in summary.get("meta_test", ()))]:
        spent = costs[task, row["learner"], row["k_shot"]]
        difference = row["difference_to_in_context"]
        out.append(
            {
                "learner": row["learner"],
                "task": row["task"],
                "k_shot": row["k_shot"],
                "episodes": row["episodes"],
                "accuracy": {key: row["accuracy"][key] for key in ("mean", "ci95")},
                "difference_to_in_context": {key: difference[key] for key in ("mean", "ci95", "p_adjusted")} if difference else None,
                "seconds": spent["seconds"],
                "flops": spent["flops"],
                **{key: row[key] for key in ("trainable_parameters", "bytes_per_task", "transductive", "failed_episodes")},
            }
        )
    return out


def write_predictions(path: Path, results: Sequence[Result], named: bool = False) -> None:
    """One row per learner, K, episode, query and label; score and prediction are null where the episode failed. `named`: with the task."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.string()
    fields = {"learner": text, "k": pa.int32(), "episode": text, "query": text, "candidate": text}
    schema = pa.schema({**fields, "score": pa.float64(), "predicted": text, "target": text, **({"task": text} if named else {})})
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for r in results:
        for p in r.played:
            _add_rows(columns, r, p)
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def _add_rows(columns: dict[str, list[Any]], of: Result, played: Played) -> None:
    labels = played.episode.support.labels
    for i, query in enumerate(played.episode.queries):
        for j, label in enumerate(labels):
            score = None if played.scores is None else float(played.scores[i, j])
            predicted = None if played.predicted is None else labels[int(played.predicted[i])]
            target = labels[int(played.episode.targets[i])]
            row = (of.learner, of.k_shot, played.episode.id, query.id, label, score, predicted, target, of.task)
            for name, value in zip(columns, row, strict=False):  # the task comes last, where it is asked for
                columns[name].append(value)
