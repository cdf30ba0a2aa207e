"""The Hugging Face back end.

Three paths, each exact for what it serves. *tree*: the token tree in packed, padding-free passes, every distinct prefix once
(`icl/engine/forward.py`). *prefix*: batches that go on from a clone of the model's own cache of the tokens that all sequences share, for
windows shorter than a path and architectures that the tree does not know. *plain*: right-padded batches of whole sequences, for
the rest. Checks against the model's own forward decide, when the engine is made and before the prefix path is first used; what differs
by more than the dtype's tolerance is not used, and a note says so. Exactness beats speed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icl.engine.decode import generate_shared
from icl.engine.ends import next_token, rows_of
from icl.engine.forward import TreeForward
from icl.engine.greedy import end_tokens, generate_singly, plain_greedy
from icl.engine.head import Head
from icl.engine.memory import is_out_of_memory
from icl.engine.plain import PlainBatches, PrefixBatches, batches
from icl.engine.suitable import sliding_window, why_not
from icl.engine.types import Pooling, Progress, ScoreRequest, Work, silent
from icl.tree import TokenTree, common_prefix
from tasks.errors import IclError

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.5, torch.float16: 0.1}
"""Largest difference of a log-probability that the checks accept, by dtype (random tokens, far tails included)."""
LEAST_SHARED = 16
"""Tokens of a shared prefix that are worth a pass of their own."""
LEAST_BATCH = 16
"""Tokens of a pass below which running out of memory is an error."""

Ids = tuple[int, ...]
Value = TypeVar("Value")


class HFEngine:
    """See the module's opening. `path` is 'tree', 'prefix' or 'plain'; `notes` says why when it is not the tree."""

    VERSION = 3
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
        self.ends = end_tokens(model, tokenizer)
        plain_greedy(model, self.ends)
        self.head: Head | None = Head(model)
        self.plain = PlainBatches(model)
        self.forward: TreeForward | None = None
        self._prefix: bool | None = None
        """Whether going on from a cloned cache is exact; None until it is checked."""
        with torch.inference_mode():
            self._check_head()
            self._choose_path()

    def over(self, model: Any) -> HFEngine:
        """An engine like this one over the same architecture with other weights: the path is checked already, work begins at 0."""
        other = copy.copy(self)
        other.model, other.work, other.notes = model.eval(), Work(), list(self.notes)
        other.plain = PlainBatches(model, self.plain.logits)
        if self.forward is not None:
            other.forward = TreeForward(model, self.forward.flex)
        if self.head is not None and not self.head.is_of(model):
            other.head = Head(model)
        return other

    @property
    def path(self) -> str:
        """The one that is taken unless a path is longer than the model's window."""
        return "tree" if self.forward is not None else "prefix" if self._prefix else "plain"

    # --- scoring -----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        """See Engine.score."""
        if not requests:
            return []
        self.work.tokens_total += sum(len(r) - 1 for r in requests)
        return self._halving(lambda: self._score(requests, progress))

    def _score(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        if self.uses_tree(max(len(r) for r in requests)):
            return self._score_tree(requests, progress)
        # The last token of a sequence is only ever a target: it is not an input.
        distinct = list(dict.fromkeys(r.inputs for r in requests))
        shared = min(common_prefix(distinct), *(r.scored_from - 1 for r in requests)) if len(distinct) > 1 else 0
        if shared >= LEAST_SHARED and self._prefix_is_exact():
            return self._score_prefix(requests, distinct, shared, progress)
        states = self.plain.states(distinct, self.batch_tokens, self.work)
        return self._score_states(requests, states, 0, sum(map(len, distinct)), progress)

    def uses_tree(self, longest: int) -> bool:
        """Whether sequences of up to so many tokens go through the tree."""
        return self.forward is not None and (self.window is None or longest <= self.window)

    def _score_tree(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[NDArray[np.float64]]:
        assert self.forward is not None
        tree = TokenTree.build(r.inputs for r in requests)
        node = np.concatenate([tree.tail(i, request.scored_from - 1) for i, request in enumerate(requests)])
        target = np.concatenate([np.asarray(request.answer) for request in requests])
        out = np.empty(len(node), dtype=np.float64)
        order = np.argsort(node, kind="stable")
        ordered = node[order]
        for chunk, hidden in self.forward.hidden(tree, self.batch_tokens, self.work):
            low, high = np.searchsorted(ordered, [chunk.start, chunk.stop])
            inside = order[low:high]
            if len(inside):
                rows, row = np.unique(node[inside] - chunk.start, return_inverse=True)
                picked = hidden[torch.as_tensor(rows, device=hidden.device)]
                out[inside] = self._log_probs(picked, row, target[inside])
            progress(chunk.stop - chunk.start, len(tree))
        return np.split(out, np.cumsum([len(r.answer) for r in requests])[:-1])

    def _score_prefix(
        self, requests: Sequence[ScoreRequest], distinct: Sequence[Ids], shared: int, progress: Progress
    ) -> list[NDArray[np.float64]]:
        states = PrefixBatches(self.plain).states(distinct, shared, self.batch_tokens, self.work)
        return self._score_states(requests, states, shared, shared + sum(len(s) - shared for s in distinct), progress)

    def _score_states(
        self, requests: Sequence[ScoreRequest], states: Iterable[tuple[Ids, Tensor]], first: int, total: int, progress: Progress
    ) -> list[NDArray[np.float64]]:
        """`states` gives each distinct input with what the model made of its tokens from position `first` on."""
        where: dict[Ids, list[int]] = {}
        for i, request in enumerate(requests):
            where.setdefault(request.inputs, []).append(i)
        out: list[NDArray[np.float64]] = [np.empty(0)] * len(requests)
        for sequence, values in states:
            for i in where[sequence]:
                request = requests[i]
                target = np.asarray(request.answer, dtype=np.int64)
                out[i] = self._log_probs(values[request.scored_from - 1 - first :], np.arange(len(target)), target)
            progress(len(sequence) - first, total)
        return out

    def _log_probs(self, values: Tensor, row: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of target[i] at values[row[i]]; `values` are hidden states, or logits where the head is not a plain linear map."""
        self.work.scored_rows += len(values)
        rows, targets = torch.as_tensor(row), torch.as_tensor(target)
        if self.head is not None:
            picked = self.head.log_probs(values, rows, targets)
        else:
            picked = values.float().log_softmax(-1)[rows.to(values.device), targets.to(values.device)].cpu()
        return picked.double().numpy()

    # --- writing and embedding ---------------------------------------------------------------------------------------

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Sequence[str], progress: Progress) -> list[str]:
        """See Engine.generate."""
        if not prompts:
            return []
        longest = max(map(len, prompts)) + max_new_tokens
        run = generate_shared if self.uses_tree(longest) and self.head is not None else generate_singly
        return self._halving(lambda: run(self, prompts, max_new_tokens, stop, progress))

    @torch.inference_mode()
    def embed(self, sequences: Sequence[Sequence[int]], progress: Progress, pool: Pooling = "mean") -> NDArray[np.float32]:
        """See Engine.embed."""
        where: dict[Ids, list[int]] = {}
        for i, sequence in enumerate(sequences):
            where.setdefault(tuple(sequence), []).append(i)
        self.work.tokens_total += sum(map(len, sequences))
        out = self._halving(lambda: self._embed(where, len(sequences), progress, pool))
        if not np.isfinite(out).all():
            raise IclError("embeddings must be finite numbers, but the model overflows in this dtype: try --dtype float32")
        return out

    def _embed(self, where: dict[Ids, list[int]], count: int, progress: Progress, pool: Pooling) -> NDArray[np.float32]:
        out = np.empty((count, self.config.hidden_size), dtype=np.float32)
        total = sum(map(len, where))
        for sequence, states in self._states(list(where)):
            pooled = states.float().mean(0) if pool == "mean" else states[-1].float()
            out[where[sequence]] = pooled.cpu().numpy()
            progress(len(sequence), total)
        return out

    # --- what stands at the end of a sequence --------------------------------------------------------------------------

    @torch.inference_mode()
    def distributions(self, sequences: Sequence[Sequence[int]], progress: Progress) -> NDArray[np.float32]:
        """See Engine.distributions. Raises IclError where one is not finite."""
        self.work.tokens_total += sum(map(len, sequences))
        self.work.scored_rows += len(set(map(tuple, sequences)))
        return self._halving(
            lambda: rows_of(
                sequences,
                lambda distinct: self._ends(distinct, self.plain, progress),
                lambda states: next_token(self.head, states),
                "distributions",
            )
        )

    @torch.inference_mode()
    def last_states(self, sequences: Sequence[Sequence[int]], progress: Progress) -> NDArray[np.float32]:
        """See Engine.last_states. Raises IclError where one is not finite."""
        self.work.tokens_total += sum(map(len, sequences))
        plain = PlainBatches(self.model)
        return self._halving(
            lambda: rows_of(sequences, lambda distinct: self._ends(distinct, plain, progress), lambda s: s.float(), "hidden states")
        )

    def _ends(self, distinct: list[Ids], plain: PlainBatches, progress: Progress) -> Iterable[tuple[list[int], Tensor]]:
        """See icl.engine.ends.Ends. What the sequences begin with alike is computed once, as for scores."""
        if self.uses_tree(max(map(len, distinct))):
            assert self.forward is not None
            tree = TokenTree.build(distinct)
            order = np.argsort(tree.leaf, kind="stable")
            leaves = tree.leaf[order]
            for chunk, hidden in self.forward.hidden(tree, self.batch_tokens, self.work):
                low, high = np.searchsorted(leaves, [chunk.start, chunk.stop])
                if low < high:
                    yield order[low:high].tolist(), hidden[torch.as_tensor(leaves[low:high] - chunk.start, device=hidden.device)]
                progress(chunk.stop - chunk.start, len(tree))
            return
        place = {sequence: i for i, sequence in enumerate(distinct)}
        shared = min(common_prefix(distinct), min(map(len, distinct)) - 1) if len(distinct) > 1 else 0
        if shared < LEAST_SHARED or not self._prefix_is_exact():
            shared = 0
        read = PrefixBatches(plain).states(distinct, shared, self.batch_tokens, self.work) if shared else None
        total = shared + sum(len(sequence) - shared for sequence in distinct)
        for sequence, values in read or plain.states(distinct, self.batch_tokens, self.work):
            yield [place[sequence]], values[-1:]
            progress(len(sequence) - shared, total)

    def _states(self, sequences: list[Ids]) -> Iterable[tuple[Ids, Tensor]]:
        """Each sequence with its last hidden states: (tokens, hidden)."""
        if not self.uses_tree(max(map(len, sequences), default=0)):
            yield from PlainBatches(self.model).states(sequences, self.batch_tokens, self.work)
            return
        assert self.forward is not None
        for batch in batches(sorted(sequences, key=lambda s: (len(s), s)), self.batch_tokens):
            tree = TokenTree.build(batch)
            states = torch.cat([hidden for _, hidden in self.forward.hidden(tree, self.batch_tokens, self.work)])
            for i, sequence in enumerate(batch):
                yield sequence, states[torch.as_tensor(tree.nodes(i), device=states.device)]

    def _halving(self, compute: Callable[[], Value]) -> Value:
        """Computes; after an out-of-memory error once more with half the tokens in a pass, which is kept from then on, and said."""
        while True:
            try:
                return compute()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.batch_tokens <= LEAST_BATCH:
                    raise
            self.batch_tokens //= 2
            self.notes.append(f"out of memory: going on with --batch-tokens {self.batch_tokens}")
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    # --- checks against the model's own forward ----------------------------------------------------------------------

    def _check_head(self) -> None:
        requests = self._random_requests(12, 5)
        if not self._difference(requests, lambda: self._plainly(requests)) <= self._limit:
            self.head = None
            self.plain = PlainBatches(self.model, logits=True)
            self.notes.append("plain batches with the model's own head: it is not a plain linear map")

    def _choose_path(self) -> None:
        problem = why_not(self.model) if self.head is not None else "its head is not a plain linear map"
        for flex in (_compiled_flex(), None) if self.device.type == "cuda" else (None,):
            if problem is None:
                problem = self._try_tree(flex)
                if problem is None:
                    return
                self.notes.append(f"{'flex attention' if flex else 'token tree'} left out: {problem}")
                problem = None if flex else problem
        self.notes.append(f"{'cloned prefixes' if self._prefix_is_exact() else 'plain batches'}: {problem}")

    def _try_tree(self, flex: Any) -> str | None:
        """Uses the tree, or says why it cannot be."""
        requests = self._random_requests(12, 5)
        own = self._own(requests)
        self.forward = TreeForward(self.model, flex)
        keep, self.batch_tokens = self.batch_tokens, 7  # several chunks, so that kept keys are checked as well
        try:
            off = self._difference(requests, lambda: self._score_tree(requests, silent), own)
        except NotImplementedError as error:
            off, problem = np.inf, str(error)
        else:
            problem = f"the tree differs from the model's own forward by {off:.2g} (limit {self._limit:g})"
        finally:
            self.batch_tokens = keep
        if off <= self._limit:
            return None
        self.forward = None
        return problem

    def _prefix_is_exact(self) -> bool:
        """Checked once, on sequences longer than the model's window."""
        if self._prefix is None:
            requests = self._random_requests((self.window or 0) + 24, 5)
            distinct = [request.inputs for request in requests]
            try:
                off = self._difference(requests, lambda: self._score_prefix(requests, distinct, len(distinct[0]) - 6, silent))
            except Exception as error:  # noqa: BLE001 - whatever a model's own code raises: then it has no such path
                off = np.inf
                self.notes.append(f"no cloned prefixes: {type(error).__name__}: {str(error)[:120]}")
            self._prefix = bool(off <= self._limit)
        return self._prefix

    @property
    def _limit(self) -> float:
        return TOLERANCE.get(self.model.dtype, 1e-3)

    def _random_requests(self, stem: int, tail: int) -> list[ScoreRequest]:
        draw = np.random.default_rng(0)
        head = draw.integers(0, self.config.vocab_size, stem).tolist()
        tails = [draw.integers(0, self.config.vocab_size, tail).tolist() for _ in range(3)]
        return [ScoreRequest.whole((*head, *end), stem - 1) for end in tails]

    def _plainly(self, requests: Sequence[ScoreRequest]) -> list[NDArray[np.float64]]:
        distinct = [request.inputs for request in requests]
        return self._score_states(requests, self.plain.states(distinct, self.batch_tokens, self.work), 0, 1, silent)

    def _difference(
        self, requests: Sequence[ScoreRequest], ours: Callable[[], list[NDArray[np.float64]]], own: NDArray[np.float64] | None = None
    ) -> float:
        """Largest difference of a log-probability between ours and the model's own. What a check computes is not counted as work."""
        saved, self.work = self.work, Work()
        try:
            return float(np.abs(np.concatenate(ours()) - (self._own(requests) if own is None else own)).max())
        finally:
            self.work = saved

    def _own(self, requests: Sequence[ScoreRequest]) -> NDArray[np.float64]:
        out = []
        for request in requests:
            ids = torch.as_tensor([request.token_ids], device=self.device)
            log_probs = self.model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1).cpu()
            positions = torch.arange(request.scored_from - 1, len(request) - 1)
            out.append(log_probs[positions, ids[0, request.scored_from :].cpu()].double().numpy())
        return np.concatenate(out)


def _compiled_flex() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)
