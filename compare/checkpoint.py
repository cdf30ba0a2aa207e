"""A training's state in one safetensors file: the tensors, and in its header one JSON object that says what they belong to.

The file is replaced whole, so a kill at any moment leaves the last state that was kept. It holds nothing that a clock or a machine could
change: a training that was killed and goes on ends in the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import IclError

if TYPE_CHECKING:
    from torch import Tensor

    from compare.outer import OuterState

FACTS = "facts"
PARTS = ("params", "first", "second")


def save_state(path: Path, state: OuterState, facts: Mapping[str, Any]) -> None:
    """Keeps a state. `facts`: anything of JSON."""
    from safetensors.torch import save

    tensors = {f"{part}/{name}": value.contiguous() for part in PARTS for name, value in getattr(state, part).items()}
    data = save({"step": state.step, **tensors}, {FACTS: json.dumps(facts, sort_keys=True)})
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def load_state(path: Path) -> tuple[OuterState, dict[str, Any]]:
    """A kept state and its facts. Raises IclError for a file that is none."""
    from safetensors import SafetensorError, safe_open

    from compare.outer import OuterState

    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()[FACTS])
            # Cloned, since a tensor of a mapped file begins where it happens to: at another alignment sums end in other last digits.
            found: dict[str, Tensor] = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no mapping)
            step = found.pop("step")
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
        for key, value in found.items():
            part, name = key.split("/", 1)
            parts[part][name] = value
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise IclError(f"{path}: not a kept training state ({error}); remove it to begin anew") from None
    return OuterState(step, **parts), facts
