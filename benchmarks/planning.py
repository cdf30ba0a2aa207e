"""What planning costs: `python benchmarks/planning.py [--prompts 100000] [--shots 30] [--whole]`.

Prompts of two candidates after one shared context of about 1,000 tokens, section by section, without a model. Prints seconds, tokens and
peak memory as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

REPOSITORY = Path(__file__).resolve().parent.parent
if str(REPOSITORY) not in sys.path:  # run as a script, Python looks beside it only
    sys.path.insert(0, str(REPOSITORY))

from icl.cost import peak_memory_bytes  # noqa: E402
from icl.encode import Encoder  # noqa: E402
from icl.models import load_tokenizer, resolve_model  # noqa: E402
from icl.ordering import make_order  # noqa: E402
from icl.plan import Planner  # noqa: E402
from icl.sections import REQUESTS  # noqa: E402
from icl.selection import make_selector  # noqa: E402
from icl.spec import RunSpec  # noqa: E402
from icl.tree import TokenTree  # noqa: E402
from prompts import PromptBuilder, load_template  # noqa: E402
from tasks.load import load_task  # noqa: E402
from tasks.types import Episode  # noqa: E402


def plan(prompts: int, shots: int, cuts: bool = True) -> dict[str, Any]:
    """Plans so many prompts; queries are the test sentences again and again, each time with another ending."""
    task = load_task("movie-sentiment")
    builder = PromptBuilder(load_template(task.default_template), task)
    encoder = Encoder(load_tokenizer(resolve_model("builtin:smollm2-135m")))
    encoder.cuts = encoder.cuts and cuts
    selector = make_selector("random", cast(Any, None))
    spec = RunSpec("movie-sentiment", shots=shots)
    order = make_order("given", cast(Any, None))
    planner = Planner(spec, task, lambda _: builder, encoder, 1 << 30, selector, order, frozenset(), generate=False)
    support, rows = task.splits["demonstration"], list(task.splits["test"])
    chooser = selector.over(support, task.labels)
    episode = Episode("e000", task.name, "demonstration", None, "test", (), task.labels)
    count, size = prompts // 2, REQUESTS // 2
    before, start = peak_memory_bytes("cpu"), time.perf_counter()
    unique = total = 0
    for first in range(0, count, size):
        queries = [
            replace(rows[i % len(rows)], id=f"q{i}", inputs={"text": f"{rows[i % len(rows)].inputs['text']} {i}"})
            for i in range(first, min(first + size, count))
        ]
        requests = [request for item in planner.items(episode, chooser, support, queries) for request in item.requests]
        tree = TokenTree.build([request.inputs for request in requests])
        unique, total = unique + len(tree), total + tree.total_tokens
    seconds = time.perf_counter() - start
    return {
        "prompts": 2 * count,
        "tokens_unique": unique,
        "tokens_total": total,
        "seconds": seconds,
        "memory_added_bytes": peak_memory_bytes("cpu") - before,
        "cuts": encoder.cuts,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--shots", type=int, default=30)
    parser.add_argument("--whole", action="store_true", help="split every whole string, as it was before")
    given = parser.parse_args()
    print(json.dumps(plan(given.prompts, given.shots, cuts=not given.whole)))
