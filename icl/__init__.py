"""Learning in the context: few-shot evaluation of causal language models.

    from icl import RunSpec, evaluate
    run = evaluate(RunSpec("movie-sentiment", shots=8, episodes=5))
    print(run.summary["metrics"]["batch"]["accuracy"])

Names are imported when they are first used, so that `import icl` and `icl --help` stay fast. A file of the user's that stands in the way of
one of the four packages (`tasks.py` beside the script) is named by an ImportError then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from icl.shadow import shadowing_package

if TYPE_CHECKING:
    from icl.evaluation import evaluate
    from icl.runs import Run
    from icl.spec import RunSpec
    from tasks.errors import IclError

_HOME = {"evaluate": "icl.evaluation", "Run": "icl.runs", "RunSpec": "icl.spec", "IclError": "tasks.errors"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        if shadowed := shadowing_package():
            raise ImportError(shadowed)
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'icl' has no attribute '{name}'")


__all__ = ["IclError", "Run", "RunSpec", "evaluate"]
