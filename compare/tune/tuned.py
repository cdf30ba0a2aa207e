"""The files that a tuning leaves for other commands: the prompt for `icl evaluate --spec`, settings for `icl compare --settings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from compare.learners.given import filled_in
from compare.settingsfile import settings_text
from compare.tune.prepare import Prepared
from compare.tune.prompts import run_spec
from compare.tune.types import IN_CONTEXT, Settings
from icl.runs.files import writing
from icl.spec import RunSpec
from icl.specfile import options_text

PROMPT = "tuned-prompt.yaml"
LEARNERS = "tuned-learners.yaml"


def tuned_run(prepared: Prepared, settings: Settings) -> RunSpec:
    """The run that tests the best prompt: on the test split, from support sets as large as the search had."""
    spec = prepared.spec
    pool = None if spec.k_shot is None else spec.k_shot * max(1, len(prepared.task.labels))
    run = run_spec(prepared.run_spec, settings)
    return replace(run, episodes=spec.test_episodes, queries=spec.test_queries, split="test", pool=pool)


def write_tuned(directory: Path, prepared: Prepared, best: Mapping[str, Settings]) -> None:
    """`best`: method → its whole setting."""
    found = {}
    if IN_CONTEXT in best:
        asked = prepared.asked
        run = tuned_run(prepared, best[IN_CONTEXT])
        found[PROMPT] = options_text(replace(run, dtype=asked.dtype, device=asked.device, batch_tokens=asked.batch_tokens))
    if learners := {method: dict(of) for method, of in best.items() if method != IN_CONTEXT}:
        found[LEARNERS] = settings_text(filled_in(learners))
    with writing(directory):
        for name, text in found.items():
            (directory / name).write_text(text, encoding="utf-8", newline="\n")
