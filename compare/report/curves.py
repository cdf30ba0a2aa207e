"""Accuracy against K and against cost, and total cost against queries served: figures, and the table of break-evens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from compare.report import charts, looks
from compare.report.breakeven import Line, Prompt, Weights, break_even
from compare.report.facts import Json
from compare.report.figures import by_k, k_title
from compare.statistics import REFERENCE
from icl.report.facts import number, percent, scaled, signed
from icl.report.figures import Figure, Table

TOGETHER = 6
"""Most learners that share a chart of curves; above it, a chart per kind."""
DECADES = (3, 7)
"""Least and greatest powers of ten of the axis of queries."""


def against_k(summary: Json, chance: float) -> list[Figure]:
    """All learners; none with a single K."""
    groups = by_k(summary)
    if len(groups) < 2:
        return []
    names = [row["learner"] for row in next(iter(groups.values()))]
    within = charts.limits([_point(row, {}) for row in summary["rows"]], chance)
    out = []
    for i, (title, members) in enumerate(_panels(names).items()):
        points = [
            _point(row, {"at": row["k_shot"] * 1.03 ** (members.index(row["learner"]) - (len(members) - 1) / 2)})
            for row in _rows(summary, members)
        ]
        words = "; ".join(f"{row['learner']} {number(row['accuracy']['mean'])} at {row['k_shot']}" for row in _rows(summary, members))
        table = tuple((f"K = {k}", *(_with_interval(row) for row in rows if row["learner"] in members)) for k, rows in groups.items())
        head = ("K", *(name for name in names if name in members))
        out.append(
            Figure(f"against-k-{i}", title, f"Accuracy against K: {words}", charts.against_k(points, chance, within), Table(head, table))
        )
    return out


def against_cost(summary: Json, cost: Json, chance: float, n_queries: int) -> list[Figure]:
    """Accuracy against the FLOPs of adapting and answering the queries of an episode, meta-training left out."""
    spent = {(r["learner"], r["k_shot"]): r["flops"]["adapt"] + n_queries * r["flops"]["per_query"] for r in cost["rows"]}
    names = list(dict.fromkeys(row["learner"] for row in summary["rows"]))
    within = charts.limits([_point(row, {}) for row in summary["rows"]], chance)
    out = []
    for i, (title, members) in enumerate(_panels(names).items()):
        rows = _rows(summary, members)
        points = [_point(row, {"flops": spent[row["learner"], row["k_shot"]]}) for row in rows]
        table = tuple(
            (f"{r['learner']}, K = {r['k_shot']}", scaled(p["flops"], "FLOP"), _with_interval(r)) for r, p in zip(rows, points, strict=True)
        )
        words = "; ".join(f"{name} {flops}: {accuracy}" for name, flops, accuracy in table)
        spec = charts.against_cost(points, chance, within, f"FLOP to adapt and to answer {n_queries} queries")
        out.append(
            Figure(f"against-cost-{i}", title, f"Accuracy against cost: {words}", spec, Table(("Learner", "Cost", "Accuracy"), table))
        )
    return out


def against_window(summary: Json, cost: Json, chance: float) -> list[Figure]:
    """In-context accuracy of every episode against how full the context window is; none for a run that did not keep that."""
    prefix = {row["k_shot"]: row for row in cost["in_context_prefix"]}
    points = []
    for row in _rows(summary, [REFERENCE]):
        kept = prefix.get(row["k_shot"], {})
        of_episodes = zip(kept.get("prompt_tokens", ()), row["accuracy"]["per_episode"], strict=False)  # empty in runs from before
        for i, (tokens, accuracy) in enumerate(of_episodes):
            names = {"learner": REFERENCE, "k": row["k_shot"], "episode": f"e{i:03d}"}
            points.append({**names, "tokens": tokens, "share": tokens / kept["window"], "accuracy": accuracy})
    if not points:
        return []
    rows = tuple((f"K = {p['k']}, {p['episode']}", f"{p['tokens']:,}", percent(p["share"]), number(p["accuracy"])) for p in points)
    least, most = (percent(end(p["share"] for p in points)) for end in (min, max))
    label = f"In-context accuracy against the context window: prompts fill {least} to {most}"
    table = Table(("Episode", "Tokens", "Share of the window", "Accuracy"), rows)
    return [Figure("against-window", "", label, charts.against_window(points, chance), table)]


def _panels(names: Sequence[str]) -> dict[str, list[str]]:
    """Title → learners: one panel of all where they are few, else one per kind, the prompt in each."""
    if len(names) <= TOGETHER:
        return {"": list(names)}
    kinds = {kind: [n for n in names if n in of or n == REFERENCE] for kind, of in looks.KINDS.items() if set(of) & set(names)}
    return {f"{kind[0].upper()}{kind[1:]}": members for kind, members in kinds.items()}


def _rows(summary: Json, members: Sequence[str]) -> list[Json]:
    return [row for row in summary["rows"] if row["learner"] in members]


def _point(row: Json, more: dict[str, Any]) -> dict[str, Any]:
    accuracy = row["accuracy"]
    low, high = accuracy["ci95"] or (None, None)
    values = {"learner": row["learner"], "kind": looks.kind_of(row["learner"]), "k": row["k_shot"]}
    return {**values, "mean": accuracy["mean"], "low": low, "high": high, **more}


def _with_interval(row: Json) -> str:
    accuracy = row["accuracy"]
    interval = accuracy["ci95"]
    return number(accuracy["mean"]) + (f" [{number(interval[0])}, {number(interval[1])}]" if interval else "")


def break_even_rows(summary: Json, others: Sequence[Weights], of: Mapping[int, Prompt]) -> tuple[tuple[str, ...], ...]:
    """Learner, K, difference in accuracy, then for how many queries it is cheaper than the prompt alone, kept, together."""
    difference = {(r["learner"], r["k_shot"]): r["difference_to_in_context"] for r in summary["rows"]}
    return tuple(
        (w.learner, str(w.k_shot), signed(difference[w.learner, w.k_shot]["mean"]), *_cells(w, of[w.k_shot]))
        for w in others
        if w.k_shot in of
    )


def _cells(w: Weights, prompt: Prompt) -> tuple[str, ...]:
    def both(shared: Line, whole: Line, against: Line) -> str:
        without, with_it = break_even(shared, against).words(), break_even(whole, against).words()
        return f"{without} / {with_it}" if w.meta_trained else without

    return (
        both(w.alone(w.shared), w.alone(w.whole), prompt.alone),
        both(w.shared, w.whole, prompt.kept),
        both(w.shared_seconds, w.whole_seconds, prompt.together),
    )


def prefix_rows(of: Mapping[int, Prompt]) -> tuple[tuple[str, ...], ...]:
    """In-context FLOPs with and without kept keys and values of the demonstrations."""
    return tuple(
        (f"K = {k}", *(scaled(value, "FLOP") for value in (prompt.alone.per_query, prompt.kept.once, prompt.kept.per_query)))
        for k, prompt in of.items()
    )


def cost_figures(summary: Json, others: Sequence[Weights], of: Mapping[int, Prompt]) -> list[Figure]:
    """Per K: total FLOPs against queries, meta-training left out, and with all of it."""
    out = []
    for k, prompt in of.items():
        mine = [w for w in others if w.k_shot == k]
        if not mine:
            continue
        queries = _queries(mine, prompt)
        at = k_title(summary, k)
        out.append(
            _cost_figure(f"cost-shared-{k}", _titled(at, "meta-training left out"), {w.learner: w.shared for w in mine}, prompt, queries)
        )
        if any(w.meta_trained for w in mine):
            out.append(
                _cost_figure(
                    f"cost-whole-{k}", _titled(at, "with all of meta-training"), {w.learner: w.whole for w in mine}, prompt, queries
                )
            )
    return out


def _titled(k: str, what: str) -> str:
    return f"{k}, {what}" if k else what.capitalize()


def _queries(of: Sequence[Weights], prompt: Prompt) -> list[int]:
    """Four a decade, up to a little beyond the last break-even."""
    firsts = [break_even(line, against).first or 1 for w in of for line in (w.shared, w.whole) for against in (prompt.alone, prompt.kept)]
    decades = min(max(math.ceil(math.log10(max(firsts)) + 0.5), DECADES[0]), DECADES[1])
    return sorted({round(10 ** (i / 4)) for i in range(4 * decades + 1)})


def _cost_figure(id: str, title: str, lines: dict[str, Line], prompt: Prompt, queries: Sequence[int]) -> Figure:
    points = [
        {"learner": name, "kind": looks.kind_of(name), "queries": n, "flops": line.total(n)}
        for name, line in lines.items()
        for n in queries
    ]
    ways = {"alone": prompt.alone, "kept": prompt.kept}
    of_prompt = [
        {"learner": REFERENCE, "kind": looks.kind_of(REFERENCE), "way": way, "queries": n, "flops": line.total(n)}
        for way, line in ways.items()
        for n in queries
    ]
    every = {**{f"{REFERENCE}, {way}": line for way, line in ways.items()}, **lines}
    marks = [n for n in queries if math.log10(n).is_integer()]
    rows = tuple((name, *(scaled(line.total(n), "FLOP") for n in marks)) for name, line in every.items())
    last = queries[-1]
    ends = (f"{name} {scaled(line.total(1), 'FLOP')} and {scaled(line.total(last), 'FLOP')}" for name, line in every.items())
    label = f"Total cost of one query and of {last:,}, {title}: {'; '.join(ends)}"
    return Figure(id, title, label, charts.against_queries(points, of_prompt), Table(("Learner", *(f"{n:,} queries" for n in marks)), rows))
