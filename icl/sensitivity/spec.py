"""SensitivitySpec: everything that decides a sensitivity report. Its hash names the run."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from icl.spec import ResolvedSpec, RunSpec
from tasks.errors import IclError, unknown_name

PROTOCOL = 1
"""Raise it with every change of draws, formats or statistics that changes results under an unchanged spec."""

SELECTORS = ("random", "balanced")
"""Those that draw: the others choose, and choose the same every time."""

MOST_DRAWS = 1_000
"""Every draw meets every wording; more would take days, and all are drawn before the work is told."""

PLAIN = {"order": "given", "labels": "true", "overflow": "error", "chat": False}
"""What an evaluation can do otherwise, and a report that varies prompts itself cannot."""


@dataclass(frozen=True)
class SensitivitySpec:
    """What varies, and the evaluation that it varies."""

    run: RunSpec
    """Task, model, shots, the fixed queries and so on; its template is the one whose formats are searched."""
    draws: int = 6
    orders: int = 2
    """Of each draw, the order in which it was drawn among them."""
    templates: tuple[str, ...] = ()
    """Names of the library or files; empty means those of the library that serve the task, at most `MOST_TEMPLATES`."""
    formats: int = 2
    """Of each template, its own among them."""
    words: tuple[str, ...] = ()
    """Sets of label words, see icl/sensitivity/words.py; empty means up to two that serve every template."""
    budget: int = 800
    """Prompts (a format x a query) that the search for the best and the worst format may score; 0 means no search."""

    def __post_init__(self) -> None:
        run = self.run
        if self.draws < 2:
            raise IclError(f"draws >= 2 must hold, since one draw cannot vary, but got {self.draws}")
        if self.draws > MOST_DRAWS:
            raise IclError(f"draws <= {MOST_DRAWS:,} must hold, but got {self.draws}; ask for fewer")
        for name in ("orders", "formats"):
            if getattr(self, name) < 1:
                raise IclError(f"{name} >= 1 must hold, but got {getattr(self, name)}")
        if self.budget < 0:
            raise IclError(f"budget >= 0 must hold (0: no search of formats), but got {self.budget}")
        if run.shots < 1:
            raise IclError(f"shots >= 1 must hold, since without demonstrations there is no draw to vary, but got {run.shots}")
        if self.orders > math.factorial(min(run.shots, 10)):
            raise IclError(f"{run.shots} shots have {math.factorial(run.shots)} orders, but --orders {self.orders} were asked for")
        for name, plain in PLAIN.items():
            if getattr(run, name) != plain:
                raise IclError(f"a sensitivity report needs {name} = {plain}, but got {getattr(run, name)}; leave it out")
        if run.selector not in SELECTORS:
            raise unknown_name("selector that draws", run.selector, SELECTORS)
        if run.queries is not None and run.queries < 4:
            raise IclError(f"queries >= 4 must hold, but got {run.queries}")
        if "channel" in run.calibration and (self.formats > 1 or self.budget):
            raise IclError(
                "calibration 'channel' turns prompts round, which not every rewritten format allows; use --formats 1 --budget 0, "
                "or leave it out"
            )
        for name in ("templates", "words"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise IclError(f"--{name} must name each once, but they are {', '.join(values)}")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "run": self.run.to_json(), "templates": list(self.templates), "words": list(self.words)}


@dataclass(frozen=True)
class ResolvedSensitivity:
    """A spec with every default filled in, and the contents of what it names."""

    spec: SensitivitySpec
    run: ResolvedSpec
    wordings_sha256: tuple[str, ...]
    """Of every wording's template file, in the design's order."""
    protocol: int = field(default=PROTOCOL)

    def to_json(self) -> dict[str, Any]:
        """As `spec.json` holds it."""
        return {
            "kind": "sensitivity",
            "spec": self.spec.to_json(),
            "resolved_run": self.run.to_json(),
            "wordings_sha256": list(self.wordings_sha256),
            "protocol": self.protocol,
        }

    def hash(self) -> str:
        """sha256 over what was resolved; names of files stand for their contents."""
        values = {
            "run": self.run.hash(),
            "wordings": self.wordings_sha256,
            "design": [self.spec.draws, self.spec.orders, self.spec.formats, len(self.spec.templates), list(self.spec.words)],
            "budget": self.spec.budget,
            "protocol": self.protocol,
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8")).hexdigest()
