"""Learning in the weights, compared with learning in the context on the same episodes.

    from compare import ComparisonSpec, compare
    run = compare(ComparisonSpec("movie-sentiment", k_shot=(4,), episodes=10))

Names are imported when they are first used, so that `import compare` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compare.run import ComparisonRun, compare
    from compare.types import ComparisonSpec

_HOME = {"compare": "compare.run", "ComparisonRun": "compare.run", "ComparisonSpec": "compare.types"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)

    raise AttributeError(f"module 'compare' has no attribute '{name}'")


__all__ = ["ComparisonRun", "ComparisonSpec", "compare"]
