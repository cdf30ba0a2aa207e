"""From trained and tested learners to what is kept: `summary.json`, `cost.json`, rows of predictions. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.images.play import Array, failed, right
from compare.images.prepare import Prepared, Source
from compare.images.training import Trained
from compare.ranks import average_ranks, ranks
from compare.statistics import accuracy_of, adjusted
from icl.intervals import paired_difference

Json = dict[str, Any]
Cell = tuple[str, int, str]
"""Learner, K, source."""


@dataclass(frozen=True)
class Tested:
    """One learner at one K on one source."""

    scores: list[Array]
    """Of each episode: log-probabilities (queries, ways)."""
    targets: list[Array]
    """Of each episode: labels (queries,)."""
    adapt_seconds: float
    """Mean per episode."""
    query_seconds: float
    """Mean per query."""

    @property
    def accuracy(self) -> list[float]:
        """Per episode; chance where it failed."""
        return [right(of, y) for of, y in zip(self.scores, self.targets, strict=True)]


@dataclass(frozen=True)
class Results:
    """Everything that was found."""

    prepared: Prepared
    trained: dict[tuple[str, int], Trained]
    tested: dict[Cell, Tested]

    def summary(self) -> Json:
        """`summary.json`: the spec's hash and the results; nothing that was timed."""
        spec, resolved = self.prepared.spec, self.prepared.resolved
        values = {cell: tested.accuracy for cell, tested in self.tested.items()}
        differences = {
            cell: paired_difference(of, values[spec.reference, cell[1], cell[2]])
            for cell, of in values.items()
            if cell[0] != spec.reference
        }
        contrasts = adjusted(differences)
        rows = []
        for cell, of in values.items():
            name, k, source = cell
            learner, accuracy, contrast = self.prepared.learner(name, k), accuracy_of(of), contrasts.get(cell)
            failures, work = self._failures(cell), learner.work()
            rows.append(
                {
                    "learner": name,
                    "k_shot": k,
                    "source": source,
                    "accuracy": {**accuracy.to_json(), "per_episode": of, "worst": min(of)},
                    "difference": contrast.to_json() if contrast else None,
                    "transductive": learner.transductive,
                    "trainable_parameters": work.trainable,
                    "bytes_per_task": work.stored,
                    "failed_episodes": len(failures),
                    "failures": failures,
                    "settings": learner.settings,
                }
            )
        return {
            "spec_sha256": resolved.hash(),
            "episodes_sha256": resolved.episodes_sha256,
            "reference": spec.reference,
            "norm": spec.norm,
            "rows": rows,
            "ranks": [self._ranks(k, values) for k in spec.k_shot],
            "curves": [{"learner": name, "k_shot": k, "points": of.curve} for (name, k), of in self.trained.items()],
        }

    def _ranks(self, k: int, values: dict[Cell, list[float]]) -> Json:
        spec = self.prepared.spec
        by_source = {s.name: {name: values[name, k, s.name] for name in spec.learners} for s in self.prepared.sources}
        return {"k_shot": k, "by_source": {name: ranks(of) for name, of in by_source.items()}, "average": average_ranks(by_source)}

    def _failures(self, cell: Cell) -> list[Json]:
        name, k, source = cell
        at = self.trained[name, k].diverged_at
        reason = "scores are not finite numbers: the inner loop diverged" if at is None else f"meta-training diverged before step {at}"
        episodes = self.source(source).episodes
        return [
            {"episode": of.id, "reason": reason} for of, scores in zip(episodes, self.tested[cell].scores, strict=True) if failed(scores)
        ]

    def source(self, name: str) -> Source:
        """One of the sources."""
        return next(source for source in self.prepared.sources if source.name == name)

    def cost(self, seconds: Json, peak_memory_bytes: int) -> Json:
        """`cost.json`. `seconds`: by phase, of all processes."""
        spec = self.prepared.spec
        rows = []
        for (name, k, source), tested in self.tested.items():
            work, trained = self.prepared.learner(name, k).work(), self.trained[name, k]
            meta = work.meta_task * spec.meta_batch * spec.meta_steps
            timed = {"meta_train": trained.seconds, "adapt": tested.adapt_seconds, "per_query": tested.query_seconds}
            rows.append(
                {
                    "learner": name,
                    "k_shot": k,
                    "source": source,
                    "seconds": {part: round(value, 6) for part, value in timed.items()},
                    "flops": {"meta_train": meta, "adapt": work.adapt, "per_query": work.query},
                }
            )
        return {"rows": rows, "seconds": seconds, "peak_memory_bytes": peak_memory_bytes}

    def write_predictions(self, path: Path) -> None:
        """`predictions.parquet`: a row per learner, K, source, episode and query; no prediction where the episode failed."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = [self._table(cell, tested) for cell, tested in self.tested.items()]
        pq.write_table(pa.concat_tables(tables), path, compression="zstd")

    def _table(self, cell: Cell, tested: Tested) -> Any:
        import pyarrow as pa

        name, k, place = cell
        source = self.source(place)
        columns: dict[str, list[Any]] = {key: [] for key in ("episode", "query", "target", "predicted", "log_probability")}
        for i, episode in enumerate(source.episodes):
            scores = tested.scores[i]
            broken = failed(scores)
            names = [source.images.classes[int(c)] for c in episode.classes]
            columns["episode"] += [episode.id] * len(episode.query)
            columns["query"] += [source.images.id(int(row)) for row in episode.query]
            columns["target"] += [names[int(y)] for y in tested.targets[i]]
            columns["predicted"] += [None if broken else names[int(y)] for y in scores.argmax(axis=-1)]
            columns["log_probability"] += [None if broken else float(value) for value in scores.max(axis=-1)]
        n = len(columns["query"])
        first = {"learner": pa.array([name] * n), "k": pa.array([k] * n, pa.int32()), "source": pa.array([place] * n)}
        text = {key: pa.array(columns[key], pa.string()) for key in ("episode", "query", "target", "predicted")}
        return pa.table({**first, **text, "log_probability": pa.array(columns["log_probability"], pa.float64())})


def public_rows(summary: Json, cost: Json) -> list[Json]:
    """The rows of `--json`: results and costs of each learner, K and source together."""
    costs = {(row["learner"], row["k_shot"], row["source"]): row for row in cost["rows"]}
    out = []
    for row in summary["rows"]:
        spent, difference = costs[row["learner"], row["k_shot"], row["source"]], row["difference"]
        out.append(
            {
                **{key: row[key] for key in ("learner", "source", "k_shot")},
                "accuracy": {key: row["accuracy"][key] for key in ("mean", "ci95")},
                "difference": {key: difference[key] for key in ("mean", "ci95", "p_adjusted")} if difference else None,
                "seconds": spent["seconds"],
                "flops": spent["flops"],
                **{key: row[key] for key in ("trainable_parameters", "bytes_per_task", "transductive", "failed_episodes")},
            }
        )
    return out
