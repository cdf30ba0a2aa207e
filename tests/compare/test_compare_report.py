"""The report's own statistics on cases worked by hand: break-evens, agreement, the queries nobody gets right, calibration, looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compare.learners import LEARNERS
from compare.report import agreement, breakeven, curves, facts, looks, tuning
from compare.report.answers import agreement as same_answer
from compare.report.answers import hardest, quadrants, read_answers, shared_errors
from compare.report.breakeven import BreakEven, Line, break_even


@pytest.mark.parametrize(
    ("learner", "prompt", "expected", "words"),
    [
        (Line(100, 1), Line(0, 3), BreakEven(51, None), "from 51"),  # 150 against 150 is not less yet
        (Line(101, 1), Line(0, 3), BreakEven(51, None), "from 51"),
        (Line(0, 1), Line(0, 3), BreakEven(1, None), "always"),
        (Line(5, 3), Line(0, 3), BreakEven(None, None), "never"),
        (Line(5, 3), Line(6, 3), BreakEven(1, None), "always"),
        (Line(10, 3), Line(20, 1), BreakEven(1, 4), "up to 4"),  # at 5 both cost 25
        (Line(19, 3), Line(20, 1), BreakEven(None, None), "never"),
        (Line(1e6, 1), Line(0, 3), BreakEven(500_001, None), "from 500 k"),
    ],
)
def test_break_even_is_the_first_query_that_costs_strictly_less(learner: Line, prompt: Line, expected: BreakEven, words: str) -> None:
    found = break_even(learner, prompt)
    assert (found, found.words()) == (expected, words)
    cheaper = [n for n in range(1, 101) if learner.total(n) < prompt.total(n)]
    assert cheaper == [n for n in range(1, 101) if found.first is not None and found.first <= n <= (found.last or n)]


def cost_row(learner: str, adapt: int, per_query: int, meta: int) -> dict[str, Any]:
    parts = {"adapt": adapt, "per_query": per_query, "meta_train": meta}
    return {"learner": learner, "k_shot": 4, "flops": parts, "seconds": {name: value / 10 for name, value in parts.items()}}


def test_the_prompts_lines_come_from_what_was_run() -> None:
    # 10 queries after one reading of 200: (200 + 10 · 30) / 10 = 50 a query.
    cost = {
        "rows": [cost_row("in-context", 0, 50, 0), cost_row("maml", 40, 31, 700)],
        "in_context_prefix": [{"k_shot": 4, "kept_adapt": 200}],
    }
    prompt = breakeven.prompts(cost, n_queries=10)[4]
    assert (prompt.alone, prompt.kept, prompt.together) == (Line(0, 230), Line(200, 30), Line(0, 5.0))
    (maml,) = breakeven.weights(cost, n_queries=10)
    assert maml.meta_trained
    assert break_even(maml.shared, prompt.kept).words() == "up to 159"  # 40 + 31 n < 200 + 30 n
    assert break_even(maml.whole, prompt.alone).words() == "from 4"  # 740 + 31 n < 230 n
    assert breakeven.prompts({**cost, "rows": cost["rows"][1:]}, 10) == {}
    (metaicl,) = breakeven.weights({**cost, "rows": [cost_row("metaicl", 0, 51, 700)]}, n_queries=10)
    assert (metaicl.shared, metaicl.alone(metaicl.shared)) == (Line(200, 31), Line(0, 231)), "it reads demonstrations, too"
    assert break_even(metaicl.alone(metaicl.shared), prompt.alone).words() == "never"


GIVEN = {"in-context": "aabb-", "maml": "abba-", "protonet": "abbba"}
TARGET = "abbaa"


def answers_file(directory: Path) -> None:
    """Four queries in an episode, one in another; labels a and b; probability 0.8 for the answer, none where it is missing."""
    rows = []
    for learner, given in GIVEN.items():
        for i, (answer, target) in enumerate(zip(given, TARGET, strict=True)):
            for label in "ab":
                score = None if answer == "-" else float(np.log(0.8 if label == answer else 0.2))
                names = {"learner": learner, "k": 2, "episode": "e001" if i == 4 else "e000", "query": f"q{i}", "candidate": label}
                rows.append({**names, "score": score, "predicted": None if answer == "-" else answer, "target": target})
    pq.write_table(pa.Table.from_pylist(rows), directory / "predictions.parquet")


def test_agreement_and_errors_by_hand(tmp_path: Path) -> None:
    answers_file(tmp_path)
    prompt, maml, protonet = every = read_answers(tmp_path)
    assert [a.right.tolist() for a in every] == [[True, False, True, False, False], [True] * 4 + [False], [True] * 3 + [False, True]]
    assert same_answer(prompt, maml) == 0.5  # of the four that both answer, q0 and q2
    assert same_answer(maml, protonet) == 0.75
    shares = quadrants(prompt, maml)
    assert (shares.both, shares.only_a, shares.only_b, shares.neither) == (0.4, 0.0, 0.4, 0.2)
    assert shared_errors(every) == (0.4, 0.0)
    first, *rest = hardest(every)
    assert (first.query, first.wrong, first.right) == ("q3", 2, ("maml",))
    assert [h.query for h in rest] == ["q4", "q1"]
    assert agreement.overlap_rows({2: every})[0][2:6] == tuple(f"{x}\u202f%" for x in ("40.0", "0.0", "40.0", "20.0"))


def test_calibration_error_by_hand(tmp_path: Path) -> None:
    answers_file(tmp_path)
    rows = {row[0]: row for row in agreement.calibration_rows(read_answers(tmp_path))}
    assert rows["in-context"][2] == "0.300"  # says 0.8, is right in 2 of 4
    assert rows["maml"][2] == "0.200"
    assert rows["in-context"][5:] == ("0.800", "0.500")
    assert rows["maml"][3] == "", "one episode with answers has no interval"
    assert rows["protonet"][2] == "0.000"


def test_every_learner_has_a_look_of_its_own() -> None:
    assert tuple(LEARNERS) == looks.ORDER, "colours follow the order of the learners"
    seen = {(key.colour, key.shape) for of in looks.keys(looks.ORDER).values() for key in of}
    assert len(seen) == len(LEARNERS)


def test_steps_are_told_from_the_search() -> None:
    tried = [
        {"settings": {"lr": lr, "steps": steps}, "accuracy": accuracy} for lr, steps, accuracy in ((1, 10, 0.6), (1, 20, 0.5), (2, 20, 0.7))
    ]
    row = {"learner": "lora", "k_shot": 4, "searched": tried, "search_episodes": 2}
    table = tuning.steps_table({"rows": [row]})
    assert table is not None
    assert (table.head, table.rows) == (("Learner", "K", "10 steps", "20 steps", "Episodes"), (("lora", "4", "0.600", "0.700", "2"),))
    assert tuning.steps_table({"rows": [{**row, "searched": tried[1:]}]}) is None


def test_the_window_is_told_by_episode() -> None:
    row = {"learner": "in-context", "k_shot": 4, "accuracy": {"per_episode": [0.5, 1.0]}}
    cost = {"in_context_prefix": [{"k_shot": 4, "prompt_tokens": [256, 512], "window": 2048}]}
    (figure,) = curves.against_window({"rows": [row]}, cost, 0.5)
    assert [cells[1:] for cells in figure.numbers.rows] == [("256", "12.5\u202f%", "0.500"), ("512", "25.0\u202f%", "1.000")]
    assert curves.against_window({"rows": [row]}, {"in_context_prefix": [{"k_shot": 4}]}, 0.5) == []


def test_nothing_told_apart_is_said_in_a_few_words() -> None:
    difference = {"mean": 0.1, "p_adjusted": 0.5}
    rows = [{"learner": name, "k_shot": k, "difference_to_in_context": difference} for name in ("maml", "lora") for k in (1, 4)]
    assert facts.may_conclude({"rows": rows}).endswith("no learner is told apart from in-context.")
    rows[0] = {**rows[0], "difference_to_in_context": {"mean": 0.1, "p_adjusted": 0.01}}
    told = facts.may_conclude({"rows": rows}).replace("\u00a0", " ")
    assert told.endswith("maml (K = 1) is better than in-context; maml (K = 4), lora (K = 1, 4) and in-context are not told apart.")
