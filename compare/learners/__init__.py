"""The learners that can be compared: one method per file, one entry per method here."""

from __future__ import annotations

from collections.abc import Sequence

from compare.learners import (
    adapt_then_prompt,
    anil,
    bitfit,
    fine_tune,
    fomaml,
    ia3,
    in_context,
    linear_probe,
    lm_meta,
    lora,
    maml,
    matching_net,
    matching_net_fce,
    meta_sgd,
    metaicl,
    prompt_tuning,
    protonet,
    reptile,
    zero_shot,
)
from compare.learners.types import Family, Tools
from tasks.errors import IclError, unknown_name

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
    "matching-net-fce": Family(matching_net_fce.build, matching_net_fce.GRID, uses_features=True, needs_meta_train=True),
    "maml": Family(maml.build, maml.GRID, uses_features=True, needs_meta_train=True),
    "fomaml": Family(fomaml.build, fomaml.GRID, uses_features=True, needs_meta_train=True),
    "reptile": Family(reptile.build, reptile.GRID, uses_features=True, needs_meta_train=True),
    "anil": Family(anil.build, anil.GRID, uses_features=True, needs_meta_train=True),
    "meta-sgd": Family(meta_sgd.build, meta_sgd.GRID, uses_features=True, needs_meta_train=True),
}
"""Name → family, in the order in which they are shown."""


EVERYONE = "all"
"""In the place of names: whoever can run."""


def get_family(name: str, adapts: str = "head") -> Family:
    """The family of that name; `adapts`: what gradient-based meta-learners move. Raises IclError for an unknown name."""
    if name not in LEARNERS:
        raise unknown_name("learner", name, [*LEARNERS, EVERYONE])
    return lm_meta.family(name, adapts) if adapts != "head" and name in lm_meta.METHODS else LEARNERS[name]


def get_families(names: Sequence[str], adapts: str = "head") -> dict[str, Family]:
    """In the order in which they are shown. Raises IclError for unknown names, and where nobody adapts what `adapts` says."""
    wanted = [*LEARNERS] if tuple(names) == (EVERYONE,) else names
    if EVERYONE in wanted:
        raise IclError(f"--learners must be '{EVERYONE}' or names of learners, but is {','.join(names)}; leave one of them out")
    found = {name: get_family(name, adapts) for name in wanted}
    if adapts != "head" and not set(found) & set(lm_meta.METHODS):
        raise IclError(
            f"--adapts {adapts} is for {', '.join(lm_meta.METHODS)}, but --learners are {','.join(names)}; add one of them, or leave "
            "--adapts out"
        )
    return {name: found[name] for name in LEARNERS if name in found}


__all__ = ["EVERYONE", "LEARNERS", "Family", "Tools", "get_families", "get_family"]
