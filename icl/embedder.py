"""Texts to vectors with the evaluated model, each distinct text once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.engine.types import Engine, silent
from tasks.errors import IclError


class Embedder:
    """Mean of the last hidden states over a text's tokens; remembers what it has computed."""

    def __init__(self, engine: Engine, tokenizer: Any, window: int) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.window = window
        """Longest sequence of the model, in tokens."""
        self.known: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, hidden size). A text without tokens is embedded as the tokenizer's end token.

        Raises IclError for a text that is longer than the model's window: a part of it would be another text.
        """
        fresh = list(dict.fromkeys(text for text in texts if text not in self.known))
        if fresh:
            ids = self.tokenizer(fresh, add_special_tokens=True)["input_ids"]
            if (longest := max(map(len, ids))) > self.window:
                text = fresh[max(range(len(ids)), key=lambda i: len(ids[i]))]
                raise IclError(
                    f"a text must fit the model's window of {self.window} tokens to be embedded, but one has {longest}: {text[:60]!r}…; "
                    "use --selector bm25 or random, or shorten the text"
                )
            empty = [self.tokenizer.eos_token_id or 0]
            self.known.update(zip(fresh, self.engine.embed([row or empty for row in ids], silent), strict=True))
        return np.stack([self.known[text] for text in texts])
