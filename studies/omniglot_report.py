"""Tables, numbers and charts of the Omniglot study. Pure functions of its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from comparison_report import put, rounded
from drawing import svg
from images import Line, curve_rows

from icl.runs import write_json

TITLES = {
    "5w1s": "5-way 1-shot, random split",
    "5w5s": "5-way 5-shot, random split",
    "20w1s": "20-way 1-shot, random split",
    "within": "20-way 1-shot, within an alphabet",
}
PUBLISHED: Mapping[str, Mapping[str, str]] = {
    "5w1s": {
        "protonet": "98.8", "matching-net": "98.1", "maml": "98.7 ± 0.4", "fomaml": "98.3", "reptile": "97.68", "meta-sgd": "99.53",
        "snail": "99.07", "mann": "82.8 (k-th instance)",
    },
    "5w5s": {
        "protonet": "99.7", "matching-net": "98.9", "maml": "99.9 ± 0.1", "fomaml": "99.2", "reptile": "99.48", "meta-sgd": "99.93",
        "snail": "99.78", "mann": "94.9 (k-th instance)",
    },
    "20w1s": {
        "protonet": "96.0", "matching-net": "93.8", "maml": "95.8 ± 0.3", "fomaml": "89.4", "reptile": "89.43", "meta-sgd": "95.93",
        "snail": "97.64",
    },
    "within": {"protonet": "86.3"},
}  # fmt: skip
"""Setting → learner → accuracy in percent, all of 1,623 characters and full trainings (sources: docs/studies/omniglot.md)."""
CURVE = ("train", "test")
IN_WORDS = {"train": "meta-train classes", "test": "meta-test classes"}


def percent(line: Line) -> str:
    """`98.1 ± 0.3`."""
    return f"{100 * line.accuracy:.1f} ± {100 * line.half:.1f}"


def duration(seconds: float) -> str:
    """In minutes."""
    return f"{seconds / 60:.1f}"


def table(setting: str, lines: Sequence[Line]) -> str:
    """Markdown: a row per learner, best first."""
    head = ["learner", "ours, % (600 episodes)", "published, %", "outer steps × tasks", "minutes", "network", "meta-train classes, %"]
    head[1] = f"ours, % ({len(lines[0].per_episode)} episodes)"
    out = [
        f"### {TITLES[setting]}",
        "",
        f"Trained and tested on `{lines[0].trained_on}`.",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    for line in sorted(lines, key=lambda line: -line.accuracy):
        failed = f" ({line.failed} failed)" if line.failed else ""
        cells = [
            line.learner,
            percent(line) + failed,
            PUBLISHED[setting].get(line.learner, "–"),
            f"{line.steps:,} × {line.batch}",
            duration(line.seconds),
            line.backbone,
            f"{100 * line.curve[-1]['accuracy']['train']:.1f}",
        ]
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out)


def chart(lines: Mapping[str, Sequence[Line]]) -> str:
    """SVG: accuracy over meta-training on meta-train and meta-test classes, a panel per learner, a block per setting."""
    import altair as alt

    blocks = []
    for setting, of in lines.items():
        rows = [{**row, "series": IN_WORDS[row["series"]]} for row in curve_rows(of, CURVE)]
        base = alt.Chart(alt.Data(values=rows)).encode(
            x=alt.X("step:Q", title="outer steps", axis=alt.Axis(tickCount=4)),
            y=alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1]), title="accuracy"),
            color=alt.Color("series:N", sort=list(IN_WORDS.values()), title=None, legend=alt.Legend(orient="top")),
        )
        panel = alt.layer(base.mark_line(strokeWidth=1.5), base.mark_point(filled=True, size=18, opacity=1)).properties(
            width=150, height=110
        )
        learners = [line.learner for line in of]
        facet = panel.facet(facet=alt.Facet("learner:N", sort=learners, title=None), columns=5).resolve_scale(x="independent")
        blocks.append(facet.properties(title=TITLES[setting]))
    return svg(alt.vconcat(*blocks))


def report(lines: Mapping[str, Sequence[Line]], docs: Path | None) -> None:
    """Prints the tables; with `docs` also writes omniglot.svg, omniglot.json and the tables into omniglot.md."""
    text = "\n\n".join(table(setting, of) for setting, of in lines.items())
    print(text)
    if docs is None:
        return
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "omniglot.svg").write_text(chart(lines), encoding="utf-8")
    numbers: dict[str, Any] = {setting: [line.to_json() for line in of] for setting, of in lines.items()}
    write_json(docs / "omniglot.json", rounded(numbers))
    put(docs / "omniglot.md", text)
