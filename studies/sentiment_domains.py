"""Sentiment over domains: meta-train on three kinds of text, test on the fourth, each in turn.

    python studies/sentiment_domains.py                             # films, products, editorials, tweets
    python studies/sentiment_domains.py --docs docs/studies         # and the tables into sentiment-domains.md
    python studies/sentiment_domains.py --tasks movie-sentiment --episodes features=100,prompts=100,metaicl=20,lora=8

The data is the embedded one. Related tasks stand in the cards; tweets are asked with two labels (sentiment-domains/tweet-polarity.yaml).
"""

from __future__ import annotations

import sys
from pathlib import Path

from comparison_report import report
from comparisons import options, plan, run_plan, spec_of

from tasks import IclError

NAME = "sentiment-domains"
CARDS = {"tweet-polarity": str(Path(__file__).parent / NAME / "tweet-polarity.yaml")}
"""Tasks that are not in the library."""


def main(arguments: list[str] | None = None) -> None:
    """Compares, prints, writes."""
    parser = options(
        __doc__.splitlines()[0],
        NAME,
        tasks="movie-sentiment,product-sentiment,editorial-sentiment,tweet-polarity",
        k_shot="4",
        queries="30",
        episodes="features=10,prompts=10,calibrated=10",
    )
    given = parser.parse_args(arguments)
    try:
        shares = plan(given.episodes)
        specs = [spec_of(given, CARDS.get(task, task)) for task in given.tasks.split(",")]
        lines = [line for spec in specs for line in run_plan(spec, shares, given.out, given.data_dir)]
        report(lines, NAME, given.docs)
    except IclError as error:
        sys.exit(f"{NAME}: {error}")


if __name__ == "__main__":
    main()
