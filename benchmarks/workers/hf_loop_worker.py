"""The plain Hugging Face loop as people write it: whole prompts, padded, a batch at a time. Equal prompts are at least run once only.

It also measures what a dense forward pass of the model reaches, over a few shapes: no padding, no head, nothing to share.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.exchange import Workload
from benchmarks.workers.serve import WARM_SEQUENCES, Reply, facts, serve, timed

DENSE_SHAPES = ((1, 1024), (8, 128), (2, 512), (16, 128))
"""Rows and tokens per row."""


class HfLoop:
    def __init__(self, model: str, dtype: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype), local_files_only=True).eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model, local_files_only=True)

    def facts(self) -> Reply:
        return facts("tokenizers")

    def prepare(self, workload: Workload, options: dict[str, Any]) -> None:
        self.run(workload.first_sequences(WARM_SEQUENCES), {**options, "dense": False})

    @torch.inference_mode()
    def run(self, workload: Workload, options: dict[str, Any]) -> Reply:
        dense = self._dense() if options.get("dense") else {}
        batch = int(options["batch"])
        if workload.generates:
            seconds, texts = timed(lambda: self._generate(workload, batch))
            return {"seconds": seconds, "texts": texts, "batch": batch, **dense}
        seconds, sums = timed(lambda: self._score(workload, batch))
        return {"seconds": seconds, "sums": sums, "batch": batch, **dense}

    def _score(self, workload: Workload, batch: int) -> list[float]:
        rows: dict[tuple[int, ...], list[int]] = {}
        for i, whole in enumerate(workload.sequences):
            rows.setdefault(whole[:-1], []).append(i)
        sums = [0.0] * len(workload.sequences)
        inputs = list(rows)
        for start in range(0, len(inputs), batch):
            part = inputs[start : start + batch]
            width = max(map(len, part))
            ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in part])
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in part])
            logits = self.model(input_ids=ids, attention_mask=mask).logits  # (rows, width, vocabulary)
            for b, row in enumerate(part):
                for i in rows[row]:
                    begin, whole = workload.scored_from[i], workload.sequences[i]
                    log_probs = logits[b, begin - 1 : len(row)].float().log_softmax(-1)
                    sums[i] = float(log_probs.gather(1, torch.tensor(whole[begin:])[:, None]).sum())
        return sums

    def _generate(self, workload: Workload, batch: int) -> list[str]:
        texts: list[str] = []
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id
        for start in range(0, len(workload.sequences), batch):
            part = workload.sequences[start : start + batch]
            width = max(map(len, part))
            ids = torch.tensor([[*[pad] * (width - len(row)), *row] for row in part])
            mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in part])
            out = self.model.generate(
                ids, attention_mask=mask, max_new_tokens=workload.max_new_tokens, do_sample=False, pad_token_id=pad
            )  # fmt: skip
            texts.extend(self.tokenizer.batch_decode(out[:, width:], skip_special_tokens=True))
        return texts

    def _dense(self) -> Reply:
        """Tokens per second of the model's body by shape (those that fit its window), the better of two passes each."""
        window = int(getattr(self.model.config, "max_position_embeddings", 1024))
        rates = {}
        for rows, width in DENSE_SHAPES:
            if width > window:
                continue
            ids = torch.randint(0, self.model.config.vocab_size, (rows, width), generator=torch.Generator().manual_seed(0))
            passes = [timed(lambda ids=ids: self.model.base_model(input_ids=ids, use_cache=False))[0] for _ in range(2)]  # type: ignore[misc]
            rates[f"{rows}x{width}"] = rows * width / min(passes)
        return {"dense": rates}


if __name__ == "__main__":
    serve(HfLoop)
