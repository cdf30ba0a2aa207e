"""Few-shot accuracy of the embedded model on the task library, as a Markdown table.

    python studies/few_shot_table.py embedded                     # the tasks that need no hub
    python studies/few_shot_table.py hub --data-dir DIR           # the hub cards, from a mirror or the hub

Prints one table row per task; every cell is mean ± half the 95 % interval over episodes. Finished runs are found again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from icl import RunSpec, evaluate
from icl.report.terminal import show_estimate
from icl.runs import Run
from tasks.cardfile import load_card
from tasks.load import find_card, library_names

FEWER_QUERIES = {"cb": 50, "element-symbol": 50, "country-capital": 80, "country-region": 80, "gsm8k": 20, "banking77": 50, "clinc_oos": 50}
"""Where the split is smaller than 100 rows, or a query has many candidates or a long answer."""
FEWER_SHOTS = {"boolq": 4}
"""Where eight passages would fill the context with little else."""
CALIBRATIONS = ("none", "contextual", "domain-context", "batch")


def main() -> None:
    """Evaluates a group of tasks, or tasks by name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="+", help="embedded, hub, or names of tasks")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--episodes", type=int, default=5)
    options = parser.parse_args()
    print("| task | K | queries | metric | " + " | ".join(CALIBRATIONS) + " | seconds |")
    print("|" + "---|" * (len(CALIBRATIONS) + 5))
    for name in chosen(options.tasks):
        spec = RunSpec(name, shots=FEWER_SHOTS.get(name, 8), episodes=options.episodes, queries=FEWER_QUERIES.get(name, 100))
        run = evaluate(spec, out=options.out, data_dir=options.data_dir)
        for line in rows(run):
            print(line)
        sys.stdout.flush()


def chosen(names: list[str]) -> list[str]:
    """Names of tasks; a group stands for its members."""
    hub = [name for name in library_names() if load_card(find_card(name)).source.type == "hub"]
    groups = {"hub": hub, "embedded": [name for name in library_names() if name not in hub]}
    return [name for group in names for name in groups.get(group, [group])]


def rows(run: Run) -> list[str]:
    """One line per leading metric: what the model writes, and which candidate it prefers."""
    spec, metrics = run.resolved.spec, run.summary["metrics"]
    seconds = sum(run.cost["seconds"].get(phase, 0.0) for phase in ("plan", "score", "generate", "embed"))
    lines = []
    for metric in ("exact_match", "accuracy"):
        if metric in metrics["none"]:
            cells = [show_estimate(metrics[c][metric]) if metric in metrics.get(c, {}) else "" for c in CALIBRATIONS]
            head = [run.environment["run"]["task"], str(spec.shots), str(spec.queries), metric.replace("_", " ")]
            lines.append("| " + " | ".join([*head, *cells, f"{seconds:.0f}"]) + " |")
    return lines


if __name__ == "__main__":
    main()
