"""Label words that are searched for: the best assignment by the score, whole words only, recorded and gone on with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from icl import RunSpec, evaluate
from icl.encode import Encoder
from icl.engine.types import Engine
from icl.evaluation import resume
from icl.labelwords import find_label_words
from prompts import PromptBuilder, load_template
from tasks import Example, IclError
from tasks.load import load_task


@pytest.fixture
def spec(own_task: Path, tiny_model_dir: Path) -> RunSpec:
    asked = RunSpec(str(own_task), model=str(tiny_model_dir), shots=2, episodes=2, queries=4, dtype="float32", device="cpu")
    return replace(asked, labels="auto", calibration=("none",))


class Drawn:
    """An engine of which only distributions are asked: those of the examples first, then those after each beginning."""

    def __init__(self, rows: NDArray[np.float32], goes_on: Sequence[int], letter: int) -> None:
        self.rows, self.goes_on, self.letter = rows, goes_on, letter
        self.asked: list[list[list[int]]] = []

    def distributions(self, sequences: Sequence[Sequence[int]], progress: Any) -> NDArray[np.float32]:
        self.asked.append([list(s) for s in sequences])
        if len(self.asked) == 1:
            return self.rows
        out = np.full((len(sequences), self.rows.shape[1]), -20.0, dtype=np.float32)
        out[:, 2] = [0.0 if s[-1] not in self.goes_on else -20.0 for s in sequences]
        out[:, self.letter] = [-20.0 if s[-1] not in self.goes_on else 0.0 for s in sequences]
        return out


def test_golden_words_are_the_best_of_all_assignments(tiny_tokenizer: Any) -> None:
    """Against every assignment of whole words to the two labels."""
    task, examples = (
        load_task("movie-sentiment"),
        [Example(f"x{i}", {"text": "bad film"}, ("negative", "positive")[i % 2]) for i in range(6)],
    )
    vocabulary = tiny_tokenizer.get_vocab()
    rng = np.random.default_rng(3)
    rows = np.log(rng.dirichlet(np.ones(len(vocabulary)), size=6)).astype(np.float32)
    whole = [t for text, t in vocabulary.items() if text[0] == "Ġ" and len(text) > 2 and text[1:].isalpha() and text[1:].isascii()]
    fragment = max(
        whole, key=lambda t: abs(rows[::2, t].mean() - rows[1::2, t].mean())
    )  # it would win, but the model goes on with a letter
    engine = Drawn(rows, [fragment], vocabulary["a"])
    builder = PromptBuilder(load_template("sentiment-plain"), task)
    found = find_label_words(cast(Engine, engine), Encoder(tiny_tokenizer), builder, examples, task.labels, 512)

    def gain(pair: tuple[int, int]) -> float:
        of = {label: np.array([e.target == label for e in examples]) for label in task.labels}
        sums = [
            rows[of[label], t].mean(dtype=np.float64) - rows[~of[label], t].mean(dtype=np.float64)
            for label, t in zip(task.labels, pair, strict=True)
        ]
        return sum(sums)

    best = max(permutations([t for t in whole if t != fragment], 2), key=gain)
    assert [found[label] for label in task.labels] == [tiny_tokenizer.decode([t]).strip() for t in best]
    assert len(engine.asked[0]) == 6
    assert all(ids[:-1] == engine.asked[0][0] for ids in engine.asked[1])


def test_a_run_shows_scores_and_records_what_it_found(spec: RunSpec, tmp_path: Path) -> None:
    run = evaluate(spec, out=tmp_path)
    words = run.facts["label_words"]
    assert set(words) == {"negative", "positive"}
    assert len(set(words.values())) == 2
    assert {(row["candidate"], row["text"]) for row in run.table("predictions")} == {(of, f" {word}") for of, word in words.items()}
    prompt = run.table("prompts")[0]
    for label in prompt["shown"]:
        assert f"Sentiment: {words[label]}\n" in prompt["context"]
    assert evaluate(spec, out=tmp_path / "again").facts["label_words"] == words
    said = f"words that the model found: negative → {words['negative']}, positive → {words['positive']}."
    text = (run.dir / "report.html").read_text(encoding="utf-8")
    assert said in text
    assert "not the true ones" not in text


def test_a_run_goes_on_with_the_words_that_it_began_with(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Exception):
        pass

    def killed(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("icl.runs.store.Draft.commit", killed)
        with pytest.raises(Killed):
            evaluate(spec, out=tmp_path)
    directory = next(tmp_path.glob("my-sentiment-*"))
    environment = json.loads((directory / "environment.json").read_text(encoding="utf-8"))
    environment["run"]["label_words"] = {"negative": "dull", "positive": "good"}
    (directory / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    assert {row["text"] for row in resume(directory).table("predictions")} == {" dull", " good"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": "classify-instruct"}, r"template 'classify-instruct' lists them in block 'instruction' \(labels\)"),
        ({"template": "classify-letters"}, "template 'classify-letters' answers with a letter"),
        ({"task": "past-tense"}, "--labels auto needs a task with two or more labels"),
    ],
)
def test_where_there_is_nothing_to_find_it_is_refused(spec: RunSpec, tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(IclError, match=message):
        evaluate(replace(spec, **change), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
