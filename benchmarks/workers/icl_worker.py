"""Ours: the Hugging Face engine on the token tree, set up as `icl evaluate` does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmarks.exchange import Workload
from benchmarks.workers.serve import WARM_SEQUENCES, Reply, facts, serve, timed


class Icl:
    def __init__(self, model: str, dtype: str) -> None:
        from icl.device import default_batch_tokens, keep_freed_memory
        from icl.engine.hf import HFEngine
        from icl.models import load_model, resolve_model

        keep_freed_memory()
        loaded = load_model(resolve_model(model), dtype, "cpu")
        self.engine = HFEngine(loaded.model, loaded.tokenizer, default_batch_tokens("cpu"))

    def facts(self) -> Reply:
        return {**facts("tokenizers"), "path": self.engine.path, "notes": self.engine.notes, "batch_tokens": self.engine.batch_tokens}

    def prepare(self, workload: Workload, options: dict[str, Any]) -> None:
        self.run(workload.first_sequences(WARM_SEQUENCES), options)

    def run(self, workload: Workload, options: dict[str, Any]) -> Reply:
        from icl.engine.types import ScoreRequest, Work, silent

        self.engine.work = Work()
        if workload.generates:
            new = workload.max_new_tokens
            seconds, texts = timed(lambda: self.engine.generate(workload.sequences, new, (), silent))
            return {"seconds": seconds, "texts": texts, "work": asdict(self.engine.work)}
        requests = [ScoreRequest.whole(ids, start) for ids, start in zip(workload.sequences, workload.scored_from, strict=True)]
        seconds, values = timed(lambda: self.engine.score(requests, silent))
        return {"seconds": seconds, "sums": [float(v.sum()) for v in values], "work": asdict(self.engine.work)}


if __name__ == "__main__":
    serve(Icl)
