"""Across domains, and over meta-training: trained on one kind of images, tested on the others; and who overfits to what it learns from.

    python studies/cross_domain.py --data-dir DIR                          # what is finished is found again
    python studies/cross_domain.py --data-dir DIR --docs docs/studies      # and the tables into cross-domain.md and meta-overfitting.md

One run per learner and training source: glyphs (3,858 classes to learn from), Omniglot (thousands), digits (0 to 4 alone: five classes, so
that there is something to overfit to).
"""

from __future__ import annotations

import argparse
import sys

from cross_domain_report import report
from images import Line, check_same_episodes, options, run

from compare.images.learners import IMAGE_LEARNERS
from compare.images.spec import ImageSpec
from tasks import IclError
from tasks.errors import unknown_name

SOURCES = {"glyphs": ("omniglot", "digits"), "omniglot": ("glyphs", "digits"), "digits:five-five": ("glyphs", "omniglot")}
"""Trained on → also tested on."""
LEARNERS = ("protonet", "matching-net", "maml", "fomaml", "reptile", "anil", "meta-sgd", "linear-probe", "snail", "in-context-transformer")


def spec_of(source: str, learner: str, steps: int, episodes: int, seed: int) -> ImageSpec:
    """5-way 1-shot, strided network; one learner alone."""
    return ImageSpec(
        source, (learner,), episodes=episodes, queries=5, seed=seed, backbone="conv4-strided", meta_steps=steps, meta_test=SOURCES[source]
    )


def main(arguments: list[str] | None = None) -> None:
    """Compares, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", default=",".join(SOURCES), help="comma-separated: what is trained on")
    parser.add_argument("--learners", default=",".join(LEARNERS), help="comma-separated")
    parser.add_argument("--steps", type=int, default=1000, help="outer steps of 8 tasks")
    options(parser, "cross-domain", "numbers, chart, and the tables in cross-domain.md and meta-overfitting.md")
    given = parser.parse_args(arguments)
    lines: list[Line] = []
    try:
        for source in given.sources.split(","):
            if source not in SOURCES:
                raise unknown_name("source of the study", source, SOURCES)
            for learner in given.learners.split(","):
                if learner not in IMAGE_LEARNERS:
                    raise unknown_name("learner on images", learner, IMAGE_LEARNERS)
                spec = spec_of(source, learner, given.steps, given.episodes, given.seed)
                lines += run(spec, given.out, given.data_dir, only_finished=given.finished)
        check_same_episodes(lines)
        report(lines, given.docs)
    except IclError as error:
        sys.exit(f"cross_domain: {error}")


if __name__ == "__main__":
    main()
