"""The search alone, on made-up methods: a planted optimum is found, kills change nothing, budgets hold, settings are given up in time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from compare.memory import OutOfMemory
from compare.tune.importance import importance
from compare.tune.report import facts
from compare.tune.samplers import check_search
from compare.tune.search import CUT, FAILED, FULL, PRUNED, Search, best_of, trials_of
from compare.tune.space import Choices, Space, Span
from compare.tune.storage import FILE, open_storage, open_study
from compare.tune.types import Budget, Outcome, Settings
from tasks import IclError, keyed_rng

SPACE: Space = {"rate": Span(1e-3, 1e3, log=True), "kind": Choices(("left", "right", "middle")), "idle": Span(1, 9)}
PRICE = 1000


class Killed(BaseException):
    """Stands for SIGKILL."""


@dataclass(frozen=True)
class Toy:
    """Best at rate 1 with kind middle; `idle` does nothing. Episodes differ in how hard they are, settings a little by chance."""

    settings: Settings
    before: Callable[[], None]

    def play(self, episode: int) -> Outcome:
        self.before()
        rate, kind = float(self.settings["rate"]), self.settings["kind"]
        if kind == "left" and rate > 100:
            raise IclError("left is not to be had above 100")
        luck = 0.01 * keyed_rng(0, "luck", str(sorted(self.settings.items())), episode).normal()
        hard = 0.02 * (episode % 3)
        accuracy = 0.95 - 0.15 * abs(math.log10(rate)) - 0.2 * (kind != "middle") - hard + luck
        return Outcome(accuracy, 1 - accuracy, round(PRICE * (1 + rate)), PRICE, 10)


def make(
    study: Any, begin: Callable[[Settings, set[str]], Toy] | None = None, sampler: str = "tpe", pruner: str = "none", **changes: Any
) -> Search:
    search: dict[str, Any] = {
        "method": "toy", "space": SPACE, "first": {"rate": 100.0, "kind": "left", "idle": 5}, "begin": begin or quiet, "study": study,
        "sampler": sampler, "pruner": pruner, "episodes": 3, "most": 40, "budget": Budget(1e9, "FLOP"), "chance": 0.5, "seed": 0,
    }  # fmt: skip
    return Search(**{**search, **changes})


def quiet(settings: Settings, paid: set[str]) -> Toy:
    return Toy(settings, lambda: None)


def in_memory(sampler: str = "tpe") -> Any:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(study_name="toy-0", directions=["maximize", "minimize"] if sampler == "nsga2" else ["maximize"])


def carried_out(search: Search) -> Search:
    while not search.over():
        search.step()
    return search


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "none"), ("tpe", "hyperband"), ("tpe", "wilcoxon"), ("nsga2", "none")])
def test_a_planted_optimum_is_found(sampler: str, pruner: str) -> None:
    search = carried_out(make(in_memory(sampler), sampler=sampler, pruner=pruner, episodes=9, most=70))
    best = best_of(search.trials)
    assert best.settings["kind"] == "middle"
    assert abs(math.log10(float(best.settings["rate"]))) < 0.5
    first = search.trials[0]
    assert first.settings == {"rate": 100.0, "kind": "left", "idle": 5}, "the usual setting comes first"
    assert first.end == FULL
    assert best.accuracy > first.accuracy + 0.3


def test_modelling_beats_drawing_at_random() -> None:
    late = {}
    for sampler in ("tpe", "random"):
        trials = [t for t in carried_out(make(in_memory(), sampler=sampler, most=60)).trials[30:] if t.end == FULL]
        late[sampler] = sum(t.accuracy for t in trials) / len(trials)
    assert late["tpe"] > late["random"] + 0.1


@pytest.mark.parametrize("pruner", ["hyperband", "wilcoxon"])
def test_bad_settings_are_given_up_and_good_ones_are_not(pruner: str) -> None:
    search = carried_out(make(in_memory(), pruner=pruner, episodes=9, most=50))
    given_up = [t for t in search.trials if t.end == PRUNED]
    assert len(given_up) > 10
    assert all(len(t.outcomes) < 9 for t in given_up)
    full = [t for t in search.trials if t.end == FULL]
    assert len(full) > 2
    best = best_of(search.trials)
    for trial in given_up:  # on the same episodes
        assert trial.accuracy < sum(o.accuracy for o in best.outcomes[: len(trial.outcomes)]) / len(trial.outcomes) + 0.03


def test_the_same_episodes_in_the_same_order_for_every_trial() -> None:
    seen: list[tuple[int, int]] = []

    @dataclass(frozen=True)
    class Watched:
        toy: Toy
        number: int

        def play(self, episode: int) -> Outcome:
            seen.append((self.number, episode))
            return self.toy.play(episode)

    def begin(settings: Settings, paid: set[str]) -> Any:
        return Watched(quiet(settings, paid), len(search.trials) - 1)

    search = make(in_memory(), begin, pruner="hyperband", episodes=9, most=20)
    carried_out(search)
    for number in range(20):
        mine = [episode for trial, episode in seen if trial == number]
        assert mine == list(range(len(mine)))


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "hyperband"), ("tpe", "wilcoxon"), ("random", "hyperband"), ("nsga2", "none")])
def test_killed_again_and_again_it_ends_in_the_same_trials(sampler: str, pruner: str, tmp_path: Path) -> None:
    whole = carried_out(make(in_memory(sampler), sampler=sampler, pruner=pruner, most=12))
    kills = 0
    while True:
        left = [7]

        def before(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        try:
            with open_storage(tmp_path / FILE) as storage:
                study = open_study(storage, "toy", 0, sampler)
                carried_out(
                    make(study, lambda settings, paid, before=before: Toy(settings, before), sampler=sampler, pruner=pruner, most=12)
                )
                break
        except Killed:
            kills += 1
    assert kills >= 2
    with open_storage(tmp_path / FILE) as storage:
        study = open_study(storage, "toy", 0, sampler)
        assert trials_of(study) == whole.trials
        assert {t.state.name for t in study.trials} <= {"COMPLETE", "PRUNED", "FAIL"}, "nothing is left running"


def test_a_kill_between_the_end_of_a_trial_and_telling_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = carried_out(make(in_memory(), pruner="hyperband", most=6))
    with monkeypatch.context() as patch:

        def dies(self: Search, number: int, end: str) -> None:
            raise Killed

        patch.setattr(Search, "_tell", dies)
        with pytest.raises(Killed), open_storage(tmp_path / FILE) as storage:
            make(open_study(storage, "toy", 0, "tpe"), pruner="hyperband", most=6).step()
    with open_storage(tmp_path / FILE) as storage:
        again = carried_out(make(open_study(storage, "toy", 0, "tpe"), pruner="hyperband", most=6))
    assert again.trials == whole.trials
    assert [path.name for path in tmp_path.iterdir()] == [FILE], "the log is gone with the last connection"


@pytest.mark.parametrize(("budget", "episodes"), [(Budget(10 * PRICE, "FLOP"), 10), (Budget(10, "episodes"), 10)])
def test_a_budget_ends_the_search_and_what_it_cuts_off_is_not_chosen(budget: Budget, episodes: int) -> None:
    search = carried_out(make(in_memory(), budget=budget))
    assert search.over() == "budget"
    assert sum(len(t.outcomes) for t in search.trials) == episodes
    assert search.spent == budget.amount
    assert search.trials[-1].end == CUT
    assert best_of(search.trials).end == FULL


def test_the_usual_setting_is_played_whole_whatever_the_budget() -> None:
    search = carried_out(make(in_memory(), budget=Budget(1, "FLOP")))
    assert [t.end for t in search.trials] == [FULL]
    assert search.over() == "budget"


def test_what_was_paid_for_is_known_after_a_kill(tmp_path: Path) -> None:
    def begin(settings: Settings, paid: set[str]) -> Any:
        @dataclass(frozen=True)
        class Sharing:
            def play(self, episode: int) -> Outcome:
                name = f"rows of {episode}"
                charged = 0 if name in paid else PRICE
                paid.add(name)
                return Outcome(0.5, 0.5, PRICE, charged, 10, paid=(name,) if charged else ())

        return Sharing()

    for most in (2, 4):
        with open_storage(tmp_path / FILE) as storage:
            search = carried_out(make(open_study(storage, "toy", 0, "random"), begin, sampler="random", most=most))
    assert [t.charged for t in search.trials] == [3 * PRICE, 0, 0, 0]
    assert {t.flops_per_query for t in search.trials} == {PRICE / 10}


def test_a_setting_that_cannot_be_played_is_a_failed_trial_with_its_reason() -> None:
    search = carried_out(make(in_memory(), first={"rate": 500.0, "kind": "left", "idle": 1}, most=8))
    assert search.trials[0].end == FAILED
    assert search.trials[0].reason == "left is not to be had above 100"
    assert best_of(search.trials).end == FULL
    with pytest.raises(IclError, match="no setting could be played on all episodes: left is not to be had"):
        best_of(search.trials[:1])


def test_out_of_memory_says_nothing_about_a_setting() -> None:
    left = [4]

    def before() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OutOfMemory("too little")

    search = make(in_memory(), lambda settings, paid: Toy(settings, before), most=2)
    search.step()
    with pytest.raises(OutOfMemory):
        search.step()
    again = carried_out(make(search.study, most=2))
    assert [trial.end for trial in again.trials] == [FULL, FULL]


def test_ties_go_to_the_likelier_then_the_cheaper_then_the_earlier() -> None:
    (trial,) = carried_out(make(in_memory(), most=1)).trials

    def like(number: int, nll: float, flops: int) -> Any:
        return replace(trial, number=number, outcomes=(Outcome(0.5, nll, flops, 1, 10),))

    trials = [like(0, 0.5, 30), like(1, 0.4, 30), like(2, 0.4, 20), like(3, 0.4, 20)]
    assert best_of(trials).number == 2


def test_importance_finds_what_matters_and_says_nothing_of_too_little() -> None:
    search = carried_out(make(in_memory(), sampler="random", most=40))
    shares = importance(search.study)
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares, key=lambda name: shares[name]) == "idle"
    assert importance(carried_out(make(in_memory(), most=3)).study) == {}


@pytest.mark.parametrize(
    ("sampler", "pruner", "episodes", "said"),
    [
        ("tpee", "", 9, "unknown sampler 'tpee': did you mean tpe"),
        ("tpe", "hyperbad", 9, "unknown pruner 'hyperbad': did you mean hyperband"),
        ("nsga2", "hyperband", 9, "looks at accuracy alone; use --pruner none"),
        ("tpe", "wilcoxon", 3, "needs 4 episodes to tell two settings apart, but --episodes is 3"),
    ],
)
def test_samplers_and_pruners_that_do_not_fit_are_said(sampler: str, pruner: str, episodes: int, said: str) -> None:
    with pytest.raises(IclError, match=said):
        check_search(sampler, pruner, episodes)


def test_pruners_by_default() -> None:
    assert (check_search("tpe", "", 9), check_search("random", "", 9), check_search("nsga2", "", 9)) == ("hyperband", "hyperband", "none")


def test_episodes_that_failed_are_told_with_the_setting() -> None:
    trials = [
        {"number": 0, "settings": {"steps": 5}, "reason": "", "failed_because": "it diverged"},
        {"number": 1, "settings": {"steps": 6}, "reason": "", "failed_because": "it diverged"},
        {"number": 2, "settings": {"steps": 7}, "reason": "it cannot be"},
    ]
    assert facts.failures({"trials": trials}) == [("trial 1, steps 5", "it diverged"), ("trial 3, steps 7", "it cannot be")]
