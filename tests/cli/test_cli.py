"""The command line as a person uses it: help that loads nothing heavy, one JSON value, one line per mistake, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import icl
from icl.cli.main import main

REPOSITORY = Path(icl.__file__).resolve().parent.parent
RUN = "import sys; from icl.cli.main import main; sys.exit(main(sys.argv[1:]))"


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`icl ARGUMENTS` in a process of its own."""
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, cwd=cwd, env=variables, check=False)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["evaluate", "--help"], ["runs", "--help"], ["compare", "--help"], ["prompts", "--help"]]
)
def test_help_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom icl.cli.main import main\n"
        f"code = main({arguments!r})\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'scipy', 'sklearn', 'altair', 'pyarrow'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("HEAVY []")
    assert "Usage:" in done.stdout


@pytest.fixture
def arguments(own_task: Path, tiny_model_dir: Path) -> list[str]:
    return [
        "evaluate",
        str(own_task),
        "--model",
        str(tiny_model_dir),
        "--shots",
        "2",
        "--episodes",
        "2",
        "--queries",
        "5",
        "--dtype",
        "float32",
    ]


def test_evaluate_then_list_show_prompt_export(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--json"]) == 0
    out = capsys.readouterr().out
    run = json.loads(out)
    assert (run["n_episodes"], run["n_queries"], run["task"]) == (2, 5, "my-sentiment")
    assert Path(run["dir"], "report.html").is_file()

    assert main(arguments) == 0
    text = capsys.readouterr()
    assert "accuracy" in text.out
    assert "report.html" in text.out
    assert "is finished already" in text.err

    assert main(["runs", "list", "--json"]) == 0
    assert [row["run"] for row in json.loads(capsys.readouterr().out)] == [run["run"]]
    assert main(["runs", "list"]) == 0
    assert run["run"] in capsys.readouterr().out
    assert main(["runs", "show", run["run"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == run["metrics"]

    assert main(["runs", "show", run["run"][:16], "--prompt", "--tokens"]) == 0
    shown = capsys.readouterr().out
    assert "Sentiment:⟦ " in shown
    assert "scored from" in shown
    assert main(["runs", "show", run["run"], "--prompt", "--json"]) == 0
    item = json.loads(capsys.readouterr().out)
    assert item["context"].endswith("Sentiment:")
    assert main(["runs", "show", run["run"], "--query", item["query"], "--prompt"]) == 0
    assert item["context"] in capsys.readouterr().out

    assert main(["runs", "export", run["run"], "--to", "scores.jsonl"]) == 0
    records = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(records) == 2 * 5 * 2
    assert set(records[0]) == {
        "episode",
        "query",
        "candidate",
        "text",
        "span",
        "token_ids",
        "scored_from",
        "logprob",
        "target",
        "predicted",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "movie-sentimental"], "unknown task 'movie-sentimental': did you mean movie-sentiment"),
        (["evaluate", "nowhere.yaml"], "nowhere.yaml"),
        (["evaluate", "movie-sentiment", "--queries", "many"], "--queries must be a positive number or 'all', but is 'many'"),
        (["evaluate", "movie-sentiment", "--shots", "-3"], "shots >= 0 must hold, but got -3"),
        (["evaluate", "movie-sentiment", "--shots", "three"], "Invalid value for '--shots'"),
        (["evaluate", "movie-sentiment", "--no-such-option"], "--no-such-option"),
        (["runs", "show", "nothing"], "unknown run 'nothing'"),
        (["models", "info", "builtin:none"], "unknown model 'builtin:none'"),
        (["prompts", "show", "sentiment-plan"], "did you mean sentiment-plain"),
        (["tasks", "show", "mouvie-sentiment"], "did you mean movie-sentiment"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("icl: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert not list(tmp_path.iterdir()), "nothing is written"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kind: classification", "kind: classifcation"), "my_task.yaml:2: "),
        (("target: label\n", ""), "target"),
        (("licence:", "lisence:"), "my_task.yaml:13: unknown key 'lisence', did you mean 'licence'?"),
        (("positive: positive}", "pos: positive}"), "positive"),
        (("part: 0-50", "part: 0-80"), "80"),
        (("path: reviews.csv", "path: ../../../etc/passwd"), "must lie in its own directory"),
        (("path: reviews.csv", "path: none.csv"), "none.csv"),
        (("text: review", "text: reviews"), "reviews"),
        (("labels: {", "labels: ["), "my_task.yaml:1"),
    ],
)
def test_a_broken_card_is_said_with_its_place(
    change: tuple[str, str], message: str, own_task: Path, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = own_task.read_text(encoding="utf-8")
    assert change[0] in text
    own_task.write_text(text.replace(*change), encoding="utf-8")
    assert main([*arguments, "--out", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" not in command("evaluate", "nothing", cwd=tmp_path).stderr
    assert "Traceback" in command("evaluate", "nothing", "--debug", cwd=tmp_path).stderr


def test_a_shadowing_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("", encoding="utf-8")
    code = "import sys\nimport icl.cli.main as m\nsys.path.insert(0, sys.argv[1])\nimport importlib; importlib.invalidate_caches(); sys.modules.pop('tasks', None)\nsys.exit(m.main(['--help']))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert done.returncode == 2
    assert f"shadowed by {tmp_path / 'tasks.py'}" in done.stderr


def test_a_place_that_cannot_be_written_is_one_line(arguments: list[str], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    done = command(*arguments, "--out", str(blocked / "runs"), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("icl: cannot write")


def test_an_interrupted_run_is_kept_and_named(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, icl.runs.store as store\ncommit = store.Draft.commit\n"
        "def cut(self, *a):\n    commit(self, *a)\n    raise KeyboardInterrupt\n"
        "store.Draft.commit = cut\n" + RUN
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert done.returncode == 130
    assert "finished episodes are kept in runs/my-sentiment-" in done.stderr
    assert "Traceback" not in done.stderr
    assert "icl runs resume runs/my-sentiment-" in done.stderr
    assert done.stderr.count("\n") == 1
    unknown = command("runs", "resume", "nothing", cwd=tmp_path)
    assert (unknown.returncode, "unknown unfinished run 'nothing'" in unknown.stderr) == (2, True)
    again = command("runs", "resume", "my-sentiment", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    run = json.loads(again.stdout)
    assert run["n_episodes"] == 2
    found = command(*arguments, "--json", cwd=tmp_path)
    assert json.loads(found.stdout)["run"] == run["run"], "the command that began it finds it finished"


def test_cache_info_and_prune(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from icl.engine.store import ScoreStore, store_path

    ScoreStore(store_path()).put([(b"key", b"value")])
    assert main(["cache", "info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["scores"], facts["score_store"]) == (1, str(store_path()))
    assert main(["cache", "prune", "--older-than", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dropped"] == 1
    assert main(["cache", "info"]) == 0
    assert "scores             0" in capsys.readouterr().out


def test_lists_print_one_json_value(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (["tasks", "list"], "movie-sentiment"),
        (["prompts", "list"], "sentiment-plain"),
        (["models", "list"], "builtin:smollm2-135m"),
    ):
        assert main([*arguments, "--json"]) == 0
        assert expected in {row["name"] for row in json.loads(capsys.readouterr().out)}
        assert main(arguments) == 0
        assert expected in capsys.readouterr().out
    assert main(["prompts", "show", "sentiment-plain"]) == 0
    assert "{% block query %}" in capsys.readouterr().out
