"""Sweep files: which cells they say, and one line with its place for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from icl.sweep.example import EXAMPLE
from icl.sweep.file import read_sweep
from tasks import IclError


def cells_of(tmp_path: Path, text: str) -> list[dict[str, object]]:
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return [cell.to_json() for cell in read_sweep(path).cells]


def test_the_example_says_what_its_comments_say(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    sweep = read_sweep(path)
    assert sweep.name == "first-sweep"
    assert len(sweep.cells) == 4 * 2 * 2 - 2 + 1
    assert {cell.split for cell in sweep.cells} == {"validation"}
    assert not [cell for cell in sweep.cells if cell.shots == 0 and cell.calibration == ("batch",)]
    assert sweep.cells[-1].selector == "knn"


def test_a_grid_is_a_product_and_cells_stand_beside_it(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, "task: t\nshots: 1\ngrid: {selector: [random, bm25], seed: [0, 1]}\ncells: [{shots: 3}, {seed: 1}]")
    assert [(cell["selector"], cell["seed"], cell["shots"]) for cell in cells] == [
        ("random", 0, 1), ("random", 1, 1), ("bm25", 0, 1), ("bm25", 1, 1), ("random", 0, 3),
    ]  # fmt: skip
    path = tmp_path / "s.yaml"
    assert (read_sweep(path).name, read_sweep(path).repeated) == ("s", 1)


def test_a_list_alone_and_a_single_cell_are_sweeps(tmp_path: Path) -> None:
    assert [cell["shots"] for cell in cells_of(tmp_path, "task: t\ncells: [{shots: 3}, {shots: 4}]")] == [3, 4]
    assert len(cells_of(tmp_path, "task: t")) == 1


def test_values_are_those_of_the_command_line(tmp_path: Path) -> None:
    (cell,) = cells_of(tmp_path, "task: t\nqueries: all\npool: all\nlabels: true\nchat: true")
    assert (cell["queries"], cell["pool"], cell["labels"], cell["chat"], cell["calibration"]) == (None, None, "true", True, ["none"])


def test_what_is_excluded_is_left_out_by_defaults_too(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, "task: t\ngrid: {shots: [0, 4], seed: [0, 1]}\nexclude: [{shots: 0, selector: random, calibration: none}]")
    assert [cell["shots"] for cell in cells] == [4, 4]


MISTAKES = {
    "task: t\nshot: 4": "s.yaml:2: unknown field 'shot': did you mean shots",
    "task: t\ngrids: {shots: [1]}": "s.yaml:2: unknown field 'grids': did you mean grid",
    "task: t\ngrid:\n  templte: [a]": "s.yaml:3: unknown field 'templte': did you mean template",
    "task: t\ncells:\n- {}\n- {selectors: knn}": "s.yaml:4: unknown field 'selectors': did you mean selector?",
    "task: t\nshots: four": "s.yaml:2: shots must be a whole number, but got 'four'",
    "task: t\ngrid: {shots: [1, 2.5]}": "s.yaml:2: shots must be a whole number, but got 2.5",
    "task: t\nshots: true": "shots must be a whole number, but got True",
    "task: t\nshots: [1, 2]": "s.yaml:2: shots must be one value here; put a list of values under grid",
    "task: t\ngrid: {shots: 4}": "s.yaml:2: shots: must be a list, but got 4",
    "task: t\ngrid: {shots: []}": "s.yaml:2: shots: a list of values must not be empty",
    "task: t\ngrid: {shots: [1, 1]}": "s.yaml:2: shots: the value 1 stands twice",
    "task: t\ngrid: {shots: [1]}\nexclude: [{shots: 2}]": "s.yaml:3: exclude must fit a cell of the grid, but shots 2 fits none",
    "task: t\ngrid: {shots: [1]}\nexclude: [{shots: 1}]": "s.yaml:3: exclude must leave a cell, but it leaves none",
    "shots: 4": "every cell needs a task, but none is named",
    "task: t\npool: 2\ngrid: {shots: [1, 4]}": "cell task t, pool 2, shots 4: shots <= pool must hold",
    "task: t\ncells: [{labels: tru}]": "unknown labels 'tru': did you mean true?",
    "task: t\nname: a/b": "name must be letters, digits, '_', '.' and '-', at most 60, but is 'a/b'",
    "- a": "s.yaml:1: a sweep file must be a mapping",
    "task: t\ngrid: {seed: [" + ", ".join(map(str, range(80))) + "], shots: [" + ", ".join(map(str, range(80))) + "]}": "at most 2,000 cells, but this one has 6,400",
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(IclError) as caught:
        cells_of(tmp_path, text)
    said = str(caught.value)
    assert MISTAKES[text] in said
    assert said.startswith(str(tmp_path / "s.yaml:"))
    assert "\n" not in said
