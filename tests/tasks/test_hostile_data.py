"""Data that is broken, foreign or hostile: one line that names the file and the line, exit code 2, nothing written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from taskfiles import jsonl, reviews, write_card

from icl.cli.main import main
from tasks.errors import DataError, IclError
from tasks.load import load_task

GIVEN = {"demonstration": "train", "test": "test"}


def message(path: Path, kind: type[IclError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        load_task(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.isprintable()
    assert len(text) < 700
    return text


def csv_card(directory: Path, data: str | bytes, name: str = "data.csv", **source: Any) -> Path:
    (directory / name).write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return write_card(directory, [], source={"type": "files", "path": name, **source})


GOOD = "text,label\n" + "".join(f"review number {i},{('bad', 'good')[i % 2]}\n" for i in range(40))


@pytest.mark.parametrize(
    ("data", "source", "expected"),
    [
        (GOOD.replace(",", ";"), {}, "data.csv:2: task 'toy': there is no column 'text'; .* write delimiter: \";\" under source"),
        (GOOD.replace(",", "\t"), {}, r'cells were separated at \',\', and the header holds \'\\t\': .* write delimiter: "\\t"'),
        (GOOD.replace(",", "|"), {}, r'write delimiter: "\|" under source in the card'),
        ("text;label\na, b, c;bad\n", {}, 'data.csv:2: row 1 has 3 cells, but the header has 1; .* write delimiter: ";"'),
        ('"text";"label"\n"a";"bad"\n', {}, 'data.csv:1: row 1 is malformed .* write delimiter: ";"'),
        (GOOD, {"delimiter": ";"}, "cells were separated at ';', and the header holds ',': .* write delimiter: \",\""),
        (GOOD.encode("utf-16"), {}, "data.csv:1: must be text, but holds a NUL byte; is it UTF-16"),
        (GOOD.encode("utf-16-le"), {}, "data.csv:1: must be text, but holds a NUL byte"),
        (GOOD.replace("number 3", "num\0ber 3"), {}, "data.csv:5: must be text, but holds a NUL byte"),
        (GOOD.encode() + b"caf\xe9,bad\n", {}, "data.csv:42: must be UTF-8, but byte 0xe9 is not; save the file as UTF-8"),
        ("", {}, "data.csv: the file is empty; its first line must name the columns"),
        ("text,label\n", {}, "every split must have rows, but test of task 'toy' is empty"),
        ("text,label\na,good\nb\n", {}, "data.csv:3: row 2 has 1 cells, but the header has 2"),
        ("text,,label\n", {}, "data.csv:1: the first line must name the columns, each once"),
        (GOOD + "x" * 10_000_001 + ",bad\n", {}, r"data.csv:42: row 41 is malformed \(field larger than field limit"),
        (GOOD + "x,\n", {}, "data.csv:42: task 'toy': a label must be one that the card lists, but got ''"),
        (GOOD + '"two\nlines",bad\n"three\n\nlines",ugly\n', {}, "data.csv:44: task 'toy': a label must be one that the card lists"),
        (GOOD, {"format": "jsonl"}, r"data.csv:1: not valid JSON \(.*\); every line must be one JSON object"),
    ],
)
def test_csv(tmp_path: Path, data: str | bytes, source: dict[str, Any], expected: str) -> None:
    path = csv_card(tmp_path, data, **source)
    with pytest.raises(DataError, match=expected):
        load_task(path)
    message(path)


@pytest.mark.parametrize("data", [GOOD, GOOD.replace("\n", "\r\n"), GOOD.replace("\n", "\r"), "\ufeff" + GOOD, "\n\n" + GOOD])
def test_line_ends_and_marks_do_not_matter(tmp_path: Path, data: str) -> None:
    assert load_task(csv_card(tmp_path, data)).fingerprint == load_task(csv_card(tmp_path, GOOD, "other.csv")).fingerprint


def test_tsv_has_tabs_unless_the_card_says_otherwise(tmp_path: Path) -> None:
    assert load_task(csv_card(tmp_path, GOOD.replace(",", "\t"), "data.tsv"))
    assert load_task(csv_card(tmp_path, GOOD.replace(",", ";"), "data.tsv", delimiter=";"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (r'{"text": "a\u0000b", "label": "bad"}', "all.jsonl:6: task 'toy': column 'text' must hold text, but holds a NUL character"),
        (r'{"text": "a\ud800b", "label": "bad"}', r"all.jsonl:6: .* holds half of a character \('\\ud800'\)"),
        (r'{"text": "ab", "label": "\ud800"}', r"all.jsonl:6: .* got '\\ud800'; known: bad, good"),
        (r'{"\ud800": "ab", "label": "bad"}', r"all.jsonl:6: .* there is no column 'text'; the columns are \\ud800, label"),
        (json.dumps({"text": "a", "label": "b" * 1_000_000}), "all.jsonl:6: task 'toy': a label must be one .*bbb…; known: bad, good"),
        ('{"text": NaN, "label": "bad"}', "all.jsonl:6: task 'toy': column 'text' has no value"),
        ('{"text": ["a"], "label": "bad"}', "all.jsonl:6: task 'toy': column 'text' must hold text, but holds a list"),
        ('{"text": {"a": 1}, "label": "bad"}', "all.jsonl:6: task 'toy': column 'text' must hold text, but holds an object"),
        ('{"text": ' + "1" * 5000 + "}", r"all.jsonl:6: not valid JSON \(Exceeds the limit .* digits\)"),
        ("[" * 100_000, "all.jsonl:6: not valid JSON .*recursion"),
        ('[{"text": "a"}]', "all.jsonl:6: every line must be a JSON object, but this is a list"),
    ],
)
def test_json_lines(tmp_path: Path, line: str, expected: str) -> None:
    path = write_card(tmp_path, reviews(4))
    rows = [json.dumps({key: value for key, value in row.items() if key != "id"}) for row in reviews(4)]
    (tmp_path / "all.jsonl").write_text("\n".join([*rows, "", line]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=expected):
        load_task(path)
    message(path)


def test_rows_are_named_by_file_and_line_and_their_own_id(tmp_path: Path) -> None:
    rows = {"train": reviews(4), "test": [{"id": "t7", "text": "x", "label": "ugly"}]}
    path = write_card(tmp_path, rows, splits=GIVEN)
    assert message(path).startswith("test.jsonl:1: task 'toy', row t7: a label must be one that the card lists, but got 'ugly'")
    folder = tmp_path / "folder"
    folder.mkdir()
    jsonl(folder / "data.jsonl", [*reviews(3), {"id": "z", "text": "x"}])
    path = write_card(tmp_path, [], source={"type": "files", "path": "folder/data.jsonl"})
    assert message(path).startswith("folder/data.jsonl:4: task 'toy': there is no column 'label'")


@pytest.mark.parametrize("kind", ["bytes", "label", "utf8"])
def test_parquet_names_the_row(tmp_path: Path, kind: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts: Any = [b"raw"] * 4 if kind == "bytes" else [f"text {i}" for i in range(4)]
    labels = ["bad", "good", "bad", "ugly"]
    table = pa.table({"text": texts, "label": labels})
    if kind == "utf8":
        broken = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
        table = pa.Table.from_arrays([broken, pa.array(["bad"])], ["text", "label"])
    pq.write_table(table, tmp_path / "data.parquet")
    said = message(write_card(tmp_path, [], source={"type": "files", "path": "data.parquet"}))
    assert said.startswith(
        {
            "bytes": "data.parquet, row 1: task 'toy': column 'text' must hold text, but holds bytes",
            "label": "data.parquet, row 4: task 'toy': a label must be one that the card lists, but got 'ugly'",
            "utf8": "data.parquet: not a readable Parquet file",
        }[kind]
    )


def test_what_stands_where_a_file_should(tmp_path: Path) -> None:
    def said(name: str) -> str:
        return message(write_card(tmp_path, [], source={"type": "files", "path": name}))

    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    assert "'folder.csv', which must be a file, but is a directory" in said("folder.csv")
    assert "'pipe.csv', which must be a file, but is a device" in said("pipe.csv")
    assert "'loop.csv', which cannot be read (Symlink loop" in said("loop.csv")
    assert "which cannot be read ([Errno 36] File name too long" in said("x" * 300 + ".csv")
    assert "none in" in said("no.csv")


def test_a_package_of_a_strangers_choice_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetching a source archive runs its build script."""
    monkeypatch.setattr("tasks.sources.package.fetch_distribution", lambda *args, **kwargs: pytest.fail("it was fetched"))
    source = {"type": "package", "distribution": "evil", "version": "1.0", "filename": "evil-1.0.tar.gz", "sha256": "ab" * 32}
    path = write_card(tmp_path, [], source={**source, "members": ["a"], "columns": ["text", "label"]})
    assert "only archives known here are read (vaderSentiment 3.3.2), but the card names evil 1.0" in message(path)
    for key, value in {"filename": "../../x", "distribution": "x @ http://evil", "version": "1 --pre"}.items():
        path = write_card(tmp_path, [], source={**source, "members": ["a"], "columns": ["text", "label"], key: value})
        assert f"{key}: must be letters, digits" in message(path, IclError)


def test_a_directory_does_not_stand_in_for_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` would read it without a word."""
    (tmp_path / "someone" / "toy").mkdir(parents=True)
    path = write_card(tmp_path, [], source={"type": "hub", "repo": "someone/toy"}, splits={"demonstration": "train", "test": "test"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ICL_DATA_DIR", raising=False)
    assert "./someone/toy stands in its way" in message(path)


def test_digits_are_ids_only_where_no_label_is_a_number(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": i % 5 + 1} for i in range(60)]
    stars = {str(i): f"{i} stars" for i in range(1, 6)}
    assert set(load_task(write_card(tmp_path, rows, labels=stars)).splits["test"].targets) <= set(stars)
    assert "got 0; known: 1, 2, 3, 4, 5" in message(write_card(tmp_path, [*rows, {"text": "x", "label": 0}], labels=stars))


def test_white_space_around_answers_is_not_theirs(tmp_path: Path) -> None:
    rows = [{"input": f"word {i}", "out": f" out {i} ", "also": [f"other {i}\n", ""]} for i in range(20)]
    card: dict[str, Any] = {"kind": "generation", "labels": None, "inputs": ["input"], "target": "out", "answers": "also"}
    for e in load_task(write_card(tmp_path, rows, **card)).splits["test"]:
        assert e.target == e.target.strip()
        assert e.answers == (e.target, e.target.replace("out", "other"))


def test_an_answer_that_can_never_be_written_is_an_error(tmp_path: Path) -> None:
    rows = [{"input": f"word {i}", "out": f"out {i}\nand more"} for i in range(20)]
    card: dict[str, Any] = {"kind": "generation", "labels": None, "inputs": ["input"], "target": "out"}
    assert r"can never be written, since the card's stop ('\n') cuts it; change 'stop'" in message(write_card(tmp_path, rows, **card))
    assert load_task(write_card(tmp_path, rows, stop=["\n\n"], **card))


def test_an_optional_group_that_finds_nothing(tmp_path: Path) -> None:
    rows = [{"input": f"word {i}", "out": f"answer {i}"} for i in range(20)]
    card: dict[str, Any] = {"kind": "generation", "labels": None, "inputs": ["input"], "target": "out"}
    said = message(write_card(tmp_path, rows, answer_pattern="(x)?answer", **card))
    assert "answer_pattern '(x)?answer' finds no answer in the target 'answer 0'" in said


def test_a_right_choice_that_is_wrong_too_is_left_out_and_counted(tmp_path: Path) -> None:
    card: dict[str, Any] = {"kind": "multiple_choice", "labels": None, "inputs": {"question": "q"}, "target": "key", "choices": "options"}
    rows = [{"q": f"question {i}?", "options": ["x", "y", "x" if i < 3 else "z", "w", "w"], "key": "A"} for i in range(30)]
    task = load_task(write_card(tmp_path, rows, **card))
    assert task.dropped == {"right choice that stands among the wrong ones, too": 3}
    rows[4]["options"] = ["x", " "]
    assert "all.jsonl:5: task 'toy': a choice must not be empty" in message(write_card(tmp_path, rows, **card))


def test_a_question_with_other_wrong_choices_is_not_shown_when_it_is_asked(tmp_path: Path) -> None:
    card: dict[str, Any] = {"kind": "multiple_choice", "labels": None, "inputs": {"question": "q"}, "target": "key", "choices": "options"}
    asked = [{"id": "t", "q": "Where do snakes live?", "options": ["trees", "turf", "lakes"], "key": "B"}]
    leak = {"id": "leak", "q": "Where do snakes live", "options": ["rivers", "Turf", "sky"], "key": "B"}
    other = {"id": "other", "q": "Where do snakes live?", "options": ["rivers", "holes"], "key": "B"}  # another answer: another question
    rows = {"train": [leak, other, {"id": "x", "q": "And you?", "options": ["a", "b"], "key": "A"}], "test": asked}
    task = load_task(write_card(tmp_path, rows, splits=GIVEN, **card))
    assert task.dropped == {"also in test": 1}
    assert task.splits["demonstration"].ids == ["other", "x"]


def test_labels_without_rows(tmp_path: Path) -> None:
    three = {"bad": "bad", "good": "good", "ugly": "ugly"}
    task = load_task(write_card(tmp_path, reviews(40), labels=three))
    assert task.remarks == ("no row has label 'ugly', which every query still has as a candidate",)
    rows = {"train": reviews(10), "test": [{"text": "one", "label": "ugly"}]}
    task = load_task(write_card(tmp_path, rows, splits=GIVEN, labels=three))
    assert task.remarks == ("the split demonstration has no row with label 'ugly'", "the split test has no row with labels 'bad', 'good'")
    only = [{"text": f"text {i}", "label": "good"} for i in range(20)]
    assert "the data must have at least two of the labels, but no row has label 'bad'" in message(write_card(tmp_path, only))
    assert load_task(write_card(tmp_path, reviews(40))).remarks == ()


def test_rows_between_the_percents_are_counted(tmp_path: Path) -> None:
    splits = {"demonstration": {"from": "all", "part": "0-30"}, "test": {"from": "all", "part": "60-100"}}
    task = load_task(write_card(tmp_path, reviews(60), splits=splits))
    assert sum(map(len, task.splits.values())) + task.dropped["outside the percents of every split"] == 60


def test_an_empty_split_says_where_its_rows_went(tmp_path: Path) -> None:
    rows = {"train": reviews(4), "test": [{"text": " ", "label": "bad"}]}
    assert "of 0 rows; left out: 1 empty text)" in message(write_card(tmp_path, rows, splits=GIVEN))


def test_the_fingerprint_is_the_tasks_not_the_files(tmp_path: Path) -> None:
    first = load_task(write_card(tmp_path, reviews(20)))
    path = write_card(tmp_path, reviews(20), notes="A remark.", citation="Nobody, 2026", licence="CC0-1.0")
    path.write_text("# a comment\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_task(path).fingerprint == first.fingerprint
    jsonl(tmp_path / "moved.jsonl", reviews(20))
    assert load_task(write_card(tmp_path, [], source={"type": "files", "path": "moved.jsonl"})).fingerprint == first.fingerprint
    for change in ({"labels": {"good": "good", "bad": "bad"}}, {"labels": {"bad": "poor", "good": "good"}}, {"metrics": ["mcc"]}):
        assert load_task(write_card(tmp_path, reviews(20), **change)).fingerprint != first.fingerprint


def test_the_command_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = csv_card(tmp_path, GOOD.replace(",", ";"))
    assert main(["evaluate", str(path), "--out", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
    assert main(["tasks", "show", str(tmp_path)]) == 2
    assert f"but {tmp_path} is no file" in capsys.readouterr().err
