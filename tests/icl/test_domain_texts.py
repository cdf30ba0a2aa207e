"""Random in-domain texts: as long as texts are, drawn from all of them, not from one giant."""

from __future__ import annotations

import numpy as np

from icl.plan import domain_texts
from tasks import Example, Query, keyed_rng

LIKE = Query("q", {"text": "x", "extra": "y"})


def pool(giant: int) -> list[Example]:
    texts = [f"w{i} " * (3 + i % 4) for i in range(30)]
    return [Example(f"x{i}", {"text": text, "extra": ""}, "a") for i, text in enumerate([*texts, "giant " * giant])]


def test_ordinary_pools_give_every_word_and_the_mean_length() -> None:
    """By the definition, written out again."""
    support = pool(20)
    order = keyed_rng(3, "domain-sample", "e").choice(31, size=31, replace=False)
    words = [word for i in order for word in support[int(i)].inputs["text"].split()]
    mean = round(len(words) / 31)
    for number, made in enumerate(domain_texts(support, 3, "e", LIKE)):
        assert made == {
            "text": " ".join(words[int(i)] for i in keyed_rng(3, "domain", "e", number).integers(0, len(words), mean)),
            "extra": "",
        }


def test_one_giant_neither_sets_the_length_nor_is_all_that_is_drawn() -> None:
    made = [text["text"].split() for text in domain_texts(pool(100_000), 3, "e", LIKE)]
    assert {len(words) for words in made} == {round((sum(3 + i % 4 for i in range(30)) + 8 * 4) / 31)}
    share = np.mean([word == "giant" for words in made for word in words])
    assert 0 < share < 0.5
