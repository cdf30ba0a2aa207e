"""Files around a tuning: spaces, settings of learners, options of a run; budgets. A wrong name is one line that names the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.learners import LEARNERS
from compare.learners.given import settings_of, with_settings
from compare.learners.lora import Settings as Lora
from compare.settingsfile import read_settings, settings_text
from compare.tune.defaults import LEARNER_SPACES, METHODS
from compare.tune.space import Choices, Span, start
from compare.tune.spacefile import example_text, read_spaces, space_of, spaces_text
from compare.tune.types import Budget, TuneSpec
from icl.spec import RunSpec
from icl.specfile import options_text, read_options
from tasks import IclError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lroa: {rank: [2]}", r"file.yaml:1: unknown method 'lroa': did you mean lora\?"),
        ("lora:\n  rnak: [2, 4]", r"file.yaml:2: unknown name in the space of lora 'rnak': did you mean rank\?.*rank, lr, steps, modules"),
        ("in-context:\n  tempalte: [x]", r"file.yaml:2: unknown name in the space of in-context 'tempalte': did you mean template\?"),
        ("lora: {modules: [query-vale]}", "unknown modules of lora 'query-vale': did you mean query-value"),
        ("lora: {rank: [two]}", "rank of lora must be a whole number, but got 'two'"),
        ("lora: {rank: [0]}", "rank of lora must be above 0 and at most 1,000,000, but is 0"),
        ("lora: {rank: []}", "a list of values must not be empty"),
        ("lora: {rank: [2, 2]}", "a value stands twice"),
        ("lora: {rank: {from: 4, to: 2}}", "from <= to must hold"),
        ("lora: {lr: {from: 0, to: 1}}", "0 < from <= to must hold"),
        ("lora: {lr: {from: 1.0e-4}}", "needs 'from' and 'to'"),
        ("lora: {lr: {from: 1.0e-4, to: 1.0e-2, lgo: true}}", "unknown key in lr of lora 'lgo': did you mean log"),
        ("lora: {rank: {from: 1, to: .inf}}", "'to' must be a number up to 1,000,000, but got inf"),
        ("lora: {rank: {from: 1, to: 99999999999999999999}}", "'to' must be a number up to 1,000,000, but got 1e\\+20"),
        ("lora: {lr: {from: true, to: 2}}", "'from' must be a number, but got True"),
        ("lora: {lr: [1.0e+300]}", "lr of lora must be above 0 and at most 1,000,000, but is 1e\\+300"),
        ("lora: {rank: {from: 1.5, to: 4}}", "must be whole numbers"),
        ("lora: {modules: {from: 1, to: 2}}", r"modules of lora is no number: list its values, as in \[query-value, all-linear\]"),
        ("lora: 3", "lora must be a mapping"),
        ("in-context: {shots: [-1]}", "shots of in-context must be a whole number from 0"),
        ("in-context: {selector: [3]}", "selector of in-context must be a name"),
        ("in-context:\n  shots: 4\n  selector: [random, knnn]", r"file.yaml:3: unknown selector 'knnn': did you mean knn"),
        ("in-context:\n  template: sentiment-plan", r"file.yaml:2: unknown template 'sentiment-plan'"),
        ("in-context:\n  order: [given, givn]", r"file.yaml:2: unknown order 'givn'"),
        ("in-context:\n  calibration: bach", r"file.yaml:2: unknown calibration 'bach'"),
        ("in-context:\n  normalise: [none, tokn]", r"file.yaml:2: .*tokn"),
    ],
)
def test_a_wrong_space_is_one_line_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(IclError, match=said):
        read_spaces(written(tmp_path, text))


def test_lists_spans_and_single_values(tmp_path: Path) -> None:
    text = "lora:\n  rank: [2, 4]\n  lr: {from: 1e-4, to: 1.0e-2, log: true}\n  steps: {from: 5, to: 9}\n  modules: query-value\n"
    space = space_of("lora", read_spaces(written(tmp_path, text))["lora"])
    assert space == {
        "rank": Choices((2, 4)),
        "lr": Span(1e-4, 1e-2, log=True),
        "steps": Span(5, 9),
        "modules": Choices(("query-value",)),
    }
    assert start(space, {"rank": 8, "lr": 1e-3, "steps": 7}) == {"rank": 2, "lr": 1e-3, "steps": 7, "modules": "query-value"}


def test_built_in_spaces_are_written_and_read_again(tmp_path: Path) -> None:
    again = read_spaces(written(tmp_path, spaces_text(LEARNER_SPACES)))
    assert {method: space_of(method, values) for method, values in again.items()} == LEARNER_SPACES
    assert set(read_spaces(written(tmp_path, example_text()))) == {"in-context", "lora", "linear-probe", "maml"}
    assert {*METHODS} <= {*LEARNERS}


@pytest.mark.parametrize("method", LEARNER_SPACES)
def test_every_value_of_a_built_in_space_can_be_a_setting(method: str) -> None:
    for name, of in LEARNER_SPACES[method].items():
        for value in of.values if isinstance(of, Choices) else (of.low, of.high, of.first):
            assert getattr(settings_of(method, {name: value}), name) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("20", "must be a number with its unit"),
        ("20 TFLOPS", "must be a number with its unit"),
        ("-3TFLOP", "must be a number with its unit"),
        ("0TFLOP", "must be above 0, but is '0TFLOP': nothing could be tried"),
        ("0episodes", "must be above 0"),
        ("1e999FLOP", "must be above 0"),
    ],
)
def test_budgets_that_buy_nothing(text: str, said: str) -> None:
    with pytest.raises(IclError, match=said):
        Budget.parse(text)


def test_budgets() -> None:
    assert Budget.parse("20TFLOP") == Budget(2e13, "FLOP")
    assert Budget.parse("1.5e12 FLOP") == Budget(1.5e12, "FLOP")
    assert Budget.parse("60 episodes") == Budget(60, "episodes")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": ()}, "at least one method"),
        ({"methods": ("lora", "lora")}, "name each method once"),
        ({"trials": 0}, "--trials must be 1 or more"),
        ({"test_episodes": 0}, "--test-episodes must be 1 or more"),
        ({"k_shot": None}, "--k-shot all is for in-context alone, but lora"),
    ],
)
def test_specs_that_cannot_be(changes: dict[str, object], said: str) -> None:
    with pytest.raises(IclError, match=said):
        TuneSpec("films", **changes)  # type: ignore[arg-type]


def test_settings_of_a_learner_fill_in_what_is_left_out_and_are_its_whole_grid(tmp_path: Path) -> None:
    given = read_settings(written(tmp_path, "lora: {lr: 5e-4, modules: all-linear}\nmaml: {inner_steps: 3}\n"))
    assert settings_of("lora", given["lora"]) == Lora(8, 5e-4, 5, "all-linear")
    assert with_settings("lora", LEARNERS["lora"], given).grid == (Lora(8, 5e-4, 5, "all-linear"),)
    assert not with_settings("lora", LEARNERS["lora"], given).reads_other_tasks, "there is nothing to choose"
    assert with_settings("ia3", LEARNERS["ia3"], given).grid == LEARNERS["ia3"].grid
    assert read_settings(written(tmp_path, settings_text(given))) == {
        "lora": {"lr": "5e-4", "modules": "all-linear"},
        "maml": {"inner_steps": 3},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "lora:\n  rnak: 2",
            r"file.yaml:1: unknown setting of lora 'rnak': did you mean rank\?.*settings of lora: rank, lr, steps, modules",
        ),
        ("lroa: {rank: 2}", "file.yaml:1: unknown learner 'lroa'"),
        ("lora: {rank: 2.5}", "must be a whole number"),
        ("lora: {steps: true}", "must be a whole number"),
        ("protonet: {trained: 1}", "trained of protonet must be true or false"),
        ("maml: {backbone: resnet}", "unknown backbone of maml 'resnet': known: linear, mlp"),
        ("zero-shot: {lr: 1}", "settings of zero-shot: none"),
        ("lora: 2", "must be a mapping"),
    ],
)
def test_wrong_settings_are_one_line_with_their_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(IclError, match=said):
        read_settings(written(tmp_path, text))


def test_options_are_written_and_read_again(tmp_path: Path) -> None:
    spec = RunSpec("films", shots=3, calibration=("none", "batch"), queries=None, pool=8, chat=True, seed=2)
    options = read_options(written(tmp_path, options_text(spec)))
    assert options["queries"] == "all"
    assert (options["task"], options["shots"], options["calibration"], options["pool"], options["chat"]) == (
        "films",
        3,
        "none,batch",
        8,
        True,
    )
    assert "template" not in options, "what is left open is not written"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: films\nshtos: 3", r"file.yaml:2: unknown field 'shtos': did you mean shots\?"),
        ("shots: many", r"file.yaml:1: shots: input should be a valid integer, but got 'many'"),
        ("queries: some", "queries: "),
    ],
)
def test_wrong_options_are_one_line_with_their_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(IclError, match=said):
        read_options(written(tmp_path, text))
