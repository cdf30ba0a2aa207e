"""The search of one method: settings proposed, played episode by episode on the same validation episodes, kept in Optuna's study.

Everything that decides what comes next is in the study's file: a setting's outcomes are attributes of its trial, written as they happen. So
after a kill the setting under way goes on with its next episode, and the search ends as if nothing had been. For that the sampler gets a
seed of its own for every trial.

The first setting is the usual one and always plays all episodes. A later episode is played only if what the one before it was charged is
left of the budget; a setting that the budget cuts off takes no part in the choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from compare.memory import OutOfMemory
from compare.tune.samplers import PRUNERS, SAMPLERS, TWO_OBJECTIVES
from compare.tune.space import Space
from compare.tune.types import Begin, Budget, Outcome, Settings, Value, mean
from tasks import IclError, keyed_rng

FULL, PRUNED, CUT, FAILED = "all episodes", "given up", "budget", "failed"
"""How a trial ended."""


@dataclass(frozen=True)
class Trial:
    """A setting, as the study has it."""

    number: int
    settings: Settings
    """What was searched; what the space does not name has its usual value."""
    outcomes: tuple[Outcome, ...]
    end: str
    """Empty while it is under way."""
    reason: str = ""
    """Why it failed."""

    @property
    def accuracy(self) -> float:
        """Mean over the episodes that it played."""
        return mean([o.accuracy for o in self.outcomes])

    @property
    def nll(self) -> float:
        """The same of the negative log-likelihood."""
        return mean([o.nll for o in self.outcomes])

    @property
    def flops_per_query(self) -> float:
        """Adapting and answering, of all its episodes, over their queries."""
        return sum(o.flops for o in self.outcomes) / sum(o.queries for o in self.outcomes)

    @property
    def charged(self) -> int:
        """What the search paid for it."""
        return sum(o.charged for o in self.outcomes)


def trials_of(study: Any) -> list[Trial]:
    """All trials of a study, in their order."""
    return [_trial(frozen) for frozen in study.get_trials(deepcopy=False)]


def _trial(frozen: Any) -> Trial:
    attributes = frozen.user_attrs
    outcomes: list[Outcome] = []
    while (key := f"episode {len(outcomes)}") in attributes:
        outcomes.append(Outcome(**{**attributes[key], "paid": tuple(attributes[key]["paid"])}))
    return Trial(frozen.number, dict(frozen.params), tuple(outcomes), attributes.get("end", ""), attributes.get("reason", ""))


def best_of(trials: list[Trial]) -> Trial:
    """The most accurate of those that played all episodes; then the likeliest, the cheapest, the earliest. Raises IclError without any."""
    full = [trial for trial in trials if trial.end == FULL]
    if not full:
        why = next((trial.reason for trial in trials if trial.reason), "the budget was used up before")
        raise IclError(f"no setting could be played on all episodes: {why}")
    return min(full, key=lambda t: (-t.accuracy, t.nll, t.flops_per_query, t.number))


@dataclass
class Search:
    """See the module's opening."""

    method: str
    space: Space
    first: Mapping[str, Value]
    """The usual setting, of the names that the space has."""
    begin: Begin
    study: Any
    """Of Optuna."""
    sampler: str
    pruner: str
    episodes: int
    most: int
    """Trials."""
    budget: Budget
    chance: float
    seed: int

    def __post_init__(self) -> None:
        self.single = self.sampler not in TWO_OBJECTIVES
        self.study.pruner = PRUNERS[self.pruner](self.episodes)
        self._trials = trials_of(self.study)
        self._paid = {name for trial in self._trials for o in trial.outcomes for name in o.paid}
        self._end_told()

    @property
    def trials(self) -> list[Trial]:
        """So far."""
        return self._trials

    @property
    def spent(self) -> float:
        """Of the budget."""
        outcomes = [o for trial in self._trials for o in trial.outcomes]
        return float(len(outcomes)) if self.budget.unit == "episodes" else float(sum(o.charged for o in outcomes))

    def over(self) -> str:
        """What ended the search; empty while it goes on."""
        if self._trials and not self._trials[-1].end:
            return ""
        if self._trials and (self.spent >= self.budget.amount or any(trial.end == CUT for trial in self._trials)):
            return "budget"
        return "trials" if len(self._trials) >= self.most else ""

    def step(self) -> Trial:
        """The next trial, or the one that was under way, to its end."""
        trial = self._ask()
        settings, number = dict(trial.params), trial.number
        if len(self._trials) == number:
            self._trials.append(Trial(number, settings, (), ""))
        end, reason = self._played(trial, settings)
        if end == FAILED and self.single and not self._trials[number].outcomes:
            trial.report(self.chance, 1)  # so that its neighbourhood is avoided
        trial.set_user_attr("reason", reason)
        trial.set_user_attr("end", end)
        self._tell(number, end)
        done = _trial(self.study.get_trials(deepcopy=False)[number])
        self._trials[number] = done
        return done

    def _ask(self) -> Any:
        """A new trial, or the one that a kill left running: the same number, so that everything keyed by it stays the same."""
        from optuna.trial import Trial as Asked
        from optuna.trial import TrialState

        frozen = self.study.get_trials(deepcopy=False)
        running = [t for t in frozen if t.state == TrialState.RUNNING]
        number = running[0].number if running else len([t for t in frozen if t.state != TrialState.WAITING])
        # RandomState takes 32 bits.
        self.study.sampler = SAMPLERS[self.sampler](int(keyed_rng(self.seed, "sampler", self.method, number).integers(2**31)), self.most)
        if not frozen:
            self.study.enqueue_trial(dict(self.first))
        trial = Asked(self.study, running[0]._trial_id) if running else self.study.ask()
        for name, of in self.space.items():
            of.suggest(trial, name)
        return trial

    def _end_told(self) -> None:
        """A kill may have come between how a trial ended and telling the study so."""
        from optuna.trial import TrialState

        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if end := self._trials[frozen.number].end:
                self._tell(frozen.number, end)

    def _played(self, trial: Any, settings: Settings) -> tuple[str, str]:
        """How the trial ended, and why it failed if it did."""
        number = trial.number
        try:
            contestant = self.begin(settings, self._paid)
            for episode in range(self.episodes):
                outcomes = self._trials[number].outcomes
                if episode == len(outcomes):
                    if number and outcomes and self.spent + self._price(outcomes[-1]) > self.budget.amount:
                        return CUT, ""
                    outcome = contestant.play(episode)
                    trial.set_user_attr(f"episode {episode}", asdict(outcome))
                    outcomes = (*outcomes, outcome)
                    self._trials[number] = Trial(number, settings, outcomes, "")
                if episode + 1 < len(outcomes):  # played before a kill
                    continue
                if self._hopeless(trial, outcomes) and number and len(outcomes) < self.episodes:
                    return PRUNED, ""
        except OutOfMemory:  # says nothing about the setting: the search ends here, and goes on where there is more
            raise
        except IclError as error:
            return FAILED, str(error)
        return FULL, ""

    def _price(self, before: Outcome) -> float:
        return 1.0 if self.budget.unit == "episodes" else float(min(before.charged, before.flops))  # without meta-training

    def _hopeless(self, trial: Any, outcomes: tuple[Outcome, ...]) -> bool:
        """Reports the last episode: hyperband looks at means so far, wilcoxon at single episodes."""
        if not self.single:
            return False
        value = outcomes[-1].accuracy if self.pruner == "wilcoxon" else mean([o.accuracy for o in outcomes])
        if len(outcomes) not in self.study.get_trials(deepcopy=False)[trial.number].intermediate_values:
            trial.report(value, len(outcomes))
        return bool(trial.should_prune())

    def _tell(self, number: int, end: str) -> None:
        """A setting that wilcoxon gave up is told by its mean so far, as Optuna's page on that pruner says."""
        from optuna.trial import TrialState

        of = self._trials[number]
        if end == FULL or (end == PRUNED and self.pruner == "wilcoxon"):
            self.study.tell(number, of.accuracy if self.single else [of.accuracy, of.flops_per_query])
        else:
            self.study.tell(number, state=TrialState.PRUNED if self.single else TrialState.FAIL)
