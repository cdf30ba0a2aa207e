"""Sweeps end to end, with a tiny random model: ordinary runs, shared and found again; failures apart; groups; reports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import icl.session
from icl import RunSpec, evaluate
from icl.calibration import CALIBRATORS
from icl.events import Quiet
from icl.shared import Shared
from icl.sweep.analysis import Analysis
from icl.sweep.duel import duel
from icl.sweep.estimate import Estimate, estimate
from icl.sweep.file import Sweep, read_sweep
from icl.sweep.jobs import _Worker
from icl.sweep.plan import COMPARED, make_plan
from icl.sweep.results import Results
from icl.sweep.run import plan_sweep, sweep
from icl.sweep.tojson import to_json
from tasks import IclError


@pytest.fixture
def base(own_task: Path, tiny_model_dir: Path) -> str:
    return f"task: {own_task}\nmodel: {tiny_model_dir}\nepisodes: 3\nqueries: 8\ndtype: float32\ndevice: cpu\n"


def read(tmp_path: Path, text: str) -> Sweep:
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return read_sweep(path)


def as_json(done: tuple[Results, list[Analysis]]) -> dict[str, Any]:
    return to_json(*done)


GRID = "grid: {shots: [0, 2], calibration: [none, batch], selector: [random, bm25]}\nexclude: [{shots: 0, selector: bm25}]\n"


def test_cells_are_ordinary_runs_found_again_and_the_model_is_loaded_once(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    load = icl.session.load_model
    monkeypatch.setattr(icl.session, "load_model", lambda *given: loaded.append(given) or load(*given))
    asked = read(tmp_path, base + GRID)
    results, groups = sweep(asked, out=tmp_path / "runs")
    assert len(loaded) == 1
    assert (results.n_computed, results.n_found, results.failed) == (3, 0, ()), "calibrations of the same scores share a run"
    (of,) = groups
    assert len(of.group.rows) == 6
    assert [row.mean for row in of.group.rows] == sorted((row.mean for row in of.group.rows), reverse=True)
    for row in of.group.rows:
        run = evaluate(replace(row.cell, calibration=("none", "batch")), out=tmp_path / "runs")
        assert run.dir == row.runs[0].dir
        assert run.summary["metrics"][row.cell.calibration[0]]["accuracy"]["mean"] == pytest.approx(row.mean)
    assert {path.name for path in results.dir.iterdir()} == {"report.html", "report.md", "sweep.json", "sweep.yaml"}
    assert json.loads((results.dir / "sweep.json").read_text()) == json.loads(json.dumps(as_json((results, groups))))

    again, _ = sweep(asked, out=tmp_path / "runs")
    assert (again.n_computed, again.n_found, again.dir) == (0, 3, results.dir)
    assert len(loaded) == 1
    elsewhere, _ = sweep(asked, out=tmp_path / "elsewhere")
    assert elsewhere.computed["tokens_unique"] == 0, "scores come from the store"
    assert elsewhere.computed["spans_reused"] > 0


def test_what_cannot_be_made_is_a_row_with_its_reason(base: str, tmp_path: Path) -> None:
    results, (of,) = sweep(read(tmp_path, base + "grid: {shots: [1, 40]}\ncells: [{pool: 10, shots: 2, queries: 500}]"), out=tmp_path)
    assert [row.spec.shots for row in of.group.rows] == [1]
    assert ["context window" in row.reason or "at most" in row.reason for row in results.failed] == [True, True]
    page = (results.dir / "report.html").read_text(encoding="utf-8")
    assert "shots 40" in page
    assert "a prompt must fit the context window" in page


def test_a_calibration_that_cannot_be_leaves_its_siblings_alone(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import icl.sweep.plan

    prepare = icl.sweep.plan.prepare

    def picky(spec: RunSpec, *rest: Any) -> Any:
        if "pmi" in spec.calibration:
            raise IclError("pmi does not apply here")
        return prepare(spec, *rest)

    monkeypatch.setattr(icl.sweep.plan, "prepare", picky)
    plan = plan_sweep(read(tmp_path, base + "grid: {calibration: [none, pmi, batch]}"), out=tmp_path)
    assert [(run.spec.calibration, run.reason) for run in plan.runs] == [
        (("none", "batch"), ""), (("pmi",), "pmi does not apply here"),
    ]  # fmt: skip


def test_seeds_are_more_draws_of_a_cell(base: str, tmp_path: Path) -> None:
    results, (of,) = sweep(read(tmp_path, base + "grid: {seed: [0, 1], shots: [0, 1]}"), out=tmp_path)
    assert results.n_computed == 4
    assert [(row.seeds, len(row.values)) for row in of.group.rows] == [((0, 1), 6), ((0, 1), 6)]
    assert list(of.group.fields) == ["shots"]


def test_only_equal_queries_are_compared(base: str, tmp_path: Path) -> None:
    _, groups = sweep(read(tmp_path, base + "shots: 1\ngrid: {queries: [6, 8], pool: [20, all]}"), out=tmp_path)
    assert [(of.group.n_queries, len(of.group.rows), of.pairs) for of in groups] == [(6, 2, 1), (8, 2, 1)]


def test_the_winner_of_a_test_split_is_said_to_be_optimistic(base: str, tmp_path: Path) -> None:
    results, (of,) = sweep(read(tmp_path, base + "grid: {shots: [0, 1]}"), out=tmp_path)
    said = (results.dir / "report.md").read_text(encoding="utf-8")
    assert of.chosen_on_test
    assert "chosen on the test split" in said
    assert "icl evaluate" in said
    (alone,) = sweep(read(tmp_path, base + "shots: 0"), out=tmp_path)[1]
    assert not alone.chosen_on_test
    assert alone.pairs == 0


def test_the_best_is_held_against_the_worst_in_one_draw_only(base: str, tmp_path: Path) -> None:
    _, (of,) = sweep(read(tmp_path, base + "grid: {shots: [0, 1, 2]}"), out=tmp_path)
    assert of.duel is not None
    best, worst = of.group.rows[0], of.group.rows[-1]
    assert of.duel.queries == 8
    assert of.duel.only_best - of.duel.only_worst == pytest.approx(8 * (best.values[0] - worst.values[0]))


def test_every_calibration_can_be_best_or_worst(base: str, tmp_path: Path) -> None:
    names = ", ".join(CALIBRATORS)
    results, (of,) = sweep(read(tmp_path, base + f"shots: 2\ngrid: {{calibration: [{names}]}}"), out=tmp_path)
    assert not results.failed
    for row in of.group.rows:
        assert duel(replace(of.group, rows=(row, row)), 1) is not None


def test_the_work_of_every_calibration_is_told_before(base: str, tmp_path: Path) -> None:
    def work(calibration: str) -> Estimate:
        shared = Shared()
        plan = plan_sweep(read(tmp_path, base + f"shots: 2\npool: 12\ncalibration: {calibration}"), out=tmp_path, shared=shared)
        return estimate(plan, tmp_path, shared)

    plain = work("none")
    more = {name: work(name).prompts - plain.prompts for name in ("channel", "prototypical", "knn-prompting", "hidden", "pmi")}
    draws, queries, anchors, labels = 3, 8, 12 - 2, 2
    assert more == {
        "channel": draws * queries * labels,
        "prototypical": draws * anchors * labels,
        "knn-prompting": draws * (queries + anchors),
        "hidden": draws * (queries + anchors),
        "pmi": draws * labels,
    }
    assert work("knn-prompting").tokens > plain.tokens


class KilledAfter(Quiet):
    """Ctrl-C after so many sections."""

    def __init__(self, sections: int) -> None:
        self.left = sections

    def section_done(self) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_an_interrupted_sweep_goes_on_to_the_same_numbers(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = read(tmp_path, base + "grid: {shots: [0, 1, 2]}")
    with pytest.raises(KeyboardInterrupt, match="1 of 3 runs are finished and kept"):
        sweep(asked, out=tmp_path / "a", events=KilledAfter(5))
    after = as_json(sweep(asked, out=tmp_path / "a"))
    assert after["runs"] == {"computed": 2, "found": 1}
    monkeypatch.setenv("ICL_SCORE_STORE", str(tmp_path / "other.sqlite"))
    assert as_json(sweep(asked, out=tmp_path / "b"))["groups"] == after["groups"]


def test_processes_side_by_side_make_the_same_runs(base: str, tmp_path: Path) -> None:
    results, (of,) = sweep(read(tmp_path, base + "grid: {shots: [1, 40]}"), out=tmp_path / "a", jobs=2)
    assert (results.n_computed, len(results.failed)) == (1, 1)
    alone = evaluate(of.group.rows[0].cell, out=tmp_path / "b")
    assert alone.summary == of.group.rows[0].runs[0].summary


def test_a_worker_that_is_told_to_stop_begins_nothing_more(tmp_path: Path) -> None:
    worker = _Worker()
    worker.stop(0, None)
    assert worker.run(RunSpec("movie-sentiment"), tmp_path, None) == (None, "interrupted")
    assert not list(tmp_path.iterdir())
    worker.working = True
    with pytest.raises(KeyboardInterrupt):
        worker.stop(0, None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("grid: {selector: [random, knnn]}", "unknown selector 'knnn': did you mean knn"),
        ("grid: {template: [sentiment-plan]}", "unknown template 'sentiment-plan': did you mean sentiment-plain"),
        ("grid: {calibration: [none, bach]}", "unknown calibration 'bach': did you mean batch"),
        ("grid: {order: [givn]}", "unknown order 'givn': did you mean given"),
        ("grid: {split: [test, tset]}", "unknown split 'tset': did you mean test"),
        ("device_map: autoo", "unknown device map 'autoo': did you mean auto"),
        ("metric: acuracy", "unknown metric 'acuracy': did you mean accuracy"),
        ("metric: ece", "unknown metric 'ece'"),
    ],
)
def test_a_name_that_means_nothing_stops_the_sweep_before_anything_runs(base: str, tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(IclError, match=said):
        make_plan(read(tmp_path, base + line), out=tmp_path / "runs", data_dir=None, shared=Shared(), events=Quiet())
    assert not (tmp_path / "runs").exists()
    assert "ece" not in COMPARED


def test_lower_is_better_where_it_is(base: str, tmp_path: Path) -> None:
    _, (of,) = sweep(read(tmp_path, base + "metric: nll\ngrid: {shots: [0, 1, 2]}"), out=tmp_path)
    assert [row.mean for row in of.group.rows] == sorted(row.mean for row in of.group.rows)
