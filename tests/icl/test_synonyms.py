"""Several words for a label: probabilities are summed, demonstrations show the first, one word per label changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

from icl import RunSpec, evaluate
from icl.ablation import written_as
from icl.results import episode_scores
from icl.synonyms import by_label
from prompts import PromptBuilder, parse_template
from prompts.build import check_fit
from tasks import Query
from tasks.errors import IclError
from tasks.load import load_task

FRONT = "---\nlabel_words: {positive: [positive, good, great], negative: [negative, bad]}\n---\n"
QUERY = "{% block instruction %}{{ labels | join('/') }}{% endblock %}{% block query %}Text: {{ text }}\nSentiment:{% endblock %}"


def test_sums_are_over_the_words_of_a_label() -> None:
    sums = np.log(np.array([[0.1, 0.2, 0.3, 0.05], [0.4, 0.1, 0.1, 0.1]]))
    out = by_label(["a", "b", "a", "c"], sums)
    np.testing.assert_allclose(np.exp(out), [[0.4, 0.2, 0.05], [0.5, 0.1, 0.1]])
    assert np.array_equal(by_label(["a", "b", "c", "d"], sums), sums)


def test_candidates_are_all_words_and_demonstrations_show_the_first(own_task: Path) -> None:
    task = load_task(own_task)
    builder = PromptBuilder(parse_template(FRONT + QUERY, "mine"), task)
    example = next(e for e in task.splits["demonstration"] if e.target == "positive")
    candidates = builder.verbalizer.candidates(task.splits["test"][0].query())
    assert [(c.label, c.text) for c in candidates] == [
        ("negative", "negative"), ("negative", "bad"), ("positive", "positive"), ("positive", "good"), ("positive", "great"),
    ]  # fmt: skip
    assert builder.verbalizer.write(example) == "positive"
    assert builder.renderer.instruction == "negative/positive"


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ("label_words: {positive: [good, bad], negative: [poor, bad]}", "must all differ, but 'bad' stands twice"),
        ("label_words: {positive: [good, poor], negative: poor}", "must all differ, but 'poor' stands twice"),
        ("mapping: reversed\nlabel_words: {positive: [good, great], negative: poor}", "mapping 'reversed' does not use"),
        ("answer: number\nlabel_words: {positive: [good, great], negative: poor}", "answer 'number' does not use"),
        ("label_words: {positive: [], negative: poor}", "label_words.positive"),
    ],
)
def test_mistakes(own_task: Path, front: str, message: str) -> None:
    with pytest.raises(IclError, match=message):
        check_fit(parse_template(f"---\n{front}\n---\n{QUERY}", "mine"), load_task(own_task))


def test_a_run_sums_the_words_of_its_tables(own_task: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(FRONT + QUERY, encoding="utf-8")
    spec = RunSpec(task=str(own_task), model=str(tiny_model_dir), template=str(file), shots=2, episodes=1, queries=10)
    run = evaluate(spec, out=tmp_path / "runs")
    rows = run.table("predictions")
    (episode,) = episode_scores(rows, run.table("content_free"), ("negative", "positive"))
    assert episode.candidates == ("negative", "positive")
    assert len(rows) == 5 * len(episode.queries)
    changed = 0
    for q, query in enumerate(episode.queries):
        of = [row for row in rows if row["query"] == query]
        expected = [logsumexp([row["logprob"] for row in of if row["candidate"] == label]) for label in episode.candidates]
        np.testing.assert_allclose(episode.scores.logprob[q], expected)
        assert {row["predicted"] for row in of} == {episode.candidates[int(np.argmax(expected))]}
        changed += expected[0] != of[0]["logprob"]
    assert changed == len(episode.queries)
    assert episode.scores.content_free is not None
    assert np.isfinite(episode.scores.content_free).all()
    assert {"none", "contextual", "batch"} <= set(run.summary["metrics"])


def test_letters_for_labels_leave_no_further_words() -> None:
    """`--labels empty` with a template that has several words for a label: one letter each, and nothing else."""
    builder = PromptBuilder(*written_as("empty", parse_template(FRONT + QUERY, "own"), load_task("movie-sentiment")))
    assert [(c.label, c.text) for c in builder.verbalizer.candidates(Query("q", {}))] == [("negative", "A"), ("positive", "B")]
