"""The wheel, built and installed into an environment without the checkout: it lists its library and runs a small evaluation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.recipe
def test_the_wheel_works_without_the_checkout(tmp_path: Path, own_task: Path, tiny_model_dir: Path) -> None:
    """In CI every dependency is installed anew; elsewhere the new environment borrows the dependencies of this one, to save minutes."""
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", REPOSITORY, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("icl_lab-*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if os.environ.get("CI"):
        constrained = [*pip, "--constraint", REPOSITORY / "constraints.txt"]
        run(*constrained, "torch==2.13.0", cwd=tmp_path)
        run(*constrained, wheel, cwd=tmp_path)
    else:
        site = run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=tmp_path).strip()
        # A plain path line: packages of the other environment can be imported, its editable checkout cannot.
        Path(site, "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
        run(*pip, "--no-deps", "--force-reinstall", wheel, cwd=tmp_path)
    where = run(python, "-c", "import icl, tasks, prompts, compare; print(icl.__file__, tasks.__file__, compare.__file__)", cwd=tmp_path)
    assert str(REPOSITORY) not in where
    icl = tmp_path / "venv" / "bin" / "icl"
    assert {row["name"] for row in json.loads(run(icl, "tasks", "list", "--json", cwd=tmp_path))} >= {"movie-sentiment", "gsm8k"}
    assert {row["name"] for row in json.loads(run(icl, "prompts", "list", "--json", cwd=tmp_path))} >= {"sentiment-plain"}
    options = ["--shots", "2", "--episodes", "2", "--queries", "5", "--dtype", "float32", "--json"]
    printed = json.loads(run(icl, "evaluate", own_task, "--model", tiny_model_dir, *options, cwd=tmp_path))
    assert printed["n_episodes"] == 2
    assert (tmp_path / printed["dir"] / "report.html").is_file()
