"""The floor: how fast this machine does the products that no program can leave out, with the model's own weights and shapes.

Per token: every weight matrix of the layers, at the best of several row counts. Per pair of a token and a position that it attends to:
one column of QKᵀ and one row of PV, multiplied for blocks of rows, at the best of several block sizes. Per scored row: the LM head, in the
model's dtype or in float32, whichever is faster. Nothing elementwise, no norms, no softmax, no embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from benchmarks.exchange import Workload
from benchmarks.workers.serve import Reply, facts, serve, timed

ROWS = (256, 512, 1024, 2048)
BLOCKS = (64, 128, 256)
HEAD_ROWS = 256
PASSES = 3


class Floor:
    def __init__(self, model: str, dtype: str) -> None:
        from transformers import AutoModelForCausalLM

        from icl.device import keep_freed_memory

        keep_freed_memory()  # so that the floor is not raised by faulting pages
        loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype), local_files_only=True)
        self.head: Tensor = loaded.get_output_embeddings().weight.detach()
        self.head32 = self.head.float()
        left_out = {self.head.data_ptr(), loaded.get_input_embeddings().weight.data_ptr()}
        # Stored (out, in); GPT-2 stores the transpose, whose product takes as long.
        self.weights = [p.detach() for p in loaded.parameters() if p.ndim == 2 and p.data_ptr() not in left_out]
        config = loaded.config.get_text_config(decoder=True)
        self.layers: int = config.num_hidden_layers
        self.heads: int = config.num_attention_heads
        self.groups: int = getattr(config, "num_key_value_heads", None) or self.heads
        self.size: int = getattr(config, "head_dim", None) or config.hidden_size // self.heads

    def facts(self) -> Reply:
        return facts()

    def prepare(self, workload: Workload, options: dict[str, Any]) -> None:
        self._per_token(256)

    @torch.inference_mode()
    def run(self, workload: Workload, options: dict[str, Any]) -> Reply:
        """Seconds per token, per attended pair (all layers), per row of the head; `together` rows at a time while writing."""
        path, together = int(options["mean_path"]), int(options["together"])
        per_token = {rows: self._per_token(rows) for rows in ROWS}
        reply = {
            "per_token": min(per_token.values()),
            "per_token_by_rows": {str(rows): value for rows, value in per_token.items()},
            "per_pair": min(self._per_pair(block, path) for block in BLOCKS),
            "per_head_row": self._per_head_row(HEAD_ROWS),
        }
        if together:
            reply |= {"per_token_written": self._per_token(together), "per_head_row_written": self._per_head_row(together)}
        return {"seconds": 0.0, "rates": reply}

    def _per_token(self, rows: int) -> float:
        inputs = {width: torch.randn(rows, width, dtype=self.head.dtype) for width in {w.shape[1] for w in self.weights}}

        def products() -> None:
            for weight in self.weights:
                linear(inputs[weight.shape[1]], weight)

        return _best(products) / rows

    def _per_pair(self, block: int, path: int) -> float:
        query = torch.randn(self.groups, self.heads // self.groups * block, self.size, dtype=self.head.dtype)
        key = torch.randn(self.groups, path, self.size, dtype=self.head.dtype)
        mixed = torch.rand(self.groups, query.shape[1], path, dtype=self.head.dtype)

        def products() -> None:
            for _ in range(self.layers):
                torch.bmm(query, key.transpose(1, 2))
                torch.bmm(mixed, key)

        return _best(products) / (block * path)

    def _per_head_row(self, rows: int) -> float:
        hidden = torch.randn(rows, self.head.shape[1])
        short = hidden.to(self.head.dtype)
        return min(_best(lambda: linear(hidden, self.head32)), _best(lambda: linear(short, self.head))) / rows


def _best(call: Callable[[], Any]) -> float:
    call()
    return min(timed(call)[0] for _ in range(PASSES))


if __name__ == "__main__":
    serve(Floor)
