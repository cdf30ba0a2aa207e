"""Which device and which dtype a run uses when the user says `auto`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.errors import IclError, unknown_name

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "float32", "bfloat16", "float16")
DEFAULT_BATCH_TOKENS = {"cpu": 1024, "cuda": 8192}
"""Tokens of one forward pass, by device class: measured in docs/performance.md."""


def resolve_device(name: str) -> str:
    """`auto` → cuda when there is one, else cpu. Raises IclError for a device that is not there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise IclError(f"--device must be auto, cpu, cuda or cuda:N, but is '{name}'") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise IclError(f"--device {name} needs a CUDA device, but torch {torch.__version__} sees none; use --device cpu")
    if kind == "cuda" and (torch.device(name).index or 0) >= torch.cuda.device_count():
        raise IclError(f"--device {name} must be one of cuda:0 to cuda:{torch.cuda.device_count() - 1}, but it is not")
    if kind not in {"cpu", "cuda"}:
        raise IclError(f"--device must be auto, cpu, cuda or cuda:N, but is '{name}'")
    return name


def resolve_dtype(name: str, device: str) -> str:
    """`auto` → bfloat16 where the device computes in it (CUDA from Ampere on, CPU with AMX or AVX512-BF16), else float32."""
    if name not in DTYPES:
        raise unknown_name("dtype", name, DTYPES)
    if name != "auto":
        return name
    return "bfloat16" if has_fast_bfloat16(device) else "float32"


def has_fast_bfloat16(device: str) -> bool:
    """Whether the hardware multiplies bf16 matrices, rather than emulating it."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch names these checks with an underscore; where a version lacks one, float32 is the safe answer.
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def torch_dtype(name: str) -> torch.dtype:
    """The torch dtype of that name."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def keep_freed_memory() -> None:
    """Tells glibc not to hand large freed blocks back to the kernel (a no-op elsewhere).

    By default every tensor beyond some megabytes is mapped afresh, and its first use faults page by page: a softmax over 20 MB took
    22 ms instead of 3 (docs/performance.md). The process keeps what it freed for its next tensors, until `give_back_freed_memory`.
    """
    import ctypes

    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version"):
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, (1 << 31) - 1)


def give_back_freed_memory() -> None:
    """Hands what is freed by now back to the kernel (a no-op outside glibc): for moments between two pieces of work, not within one."""
    import ctypes

    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def default_batch_tokens(device: str) -> int:
    """Tokens of one forward pass when `--batch-tokens` is not given."""
    return DEFAULT_BATCH_TOKENS["cuda" if device.startswith("cuda") else "cpu"]
