"""The LM head at chosen positions, in float32.

Only scored positions go through the head, in slices. With a bf16 head, label margins collapse onto a few values and tie, so weight,
product and log-softmax are float32 whatever the model's dtype.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor

SLICE = 256
"""Rows per product: 256 x 49,152 float32 logits are 50 MB."""


class Head:
    """Hidden states → log-probabilities of chosen tokens."""

    def __init__(self, model: Any) -> None:
        from accelerate.utils import align_module_device

        output = model.get_output_embeddings()
        self.source = output.weight
        """The model's own tensor, of which `weight` is a copy in float32."""
        with align_module_device(output):  # where accelerate has put the weights elsewhere, they are brought for a moment
            self.weight: Tensor = output.weight.detach().float()  # (vocabulary, hidden)
            self.bias: Tensor | None = output.bias.detach().float() if getattr(output, "bias", None) is not None else None
        config = model.config.get_text_config(decoder=True)
        self.cap: float | None = getattr(config, "final_logit_softcapping", None)
        self.scale = float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)

    def is_of(self, model: Any) -> bool:
        """Whether a model's head is this one: the very same memory."""
        weight = model.get_output_embeddings().weight
        return weight.dtype == self.source.dtype and bool(weight.data_ptr() == self.source.data_ptr())

    def live(self, model: Any) -> Head:
        """For gradients: this head where the model's is frozen, else one whose weight is a function of the model's."""
        output = model.get_output_embeddings()
        if not output.weight.requires_grad:
            return self
        head = copy.copy(self)
        head.weight = output.weight.float()
        head.bias = output.bias.float() if getattr(output, "bias", None) is not None else None
        return head

    def logits(self, hidden: Tensor) -> Tensor:
        """(rows, hidden) → (rows, vocabulary), float32."""
        logits = torch.nn.functional.linear(hidden.to(self.weight), self.weight, self.bias)
        if self.scale != 1.0:
            logits *= self.scale
        return self.cap * torch.tanh(logits / self.cap) if self.cap else logits

    def log_probs(self, hidden: Tensor, row: Tensor, target: Tensor) -> Tensor:
        """Log-probability of token target[i] at hidden[row[i]]; `row` must be sorted. Shape (len(target),), float32."""
        out = torch.empty(len(target), dtype=torch.float32)
        edges = torch.searchsorted(row.contiguous(), torch.arange(0, len(hidden) + SLICE, SLICE)).tolist()
        for number, (low, high) in enumerate(itertools.pairwise(edges)):
            start = number * SLICE
            logits = self.logits(hidden[start : start + SLICE])
            rows = (row[low:high] - start).to(logits.device)
            # log-softmax at the targets alone: no second matrix of the vocabulary's width
            picked = logits[rows, target[low:high].to(logits.device)] - logits.logsumexp(-1)[rows]
            out[low:high] = picked.cpu()
        return out
