"""Learners that change the language model: the scores that they train on are the engine's, the model itself is out of their reach."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from arena import plain_episode, review_task
from transformers import (
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
)

from compare.adapted import Method, sharing
from compare.extractors import HiddenStates
from compare.features import FeatureStore
from compare.learners import LEARNERS, Tools
from compare.learners.bitfit import Biases
from compare.learners.fine_tune import EveryWeight
from compare.learners.ia3 import Rescaling
from compare.learners.lora import LoraFactors
from compare.learners.prompt_tuning import VirtualTokens
from compare.learners.prompted import Asking
from compare.play import play
from compare.training import Lesson, Schedule, epochs, loss_sum, passes, train
from icl.encode import Encoder
from icl.engine.gradients import span_sums
from icl.engine.hf import HFEngine
from icl.engine.types import ScoreRequest, Work, silent
from prompts import PromptBuilder, load_template
from tasks import IclError

SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 512,
    "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1, "vocab_size": 400,
}  # fmt: skip
GROUPED = {**SIZES, "num_key_value_heads": 2}
MODELS: dict[str, Any] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED, tie_word_embeddings=True)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=400, n_positions=512, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1)),
    "pythia": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES)),
    "phi3": lambda: Phi3ForCausalLM(Phi3Config(**GROUPED)),
    "mistral-window": lambda: MistralForCausalLM(MistralConfig(**GROUPED, sliding_window=8)),
    "mamba": lambda: MambaForCausalLM(MambaConfig(vocab_size=400, hidden_size=32, state_size=8, num_hidden_layers=2, bos_token_id=0, eos_token_id=1)),
}  # fmt: skip
METHODS: dict[str, Method] = {
    "fine-tune": EveryWeight(), "lora": LoraFactors(4), "ia3": Rescaling(), "bitfit": Biases(), "prompt-tuning": VirtualTokens(3),
}  # fmt: skip
REQUESTS = [
    ScoreRequest.whole((5, 6, 7, 8, 9, 10, 11), 5),
    ScoreRequest.whole((5, 6, 7, 8, 9, 12), 5),
    ScoreRequest.whole((5, 6, 3, 3), 2),
    ScoreRequest.whole((9, 8), 1),
]


class NoTokenizer:
    """The engine asks only for the end of a text."""

    eos_token_id = 1


def engine_of(name: str, dtype: torch.dtype = torch.float32) -> HFEngine:
    torch.manual_seed(0)
    model = MODELS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)  # so that predictions are not all but uniform
    return HFEngine(model.to(dtype).eval(), NoTokenizer(), 256)


def tools_of(engine: HFEngine, tokenizer: Any, directory: Path) -> Tools:
    builders = {"toy": PromptBuilder(load_template("sentiment-plain"), review_task(directory, "toy"))}
    encoder = Encoder(tokenizer)
    return Tools(FeatureStore(HiddenStates(engine, encoder, builders, 512)), engine, encoder, builders, 512, "none", 5)


def fingerprint(model: Any) -> str:
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        digest.update(f"{name}{parameter.requires_grad}{parameter.grad}".encode())
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("name", MODELS)
def test_the_scores_to_train_on_are_those_of_the_engine(name: str) -> None:
    engine = engine_of(name)
    expected = [span.sum() for span in engine.score(REQUESTS, silent)]
    work = Work()
    np.testing.assert_allclose(span_sums(engine, REQUESTS, work).detach().numpy(), expected, atol=1e-4)
    assert work.tokens_unique >= 8
    assert work.scored_rows >= 5


def test_a_packed_pass_has_the_gradients_of_a_padded_one() -> None:
    gradients = []
    for padded in (False, True):
        engine = engine_of("llama")
        if padded:
            engine.forward = None
        span_sums(engine, REQUESTS, Work()).sum().backward()
        gradients.append([p.grad for p in engine.model.parameters()])
    for packed, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(packed, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "gpt2", "pythia", "phi3"])
@pytest.mark.parametrize("method", ["fine-tune", "lora", "ia3", "bitfit"])
def test_an_untrained_copy_answers_as_the_model_does_and_trains_what_it_says(name: str, method: str) -> None:
    engine = engine_of(name)
    how = METHODS[method]
    try:
        how.check(engine.model, method)
    except IclError:
        assert (name, method) in {("llama", "bitfit"), ("phi3", "bitfit")}
        return
    copied = how(engine.model, 0)
    expected = [span.sum() for span in engine.score(REQUESTS, silent)]
    before = fingerprint(engine.model)
    np.testing.assert_allclose([span.sum() for span in engine.over(copied.model).score(REQUESTS, silent)], expected, atol=1e-5)
    lessons = [Lesson((REQUESTS[0], REQUESTS[1]), (0, 1), 0)] * 4
    start = loss_sum(engine.over(copied.model), lessons, Work()).item()
    train(engine, copied, epochs(lessons, 8, np.random.default_rng(0)), 1e-2, method)
    assert loss_sum(engine.over(copied.model), lessons, Work()).item() < start - 1e-3
    assert fingerprint(engine.model) == before
    own = {p.data_ptr() for p in engine.model.parameters()}
    assert all((p.data_ptr() in own) != p.requires_grad for p in copied.model.parameters())
    assert copied.trainable_parameters == sum(p.numel() for p in copied.model.parameters() if p.requires_grad) > 0


def test_virtual_tokens_are_embeddings_before_the_prompt() -> None:
    engine = engine_of("llama")
    copied = METHODS["prompt-tuning"](engine.model, 0)
    asked = [ScoreRequest.whole(copied.prefix + r.token_ids, r.scored_from + 3) for r in REQUESTS]
    scores = engine.over(copied.model).score(asked, silent)
    rows = next(iter(copied.trainable.values())).detach()
    for request, score in zip(REQUESTS, scores, strict=True):
        words = engine.model.get_input_embeddings()(torch.tensor(request.token_ids))
        with torch.no_grad():
            logits = engine.model(inputs_embeds=torch.cat([rows, words])[None]).logits[0].log_softmax(-1)
        expected = [logits[2 + i, request.token_ids[i]] for i in range(request.scored_from, len(request.token_ids))]
        np.testing.assert_allclose(score, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["zero-shot", "fine-tune", "lora", "ia3", "prompt-tuning", "adapt-then-prompt", "metaicl"])
def test_the_model_that_all_share_stays_as_it_was(name: str, tmp_path: Path, tiny_tokenizer: Any) -> None:
    engine = engine_of("llama")
    tools = tools_of(engine, tiny_tokenizer, tmp_path)
    episode = plain_episode(1)
    asked = LEARNERS["in-context"].build(tools, LEARNERS["in-context"].grid[0])
    before = fingerprint(engine.model), play(asked, episode, 0).scores
    family = LEARNERS[name]
    learner = family.build(tools, family.grid[0]).meta_train([plain_episode(i, queries=2) for i in range(2, 4)], np.random.default_rng(0))
    played = play(learner, episode, 0)
    assert played.reason == ""
    assert played.scores is not None
    assert fingerprint(engine.model) == before[0]
    np.testing.assert_array_equal(play(asked, episode, 0).scores, before[1])


@pytest.mark.parametrize("name", ["fine-tune", "lora", "ia3", "prompt-tuning"])
def test_they_learn_their_support(name: str, tmp_path: Path, tiny_tokenizer: Any) -> None:
    tools = tools_of(engine_of("llama"), tiny_tokenizer, tmp_path)
    support = plain_episode(1).support
    family = LEARNERS[name]

    def right(learner: Any) -> float:
        scores = learner.adapt(support, np.random.default_rng(0)).predict(support.queries)
        return float(scores[np.arange(len(support.targets)), support.targets].mean())

    floor = right(LEARNERS["zero-shot"].build(tools, LEARNERS["zero-shot"].grid[0]))
    assert max(right(family.build(tools, settings)) for settings in family.grid) > floor + 0.01


def test_bf16_weights_are_trained_through_float32_masters() -> None:
    """Steps of 1e-5 vanish in a bf16 weight, one by one; together they do not."""
    engine = engine_of("llama", torch.bfloat16)
    copied = METHODS["fine-tune"](engine.model, 0)
    lessons = [Lesson((REQUESTS[0], REQUESTS[1]), (0, 1), 1)]
    train(engine, copied, epochs(lessons, 40, np.random.default_rng(0)), 1e-4, "x")
    moved = [float((a != b).float().mean()) for a, b in zip(copied.model.parameters(), engine.model.parameters(), strict=True)]
    assert np.mean(moved) > 0.5


@pytest.mark.parametrize("lr", [float("inf"), 1e30])
def test_divergence_fails_the_episode_with_its_reason(lr: float, tmp_path: Path, tiny_tokenizer: Any) -> None:
    from compare.learners import fine_tune

    tools = tools_of(engine_of("llama"), tiny_tokenizer, tmp_path)
    played = play(fine_tune.build(tools, fine_tune.Settings(lr, 3)), plain_episode(1), 0)
    assert re.search("fine-tune in episode e1 diverged in step [23] of 3: the loss is nan", played.reason)
    assert played.accuracy == 0.5
    assert played.adapt_flops > 0, "what was computed until then is charged"


def test_a_model_without_the_wished_modules_is_refused_with_what_it_has(tmp_path: Path, tiny_tokenizer: Any) -> None:
    tools = tools_of(engine_of("mamba"), tiny_tokenizer, tmp_path)
    for name in ("lora", "ia3", "adapt-then-prompt", "metaicl"):
        with pytest.raises(
            IclError, match=f"{name} adapts modules named .* but MambaForCausalLM has none of these, only .*in_proj.* leave {name} out"
        ):
            LEARNERS[name].build(tools, LEARNERS[name].grid[0])
    assert play(LEARNERS["bitfit"].build(tools, LEARNERS["bitfit"].grid[0]), plain_episode(1), 0).reason == ""


@pytest.mark.parametrize("method", ["fine-tune", "lora", "prompt-tuning"])
def test_training_flops_are_those_that_torch_counts(method: str) -> None:
    """Up to the masked half of the attention, which torch counts, and the first layer's inputs, which need no gradient."""
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    sizes = {**GROUPED, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 6}
    engine = HFEngine(LlamaForCausalLM(LlamaConfig(**sizes)).eval(), NoTokenizer(), 256)
    copied = METHODS[method](engine.model, 0)
    ids = copied.prefix + tuple(range(2, 36))
    lessons = [Lesson((ScoreRequest.whole((*ids, 100), len(ids)), ScoreRequest.whole((*ids, 101), len(ids))), (0, 1), 1)]
    with FlopCounterMode(display=False) as counter:
        flops = train(engine, copied, [lessons], 1e-3, method)
    assert flops == pytest.approx(counter.get_total_flops(), rel=0.06)


def test_what_adapted_copies_compute_is_counted(tmp_path: Path, tiny_tokenizer: Any) -> None:
    tools = tools_of(engine_of("llama"), tiny_tokenizer, tmp_path)
    family = LEARNERS["lora"]
    plain = play(LEARNERS["zero-shot"].build(tools, LEARNERS["zero-shot"].grid[0]), plain_episode(1), 0, lambda: tools.ledger.flops)
    played = play(family.build(tools, family.grid[0]), plain_episode(1), 0, lambda: tools.ledger.flops)
    assert plain.predict_flops == 0, "the engine of the model itself counts that"
    assert played.predict_flops == tools.ledger.flops > 0


def test_the_rate_rises_falls_and_stays_positive() -> None:
    rates = [Schedule(1.0, 20).rate(step) for step in range(20)]
    assert rates[:2] == [0.5, 1.0]
    assert np.all(np.diff(rates[1:]) < 0)
    assert rates[-1] > 0
    assert Schedule(1.0, 1).rate(0) == 1.0


def test_epochs_show_every_lesson_equally_often(tmp_path: Path, tiny_tokenizer: Any) -> None:
    tools = tools_of(engine_of("llama"), tiny_tokenizer, tmp_path)
    lessons = Asking(tools, plain_episode(1, k=6).support).lessons()
    batches = epochs(lessons, 6, np.random.default_rng(0))
    assert [len(batch) for batch in batches] == [8] * 6
    shown = [id(lesson) for batch in batches for lesson in batch]
    assert {shown.count(id(lesson)) for lesson in lessons} == {4}
    assert [len(part) for part in passes(lessons, 1)] == [1] * 12
    assert len(passes(lessons, 10_000)) == 1


def test_out_of_memory_halves_the_passes_and_then_says_so(tmp_path: Path, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import compare.training

    tools = tools_of(engine_of("llama"), tiny_tokenizer, tmp_path)
    lessons = Asking(tools, plain_episode(1).support).lessons()
    sizes: list[int] = []
    real = compare.training.loss_sum

    def scarce(engine: Any, part: Any, work: Any) -> Any:
        sizes.append(len(part))
        if len(part) > room:
            raise MemoryError
        return real(engine, part, work)

    monkeypatch.setattr(compare.training, "loss_sum", scarce)
    base: Any = tools.engine
    room = 2
    train(base, METHODS["lora"](base.model, 0), [lessons], 1e-3, "lora")
    assert sizes[0] > 2
    assert sizes[-1] <= 2
    room = 0
    with pytest.raises(IclError, match="training needs more memory than there is"):
        train(base, METHODS["lora"](base.model, 0), [lessons], 1e-3, "lora")


def test_sharing_copies_what_is_to_be_trained_and_nothing_else() -> None:
    model = engine_of("gpt2").model
    copied = sharing(model, lambda name: name.endswith("ln_f.weight"))
    theirs = dict(model.named_parameters())
    for name, parameter in copied.named_parameters():
        assert (parameter.data_ptr() == theirs[name].data_ptr()) != name.endswith("ln_f.weight")
        assert torch.equal(parameter, theirs[name])
