"""GGUF files: converted once to dense bf16 safetensors and a tokenizer, kept in the user's cache.

transformers can read a GGUF file, but keeps its weights packed (slow on a CPU, not savable); de-quantising takes seconds, so it is done
once. The conversion runs in a temporary directory beside the target, under a lock, and is moved into place whole: a conversion that is
killed, or runs twice at once, never leaves half a model.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from tasks.cache import cache_dir, file_sha256, locked, scratch_beside
from tasks.errors import IclError
from tasks.fetch import tell

CONVERTER = 1
"""Version of the conversion: part of the fingerprint, so that a corrected conversion is another model."""

SINGLE_DIGITS = frozenset({"smollm"})
"""Values of `tokenizer.ggml.pre` whose original tokenizer splits numbers into single digits, which the conversion loses."""


def dense_directory(sha256: str) -> Path:
    """Where the dense model made from the GGUF file of that checksum lies, or will lie."""
    return cache_dir() / "models" / f"gguf-{sha256[:16]}-v{CONVERTER}"


def converted(gguf: Path) -> Path:
    """The directory of the dense model made from that file (made now if it is not there). Raises IclError for a file that is no GGUF."""
    digest = file_sha256(gguf)
    target = dense_directory(digest)
    if target.is_dir():
        return target
    with locked(target):
        return converted_under_lock(gguf, digest)


def converted_under_lock(gguf: Path, digest: str) -> Path:
    """The same, for a caller that holds the lock of the target."""
    target = dense_directory(digest)
    if not target.is_dir():
        tell(f"converting {gguf.name} to dense bf16 safetensors, once (about 20 s); kept in {target}")
        with scratch_beside(target) as scratch:
            with bars_only_on_terminals():
                _convert(gguf, scratch / "dense", digest)
            (scratch / "dense").replace(target)
    return target


@contextmanager
def bars_only_on_terminals() -> Iterator[None]:
    """transformers draws the bar of this conversion whatever is asked of it; in a file or a pipe it is a line of a thousand characters."""
    if sys.stderr.isatty():
        yield
    else:
        with redirect_stderr(io.StringIO()):
            yield


def _convert(gguf: Path, target: Path, digest: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from icl.models.load import quiet_transformers

    facts = _header(gguf)
    quiet_transformers()
    where: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    notes = [f"converted from {gguf.name} ({facts['quantisation']}), de-quantised to bf16: not the original's weights"]
    if facts["pre_tokenizer"] in SINGLE_DIGITS:
        restore_single_digits(tokenizer)
        notes.append("the tokenizer's splitting of numbers into single digits, lost in GGUF, is restored")
    model = AutoModelForCausalLM.from_pretrained(**where, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    (target / "icl_model.json").write_text(json.dumps({"gguf_sha256": digest, "notes": notes}, indent=1), encoding="utf-8")


def _header(gguf: Path) -> dict[str, str]:
    import gguf as reader

    try:
        fields = reader.GGUFReader(str(gguf)).fields
    except (ValueError, IndexError) as error:
        raise IclError(f"{gguf}: not a readable GGUF file: {error}") from error

    def value(key: str) -> Any:
        return fields[key].contents() if key in fields else None

    kind = value("general.file_type")
    quantisation = reader.LlamaFileType(kind).name.removeprefix("MOSTLY_") if kind is not None else "unknown quantisation"
    return {"quantisation": quantisation, "pre_tokenizer": str(value("tokenizer.ggml.pre"))}


def restore_single_digits(tokenizer: Any) -> None:
    """Puts SmolLM2's own pre-tokeniser back: every digit on its own, then the byte-level splitting of GPT-2."""
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )
