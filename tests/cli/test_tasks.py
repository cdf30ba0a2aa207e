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
