"""`icl sensitivity` end to end, with a tiny random model and a task of one's own: results, files, repetition, mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from icl import RunSpec, evaluate
from icl.calibration import CALIBRATORS
from icl.cli.main import main
from icl.events import Quiet
from icl.metrics import Outcome
from icl.runs import list_runs
from icl.sensitivity import SensitivitySpec, sensitivity
from icl.sensitivity import play as playing
from icl.sensitivity.search import Schedule, find_spread, halves, paired_interval, schedule, wilson
from tasks import Example, IclError

TEMPLATES = ("sentiment-plain", "classify-letters")


@pytest.fixture
def spec(own_task: Path, tiny_model_dir: Path) -> SensitivitySpec:
    run = RunSpec(
        str(own_task),
        model=str(tiny_model_dir),
        shots=2,
        episodes=1,
        queries=8,
        dtype="float32",
        device="cpu",
        calibration=("none", "batch"),
    )
    return SensitivitySpec(run, draws=2, orders=2, templates=TEMPLATES, formats=2, words=("own", "title"), budget=70)


class Listening(Quiet):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_run_says_what_is_luck_and_is_made_again_to_the_same_bytes(
    spec: SensitivitySpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = Listening()
    run = sensitivity(spec, out=tmp_path / "runs", events=events)
    assert {path.name for path in run.dir.iterdir()} == {
        "spec.json", "environment.json", "episodes.jsonl", "cells.parquet", "scores.parquet", "formats.parquet", "summary.json", "cost.json",
        "report.html",
    }  # fmt: skip
    printed = run.to_json()
    assert printed["n_cells"] == 2 * 2 * 2 * 2 * 2
    announced = events.notes[-1]
    assert "= 32 prompts, 8 queries each" in announced
    assert f"{printed['n_evaluations']:,} evaluations in all" in announced
    assert list(printed["calibrations"]) == ["none", "batch"]
    of = printed["calibrations"]["none"]
    assert list(of["measures"]) == ["accuracy", "margin", "log_loss"]
    assert list(of["measures"]["margin"]["components"]) == ["draw", "order", "template", "format", "words", "draw_wording", "order_wording"]
    assert sum(c["share"] for c in of["measures"]["margin"]["components"].values()) == pytest.approx(1)
    assert len(of["bias"]["positions"]) == 2
    cells = pq.read_table(run.dir / "cells.parquet").to_pylist()
    assert len(cells) == 2 * 32
    mean = np.mean([row["accuracy"] for row in cells if row["calibration"] == "none"])
    assert of["measures"]["accuracy"]["mean"] == pytest.approx(mean)
    report = (run.dir / "report.html").read_text(encoding="utf-8")
    assert "equally reasonable prompts" in report
    again = sensitivity(spec, out=tmp_path / "other")
    assert (again.dir / "summary.json").read_bytes() == (run.dir / "summary.json").read_bytes()
    assert again.read("cost")["tokens_unique"] == 0, "the score store knows it all"
    assert sensitivity(spec, out=tmp_path / "runs").dir == run.dir
    assert list_runs(tmp_path / "runs") == [], "'icl runs' is for evaluations"
    assert main(["runs", "show", run.name, "--out", str(tmp_path / "runs")]) == 2
    assert "is a sensitivity report" in capsys.readouterr().err


def test_a_cell_is_what_evaluate_scores(spec: SensitivitySpec, tmp_path: Path) -> None:
    alone = replace(spec, orders=1, formats=1, templates=TEMPLATES[:1], words=("own",), budget=0)
    run = sensitivity(alone, out=tmp_path)
    one = evaluate(replace(spec.run, template=TEMPLATES[0]), out=tmp_path)
    scores = {
        (r["query"], r["candidate"]): r["logprob"]
        for r in pq.read_table(run.dir / "scores.parquet").to_pylist()
        if r["episode"].startswith("d0.")
    }
    assert scores == pytest.approx({(r["query"], r["candidate"]): r["logprob"] for r in one.table("predictions")}, abs=1e-4)
    components = run.to_json()["calibrations"]["none"]["measures"]["accuracy"]["components"]
    assert list(components) == ["draw"]
    assert run.read("summary")["formats"] is None


def test_every_calibration_of_labels_can_be_asked_for(spec: SensitivitySpec, tmp_path: Path) -> None:
    names = tuple(name for name in CALIBRATORS if name not in ("batch", "batch-log"))
    few = replace(
        spec, run=replace(spec.run, calibration=names), templates=("sentiment-plain",), orders=1, formats=1, words=("own",), budget=0
    )
    run = sensitivity(few, out=tmp_path)
    assert list(run.read("summary")["calibrations"]) == list(names)
    cells = pq.read_table(run.dir / "cells.parquet").to_pylist()
    once = evaluate(replace(few.run, template="sentiment-plain"), out=tmp_path)
    for name in names:
        (first,) = (row["accuracy"] for row in cells if row["calibration"] == name and row["draw"] == 0)
        assert once.summary["metrics"][name]["accuracy"]["mean"] == pytest.approx(first)


def test_a_killed_run_goes_on_from_what_the_store_kept(spec: SensitivitySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score, calls = playing.score_section, []

    def dies(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return score(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(playing, "score_section", dies)
    with pytest.raises(KeyboardInterrupt, match="goes on from there"):
        sensitivity(spec, out=tmp_path / "runs")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == []
    cost = sensitivity(spec, out=tmp_path / "runs").read("cost")
    assert cost["spans_reused"] > 9 * 8
    assert cost["tokens_unique"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--draws", "1"], "draws >= 2 must hold"),
        (["--draws", "99999999999999999999"], "draws <= 1,000 must hold"),
        (["--calibration", "channel"], "use --formats 1 --budget 0"),
        (["--shots", "0"], "shots >= 1 must hold"),
        (["--orders", "3", "--shots", "2"], "2 shots have 2 orders, but --orders 3"),
        (["--templates", "sentiment-plane"], "unknown template 'sentiment-plane': did you mean sentiment-plain"),
        (["--templates", "sentiment-plain,sentiment-plain"], "--templates must name each once"),
        (["--templates", "qa-cloze"], "serves multiple_choice"),
        (["--selector", "knn"], "unknown selector that draws 'knn'"),
        (["--words", "shouted"], "unknown set of label words 'shouted'"),
        (["--words", "own,synonym-1"], "has no synonym-1 of label"),
        (["--queries", "3"], "queries >= 4 must hold"),
        (["--budget", "20", "--queries", "8"], "or more, but it is 20; --budget 0 leaves it out"),
        (["--formats", "100000"], "formats can be written of template"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    own_task: Path, tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    out = tmp_path / "runs"
    assert main(["sensitivity", str(own_task), "--model", str(tiny_model_dir), "--out", str(out), *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_what_a_report_cannot_vary_is_refused_from_python_too(spec: SensitivitySpec) -> None:
    for change in ({"order": "random"}, {"labels": "flipped"}, {"chat": True}, {"overflow": "drop"}):
        with pytest.raises(IclError, match=f"needs {next(iter(change))} = "):
            replace(spec, run=replace(spec.run, **change))


def test_a_written_task_without_choices_is_refused(tmp_path: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "\n".join(f"word{i},answer{i}" for i in range(60))
    (tmp_path / "w.csv").write_text(f"input,target\n{rows}\n", encoding="utf-8")
    card = tmp_path / "w.yaml"
    card.write_text(
        "name: w\nkind: generation\ndescription: Write it.\nsource: {type: files, path: w.csv}\n"
        "splits: {demonstration: {from: all, part: 0-50}, test: {from: all, part: 50-100}}\ninputs: {input: input}\ntarget: target\n"
        "metrics: [exact_match]\ntemplate: word-plain\nlicence: CC0-1.0\nmax_new_tokens: 4\n",
        encoding="utf-8",
    )  # fmt: skip
    assert main(["sensitivity", str(card), "--model", str(tiny_model_dir), "--queries", "8", "--out", str(tmp_path / "runs")]) == 2
    assert "needs candidates to score" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_search_stays_within_its_budget_and_knows_no_query_twice() -> None:
    for budget, queries in ((120, 20), (800, 50), (5000, 100)):
        of = schedule(budget, queries, most=500)
        assert of.evaluations <= budget
        assert schedule(budget + 200, queries, most=500).formats >= of.formats
    first, second = halves([Example(f"q{i}", {}, "abb"[i % 3]) for i in range(21)], seed=0)
    assert (len(first), len(second)) == (10, 11)
    assert [example.target for example in first[:4]] == ["a", "b", "a", "b"]
    assert {sum(example.target == "a" for example in half) for half in (first, second)} == {3, 4}
    assert not {example.id for example in first} & {example.id for example in second}
    with pytest.raises(IclError, match="--budget 26 or more, but it is 25"):
        schedule(25, 8, most=10)


def test_equal_formats_seem_different_where_they_are_found_and_not_on_other_queries() -> None:
    """30 formats of the same quality: the spread where it was found is luck, the other one is 0 within its interval."""
    plan = Schedule(formats=30, rounds=(10, 20, 40), confirmed=40)
    queries = [Example(f"q{i}", {}, "a") for i in range(80)]
    found, honest, covered = [], [], 0
    for seed in range(40):

        def ask(form: int, of: object, seed: int = seed) -> Outcome:
            ids = [example.id for example in of]  # type: ignore[attr-defined]
            right = np.random.default_rng([seed, form]).random(80)[[int(i[1:]) for i in ids]] < 0.6
            return Outcome(np.log(np.where(right[:, None], [0.7, 0.3], [0.3, 0.7])), np.zeros(len(ids), dtype=np.int64), tuple(ids))

        of = find_spread(plan, queries, seed, ask)
        found.append(of.found)
        honest.append(of.honest)
        covered += of.ci95[0] <= 0 <= of.ci95[1]
        assert [c.role for c in of.confirmed] == ["best", "worst", "median", "own"]
    assert np.mean(found) > 0.1
    assert abs(float(np.mean(honest))) < 0.05
    assert covered >= 34


def test_intervals_of_shares_stay_within_what_is_possible() -> None:
    from scipy import stats

    for right in (0, 3, 20):
        known = stats.binomtest(right, 20).proportion_ci(method="wilson")
        assert wilson(np.repeat([1.0, 0.0], [right, 20 - right])) == pytest.approx((known.low, known.high))
    low, high = paired_interval(np.zeros(20))
    assert -0.15 < low < 0 < high < 0.15
    low, high = paired_interval(np.array([1.0] * 8 + [-1.0] * 2 + [0.0] * 10))
    assert 0 < low < 0.3 < high < 0.6
    assert paired_interval(np.ones(5))[1] <= 1


def test_unequal_formats_are_told_apart() -> None:
    quality = np.linspace(0.2, 0.9, 16)

    def ask(form: int, of: object) -> Outcome:
        ids = [example.id for example in of]  # type: ignore[attr-defined]
        right = np.random.default_rng(form).random(200)[[int(i[1:]) for i in ids]] < quality[form]
        return Outcome(np.log(np.where(right[:, None], [0.7, 0.3], [0.3, 0.7])), np.zeros(len(ids), dtype=np.int64), tuple(ids))

    of = find_spread(Schedule(16, (25, 50, 100), 100), [Example(f"q{i}", {}, "a") for i in range(200)], 0, ask)
    best, worst = of.confirmed[0], of.confirmed[1]
    assert best.format >= 13
    assert worst.format <= 2
    assert of.honest > 0.4
