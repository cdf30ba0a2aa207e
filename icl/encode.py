"""Texts to token ids, exactly as the tokenizer splits whole strings, without splitting a shared beginning again and again.

A thousand prompts after the same demonstrations differ in their last line only, and a tokenizer takes 0.6 ms for each thousand tokens. So
a beginning that texts share is split once, *where a cut is proven not to change a token*. That holds between an ASCII letter or digit and
a line feed, for byte-pair models whose pre-tokeniser is one of the known expressions (GPT-2's, Llama 3's, Qwen 2's): a run of letters or
digits ends at a line feed whatever follows, none of them looks behind, and merges never cross a pre-token. (A cut *after* the line feed
would not do: "…\\n\\n" at the end of a piece is one token, before a word it is two.) Added tokens that hold a line feed or swallow white
space rule cuts out. Any other tokenizer sees whole strings. Each cut is compared once with the whole string before it is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Encoding = tuple[list[int], list[int]]
"""Token ids, and for each token the character at which it ends."""

SAFE_CUT = re.compile(r"[A-Za-z0-9](?=\n)")
LEAST = 200
"""Characters of a shared beginning that are worth a cut."""

_TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
KNOWN_SPLITS = frozenset(
    {
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _TAIL,
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _TAIL,
    }
)
"""Pre-tokenising expressions for which a cut at SAFE_CUT changes nothing."""


class Encoder:
    """One tokenizer's whole-string encodings. What it gives never depends on what it was asked before; only its speed does."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.cuts = cut_is_safe(tokenizer)
        self._head = ""
        """The shared beginning under way; empty when there is none."""
        self._head_encoding: Encoding = ([], [])
        self._special = True
        """Whether the head was encoded with the tokenizer's own special tokens."""
        self._previous = ""

    def __call__(self, texts: Sequence[str], add_special_tokens: bool) -> list[Encoding]:
        """One encoding per text, by the tokenizer's own convention for beginning tokens, and without anything behind the text."""
        if not self.cuts:
            return self._whole(texts, add_special_tokens)
        if not self._usable(texts, add_special_tokens):
            self._find_head(texts[0], add_special_tokens)
        if not self._usable(texts, add_special_tokens):
            self._previous = texts[0]
            return self._whole(texts, add_special_tokens)
        ids, ends = self._head_encoding
        at = len(self._head)
        tails = self._whole([text[at:] for text in texts], False)
        return [(ids + tail, ends + [at + end for end in tail_ends]) for tail, tail_ends in tails]

    def _usable(self, texts: Sequence[str], special: bool) -> bool:
        # The cut is in front of a line feed, so what follows the head must begin with one.
        return bool(self._head) and self._special == special and all(text.startswith(self._head + "\n") for text in texts)

    def _find_head(self, text: str, special: bool) -> None:
        """Looks for a cut in what this text shares with the one before it, and tries it."""
        self._head = ""
        shared = _common_length(self._previous, text)
        places = [match.end() for match in SAFE_CUT.finditer(text, 0, shared)]
        if not places or places[-1] < LEAST:
            return
        head, tail = text[: places[-1]], text[places[-1] :]
        (ids, ends), whole = self._whole([head, text], special)
        (tail_ids, _) = self._whole([tail], False)[0]
        if ids + tail_ids != whole[0]:
            self.cuts = False  # not what the expressions promise: never cut again
            return
        self._head, self._head_encoding, self._special = head, (ids, ends), special

    def _whole(self, texts: Sequence[str], special: bool) -> list[Encoding]:
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=special,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_attention_mask=False,
        )
        columns = (encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"])
        return [self._own_convention(*of) for of in zip(*columns, strict=True)]

    def _own_convention(self, ids: Sequence[int], offsets: Sequence[tuple[int, int]], special: Sequence[int]) -> Encoding:
        """Drops a doubled beginning token and every special token that the tokenizer puts behind the text."""
        stop = len(ids)
        while stop and special[stop - 1] and offsets[stop - 1][0] == offsets[stop - 1][1]:
            stop -= 1
        start = 1 if stop > 1 and ids[0] == ids[1] == self.tokenizer.bos_token_id else 0
        return list(ids[start:stop]), [end for _, end in offsets[start:stop]]


def cut_is_safe(tokenizer: Any) -> bool:
    """Whether the tokenizer is of a kind for which a cut at SAFE_CUT is proven to change nothing."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return False
    facts = json.loads(backend.to_str())
    if facts["model"].get("type") != "BPE" or facts["model"].get("dropout"):
        return False
    if facts.get("normalizer") is not None and facts["normalizer"].get("type") != "NFC":
        return False
    if any("\n" in token["content"] or token["lstrip"] or token["rstrip"] for token in facts.get("added_tokens") or []):
        return False
    steps = facts.get("pre_tokenizer") or {}
    listed = steps.get("pretokenizers", []) if steps.get("type") == "Sequence" else [steps]
    return any(map(_splits, listed)) and all(_splits(step) or _harmless(step) for step in listed)


def _splits(step: Mapping[str, Any]) -> bool:
    """A step that cuts words by a known expression, so that merges cannot cross a SAFE_CUT."""
    if step.get("type") == "ByteLevel":
        return bool(step.get("use_regex", True)) and not step.get("add_prefix_space")
    pattern = (step.get("pattern") or {}).get("Regex")
    return step.get("type") == "Split" and pattern in KNOWN_SPLITS and step.get("behavior") == "Isolated" and not step.get("invert")


def _harmless(step: Mapping[str, Any]) -> bool:
    return step.get("type") == "Digits" or (step.get("type") == "ByteLevel" and not step.get("add_prefix_space"))


def _common_length(a: str, b: str) -> int:
    """Length of the common prefix, by halving: comparing slices is much faster than a loop over characters."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
