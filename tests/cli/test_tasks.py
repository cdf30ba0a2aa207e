"""`icl tasks` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icl.cli.main import main
from tasks.episodes import read_episodes, resolve
from tasks.load import load_task
from tests.tasks.taskfiles import reviews, write_card


def test_validate_exit_code_is_1_on_errors_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = str(write_card(tmp_path, reviews(40)))
    assert main(["tasks", "validate", card]) == 0
    printed = capsys.readouterr().out
    assert "0 errors, 0 warnings" in printed
    assert "missed with probability" in printed
    write_card(tmp_path, [*reviews(40), {"text": "Review number 1!", "label": "bad"}])
    assert main(["tasks", "validate", card]) == 1
    assert "label noise" in capsys.readouterr().out
    assert main(["tasks", "validate", card, "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert value["errors"] == 1
    assert value["findings"][0]["rule"] == "label noise"
    assert main(["tasks", "validate", "nothing"]) == 2
    assert "unknown task 'nothing'" in capsys.readouterr().err


def test_sampled_episodes_can_be_evaluated(
    own_task: Path, tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = tmp_path / "drawn.jsonl"
    command = ["tasks", "sample", str(own_task), "--to", str(drawn), "--episodes", "2", "--queries", "4", "--pool", "6", "--seed", "3"]
    assert main(command) == 0
    assert f"--episodes-file {drawn}" in capsys.readouterr().out
    episodes = read_episodes(drawn)
    assert [(len(e.support or ()), len(e.query)) for e in episodes] == [(6, 4), (6, 4)]
    before = drawn.read_bytes()
    assert main(command) == 2
    assert "--to must be a new file" in capsys.readouterr().err
    assert drawn.read_bytes() == before
    evaluate = ["evaluate", str(own_task), "--model", str(tiny_model_dir), "--shots", "2", "--episodes-file", str(drawn)]
    assert main([*evaluate, "--out", str(tmp_path / "runs")]) == 0
    (kept,) = (tmp_path / "runs").rglob("episodes.jsonl")
    assert kept.read_bytes() == before


def test_sampled_k_shot_episodes(tmp_path: Path) -> None:
    rows = [{"text": f"this is review number {i}", "label": ("bad", "good", "so-so")[i % 3]} for i in range(90)]
    card = write_card(tmp_path, rows, labels=["bad", "good", "so-so"])
    drawn = tmp_path / "drawn.jsonl"
    command = ["tasks", "sample", str(card), "--to", str(drawn), "--episodes", "6", "--queries", "3", "--k-shot", "2", "--n-way", "2"]
    assert main(command) == 0
    task = load_task(card)
    for episode in read_episodes(drawn):
        support, queries = resolve(episode, task)
        assert len(episode.labels) == 2
        assert sorted(e.target for e in support) == sorted(episode.labels * 2)
        assert len(queries) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pool", "4", "--k-shot", "2"], "leave one out"),
        (["--n-way", "2"], "--n-way needs --k-shot"),
        (["--queries", "all", "--k-shot", "2"], "--queries must be a number"),
        (["--queries", "1000"], "at most"),
        (["--split", "demonstration"], "demonstrations would come from the evaluated rows"),
    ],
)
def test_sample_mistakes_write_nothing(
    own_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["tasks", "sample", str(own_task), "--to", str(tmp_path / "drawn.jsonl"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "drawn.jsonl").exists()


def test_new_guesses_a_card_that_is_evaluated(tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "tickets.csv"
    lines = [f'{i};"ticket number {i}; about a {w}";{w}' for i in range(60) for w in ("bill", "no")]
    data.write_text("id;message;topic\n" + "\n".join(lines) + "\n", encoding="utf-8")
    assert main(["tasks", "new", "tickets", "--data", str(data)]) == 0
    said = capsys.readouterr().err
    for guess in ("delimiter is ';'", "target column is 'topic'", "text column is 'message'", "kind is 'classification'"):
        assert f"guessed: the {guess}" in said
    card = tmp_path / "tickets.yaml"
    task = load_task(card)
    assert task.labels == ("bill", "no")
    assert sum(map(len, task.splits.values())) == 120
    before = card.read_bytes()
    assert main(["tasks", "new", "tickets", "--data", str(data)]) == 2
    assert "must be a new file" in capsys.readouterr().err
    assert card.read_bytes() == before
    small = ["--shots", "2", "--episodes", "2", "--queries", "4", "--out", str(tmp_path / "runs")]
    assert main(["evaluate", str(card), "--model", str(tiny_model_dir), *small]) == 0


def test_new_asks_on_a_terminal_only_for_what_is_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "words.jsonl"
    data.write_text(
        "".join(json.dumps({"word": f"word{i}", "plural": f"word{i}s", "more": "x"}) + "\n" for i in range(40)), encoding="utf-8"
    )
    asked: list[tuple[str, str]] = []

    def answer(what: str, default: str, err: bool) -> str:
        asked.append((what, default))
        return {"text column": "word"}.get(what, default)

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("icl.cli.tasks.typer.prompt", answer)
    assert main(["tasks", "new", "words", "--data", str(data), "--target", "plural", "--to", str(tmp_path / "mine.yaml")]) == 0
    assert asked == [("text column", "word"), ("kind", "generation")]
    task = load_task(tmp_path / "mine.yaml")
    assert (task.kind, task.fields) == ("generation", ("input",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "reviews"], "unknown column 'reviews'"),
        (["--kind", "multiple_choice"], "unknown kind of a new card"),
        (["--text", "label"], "inputs must not show the answer"),
        (["--to", "elsewhere/card.yaml"], "a card must lie beside its data"),
        (["--to", "card.txt"], "must end in .yaml"),
    ],
)
def test_new_mistakes_write_nothing(
    own_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = sorted(tmp_path.iterdir())
    assert main(["tasks", "new", "mine", "--data", str(own_task.parent / "reviews.csv"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_new_names_the_row_without_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "rows.jsonl"
    rows = [{"text": f"row {i}", "label": ("a", "b", None)[i % 3]} for i in range(30)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert main(["tasks", "new", "mine", "--data", str(data)]) == 2
    assert "rows.jsonl:3" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [data]
