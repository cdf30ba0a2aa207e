"""A model's tokenizer, as lint and preview of templates look at it: no weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from icl.encode import Encoder
from prompts.lint import Vocabulary


@dataclass(frozen=True)
class Reader:
    """What reads a prompt: the tokenizer itself, and what the rules may ask of it."""

    tokenizer: Any
    vocabulary: Vocabulary


def load_reader(model: str) -> Reader:
    """The tokenizer and window of a model. Raises IclError when the name means no model."""
    from icl.models import load_tokenizer, resolve_model
    from icl.models.load import load_config

    source = resolve_model(model)
    config = load_config(source)
    window = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    return make_reader(load_tokenizer(source), model, window)


def make_reader(tokenizer: Any, name: str, window: int | None) -> Reader:
    """The same from a tokenizer in memory."""

    def raw(text: str, special: bool) -> list[int]:
        return list(tokenizer(text, add_special_tokens=special)["input_ids"])

    bos = tokenizer.bos_token_id
    adds_bos = bos is not None and (raw("x", True)[:1] == [bos] or getattr(tokenizer, "add_bos_token", None) is True)
    return Reader(tokenizer, Vocabulary(name, Encoder(tokenizer), raw, int(window) if window else None, bos, adds_bos))
