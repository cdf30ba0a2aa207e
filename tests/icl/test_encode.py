"""Cutting a shared beginning off before tokenising never changes a token, for the tokenizers for which it is done at all."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers

from icl.encode import KNOWN_SPLITS, Encoder, cut_is_safe

PIECE = st.text(st.sampled_from("ab Z7'0 .,!?:;\n\n\t\r-é喜🙂\u0301ñ’<s>/"), max_size=30)


def variants(tokenizer: Any) -> list[Any]:
    """The tiny tokenizer with every pre-tokeniser for which cuts are made."""
    chains = [pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])]
    for split in sorted(KNOWN_SPLITS):
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        chains.append(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"), byte_level]))
    out = [tokenizer]
    for chain in chains:
        made = copy.deepcopy(tokenizer)
        made.backend_tokenizer.pre_tokenizer = chain
        out.append(made)
    out[-1].backend_tokenizer.normalizer = normalizers.NFC()
    return out


@settings(max_examples=150, deadline=None)
@given(head=st.lists(PIECE, min_size=4, max_size=12), tails=st.lists(PIECE, min_size=2, max_size=5))
def test_encodings_are_those_of_the_whole_strings(tiny_tokenizer: Any, head: list[str], tails: list[str]) -> None:
    shared = "\n\n".join(f"Text: {piece}\nLabel: good" for piece in head) * 3
    for tokenizer in variants(tiny_tokenizer):
        encoder, plain = Encoder(tokenizer), Encoder(tokenizer)
        plain.cuts = False
        assert encoder.cuts
        for tail in tails:
            texts = [f"{shared}\n\nText: {tail}", f"{shared}\n\nText: {tail}\nLabel: bad"]
            assert encoder(texts, True) == plain(texts, True)


def test_a_shared_beginning_is_split_once(tiny_tokenizer: Any) -> None:
    seen: list[int] = []

    class Counting:
        backend_tokenizer, bos_token_id = tiny_tokenizer.backend_tokenizer, tiny_tokenizer.bos_token_id

        def __call__(self, texts: list[str], **options: Any) -> Any:
            seen.append(sum(map(len, texts)))
            return tiny_tokenizer(texts, **options)

    encoder = Encoder(Counting())
    head = "Text: a film\nLabel: good\n\n" * 40
    for tail in "abcdefgh":
        encoder([head + tail], True)
    assert max(seen[3:]) < 50
    assert sum(seen) < 5 * len(head)


def test_only_known_kinds_of_tokenizer_are_cut(tiny_tokenizer: Any) -> None:
    assert cut_is_safe(tiny_tokenizer)

    def changed(**parts: Any) -> Any:
        made = copy.deepcopy(tiny_tokenizer)
        for name, part in parts.items():
            setattr(made.backend_tokenizer, name, part)
        return made

    assert not cut_is_safe(changed(pre_tokenizer=pre_tokenizers.Metaspace()))
    assert not cut_is_safe(changed(pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True)))
    assert not cut_is_safe(changed(pre_tokenizer=pre_tokenizers.Split(Regex(r"\n+\w"), "isolated")))
    assert not cut_is_safe(changed(normalizer=normalizers.Strip()))
    greedy = copy.deepcopy(tiny_tokenizer)
    greedy.backend_tokenizer.add_tokens([AddedToken("e\nT")])
    assert not cut_is_safe(greedy)
    assert not cut_is_safe(object())


def test_a_cut_that_changes_a_token_is_never_used(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the proof not hold for some tokenizer after all, the comparison with the whole string shows it."""
    merging = copy.deepcopy(tiny_tokenizer)
    merging.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    merging.backend_tokenizer.add_tokens([AddedToken("d\n")])
    monkeypatch.setattr("icl.encode.cut_is_safe", lambda tokenizer: True)
    encoder, plain = Encoder(merging), Encoder(merging)
    plain.cuts = False
    head = "Label: good\n" * 40
    for tail in "abc":
        assert encoder([head + tail], True) == plain([head + tail], True)
    assert not encoder.cuts
