"""What is measured beside a comparison: it changes no result, goes on after a kill, and its numbers are right."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arena import plain_episode
from test_resume import Killed, stop_after
from test_resume import library as library
from test_weights import engine_of, tools_of

import compare.journal
from compare import ComparisonSpec
from compare.damage import damages, permuted
from compare.learners import LEARNERS, lora
from compare.overlap import overlap
from compare.run import compare as run_comparison
from compare.run import resume
from icl.runs.find import find_unfinished
from tasks.types import Task


@pytest.fixture
def spec(library: dict[str, Task], tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> ComparisonSpec:
    monkeypatch.setitem(LEARNERS, "lora", replace(LEARNERS["lora"], grid=(lora.Settings(4, 1e-3, 4),)))
    monkeypatch.setattr(compare.journal, "EVERY", 1.0)
    return ComparisonSpec(
        "films",
        ("zero-shot", "in-context", "lora", "protonet", "maml"),
        k_shot=(2,),
        episodes=4,
        queries=6,
        model=str(tiny_model_dir),
        dtype="float32",
        device="cpu",
        meta_steps=2,
    )


def test_they_change_no_result_and_are_charged_apart(spec: ComparisonSpec, tmp_path: Path) -> None:
    run = run_comparison(spec, out=tmp_path / "with", fresh=True)
    plain = run_comparison(spec, out=tmp_path / "without", fresh=True, probes=False)
    for name in ("summary.json", "predictions.parquet", "spec.json"):
        assert (run.dir / name).read_bytes() == (plain.dir / name).read_bytes()
    cost, less = run.read("cost"), plain.read("cost")
    assert [row["flops"] for row in cost["rows"]] == [row["flops"] for row in less["rows"]]
    assert cost["language_model_flops"] == less["language_model_flops"]
    assert cost["probing_flops"] > less["probing_flops"], "labels are permuted in any case"
    assert cost["reused"] == less["reused"]
    assert cost["seconds"]["probing"] > 0
    assert not (plain.dir / "traces.json").exists()
    assert "--no-probes" in (plain.dir / "report.html").read_text(encoding="utf-8")
    assert "--no-probes" not in (run.dir / "report.md").read_text(encoding="utf-8")

    traces = run.read("traces")
    steps = {(of["learner"], of["k_shot"]): of for of in traces["steps"]}
    assert set(steps) == {("lora", 2), ("maml", 2)}
    assert {name: len(of["episodes"]) for (name, _), of in steps.items()} == {"lora": 3, "maml": 4}
    played = {(row["learner"], row["k_shot"]): row["accuracy"]["per_episode"] for row in run.read("summary")["rows"]}
    zero_shot = played["zero-shot", 2]
    for (name, k), of in steps.items():
        for i, episode in enumerate(of["episodes"]):
            assert episode["accuracy"][of["trained"]] == played[name, k][i]
            assert name != "lora" or episode["accuracy"][0] == zero_shot[i]
    assert [(of["k_shot"], len(of["episodes"])) for of in traces["overlap"]] == [(2, 4)]
    assert {of["name"]: of["k_shot"] for of in traces["damage"]} == {"labels permuted": 2, "separators removed": 2, "names garbled": 2}
    assert [e["undamaged"] for e in traces["damage"][0]["episodes"]] == played["in-context", 2][:3]


def test_after_a_kill_the_measurements_go_on(spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare.journal, "EVERY", 0.0)
    spec = replace(spec, learners=("in-context", "maml"), k_shot=(1,), episodes=2)
    whole = run_comparison(spec, out=tmp_path / "whole").read("traces")
    out = tmp_path / "runs"
    kills = 0
    while True:
        with monkeypatch.context() as patch:
            stop_after(8, patch)
            try:
                run = resume(find_unfinished("latest", out)) if kills else run_comparison(spec, out=out)
                break
            except Killed:
                kills += 1
    assert kills > 1
    assert rounded(run.read("traces")) == rounded(whole)


def rounded(of: Any) -> Any:
    """Features that are computed again may differ in their last digits."""
    if isinstance(of, dict):
        return {name: rounded(value) for name, value in of.items()}
    if isinstance(of, list):
        return [rounded(value) for value in of]
    return float(f"{of:.4g}") if isinstance(of, float) else of


def test_a_run_that_was_begun_without_goes_on_without(spec: ComparisonSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare.journal, "EVERY", 0.0)
    spec = replace(spec, learners=("in-context",), k_shot=(1,))
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(Killed):
            run_comparison(spec, out=tmp_path, probes=False)
    assert not (resume(find_unfinished("latest", tmp_path)).dir / "traces.json").exists()


def test_overlap_by_hand() -> None:
    support, support_y = np.array([[0.0], [2.0], [10.0], [12.0]]), np.array([0, 0, 1, 1])  # means 1 and 11
    queries, query_y = np.array([[0.0], [2.0], [12.0], [5.0]]), np.array([0, 0, 1, 1])
    found = overlap(support, support_y, queries, query_y)
    assert found.nearer_to_wrong == 0.25  # 5 is nearer to 1 than to 11
    # a and b: 2 and (12 + 5) / 2; 2 and (10 + 3) / 2; 7 and (12 + 10) / 2; 7 and (5 + 3) / 2
    assert found.silhouette == pytest.approx(np.mean([6.5 / 8.5, 4.5 / 6.5, 4 / 11, -3 / 7]))
    # means 1 and 8.5, centre 4.75: between 4 · 3.75², within 1 + 1 + 3.5² + 3.5²
    assert found.fisher == pytest.approx(4 * 3.75**2 / (2 + 2 * 3.5**2))
    one = overlap(support, support_y, queries[:1], query_y[:1])
    assert (one.nearer_to_wrong, one.silhouette, one.fisher) == (0.0, None, None)


def test_permuted_answers_keep_their_numbers_and_change(tmp_path: Path) -> None:
    for number in range(6):
        support = plain_episode(number, k=1 + number % 3).support
        other = permuted(support, 0)
        assert Counter(e.target for e in other.examples) == Counter(e.target for e in support.examples)
        assert [e.target for e in other.examples] != [e.target for e in support.examples]
        assert [(e.id, e.inputs) for e in other.examples] == [(e.id, e.inputs) for e in support.examples]
        assert other == permuted(support, 0)


def test_damage_leaves_the_query_side_whole(tmp_path: Path, tiny_tokenizer: Any) -> None:
    tools = tools_of(engine_of("llama"), tiny_tokenizer, tmp_path)
    support = plain_episode(1, k=1).support
    kinds, left_out = damages(tools, "toy", 0)
    assert left_out == {}
    query = plain_episode(1).queries[0]
    for kind in kinds:
        builder = kind.tools.builders["toy"]
        (prompt, _) = builder.prompts(support.examples, query, builder.verbalizer.candidates(query))
        assert prompt.text.endswith("Text: negative text 1004\nSentiment: negative")
        assert prompt.text.startswith(kind.shown(support))
    shown = {kind.name: kind.shown(kind.support(support, 0)) for kind in kinds}
    assert shown["labels permuted"] == "Text: negative text 1000\nSentiment: positive\n\n"
    assert shown["separators removed"] == "Text negative text 1000 Sentiment negative "
    first, second = shown["names garbled"].split(": ")[0], shown["names garbled"].split("\n")[1].split(": ")[0]
    assert (sorted(first), sorted(second)) == (sorted("Text"), sorted("Sentiment"))
    assert (first, second) != ("Text", "Sentiment")


def test_a_template_without_a_layout_is_damaged_in_its_labels_alone(tmp_path: Path, tiny_tokenizer: Any) -> None:
    from prompts import PromptBuilder, parse_template

    tools = tools_of(engine_of("llama"), tiny_tokenizer, tmp_path)
    template = parse_template(
        "---\nkinds: [classification]\n---\n{% block query %}{% if text %}{{ text }}{% endif %} It was{% endblock %}", "own"
    )
    own = replace(tools, builders={"toy": PromptBuilder(template, tools.builders["toy"].task)})
    kinds, left_out = damages(own, "toy", 0)
    assert [kind.name for kind in kinds] == ["labels permuted"]
    assert set(left_out) == {"separators removed", "names garbled"}
    assert "has statements in its query side" in left_out["names garbled"]


def test_an_old_run_without_measurements_still_has_its_report(spec: ComparisonSpec, tmp_path: Path) -> None:
    from compare.report.page import build_page

    run = run_comparison(replace(spec, learners=("in-context", "maml"), k_shot=(1, 2)), out=tmp_path)
    assert {f.id for f in build_page(run.dir, run.name).traced.figures} >= {"steps-0", "steps-1", "inner-loss-all", "damage"}
    (run.dir / "traces.json").unlink()
    page = build_page(run.dir, run.name)
    assert page.traced.figures == []
    assert not page.traced.measured
    json.dumps([f.id for f in page.figures])
