"""What a run was made with: enough to make it again, and to see why another run differs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = ("icl-lab", "torch", "transformers", "tokenizers", "datasets", "numpy", "scipy", "jinja2", "bm25s")


def describe(device: str, dtype: str) -> dict[str, Any]:
    """Versions, machine, device; no name of a user, a host or a directory."""
    import torch

    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in PACKAGES},
        "git_revision": git_revision(),
        "device": device,
        "device_name": torch.cuda.get_device_name(device) if device.startswith("cuda") else _cpu_name(),
        "dtype": dtype,
        "cpu_cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
    }


def version(package: str) -> str | None:
    """The installed version, None when the package runs from a checkout without being installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_revision() -> str | None:
    """Commit of the checkout that this code runs from (with `+` when it has changes), None for an installed wheel."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None

    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}{'+' if git('status', '--porcelain', '--untracked-files=no') else ''}" if commit else None
    except FileNotFoundError:  # no git on this machine
        return None


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
