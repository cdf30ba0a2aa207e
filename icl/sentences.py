"""Texts to vectors with a sentence-transformers model, for retrieval by another model than the one that is evaluated.

An extra (`pip install 'icl-lab[sentences]'`). The model brings its own tokenizer, pooling and longest text, at which it cuts, as it does
wherever it is used. Vectors are kept in the score store, by the model's fingerprint and the text.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.cost import Clock
from icl.engine.store import ScoreStore
from icl.models import ModelSource
from icl.models.load import explained
from tasks.errors import IclError


def check_installed() -> None:
    """Raises IclError where sentence-transformers is not installed."""
    if importlib.util.find_spec("sentence_transformers") is None:
        raise IclError("--embedder needs the package sentence-transformers: pip install 'icl-lab[sentences]', or leave --embedder out")


class SentenceEmbedder:
    """Loaded when the first text is not known yet."""

    def __init__(self, source: ModelSource, device: str, store: ScoreStore, clock: Clock, *, fresh: bool = False) -> None:
        self.source, self.device, self.store, self.clock = source, device, store, clock
        self.fresh = fresh
        """Whether everything is computed again, whatever the store holds."""
        self._model: Any = None
        self._known: dict[bytes, bytes] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, width), float32."""
        keys = [self._key(text) for text in texts]
        by_key = dict(zip(keys, texts, strict=True))
        with self.clock.phase("store"):
            if not self.fresh:
                self._known.update(self.store.get([key for key in by_key if key not in self._known]))
        missing = [key for key in by_key if key not in self._known]
        if missing:
            with self.clock.phase("embed"):
                vectors = self._compute([by_key[key] for key in missing])
            fresh = {key: vector.tobytes() for key, vector in zip(missing, vectors, strict=True)}
            with self.clock.phase("store"):
                self.store.put(fresh.items(), replace=self.fresh)
            self._known.update(fresh)
        return np.stack([np.frombuffer(self._known[key], dtype=np.float32) for key in keys])

    def _compute(self, texts: list[str]) -> NDArray[np.float32]:
        if self._model is None:
            from sentence_transformers import SentenceTransformer

            permissions = self.source.permissions
            with explained(f"--embedder {self.source.name} cannot be loaded"):
                self._model = SentenceTransformer(
                    str(self.source.path), device=self.device, local_files_only=True, trust_remote_code=permissions.trust_remote_code,
                    model_kwargs={} if permissions.allow_pickle else {"use_safetensors": True},
                )  # fmt: skip
        vectors = np.asarray(self._model.encode(texts, show_progress_bar=False, convert_to_numpy=True), dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise IclError(f"embeddings must be finite numbers, but those of --embedder {self.source.name} are not")
        return vectors

    def _key(self, text: str) -> bytes:
        identity = f"sentences\x1f{_version()}\x1f{self.source.fingerprint}\x1f{self.device.partition(':')[0]}\x1f"
        return hashlib.sha256(identity.encode() + text.encode("utf-8")).digest()


def _version() -> str:
    from icl.environment import version

    return f"{version('sentence-transformers')} {version('torch')} {version('transformers')}"
