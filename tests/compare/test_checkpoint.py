"""A kept state comes back as it was; what is no state is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from compare.checkpoint import load_state, save_state
from compare.outer import Adam, Annealed
from tasks import IclError


@pytest.mark.parametrize("optimiser", [Adam(0.1), Annealed(0.1, 9)])
def test_a_state_comes_back_as_it_was(tmp_path: Path, optimiser: Adam | Annealed) -> None:
    params = {"body.0.weight": torch.randn(3, 2), "head.bias": torch.randn(2, dtype=torch.float64)}
    state = optimiser.step(optimiser.start(params), {name: torch.ones_like(value) for name, value in params.items()})
    for n in range(2):
        save_state(tmp_path / "sub" / f"{n}.safetensors", state, {"b": [1, 2.5], "a": "ä"})
    again, facts = load_state(tmp_path / "sub" / "0.safetensors")
    assert facts == {"a": "ä", "b": [1, 2.5]}
    assert int(again.step) == 1
    for part in ("params", "first", "second"):
        kept, was = getattr(again, part), getattr(state, part)
        assert set(kept) == set(was)
        assert all(kept[name].dtype == was[name].dtype and torch.equal(kept[name], was[name]) for name in was)
    assert (tmp_path / "sub" / "0.safetensors").read_bytes() == (tmp_path / "sub" / "1.safetensors").read_bytes()
    assert len(list((tmp_path / "sub").iterdir())) == 2, "nothing else stays behind"


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"half of")
    with pytest.raises(IclError, match="not a kept training state"):
        load_state(path)
