"""Prompts to token ids, whole strings at a time.

The answer boundary: pieces tokenised apart give other tokens than the whole text (two line feeds at the end of a piece are one token,
before a word they may be two), so the whole prompt is tokenised for every candidate and the scored span is found by character
offsets. All candidates of a query are scored from one token on: the first that reaches beyond the span's first character in *any* of
them, or the first in which they differ, whichever comes earlier. So the leading space of an answer belongs to it; and where the end of
the context merges with some answers and not with others, the merged characters are scored for all of them, since log-probabilities of
spans that begin at different tokens cannot be compared.

Beginning-of-sequence tokens follow each tokenizer's own convention: the tokenizer adds what it adds to a plain text, nothing is added
to a text that a chat template wrote, and one that would stand twice stands once.
"""

from __future__ import annotations

from collections.abc import Sequence

from icl.encode import Encoder
from icl.engine.types import ScoreRequest
from icl.tree import common_prefix
from prompts.types import Prompt
from tasks.errors import IclError


def tokenise(encoder: Encoder, prompts: Sequence[Prompt]) -> list[ScoreRequest]:
    """One request per candidate of one query, all scored from the same token on.

    The prompts share their context. Raises IclError when an answer has no token, or nothing stands before it.
    """
    if not prompts:
        return []
    encoded = encoder([p.text for p in prompts], prompts[0].add_special_tokens)
    starts = [_first_beyond(ends, prompt.span[0]) for (_, ends), prompt in zip(encoded, prompts, strict=True)]
    for prompt, (ids, _), start in zip(prompts, encoded, starts, strict=True):
        if start == len(ids):
            answer = prompt.answer
            raise IclError(f"{_where(prompt)}: an answer must have at least one token, but '{answer}' has none")
    scored_from = min(*starts, common_prefix([ids for ids, _ in encoded])) if len(prompts) > 1 else starts[0]
    if scored_from == 0:
        raise IclError(
            f"{_where(prompts[0])}: something must stand before an answer, but the prompt begins with it; give the template some text"
        )
    context = tuple(encoded[0][0][:scored_from])
    return [ScoreRequest(context, tuple(ids[scored_from:])) for ids, _ in encoded]


def tokenise_channel(encoder: Encoder, prompts: Sequence[Prompt]) -> list[ScoreRequest]:
    """One request per candidate of one query, whose input is scored after it: the same last tokens in all of them.

    Counted from the end, the span begins where the earliest of theirs does, or where their tokens begin to be the same: answers that merge
    with the beginning of the input leave different tokens there, and sums over different tokens cannot be compared.
    Raises IclError for an input without a token that all share.
    """
    encoded = encoder([p.text for p in prompts], prompts[0].add_special_tokens)
    longest = max(len(ids) - _first_beyond(ends, prompt.span[0]) for (ids, ends), prompt in zip(encoded, prompts, strict=True))
    count = min(longest, common_prefix([ids[::-1] for ids, _ in encoded])) if len(prompts) > 1 else longest
    if count == 0:
        raise IclError(f"{_where(prompts[0])}: channel scoring needs an input with a token of its own, but there is none")
    if any(count == len(ids) for ids, _ in encoded):
        raise IclError(f"{_where(prompts[0])}: channel scoring needs an answer before the input, but the prompt begins with the input")
    return [ScoreRequest.whole(ids, len(ids) - count) for ids, _ in encoded]


def tokenise_open(encoder: Encoder, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Token ids of prompts after which the model writes: without what the tokenizer would put behind a text."""
    if not prompts:
        return []
    out = [ids for ids, _ in encoder([p.text for p in prompts], prompts[0].add_special_tokens)]
    if not all(out):
        raise IclError("a prompt must have at least one token, but this one is empty: give the template an instruction or a query")
    return out


def _first_beyond(ends: Sequence[int], start: int) -> int:
    """The first token that reaches beyond that character; the number of tokens when none does. Ends never fall, so from the back."""
    first = len(ends)
    while first and ends[first - 1] > start:
        first -= 1
    return first


def _where(prompt: Prompt) -> str:
    return f"query '{prompt.query_id}', candidate '{prompt.candidate}'"
