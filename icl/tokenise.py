"""Prompts to token ids, whole strings at a time.

The answer boundary: pieces tokenised apart give other tokens than the whole text (two line feeds at the end of a piece are one token,
before a word they may be two), so the whole prompt is tokenised for every candidate and the scored span is found by character
offsets: it begins with the first token that reaches beyond the span's first character. The leading space of an answer therefore
belongs to it, and a token that merges across the boundary is scored as a part of the answer.

Beginning-of-sequence tokens follow each tokenizer's own convention: the tokenizer adds what it adds to a plain text, nothing is added
to a text that a chat template wrote, and one that would stand twice stands once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icl.engine.types import ScoreRequest
from prompts.types import Prompt
from tasks.errors import IclError


def tokenise(tokenizer: Any, prompts: Sequence[Prompt]) -> list[ScoreRequest]:
    """One request per prompt. Raises IclError when an answer has no token, or nothing stands before it."""
    if not prompts:
        return []
    encoded = tokenizer(
        [p.text for p in prompts],
        add_special_tokens=prompts[0].add_special_tokens,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
    )
    return [
        _request(tokenizer, prompt, ids, offsets, special)
        for prompt, ids, offsets, special in zip(
            prompts, encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True
        )
    ]


def tokenise_open(tokenizer: Any, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Token ids of prompts after which the model writes: without what the tokenizer would put behind a text."""
    if not prompts:
        return []
    encoded = tokenizer(
        [p.text for p in prompts],
        add_special_tokens=prompts[0].add_special_tokens,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
    )
    out = []
    for ids, offsets, special in zip(encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True):
        ids, offsets = _own_convention(tokenizer, list(ids), list(offsets), list(special))
        if not ids:
            raise IclError("a prompt must have at least one token, but this one is empty: give the template an instruction or a query")
        out.append(ids)
    return out


def _request(tokenizer: Any, prompt: Prompt, ids: Any, offsets: Any, special: Any) -> ScoreRequest:
    ids, offsets = _own_convention(tokenizer, list(ids), list(offsets), list(special))
    start = prompt.span[0]
    scored_from = next((i for i, (_, end) in enumerate(offsets) if end > start), len(ids))
    where = f"query '{prompt.query_id}', candidate '{prompt.candidate}'"
    if scored_from == len(ids):
        raise IclError(f"{where}: an answer must have at least one token, but '{prompt.text[start:]}' has none")
    if scored_from == 0:
        raise IclError(f"{where}: something must stand before an answer, but the prompt begins with it; give the template some text")
    return ScoreRequest(tuple(ids), scored_from)


def _own_convention(tokenizer: Any, ids: list[int], offsets: list[Any], special: list[int]) -> tuple[list[int], list[Any]]:
    """Drops a doubled beginning token and every special token that the tokenizer puts behind the text."""
    while ids and special[-1] and offsets[-1][0] == offsets[-1][1]:
        ids, offsets, special = ids[:-1], offsets[:-1], special[:-1]
    if len(ids) > 1 and ids[0] == ids[1] == tokenizer.bos_token_id:
        ids, offsets = ids[1:], offsets[1:]
    return ids, offsets
