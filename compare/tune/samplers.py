"""How a search proposes settings and when it gives one up: names for what Optuna has, and where each may be used.

tpe     tree-structured Parzen estimator (Bergstra et al. 2011); with hyperband the BOHB recipe (Falkner et al. 2018)
nsga2   genetic search of the front of accuracy and FLOPs per query (Deb et al. 2002); nothing is given up
random  the control

hyperband  successive halving in brackets (Li et al. 2018); the resource is the number of episodes
wilcoxon   signed-rank test of a setting's episodes against the best setting's, in pairs
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tasks.errors import IclError, unknown_name

TWO_OBJECTIVES = ("nsga2",)
REDUCTION = 3
"""Of several settings with equally many episodes, one in so many goes on (Hyperband's eta)."""
STARTUP = 10
"""Settings that TPE draws at random before it models them."""
LEAST_FOR_WILCOXON = 4
"""Episodes below which no difference can be significant: 1 / 2**3 is above P."""
P = 0.1


def tpe(seed: int, trials: int) -> Any:
    """Parameters are modelled together; a search with few trials begins to model earlier."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=min(STARTUP, max(2, trials // 3)), multivariate=True, constant_liar=False)


def nsga2(seed: int, trials: int) -> Any:
    """At least four generations."""
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=min(50, max(2, trials // 4)))


def random(seed: int, trials: int) -> Any:
    """Every value is as likely as any other."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def hyperband(episodes: int) -> Any:
    """One episode at least, all of them at most."""
    from optuna.pruners import HyperbandPruner

    return HyperbandPruner(min_resource=1, max_resource=episodes, reduction_factor=REDUCTION)


def wilcoxon(episodes: int) -> Any:
    """See the module's opening."""
    import warnings

    from optuna.exceptions import ExperimentalWarning
    from optuna.pruners import WilcoxonPruner

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # its interface may change: the version is pinned
        return WilcoxonPruner(p_threshold=P)


def none(episodes: int) -> Any:
    """Every setting plays every episode."""
    from optuna.pruners import NopPruner

    return NopPruner()


SAMPLERS: dict[str, Callable[[int, int], Any]] = {"tpe": tpe, "nsga2": nsga2, "random": random}
"""Name → (seed, trials) → sampler."""
PRUNERS: dict[str, Callable[[int], Any]] = {"hyperband": hyperband, "wilcoxon": wilcoxon, "none": none}
"""Name → number of episodes → pruner."""


def check_search(sampler: str, pruner: str, episodes: int) -> str:
    """The pruner, filled in. Raises IclError for unknown names and for a pair that cannot be."""
    if sampler not in SAMPLERS:
        raise unknown_name("sampler", sampler, SAMPLERS)
    pruner = pruner or ("none" if sampler in TWO_OBJECTIVES else "hyperband")
    if pruner not in PRUNERS:
        raise unknown_name("pruner", pruner, PRUNERS)
    if sampler in TWO_OBJECTIVES and pruner != "none":
        raise IclError(
            f"--sampler {sampler} weighs accuracy against FLOPs, but --pruner {pruner} looks at accuracy alone; use --pruner none"
        )
    if pruner == "wilcoxon" and episodes < LEAST_FOR_WILCOXON:
        raise IclError(
            f"--pruner wilcoxon needs {LEAST_FOR_WILCOXON} episodes to tell two settings apart, but --episodes is {episodes}; "
            "use more, or --pruner hyperband"
        )
    return pruner
