"""Greedy answers through the model's own `generate`, one prompt at a time: for models that the tree does not serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from icl.engine.types import Progress
from tasks.errors import IclError

if TYPE_CHECKING:
    from icl.engine.hf import HFEngine


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer, by the model's generation settings, its configuration and its tokenizer."""
    settings = getattr(model, "generation_config", None)
    ends = settings.eos_token_id if settings is not None else None
    if ends is None:
        ends = model.config.get_text_config(decoder=True).eos_token_id
    found = {*ends} if isinstance(ends, list | tuple) else {ends}
    return frozenset(token for token in (*found, getattr(tokenizer, "eos_token_id", None)) if token is not None)


def plain_greedy(model: Any, ends: frozenset[int]) -> None:
    """Sets aside what a model's author recommends for writing (penalties, beams, sampling): an answer is the likeliest token each time."""
    from transformers import GenerationConfig

    pad = min(ends, default=0)
    model.generation_config = GenerationConfig(do_sample=False, num_beams=1, eos_token_id=sorted(ends) or None, pad_token_id=pad)


def generate_singly(
    engine: HFEngine, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Sequence[str], progress: Progress
) -> list[str]:
    """See Engine.generate. Raises IclError when a token's scores are not finite."""
    out: list[str] = []
    for prompt in prompts:
        ids = torch.as_tensor([list(prompt)], device=engine.device)
        made = engine.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_new_tokens, stop_strings=list(stop) or None,
            tokenizer=engine.tokenizer, return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip
        check_finite(torch.cat(made.logits))
        written = made.sequences[0, ids.shape[1] :].tolist()
        out.append(cut(text_of(engine, written), stop)[0])
        computed = ids.shape[1] + max(len(written) - 1, 0)
        engine.work.tokens_unique += computed
        engine.work.tokens_total += computed
        engine.work.scored_rows += len(written)
        engine.work.attended += computed * (computed + 1) // 2
        progress(computed, 0)
    return out


def check_finite(scores: torch.Tensor) -> None:
    """Raises IclError unless the largest score of every row is a finite number (the maximum of a row with a NaN is NaN)."""
    if not torch.isfinite(scores.amax(-1)).all():
        raise IclError("answers need finite scores, but the model's overflow in this dtype: try --dtype float32")


def cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text before its first stop string, and whether there was one."""
    positions = [at for at in (text.find(s) for s in stop if s) if at >= 0]
    return (text[: min(positions)], True) if positions else (text, False)


def text_of(engine: HFEngine, tokens: Sequence[int]) -> str:
    """Written tokens as text, special ones left out."""
    return str(engine.tokenizer.decode(list(tokens), skip_special_tokens=True))
