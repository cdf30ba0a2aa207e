"""Answers and features of the model as it is, kept in the score store from one comparison to the next, with what computing them took.

The unit of answers is a call: all prompts of an episode at once. Its key is the sha256 of what decides its scores to the last bit (model,
dtype, device class, path, versions, --batch-tokens; every request), its value the seconds and the work of the computing, then the scores. A
comparison states the cost of computed work: so a call that is found is charged what it cost when it was computed, in FLOPs and in seconds,
and the ledger says apart how much of that was spared now. The unit of features is a text, so that comparisons which share rows share
their passes; a comparison that was killed finds its own. Models with adapted weights never come here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compare.learners.types import Ledger
from icl.cost import forward_flops
from icl.engine.store import Identity, ScoreStore
from icl.engine.types import Progress, ScoreRequest, Work
from icl.sentences import sentences_version

if TYPE_CHECKING:
    from icl.engine.hf import HFEngine
    from icl.models import ModelSource

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
            self.ledger.spare(float(values[0]), forward_flops(self.engine.model, Work(*(int(v) for v in values[1:HEAD]))))
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


@dataclass(frozen=True)
class KeptFeatures:
    """Vectors of whole texts (compare/features.py): seconds in float64, then the vector in float32."""

    store: ScoreStore
    identity: Identity
    ledger: Ledger
    fresh: bool = False
    """Whether everything is computed again; what is computed then takes the place of what was there."""

    def get(self, sequences: Sequence[Sequence[int]]) -> dict[tuple[int, ...], tuple[float, NDArray[np.float32]]]:
        """Token ids → seconds that the text took, and its vector; of those that are there."""
        if self.fresh:
            return {}
        keys = {self._key(sequence): tuple(sequence) for sequence in sequences}
        values = self.store.get(list(keys))
        return {keys[key]: (float(np.frombuffer(v, "<f8", 1)[0]), np.frombuffer(v, "<f4", offset=8)) for key, v in values.items()}

    def put(self, computed: Iterable[tuple[Sequence[int], float, NDArray[np.float32]]]) -> None:
        """Keeps token ids, seconds and vector of each; all of them or none."""
        items = [(self._key(ids), np.float64(seconds).tobytes() + row.astype("<f4").tobytes()) for ids, seconds, row in computed]
        self.store.put(items, replace=self.fresh)

    def _key(self, sequence: Sequence[int]) -> bytes:
        digest = hashlib.sha256(self.identity.digest())
        digest.update(b"feature\x1flast\x1f")
        digest.update(np.asarray(sequence, dtype="<i4").tobytes())
        return digest.digest()


def identity_of_sentences(source: ModelSource, dtype: str, environment: Mapping[str, Any]) -> Identity:
    """Of vectors that a sentence model makes."""
    device = environment["device_name"] if environment["device"].startswith("cuda") else "cpu"
    return Identity(source.fingerprint, dtype, device, "sentences", sentences_version())


def identity_of(source: ModelSource, engine: HFEngine, dtype: str, environment: Mapping[str, Any]) -> Identity:
    """As `icl evaluate` keeps scores apart. `environment`: see icl/environment.py."""
    packages = environment["packages"]
    device = environment["device_name"] if environment["device"].startswith("cuda") else "cpu"
    versions = f"engine {engine.VERSION}, torch {packages['torch']}, transformers {packages['transformers']}"
    return Identity(source.fingerprint, dtype, device, f"hf {engine.path}", versions)
