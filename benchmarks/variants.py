"""What other arithmetic would give: `python benchmarks/variants.py [--workload A] [--scale 0.5] [--rounds 7]`.

One engine scores a workload again and again, the variants taking turns; the medians of the ratios within a round are printed. These are
try-outs that the engine does not use (docs/performance.md says why), kept so that the answer can be checked with another torch.

- `compiled`: norms and feed-forward through torch.compile.
- `packed`: linear layers through oneDNN's own weight layout (an operator that torch keeps for itself).
- `packed-fused`: as `packed`, the activation and the gate's product within the same call.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
if str(REPOSITORY) not in sys.path:  # run as a script, Python looks beside it only
    sys.path.insert(0, str(REPOSITORY))

import torch  # noqa: E402

from benchmarks.workloads import WORKLOADS, Setting  # noqa: E402
from icl.device import keep_freed_memory  # noqa: E402
from icl.engine.hf import HFEngine  # noqa: E402
from icl.engine.types import ScoreRequest, silent  # noqa: E402
from icl.models import load_model, resolve_model  # noqa: E402

Forwards = dict[Any, Callable[..., Any]]
"""Module → what stands in for its forward."""


def compiled(layers: Any) -> Forwards:
    """Every module of a class through one compiled function."""
    found: Forwards = {}
    for group in (
        [layer.mlp for layer in layers],
        [norm for layer in layers for norm in (layer.input_layernorm, layer.post_attention_layernorm)],
    ):
        forward = torch.compile(type(group[0]).forward, dynamic=True)
        found.update({module: partial(forward, module) for module in group})
    return found


def packed(layers: Any) -> Forwards:
    """Each linear layer with its weight packed for 1,024 rows."""
    plain = partial(torch.ops.mkldnn._linear_pointwise, attr="none", scalars=[], algorithm="")
    linear = [m for layer in layers for m in layer.modules() if isinstance(m, torch.nn.Linear)]
    return {module: partial(_apply, plain, _pack(module), module.bias) for module in linear}


def packed_fused(layers: Any) -> Forwards:
    """As `packed`; the feed-forward in three calls."""
    return {**packed(layers), **{layer.mlp: partial(_feed_forward, *map(_pack, _weights(layer.mlp))) for layer in layers}}


VARIANTS: dict[str, Callable[[Any], Forwards]] = {"compiled": compiled, "packed": packed, "packed-fused": packed_fused}


def _weights(mlp: Any) -> tuple[Any, Any, Any]:
    return mlp.gate_proj, mlp.up_proj, mlp.down_proj


def _pack(linear: Any) -> torch.Tensor:
    weight: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.data, 1024)
    return weight


def _apply(linear: Any, weight: torch.Tensor, bias: torch.Tensor | None, x: torch.Tensor) -> Any:
    return linear(x, weight, bias)


def _feed_forward(gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor, x: torch.Tensor) -> Any:
    linear = torch.ops.mkldnn._linear_pointwise
    hidden = linear.binary(x, linear(x, gate, None, "swish", [], ""), up, None, "mul")
    return linear(hidden, down, None, "none", [], "")


def set_forwards(layers: Any, forwards: Forwards) -> None:
    """These, and everywhere else the model's own."""
    for layer in layers:
        for module in layer.modules():
            module.__dict__.pop("forward", None)
    for module, forward in forwards.items():
        module.forward = forward


def measure(workload: str, scale: float, rounds: int, data_dir: Path | None) -> dict[str, list[float]]:
    """Seconds by variant and round; the first pass of each, which compiles, is not among them but printed."""
    keep_freed_memory()
    loaded = load_model(resolve_model("builtin:smollm2-135m"), "bfloat16", "cpu")
    made = WORKLOADS[workload](Setting(loaded.tokenizer, data_dir, scale))
    requests = [ScoreRequest.whole(ids, start) for ids, start in zip(made.sequences, made.scored_from, strict=True)]
    engine = HFEngine(loaded.model, loaded.tokenizer, 1024)
    layers = loaded.model.base_model.layers
    with torch.inference_mode():
        variants: dict[str, Forwards] = {"as it is": {}, **{name: make(layers) for name, make in VARIANTS.items()}}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, forwards in variants.items():
            set_forwards(layers, forwards)
            start = time.perf_counter()
            engine.score(requests, silent)
            spent = time.perf_counter() - start
            if number:
                seconds[name].append(spent)
            else:
                print(f"{name}: first pass {spent:.1f} s", flush=True)
    return seconds


def main() -> None:
    """Prints one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default="A", choices=[name for name in WORKLOADS if name != "E"])
    parser.add_argument("--scale", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data-dir", type=Path, default=None)
    given = parser.parse_args()
    seconds = measure(given.workload, given.scale, given.rounds, given.data_dir)
    own = seconds["as it is"]
    for name, spent in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(spent, own, strict=True))
        print(f"{name}: {statistics.median(spent):.2f} s, {ratio:.3f} of the engine as it is")


if __name__ == "__main__":
    main()
