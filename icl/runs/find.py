"""Runs by name: the finished ones of a directory, the newest, one that was begun and not finished."""

from __future__ import annotations

from pathlib import Path

from icl.runs.files import read_json
from icl.runs.store import Run, is_finished
from tasks import IclError
from tasks.errors import unknown_name

LATEST = "latest"
"""Names the newest run, wherever a run is named. No directory of a run has this name: all end in a hash."""

MOST_NAMED = 6
"""Runs that a message names."""

OTHERS = {"compare": "a comparison", "compare-images": "a comparison on images", "sensitivity": "a sensitivity report"}
"""Commands whose runs are not evaluations, and what such a run is called."""


def list_runs(out: Path) -> list[Run]:
    """Finished evaluations of a directory, oldest first; comparisons and sensitivity reports are left out."""
    return sorted((Run(path) for path in _finished(out) if not _is_other(path)), key=lambda run: _finished_at(run.dir))


def find_run(name: str, out: Path) -> Run:
    """A finished run by its name, the beginning of its name, its directory, or `latest`.

    Raises IclError for none or several, for a run that is not finished, and for a comparison.
    """
    if name == LATEST:
        return Run(_newest([run.dir for run in list_runs(out)], "a finished run", out))
    if Path(name).is_dir() and is_finished(Path(name)):
        return _evaluation(Path(name))
    finished = {path.name: path for path in sorted(_finished(out), key=_finished_at)}
    matches = _matches(name, [key for key, path in finished.items() if not _is_other(path)]) or _matches(name, list(finished))
    if len(matches) == 1:
        return _evaluation(finished[matches[0]])
    if matches:
        raise _ambiguous("run", name, matches, out)
    for begun in (Path(name), out / name):
        if (begun / "partial").is_dir():
            raise IclError(f"run '{name}' is not finished; 'icl runs resume {name}' goes on with it")
    raise unknown_name("run", name, finished, f"(looked in {out}; --out names another directory)")


def find_unfinished(name: str, out: Path) -> Path:
    """The directory of a run that was begun and not finished, by its name, the beginning of its name, its directory, or `latest`."""
    begun = {path.name: path for path in _directories(out) if _is_unfinished(path)}
    if name == LATEST:
        return _newest(sorted(begun.values(), key=_begun_at), "an unfinished run", out)
    if _is_unfinished(Path(name)):
        return Path(name)
    matches = _matches(name, list(begun))
    if len(matches) == 1:
        return begun[matches[0]]
    if matches:
        raise _ambiguous("unfinished run", name, matches, out)
    raise unknown_name("unfinished run", name, begun, f"(looked in {out}; a finished run needs no resuming)")


def _is_other(directory: Path) -> bool:
    """Whether a finished run is of another command than `icl evaluate`."""
    return kind_of(directory) in OTHERS


def kind_of(directory: Path) -> str:
    """The command of a finished run, empty for an evaluation. A damaged one counts as an evaluation: reading it says what is wrong."""
    try:
        return str(read_json(directory / "spec.json").get("kind", ""))
    except IclError:
        return ""


def _evaluation(directory: Path) -> Run:
    if (kind := kind_of(directory)) in OTHERS:
        raise IclError(
            f"{directory} is {OTHERS[kind]}, and 'icl runs' reads evaluations; its table is in {directory / 'report.html'}, "
            f"and the same 'icl {kind.partition('-')[0]}' command prints it again"
        )
    return Run(directory)


def _directories(out: Path) -> list[Path]:
    """Hidden ones left out: they are being written."""
    return [path for path in out.iterdir() if not path.name.startswith(".") and path.is_dir()] if out.is_dir() else []


def _finished(out: Path) -> list[Path]:
    return [path for path in _directories(out) if is_finished(path)]


def _is_unfinished(directory: Path) -> bool:
    return (directory / "partial").is_dir() and not is_finished(directory)


def _finished_at(directory: Path) -> tuple[float, str]:
    return ((directory / "summary.json").stat().st_mtime, directory.name)


def _begun_at(directory: Path) -> tuple[float, str]:
    return ((directory / "spec.json").stat().st_mtime, directory.name)


def _newest(ordered: list[Path], what: str, out: Path) -> Path:
    if not ordered:
        raise IclError(f"'{LATEST}' must name {what}, but there is none in {out}; --out names another directory")
    return ordered[-1]


def _matches(name: str, known: list[str]) -> list[str]:
    return [key for key in known if key == name] or [key for key in known if key.startswith(name)]


def _ambiguous(what: str, name: str, matches: list[str], out: Path) -> IclError:
    shown = ", ".join(matches[-MOST_NAMED:])
    more = f" and {len(matches) - MOST_NAMED} older ones" if len(matches) > MOST_NAMED else ""
    return IclError(f"'{name}' must name one {what} in {out}, but fits {shown}{more}; write more of its name, or '{LATEST}' for the newest")
