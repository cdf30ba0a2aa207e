"""The commands of the README, as they stand there (with fewer episodes where there are ten), run one after another in an empty directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
RUN = "import sys; from icl.cli.main import main; sys.exit(main(sys.argv[1:]))"


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every `icl` command of the README."""
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    found = [line.removeprefix(".venv/bin/icl ").strip() for line in lines if line.startswith(".venv/bin/icl ")]
    return [line.replace("--episodes 10", "--episodes 2") for line in found]  # minutes less, and the same code


@pytest.mark.model
@pytest.mark.recipe
def test_the_readmes_commands_work(tmp_path: Path) -> None:
    topics = {"billing": "the invoice shows the wrong amount", "defect": "the program crashes when I click"}
    rows = [f"{text} number {i},{topic}" for i in range(60) for topic, text in topics.items()]
    (tmp_path / "tickets.csv").write_text("message,topic\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "tickets.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    (tmp_path / "mine.jinja").write_text(blocks("jinja")[0], encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    found = commands()
    assert len(found) >= 7, "the README's commands were not recognised"
    for line in found:
        done = subprocess.run(
            [sys.executable, "-c", RUN, *line.split()], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == 0, f"icl {line}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), f"icl {line} printed nothing"
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[0]], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    accuracy, report = done.stdout.split()
    assert 0.5 < float(accuracy) <= 1
    assert (tmp_path / report).is_file()


def test_the_readmes_make_targets_are_those_of_the_makefile() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert "icl evaluate movie-sentiment --shots 8 --episodes 5 --queries 100" in makefile
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("bash")), flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_documents_link_to_files_that_exist() -> None:
    for document in [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *(REPOSITORY / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"
