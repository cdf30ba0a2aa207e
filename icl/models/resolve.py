"""From what the user calls a model to a directory on this machine, and what is known about it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from icl.models.builtin import BUILTINS, builtin_path
from icl.models.gguf import converted
from icl.models.types import ModelSource, Permissions
from tasks.cache import cache_dir, cannot_write, file_sha256
from tasks.errors import FetchError, IclError, unknown_name

FILES = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja")
"""What is fetched from a hub repository and what a fingerprint covers; code and pickles only when asked for."""


def resolve_model(
    name: str,
    *,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    option: str = "--model",
    described_by: tuple[str, ...] = ("config.json",),
) -> ModelSource:
    """A builtin, a GGUF file, a local directory or a hub id. Raises IclError when it is none of them, FetchError without network.

    `described_by`: files of which a directory needs one.
    """
    permissions = Permissions(trust_remote_code, allow_pickle)
    if name in BUILTINS:
        path = builtin_path(name)
        builtin = BUILTINS[name]
        return ModelSource(name, path, directory_fingerprint(path), builtin.description, builtin.licence, _notes(path))
    if name.startswith("builtin:"):
        raise unknown_name("model", name, BUILTINS)
    if name.endswith(".gguf"):
        file = Path(name).expanduser()
        if not file.is_file():
            raise IclError(f"{option} {name} must be a GGUF file that exists")
        path = converted(file)
        return ModelSource(name, path, directory_fingerprint(path), f"converted from {file.name}", notes=_notes(path))
    directory = Path(name).expanduser()
    if directory.is_dir():
        if not any((directory / file).is_file() for file in described_by):
            adapter = (directory / "adapter_config.json").is_file()
            advice = "; it holds an adapter: merge it into its base model first (merge_and_unload in peft)" if adapter else ""
            raise IclError(f"{option} {name} must be a directory with a {' or a '.join(described_by)}, but has none{advice}")
        if (directory / "adapter_config.json").is_file():
            raise IclError(f"{option} {name} holds an adapter beside the model; merge it first (merge_and_unload in peft), or remove it")
        return ModelSource(
            name, directory.resolve(), directory_fingerprint(directory), f"local directory {directory.name}", permissions=permissions
        )
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise unknown_name("model", name, BUILTINS, "(or give a directory, a .gguf file, or a hub id such as org/name)")
    return _from_hub(name, permissions, option)


def directory_fingerprint(directory: Path) -> str:
    """sha256 over the names and contents of the files that decide a score, those of sub-directories included.

    Digests of unchanged large files are remembered.
    """
    digest = hashlib.sha256()
    found = {p for pattern in (*FILES, "*.bin", "*.py") for p in directory.rglob(pattern) if p.is_file()}
    names = {p.relative_to(directory).as_posix(): p for p in found}
    for name in sorted(name for name in names if not any(part.startswith(".") for part in name.split("/"))):
        digest.update(f"{name}\0{_remembered_sha256(names[name])}\n".encode())
    return digest.hexdigest()


def _remembered_sha256(path: Path) -> str:
    status = path.stat()
    if status.st_size < 50_000_000:
        return file_sha256(path)
    key = hashlib.sha256(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}".encode()).hexdigest()
    note = cache_dir() / "digests" / key
    if note.is_file() and re.fullmatch("[0-9a-f]{64}", known := note.read_text(encoding="ascii", errors="replace")):
        return known
    digest = file_sha256(path)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        unfinished = note.with_name(f".{key}-{os.getpid()}")
        unfinished.write_text(digest, encoding="ascii")
        unfinished.replace(note)
    except OSError as error:
        raise cannot_write(note.parent, error) from error
    return digest


def _notes(path: Path) -> tuple[str, ...]:
    facts = json.loads((path / "icl_model.json").read_text(encoding="utf-8"))
    return tuple(facts["notes"])


def _from_hub(name: str, permissions: Permissions, option: str) -> ModelSource:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    patterns = [*FILES, *(["*.py"] if permissions.trust_remote_code else []), *(["*.bin"] if permissions.allow_pickle else [])]
    try:
        path = Path(snapshot_download(name, allow_patterns=patterns))
    except HFValidationError as error:
        raise IclError(f"{option} {name} must be a hub id such as org/name, or a directory that exists") from error
    except RepositoryNotFoundError as error:
        raise IclError(f"{option} {name}: the hub shows no such model; 'icl models list' names the embedded ones") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        raise FetchError(
            f"{option} {name} is not on this machine and the hub cannot be reached (or HF_HUB_OFFLINE is set); "
            "go online, give a local directory, or use builtin:smollm2-135m"
        ) from error
    return ModelSource(name, path, f"{name}@{path.name}", f"hub model {name}, commit {path.name[:12]}", permissions=permissions)
