"""Memory-augmented neural network (Santoro et al. 2016): an LSTM with an external memory; labels come one step late.

    step t:  (h, c) ← LSTM([x_t, y_{t−1}, r_{t−1}]);   keys, strengths, gates from h
             write with last step's reading weights or to the least used rows, then read     (compare/sequence/addressing.py)
             r_t = Σ_i w_r(i) M(i);    y_t is said from [h, r_t]

The late label makes it keep x_{t−1} until y_{t−1} comes and bind the two. Paper: 200 units, 128 rows of 40 numbers, 4 heads, γ = 0.99. What
is read goes into the next step's input as well, as in the neural Turing machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from compare.sequence.addressing import least_used, read_weights, used, write_weights, written
from compare.sequence.transformer import linear
from tasks import IclError

if TYPE_CHECKING:
    from torch import Tensor

    from compare.meta_gradient import Params

START = 1e-6
"""Of every number of an empty memory: a row of zeros has no direction to compare."""


class _State(NamedTuple):
    """What goes from one step to the next."""

    hidden: Tensor
    """(b, units)"""
    cell: Tensor
    """(b, units)"""
    memory: Tensor
    """(b, rows, width)"""
    read: Tensor
    """(b, heads, rows): weights"""
    usage: Tensor
    """(b, rows)"""
    found: Tensor
    """(b, heads · width): what was read"""


@dataclass(frozen=True)
class MANN:
    """See the module's opening. A Reader."""

    units: int = 200
    rows: int = 128
    width: int = 40
    heads: int = 4
    decay: float = 0.99

    answers_everywhere = True

    def __post_init__(self) -> None:
        if not 1 <= self.heads <= self.rows:
            raise IclError(f"every head needs a row of the memory, but there are {self.heads} heads and {self.rows} rows")

    def initial(self, width: int, label_width: int, outputs: int, generator: Any) -> Params:
        """See Reader."""
        import torch

        found, u = self.heads * self.width, self.units
        shapes = {
            "gates.weight": (4 * u, width + label_width + found + u),
            "keys.weight": (found, u),
            "strength.weight": (self.heads, u),
            "alpha.weight": (self.heads, u),
            "said.weight": (outputs, u + found),
        }
        params: Params = {}
        for name, (above, below) in shapes.items():
            params[name] = (2 * torch.rand((above, below), generator=generator) - 1) * below**-0.5
            params[name.replace(".weight", ".bias")] = torch.zeros(above)
        params["gates.bias"][u : 2 * u] = 1.0  # the LSTM remembers until it has learnt to forget
        return params

    def __call__(self, params: Params, features: Tensor, labels: Tensor) -> Tensor:
        """See Reader."""
        import torch

        late = torch.cat([torch.zeros_like(labels[:, :1]), labels[:, :-1]], dim=1)
        seen = torch.cat([features, late], dim=-1)
        state, said = self._empty(seen), []
        for t in range(seen.shape[1]):
            state = self._step(params, state, seen[:, t])
            said.append(linear(params, "said", torch.cat([state.hidden, state.found], dim=-1)))
        return torch.stack(said, dim=1)

    def _empty(self, seen: Tensor) -> _State:
        b, new = len(seen), seen.new_zeros
        memory = seen.new_full((b, self.rows, self.width), START)
        read = new(b, self.heads, self.rows)
        return _State(new(b, self.units), new(b, self.units), memory, read, new(b, self.rows), new(b, self.heads * self.width))

    def _step(self, params: Params, state: _State, seen: Tensor) -> _State:
        """One item, (b, width + label_width)."""
        import torch

        inputs = torch.cat([seen, state.found, state.hidden], dim=-1)
        into, keep, new, out = linear(params, "gates", inputs).chunk(4, dim=-1)
        cell = keep.sigmoid() * state.cell + into.sigmoid() * new.tanh()
        hidden = out.sigmoid() * cell.tanh()
        keys = linear(params, "keys", hidden).tanh().reshape(-1, self.heads, self.width)
        strength = 1 + torch.nn.functional.softplus(linear(params, "strength", hidden))
        unused = least_used(state.usage, self.heads)
        write = write_weights(state.read, unused, linear(params, "alpha", hidden).sigmoid())
        memory = written(state.memory, write, unused, keys)
        read = read_weights(memory, keys, strength)
        return _State(hidden, cell, memory, read, used(state.usage, read, write, self.decay), (read @ memory).flatten(1))
