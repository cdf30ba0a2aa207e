"""Tables, numbers and charts of the study across domains. Pure functions of its lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comparison_report import put, rounded
from drawing import svg
from images import Line, curve_rows

from compare.images.curve import FOLLOWS, IGNORES
from icl.runs import write_json

PARTS = {"train": "classes that it learns from", "test": "new classes"}


def named(source: str) -> str:
    """`omniglot:random-1279` → `omniglot`."""
    return source.split(":")[0]


def table(lines: Sequence[Line]) -> str:
    """Markdown: a block per training source, a row per learner, a column per source tested on; the own one first."""
    out = []
    for trained_on in dict.fromkeys(line.trained_on for line in lines):
        of = [line for line in lines if line.trained_on == trained_on]
        sources = list(dict.fromkeys(line.source for line in of))
        steps = f"{of[0].steps:,} steps of {of[0].batch} tasks"
        out += [f"### Trained on `{trained_on}` ({steps})", ""]
        titles = [f"new classes of `{name}`" if name == trained_on else f"`{name}`" for name in sources]
        out += [f"| learner | {' | '.join(titles)} |", "|---" * (len(sources) + 1) + "|"]
        for learner in dict.fromkeys(line.learner for line in of):
            found = {line.source: line for line in of if line.learner == learner}
            cells = [
                f"{found[s].accuracy:.3f} ± {found[s].half:.3f}" + (f" ({found[s].failed} failed)" if found[s].failed else "")
                for s in sources
            ]
            out.append(f"| {learner} | {' | '.join(cells)} |")
        out.append("")
    return "\n".join(out).rstrip()


def first_of_each(lines: Sequence[Line]) -> list[Line]:
    """One line per training: curves are the training's, whatever was tested on afterwards."""
    return list({(line.trained_on, line.learner, line.k_shot): line for line in reversed(lines)}.values())[::-1]


def gap_table(lines: Sequence[Line]) -> str:
    """Markdown: at the end of each training, what it can do on what it learnt from and elsewhere, and the probe."""
    head = ["trained on", "learner", "classes it learns from", "new classes", "gap", "new domains", "shifted labels: followed", "ignored"]
    out = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for line in first_of_each(lines):
        last = line.curve[-1]["accuracy"]
        domains = [f"{named(name)} {value:.2f}" for name, value in last.items() if ":" in name]
        cells = [
            named(line.trained_on),
            line.learner,
            f"{last['train']:.2f}",
            f"{last['test']:.2f}",
            f"{last['train'] - last['test']:+.2f}",
        ]
        out.append(f"| {' | '.join([*cells, ', '.join(domains), f'{last[FOLLOWS]:.2f}', f'{last[IGNORES]:.2f}'])} |")
    return "\n".join(out)


def chart(lines: Sequence[Line]) -> str:
    """SVG: accuracy over meta-training, a panel per learner, a row per training source."""
    import altair as alt

    trainings = first_of_each(lines)
    rows = []
    for line in trainings:
        series = [name for name in line.curve[0]["accuracy"] if name in PARTS or ":" in name]
        for row in curve_rows([line], series):
            name = row["series"]
            words = PARTS.get(name, f"new domain: {named(name)}")
            rows.append({**row, "series": words, "trained": f"trained on {named(line.trained_on)}"})
    order = [*PARTS.values(), *sorted({row["series"] for row in rows} - set(PARTS.values()))]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("step:Q", title="outer steps", axis=alt.Axis(tickCount=3)),
        y=alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1]), title="accuracy"),
        color=alt.Color("series:N", sort=order, title=None, legend=alt.Legend(orient="top")),
    )
    panel = alt.layer(base.mark_line(strokeWidth=1.5), base.mark_point(filled=True, size=14, opacity=1)).properties(width=150, height=100)
    learners = list(dict.fromkeys(line.learner for line in trainings))
    trained = [f"trained on {named(name)}" for name in dict.fromkeys(line.trained_on for line in trainings)]
    grid = panel.facet(row=alt.Row("learner:N", sort=learners, title=None), column=alt.Column("trained:N", sort=trained, title=None))
    return svg(grid)


def report(lines: Sequence[Line], docs: Path | None) -> None:
    """Prints both tables; with `docs` also writes cross-domain.json, meta-overfitting.svg and the tables into the two pages."""
    across, gaps = table(lines), gap_table(lines)
    print(f"{across}\n\n{gaps}")
    if docs is None:
        return
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "meta-overfitting.svg").write_text(chart(lines), encoding="utf-8")
    write_json(docs / "cross-domain.json", rounded({"lines": [line.to_json() for line in lines]}))
    put(docs / "cross-domain.md", across)
    put(docs / "meta-overfitting.md", gaps)
