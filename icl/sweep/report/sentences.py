"""What a sweep's report says of a group in whole sentences; empty where there is nothing to say."""

from __future__ import annotations

from collections.abc import Sequence

from icl.metrics import METRICS
from icl.report.facts import command_line, number, p_value
from icl.sweep.analysis import Analysis, confirmation
from icl.sweep.settings import words
from icl.sweep.statistics import Contrast


def best_words(of: Analysis) -> str:
    """The best row's settings."""
    return words(of.group.rows[0].spec, list(of.group.fields))


def verdict(of: Analysis) -> str:
    """The best against the worst, in a sentence; empty for one row."""
    if of.pairs == 0:
        return ""
    contrast = of.to_best[-1]
    if contrast is None or contrast.mean == 0:
        return ""
    worst = words(of.group.rows[-1].spec, list(of.group.fields))
    size = number(abs(contrast.mean))
    if contrast.p_adjusted is None or contrast.interval is None:
        return f"The worst cell ({worst}) is {size} behind; one draw cannot say how much of that is luck."
    low, high = sorted(abs(end) if end * contrast.mean > 0 else -abs(end) for end in contrast.interval)
    luck = f"{number(low)} to {number(high)}, p {_equals(contrast.p_adjusted)}"
    return (
        f"The worst cell ({worst}) is {size} behind on the same queries ({luck}, after all {of.pairs:,} pairs that could have been picked)."
    )


def tied(of: Analysis) -> str:
    """How many rows cannot be told from the best; empty for one row or one draw."""
    others = [contrast for contrast in of.to_best if contrast is not None and contrast.p_adjusted is not None]
    same = sum(contrast.p_adjusted >= 0.05 for contrast in others if contrast.p_adjusted is not None)
    if not others:
        return ""
    equal = sum(contrast.mean == 0 for contrast in others)
    also = f" ({equal} {'has' if equal == 1 else 'have'} the same value)" if equal else ""
    if same == len(others):
        return f"None of the other cells can be told from the best{also}; the least adjusted p is {_least(others)}."
    told = "All" if same == 0 else f"{len(others) - same} of"
    return f"{told} the {len(others)} other cells are behind the best by more than luck explains (adjusted p < 0.05)."


def _least(contrasts: Sequence[Contrast]) -> str:
    return p_value(min(contrast.p_adjusted for contrast in contrasts if contrast.p_adjusted is not None))


def duel_words(of: Analysis) -> str:
    """McNemar's test in a sentence; empty where there is none."""
    d = of.duel
    if d is None:
        return ""
    return (
        f"In the first draw alone ({d.episode}, {d.queries} queries) {d.only_best} are answered correctly by the best cell only, "
        f"{d.only_worst} by the worst only (McNemar's exact test, p {_equals(d.p_adjusted)} after all pairs)."
    )


def held_out_words(of: Analysis) -> str:
    """What picking is worth where it was not looked, in a sentence; empty for one draw or one row."""
    if of.held_out is None:
        return ""
    mean = of.group.rows[0].mean
    better = (of.held_out < mean) == METRICS[of.group.metric].higher_is_better
    said = f"Picked by all other draws and read off in the draw left out, the winner gets {number(of.held_out)} on average"
    if number(of.held_out) == number(mean) or not better:
        return f"{said}: being picked among {len(of.group.rows)} has not made it look better."
    return f"{said}, not {number(mean)}: the rest was luck of being picked among {len(of.group.rows)}."


def warning(of: Analysis) -> str:
    """What must be known before the winner is reported; empty for one row."""
    group = of.group
    if len(group.rows) < 2:
        return ""
    said = f"The winner is chosen on the {group.split} split: its value there is optimistic."
    if not of.chosen_on_test:
        return (
            f"{said} Evaluate it once on test:" if "test" in group.other_splits else f"{said} The task has no test split to evaluate it on."
        )
    if "validation" in group.other_splits:
        return f"{said} Choose with 'split: validation' in the sweep file, then evaluate the winner once on test, as in:"
    return f"{said} Give the task's card a validation split and choose there, then evaluate the winner once on test, as in:"


def confirm_command(of: Analysis) -> str:
    """The best row, once, on the test split; empty where there is none."""
    there = "test" in (of.group.split, *of.group.other_splits)
    return command_line(confirmation(of.group)) if there else ""


def needed_words(of: Analysis) -> str:
    """What it takes for a difference to count, in a sentence."""
    if of.needed is None:
        return ""
    now, twice = of.needed
    draws = len(of.group.draws)
    return (
        f"With {draws} draws and {of.pairs:,} pairs a difference counts (p < 0.05) from {now:.1f} times its standard error on; "
        f"with {2 * draws} draws, from {twice:.1f}."
    )


def _equals(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {number(p)}"
