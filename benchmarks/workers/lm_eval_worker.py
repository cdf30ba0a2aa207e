"""lm-evaluation-harness, Hugging Face back end: `HFLM.loglikelihood` and `generate_until` on the same strings. In its own environment.

Only its scoring is timed (`_loglikelihood_tokens`), not its tokenising; that it came to the same token ids is counted. The batch size is
the fastest of those given, tried once per workload on a few prompts.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.exchange import Workload
from benchmarks.workers.serve import WARM_SEQUENCES, Reply, facts, serve, timed


class LmEval:
    def __init__(self, model: str, dtype: str) -> None:
        from lm_eval.models.huggingface import HFLM  # type: ignore[import-not-found]

        self.lm: Any = HFLM(pretrained=model, dtype=dtype, device="cpu", batch_size=1)
        self.batch = 1
        self.seconds = 0.0
        self.encoded: list[tuple[int, ...]] = []
        inner = self.lm._loglikelihood_tokens

        def scored(requests: Any, *args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            out = inner(requests, *args, **kwargs)
            self.seconds = time.perf_counter() - start
            self.encoded = [(*context, *continuation) for _, context, continuation in requests]
            return out

        self.lm._loglikelihood_tokens = scored

    def facts(self) -> Reply:
        return facts("lm_eval", "tokenizers")

    def prepare(self, workload: Workload, options: dict[str, Any]) -> None:
        self._pass(workload.first_sequences(WARM_SEQUENCES), 1)
        sizes = [int(size) for size in options["batches"]]
        self.batch = sizes[-1]
        if len(sizes) > 1:
            per_query = max(1, len(workload.sequences) // max(len(workload.contexts), 1))
            # Candidates of one token share a prompt in the harness, longer ones do not.
            shared = all(len(s) - f == 1 for s, f in zip(workload.sequences, workload.scored_from, strict=True))
            part = workload.first_sequences(max(sizes) * (per_query if shared else 1))
            tried = {size: self._pass(part, size)["seconds"] for size in sizes}
            self.batch = min(tried, key=lambda size: tried[size])

    def run(self, workload: Workload, options: dict[str, Any]) -> Reply:
        return self._pass(workload, self.batch)

    def _pass(self, workload: Workload, batch: int) -> Reply:
        from lm_eval.api.instance import Instance  # type: ignore[import-not-found]

        self.lm.batch_size_per_gpu = batch
        if workload.generates:
            how = {"until": [], "max_gen_toks": workload.max_new_tokens, "do_sample": False}
            asked = [Instance("generate_until", {}, (text, dict(how)), i) for i, text in enumerate(workload.contexts)]
            seconds, texts = timed(lambda: self.lm.generate_until(asked, disable_tqdm=True))
            return {"seconds": seconds, "texts": texts, "batch": batch}
        pairs = [(workload.contexts[q], text) for q, text in zip(workload.query, workload.continuations, strict=True)]
        instances = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
        scores = self.lm.loglikelihood(instances, disable_tqdm=True)
        same = sum(a == b for a, b in zip(self.encoded, workload.sequences, strict=True)) / max(len(pairs), 1)
        return {"seconds": self.seconds, "sums": [float(value) for value, _ in scores], "batch": batch, "same_tokens": same}


if __name__ == "__main__":
    serve(LmEval)
