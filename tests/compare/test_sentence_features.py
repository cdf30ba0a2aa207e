"""`icl compare --embedder`: features are a sentence model's; the language model keeps the rest, and costs are the sentence model's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from arena import review_task
from transformers import BertConfig, BertModel

import compare.prepare
from compare import ComparisonSpec
from compare.run import compare as run_comparison
from icl.cost import forward_flops, layer_parameters
from icl.engine.hf import HFEngine
from icl.engine.types import Work
from icl.models import resolve_model
from icl.sentences import SentenceModel, sentence_source
from tasks import IclError


@pytest.fixture
def spec(tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> ComparisonSpec:
    task = review_task(tmp_path, "films")
    monkeypatch.setattr(compare.prepare, "load_task", lambda name, data_dir=None: task)
    return ComparisonSpec(
        "films", ("in-context", "linear-probe", "protonet"), k_shot=(2,), episodes=2, queries=6, model=str(tiny_model_dir),
        embedder=str(tiny_model_dir), dtype="float32", device="cpu",
    )  # fmt: skip


def test_features_are_the_sentence_models(spec: ComparisonSpec, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded: list[int] = []
    monkeypatch.setattr(HFEngine, "embed", lambda self, ids, *a, **k: embedded.append(len(ids)))
    run = run_comparison(spec, out=tmp_path)
    assert not embedded, "the language model makes no features"
    assert len(asked) == len(set(asked))
    assert not any("Sentiment:" in text for text in asked), "texts of the fields, without the template"
    fingerprint = resolve_model(spec.model).fingerprint
    assert run.read("spec")["embedder_fingerprint"] == fingerprint
    assert run.read("environment")["embedder"] == {"name": spec.embedder, "fingerprint": fingerprint}
    assert "vectors of the sentence model" in (run.dir / "report.md").read_text(encoding="utf-8")
    assert f"Model: {spec.model}, features of {spec.embedder}." in (run.dir / "report.md").read_text(encoding="utf-8")
    assert f"--embedder {spec.embedder}" in (run.dir / "report.md").read_text(encoding="utf-8")

    own = run_comparison(replace(spec, learners=("in-context",), embedder=""), out=tmp_path)
    theirs = {row["learner"]: row for row in run.to_json()["rows"]}
    assert theirs["in-context"]["accuracy"] == own.to_json()["rows"][0]["accuracy"], "the prompt does not know of it"


def test_what_is_kept_is_found_again_and_charged_the_same(spec: ComparisonSpec, asked: list[str], tmp_path: Path) -> None:
    first = run_comparison(spec, out=tmp_path / "one")
    texts = len(asked)
    second = run_comparison(spec, out=tmp_path / "two")
    assert len(asked) == texts > 0
    assert (second.dir / "summary.json").read_bytes() == (first.dir / "summary.json").read_bytes()
    paid, found = first.read("cost"), second.read("cost")
    for before, now in zip(paid["rows"], found["rows"], strict=True):
        assert now["flops"] == before["flops"]
    assert paid["language_model_flops"] - found["language_model_flops"] == found["reused"]["flops"] > 0
    run_comparison(spec, out=tmp_path / "one", fresh=True)
    assert len(asked) == 2 * texts


def test_whoever_reads_a_text_is_charged_the_sentence_models_pass(spec: ComparisonSpec, asked: list[str], tmp_path: Path) -> None:
    run = run_comparison(replace(spec, learners=("protonet",)), out=tmp_path, probes=False)
    model = SentenceModel(resolve_model(spec.model), "cpu")
    lengths = {text: len(ids) for text, ids in zip(asked, model.tokens(asked), strict=True)}
    assert run.read("cost")["language_model_flops"] == model.flops(list(lengths.values())), "each text once, whoever reads it"
    (row,) = run.read("cost")["rows"]
    assert row["flops"]["adapt"] >= 4 * model.flops([min(lengths.values())]), "of two examples of each label"
    assert row["flops"]["per_query"] >= model.flops([min(lengths.values())])
    assert "sentence-transformers" in run.read("environment")["packages"]


def test_a_comparison_without_it_has_the_hash_that_it_had(spec: ComparisonSpec, asked: list[str], tmp_path: Path) -> None:
    plain = compare.prepare.prepare(replace(spec, embedder=""), None).resolved
    kept = plain.to_json()
    del kept["embedder_fingerprint"], kept["spec"]["embedder"]
    assert compare.types.spec_sha256(kept) == plain.hash()
    assert compare.prepare.prepare(spec, None).resolved.hash() != plain.hash()


def test_operations_of_an_encoder_are_those_that_torch_counts(tiny_model_dir: Path) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, attn_implementation="eager"
    )
    encoder = BertModel(config).eval()
    pooler = 2 * 32 * 32  # reads one position of a text, and is left out
    assert layer_parameters(encoder) == 2 * (4 * 32 * 32 + 2 * 32 * 48)
    model = SentenceModel(resolve_model(str(tiny_model_dir)), "cpu")
    model.__dict__["_model"] = SimpleNamespace(transformers_model=encoder)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        encoder(torch.arange(7)[None], attention_mask=torch.ones(1, 7, dtype=torch.long))
    assert model.flops([7]) == counted.get_total_flops() - pooler
    assert model.flops([7, 3]) == model.flops([7]) + model.flops([3])
    assert forward_flops(encoder, Work(tokens_unique=7, attended=49)) == model.flops([7])


def test_tokens_are_those_that_are_read(asked: list[str], tiny_model_dir: Path) -> None:
    model = SentenceModel(resolve_model(str(tiny_model_dir)), "cpu")
    assert model.tokens(["ab", "c"]) == [(113, 58, 97, 98), (113, 58, 99)], "with the prompt that the model puts before every text"
    np.testing.assert_array_equal(model.encode(["abba"])[0, :2], [2, 2])


def test_a_table_of_word_vectors_multiplies_nothing(tiny_model_dir: Path) -> None:
    model = SentenceModel(resolve_model(str(tiny_model_dir)), "cpu")
    model.__dict__["_model"] = SimpleNamespace(transformers_model=None)
    assert model.flops([2, 1]) == 0


def test_mistakes(spec: ComparisonSpec, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IclError, match=r"--embedder makes features for .* but here are zero-shot, in-context"):
        run_comparison(replace(spec, learners=("in-context", "zero-shot")), out=tmp_path)
    with pytest.raises(IclError, match="unknown model 'nowhere'"):
        run_comparison(replace(spec, embedder="nowhere"), out=tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(IclError, match=r"pip install 'icl-lab\[sentences\]'"):
        run_comparison(spec, out=tmp_path)
    assert not list(tmp_path.glob("compare-*"))


def test_a_directory_of_parts_is_a_sentence_model_but_no_language_model(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "modules.json").write_text("[]", encoding="utf-8")
    assert sentence_source(str(tmp_path)).path == tmp_path
    with pytest.raises(IclError, match=r"--model .* must be a directory with a config\.json"):
        resolve_model(str(tmp_path))
