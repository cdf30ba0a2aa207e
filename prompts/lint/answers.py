"""Rules about answers and label words that need no tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import permutations

from prompts.lint.types import Case, Problem, Written
from tasks.normalise import normalise

OFTEN = 0.5
"""From this share of the queries on, an answer in the query is the template's doing, not the data's."""
RARELY = 0.02
"""Below this share it is chance: any word turns up in some text."""
ENOUGH = 8
"""Queries that it takes to speak of a share."""


def answer_in_query(case: Case) -> Iterator[Problem]:
    """The right answer stands in the query side, and not all the candidates do (a list of choices gives nothing away).

    Nor does a label word that stands in every query, whatever its answer: the template asks "True or False?".
    """
    if case.builder.verbalizer.answer == "letter" or not case.queries:
        return
    always = {word for word in case.words.values() if all(_stands_in(word, written.query) for written in case.queries)}
    given_away = [written for written in case.queries if written.answer not in always and _gives_away(written)]
    if not given_away or len(given_away) < RARELY * len(case.queries):
        return
    many = len(case.queries) >= ENOUGH and len(given_away) >= OFTEN * len(case.queries)
    first = given_away[0]
    yield Problem(
        f"the right answer stands in the query in {len(given_away)} of {len(case.queries)} queries, such as {_short(first.answer)!r}",
        f"query '{first.example.id}'",
        "error" if many else "warning",
    )


def _gives_away(written: Written) -> bool:
    if not _stands_in(written.answer, written.query):
        return False
    return not written.candidates or not all(_stands_in(candidate.text, written.query) for candidate in written.candidates)


def _stands_in(word: str, text: str) -> bool:
    pattern = rf"(?<!\w){re.escape(word.strip().casefold())}(?!\w)"
    return bool(word.strip()) and re.search(pattern, text.casefold()) is not None


def prefix_words(case: Case) -> Iterator[Problem]:
    """A label word that begins another one."""
    words = [candidate.text for candidate in case.queries[0].candidates] if case.words and case.queries else []
    pairs = [(short, long) for short, long in permutations(words, 2) if long.startswith(short)]
    if pairs:
        more = f" (and {len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
        yield Problem(f"the word '{pairs[0][0]}' begins the word '{pairs[0][1]}'{more}")


def missing_labels(case: Case) -> Iterator[Problem]:
    """An instruction, and label words that neither it nor the query side names."""
    instruction = case.builder.renderer.instruction
    if not case.words or not instruction or not case.queries:
        return
    named = instruction + "\n" + case.queries[0].query
    missing = [word for word in case.words.values() if not _stands_in(word, named)]
    if missing and len(missing) < len(case.words):
        yield Problem(f"the instruction names some labels, but not {_listed(missing)}", "block 'instruction'")
    elif missing:
        yield Problem("the instruction names none of the labels", "block 'instruction'", "warning")


def alike(case: Case) -> Iterator[Problem]:
    """An example of the demonstration split and a query that the template writes alike."""
    support = {normalise(written.query): written for written in case.support}
    for written in case.queries:
        twin = support.get(normalise(written.query))
        if twin is None:
            continue
        same = twin.answer == written.answer
        what = "a demonstration that is written like the query gives its answer away" if same else "two answers to the same query text"
        yield Problem(f"{what}: '{twin.example.id}'", f"query '{written.example.id}'", "error" if same else "warning")
        return


def unused_fields(case: Case) -> Iterator[Problem]:
    """Input fields of the task that no block reads."""
    used = frozenset().union(*case.template.used.values())
    if unused := [name for name in case.task.fields if name not in used]:
        yield Problem(f"the task has {', '.join(unused)}, which the template never uses")


def _listed(words: list[str]) -> str:
    return ", ".join(words[:5]) + (f" and {len(words) - 5} more" if len(words) > 5 else "")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"
