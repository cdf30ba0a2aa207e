"""Every architecture scores as a plain float32 forward pass of the whole string does, whatever path the engine takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
)  # fmt: skip

from icl.engine.hf import HFEngine
from icl.engine.types import ScoreRequest, silent
from tasks import IclError

VOCABULARY = 300
SMALL = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 256, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
GROUPED = {**SMALL, "num_key_value_heads": 2}
IDS = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1}

# Name → (model, the path that serves it; "window": the tree, but not the long paths of this test).
MODELS: dict[str, Any] = {
    "llama": (lambda: LlamaForCausalLM(LlamaConfig(**GROUPED)), "tree"),
    "mistral-window": (lambda: MistralForCausalLM(MistralConfig(**GROUPED, sliding_window=16)), "window"),
    "qwen2": (lambda: Qwen2ForCausalLM(Qwen2Config(**GROUPED)), "tree"),
    "qwen3": (lambda: Qwen3ForCausalLM(Qwen3Config(**GROUPED, head_dim=8)), "tree"),
    "gemma2-soft-caps": (lambda: Gemma2ForCausalLM(Gemma2Config(**GROUPED, head_dim=8, final_logit_softcapping=5.0)), "tree"),
    "gemma3-window": (lambda: Gemma3ForCausalLM(Gemma3TextConfig(**GROUPED, head_dim=8, sliding_window=16)), "window"),
    "phi": (lambda: PhiForCausalLM(PhiConfig(**SMALL)), "tree"),
    "phi3": (lambda: Phi3ForCausalLM(Phi3Config(**GROUPED)), "tree"),
    "gpt2": (lambda: GPT2LMHeadModel(GPT2Config(**IDS, n_embd=32, n_layer=2, n_head=4, n_positions=256)), "tree"),
    "gpt-neox": (lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL)), "tree"),
    "mamba": (lambda: MambaForCausalLM(MambaConfig(**IDS, hidden_size=32, num_hidden_layers=2, state_size=4)), "plain"),
    "rwkv": (lambda: RwkvForCausalLM(RwkvConfig(**IDS, hidden_size=32, num_hidden_layers=2)), "plain"),
    "bloom": (lambda: BloomForCausalLM(BloomConfig(**IDS, hidden_size=32, n_layer=2, n_head=4)), "prefix"),
    "cohere-logit-scale": (lambda: CohereForCausalLM(CohereConfig(**GROUPED)), "prefix"),
}


class NumberTokenizer:
    """Writes token ids as numbers; knows no end."""

    eos_token_id = None

    def decode(self, ids: list[int], **options: Any) -> str:
        return "".join(f"{i} " for i in ids)


def make(name: str, batch_tokens: int = 48) -> HFEngine:
    return HFEngine(make_model(name), NumberTokenizer(), batch_tokens)


def make_model(name: str) -> Any:
    torch.manual_seed(0)
    model = MODELS[name][0]().float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2)
    model.generation_config.eos_token_id = None
    model.config.eos_token_id = None
    return model


def sample_requests() -> list[ScoreRequest]:
    """Two stems of 40 tokens, six queries each, candidates of one to four tokens, some of them prefixes of others."""
    draw = np.random.default_rng(1)
    requests = []
    for stem in (draw.integers(2, VOCABULARY, 40).tolist() for _ in range(2)):
        for _ in range(6):
            query = stem + draw.integers(2, VOCABULARY, int(draw.integers(2, 9))).tolist()
            answer = draw.integers(2, VOCABULARY, 4).tolist()
            requests += [ScoreRequest.whole((*query, *answer[:n]), len(query)) for n in (1, 2, 4)]
    return requests


def reference(engine: HFEngine, request: ScoreRequest) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        logits = engine.model(torch.tensor([request.token_ids]), use_cache=False).logits[0]
    log_probs = logits.float().log_softmax(-1)
    return np.array([log_probs[t - 1, request.token_ids[t]].item() for t in range(request.scored_from, len(request))])


@pytest.mark.parametrize("name", MODELS)
def test_scores_equal_a_plain_forward_pass(name: str) -> None:
    engine, requests = make(name), sample_requests()
    scores = engine.score(requests, silent)
    assert engine.path == {"window": "tree"}.get(MODELS[name][1], MODELS[name][1]), engine.notes
    for request, score in zip(requests, scores, strict=True):
        assert score.shape == (len(request.answer),)
        np.testing.assert_allclose(score, reference(engine, request), atol=1e-4, rtol=0)
    if MODELS[name][1] == "tree":
        assert engine.work.tokens_unique < engine.work.tokens_total / 4, "the stems must be computed once"


@pytest.mark.parametrize("name", ["mistral-window", "gemma3-window", "bloom", "cohere-logit-scale"])
def test_a_shared_prefix_is_computed_once_where_the_tree_does_not_serve(name: str) -> None:
    engine = make(name)
    requests = [request for request in sample_requests() if request.token_ids[0] == sample_requests()[0].token_ids[0]]
    for request, score in zip(requests, engine.score(requests, silent), strict=True):
        np.testing.assert_allclose(score, reference(engine, request), atol=1e-4, rtol=0)
    assert engine.work.tokens_unique < engine.work.tokens_total / 3


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("name", ["llama", "gemma2-soft-caps", "gpt2"])
def test_flex_attention_is_exact(name: str) -> None:
    """On CUDA it is compiled; here the same plan runs unfused."""
    from torch.nn.attention.flex_attention import flex_attention

    engine, requests = make(name, 33), sample_requests()
    assert engine.forward is not None
    engine.forward.flex = flex_attention
    for request, score in zip(requests, engine.score(requests, silent), strict=True):
        np.testing.assert_allclose(score, reference(engine, request), atol=1e-4, rtol=0)


def test_an_attention_keyword_that_nobody_knows_means_another_path(monkeypatch: pytest.MonkeyPatch) -> None:
    import icl.engine.attention as attention

    monkeypatch.setattr(attention, "HARMLESS", attention.HARMLESS - {"dropout"})
    engine, requests = make("llama"), sample_requests()
    assert engine.path == "prefix"
    assert "does not know the keyword dropout" in engine.notes[0]
    np.testing.assert_allclose(engine.score(requests, silent)[0], reference(engine, requests[0]), atol=1e-4, rtol=0)


def test_after_running_out_of_memory_half_as_many_tokens_go_into_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, requests = make("llama", 64), sample_requests()
    assert engine.forward is not None
    run = engine.forward.run

    def short_of_memory(plan: Any, tokens: Any, positions: Any, cache: Any = None) -> Any:
        if len(tokens) > 20:
            raise torch.OutOfMemoryError("no room")
        return run(plan, tokens, positions, cache)

    monkeypatch.setattr(engine.forward, "run", short_of_memory)
    scores = engine.score(requests, silent)
    assert engine.batch_tokens == 16
    assert engine.notes == [f"out of memory: going on with --batch-tokens {n}" for n in (32, 16)]
    np.testing.assert_allclose(np.concatenate(scores), np.concatenate(make("llama", 16).score(requests, silent)), atol=0, rtol=0)
    monkeypatch.setattr(engine.forward, "run", lambda *_, **__: (_ for _ in ()).throw(torch.OutOfMemoryError("none at all")))
    with pytest.raises(torch.OutOfMemoryError):
        engine.score(requests, silent)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt-neox", "mamba"])
def test_another_batch_size_changes_no_score_by_more_than_1e_4(name: str) -> None:
    requests = sample_requests()
    first, second = make(name, 7).score(requests, silent), make(name, 1000).score(requests, silent)
    np.testing.assert_allclose(np.concatenate(first), np.concatenate(second), atol=1e-4, rtol=0)


@pytest.mark.parametrize("batch_tokens", [33, 1000])
@pytest.mark.parametrize("name", ["llama", "phi", "gpt2", "gpt-neox"])
def test_attention_in_small_blocks_is_exact(name: str, batch_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 8 rows: trunks, branches that begin and end inside a block, chunks that begin inside a branch."""
    import icl.engine.attention as attention

    monkeypatch.setattr(attention, "BLOCK", 8)
    engine, requests = make(name, batch_tokens), sample_requests()
    assert engine.path == "tree"
    for request, score in zip(requests, engine.score(requests, silent), strict=True):
        np.testing.assert_allclose(score, reference(engine, request), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["llama", "mistral-window", "gpt2", "mamba"])
def test_greedy_answers_equal_step_by_step_decoding(name: str) -> None:
    engine = make(name)
    prompts = [request.token_ids for request in sample_requests()[::5]]
    written = engine.generate(prompts, 5, [], silent)
    for prompt, text in zip(prompts, written, strict=True):
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            for _ in range(5):
                ids = torch.cat([ids, engine.model(ids, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
        assert text == "".join(f"{i} " for i in ids[0, len(prompt) :].tolist())


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2-soft-caps"])
@pytest.mark.parametrize("shared", [0, 40])
def test_answers_in_several_batches_of_rows_that_end_at_different_times(name: str, shared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import icl.engine.decode as decode

    monkeypatch.setattr(decode, "ROWS", 3)
    engine, draw = make(name, 16), np.random.default_rng(2)
    stem = draw.integers(2, VOCABULARY, shared).tolist()
    prompts = [stem + draw.integers(2, VOCABULARY, int(n)).tolist() for n in (1, 9, 4, 4, 7, 2, 3)]
    alone = [own_greedy(engine, prompt, 6) for prompt in prompts]
    assert engine.generate(prompts, 6, [], silent) == ["".join(f"{i} " for i in ids) for ids in alone]
    engine.ends = frozenset(ids[i % 4] for i, ids in enumerate(alone))
    expected = ["".join(f"{i} " for i in ids[: next((n for n, i in enumerate(ids) if i in engine.ends), 6)]) for ids in alone]
    assert engine.generate(prompts, 6, [], silent) == expected


def own_greedy(engine: HFEngine, prompt: list[int], count: int) -> list[int]:
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        for _ in range(count):
            ids = torch.cat([ids, engine.model(ids, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    return [int(i) for i in ids[0, len(prompt) :]]


@pytest.mark.parametrize("name", ["llama", "mamba"])
def test_what_an_author_recommends_for_writing_does_not_count(name: str) -> None:
    """Penalties, beams and sampling of a model's generation_config would make it another decoding."""
    model, prompt = make_model(name), list(sample_requests()[0].token_ids)
    model.generation_config.repetition_penalty = 5.0
    model.generation_config.num_beams = 3
    engine = HFEngine(model, NumberTokenizer(), 48)
    assert engine.generate([prompt], 8, [], silent) == ["".join(f"{i} " for i in own_greedy(engine, prompt, 8))]


def test_answers_end_before_a_stop_string() -> None:
    engine = make("llama")
    prompt = sample_requests()[0].token_ids
    whole = engine.generate([prompt], 5, [], silent)[0]
    second = whole.split(" ")[1]
    assert engine.generate([prompt], 5, [f" {second} "], silent)[0] == whole.split(" ")[0]


@pytest.mark.parametrize("name", ["llama", "gpt2", "mamba"])
def test_embeddings_are_pooled_hidden_states(name: str) -> None:
    engine = make(name)
    sequences = [[5, 6, 7], [9], [5, 6, 7], [8, 4, 3, 2, 7]]
    mean, last = engine.embed(sequences, silent), engine.embed(sequences, silent, "last")
    for i, sequence in enumerate(sequences):
        with torch.inference_mode():
            hidden = engine.model.base_model(torch.tensor([sequence]), use_cache=False).last_hidden_state[0]
        np.testing.assert_allclose(mean[i], hidden.mean(0).numpy(), atol=1e-5)
        np.testing.assert_allclose(last[i], hidden[-1].numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "mistral-window", "gemma2-soft-caps", "gpt2", "mamba", "bloom", "cohere-logit-scale"])
def test_distributions_and_states_at_the_end_of_sequences(name: str) -> None:
    """On every path: one whole row of the vocabulary, and one state, per sequence, repeated and nested ones among them."""
    engine = make(name, 33)
    stem = list(sample_requests()[0].token_ids[:40])
    sequences = [[*stem, 5], [*stem, 5, 6], [*stem, 9, 4, 7], [*stem, 5], [7]]
    for asked in (sequences, sequences[:4]):
        rows, states = engine.distributions(asked, silent), engine.last_states(asked, silent)
        assert rows.dtype == states.dtype == np.float32
        for sequence, row, state in zip(asked, rows, states, strict=True):
            with torch.inference_mode():
                ids = torch.tensor([sequence])
                logits = engine.model(ids, use_cache=False).logits[0, -1]
                hidden = engine.model.base_model(ids, use_cache=False).last_hidden_state[0, -1]
            np.testing.assert_allclose(row, logits.float().log_softmax(-1).numpy(), atol=1e-4)
            np.testing.assert_allclose(state, hidden.numpy(), atol=1e-4)
    if MODELS[name][1] == "tree":
        before = engine.work.tokens_unique
        engine.distributions(sequences[:4], silent)
        assert engine.work.tokens_unique - before == 40 + 2 + 3, "what sequences share is computed once"


def test_a_model_that_counts_its_own_positions_is_found_out_at_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check at load must notice a model that the tree would score wrongly, and fall back."""
    model = make_model("llama")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2 if parameter.ndim > 1 else 1)  # so that positions matter
    forward = model.base_model.forward

    def without_positions(*args: Any, **kwargs: Any) -> Any:
        kwargs["position_ids"] = None
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.base_model, "forward", without_positions)
    engine = HFEngine(model, NumberTokenizer(), 48)
    assert engine.path != "tree"
    assert "differs from the model's own forward" in engine.notes[0]


def test_a_request_must_leave_something_before_its_span() -> None:
    with pytest.raises(ValueError, match="1 <= scored_from"):
        ScoreRequest.whole((1, 2), 0)


@pytest.mark.parametrize("name", ["llama", "mamba"])
def test_what_is_no_number_is_neither_written_nor_embedded(name: str) -> None:
    engine = make(name)
    with torch.no_grad():
        (engine.model.model.norm if name == "llama" else engine.model.backbone.norm_f).weight.fill_(float("nan"))
    with pytest.raises(IclError, match="answers need finite scores"):
        engine.generate([[5, 6, 7]], 3, [], silent)
    with pytest.raises(IclError, match="embeddings must be finite"):
        engine.embed([[5, 6, 7]], silent)
    with pytest.raises(IclError, match="distributions must be finite"):
        engine.distributions([[5, 6, 7]], silent)
    with pytest.raises(IclError, match="hidden states must be finite"):
        engine.last_states([[5, 6, 7]], silent)


def test_a_model_spread_over_memory_and_disk_scores_the_same(tiny_model_dir: Any) -> None:
    """What `--device-map` is for, as far as one CPU can show it: accelerate fetches layers and the head from disk when they are needed."""
    from icl.models import load_model, resolve_model

    source = resolve_model(str(tiny_model_dir))
    parts = ("model.embed_tokens", "model.layers.0", "model.layers.1", "model.norm", "model.rotary_emb", "lm_head")
    spread = {part: "disk" if part in {"model.layers.0", "lm_head"} else "cpu" for part in parts}
    there, here = load_model(source, "float32", "cpu", spread), load_model(source, "float32", "cpu")
    assert there.model.lm_head.weight.device.type == "meta"
    requests = sample_requests()
    engines = [HFEngine(loaded.model, loaded.tokenizer, 48) for loaded in (there, here)]
    assert [engine.path for engine in engines] == ["tree", "tree"]
    first, second = (np.concatenate(engine.score(requests, silent)) for engine in engines)
    np.testing.assert_array_equal(first, second)
    prompts = [request.token_ids for request in requests[:4]]
    assert engines[0].generate(prompts, 4, [], silent) == engines[1].generate(prompts, 4, [], silent)
