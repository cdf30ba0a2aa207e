"""Task cards: what is accepted, and that every complaint is one line with file and line number."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.card import TaskCard
from tasks.cardfile import load_card
from tasks.cardyaml import MAX_BYTES
from tasks.errors import IclError
from tasks.load import LIBRARY, library_names

GOOD = """\
name: reviews
kind: classification
description: Is a review good or bad?
source:
  type: files
  path: reviews.csv
splits:
  demonstration: {from: all, part: 0-60}
  test: {from: all, part: 60-100}
inputs:
  text: body
target: stars
labels:
  bad: bad
  good: good
"""


def card_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my_task.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(tmp_path: Path, text: str) -> str:
    path = card_file(tmp_path, text)
    with pytest.raises(IclError) as caught:
        load_card(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path)).removeprefix(":")


def test_good_card(tmp_path: Path) -> None:
    card = load_card(card_file(tmp_path, GOOD))
    assert card.name == "reviews"
    assert list(card.labels) == ["bad", "good"]
    assert card.inputs == {"text": ("body",)}
    assert card.splits["test"].of("hub").bounds == (60, 100)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("labels:", "lables:", "13: unknown key 'lables', did you mean 'labels'?"),
        ("  path: reviews.csv", "  pth: reviews.csv", "6: unknown key 'pth', did you mean 'path'?"),
        ("description: Is a review good or bad?\n", "", "1: missing key 'description'"),
        ("  type: files\n", "", "4: missing key 'type' in 'source': one of hub, files, package, generator"),
        ("type: files", "type: hub\n  repo: a/b", "7: unknown key 'path', known: type, repo, config, revision, mirror"),
        ("part: 0-60", "prt: 0-60", "8: unknown key 'prt', did you mean 'part'?"),
        ("{from: all, part: 0-60}", "{part: 0-60}", "8: missing key 'from' in 'demonstration'"),
        ("part: 60-100", "part: 50-100", "7: splits must not share rows"),
        ("part: 60-100", "part: 100-60", "9: part must be two percents in rising order"),
        ("demonstration: {from", "test: {from", "9: key 'test' stands twice (first on line 8)"),
        (
            "kind: classification",
            "kind: clasification",
            "2: kind: must be one of classification, multiple_choice, generation (did you mean 'classification'?), but got 'clasification'",
        ),
        ("  good: good", "  good: bad", "13: labels must have label words that differ"),
        ("  bad: bad\n  good: good", "  bad: bad", "13: labels must list at least two labels"),
        ("  good: good", "  good: yes", "15: good: must be text, but YAML reads an unquoted yes/no"),
        (
            "target: stars",
            "target: {field: stars, at_least: {god: 1}}",
            "13: labels must list every label that the card names, but not god",
        ),
        ("target: stars\n", "", "1: target is missing"),
        ("target: stars", "target: [", ": not valid YAML"),
        (
            "name: reviews",
            "name: re views",
            "1: name: must be letters, digits, '.', '_' and '-', and begin with a letter or a digit, but got 're views'",
        ),
        ("name: reviews", "name: 'a\tb\n", "not valid YAML"),
    ],
)
def test_complaints_name_the_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert expected in complaint(tmp_path, GOOD.replace(old, new))


SPLITS = GOOD[GOOD.index("splits:") : GOOD.index("inputs:")]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # Numbers and truth values that YAML makes of words.
        ("  bad: bad", "  1.10: bad", "14: labels must be texts, but YAML reads 1.10 as the number 1.1; quote it"),
        ("  bad: bad", "  010: bad", "14: labels must be texts, but YAML reads 010 as the number 8; quote it"),
        ("  bad: bad", "  2024-01-01: bad", "13: labels: must be text, but got datetime.date(2024, 1, 1); quote it"),
        ("labels:", "notes: 2024-13-01\nlabels:", "13: '2024-13-01' cannot be read (month must be in 1..12); quote it"),
        ("labels:", "licence: 2.0\nlabels:", "13: licence: must be text, but got 2.0; quote it"),
        ("part: 60-100", "part: 60", "9: part: must be two percents such as 0-60, but got 60"),
        # Words.
        ("  bad: bad", "  bad: ' bad'", "13: labels must be one line without white space around it, but got 'bad': ' bad'"),
        ("  bad: bad", "  bad: ''", "13: labels must be one line without white space around it, but got 'bad': ''"),
        ("  bad: bad\n  good: good", "  [good, good]", "13: labels: must be a list of different names, but good stands twice"),
        ("labels:", "label_aliases: {good: bad}\nlabels:", "13: label_aliases must be other spellings, but good is a label of its own"),
        # The answer must not stand among what is shown.
        ("  text: body", "  text: body\n  hint: stars", "10: inputs must not show the answer, but 'hint' takes the column 'stars'"),
        ("  text: body", "  choices: body", "10: inputs must not be called choices, which means something else in a template"),
        ("  text: body", "  text: 3", "11: text: must be the name of a column or a list of names, but got 3; quote a number"),
        ("inputs:\n  text: body", "inputs: {}", "10: inputs: must not be empty"),
        # Thresholds.
        ("target: stars", "target: {field: stars, at_least: {good: 1, bad: 1}}", "12: at_least thresholds must differ"),
        ("target: stars", "target: {field: stars, at_least: {good: .nan}}", "12: at_least thresholds must be finite numbers, but got nan"),
        ("target: stars", "target: {field: stars, at_least: {good: yes}}", "12: good: must be a number, but got True"),
        ("target: stars", "target: {field: stars, at_least: {good: 1}}", "13: labels must be reached by a threshold each, but none"),
        # Keys that another key makes meaningless.
        ("labels:", "stop: [x]\nlabels:", "13: stop is for kind generation, but the kind is classification"),
        ("labels:", "choices: body\nlabels:", "13: choices are for kind multiple_choice, but the kind is classification"),
        ("labels:", "metrics: [accuracy, accuracy]\nlabels:", "13: metrics must differ, but got accuracy, accuracy"),
        ("labels:", "metrics: accuracy\nlabels:", "13: metrics: must be a list, but got 'accuracy'"),
        # Sources.
        ("path: reviews.csv", "path: reviews.csv\n  delimiter: '||'", "7: delimiter must be one character"),
        ("path: reviews.csv", "path: reviews.csv\n  delimiter: '\"'", "7: delimiter must be one character"),
        ("path: reviews.csv", "path: reviews.jsonl\n  delimiter: ';'", "7: delimiter is for CSV files, but the card names none"),
        ("path: reviews.csv", "path: reviews.csv\n  format: excel", "7: format: must be one of csv, jsonl, parquet, but got 'excel'"),
        ("type: files", "type: file", "4: source: 'type' must be one of hub, files, package, generator"),
        ("source:\n  type: files\n  path: reviews.csv", "source: reviews.csv", "4: source: must be a mapping of keys to values"),
        ("type: files\n  path: reviews.csv", "type: hub\n  repo: a/b\n  mirror: ../../etc", "7: mirror: must be letters, digits"),
        ("type: files\n  path: reviews.csv", "type: hub\n  repo: a/b\n  revision: ../x", "7: revision: must be a branch, a tag or a com"),
        ("type: files\n  path: reviews.csv", "type: hub\n  repo: a/b\n  config: ../x", "7: config: must be a name without slashes"),
        ("type: files\n  path: reviews.csv", "type: hub\n  repo: /etc", "6: repo: must be a repository's name such as owner/name"),
        ("{from: all, part: 60-100}", "'all[60%:]'", "9: test: must be letters, digits"),
        (SPLITS, "splits: {demonstration: {from: all, part: 0-60}, tset: all}\n", "(did you mean 'test'?), but got 'tset'"),
        ("description: Is a review good or bad?", 'description: "\\e[2J"', "3: description: must be one line of text that is not empty"),
        ("labels:", 'notes: "\\e[2J"\nlabels:', r"13: notes: must be plain text, but holds the control character '\x1b'"),
        # What YAML itself allows.
        ("labels:", "notes: !!timestamp foo\nlabels:", "13: YAML tags (tag:yaml.org,2002:timestamp) are not allowed"),
        ("labels:", '"\\e[31mred": 1\nlabels:', r"13: unknown key '\x1b[31mred'"),
        ("labels:", "x" * 1000 + ": 1\nlabels:", f"13: unknown key '{'x' * 60}…'"),
        ("labels:", "notes: \x07\nlabels:", "13: not valid YAML: the character U+0007 must not stand in a text file"),
        ("labels:", f"notes: {'9' * 5000}\nlabels:", "13: '9999"),
        ("  good: good", "  good: good\n---\na: 1", "16: not valid YAML: but found another document"),
    ],
)
def test_mistakes_that_would_pass_or_mislead(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    message = complaint(tmp_path, GOOD.replace(old, new, 1))
    assert expected in message
    assert len(message) < 500


def test_mistakes_of_generation_cards(tmp_path: Path) -> None:
    text = GOOD.replace("kind: classification", "kind: generation").split("labels:", maxsplit=1)[0]
    for new, expected in {
        "stop: ['']": "13: stop must list texts that are not empty",
        "distractors: yes": "13: distractors: must be a whole number, but got True",
        "max_new_tokens: '16'": "13: max_new_tokens: must be a whole number, but got '16'",
        "answer_pattern: '(a)'\nanswers: x": "14: answers cannot stand beside answer_pattern",
        "answer_pattern: '(a)'\ndistractors: 3": "14: distractors cannot stand beside answer_pattern",
        "answer_pattern: 'a{99999999999999}(b)'": "13: answer_pattern is not a regular expression",
    }.items():
        assert expected in complaint(tmp_path, text + new + "\n")
    assert load_card(card_file(tmp_path, text + 'stop: "."\n')).stop == (".",)
    choices = text.replace("kind: generation", "kind: multiple_choice")
    assert "target must be left out where choices name" in complaint(tmp_path, choices + "choices: {correct: a, incorrect: b}\n")
    assert "choices: give either" in complaint(tmp_path, choices + "choices: {texts: a, correct: b, incorrect: c}\n")


def test_a_big_card_takes_seconds_at_most(tmp_path: Path) -> None:
    assert "unknown key 'a'" in complaint(tmp_path, f"a: [{'1,' * (MAX_BYTES // 2 - 10)}]")
    assert "stands twice" in complaint(tmp_path, "a: 1\n" * (MAX_BYTES // 6))


@pytest.mark.parametrize("text", [GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path: Path, text: str) -> None:
    path = tmp_path / "card.yaml"
    path.write_bytes(text.encode("utf-8"))
    assert load_card(path) == load_card(card_file(tmp_path, GOOD))


def test_more_than_one_complaint_is_counted(tmp_path: Path) -> None:
    assert complaint(tmp_path, GOOD.replace("labels:", "lables:").replace("inputs:", "input:")).endswith("(and 2 more)")


def test_aliases_are_refused(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    assert "2: YAML aliases (*a) are not allowed" in complaint(tmp_path, bomb)


def test_deep_nesting_is_refused_before_it_exhausts_the_stack(tmp_path: Path) -> None:
    assert "nest at most" in complaint(tmp_path, "a: " + "[" * 100_000)


def test_size_is_bounded(tmp_path: Path) -> None:
    assert f"at most {MAX_BYTES} bytes" in complaint(tmp_path, "# " + "x" * MAX_BYTES)


def test_python_tags_are_refused(tmp_path: Path) -> None:
    assert "1: YAML tags (tag:yaml.org,2002:python/object/apply:os.getcwd) are not allowed" in complaint(
        tmp_path, "name: !!python/object/apply:os.getcwd []\n"
    )


def test_wrong_encoding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_bytes(b"name: x\ndescription: caf\xe9\n")
    with pytest.raises(IclError, match=r"card\.yaml:2: a task card must be UTF-8, but byte 0xe9 is not"):
        load_card(path)


@pytest.mark.parametrize("text", ["", "- a\n", "just text\n"])
def test_a_card_is_a_mapping(tmp_path: Path, text: str) -> None:
    assert "a task card must be a mapping" in complaint(tmp_path, text)


def test_choices_in_one_of_two_ways(tmp_path: Path) -> None:
    text = GOOD.replace("kind: classification", "kind: multiple_choice").split("labels:", maxsplit=1)[0]
    assert "choices must be given for kind multiple_choice" in complaint(tmp_path, text)
    assert "give either 'texts'" in complaint(tmp_path, text + "choices: {texts: a, correct: b}\n")
    assert load_card(card_file(tmp_path, text + "choices: options\n")).choices is not None


def test_answer_pattern_needs_a_group(tmp_path: Path) -> None:
    text = GOOD.replace("kind: classification", "kind: generation").split("labels:", maxsplit=1)[0]
    assert "answer_pattern must have a group" in complaint(tmp_path, text + "answer_pattern: '[0-9]+'\n")
    assert "13: answer_pattern is not a regular expression" in complaint(tmp_path, text + "answer_pattern: '('\n")


@pytest.fixture(scope="module")
def library() -> dict[str, TaskCard]:
    return {name: load_card(LIBRARY / f"{name}.yaml") for name in library_names()}


def test_library_is_complete(library: dict[str, TaskCard]) -> None:
    asked = """movie-sentiment product-sentiment editorial-sentiment tweet-sentiment country-capital country-region past-tense plural
    element-symbol sst2 sst5 rotten_tomatoes trec ag_news dbpedia_14 rte cb boolq wic financial_phrasebank sms_spam banking77 clinc_oos
    gsm8k arc_easy arc_challenge openbookqa commonsense_qa mmlu truthful_qa"""
    assert set(asked.split()) <= set(library)
    for name, card in library.items():
        assert card.name == name
        assert card.licence != "not stated"
        assert card.citation != "not stated"
        assert card.template


def test_relations_are_known_and_overlaps_mutual(library: dict[str, TaskCard]) -> None:
    for name, card in library.items():
        assert set(card.related) | set(card.overlaps) <= set(library) - {name}
        assert not set(card.related) & set(card.overlaps)
        for other in card.overlaps:
            assert name in library[other].overlaps
        # Two related tasks must not both overlap a third: what is trained on would hold what is tested.
        assert not any(set(library[other].overlaps) & {name} for other in card.related)
