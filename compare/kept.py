"""Answers of the model as it is, kept in the score store from one comparison to the next, with what computing them took.

The unit is a call: all prompts of an episode at once. Its key is the sha256 of what decides its scores to the last bit (model, dtype,
device class, path, versions, --batch-tokens; every request), its value the seconds and the work of the computing, then the scores. A
comparison states the cost of computed work: so a call that is found is charged what it cost when it was computed, in FLOPs and in seconds,
and the ledger says apart how much of that was spared now. Models with adapted weights never come here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compare.learners.types import Ledger
from icl.engine.store import Identity, ScoreStore
from icl.engine.types import Progress, ScoreRequest, Work

if TYPE_CHECKING:
    from icl.engine.hf import HFEngine

HEAD = 1 + len(fields(Work))
"""Numbers in front of the scores: seconds, then the fields of Work."""


@dataclass(frozen=True)
class KeptScores:
    """See the module's opening."""

    engine: HFEngine
    store: ScoreStore
    identity: Identity
    ledger: Ledger
    fresh: bool = False
    """Whether everything is computed again; what is computed then takes the place of what was there."""

    def score(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        """See Engine.score."""
        key = self._key(requests)
        found = {} if self.fresh else self.store.get([key])
        if key in found:
            values = np.frombuffer(found[key], dtype="<f8")
            self.ledger.spare(float(values[0]), Work(*(int(v) for v in values[1:HEAD])))
            return np.split(values[HEAD:], np.cumsum([len(r.answer) for r in requests])[:-1])
        before, start = replace(self.engine.work), time.perf_counter()
        scores = self.engine.score(requests, progress)
        seconds = time.perf_counter() - start
        work = (now - then for now, then in zip(astuple(self.engine.work), astuple(before), strict=True))
        values = np.concatenate([[seconds, *work], *scores]).astype("<f8")
        if np.isfinite(values).all():  # what is not finite is for the caller to see, never kept
            self.store.put([(key, values.tobytes())], replace=self.fresh)
        return scores

    def _key(self, requests: Sequence[ScoreRequest]) -> bytes:
        digest = hashlib.sha256(self.identity.digest())
        digest.update(f"call\x1f{self.engine.batch_tokens}\x1f".encode())
        for request in requests:
            digest.update(np.asarray([len(request), request.scored_from, *request.token_ids], dtype="<i4").tobytes())
        return digest.digest()
