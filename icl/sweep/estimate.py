"""How much work a sweep is, before any of it is done: prompts counted exactly, tokens from the lengths of a few examples.

The tokens are those of the token tree (what prompts share counts once), at most: scores that the store holds are not computed again, and
what selectors ask of the model is not counted. Seconds are told where finished runs of the same model on the same device show a speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from icl.ablation import written_as
from icl.anchors import ANCHORS, LEAST_PER_LABEL
from icl.calibration import get_calibrator
from icl.models import load_tokenizer
from icl.ordering import make_order
from icl.plan import CONTENT_FREE, DOMAIN_TEXTS
from icl.prepare import Prepared
from icl.report.facts import scaled, seconds
from icl.runs import list_runs
from icl.selection import Means, make_selector
from icl.session import PART_OF
from icl.shared import Shared
from icl.sweep.plan import Plan
from prompts import PromptBuilder
from tasks import IclError

SAMPLE = 20
"""Examples whose lengths stand for all."""
RECENT = 50
"""Newest runs that are asked for a speed."""
FREE = {"content_free": len(CONTENT_FREE), "domain": DOMAIN_TEXTS, "premise": 1}
"""Part → inputs without a query that are asked under each context; anchors come from the pool and are counted apart."""


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of the parts of a prompt."""

    instruction: float
    demonstration: float
    query: float
    answer: float


@dataclass(frozen=True)
class Estimate:
    """Of what is still to be made."""

    cells: int
    repeated: int
    runs: int
    finished: int
    unable: int
    prompts: int
    tokens: float
    seconds: float | None
    """None where no finished run shows a speed."""

    def said(self) -> str:
        """In a sentence or two."""
        waiting = self.runs - self.finished - self.unable
        cells, runs = (f"{n:,} {word}{'' if n == 1 else 's'}" for n, word in ((self.cells, "cell"), (self.runs, "run")))
        parts = [f"{cells} in {runs} ({self.finished:,} finished, {waiting:,} to make"]
        parts.append(f", {self.unable:,} cannot be made)" if self.unable else ")")
        if self.repeated:
            parts.append(f"; {self.repeated:,} that stand twice are made once")
        if waiting:
            parts.append(f"; at most {self.prompts:,} prompts, about {scaled(self.tokens)} tokens to compute")
            parts.append(f", {seconds(self.seconds)} at the speed of earlier runs" if self.seconds is not None else "")
        return "".join(parts)


def estimate(plan: Plan, out: Path, shared: Shared) -> Estimate:
    """The work of all runs that are waiting."""
    work = [_work(run.prepared, shared) for run in plan.waiting if run.prepared]
    speeds = _speeds(out) if work else {}
    took = [speeds.get(key) for key, _, _ in work]
    known = [tokens / speed for (_, _, tokens), speed in zip(work, took, strict=True) if speed]
    return Estimate(
        cells=len(plan.sweep.cells),
        repeated=plan.sweep.repeated,
        runs=len(plan.runs),
        finished=sum(run.finished for run in plan.runs),
        unable=sum(run.prepared is None for run in plan.runs),
        prompts=sum(prompts for _, prompts, _ in work),
        tokens=sum(tokens for _, _, tokens in work),
        seconds=sum(known) if known and len(known) == len(work) else None,
    )


def _work(prepared: Prepared, shared: Shared) -> tuple[tuple[str, str, str], int, float]:
    """What decides the speed; prompts; tokens."""
    spec = prepared.resolved.spec
    key = ("lengths", prepared.task.fingerprint, prepared.template.sha256, prepared.source, spec.labels)
    of = shared.once(key, lambda: _lengths(prepared, shared))
    means = Means(cast(Any, None), cast(Any, None))  # only asked whether every query has a context of its own
    per_query = make_selector(spec.selector, means).per_query or make_order(spec.order, means).per_query
    parts = {PART_OF[needs] for name in spec.calibration if (needs := get_calibrator(name).needs)}
    prompts, tokens = 0, 0.0
    for support, queries in prepared.pairs:
        candidates, anchors = len(prepared.labels) or max(1, len(queries[0].choices)), _anchors(prepared, support)
        contexts = len(queries) if per_query else 1
        context = contexts * (of.instruction + spec.shots * of.demonstration)
        free = sum(FREE.get(part, 0) for part in parts) + ("estimation" in parts) * anchors
        items = len(queries) + free * contexts
        prompts += items * candidates
        tokens += context + items * (of.query + candidates * of.answer)
        if "anchor" in parts:  # read up to the answer, and the queries with them
            read = len(queries) + anchors * contexts
            prompts += read
            tokens += read * of.query
        if "channel" in parts:  # the context turned round, and every input after every label
            prompts += len(queries) * candidates
            tokens += context + len(queries) * candidates * (of.query + of.answer)
    return (prepared.source.fingerprint, spec.dtype, spec.device), prompts, tokens


def _anchors(prepared: Prepared, support: Sequence[Any]) -> int:
    """Examples of the pool that are asked under a context, at most."""
    return min(len(support) - prepared.resolved.spec.shots, max(ANCHORS, LEAST_PER_LABEL * len(prepared.labels)))


def _lengths(prepared: Prepared, shared: Shared) -> Lengths:
    tokenizer = shared.once(("tokenizer", prepared.source), lambda: load_tokenizer(prepared.source))
    builder = PromptBuilder(*written_as(prepared.resolved.spec.labels, prepared.template, prepared.task))
    shown = list(islice(prepared.task.splits["demonstration"], SAMPLE))
    asked = [example.query() for example in prepared.pairs[0][1][:SAMPLE]]
    render, write = builder.renderer, builder.verbalizer.write

    def mean(texts: Sequence[str]) -> float:
        return float(np.mean([len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]))

    return Lengths(
        instruction=mean([render.instruction]),
        demonstration=mean([render.demonstration(example, write(example)) + render.separator for example in shown]),
        query=mean([render.query(query) for query in asked]),
        answer=mean([write(example) for example in shown]),
    )


def _speeds(out: Path) -> dict[tuple[str, str, str], float]:
    """Model, dtype and device → tokens per second of the newest run that computed something."""
    found: dict[tuple[str, str, str], float] = {}
    for run in reversed(list_runs(out)[-RECENT:]):
        try:
            resolved, cost = run.resolved, run.cost
        except IclError:
            continue  # a damaged run has no speed to tell
        spec, spent = resolved.spec, cost["seconds"].get("score", 0.0)
        if spent and cost["tokens_unique"]:
            found.setdefault((resolved.model_fingerprint, spec.dtype, spec.device), cost["tokens_unique"] / spent)
    return found
