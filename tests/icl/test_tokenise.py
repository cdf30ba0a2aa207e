"""The answer boundary, and each tokenizer's own convention for beginning-of-sequence tokens."""

from __future__ import annotations

from typing import Any

import pytest

from icl.encode import Encoder
from icl.tokenise import tokenise, tokenise_open
from prompts import Prompt
from tasks.errors import IclError


def prompt(context: str, answer: str, special: bool = True) -> Prompt:
    return Prompt("q", "c", context, answer, (), special)


def with_bos(tokenizer: Any, *, end: bool = False) -> Any:
    """A copy of the tokenizer that adds <s> before a text, and </s> behind it if asked."""
    import copy

    from tokenizers.processors import TemplateProcessing

    made = copy.deepcopy(tokenizer)
    pattern = "<s> $A" + (" </s>" if end else "")
    made.backend_tokenizer.post_processor = TemplateProcessing(single=pattern, special_tokens=[("<s>", 0), ("</s>", 1)])
    return made


def test_the_span_is_the_answer_with_its_leading_space(tiny_tokenizer: Any) -> None:
    request = tokenise(Encoder(tiny_tokenizer), [prompt("Text: so bad\nSentiment:", " positive")])[0]
    assert tiny_tokenizer.decode(list(request.answer)) == " positive"
    assert tiny_tokenizer.decode(list(request.token_ids)) == "Text: so bad\nSentiment: positive"


def test_whole_strings_are_tokenised_not_pieces(tiny_tokenizer: Any) -> None:
    context, answer = "Text: a", "b c"
    whole = tokenise(Encoder(tiny_tokenizer), [prompt(context, answer)])[0]
    assert list(whole.token_ids) == tiny_tokenizer(context + answer)["input_ids"]


def test_a_token_that_merges_across_the_boundary_is_scored(tiny_tokenizer: Any) -> None:
    whole = tiny_tokenizer(" positive")["input_ids"]
    assert len(whole) == 1, "the tiny tokenizer must know ' positive' as one token for this test"
    request = tokenise(Encoder(tiny_tokenizer), [prompt("x posi", "tive")])[0]
    assert request.answer == tuple(whole)


def test_candidates_are_scored_from_one_token_on_also_where_only_one_of_them_merges(tiny_tokenizer: Any) -> None:
    context = "x "
    requests = tokenise(Encoder(tiny_tokenizer), [prompt(context, "positive"), prompt(context, "§")])
    assert len({request.scored_from for request in requests}) == 1
    assert len({request.token_ids[: request.scored_from] for request in requests}) == 1, "what stands before the spans is the same"
    alone = [tokenise(Encoder(tiny_tokenizer), [prompt(context, answer)])[0].scored_from for answer in ("positive", "§")]
    assert alone[0] < alone[1], "the space merges with 'positive' and not with '§': otherwise this test shows nothing"
    assert requests[0].scored_from == alone[0]


def test_one_candidate_may_begin_another(tiny_tokenizer: Any) -> None:
    short, long = tokenise(Encoder(tiny_tokenizer), [prompt("x:", " a"), prompt("x:", " a a")])
    assert short.scored_from == long.scored_from < len(short.token_ids) < len(long.token_ids)


def test_beginning_token_by_the_tokenizers_own_convention(tiny_tokenizer: Any) -> None:
    adds = with_bos(tiny_tokenizer)
    assert tokenise(Encoder(tiny_tokenizer), [prompt("a", " b")])[0].token_ids[0] != 0, "this one adds none"
    assert tokenise(Encoder(adds), [prompt("a", " b")])[0].token_ids[:2] == (0, tiny_tokenizer("a")["input_ids"][0])
    assert tokenise(Encoder(adds), [prompt("a", " b", special=False)])[0].token_ids[0] != 0, "a chat template has written its own"


def test_a_beginning_token_never_stands_twice(tiny_tokenizer: Any) -> None:
    request = tokenise(Encoder(with_bos(tiny_tokenizer)), [prompt("<s>a", " b")])[0]
    assert request.token_ids.count(0) == 1
    assert tiny_tokenizer.decode(list(request.answer)) == " b"


def test_an_end_token_behind_the_text_is_neither_scored_nor_read(tiny_tokenizer: Any) -> None:
    ends = with_bos(tiny_tokenizer, end=True)
    request = tokenise(Encoder(ends), [prompt("a", " b")])[0]
    assert 1 not in request.token_ids
    assert 1 not in tokenise_open(Encoder(ends), [prompt("a", "")])[0]


def test_an_empty_answer_or_context_is_refused(tiny_tokenizer: Any) -> None:
    with pytest.raises(IclError, match="at least one token"):
        tokenise(Encoder(tiny_tokenizer), [prompt("a", "")])
    with pytest.raises(IclError, match="something must stand before"):
        tokenise(Encoder(tiny_tokenizer), [prompt("", "b")])
    with pytest.raises(IclError, match="is empty"):
        tokenise_open(Encoder(tiny_tokenizer), [prompt("", "")])


def test_multi_byte_characters_do_not_move_the_boundary(tiny_tokenizer: Any) -> None:
    request = tokenise(Encoder(tiny_tokenizer), [prompt("喜 é 🙂:", " ñandú")])[0]
    assert tiny_tokenizer.decode(list(request.answer)) == " ñandú"
