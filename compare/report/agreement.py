"""Figures and tables about single answers: who agrees with whom, who is right where the prompt is wrong, who knows how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compare.report import charts
from compare.report.answers import Answers, agreement, hardest, quadrants, shared_errors
from compare.statistics import REFERENCE
from icl.intervals import pooled_ece
from icl.report import evidence
from icl.report.charts import reliability
from icl.report.facts import number, percent, span
from icl.report.figures import Figure, Table

HEAD = ("Learner", "K", "Calibration error", "95 % interval", "If perfect", "Mean confidence", "Share right")
OVERLAP_HEAD = ("Learner", "K", "Both right", "Only in-context", "Only the learner", "Neither", "Same answer")


def matrices(of: dict[int, list[Answers]]) -> list[Figure]:
    """Per K: share of queries with the same answer, for every two learners. None for a single learner."""
    return [_matrix(k, answers, len(of) > 1) for k, answers in of.items() if len(answers) > 1]


def _matrix(k: int, answers: Sequence[Answers], several: bool) -> Figure:
    names = [a.learner for a in answers]
    shares = {(a.learner, b.learner): agreement(a, b) for a in answers for b in answers}
    known = [share for share in shares.values() if share is not None]
    middle = (min(known, default=0.0) + 1) / 2
    cells = [
        {"a": a, "b": b, "share": share, "text": _short(share), "strong": share is not None and share > middle}
        for (a, b), share in shares.items()
    ]
    rows = tuple((b, *(_short(shares[a, b]) for a in names)) for b in names)
    pairs = sorted((share, a, b) for (a, b), share in shares.items() if share is not None and names.index(a) < names.index(b))
    label = f"Agreement with K = {k}: " + "; ".join(f"{a} and {b} {share:.2f}" for share, a, b in pairs)
    return Figure(f"agreement-{k}", f"K = {k}" if several else "", label, charts.matrix(cells, names), Table(("Same answer", *names), rows))


def _short(share: float | None) -> str:
    return "" if share is None else f"{share:.2f}"


def overlap_rows(of: dict[int, list[Answers]]) -> tuple[tuple[str, ...], ...]:
    """Every learner beside in-context learning: shares of queries by who is right. Empty without in-context learning."""
    out = []
    for k, answers in of.items():
        prompt = next((a for a in answers if a.learner == REFERENCE), None)
        for a in answers:
            if prompt is None or a is prompt:
                continue
            q = quadrants(prompt, a)
            out.append((a.learner, str(k), *map(percent, (q.both, q.only_a, q.only_b, q.neither)), _percent(agreement(prompt, a))))
    return tuple(out)


def _percent(share: float | None) -> str:
    return "" if share is None else percent(share)


def hardest_table(answers: Sequence[Answers]) -> Table:
    """The queries that most learners get wrong."""
    rows = tuple((f"{h.episode}, {h.query}", f"{h.wrong} of {len(answers)}", ", ".join(h.right) or "nobody") for h in hardest(answers))
    return Table(("Episode, query", "Wrong", "Right"), rows)


def shared_words(answers: Sequence[Answers]) -> str:
    """How many queries all learners get right, and none."""
    everybody, nobody = map(percent, shared_errors(answers))
    return (
        f"With K\u00a0=\u00a0{answers[0].k_shot} all {len(answers)} learners are right in {everybody} of the queries and none in {nobody}."
    )


def calibration_rows(every: Sequence[Answers]) -> tuple[tuple[str, ...], ...]:
    """Expected calibration error of every learner and K, pooled over the episodes that have answers."""
    out = []
    for a in every:
        outcomes = a.outcomes()
        if not outcomes:
            out.append((a.learner, str(a.k_shot), *[""] * 5))
            continue
        value, interval, bias = pooled_ece(outcomes)
        confidence, right = (float(np.concatenate([getattr(o, name) for o in outcomes]).mean()) for name in ("confidence", "correct"))
        out.append((a.learner, str(a.k_shot), number(value), span(interval), number(bias), number(confidence), number(right)))
    return tuple(out)


def reliabilities(answers: Sequence[Answers]) -> list[Figure]:
    """A diagram per learner that has answers, at one K."""
    out = []
    for a in answers:
        bins = evidence.reliability_rows(found) if (found := a.outcomes()) else []
        if not bins:
            continue
        rows = tuple(
            (f"{b['low']:.1f} to {b['high']:.1f}", f"{b['count']:,}", number(b["confidence"]), number(b["accuracy"])) for b in bins
        )
        words = "; ".join(f"{b['count']} queries of mean confidence {b['confidence']:.2f} are right in {b['accuracy']:.2f}" for b in bins)
        table = Table(("Confidence", "Queries", "Mean confidence", "Share right"), rows)
        out.append(Figure(f"reliability-{a.learner}", a.learner, f"Reliability of {a.learner}: {words}", reliability(bins), table))
    return out
