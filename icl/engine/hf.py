"""The Hugging Face back end.

Tree path: the token tree is cut into chunks; a chunk is one packed, padding-free forward pass with a four-dimensional mask, in which
every token attends to its ancestors, at the position that it has along its own path. Keys and values of the one path that the next chunk
needs are kept, the rest is freed. Plain path: right-padded batches of whole sequences through the model's own forward, for models
that the tree cannot serve exactly (state-space and hybrid models, windows shorter than a path, custom code). A check when the engine is
made scores a small tree both ways and falls back, saying so, when they differ. Exactness beats speed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icl.engine.attention import NAME, attending, plan_attention, register
from icl.engine.generation import generate_shared, generate_singly
from icl.engine.head import Head
from icl.engine.types import Pooling, Progress, ScoreRequest, Work, silent
from icl.tree import Chunk, TokenTree
from tasks.errors import IclError

TREE_TYPES = frozenset(
    "llama mistral qwen2 qwen3 gemma gemma2 gemma3_text phi phi3 smollm3 olmo2 granite starcoder2 gpt2 gpt_neox".split(" ")  # noqa: SIM905
)
"""config.model_type of architectures whose forward takes a four-dimensional mask and explicit positions for what they are."""

LENGTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})
"""Rotary embeddings whose frequencies depend on the longest position in the pass: another packing would give other numbers."""

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.5, torch.float16: 0.1}
"""Largest difference of a log-probability that the check at load accepts, by dtype (random tokens, far tails included)."""


class HFEngine:
    """See the module's opening. `path` is 'tree' or 'plain'; `notes` says why when it is not the tree."""

    VERSION = 1
    """Of the arithmetic: part of every key of the score store. Raised when equal tokens could get other scores."""

    def __init__(self, model: Any, tokenizer: Any, batch_tokens: int) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_tokens = batch_tokens
        self.device = model.device
        self.work = Work()
        self.notes: list[str] = []
        self.config = model.config.get_text_config(decoder=True)
        self.window = sliding_window(self.config)
        self.head: Head | None = Head(model)
        self.path = "tree" if self._tree_is_possible() else "plain"
        self.blocks = self.path == "tree" and self._use_block_attention()
        with torch.inference_mode():
            self._check()

    # --- scoring -----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        """See Engine.score."""
        if not requests:
            return []
        self.work.tokens_total += sum(len(r.token_ids) - 1 for r in requests)
        if self._use_tree(max(len(r.token_ids) for r in requests)):
            return self._score_tree(requests, progress)
        return self._score_plain(requests, progress)

    def _use_tree(self, longest: int) -> bool:
        return self.path == "tree" and (self.window is None or longest <= self.window)

    def _score_tree(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        # The last token of a sequence is only ever a target: it is not an input.
        tree = TokenTree.build([r.token_ids[:-1] for r in requests])
        nodes: list[int] = []
        targets: list[int] = []
        for i, request in enumerate(requests):
            nodes.extend(tree.nodes(i)[request.scored_from - 1 :].tolist())
            targets.extend(request.token_ids[request.scored_from :])
        node, target = np.asarray(nodes), np.asarray(targets)
        out = np.empty(len(node), dtype=np.float64)
        order = np.argsort(node, kind="stable")
        for chunk, hidden in self._tree_hidden(tree):
            low, high = np.searchsorted(node[order], [chunk.start, chunk.stop])
            inside = order[low:high]
            if len(inside):
                rows, row = np.unique(node[inside] - chunk.start, return_inverse=True)
                picked = hidden[torch.as_tensor(rows, device=self.device)]
                out[inside] = self._head_log_probs(picked, row, target[inside])
                self.work.scored_rows += len(rows)
            progress(chunk.stop - chunk.start, len(tree))
        return _split(out, requests)

    def _tree_hidden(self, tree: TokenTree) -> Iterator[tuple[Chunk, Tensor]]:
        """Chunk by chunk, the last hidden states of its nodes: shape (nodes of the chunk, hidden)."""
        from transformers import DynamicCache

        chunks = list(tree.chunks(self.batch_tokens))
        nothing = torch.zeros(1, 1, 1, 1, dtype=self.model.dtype, device=self.device)
        kept: list[tuple[Tensor, Tensor]] = []  # per layer: keys and values of the current chunk's path, (1, heads, path, head size)
        for number, chunk in enumerate(chunks):
            plan = plan_attention(tree, chunk, self.model.dtype)
            cache = DynamicCache(ddp_cache_data=kept) if len(chunk.path) else DynamicCache()
            if self.blocks:
                mask = nothing  # the plan says who sees whom; a mask that is there keeps the model from making its own
            else:
                mask = additive(torch.as_tensor(tree.attends(chunk), device=self.device), self.model.dtype)[None, None]
            with attending(plan) if self.blocks else contextlib.nullcontext():
                output = self.model.base_model(
                    input_ids=torch.as_tensor(tree.token[chunk.start : chunk.stop], device=self.device)[None],
                    position_ids=torch.as_tensor(tree.depth[chunk.start : chunk.stop], device=self.device)[None],
                    attention_mask=mask,
                    past_key_values=cache,
                    use_cache=True,
                )
            self.work.tokens_unique += chunk.stop - chunk.start
            self.work.attended += plan.seen
            yield chunk, output.last_hidden_state[0]
            if number + 1 < len(chunks):
                kept = self._keep(cache, chunk, chunks[number + 1])

    def _keep(self, cache: Any, chunk: Chunk, following: Chunk) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of the next chunk's path, picked from this chunk's path and nodes."""
        have = np.concatenate([chunk.path, np.arange(chunk.start, chunk.stop)])
        index = torch.as_tensor(np.searchsorted(have, following.path), device=self.device)
        return [(layer.keys.index_select(2, index), layer.values.index_select(2, index)) for layer in cache.layers]

    def _head_log_probs(self, hidden: Tensor, row: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.float64]:
        assert self.head is not None
        picked = self.head.log_probs(hidden, torch.as_tensor(row), torch.as_tensor(target))
        return picked.double().numpy()

    def _score_plain(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        """Whole sequences, equal inputs once. Padding stands on the right, where no causal model can see it."""
        inputs: dict[tuple[int, ...], list[int]] = {}
        for i, request in enumerate(requests):
            inputs.setdefault(request.token_ids[:-1], []).append(i)
        out: list[NDArray[np.float64]] = [np.empty(0)] * len(requests)
        for batch in batches(sorted(inputs, key=lambda s: (len(s), s)), self.batch_tokens):
            values = self._plain_values(batch)
            self.work.tokens_unique += sum(map(len, batch))
            self.work.attended += sum(len(s) * (len(s) + 1) // 2 for s in batch)
            for b, sequence in enumerate(batch):
                for i in inputs[sequence]:
                    request = requests[i]
                    hidden = values[b, request.scored_from - 1 : len(sequence)]
                    target = np.asarray(request.token_ids[request.scored_from :], dtype=np.int64)
                    out[i] = self._plain_log_probs(hidden, target)
                    self.work.scored_rows += len(target)
            progress(sum(map(len, batch)), sum(map(len, inputs)))
        return out

    def _plain_values(self, batch: Sequence[Sequence[int]]) -> Tensor:
        """Last hidden states (rows, longest, hidden), or logits where the head is not a plain linear map."""
        ids = torch.zeros(len(batch), max(map(len, batch)), dtype=torch.long)
        for b, sequence in enumerate(batch):
            ids[b, : len(sequence)] = torch.as_tensor(sequence)
        model = self.model.base_model if self.head is not None else self.model
        output = model(input_ids=ids.to(self.device), use_cache=False)
        values: Tensor = output.last_hidden_state if self.head is not None else output.logits
        return values

    def _plain_log_probs(self, values: Tensor, target: NDArray[np.int64]) -> NDArray[np.float64]:
        if self.head is not None:
            return self._head_log_probs(values, np.arange(len(target)), target)
        log_probs = values.float().log_softmax(-1)
        picked: NDArray[np.float64] = log_probs[torch.arange(len(target)), torch.as_tensor(target)].double().cpu().numpy()
        return picked

    # --- writing and embedding ---------------------------------------------------------------------------------------

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Sequence[str], progress: Progress) -> list[str]:
        """See Engine.generate."""
        if not prompts:
            return []
        longest = max(map(len, prompts)) + max_new_tokens
        run = generate_shared if self._use_tree(longest) and self.head is not None else generate_singly
        return run(self, prompts, max_new_tokens, stop, progress)

    @torch.inference_mode()
    def embed(self, sequences: Sequence[Sequence[int]], progress: Progress, pool: Pooling = "mean") -> NDArray[np.float32]:
        """See Engine.embed."""
        out = np.empty((len(sequences), self.config.hidden_size), dtype=np.float32)
        where: dict[tuple[int, ...], list[int]] = {}
        for i, sequence in enumerate(sequences):
            where.setdefault(tuple(sequence), []).append(i)
        for batch in batches(sorted(where, key=lambda s: (len(s), s)), self.batch_tokens):
            ids = torch.zeros(len(batch), max(map(len, batch)), dtype=torch.long)
            for b, sequence in enumerate(batch):
                ids[b, : len(sequence)] = torch.as_tensor(sequence)
            hidden = self.model.base_model(input_ids=ids.to(self.device), use_cache=False).last_hidden_state.float()
            for b, sequence in enumerate(batch):
                states = hidden[b, : len(sequence)]
                out[where[sequence]] = (states.mean(0) if pool == "mean" else states[-1]).cpu().numpy()
            self.work.tokens_unique += sum(map(len, batch))
            self.work.tokens_total += sum(len(s) * len(where[s]) for s in batch)
            self.work.attended += sum(len(s) * (len(s) + 1) // 2 for s in batch)
            progress(sum(map(len, batch)), sum(map(len, where)))
        if not np.isfinite(out).all():
            raise IclError("embeddings must be finite numbers, but the model overflows in this dtype: try --dtype float32")
        return out

    # --- the check at load -------------------------------------------------------------------------------------------

    def _tree_is_possible(self) -> bool:
        if self.config.model_type not in TREE_TYPES:
            self.notes.append(f"plain batches: '{self.config.model_type}' is not an architecture that the token tree serves")
            return False
        rope = getattr(self.config, "rope_parameters", None) or {}
        if rope.get("rope_type") in LENGTH_DEPENDENT_ROPE:
            self.notes.append(f"plain batches: rotary embedding '{rope['rope_type']}' depends on the longest sequence of a pass")
            return False
        return True

    def _use_block_attention(self) -> bool:
        """On a CPU the tree brings its own attention, for models whose attention can be chosen by name."""
        if self.device.type != "cpu" or self.config._attn_implementation not in ("sdpa", NAME):
            return False
        register()
        self.model.set_attn_implementation(NAME)
        return True

    def _check(self) -> None:
        """Scores a small tree with the model's own forward and with ours; what differs beyond the dtype's tolerance is not used."""
        vocabulary = self.config.vocab_size
        draw = np.random.default_rng(0)
        stem = draw.integers(0, vocabulary, 12).tolist()
        requests = [ScoreRequest((*stem, *draw.integers(0, vocabulary, 5).tolist()), 11) for _ in range(3)]
        own = torch.cat([self._own_log_probs(request) for request in requests])
        limit = TOLERANCE.get(self.model.dtype, 1e-3)

        def difference(values: list[NDArray[np.float64]]) -> float:
            return float(np.abs(np.concatenate(values) - own.numpy()).max())

        saved, self.work = self.work, Work()
        if not difference(self._score_plain(requests, silent)) <= limit:
            self.head = None
            self.path = "plain"
            self.notes.append("plain batches with the model's own head: it is not a plain linear map")
        if self._use_tree(17):
            keep, self.batch_tokens = self.batch_tokens, 7  # several chunks, so that kept keys are checked as well
            off = difference(self._score_tree(requests, silent))
            self.batch_tokens = keep
            if not off <= limit:
                self.path = "plain"
                self.notes.append(f"plain batches: the tree differs from the model's own forward by {off:.2g} (limit {limit:g})")
        self.work = saved

    def _own_log_probs(self, request: ScoreRequest) -> Tensor:
        ids = torch.as_tensor([request.token_ids], device=self.device)
        log_probs = self.model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1).cpu()
        positions = torch.arange(request.scored_from - 1, len(request.token_ids) - 1)
        picked: Tensor = log_probs[positions, ids[0, request.scored_from :].cpu()].double()
        return picked


def additive(attends: Tensor, dtype: torch.dtype) -> Tensor:
    """True → 0, False → the dtype's lowest value: the form that both eager and SDPA attention take."""
    mask = torch.zeros(attends.shape, dtype=dtype, device=attends.device)
    return mask.masked_fill_(~attends, torch.finfo(dtype).min)


def sliding_window(config: Any) -> int | None:
    """The shortest attention window of any layer, or None."""
    window = getattr(config, "sliding_window", None)
    if not window or getattr(config, "use_sliding_window", True) is False:
        return None
    kinds = getattr(config, "layer_types", None)
    return int(window) if kinds is None or any("sliding" in kind for kind in kinds) else None


def batches(sequences: Sequence[tuple[int, ...]], budget: int) -> Iterator[list[tuple[int, ...]]]:
    """Runs of sequences (sorted by length) whose padded size stays within `budget` tokens; a longer single one goes alone."""
    batch: list[tuple[int, ...]] = []
    for sequence in sequences:
        if batch and (len(batch) + 1) * max(len(sequence), len(batch[-1])) > budget:
            yield batch
            batch = []
        batch.append(sequence)
    if batch:
        yield batch


def _split(values: NDArray[np.float64], requests: Sequence[ScoreRequest]) -> list[NDArray[np.float64]]:
    lengths = [len(r.token_ids) - r.scored_from for r in requests]
    return np.split(values, np.cumsum(lengths)[:-1])
