"""Own data: files beside a card, labels, splits, and every mistake in one line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from taskfiles import reviews, write_card

from tasks.errors import DataError, IclError
from tasks.load import find_card, load_task
from tasks.normalise import bucket, example_key, normalise

GIVEN = {"demonstration": "train", "test": "test"}


def error(path: Path, kind: type[IclError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        load_task(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_normalise() -> None:
    assert normalise("  It’s GOOD, really!\n") == normalise("its good really") == "its good really"
    assert normalise("ﬁne") == "fine"
    assert normalise("Straße") == normalise("STRASSE")
    assert normalise(":-)") != normalise(":-(")
    assert len({normalise(text) for text in ("5-3", "53", "5+3", "5/3")}) == 4


def test_splits_never_straddle(tmp_path: Path) -> None:
    rows = [
        {"text": variant.format(i), "label": ("bad", "good")[i % 2]}
        for i in range(60)
        for variant in ("number {} is fine", "Number {} is fine!", "number {} IS fine ...")
    ]
    task = load_task(write_card(tmp_path, rows))
    keys = {role: {example_key(e, task.kind) for e in split} for role, split in task.splits.items()}
    assert not keys["demonstration"] & keys["test"]
    assert sum(map(len, keys.values())) == 60
    assert task.dropped == {"duplicate text": 120}
    assert all(bucket(key) < 60 for key in keys["demonstration"])
    assert all(bucket(key) >= 60 for key in keys["test"])


def test_conflicting_duplicates_are_dropped(tmp_path: Path) -> None:
    rows = [*reviews(40), {"id": "x", "text": "Review number 3!", "label": "bad"}]
    task = load_task(write_card(tmp_path, rows))
    assert task.dropped == {"same text with different answers": 2}
    assert "review number 3" not in {e.inputs["text"] for split in task.splits.values() for e in split}


def test_a_text_of_the_test_split_never_reaches_the_prompt(tmp_path: Path) -> None:
    rows = {
        "train": [*reviews(10), {"id": "leak", "text": "OH NO.", "label": "bad"}],
        "test": [{"id": "t", "text": "oh, no", "label": "bad"}],
    }
    task = load_task(write_card(tmp_path, rows, splits=GIVEN))
    assert task.dropped == {"also in test": 1}
    assert "leak" not in task.splits["demonstration"].ids
    assert task.splits["test"].ids == ["t"]


@pytest.mark.parametrize("value", [1, "1", "good", "pos", 1.0, "1 "])
def test_labels_by_id_name_and_alias(tmp_path: Path, value: Any) -> None:
    rows = {"train": [{"text": "a", "label": value}], "test": [{"text": "b", "label": 0}]}
    task = load_task(write_card(tmp_path, rows, splits=GIVEN, label_aliases={"pos": "good"}))
    assert task.splits["demonstration"].targets == ["good"]
    assert task.splits["test"].targets == ["bad"]


def test_digits_that_are_names_are_names(tmp_path: Path) -> None:
    rows = {"train": [{"text": "a", "label": 1}], "test": [{"text": "b", "label": "2"}]}
    task = load_task(write_card(tmp_path, rows, splits=GIVEN, labels={"1": "one star", "2": "two stars"}))
    assert task.splits["demonstration"].targets == ["1"]
    assert task.splits["test"].targets == ["2"]


@pytest.mark.parametrize("value", ["great", 2, -1, None, True, "01x", "²"])
def test_unlisted_label_names_value_row_and_labels(tmp_path: Path, value: Any) -> None:
    rows = [*reviews(5), {"id": "r99", "text": "odd one", "label": value}]
    message = error(write_card(tmp_path, rows))
    assert "row r99" in message
    assert repr(value) in message
    assert "known: bad, good" in message


def test_thresholds(tmp_path: Path) -> None:
    rows = {
        "train": [{"id": str(x), "text": f"text {i}", "r": x} for i, x in enumerate([-1.0, -0.99, 0.0, "1.0", 3])],
        "test": [{"id": "u", "text": "u", "r": 2}],
    }
    target = {"field": "r", "at_least": {"good": 1.0}, "at_most": {"bad": -1.0}}
    task = load_task(write_card(tmp_path, rows, splits=GIVEN, target=target))
    assert dict(zip(task.splits["demonstration"].ids, task.splits["demonstration"].targets, strict=True)) == {
        "-1.0": "bad",
        "1.0": "good",
        "3": "good",
    }
    assert task.dropped == {"rating between the thresholds": 2}
    rows["train"].append({"id": "n", "text": "v", "r": "nan"})
    assert "row n: a rating must be a finite number" in error(write_card(tmp_path, rows, splits=GIVEN, target=target))


def test_multiple_choice(tmp_path: Path) -> None:
    def row(i: int, **more: Any) -> dict[str, Any]:
        return {"id": f"q{i}", "question": f"question {i}?", **more}

    common: dict[str, Any] = {"kind": "multiple_choice", "labels": None, "inputs": {"question": "question"}, "splits": GIVEN}
    options = {"text": ["red", "blue"], "label": ["1", "2"]}
    rows = {"train": [row(0, choices=options, key="2")], "test": [row(1, choices=options, key="1")]}
    keyed = load_task(write_card(tmp_path, rows, target="key", choices={"texts": "choices.text", "keys": "choices.label"}, **common))
    assert [e.target for e in keyed.splits["demonstration"]] == ["B"]
    assert keyed.splits["test"][0].choices == ("red", "blue")
    rows = {"train": [row(0, options=["x", "y"], key=1)], "test": [row(1, options=["x", "y"], key="A")]}
    listed = load_task(write_card(tmp_path, rows, target="key", choices="options", **common))
    assert [split[0].target for split in listed.splits.values()] == ["B", "A"]
    apart = {role: [row(i, yes="right", no=["w1", "w2", "w3"]) for i in ids] for role, ids in {"train": range(40), "test": [99]}.items()}
    task = load_task(write_card(tmp_path, apart, target=None, choices={"correct": "yes", "incorrect": "no"}, **common))
    letters = [e.target for e in task.splits["demonstration"]]
    assert set(letters) == set("ABCD")
    assert all(e.choices["ABCD".index(e.target)] == "right" for e in task.splits["demonstration"])
    rows = {"train": [row(0, options=["x", "y"], key="C")], "test": [row(1, options=["x", "y"], key="A")]}
    assert "row q0: the right answer must be one of the choices A, B, but got 'C'" in error(
        write_card(tmp_path, rows, target="key", choices="options", **common)
    )


def test_generation_with_distractors(tmp_path: Path) -> None:
    rows = [{"id": f"w{i}", "input": f"word {i}", "out": f"out {i % 50}", "also": [f"OUT {(i + 1) % 50}"]} for i in range(100)]
    card: dict[str, Any] = {"kind": "generation", "labels": None, "inputs": ["input"], "target": "out", "answers": "also"}
    task = load_task(write_card(tmp_path, rows, distractors=3, **card))
    for split in task.splits.values():
        targets = set(split.targets)  # of the same split, so that the context has shown none of the choices, or any of them
        for e in split:
            assert len(set(e.choices)) == 4
            assert e.choices.count(e.target) == 1
            wrong = [choice for choice in e.choices if choice != e.target]
            assert set(wrong) <= targets
            assert not {text.casefold() for text in wrong} & {text.casefold() for text in e.answers}
    assert len({e.choices.index(e.target) for e in task.splits["test"]}) == 4
    few = error(write_card(tmp_path, rows[:24], distractors=9, **card))
    assert "needs 9 distractors, but its split test has" in few
    assert "set distractors to at most" in few


def test_answers_that_rows_share_are_wrong_choices_as_often_as_right_ones(tmp_path: Path) -> None:
    rows = [{"id": f"w{i}", "input": f"word {i}", "out": "often" if i % 2 else ("rare", "seldom")[i // 2 % 2]} for i in range(900)]
    card: dict[str, Any] = {"kind": "generation", "labels": None, "inputs": ["input"], "target": "out"}
    first = load_task(write_card(tmp_path, rows, distractors=1, **card)).splits["test"]
    wrong = [choice for e in first for choice in e.choices if choice != e.target and e.target != "often"]
    assert 0.58 < wrong.count("often") / len(wrong) < 0.75  # 1/2 : 1/4 of the rows, not one half as in a draw of different answers
    again = load_task(write_card(tmp_path, list(reversed(rows)), distractors=1, **card)).splits["test"]
    assert {e.id: e.choices for e in again} == {e.id: e.choices for e in first}
    assert "set distractors to at most 2" in error(write_card(tmp_path, rows, distractors=3, **card))


def test_answer_pattern_takes_the_last_match_without_separators(tmp_path: Path) -> None:
    rows = {"train": [{"input": "q", "out": "#### 3\n#### 1,234"}], "test": [{"input": "r", "out": "#### 7"}]}
    card: dict[str, Any] = {"kind": "generation", "labels": None, "inputs": ["input"], "target": "out", "splits": GIVEN}
    task = load_task(write_card(tmp_path, rows, answer_pattern="#### ([0-9,]+)", **card))
    assert task.splits["demonstration"][0].answers == ("1234", "1,234")
    rows["test"][0]["out"] = "seven"
    assert "answer_pattern" in error(write_card(tmp_path, rows, answer_pattern="#### ([0-9,]+)", **card))


def test_csv_with_quotes_line_breaks_and_mark(tmp_path: Path) -> None:
    with (tmp_path / "data.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([f'she said "{i}",\nand left; caf\u00e9', ("bad", "good")[i % 2]] for i in range(20))
    task = load_task(write_card(tmp_path, [], source={"type": "files", "path": "data.csv"}))
    assert task.splits["demonstration"][0].inputs["text"].endswith(",\nand left; café")


def test_broken_csv_names_line_and_row(tmp_path: Path) -> None:
    source = {"type": "files", "path": "data.csv"}
    (tmp_path / "data.csv").write_text("text,label\na,good\nb,good,extra\n", encoding="utf-8")
    assert error(write_card(tmp_path, [], source=source)) == "data.csv:3: row 2 has 3 cells, but the header has 2"
    (tmp_path / "data.csv").write_text('text,label\n"a,good\n', encoding="utf-8")
    assert "data.csv:2: row 1 is malformed" in error(write_card(tmp_path, [], source=source))
    (tmp_path / "data.csv").write_bytes(b"text,label\na,good\ncaf\xe9,bad\n")
    assert error(write_card(tmp_path, [], source=source)) == "data.csv:3: must be UTF-8, but byte 0xe9 is not; save the file as UTF-8"
    (tmp_path / "data.csv").write_text("", encoding="utf-8")
    assert "the file is empty" in error(write_card(tmp_path, [], source=source))


def test_broken_jsonl_names_the_line(tmp_path: Path) -> None:
    path = write_card(tmp_path, reviews(5))
    (tmp_path / "all.jsonl").write_text('{"text": "a", "label": 0}\n{"text": \n', encoding="utf-8")
    assert error(path).startswith("all.jsonl:2: not valid JSON")
    (tmp_path / "all.jsonl").write_text("[1]\n", encoding="utf-8")
    assert error(path) == "all.jsonl:1: every line must be a JSON object, but this is a list"


def test_unicode_line_separators_stay_inside_a_text(tmp_path: Path) -> None:
    rows = [{"text": f"one\u2028two\x85three {i}", "label": ("bad", "good")[i % 2]} for i in range(20)]
    task = load_task(write_card(tmp_path, rows))
    assert task.splits["demonstration"][0].inputs["text"].startswith("one\u2028two\x85three")


def test_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = write_card(tmp_path, [], source={"type": "files", "path": "data.parquet"})
    pq.write_table(pa.Table.from_pylist(reviews(30)), tmp_path / "data.parquet")
    assert sum(map(len, load_task(path).splits.values())) == 30
    (tmp_path / "data.parquet").write_bytes(b"PAR1 no")
    assert "data.parquet: not a readable Parquet file" in error(path)


@pytest.mark.parametrize("name", ["../secret.jsonl", "/etc/hostname", "link.jsonl", "folder/secret.jsonl"])
def test_files_stay_in_the_cards_directory(tmp_path: Path, name: str) -> None:
    inside, outside = tmp_path / "card", tmp_path / "elsewhere"
    inside.mkdir()
    outside.mkdir()
    for path in (outside / "secret.jsonl", tmp_path / "secret.jsonl"):
        path.write_text('{"text": "secret", "label": 0}\n', encoding="utf-8")
    (inside / "link.jsonl").symlink_to(outside / "secret.jsonl")
    (inside / "folder").symlink_to(outside)
    assert "must lie in its own directory" in error(write_card(inside, [], source={"type": "files", "path": name}))


def test_a_link_inside_the_directory_is_fine(tmp_path: Path) -> None:
    path = write_card(tmp_path, reviews(20), source={"type": "files", "path": "link.jsonl"})
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "all.jsonl")
    assert load_task(path).splits["test"]


def test_missing_things_are_named(tmp_path: Path) -> None:
    assert "there is no column 'body'; the columns are id, text, label" in error(write_card(tmp_path, reviews(3), inputs={"text": "body"}))
    assert "there is none in" in error(write_card(tmp_path, [], source={"type": "files", "path": "no.csv"}))
    assert "uses the split 'dev', but its source has all" in error(
        write_card(tmp_path, reviews(3), splits={"demonstration": "all", "test": "dev"})
    )
    assert "every split must have rows, but test of task 'toy' is empty" in error(
        write_card(tmp_path, {"train": reviews(3), "test": []}, splits=GIVEN)
    )
    rows = [{"id": "r0", "text": None, "label": 0}]
    assert "row r0: column 'text' has no value" in error(write_card(tmp_path, rows))


def test_blank_texts_are_left_out_and_counted(tmp_path: Path) -> None:
    task = load_task(write_card(tmp_path, [*reviews(20), {"id": "b", "text": " \n", "label": 0}]))
    assert task.dropped == {"empty text": 1}


def test_ids(tmp_path: Path) -> None:
    assert set(load_task(write_card(tmp_path, reviews(20))).splits["test"].ids) < {f"r{i}" for i in range(20)}
    rows = [{**row, "id": "same"} for row in reviews(20)]
    assert set(load_task(write_card(tmp_path, rows)).splits["test"].ids) < {f"all:{i}" for i in range(20)}


def test_fingerprint_follows_card_and_data(tmp_path: Path) -> None:
    first = load_task(write_card(tmp_path, reviews(20))).fingerprint
    assert load_task(write_card(tmp_path, reviews(20))).fingerprint == first
    assert load_task(write_card(tmp_path, reviews(21))).fingerprint != first
    assert load_task(write_card(tmp_path, reviews(20), description="Another.")).fingerprint != first


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(IclError, match="unknown task 'movie-sentimnet': did you mean movie-sentiment"):
        find_card("movie-sentimnet")
    with pytest.raises(IclError, match=r"there is no file nowhere/card\.yaml"):
        find_card("nowhere/card.yaml")
