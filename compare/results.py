"""From played episodes to what is kept: rows of predictions, `summary.json`, `cost.json`. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compare.cost import PrefixCosts, Split
from compare.play import Played
from compare.search import Chosen
from compare.statistics import accuracy_of, contrasts

Json = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """One learner at one K."""

    learner: str
    k_shot: int
    transductive: bool
    chosen: Chosen
    played: tuple[Played, ...]
    """In the order of the episodes."""
    seconds: Split
    flops: Split

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
    results: Sequence[Result], task: str, spec_sha256: str, episodes_sha256: str, budget: Json, given: Sequence[str] = ()
) -> Json:
    """`summary.json`: the spec's hash and the results; nothing that was timed. `given`: learners whose settings came from the user."""
    accuracies = {(r.learner, r.k_shot): [p.accuracy for p in r.played] for r in results}
    against = contrasts(accuracies)
    rows = []
    for r in results:
        accuracy = accuracy_of(accuracies[r.learner, r.k_shot])
        contrast = against.get((r.learner, r.k_shot))
        failures = [{"episode": p.episode.id, "reason": p.reason} for p in r.played if p.reason]
        rows.append(
            {
                "learner": r.learner,
                "task": task,
                "k_shot": r.k_shot,
                "accuracy": {**accuracy.to_json(), "per_episode": list(accuracy.per_episode), "worst": min(accuracy.per_episode)},
                "difference_to_in_context": contrast.to_json() if contrast else None,
                "trainable_parameters": r.trainable_parameters,
                "bytes_per_task": r.bytes_per_task,
                "transductive": r.transductive,
                "failed_episodes": len(failures),
                "failures": failures,
                "settings": r.chosen.settings,
                **({"settings_given": True} if r.learner in given else {}),
                "searched": [asdict(tried) for tried in r.chosen.tried],
                "search_episodes": r.chosen.episodes,
            }
        )
    return {"spec_sha256": spec_sha256, "episodes_sha256": episodes_sha256, "budget": budget, "rows": rows}


def cost_json(
    results: Sequence[Result],
    totals: Mapping[str, Any],
    prefix: Mapping[int, PrefixCosts],
) -> Json:
    """`cost.json`: everything that was timed, and the operations. `totals`: see compare/accounts.py."""
    return {
        "rows": [
            {
                "learner": r.learner,
                "k_shot": r.k_shot,
                "seconds": r.seconds.to_json(),
                "flops": r.flops.to_json(digits=0),
                "search": {"seconds": round(r.chosen.search_seconds, 6), "flops": r.chosen.search_flops},
            }
            for r in results
        ],
        "in_context_prefix": [{"k_shot": k, **asdict(costs)} for k, costs in prefix.items()],
        **totals,
    }


def public_rows(summary: Json, cost: Json) -> list[Json]:
    """The rows of `--json`: results and costs of each learner and K together."""
    costs = {(row["learner"], row["k_shot"]): row for row in cost["rows"]}
    out = []
    for row in summary["rows"]:
        spent = costs[row["learner"], row["k_shot"]]
        difference = row["difference_to_in_context"]
        out.append(
            {
                "learner": row["learner"],
                "task": row["task"],
                "k_shot": row["k_shot"],
                "accuracy": {key: row["accuracy"][key] for key in ("mean", "ci95")},
                "difference_to_in_context": {key: difference[key] for key in ("mean", "ci95", "p_adjusted")} if difference else None,
                "seconds": spent["seconds"],
                "flops": spent["flops"],
                **{key: row[key] for key in ("trainable_parameters", "bytes_per_task", "transductive", "failed_episodes")},
            }
        )
    return out


def write_predictions(path: Path, results: Sequence[Result]) -> None:
    """`predictions.parquet`: one row per learner, K, episode, query and label; score and prediction are null where the episode failed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.string()
    fields = {"learner": text, "k": pa.int32(), "episode": text, "query": text, "candidate": text}
    schema = pa.schema({**fields, "score": pa.float64(), "predicted": text, "target": text})
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for r in results:
        for p in r.played:
            _add_rows(columns, r.learner, r.k_shot, p)
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def _add_rows(columns: dict[str, list[Any]], learner: str, k: int, played: Played) -> None:
    labels = played.episode.support.labels
    for i, query in enumerate(played.episode.queries):
        for j, label in enumerate(labels):
            score = None if played.scores is None else float(played.scores[i, j])
            predicted = None if played.predicted is None else labels[int(played.predicted[i])]
            row = (learner, k, played.episode.id, query.id, label, score, predicted, labels[int(played.episode.targets[i])])
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
