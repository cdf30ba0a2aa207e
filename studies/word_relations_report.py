"""Tables, chart and numbers of the study of word relations. Pure functions of its outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from comparison_report import amount, half, mean, put, rounded
from drawing import svg
from word_relations_play import ARMS, WEIGHTS, Outcome

from compare.statistics import Contrast, adjusted
from icl.intervals import paired_difference
from icl.runs import write_json

REFERENCE = "in-context"
ALL = "all relations"
TOLD = 0.05

Played = Mapping[str, Mapping[int, Sequence[Sequence[Outcome]]]]
"""Relation → K → episode → arms."""
Values = dict[tuple[str, str, int], list[float]]
"""(Relation, arm, K) → accuracy of every episode."""


def accuracies(found: Played) -> Values:
    """Of every arm; under ALL the mean over the relations, episode by episode."""
    out: Values = {}
    for relation, of in found.items():
        for k, episodes in of.items():
            for arms in episodes:
                for one in arms:
                    out.setdefault((relation, one.arm, k), []).append(one.accuracy)
    for arm, k in dict.fromkeys((arm, k) for _, arm, k in out):
        out[ALL, arm, k] = [mean(values) for values in zip(*(out[relation, arm, k] for relation in found), strict=True)]
    return out


def contrasts(values: Values) -> dict[tuple[str, str, int], Contrast]:
    """Every arm minus in-context learning at the same K; Holm over all of a relation's page, the means over relations with them."""
    return adjusted(
        {
            (relation, arm, k): paired_difference(of, values[relation, REFERENCE, k])
            for (relation, arm, k), of in values.items()
            if arm != REFERENCE
        }
    )


def accuracy_table(values: Values, against: Mapping[tuple[str, str, int], Contrast]) -> str:
    """A line per relation and arm, a column per K; bold where told apart from in-context learning at that K."""
    ks = sorted({k for _, _, k in values})
    lines = [f"| relation | learner | {' | '.join(f'K = {k}' for k in ks)} |", "|" + "---|" * (len(ks) + 2)]
    for relation in dict.fromkeys(relation for relation, _, _ in values):
        for arm in ARMS:
            cells = [cell(values.get((relation, arm, k)), against.get((relation, arm, k))) for k in ks]
            lines.append(f"| {relation} | {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(values: Sequence[float] | None, contrast: Contrast | None) -> str:
    """Accuracy ± half its interval."""
    if values is None:
        return ""
    said = f"{mean(values):.3f} ± {half(values):.3f}"
    return f"**{said}**" if contrast and contrast.p_adjusted is not None and contrast.p_adjusted < TOLD else said


def difference_table(against: Mapping[tuple[str, str, int], Contrast]) -> str:
    """Differences to in-context learning, averaged over the relations."""
    ks = sorted({k for relation, _, k in against if relation == ALL})
    lines = [f"| minus in-context, {ALL} | {' | '.join(f'K = {k}' for k in ks)} |", "|" + "---|" * (len(ks) + 1)]
    for arm in ARMS:
        found = [against.get((ALL, arm, k)) for k in ks]
        if any(found):
            cells = [f"{c.difference.mean:+.3f} ± {half(c.difference.per_episode):.3f}" if c else "" for c in found]
            told = [bool(c and c.p_adjusted is not None and c.p_adjusted < TOLD) for c in found]
            lines.append(f"| {arm} | {' | '.join(f'**{x}**' if bold else x for x, bold in zip(cells, told, strict=True))} |")
    return "\n".join(lines)


def costs(found: Played) -> dict[tuple[str, int], dict[str, float]]:
    """(Arm, K) → means over relations and episodes."""
    every: dict[tuple[str, int], list[Outcome]] = {}
    for of in found.values():
        for k, episodes in of.items():
            for arms in episodes:
                for one in arms:
                    every.setdefault((one.arm, k), []).append(one)
    names = ("adapt_seconds", "adapt_flops", "query_seconds", "query_flops")
    return {key: {name: mean([getattr(one, name) for one in ones]) for name in names} for key, ones in every.items()}


def cost_table(found: Played) -> str:
    """What adapting and one query take, in seconds and in floating-point operations."""
    known = costs(found)
    lines = ["| learner | K | adapt, s | adapt, GFLOP | query, ms | query, GFLOP |", "|" + "---|" * 6]
    for arm in ARMS:
        for k in sorted(k for name, k in known if name == arm):
            c = known[arm, k]
            numbers = (c["adapt_seconds"], c["adapt_flops"] / 1e9, 1000 * c["query_seconds"], c["query_flops"] / 1e9)
            lines.append(f"| {arm} | {k} | {' | '.join(map(amount, numbers))} |")
    return "\n".join(lines)


def search_line(facts: Mapping[str, Any]) -> str:
    """What LoRA's setting was chosen from."""
    tried = "; ".join(f"rate {t['lr']:g}, {t['steps']} steps: {t['accuracy']:.3f}" for t in facts["tried"])
    chosen, queries = facts["settings"], facts["search_queries"] * facts["tried"][0]["episodes"]
    return (
        f"LoRA's rate, chosen once on {queries} validation queries at K = {facts['search_k']}: {tried}. "
        f"Taken: rank {chosen['rank']}, rate {chosen['lr']:g}, {chosen['steps']} steps."
    )


def failed_line(found: Played) -> str:
    """How many trainings failed, and count as a guess."""
    weights = [one for of in found.values() for episodes in of.values() for arms in episodes for one in arms if one.arm == WEIGHTS[0]]
    return f"Trainings that failed, and count as a guess: {sum(bool(one.failed) for one in weights)} of {len(weights)}."


def chart(values: Values) -> str:
    """SVG: accuracy against K, an arm a line, a relation a panel."""
    import altair as alt

    ks = sorted({k for _, _, k in values})
    rows = []
    for (relation, arm, k), of in values.items():
        centre, around = mean(of), half(of)
        ends = {"low": max(0.0, centre - around), "high": min(1.0, centre + around)}
        rows.append({"relation": relation, "learner": arm, "K": str(k), "accuracy": centre, **ends})
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("K:O", sort=[str(k) for k in ks], title="pairs seen", axis=alt.Axis(labelAngle=0)),
        color=alt.Color("learner:N", sort=list(ARMS), title=None, legend=alt.Legend(orient="bottom")),
    )
    lines = base.mark_line(point=True).encode(y=alt.Y("accuracy:Q", scale=alt.Scale(zero=False), title="accuracy"))
    bars = base.mark_rule(opacity=0.4).encode(y=alt.Y("low:Q", title=""), y2="high:Q")
    order = list(dict.fromkeys(relation for relation, _, _ in values))
    facets = (lines + bars).properties(width=230, height=190).facet(facet=alt.Facet("relation:N", sort=order, title=None), columns=3)
    return svg(facets)


def plain(episodes: Sequence[Sequence[Outcome]]) -> list[list[dict[str, Any]]]:
    """Plain values of what was played at one K."""
    return [[asdict(one) for one in arms] for arms in episodes]


def report(found: Played, facts: Mapping[str, Any], name: str, docs: Path | None) -> None:
    """Prints the tables; with `docs` also writes `name`.svg, `name`.json and the tables into `name`.md."""
    values = accuracies(found)
    against = contrasts(values)
    text = "\n\n".join(
        [
            accuracy_table(values, against),
            difference_table(against),
            "### Costs",
            cost_table(found),
            f"{search_line(facts)}\n{failed_line(found)}",
        ]
    )
    print(text)
    if docs is None:
        return
    docs.mkdir(parents=True, exist_ok=True)
    (docs / f"{name}.svg").write_text(chart(values), encoding="utf-8")
    played = {relation: {str(k): plain(episodes) for k, episodes in of.items()} for relation, of in found.items()}
    differences = [
        {"relation": relation, "learner": arm, "k_shot": k, **contrast.to_json()} for (relation, arm, k), contrast in against.items()
    ]
    write_json(docs / f"{name}.json", rounded({"facts": dict(facts), "played": played, "minus_in_context": differences}))
    put(docs / f"{name}.md", text)
