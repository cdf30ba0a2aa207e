"""Which models the token tree may serve, by what their configuration says. The check at load has the last word."""

from __future__ import annotations

from typing import Any

TREE_TYPES = frozenset(
    "llama mistral qwen2 qwen3 gemma gemma2 gemma3_text phi phi3 smollm3 olmo2 granite starcoder2 gpt2 gpt_neox".split(" ")  # noqa: SIM905
)
"""config.model_type of architectures that take attention by name and explicit positions for what they are."""

LENGTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})
"""Rotary embeddings whose frequencies depend on the longest position in the pass: another packing would give other numbers."""


def why_not(model: Any) -> str | None:
    """Why the tree cannot serve a model; None when it may."""
    config = model.config.get_text_config(decoder=True)
    if config.model_type not in TREE_TYPES:
        return f"'{config.model_type}' is not an architecture that the token tree serves"
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in LENGTH_DEPENDENT_ROPE:
        return f"rotary embedding '{rope['rope_type']}' depends on the longest sequence of a pass"
    return None


def sliding_window(config: Any) -> int | None:
    """The shortest attention window of any layer, or None."""
    window = getattr(config, "sliding_window", None)
    if not window or getattr(config, "use_sliding_window", True) is False:
        return None
    kinds = getattr(config, "layer_types", None)
    return int(window) if kinds is None or any("sliding" in kind for kind in kinds) else None
