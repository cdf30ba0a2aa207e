"""The `icl` command: a table of commands, and the border where errors become one line.

Nothing heavy is imported here or when help is shown: each command imports what it needs.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EEXIST: "a file stands in the way",
}
"""Failures of the machine, not of the program: they get one line, too."""


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Runs one command; returns its exit code: 0, 1 (a check found errors), 2 (a mistake in the input), 130 (interrupted)."""
    debug = "--debug" in arguments
    shadowed = shadowing_package()
    if shadowed:
        print(f"icl: {shadowed}", file=sys.stderr)
        return 2
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from icl.cli.app import app
    from tasks.errors import IclError

    try:
        return int(app(args=arguments, standalone_mode=False) or 0)
    except IclError as error:
        if debug:
            raise
        return _fail(str(error))
    except OSError as error:
        if debug or error.errno not in NO_ROOM:
            raise
        where = f" ({error.filename})" if error.filename else ""
        return _fail(f"cannot write: {NO_ROOM[error.errno]}{where}; choose another --out, or set ICL_CACHE_DIR for the cache")
    except Exception as error:
        # Usage errors of the command-line library: an unknown option, a value of the wrong type. Anything else is our defect.
        show = getattr(error, "format_message", None)
        if debug or show is None:
            raise
        return _fail(" ".join(show().split()))


def _fail(text: str, code: int = 2) -> int:
    print("icl: " + " ".join(text.splitlines()), file=sys.stderr)
    return code


def shadowing_package() -> str | None:
    """The four package names are common words: says which file stands in the way of ours, or None."""
    import importlib.util

    home = Path(__file__).resolve().parents[2]
    for name in ("tasks", "prompts", "compare"):
        found = importlib.util.find_spec(name)
        origin = Path(found.origin).resolve() if found and found.origin else None
        if origin is None or origin.parent.parent != home:
            return f"the package '{name}' of icl-lab is shadowed by {origin}; rename that file, or run icl from another directory"
    return None
