"""How many outer steps the budget of a meta-training bought, where the language model itself was meta-trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compare.learners.lm_meta import BUDGET, ModelLearner
from compare.results import Result


def bought(results: Sequence[Result]) -> dict[str, Any]:
    """Learner → K → outer steps, and what they could take; empty where none did."""
    steps: dict[str, dict[str, int]] = {}
    for result in results:
        if isinstance(learner := result.chosen.learner, ModelLearner):
            steps.setdefault(result.learner, {})[str(result.k_shot)] = learner.meta_steps
    return {"flops": BUDGET, "steps": steps} if steps else {}
