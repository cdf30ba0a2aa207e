"""A file of learners' settings: `lora: {rank: 8, lr: 0.001, steps: 20}`. `icl tune` writes one, `icl compare --settings` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from compare.learners.given import settings_of
from tasks.cardfile import locate
from tasks.cardyaml import parse, read_text
from tasks.errors import IclError

SETTINGS = "settings.yaml"
"""Its name in the directory of a comparison that was given one."""
WHAT = "a file of settings"


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """Learner → settings. Raises IclError, `FILE:LINE: …`, for an unknown learner, name or value."""
    root, values = parse(path, read_text(path, WHAT), WHAT)
    for learner, of in values.items():
        try:
            if not isinstance(of, dict):
                raise IclError(f"{learner} must be a mapping of names to values, as in '{learner}: {{lr: 0.001}}'")
            settings_of(learner, of)
        except IclError as error:
            raise IclError(f"{path}:{locate(root, (learner,))[0]}: {error}") from None
    if not values:
        raise IclError(f"{path} must hold the settings of a learner, but is empty")
    return values


def write_settings(directory: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Nothing where none are given."""
    if settings:
        (directory / SETTINGS).write_text(settings_text(settings), encoding="utf-8", newline="\n")


def settings_text(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """The file's text."""
    return str(yaml.safe_dump({learner: dict(of) for learner, of in settings.items()}, sort_keys=False, allow_unicode=True))
