"""Loading a model and its tokenizer from the directory that a name resolved to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from icl.device import torch_dtype
from icl.models.types import ModelSource
from tasks.errors import IclError, unknown_name


@dataclass(frozen=True)
class LoadedModel:
    """Weights and tokenizer in memory."""

    source: ModelSource
    model: Any
    """transformers causal LM, in evaluation mode."""
    tokenizer: Any
    """transformers fast tokenizer (character offsets are needed)."""

    @property
    def context_window(self) -> int:
        """Longest sequence that the model was made for, in tokens; very large when its configuration names none."""
        config = self.model.config.get_text_config(decoder=True)
        return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 1 << 30)


def load_tokenizer(source: ModelSource) -> Any:
    """Raises IclError when there is none, or only a slow one without character offsets."""
    from transformers import AutoTokenizer

    quiet_transformers()
    with explained(f"--model {source.name}: no tokenizer can be loaded from {source.path}"):
        tokenizer = AutoTokenizer.from_pretrained(
            source.path, trust_remote_code=source.permissions.trust_remote_code, local_files_only=True
        )
    if not tokenizer.is_fast:
        raise IclError(f"--model {source.name}: a fast tokenizer (tokenizer.json) is needed, since scored spans are found by offsets")
    return tokenizer


DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways in which accelerate spreads a model over devices, the machine's memory and its disk."""


def load_model(source: ModelSource, dtype: str, device: str, device_map: str | dict[str, Any] = "") -> LoadedModel:
    """Safetensors only and no code from the model's directory, unless the source was resolved with those permissions.

    `device_map` is for a model that is too big for one device: a name of `DEVICE_MAPS`, or a mapping from modules to devices; empty puts
    everything on `device`.
    """
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(source)
    if isinstance(device_map, str) and device_map and device_map not in DEVICE_MAPS:
        raise unknown_name("device map", device_map, DEVICE_MAPS)
    with explained(f"--model {source.name} cannot be loaded"):
        model, found = AutoModelForCausalLM.from_pretrained(
            source.path,
            dtype=torch_dtype(dtype),
            use_safetensors=None if source.permissions.allow_pickle else True,
            trust_remote_code=source.permissions.trust_remote_code,
            local_files_only=True,
            output_loading_info=True,
            **({"device_map": device_map} if device_map else {}),
        )
    if missing := sorted(found["missing_keys"]):  # transformers would fill them with random numbers, and only warn
        raise IclError(f"--model {source.name} must hold every weight, but lacks {len(missing)}: {', '.join(missing[:3])}")
    return LoadedModel(source, model.eval() if device_map else model.to(device).eval(), tokenizer)


def load_config(source: ModelSource) -> Any:
    """The text part of a model's configuration. Raises IclError for a config.json that says nothing of a model."""
    from transformers import AutoConfig

    with explained(f"--model {source.name}: {source.path / 'config.json'} describes no model that can be loaded"):
        config = AutoConfig.from_pretrained(source.path, trust_remote_code=source.permissions.trust_remote_code, local_files_only=True)
        return config.get_text_config(decoder=True)


def load_skeleton(source: ModelSource) -> Any:
    """The model's modules with the shapes of their weights, but no numbers in them: what a question about its architecture needs."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    quiet_transformers()
    with explained(f"--model {source.name} cannot be loaded"), torch.device("meta"):
        trusted = source.permissions.trust_remote_code
        config = AutoConfig.from_pretrained(source.path, trust_remote_code=trusted, local_files_only=True)
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trusted)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """What a library says about the broken files of a model, as one line."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, SafetensorError, StrictDataclassError) as error:
        raise IclError(f"{what}: {_first_paragraph(error)}") from error


def quiet_transformers() -> None:
    """No progress bars and no advice of transformers between our own lines; errors still show."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def _first_paragraph(error: BaseException) -> str:
    """The first paragraph of what a library said."""
    return " ".join(str(error).strip().split("\n\n")[0].split()) or type(error).__name__
