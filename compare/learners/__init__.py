"""The learners that can be compared: one method per file, one entry per method here."""

from __future__ import annotations

from compare.learners import (
    adapt_then_prompt,
    anil,
    bitfit,
    fine_tune,
    fomaml,
    ia3,
    in_context,
    linear_probe,
    lora,
    maml,
    matching_net,
    meta_sgd,
    metaicl,
    prompt_tuning,
    protonet,
    reptile,
    zero_shot,
)
from compare.learners.types import Family, Tools
from tasks.errors import unknown_name

LEARNERS: dict[str, Family] = {
    "zero-shot": Family(zero_shot.build, zero_shot.GRID, uses_features=False, needs_meta_train=False),
    "in-context": Family(in_context.build, in_context.GRID, uses_features=False, needs_meta_train=False, shows_support=True),
    "metaicl": Family(metaicl.build, metaicl.GRID, uses_features=False, needs_meta_train=True, shows_support=True),
    "fine-tune": Family(fine_tune.build, fine_tune.GRID, uses_features=False, needs_meta_train=False),
    "lora": Family(lora.build, lora.GRID, uses_features=False, needs_meta_train=False),
    "ia3": Family(ia3.build, ia3.GRID, uses_features=False, needs_meta_train=False),
    "bitfit": Family(bitfit.build, bitfit.GRID, uses_features=False, needs_meta_train=False),
    "prompt-tuning": Family(prompt_tuning.build, prompt_tuning.GRID, uses_features=False, needs_meta_train=False),
    "adapt-then-prompt": Family(
        adapt_then_prompt.build, adapt_then_prompt.GRID, uses_features=False, needs_meta_train=False, shows_support=True
    ),
    "linear-probe": Family(linear_probe.build, linear_probe.GRID, uses_features=True, needs_meta_train=False),
    "protonet": Family(protonet.build, protonet.GRID, uses_features=True, needs_meta_train=False),
    "matching-net": Family(matching_net.build, matching_net.GRID, uses_features=True, needs_meta_train=False),
    "maml": Family(maml.build, maml.GRID, uses_features=True, needs_meta_train=True),
    "fomaml": Family(fomaml.build, fomaml.GRID, uses_features=True, needs_meta_train=True),
    "reptile": Family(reptile.build, reptile.GRID, uses_features=True, needs_meta_train=True),
    "anil": Family(anil.build, anil.GRID, uses_features=True, needs_meta_train=True),
    "meta-sgd": Family(meta_sgd.build, meta_sgd.GRID, uses_features=True, needs_meta_train=True),
}
"""Name → family, in the order in which they are shown."""


def get_family(name: str) -> Family:
    """The family of that name. Raises IclError for an unknown one."""
    if name not in LEARNERS:
        raise unknown_name("learner", name, LEARNERS)
    return LEARNERS[name]


__all__ = ["LEARNERS", "Family", "Tools", "get_family"]
