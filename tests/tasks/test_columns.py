"""Columns that hold more than texts, and texts that keep their white space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from taskfiles import write_card

from tasks.columns import as_json, look_up
from tasks.errors import DataError, IclError
from tasks.load import load_task

ROW = {"a": {"b": ["x", "y"]}, "list": [{"t": "1", "n": {"m": 5}}, {"t": "2", "n": {"m": 6}}], "none": []}


@pytest.mark.parametrize(
    ("path", "value"),
    [("a.b.1", "y"), ("list.t", ["1", "2"]), ("list.n.m", [5, 6]), ("list.0.t", "1"), ("none.t", [])],
)
def test_paths_reach_into_lists(path: str, value: Any) -> None:
    assert look_up(ROW, (path,)) == value


@pytest.mark.parametrize("path", ["a.b.2", "list.x", "a.b.t", "none.0"])
def test_a_path_that_leads_nowhere_is_no_column(path: str) -> None:
    with pytest.raises(Exception, match="there is no column"):
        look_up(ROW, (path,))


def test_json_is_what_json_can_say() -> None:
    assert as_json({"é": [1, None, True]}, ("c",)) == '{"é": [1, null, true]}'
    for value in (float("nan"), object(), {"a": "\ud800"}):
        with pytest.raises(DataError, match="column 'c' must hold"):
            as_json(value, ("c",))


def rows(**more: Any) -> list[dict[str, Any]]:
    return [{"id": f"r{i}", "text": f" {i}\n", "answer": f" a{i} ", **more} for i in range(30)]


def generation(directory: Path, data: list[dict[str, Any]], **changes: Any) -> Path:
    return write_card(directory, data, **{"kind": "generation", "labels": None, "target": "answer", **changes})


def test_white_space_is_kept_where_the_card_says_so(tmp_path: Path) -> None:
    (example, *_) = load_task(generation(tmp_path, rows())).splits["test"]
    assert (example.inputs["text"], example.target) == (example.id[1:], f"a{example.id[1:]}")
    (example, *_) = load_task(generation(tmp_path, rows(), white_space="keep")).splits["test"]
    assert (example.inputs["text"], example.target) == (f" {example.id[1:]}\n", f" a{example.id[1:]} ")
    kept = generation(tmp_path, rows(), white_space="keep", target={"field": "answer", "white_space": "strip"})
    assert load_task(kept).splits["test"][0].target.startswith("a")


def test_a_list_of_answers_shows_the_first_and_accepts_all(tmp_path: Path) -> None:
    example = load_task(generation(tmp_path, rows(answer=["one", "two"]))).splits["test"][0]
    assert (example.target, example.answers) == ("one", ("one", "two"))


def test_numbers_of_options(tmp_path: Path) -> None:
    target = {"field": "answer", "options": ["yes", "no"], "first": 1}
    assert load_task(generation(tmp_path, rows(answer=2), target=target)).splits["test"][0].target == "no"
    with pytest.raises(DataError, match="the answer must be a number from 1 to 2, but got 0"):
        load_task(generation(tmp_path, rows(answer=0), target=target))


def test_rows_whose_answer_is_cut_stay_where_the_card_keeps_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can never be written"):
        load_task(generation(tmp_path, rows(answer="a, b"), stop=[","]))
    assert load_task(generation(tmp_path, rows(answer="a, b"), stop=[","], cut_answers="keep")).splits["test"][0].target == "a, b"


def choice(directory: Path, **changes: Any) -> Path:
    data = [{"id": f"r{i}", "text": f"q{i}", "one": "left", "two": f"right{i}", "answer": 2} for i in range(30)]
    return write_card(directory, data, **{"kind": "multiple_choice", "labels": None, "target": "answer", **changes})


def test_choices_in_columns_of_their_own(tmp_path: Path) -> None:
    columns = {"columns": ["one", "two"]}
    task = load_task(choice(tmp_path, choices={**columns, "answer": "text"}, target={"field": "answer", "first": 1}))
    assert task.splits["test"][0].choices[0] == "left"
    assert set(task.splits["test"].targets) == {"B"}
    assert set(load_task(choice(tmp_path, choices={**columns, "right": 0}, target=None)).splits["test"].targets) == {"A"}
    assert set(load_task(choice(tmp_path, choices={**columns, "names": ["1", "2"]})).splits["test"].targets) == {"B"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choices": {"columns": ["one", "two"], "keys": "text"}}, "keys are a column beside 'texts'"),
        ({"choices": {"texts": "one", "keys": "two", "right": 0}}, "keys cannot stand beside right"),
        ({"choices": {"columns": ["one", "two"], "right": 0}}, "target must be left out where choices name the correct one"),
        ({"choices": {"texts": "one", "columns": ["two"]}}, "give either 'texts'"),
        ({"choices": {"columns": ["one", "two"], "names": ["1", "2"], "answer": "text"}}, "answer: text is for choices without"),
        ({"choices": {"columns": ["one", "two"], "answer": "text"}, "as_json": ["other"]}, "as_json must list fields of 'inputs', but not other"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(IclError, match=message):
        load_task(choice(tmp_path, **changes))


def test_a_column_as_json(tmp_path: Path) -> None:
    task = load_task(generation(tmp_path, rows(more={"k": [1, "é"]}), inputs={"text": "text", "more": "more"}, as_json=["more"]))
    assert task.splits["test"][0].inputs["more"] == '{"k": [1, "é"]}'


def test_right_position_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the right choice is the one at position 2, from 0, but there are 2"):
        load_task(choice(tmp_path, choices={"columns": ["one", "two"], "right": 2}, target=None))
