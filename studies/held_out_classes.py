"""Held-out intents: 5-way episodes of classes that nobody was trained on, in the prompt, on features, in the weights.

    python studies/held_out_classes.py --data-dir DIR                                    # learners on features, and prompts
    python studies/held_out_classes.py --data-dir DIR --docs docs/studies                # and the tables into held-out-classes.md
    python studies/held_out_classes.py --data-dir DIR --episodes features=600,prompts=100,metaicl=20,lora=8@5

Classes are split as the cards of banking77 and clinc_oos say. Every group of learners plays the first episodes of the same list.
"""

from __future__ import annotations

import sys

from comparison_report import report
from comparisons import options, plan, run_plan, spec_of

from tasks import IclError

NAME = "held-out-classes"


def main(arguments: list[str] | None = None) -> None:
    """Compares, prints, writes."""
    parser = options(
        __doc__.splitlines()[0],
        NAME,
        tasks="banking77,clinc_oos",
        k_shot="1,5",
        queries="25",
        episodes="features=200,prompts=10",
    )
    parser.add_argument("--n-way", type=int, default=5, help="classes per episode")
    given = parser.parse_args(arguments)
    try:
        shares = plan(given.episodes)
        specs = [spec_of(given, task, given.n_way) for task in given.tasks.split(",")]
        lines = [line for spec in specs for line in run_plan(spec, shares, given.out, given.data_dir)]
        report(lines, NAME, given.docs)
    except IclError as error:
        sys.exit(f"{NAME}: {error}")


if __name__ == "__main__":
    main()
