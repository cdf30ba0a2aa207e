"""Where the YAML file of a task of the harness stands: a path, or a task's name in a directory."""

from __future__ import annotations

import difflib
import importlib.util
import re
from pathlib import Path

from tasks.errors import IclError, shorten

TASK = re.compile(r"""^["']?task["']?\s*:\s*["']?([^\s"'#]+)["']?\s*(#.*)?$""", re.MULTILINE)


def find_yaml(name: str, directory: Path | None) -> Path:
    """The file itself where `name` is a path, else the file below `directory` (or an installed lm_eval's) whose key `task` is that name."""
    path = Path(name).expanduser()
    if name.endswith((".yaml", ".yml")) or "/" in name:
        if not path.is_file():
            raise IclError(f"a task to import must be a YAML file or a name with --from DIR, but there is no file {path}")
        return path
    where = directory or _installed()
    if where is None:
        raise IclError(f"to import '{shorten(name)}' by its name, say --from DIR (lm_eval is not installed here)")
    if not where.is_dir():
        raise IclError(f"--from must be a directory, but {where} is not")
    tasks = _tasks(where)
    if name not in tasks:
        near = difflib.get_close_matches(name, tasks, n=3, cutoff=0.6)
        meant = f"; did you mean {', '.join(near)}?" if near else ""
        raise IclError(f"no YAML file below {where} has the key 'task: {shorten(name)}'{meant}")
    return tasks[name]


def _installed() -> Path | None:
    """The tasks that come with an installed lm_eval, which is looked for and not imported."""
    spec = importlib.util.find_spec("lm_eval")
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places))) / "tasks" if places else None


def _tasks(directory: Path) -> dict[str, Path]:
    """Task's name → file, the first in the order of paths. Parsing thousands of files would be slow."""
    found: dict[str, Path] = {}
    for path in sorted([*directory.rglob("*.yaml"), *directory.rglob("*.yml")]):
        for match in TASK.finditer(path.read_text(encoding="utf-8", errors="replace")):
            found.setdefault(match.group(1), path)
    return found
