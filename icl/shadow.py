"""The four package names are common words: finds the file that stands in the way of ours. Imports nothing of this project."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
"""Where the four packages lie."""


def shadowing_package() -> str | None:
    """One line that names the file in the way of one of our packages, or None. Costs a look-up per package."""
    for name in ("tasks", "prompts", "compare"):
        found = _place(name)
        if found is None or found.parent.parent != HOME:
            return f"the package '{name}' of icl-lab is shadowed by {found}; rename that file, or run icl from another directory"
    return None


def _place(name: str) -> Path | None:
    """The file that `import NAME` runs or has run; None for a folder without one."""
    try:
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec else None
    except ValueError:  # it is imported, but not from a file that Python found itself
        origin = getattr(sys.modules[name], "__file__", None)
    return Path(origin).resolve() if origin else None
