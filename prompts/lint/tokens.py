"""Rules that look at tokens. The tokenizer comes in as a `Vocabulary`; whole strings are encoded, as the scorer does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prompts.lint.types import Case, Problem, Shown, Vocabulary


def _first_beyond(ends: Sequence[int], place: int) -> int:
    return next((i for i, end in enumerate(ends) if end > place), len(ends))


def merged_boundary(case: Case, vocabulary: Vocabulary) -> Iterator[Problem]:
    """A token that holds the end of the context and the beginning of an answer."""
    for shown in case.shown:
        encoded = vocabulary.encode([prompt.text for prompt in shown.prompts], not case.chat)
        for prompt, (_, ends) in zip(shown.prompts, encoded, strict=True):
            place = prompt.span[0]
            first = _first_beyond(ends, place)
            begins = ends[first - 1] if first else 0
            if begins < place:
                text = prompt.text[begins : ends[first]] if first < len(ends) else prompt.text[begins:]
                yield Problem(
                    f"one token holds the end of the context and the beginning of the answer: {text!r}", f"query '{prompt.query_id}'"
                )
                return


def _word_tokens(case: Case, vocabulary: Vocabulary) -> dict[str, list[int]]:
    """Label word → its tokens, its prefix included, as they stand in the first sampled prompt."""
    if not case.words or not case.shown:
        return {}
    prompts = case.shown[0].prompts
    encoded = vocabulary.encode([prompt.text for prompt in prompts], not case.chat)
    words = [candidate.text for candidate in case.shown[0].written.candidates]
    spans = zip(words, prompts, encoded, strict=True)
    return {word: ids[_first_beyond(ends, prompt.span[0]) :] for word, prompt, (ids, ends) in spans}


def first_token_shared(case: Case, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Label words that a model cannot tell apart by their first token."""
    groups: dict[int, list[str]] = {}
    for word, ids in _word_tokens(case, vocabulary).items():
        groups.setdefault(ids[0] if ids else -1, []).append(word)
    shared = [words for words in groups.values() if len(words) > 1]
    if shared:
        more = f", and {len(shared) - 1} more groups" if len(shared) > 1 else ""
        yield Problem(f"label words begin with the same token: {', '.join(shared[0][:5])}{more}")


def unequal_lengths(case: Case, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Label words of different numbers of tokens, whose log-probabilities are sums."""
    lengths = {word: len(ids) for word, ids in _word_tokens(case, vocabulary).items()}
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        yield Problem(
            f"'{short}' has {_tokens(lengths[short])}, '{long}' has {_tokens(lengths[long])}, and sums of log-probabilities are compared"
        )


def odd_splits(case: Case, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Label words that would take fewer tokens with another space in front."""
    if not case.words or not case.shown:
        return
    prompts = case.shown[0].prompts
    context = prompts[0].context
    spaced = prompts[0].text[len(context) :].startswith(" ")
    odd = []
    as_written = _word_tokens(case, vocabulary)
    texts = [context + ("" if spaced else " ") + word for word in as_written]
    encoded = vocabulary.encode(texts, not case.chat) if texts else []
    for (word, ids), (_, ends) in zip(as_written.items(), encoded, strict=True):
        other = len(ends) - _first_beyond(ends, len(context))
        if other < len(ids):
            odd.append(f"'{word}' ({_tokens(len(ids))} instead of {other})")
    if odd:
        way = "without a leading space" if spaced else "with a leading space"
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        yield Problem(f"label words that would take fewer tokens {way}: {', '.join(odd[:3])}{more}")


def beginning(case: Case, vocabulary: Vocabulary) -> Iterator[Problem]:
    """The token that begins a text: never twice, and there where the tokenizer's convention puts it."""
    if vocabulary.bos is None or not case.shown:
        return
    prompt = case.shown[0].prompts[0]
    ids = vocabulary.raw(prompt.text, not case.chat)
    if ids[:2] == [vocabulary.bos, vocabulary.bos]:
        yield Problem("the prompt begins with the beginning-of-sequence token twice: the template writes one and the tokenizer adds one")
    elif vocabulary.adds_bos and ids[:1] != [vocabulary.bos]:
        yield Problem("the tokenizer begins a text with a beginning-of-sequence token, but this prompt has none", severity="warning")


def over_window(case: Case, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Prompts that are longer than the model reads."""
    if vocabulary.window is None or not case.shown:
        return
    texts = [_longest(shown) for shown in case.shown]
    lengths = [len(ids) + case.task.max_new_tokens for ids, _ in vocabulary.encode(texts, not case.chat)]
    over = [(length, shown) for length, shown in zip(lengths, case.shown, strict=True) if length > vocabulary.window]
    if over:
        length, shown = max(over, key=lambda pair: pair[0])
        yield Problem(
            f"{len(over)} of {len(lengths)} prompts with {case.shots} demonstrations are longer than the window of "
            f"{vocabulary.window} tokens (the longest: {length}, room for the answer included); use fewer shots or --overflow drop",
            f"query '{shown.written.example.id}'",
        )


def _longest(shown: Shown) -> str:
    return max((prompt.text for prompt in shown.prompts), key=len)


def _tokens(count: int) -> str:
    return f"{count} token" + ("s" if count > 1 else "")
