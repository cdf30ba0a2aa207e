"""Which queries of one draw a run answers correctly."""

from __future__ import annotations

from icl.results import episode_scores, outcome
from icl.runs.store import Run


def correct_answers(run: Run, calibration: str, episode: str) -> dict[str, bool]:
    """Query → whether it is answered correctly in that draw. For runs that choose among candidates."""
    tables = ([r for r in run.table(name) if r["episode"] == episode] for name in ("predictions", "content_free", "neighbours"))
    predictions, free, near = tables
    (scores,) = episode_scores(predictions, free, run.facts["labels"], run.resolved.spec.normalise, near)
    answered = outcome(scores, calibration)
    return dict(zip(answered.query_ids, (bool(value) for value in answered.correct), strict=True))
