"""Texts to vectors with the evaluated model, each distinct text once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.engine.types import Engine, silent


class Embedder:
    """Mean of the last hidden states over a text's tokens; remembers what it has computed."""

    def __init__(self, engine: Engine, tokenizer: Any) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.known: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, hidden size). A text without tokens is embedded as the tokenizer's end token."""
        fresh = list(dict.fromkeys(text for text in texts if text not in self.known))
        if fresh:
            ids = self.tokenizer(fresh, add_special_tokens=True)["input_ids"]
            empty = [self.tokenizer.eos_token_id or 0]
            self.known.update(zip(fresh, self.engine.embed([row or empty for row in ids], silent), strict=True))
        return np.stack([self.known[text] for text in texts])
