"""The `icl` command: a table of commands, and the border where errors and Ctrl-C become one line.

Nothing heavy is imported here or when help is shown: each command imports what it needs.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from icl.processes import launched_rank
from icl.shadow import shadowing_package

WRITES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""What only happens to those who write. Commands say themselves what they could not write where; this is for the rest."""

PLACES = {
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO,
    errno.ENXIO, errno.ESTALE,
}  # fmt: skip
"""What is wrong with a file or a path that the user named, not with the program: gets one line, too."""

INTERRUPTED = 130


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Runs one command; returns its exit code: 0, 1 (a check found errors), 2 (a mistake in the input), 130 (interrupted)."""
    try:
        return _run(arguments)
    except KeyboardInterrupt as error:  # before a command began
        return _say("interrupted" + (f": {error}" if str(error) else ""), INTERRUPTED)


def _run(arguments: list[str]) -> int:
    if shadowed := shadowing_package():
        return _say(shadowed)
    if any("\0" in argument for argument in arguments):
        return _say("an argument must not hold a NUL character")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if launched_rank():  # of several processes only the first one prints results
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    from icl.cli.app import Interrupted, app

    try:
        return int(app(args=arguments, prog_name="icl", standalone_mode=False) or 0)
    except Interrupted as error:
        raise KeyboardInterrupt(str(error)) from error
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its class lives in another module from one version of typer to the next
            print(error, file=sys.stderr)
            return 2
        said = _in_a_line(error)
        if said is None or "--debug" in arguments:
            raise
        return _say(said)


def _in_a_line(error: Exception) -> str | None:
    """What a mistake of the user's is called; None for a defect of ours, which keeps its traceback."""
    from tasks.errors import IclError

    if isinstance(error, IclError):
        return str(error)
    if isinstance(error, OSError) and error.errno in WRITES:
        return f"cannot write {error.filename or ''}: {error.strerror}; free some space, or set ICL_CACHE_DIR for the cache"
    if isinstance(error, OSError) and error.errno in PLACES:
        return f"cannot read {error.filename or ''}: {error.strerror}"
    # Usage errors of the command-line library: an unknown option, a value of the wrong type.
    usage = getattr(error, "format_message", None)
    return usage() if usage else None


def _say(text: str, code: int = 2) -> int:
    print("icl: " + " ".join(text.split()), file=sys.stderr)
    return code
