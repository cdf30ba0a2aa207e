"""Greedy decoding. Prompts that share a prefix share its keys and values; rows that have ended leave the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from icl.engine.types import Progress
from tasks.errors import IclError

if TYPE_CHECKING:
    from icl.engine.hf import HFEngine

ROWS = 16
"""Sequences decoded together."""


def generate_shared(
    engine: HFEngine, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Sequence[str], progress: Progress
) -> list[str]:
    """The prefix common to all prompts is computed once; the rest is decoded in batches of ROWS, sorted by length."""
    engine.work.tokens_total += sum(map(len, prompts))
    shared = min(_common_prefix(prompts), min(map(len, prompts)) - 1)
    prefix = _prefix_cache(engine, list(prompts[0][:shared]))
    progress(shared, 0)
    out = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    for start in range(0, len(order), ROWS):
        rows = order[start : start + ROWS]
        suffixes = [list(prompts[i][shared:]) for i in rows]
        for i, text in zip(rows, _decode(engine, prefix, shared, suffixes, max_new_tokens, stop, progress), strict=True):
            out[i] = text
    return out


def generate_singly(
    engine: HFEngine, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Sequence[str], progress: Progress
) -> list[str]:
    """One prompt at a time through the model's own `generate`: for architectures whose cache we do not know."""
    out: list[str] = []
    for prompt in prompts:
        ids = torch.as_tensor([list(prompt)], device=engine.device)
        written = engine.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_new_tokens, do_sample=False,
            pad_token_id=_pad(engine), stop_strings=list(stop) or None, tokenizer=engine.tokenizer,
        )[0, ids.shape[1] :]  # fmt: skip
        out.append(cut(_text(engine, written.tolist()), stop)[0])
        computed = ids.shape[1] + max(len(written) - 1, 0)
        engine.work.tokens_unique += computed
        engine.work.tokens_total += computed
        engine.work.scored_rows += len(written)
        engine.work.attended += computed * (computed + 1) // 2
        progress(computed, 0)
    return out


def cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text before its first stop string, and whether there was one."""
    positions = [at for at in (text.find(s) for s in stop if s) if at >= 0]
    return (text[: min(positions)], True) if positions else (text, False)


def _prefix_cache(engine: HFEngine, prefix: list[int]) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of the shared prefix per layer: each (1, heads, prefix, head size); empty for no prefix."""
    from transformers import DynamicCache

    if not prefix:
        return []
    cache = DynamicCache()
    for start in range(0, len(prefix), engine.batch_tokens):
        ids = torch.as_tensor([prefix[start : start + engine.batch_tokens]], device=engine.device)
        engine.model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    engine.work.tokens_unique += len(prefix)
    engine.work.attended += len(prefix) * (len(prefix) + 1) // 2
    return [(layer.keys, layer.values) for layer in cache.layers]


def _decode(
    engine: HFEngine, prefix: list[tuple[Tensor, Tensor]], shared: int, suffixes: list[list[int]],
    max_new_tokens: int, stop: Sequence[str], progress: Progress,
) -> list[str]:  # fmt: skip
    """One batch. Suffixes are padded on the right; the mask hides the padding from every later token, positions skip it."""
    from transformers import DynamicCache

    rows, width = len(suffixes), max(map(len, suffixes))
    cache: Any = DynamicCache(ddp_cache_data=[(k.expand(rows, -1, -1, -1), v.expand(rows, -1, -1, -1)) for k, v in prefix] or None)
    lengths = torch.tensor([len(s) for s in suffixes])
    ids = torch.zeros(rows, width, dtype=torch.long)
    for b, suffix in enumerate(suffixes):
        ids[b, : len(suffix)] = torch.tensor(suffix)
    real = torch.arange(width)[None] < lengths[:, None]  # (rows, width)
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    see = torch.cat([torch.ones(rows, width, shared, dtype=torch.bool), causal[None] & real[:, None, :]], dim=2)
    see |= _diagonal(width, shared)  # a padding row must see something; what it computes is never read
    positions = shared + torch.arange(width)[None].expand(rows, -1)
    hidden = _forward(engine, ids, positions, see, cache)[torch.arange(rows), lengths - 1]
    visible = torch.cat([torch.ones(rows, shared, dtype=torch.bool), real], dim=1)  # (rows, columns so far)
    position = shared + lengths
    _count(engine, int(lengths.sum()), int(see[real].sum()), rows, progress)

    written: list[list[int]] = [[] for _ in suffixes]
    active = list(range(rows))
    ends = _end_tokens(engine)
    while True:
        assert engine.head is not None
        likeliest, chosen = engine.head.logits(hidden).max(-1)
        if not torch.isfinite(likeliest).all():  # the maximum of a row with a NaN is NaN
            raise IclError("answers need finite scores, but the model's overflow in this dtype: try --dtype float32")
        chosen = chosen.cpu()
        going = []
        for b, token in enumerate(chosen.tolist()):
            ids_so_far = written[active[b]]
            ended = token in ends
            if not ended:
                ids_so_far.append(token)
                ended = len(ids_so_far) >= max_new_tokens or cut(_text(engine, ids_so_far), stop)[1]
            if not ended:
                going.append(b)
        if not going:
            return [cut(_text(engine, tokens), stop)[0] for tokens in written]
        if len(going) < len(active):
            keep = torch.tensor(going)
            cache.batch_select_indices(keep.to(engine.device))
            chosen, visible, position = chosen[keep], visible[keep], position[keep]
            active = [active[b] for b in going]
        visible = torch.cat([visible, torch.ones(len(active), 1, dtype=torch.bool)], dim=1)
        hidden = _forward(engine, chosen[:, None], position[:, None], visible[:, None, :], cache)[:, -1]
        position = position + 1
        _count(engine, len(active), int(visible.sum()), len(active), progress)


def _forward(engine: HFEngine, ids: Tensor, positions: Tensor, see: Tensor, cache: Any) -> Tensor:
    """Last hidden states (rows, tokens, hidden); `see` is (rows, tokens, columns)."""
    from icl.engine.hf import additive

    device = engine.device
    output = engine.model.base_model(
        input_ids=ids.to(device), position_ids=positions.to(device), past_key_values=cache, use_cache=True,
        attention_mask=additive(see.to(device), engine.model.dtype)[:, None],
    )  # fmt: skip
    hidden: Tensor = output.last_hidden_state
    return hidden


def _diagonal(width: int, shared: int) -> Tensor:
    return torch.cat([torch.zeros(width, shared, dtype=torch.bool), torch.eye(width, dtype=torch.bool)], dim=1)[None]


def _count(engine: HFEngine, tokens: int, attended: int, rows: int, progress: Progress) -> None:
    engine.work.tokens_unique += tokens
    engine.work.attended += attended
    engine.work.scored_rows += rows
    progress(tokens, 0)


def _text(engine: HFEngine, tokens: list[int]) -> str:
    return str(engine.tokenizer.decode(tokens, skip_special_tokens=True))


def _end_tokens(engine: HFEngine) -> set[int]:
    ends = engine.model.generation_config.eos_token_id if engine.model.generation_config else None
    ends = ends if ends is not None else engine.config.eos_token_id
    found = set(ends) if isinstance(ends, list) else {ends}
    found.add(getattr(engine.tokenizer, "eos_token_id", None))
    return {token for token in found if token is not None}


def _pad(engine: HFEngine) -> int:
    ends = _end_tokens(engine)
    return min(ends) if ends else 0


def _common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    low, high = np.asarray(min(prompts, key=tuple)), np.asarray(max(prompts, key=tuple))
    n = min(len(low), len(high))
    different = np.flatnonzero(low[:n] != high[:n])
    return int(different[0]) if len(different) else n
