"""Calibrations that ask examples of the pool: what is drawn, what is asked, and the numbers against transformers' own forward."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from icl import RunSpec, evaluate
from icl.anchors import labelled, unlabelled
from icl.results import metrics_json, metrics_of
from icl.runs import Run
from tasks import Example, IclError
from tasks.load import load_task

NAMES = ("none", "prototypical", "knn-prompting", "hidden")


@pytest.fixture
def spec(own_task: Path, tiny_model_dir: Path) -> RunSpec:
    asked = RunSpec(str(own_task), model=str(tiny_model_dir), shots=2, episodes=2, queries=5, dtype="float32", device="cpu")
    return replace(asked, calibration=NAMES)


def pool(count: int, labels: str = "ab") -> list[Example]:
    return [Example(f"x{i}", {"text": str(i)}, labels[i % len(labels)]) for i in range(count)]


def test_draws_leave_out_what_is_shown_and_are_bounded() -> None:
    shown = {"x0", "x7"}
    free = unlabelled(pool(400), shown, "ab", np.random.default_rng(0))
    known = labelled(pool(400), shown, "ab", np.random.default_rng(0))
    assert len(free) == len({e.id for e in free}) == 128
    assert [e.target for e in known].count("a") == [e.target for e in known].count("b") == 64
    assert not shown & {e.id for e in [*free, *known]}
    assert len(unlabelled(pool(20), shown, "ab", np.random.default_rng(0))) == 18, "all of a small pool"
    assert len(labelled(pool(400, "abcdefghijklmnopqrstuvwxyz"), set(), "abcdefghijklmnopqrstuvwxyz", np.random.default_rng(0))) == 26 * 8
    with pytest.raises(IclError, match=r"needs 4 or more examples of the pool that are not shown \(2 per label\), but there are 3"):
        unlabelled(pool(5), {"x0", "x1"}, "ab", np.random.default_rng(0))
    with pytest.raises(IclError, match="the pool has none of 'b'"):
        labelled(pool(6), {"x1", "x3", "x5"}, "ab", np.random.default_rng(0))


def test_divergences_and_distances_equal_those_of_plain_forward_passes(spec: RunSpec, tmp_path: Path, tiny_model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = evaluate(spec, out=tmp_path)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_model_dir), AutoTokenizer.from_pretrained(tiny_model_dir)
    texts = {e.id: e.inputs["text"] for e in load_task(spec.task).splits["demonstration"]}
    prompt = run.table("prompts")[0]
    head = prompt["context"].rsplit("\n\n", 1)[0]

    def read(context: str) -> tuple[Any, Any]:
        with torch.inference_mode():
            out = model(**tokenizer(context, return_tensors="pt"), output_hidden_states=True)
        return out.logits[0, -1].double().softmax(-1).numpy(), out.hidden_states[-1][0, -1].double().numpy()

    rows = {row["part"]: row for row in run.table("neighbours") if (row["episode"], row["query"]) == (prompt["episode"], prompt["query"])}
    p_query, h_query = read(prompt["context"])
    anchors = [read(f"{head}\n\nText: {texts[name]}\nSentiment:") for name in rows["divergence"]["names"]]
    np.testing.assert_allclose(rows["divergence"]["distances"], [entropy(p, p_query) for p, _ in anchors], atol=1e-5)
    assert not set(rows["divergence"]["names"]) & set(prompt["demonstrations"])
    for label, distance in zip(rows["hidden"]["labels"], rows["hidden"]["distances"], strict=True):
        states = [h for (_, h), of in zip(anchors, rows["divergence"]["labels"], strict=True) if of == label]
        assert distance == pytest.approx(np.linalg.norm(h_query - np.mean(states, axis=0)), abs=1e-4)


def stored_metrics(run: Run) -> dict[str, Any]:
    tables = run.table("predictions"), run.table("content_free")
    labels, spec = run.facts["labels"], run.resolved.spec
    return metrics_json(metrics_of(*tables, labels, spec.calibration, spec.normalise, run.table("neighbours")))


def test_a_run_keeps_the_raw_numbers_and_asks_a_shared_context_once(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = evaluate(spec, out=tmp_path / "a")
    assert stored_metrics(run) == run.summary["metrics"]
    assert tuple(run.summary["metrics"]) == NAMES
    free = run.table("content_free")
    assert {(row["part"], row["belongs_to"]) for row in free} == {("estimation", "")}
    assert len(free) == 2 * 2 * 58, "two episodes, two candidates, sixty rows of which two are shown"

    monkeypatch.setattr("icl.sections.REQUESTS", 4)  # three sections per episode: anchors are read in each, estimated once
    cut = evaluate(spec, out=tmp_path / "b")
    assert cut.table("content_free") == free
    for one, other in zip(run.table("neighbours"), cut.table("neighbours"), strict=True):
        assert (one["query"], one["names"]) == (other["query"], other["names"])
        np.testing.assert_allclose(one["distances"], other["distances"], atol=1e-5)


def test_contexts_of_their_own_have_anchors_of_their_own(spec: RunSpec, tmp_path: Path) -> None:
    run = evaluate(replace(spec, selector="bm25", episodes=1, queries=3), out=tmp_path)
    shown = {row["query"]: set(row["demonstrations"]) for row in run.table("prompts")}
    rows = [row for row in run.table("neighbours") if row["part"] == "divergence"]
    assert all(len(row["names"]) == 58 and not set(row["names"]) & shown[row["query"]] for row in rows)
    assert len({tuple(row["names"]) for row in rows}) == len({frozenset(of) for of in shown.values()}) > 1
    assert {row["belongs_to"] for row in run.table("content_free")} == set(shown)


def test_sections_are_smaller_where_every_query_has_anchors(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for 600 prompts: 2 candidates for each query, or for it and 128 anchors."""
    from icl.events import Quiet
    from icl.prepare import prepare
    from icl.sections import sections_of

    monkeypatch.setattr("icl.sections.REQUESTS", 600)
    for selector, calibration, count in (("random", "hidden", 1), ("bm25", "none", 1), ("bm25", "hidden", 3)):
        asked = replace(spec, selector=selector, calibration=(calibration,), episodes=1)
        assert len(sections_of(prepare(asked, None, None, Quiet()))) == count


def test_anchors_follow_a_label_ablation(spec: RunSpec, tmp_path: Path) -> None:
    runs = [evaluate(replace(spec, labels=labels, calibration=("hidden",)), out=tmp_path) for labels in ("true", "flipped")]
    first, other = (run.table("neighbours")[0] for run in runs)
    assert first["labels"] == other["labels"][::-1], "the labels are named in the order in which the anchors show them"


@pytest.mark.parametrize("name", NAMES[1:])
def test_tasks_without_labels_are_refused(spec: RunSpec, tmp_path: Path, name: str) -> None:
    with pytest.raises(IclError, match=f"calibration '{name}' needs a task with a label set, but 'past-tense' is of kind generation"):
        evaluate(replace(spec, task="past-tense", calibration=(name,)), out=tmp_path)


def test_a_run_without_them_has_no_such_table(spec: RunSpec, tmp_path: Path) -> None:
    run = evaluate(replace(spec, calibration=("none",)), out=tmp_path)
    assert not (run.dir / "neighbours.parquet").exists()
    assert run.table("neighbours") == []
