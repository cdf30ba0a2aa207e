"""Selection × order × calibration on six tasks: what helps a small model, and on which tasks.

    python studies/filling_the_context.py --data-dir DIR                    # all six
    python studies/filling_the_context.py sst2 trec --docs docs/studies     # some; writes the tables into filling-the-context.md

Each task is one sweep, `studies/filling-the-context/TASK.yaml` (`icl sweep` on it gives the full report). Finished runs are found again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from icl.intervals import PairedDifference, holm, paired_difference, t_interval
from icl.sweep.file import read_sweep
from icl.sweep.results import Row
from icl.sweep.run import sweep
from tasks import IclError

FILES = Path(__file__).parent / "filling-the-context"
TASKS = ("sst2", "trec", "ag_news", "dbpedia_14", "banking77", "country-capital")
PLAIN = ("random", "given", "none")
"""What every other setting is compared with: selector, order, calibration."""
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"

Setting = tuple[str, str, str]
Contrast = tuple[PairedDifference, float | None]
"""Against PLAIN, and its p-value after Holm over the task's settings."""


def main() -> None:
    """Sweeps the tasks named, prints the tables, and writes them into the document if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)}; all of them by default")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--docs", type=Path, help="directory of filling-the-context.md")
    given = parser.parse_args()
    found = {name: measured(name, given.out, given.data_dir) for name in given.tasks or TASKS}
    text = "\n\n".join([*(table(name, rows) for name, rows in found.items()), across(found)])
    print(text)
    if given.docs:
        put(given.docs / "filling-the-context.md", text)


def measured(name: str, out: Path, data_dir: Path | None) -> dict[Setting, Row]:
    """The rows of a task's sweep. Raises IclError when a cell failed: the tables would not be complete."""
    results, _ = sweep(read_sweep(FILES / f"{name}.yaml"), out=out, data_dir=data_dir)
    if results.failed:
        raise IclError(f"every cell of {name} must be measured, but {len(results.failed)} failed: {results.failed[0].reason}")
    (group,) = results.groups
    return {(row.cell.selector, row.cell.order, row.cell.calibration[0] if row.cell.calibration else "none"): row for row in group.rows}


def against_plain(rows: Mapping[Setting, Row]) -> dict[Setting, Contrast]:
    """Paired over draws."""
    differences = {setting: paired_difference(row.values, rows[PLAIN].values) for setting, row in rows.items() if setting != PLAIN}
    known = [setting for setting, difference in differences.items() if difference.p_value is not None]
    adjusted = dict(zip(known, holm([differences[setting].p_value or 0.0 for setting in known]), strict=True))
    return {setting: (difference, adjusted.get(setting)) for setting, difference in differences.items()}


def table(name: str, rows: Mapping[Setting, Row]) -> str:
    """A line per selector and order, a pair of columns per calibration."""
    calibrations = list(
        dict.fromkeys(setting[2] for setting in sorted(rows, key=lambda s: ("none", "contextual", "batch", "pmi").index(s[2])))
    )
    contrasts = against_plain(rows)
    head = ["selector, order", *(f"{name}{'*' if name == 'batch' else ''} | − plain" for name in calibrations)]
    lines = [f"### {name}", "", f"| {' | '.join(head)} |", "|" + "---|" * (1 + 2 * len(calibrations))]
    for selector, order in dict.fromkeys((s, o) for s, o, _ in rows_in_order(rows)):
        cells = [part for c in calibrations for part in cell(rows[selector, order, c], contrasts.get((selector, order, c)))]
        lines.append(f"| {selector}{'' if order == 'given' else ', ' + order} | {' | '.join(cells)} |")
    return "\n".join(lines)


def rows_in_order(rows: Mapping[Setting, Row]) -> list[Setting]:
    """As the sweep's file lists them."""
    selectors = ("random", "balanced", "k-center", "perplexity", "bm25", "knn")
    return sorted(rows, key=lambda s: (s[1] != "given", selectors.index(s[0]), s[1]))


def cell(row: Row, contrast: Contrast | None) -> tuple[str, str]:
    """Accuracy ± half its interval; difference ± half its interval, bold where p < 0.05 after Holm."""
    value = f"{row.mean:.3f} ± {half(row.values):.3f}"
    if contrast is None:
        return value, ""
    difference, p = contrast
    said = f"{difference.mean:+.3f} ± {half(difference.per_episode):.3f}"
    return value, f"**{said}**" if p is not None and p < 0.05 else said


def half(values: Sequence[float]) -> float:
    """Half of the 95 % interval over draws."""
    interval = t_interval(values)
    assert interval is not None, "a study has twenty draws"
    return (interval[1] - interval[0]) / 2


def across(found: Mapping[str, Mapping[Setting, Row]]) -> str:
    """Mean difference over the tasks that have a setting, and on how many of them it is told apart, up and down."""
    lines = ["### All tasks", "", "| setting | tasks | mean difference to plain | better | worse |", "|---|---|---|---|---|"]
    every = {name: against_plain(rows) for name, rows in found.items()}
    settings = list(dict.fromkeys(setting for contrasts in every.values() for setting in contrasts))
    for setting in sorted(settings, key=lambda s: -mean_of([c[s][0].mean for c in every.values() if s in c])):
        there = [contrasts[setting] for contrasts in every.values() if setting in contrasts]
        told = [difference.mean for difference, p in there if p is not None and p < 0.05]
        words = f"{setting[0]}{'' if setting[1] == 'given' else ', ' + setting[1]}; {setting[2]}"
        mean = mean_of([difference.mean for difference, _ in there])
        lines.append(f"| {words} | {len(there)} | {mean:+.3f} | {sum(d > 0 for d in told)} | {sum(d < 0 for d in told)} |")
    return "\n".join(lines)


def mean_of(values: Sequence[float]) -> float:
    """Of at least one value."""
    return sum(values) / len(values)


def put(path: Path, text: str) -> None:
    """Replaces what stands between the two marks. Raises IclError when the document has none."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise IclError(f"{path} must have the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
