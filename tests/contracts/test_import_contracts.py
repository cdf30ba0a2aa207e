"""The list of modules that may not know `compare` is written out in pyproject.toml: a new module must not be forgotten there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import icl


def test_every_module_of_icl_but_the_roof_is_under_contract() -> None:
    home = Path(icl.__file__).resolve().parent
    listed = next(
        contract["source_modules"]
        for contract in tomllib.loads((home.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
        if contract["name"].startswith("icl below its roof")
    )
    packages = {path.parent.name for path in home.glob("*/__init__.py")} - {"cli"}
    modules = {path.stem for path in home.glob("*.py")} - {"__init__"}
    assert sorted(listed) == sorted(f"icl.{name}" for name in packages | modules)
