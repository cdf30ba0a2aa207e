"""The learners that can be compared: one method per file, one entry per method here."""

from __future__ import annotations

from compare.learners import anil, fomaml, in_context, linear_probe, maml, matching_net, meta_sgd, protonet, reptile
from compare.learners.types import Family, Tools
from tasks.errors import unknown_name

LEARNERS: dict[str, Family] = {
    "in-context": Family(in_context.build, in_context.GRID, uses_features=False, needs_meta_train=False),
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
