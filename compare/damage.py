"""In-context learning after damaged demonstrations: what it takes from their labels, and what from their format (Min et al. 2022).

    labels permuted      answers change places among the demonstrations, so that some are wrong; how often each label stands stays the same
    separators removed   } prompts/damage.py: the demonstrations alone, the query side stays whole
    names garbled        }

The learner, the order of the demonstrations, the queries and the calibration are those of the comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from compare.learners.in_play import builder_in_play
from compare.learners.types import Tools
from compare.types import Support
from prompts import PromptBuilder
from prompts.damage import DAMAGES
from tasks import IclError, keyed_rng

LABELS_PERMUTED = "labels permuted"


@dataclass(frozen=True)
class Damage:
    """A way to damage demonstrations, for one task and template."""

    name: str
    tools: Tools
    """With the template that writes them."""
    permutes: bool
    """Whether answers change places."""

    def support(self, support: Support, seed: int) -> Support:
        """The examples to show."""
        return permuted(support, seed) if self.permutes else support

    def shown(self, support: Support) -> str:
        """The first of them as it stands in a prompt, with what follows it."""
        builder, example = builder_in_play(self.tools.builders, support), support.examples[0]
        return builder.renderer.demonstration(example, builder.verbalizer.write(example)) + builder.renderer.separator


def damages(tools: Tools, task: str, seed: int) -> tuple[list[Damage], dict[str, str]]:
    """All that this task's template allows, and why it does not allow the others."""
    builder = tools.builders[task]
    found, left_out = [Damage(LABELS_PERMUTED, tools, True)], {}
    for name, write in DAMAGES.items():
        try:
            damaged = PromptBuilder(write(builder.template, seed), builder.task)
        except IclError as error:
            left_out[name] = str(error)
            continue
        found.append(Damage(name, replace(tools, builders={**tools.builders, task: damaged}), False))
    return found, left_out


def permuted(support: Support, seed: int) -> Support:
    """Answers in another order, keyed by the episode; at least one of them is another than before."""
    rng = keyed_rng(seed, "permuted labels", support.task, len(support.examples), support.episode)
    targets = [example.target for example in support.examples]
    other = next(order for order in _orders(targets, rng) if order != targets)
    return replace(support, examples=tuple(replace(e, target=target) for e, target in zip(support.examples, other, strict=True)))


def _orders(targets: list[str], rng: np.random.Generator) -> Iterator[list[str]]:
    while True:
        yield [targets[int(i)] for i in rng.permutation(len(targets))]
