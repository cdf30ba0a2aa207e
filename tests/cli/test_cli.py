"""The command line as a person uses it: help that loads nothing heavy, one JSON value, one line per mistake, exit codes."""

from __future__ import annotations

import errno
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    "arguments", [["--help"], ["evaluate", "--help"], ["runs", "--help"], ["compare", "--help"], ["prompts", "--help"], ["sweep", "--help"]]
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


@pytest.mark.parametrize("name", ["tasks.py", "prompts.py", "compare.py"])
def test_a_shadowing_file_is_named_to_a_script_too(tmp_path: Path, name: str) -> None:
    """Beside a script of the user's, whose directory Python searches first."""
    (tmp_path / name).write_text("", encoding="utf-8")
    script = tmp_path / "mine.py"
    script.write_text("from icl import RunSpec, evaluate\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: the package '{name.removesuffix('.py')}' of icl-lab is shadowed by {tmp_path / name}; rename")
    (tmp_path / name).unlink()
    assert subprocess.run([sys.executable, str(script)], capture_output=True, env=environment, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [([], "Usage: icl [OPTIONS]"), (["runs"], "Usage: icl runs"), (["models"], "Usage: icl models"), (["cache"], "Usage: icl cache")],
)
def test_without_a_command_the_help_is_shown_as_help(arguments: list[str], usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(usage)
    assert "\nCommands:\n  " in said.err
    assert len(said.err.splitlines()) > 6


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("icl-lab ")


def test_every_environment_variable_is_documented_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for package in ("tasks", "prompts", "icl", "compare")
        for path in (REPOSITORY / package).rglob("*.py")
    )
    used = set(re.findall(r"\bICL_[A-Z_]+\b", source))
    table = (REPOSITORY / "docs" / "runs.md").read_text(encoding="utf-8")
    assert used == set(re.findall(r"^\| `(ICL_[A-Z_]+)`", table, re.MULTILINE))
    assert main(["--help"]) == 0
    assert used == set(re.findall(r"ICL_[A-Z_]+", capsys.readouterr().out))


def test_the_help_names_what_the_tables_hold() -> None:
    """The help loads no table, so its lists are written by hand."""
    from typing import get_type_hints

    from compare.learners import LEARNERS
    from compare.types import DEFAULT_LEARNERS
    from icl.calibration import CALIBRATORS, OF_LABELS
    from icl.cli import compare as compare_command
    from icl.cli import evaluate as evaluate_command
    from icl.prepare import DEFAULT_CALIBRATIONS
    from icl.selection import SELECTORS

    def said(command: object, option: str) -> list[str]:
        (info,) = get_type_hints(command, include_extras=True)[option].__metadata__
        listed = re.sub(r"\[.*\]", "", info.help).split(": ")[-1].split("fixed:ID")[0]
        return [name for name in re.findall(r"[a-z][\w-]*", listed) if name != "or"]

    evaluating, comparing = evaluate_command.command, compare_command.command
    assert said(evaluating, "selector") == list(SELECTORS)
    assert said(evaluating, "calibration") == list(CALIBRATORS)
    assert said(comparing, "calibration") == [name for name, of in CALIBRATORS.items() if of.needs not in OF_LABELS]
    assert said(comparing, "learners") == list(LEARNERS)
    assert inspect.signature(comparing).parameters["learners"].default == ",".join(DEFAULT_LEARNERS)
    assert [name for name in LEARNERS if name in DEFAULT_LEARNERS] == list(DEFAULT_LEARNERS)
    assert list(CALIBRATORS)[:4] == list(DEFAULT_CALIBRATIONS), "as the help of --calibration says"


LONG = "a" * 300


def places(directory: Path) -> None:
    """A file, a folder, and a link that leads to itself."""
    (directory / "file").write_text("", encoding="utf-8")
    (directory / "folder").mkdir()
    (directory / "loop").symlink_to("loop")


def one_line(done: subprocess.CompletedProcess[str] | pytest.CaptureFixture[str]) -> str:
    """The line on stderr, which is the only one."""
    said = done.readouterr().err if isinstance(done, pytest.CaptureFixture) else done.stderr
    assert said.count("\n") == 1, said
    assert said.startswith("icl: ")
    return said


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("file/runs", "Not a directory"),
        ("file", "File exists"),
        ("loop/runs", "Too many levels of symbolic links"),
        (LONG, "File name too long"),
        ("/proc/none", "No such file or directory"),
    ],
)
def test_an_out_that_cannot_be_written_is_one_line(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    places(tmp_path)
    assert main([*arguments, "--out", out]) == 2
    said = one_line(capsys)
    assert said.startswith(f"icl: cannot write {out}")
    assert said.endswith(f"{reason}; choose another --out\n")


@pytest.mark.parametrize("store", ["folder", "file/store", "loop", f"{LONG}/x", "/proc/none/store"])
def test_a_score_store_that_cannot_be_one_is_one_line(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: str
) -> None:
    monkeypatch.chdir(tmp_path)
    places(tmp_path)
    monkeypatch.setenv("ICL_SCORE_STORE", store)
    assert main(arguments) == 2
    assert "set ICL_SCORE_STORE to another" in one_line(capsys)
    assert not list(tmp_path.glob("runs/*/*"))


@pytest.mark.parametrize("cache", ["file", "loop", "/proc/none"])
def test_a_cache_that_cannot_be_one_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: str
) -> None:
    monkeypatch.chdir(tmp_path)
    places(tmp_path)
    monkeypatch.setenv("ICL_CACHE_DIR", cache)
    assert main(["models", "pull", "builtin:smollm2-135m"]) == 2
    assert "set ICL_CACHE_DIR to another" in one_line(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs", "show", LONG], f"cannot read {LONG}: File name too long"),
        (["runs", "list", "--out", LONG], "File name too long"),
        (["evaluate", f"{LONG}.yaml"], "File name too long"),
        (["evaluate", "a\0b"], "an argument must not hold a NUL character"),
        (["evaluate", "movie-sentiment", "--model", f"a/{LONG}"], "must be a hub id such as org/name"),
        (["evaluate", "movie-sentiment", "--episodes-file", "folder"], "folder: cannot be read (Is a directory)"),
        (["runs", "resume", "latest"], "'latest' must name an unfinished run, but there is none in runs"),
    ],
)
def test_a_path_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    places(tmp_path)
    assert main(words) == 2
    assert message in one_line(capsys)


def test_a_full_disk_is_one_line_and_a_defect_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import prompts

    def fails(error: Exception) -> None:
        def fail() -> None:
            raise error

        monkeypatch.setattr(prompts, "library_names", fail)

    fails(OSError(errno.ENOSPC, "No space left on device", "/cache/x"))
    assert main(["prompts", "list"]) == 2
    assert one_line(capsys).startswith("icl: cannot write /cache/x: No space left on device; ")
    fails(PermissionError(errno.EACCES, "Permission denied", "/library/x"))
    assert main(["prompts", "list"]) == 2
    assert one_line(capsys) == "icl: cannot read /library/x: Permission denied\n"
    fails(OSError("no number"))
    with pytest.raises(OSError, match="no number"):
        main(["prompts", "list"])


INTERRUPTIONS = {
    "evaluate": ("icl.evaluation", "evaluate", ["evaluate", "movie-sentiment"], "interrupted: nothing was scored yet"),
    "compare": ("compare.run", "_make", ["compare", "movie-sentiment", "--episodes", "1", "--queries", "5"], "interrupted: nothing was finished yet"),
    "sensitivity": ("icl.sensitivity.run", "prepare", ["sensitivity", "movie-sentiment"], "interrupted: nothing was scored yet"),
    "export": ("icl.evaluation", "tokenizer_of", ["runs", "export", "latest", "--to", "x.jsonl"], "interrupted: x.jsonl is not written"),
    "pull": ("icl.models.resolve", "resolve_model", ["models", "pull", "builtin:smollm2-135m"], "interrupted: what was fetched whole is kept; the same command goes on"),
    "info": ("icl.models.resolve", "resolve_model", ["models", "info", "builtin:smollm2-135m"], "interrupted: what was fetched whole is kept; the same command goes on"),
    "tasks": ("tasks.load", "load_task", ["tasks", "show", "movie-sentiment"], "interrupted"),
    "cache": ("tasks.cache", "cache_dir", ["cache", "info"], "interrupted"),
}  # fmt: skip
"""Command → the function in which Ctrl-C comes, its arguments, and what is said."""


@pytest.mark.model
@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_an_interruption_is_one_line_in_every_command(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "export":
        assert main(arguments) == 0
        capsys.readouterr()
    module, function, words, said = INTERRUPTIONS[name]

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module(module), function, interrupted)
    assert main(words) == 130
    err = capsys.readouterr().err
    assert err.splitlines()[-1] == f"icl: {said}"
    assert "Traceback" not in err
    assert not (tmp_path / "x.jsonl").exists()


def test_an_interrupted_export_leaves_no_half_file(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import icl.runs.show as shown

    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0
    capsys.readouterr()
    real = shown.exported

    def cut(*given: Any) -> Iterator[Any]:
        yield next(real(*given))
        raise KeyboardInterrupt

    before = set(tmp_path.iterdir())
    monkeypatch.setattr(shown, "exported", cut)
    assert main(["runs", "export", "latest", "--to", "x.jsonl"]) == 130
    assert one_line(capsys) == "icl: interrupted: x.jsonl is not written\n"
    assert set(tmp_path.iterdir()) == before
    monkeypatch.setattr(shown, "exported", real)
    for to, message in (
        ("nowhere/x", "cannot write nowhere/x: No such file or directory; choose another --to"),
        ("runs", "must be a new file"),
    ):
        assert main(["runs", "export", "latest", "--to", to]) == 2
        assert message in one_line(capsys)


@pytest.mark.parametrize("option", ["--episodes", "--queries", "--split", "--pool"])
def test_an_episodes_file_stands_alone(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    """Also beside a value that is the default, or the file's own."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0
    capsys.readouterr()
    (run,) = tmp_path.glob("runs/my-*")
    others = arguments[: arguments.index("--episodes")]
    value = {"--episodes": "5", "--queries": "100", "--split": "test", "--pool": "60"}[option]
    file = ["--episodes-file", str(run / "episodes.jsonl"), "--dtype", "float32"]
    assert main([*others, *file, option, value]) == 2
    assert f"so {option} must not be given with it" in one_line(capsys)
    assert main([*others, *file]) == 0, "and without it the run is found"
    assert "is finished already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("fixed:", "must name examples of the pool, as in fixed:ID,ID"),
        ("fixed:A,", "must name examples of the pool"),
        ("fixed:A,A", "must name every example once, but names 'A' twice"),
        ("fixed:A,B,C", "must name as many examples as there are shots, but names 3 for --shots 2"),
        ("fixed:A", "must name as many examples as there are shots, but names 1 for --shots 2"),
        ("fixed:A,B", "unknown example in the support pool 'A'"),
    ],
)
def test_fixed_examples_are_checked(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], selector: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--selector", selector]) == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.glob("runs/*"))


def test_a_list_of_runs_tells_them_apart_and_survives_a_damaged_one(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = []
    for changes in ([], ["--seed", "1"], ["--selector", "bm25"], ["--calibration", "contextual"]):
        assert main([*arguments, *changes, "--json"]) == 0
        made.append(json.loads(capsys.readouterr().out))
    assert main(["runs", "list"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    lines = {line.split()[0]: line for line in said.out.splitlines()}
    for run, settings in zip(
        made, ("random, seed 0, 4", "random, seed 1, 4", "bm25, seed 0, 4", "random, seed 0, contextual"), strict=True
    ):
        assert f"2 shots, {settings}" in lines[run["run"]]
    for run in made[:3]:
        batch = run["metrics"]["batch"]["accuracy"]["mean"]
        assert f"{batch:.3f}" in lines[run["run"]]
        assert lines[run["run"]].rstrip().endswith(" batch"), "the same correction for all, not the one that came out best"
    assert lines[made[3]["run"]].rstrip().endswith(" contextual")
    assert "best" not in said.out
    damaged = Path(made[1]["dir"])
    (damaged / "spec.json").write_text("{", encoding="utf-8")
    for options in ([], ["--json"]):
        assert main(["runs", "list", *options]) == 0
        said = capsys.readouterr()
        assert made[0]["run"] in said.out
        assert made[1]["run"] not in said.out
        assert said.err.startswith(f"icl: left out {made[1]['run']}: runs/{made[1]['run']}/spec.json is damaged")
        assert said.err.count("\n") == 1
    assert {row["selector"] for row in json.loads(said.out)} == {"random", "bm25"}
    assert main(["runs", "show", made[1]["run"]]) == 2
    assert "spec.json is damaged" in one_line(capsys)


def test_an_episode_that_a_run_does_not_have_is_named(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--json"]) == 0
    run = json.loads(capsys.readouterr().out)["run"]
    for extra in ([], ["--prompt"], ["--query", "nothing"]):
        assert main(["runs", "show", run, "--episode", "e099", *extra]) == 2
        said = one_line(capsys)
        assert "unknown episode 'e099'" in said
        assert f"(run {run} has 2: e000 to e001)" in said
    assert main(["runs", "show", "latest", "--episode", "e001", "--query", "nothing"]) == 2
    assert "unknown query 'nothing'" in one_line(capsys)
    assert main(["runs", "show", "latest", "--episode", "e001", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episode"] == "e001"
    (tmp_path / "runs" / run / "prompts.parquet").unlink()
    assert main(["runs", "show", run, "--prompt"]) == 2
    assert "prompts.parquet is damaged: the file is missing" in one_line(capsys)
    assert main(arguments) == 2, "neither is the table of a damaged run printed"
    assert "prompts.parquet is damaged" in capsys.readouterr().err


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
    assert "what is finished is kept in runs/my-sentiment-" in done.stderr
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
