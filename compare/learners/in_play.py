"""Prompts of an episode: those of its task, with only the labels in play. A template that lists the labels must not list the others."""

from __future__ import annotations

from collections.abc import Mapping

from compare.types import Support
from prompts import PromptBuilder
from tasks.types import with_labels


def builder_in_play(builders: Mapping[str, PromptBuilder], support: Support) -> PromptBuilder:
    """The task's own builder where all labels are in play."""
    builder = builders[support.task]
    if support.labels == builder.task.labels:
        return builder
    return PromptBuilder(builder.template, with_labels(builder.task, support.labels))
