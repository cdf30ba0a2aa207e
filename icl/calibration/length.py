"""Length normalisation: a candidate's log-probability by the token or by the byte, before anything else is done with it.

s(y) = log p(y | x, C) / |y|. A sum over tokens punishes long candidates; the mean per token does not, but depends on how the tokenizer
cuts words, and the mean per byte does not (Gao 2021, on multiple choice). Bytes are those of the scored characters in UTF-8, the leading
space included. Content-free scores are divided alike, since a prior is compared with what it is taken from.
"""

from __future__ import annotations

from collections.abc import Callable

LENGTHS: dict[str, Callable[[int, str], int]] = {
    "none": lambda tokens, text: 1,
    "token": lambda tokens, text: tokens,
    "byte": lambda tokens, text: len(text.encode("utf-8")),
}
"""Name → length of a scored span, from its tokens and its characters."""
