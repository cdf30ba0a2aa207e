"""Embeddings of another model: asked once per text, kept in the score store, refused clearly where they are not to be had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from icl import RunSpec, evaluate
from icl.cost import Clock
from icl.engine.store import ScoreStore
from icl.models import resolve_model
from icl.sentences import SentenceEmbedder
from tasks import IclError


def test_each_text_is_embedded_once_and_kept(asked: list[str], tiny_model_dir: Path, tmp_path: Path) -> None:
    source, store = resolve_model(str(tiny_model_dir)), ScoreStore(tmp_path / "scores.sqlite")
    first = SentenceEmbedder(source, "cpu", store, Clock())
    vectors = first(["abba", "hag", "abba"])
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[0], vectors[2])
    np.testing.assert_array_equal(vectors[1], [1, 0, 0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(SentenceEmbedder(source, "cpu", store, Clock())(["hag", "deed"])[0], vectors[1])
    assert asked == ["abba", "hag", "deed"]
    SentenceEmbedder(source, "cpu", store, Clock(), fresh=True)(["hag"])
    assert asked[3:] == ["hag"], "fresh computes everything again"


def test_knn_uses_it_and_the_spec_knows_it(asked: list[str], own_task: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    plain = RunSpec(str(own_task), model=str(tiny_model_dir), selector="knn", shots=2, episodes=1, queries=4, dtype="float32", device="cpu")
    own = evaluate(plain, out=tmp_path)
    assert not asked
    other = evaluate(RunSpec(**{**plain.__dict__, "embedder": str(tiny_model_dir)}), out=tmp_path)
    assert asked
    assert own.name != other.name
    assert other.resolved.embedder_fingerprint == resolve_model(str(tiny_model_dir)).fingerprint


def test_mistakes(monkeypatch: pytest.MonkeyPatch, asked: list[str], own_task: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    spec = RunSpec(str(own_task), model=str(tiny_model_dir), shots=2, episodes=1, queries=4, embedder=str(tiny_model_dir))
    with pytest.raises(IclError, match="but here are random and given"):
        evaluate(spec, out=tmp_path)
    with pytest.raises(IclError, match="unknown model 'nowhere'"):
        evaluate(RunSpec(**{**spec.__dict__, "selector": "knn", "embedder": "nowhere"}), out=tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(IclError, match=r"pip install 'icl-lab\[sentences\]'"):
        evaluate(RunSpec(**{**spec.__dict__, "selector": "knn"}), out=tmp_path)
