"""Features are the model's last hidden state at the last token of the query side; computed once, shared, and standardised without queries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from arena import Planes, plain_episode, review_task

from compare import standardise
from compare.extractors import HiddenStates
from compare.features import FeatureStore
from compare.kept import KeptFeatures
from compare.learners.types import Ledger
from icl.cost import forward_flops
from icl.encode import Encoder
from icl.engine.hf import HFEngine
from icl.engine.store import Identity, ScoreStore
from icl.engine.types import Work
from icl.models import load_model, resolve_model
from prompts import PromptBuilder, load_template
from tasks import IclError, Query


@pytest.fixture
def store(tmp_path: Path, tiny_model_dir: Path) -> FeatureStore:
    loaded = load_model(resolve_model(str(tiny_model_dir)), "float32", "cpu")
    builder = PromptBuilder(load_template("sentiment-plain"), review_task(tmp_path, "films"))
    engine = HFEngine(loaded.model, loaded.tokenizer, 64)
    return FeatureStore(HiddenStates(engine, Encoder(loaded.tokenizer), {"films": builder}, loaded.context_window))


def engine_of(store: FeatureStore) -> HFEngine:
    assert isinstance(store.extractor, HiddenStates)
    return store.extractor.engine


QUERIES = [Query("a", {"text": "a good film"}), Query("b", {"text": "bad"}), Query("c", {"text": "a good film"})]


def test_they_equal_a_plain_forward_pass_of_the_query_side(store: FeatureStore) -> None:
    rows = store.vectors("films", QUERIES)
    assert rows.shape == (3, 32)
    assert rows.dtype == np.float32
    engine, encoder = engine_of(store), store.extractor.encoder
    for row, query in zip(rows, QUERIES, strict=True):
        ids = encoder.tokenizer(f"Text: {query.inputs['text']}\nSentiment:", return_tensors="pt")["input_ids"]
        with torch.no_grad():
            hidden = engine.model(ids, output_hidden_states=True).hidden_states[-1][0, -1]
        np.testing.assert_allclose(row, hidden.numpy(), atol=1e-5)
    np.testing.assert_array_equal(rows[0], rows[2])


def test_each_text_is_computed_once_and_charged_to_whoever_reads_it(store: FeatureStore) -> None:
    store.vectors("films", QUERIES)
    computed = engine_of(store).work.tokens_unique
    texts = [store.text("films", query) for query in QUERIES]
    lengths = [len(ids) for ids in store.extractor.tokens(texts)]
    charged = store.flops(texts)
    assert charged == forward_flops(engine_of(store).model, Work(sum(lengths[:2]), attended=sum(n * (n + 1) // 2 for n in lengths[:2])))
    assert computed < sum(lengths[:2]), "what the two texts share is computed once, and charged to both"
    store.vectors("films", QUERIES[::-1])
    assert engine_of(store).work.tokens_unique == computed
    assert store.flops(texts[:1]) + store.flops(texts[1:2]) == charged
    assert store.seconds_of(texts[:1]) + store.seconds_of(texts[1:2]) == pytest.approx(store.seconds_of(texts))
    assert store.seconds_of(texts) > 0


def test_what_the_score_store_holds_is_found_to_the_bit_and_charged_as_it_was_computed(store: FeatureStore, tmp_path: Path) -> None:
    ledger, identity = Ledger(), Identity("model", "float32", "cpu", "hf tree", "1")
    texts = [store.text("films", query) for query in QUERIES]
    store.kept = KeptFeatures(ScoreStore(tmp_path / "scores.sqlite"), identity, ledger)
    rows, computed = store.vectors("films", QUERIES), engine_of(store).work.tokens_unique
    assert ledger.spared == 0

    again = FeatureStore(store.extractor, store.kept)
    np.testing.assert_array_equal(again.vectors("films", QUERIES), rows)
    assert engine_of(store).work.tokens_unique == computed
    assert again.seconds_of(texts) == store.seconds_of(texts) == pytest.approx(ledger.spared)
    assert ledger.reused == store.flops(texts)

    for other in (replace(store.kept, fresh=True), replace(store.kept, identity=replace(identity, dtype="bfloat16"))):
        FeatureStore(store.extractor, other).vectors("films", QUERIES)
        computed, before = engine_of(store).work.tokens_unique, computed
        assert computed > before


def test_a_query_longer_than_the_window_is_refused(store: FeatureStore) -> None:
    store.extractor = replace(store.extractor, window=20)  # type: ignore[type-var]
    with pytest.raises(IclError, match="must fit the context window of 20 tokens"):
        store.vectors("films", [Query("long", {"text": "film " * 60})])


def test_a_vector_that_is_not_finite_is_refused(store: FeatureStore) -> None:
    engine = engine_of(store)
    with torch.no_grad():
        engine.model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(IclError, match=r"embeddings must be finite numbers.*try --dtype float32"):
        store.vectors("films", QUERIES)


def test_meta_train_statistics_centre_and_scale_every_dimension() -> None:
    episodes = [plain_episode(i) for i in range(5)]
    rows = standardise.meta_rows(Planes(), episodes)
    assert len(rows) == 5 * 28
    out = standardise.from_meta_train(rows)(rows) * np.sqrt(rows.shape[1])
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(out.std(axis=0), 1, atol=1e-9)
    assert standardise.fit(Planes(), []) is None


def test_dimensions_that_never_vary_become_zero_and_equal_supports_are_no_division_by_zero() -> None:
    rows = np.ones((4, 3), dtype=np.float32)
    rows[:, 0] = [1, 2, 3, 4]
    out = standardise.from_meta_train(rows)(rows + 5)
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(out[:, 1:], 0)
    assert np.isfinite(standardise.from_support(np.ones((2, 3), dtype=np.float32))(rows)).all()
