"""Texts to vectors with a sentence-transformers model, instead of with the model that is evaluated.

An extra (`pip install 'icl-lab[sentences]'`). The model brings its own tokenizer, pooling and longest text, at which it cuts, as it does
wherever it is used. For retrieval, vectors are kept in the score store, by the model's fingerprint and the text; a comparison keeps them
as it keeps all features (compare/kept.py).
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.cost import Clock, forward_flops
from icl.engine.store import ScoreStore
from icl.engine.types import Work
from icl.models import ModelSource, resolve_model
from icl.models.load import explained, quiet_transformers
from tasks.errors import IclError

PARTS = "modules.json"
"""In the directory of every model that sentence-transformers saved; config.json may then lie in a part of it."""


def sentence_source(name: str, *, trust_remote_code: bool = False, allow_pickle: bool = False) -> ModelSource:
    """What `--embedder` names. Raises IclError where it is no model, or sentence-transformers is not installed."""
    if importlib.util.find_spec("sentence_transformers") is None:
        raise IclError("--embedder needs the package sentence-transformers: pip install 'icl-lab[sentences]', or leave --embedder out")
    return resolve_model(
        name, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle, option="--embedder", described_by=("config.json", PARTS)
    )


class SentenceModel:
    """Loaded when it is first asked."""

    def __init__(self, source: ModelSource, device: str, dtype: str = "float32") -> None:
        self.source, self.device, self.dtype = source, device, dtype

    @cached_property
    def _model(self) -> Any:
        import torch
        from sentence_transformers import SentenceTransformer

        quiet_transformers()
        permissions = self.source.permissions
        how = {"dtype": getattr(torch, self.dtype), **({} if permissions.allow_pickle else {"use_safetensors": True})}
        with explained(f"--embedder {self.source.name} cannot be loaded"):
            model = SentenceTransformer(
                str(self.source.path), device=self.device, local_files_only=True,
                trust_remote_code=permissions.trust_remote_code, model_kwargs=how,
            )  # fmt: skip
        if not (self.source.path / PARTS).is_file():  # a plain model, of which the mean is taken: texts stay as they are, without its chat
            model[0].modality_config.pop("message", None)
        return model

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, width), float32. Raises IclError for a vector that is not finite."""
        found = self._model.encode(list(texts), show_progress_bar=False, convert_to_numpy=True)
        vectors = np.asarray(found, dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise IclError(f"embeddings must be finite numbers, but those of --embedder {self.source.name} are not")
        return vectors

    def tokens(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Of each text, what the model reads: after its own cut."""
        return [self._ids(text) for text in texts]

    def _ids(self, text: str) -> tuple[int, ...]:
        prompt = self._model.prompts.get(self._model.default_prompt_name)  # which encode prepends
        read = self._model.preprocess([text], prompt=prompt)
        ids, mask = np.asarray(read["input_ids"]).ravel(), read.get("attention_mask")
        return tuple(int(i) for i in (ids if mask is None else ids[np.asarray(mask).ravel() == 1]))

    def flops(self, lengths: Sequence[int]) -> int:
        """Of one forward pass per text of so many tokens (icl/cost.py), counted as if all attended to all. 0 for a table of vectors."""
        work = Work(tokens_unique=sum(lengths), attended=sum(n * n for n in lengths))
        return 0 if self._model.transformers_model is None else forward_flops(self._model.transformers_model, work)


class SentenceEmbedder:
    """The vectors of a sentence model, each text once: what selectors and orders ask. The model is loaded for the first unknown text."""

    def __init__(self, source: ModelSource, device: str, store: ScoreStore, clock: Clock, *, fresh: bool = False) -> None:
        self.source, self.device, self.store, self.clock = source, device, store, clock
        self.fresh = fresh
        """Whether everything is computed again, whatever the store holds."""
        self._model = SentenceModel(source, device)
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
                vectors = self._model.encode([by_key[key] for key in missing])
            fresh = {key: vector.tobytes() for key, vector in zip(missing, vectors, strict=True)}
            with self.clock.phase("store"):
                self.store.put(fresh.items(), replace=self.fresh)
            self._known.update(fresh)
        return np.stack([np.frombuffer(self._known[key], dtype=np.float32) for key in keys])

    def _key(self, text: str) -> bytes:
        where = f"{self._model.dtype}\x1f{self.device.partition(':')[0]}"
        identity = f"sentences\x1f{sentences_version()}\x1f{self.source.fingerprint}\x1f{where}\x1f"
        return hashlib.sha256(identity.encode() + text.encode("utf-8")).digest()


def sentences_version() -> str:
    """Of the packages that decide a vector's last digits."""
    from icl.environment import version

    return f"{version('sentence-transformers')} {version('torch')} {version('transformers')}"
