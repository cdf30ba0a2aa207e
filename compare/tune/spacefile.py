"""The space file: for every method the names that are searched, each with a list of values, a span of numbers, or one value that is kept.

    lora:
      rank: [2, 4, 8]
      lr: {from: 1.0e-4, to: 1.0e-2, log: true}
      modules: query-value

What a method's part does not name keeps its usual value; a method without a part has its built-in space.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from compare.learners import get_family
from compare.learners.given import MOST, settings_of
from compare.tune.defaults import LEARNER_SPACES, METHODS, PROMPT_FIELDS
from compare.tune.space import Choices, Dimension, Space, Span, plain
from compare.tune.types import IN_CONTEXT
from icl.calibration import get_calibrator
from icl.ordering import check_order
from icl.selection import SELECTORS
from icl.spec import RunSpec
from prompts import load_template
from tasks.cardfile import locate
from tasks.cardyaml import parse, read_text
from tasks.errors import IclError, shorten, unknown_name

WHAT = "a space file"
NUMBERS = ("shots",)
"""Fields of a prompt that are numbers."""
EXAMPLE = """\
# icl tune movie-sentiment --space FILE --methods in-context,lora,linear-probe,maml
# A list: one of these. {from, to}: a number between; log: true, equal ratios equally likely. One value is kept. What is not named keeps its
# usual value, a method without a part has its built-in space.
"""


def read_spaces(path: Path) -> dict[str, dict[str, Any]]:
    """Method → name → values as they are written. Raises IclError, `FILE:LINE: …`, for what is no space."""
    root, values = parse(path, read_text(path, WHAT), WHAT)
    for method, of in values.items():
        try:
            check_method(method)
            if not isinstance(of, dict) or not of:
                raise IclError(f"{method} must be a mapping of names to values, as in '{method}: {{{names_of(method)[0]}: [...]}}'")
        except IclError as error:
            raise IclError(f"{path}:{locate(root, (method,))[0]}: {error}") from None
        for name, value in of.items():
            try:
                dimension(method, name, value)
            except IclError as error:
                raise IclError(f"{path}:{locate(root, (method, name))[0]}: {error}") from None
    return values


def check_method(method: str) -> None:
    """Raises IclError for one that cannot be tuned."""
    if method not in METHODS:
        raise unknown_name("method", shorten(str(method)), METHODS, f"(methods: {', '.join(METHODS)})")


def names_of(method: str) -> list[str]:
    """What can be searched of a method."""
    return list(PROMPT_FIELDS) if method == IN_CONTEXT else list(LEARNER_SPACES[method])


def space_of(method: str, values: Mapping[str, Any]) -> Space:
    """The space of one method, checked as far as no task is needed."""
    return {name: dimension(method, name, value) for name, value in values.items()}


def dimension(method: str, name: str, value: Any) -> Dimension:
    """Raises IclError for a name that the method's space does not have, and for values that it cannot take."""
    known = names_of(method)
    if name not in known:
        raise unknown_name(f"name in the space of {method}", shorten(str(name)), known, f"(it has {', '.join(known)})")
    if isinstance(value, dict):
        return _span(method, name, value)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise IclError(f"{name} of {method}: a list of values must not be empty")
    if method != IN_CONTEXT:
        made = [getattr(settings_of(method, {name: one}), name) for one in values]
    else:
        made = [_prompt_value(name, one) for one in values]
    if len(set(made)) != len(made):
        raise IclError(f"{name} of {method}: a value stands twice")
    return Choices(tuple(made))


def _prompt_value(name: str, value: Any) -> Any:
    number = isinstance(value, int) and not isinstance(value, bool)
    if name in NUMBERS and not (number and value >= 0):
        raise IclError(f"{name} of {IN_CONTEXT} must be a whole number from 0, but got {shorten(repr(value))}")
    if name not in NUMBERS and not isinstance(value, str):
        raise IclError(f"{name} of {IN_CONTEXT} must be a name, but got {shorten(repr(value))}")
    if name in NAMED:
        NAMED[name](value)
    return value


def _selector(value: str) -> None:
    if value not in SELECTORS or value == "fixed":  # whose rows are named for one task
        raise unknown_name("selector", shorten(value), [name for name in SELECTORS if name != "fixed"])


NAMED: Mapping[str, Callable[[str], object]] = {
    "template": load_template,
    "selector": _selector,
    "order": check_order,
    "calibration": get_calibrator,
    "normalise": lambda value: RunSpec("", normalise=value),
}
"""Field of a prompt → what raises IclError for a name that nothing has; whether it fits the task is asked later."""


def _span(method: str, name: str, value: Mapping[str, Any]) -> Span:
    _only(value, ("from", "to", "log"), f"{name} of {method}")
    whole, ends = _kind(method, name), []
    for end in ("from", "to"):
        if end not in value:
            raise IclError(f"{name} of {method}: a span of numbers needs 'from' and 'to', as in {{from: 1, to: 8}}")
        try:
            ends.append(float("true" if isinstance(value[end], bool) else value[end]))
        except (TypeError, ValueError):
            raise IclError(f"{name} of {method}: '{end}' must be a number, but got {shorten(repr(value[end]))}") from None
        if not ends[-1] <= MOST:
            raise IclError(f"{name} of {method}: '{end}' must be a number up to {MOST:,}, but got {ends[-1]:g}")
    if whole is None:
        raise IclError(f"{name} of {method} is no number: list its values, as in [{', '.join(map(str, _some(method, name)))}]")
    if whole and any(end != int(end) for end in ends):
        raise IclError(f"{name} of {method} must be whole numbers, but got {ends[0]:g} to {ends[1]:g}")
    low, high = (int(ends[0]), int(ends[1])) if whole else (ends[0], ends[1])
    log = value.get("log", False)
    if not isinstance(log, bool):
        raise IclError(f"{name} of {method}: 'log' must be true or false, but got {shorten(repr(log))}")
    least = 0 if method == IN_CONTEXT and not log else 1 if whole else 0.0
    if not low <= high or low < least or (not whole and low <= 0):
        rule = f"from <= to must hold, and both must be {least} or more" if whole else "0 < from <= to must hold"
        raise IclError(f"{name} of {method}: {rule}, but got {low:g} to {high:g}")
    return Span(low, high, log)


def _kind(method: str, name: str) -> bool | None:
    """Whether a name's values are whole numbers; None where they are no numbers."""
    if method == IN_CONTEXT:
        return True if name in NUMBERS else None
    usual = getattr(get_family(method).grid[0], name)
    return None if isinstance(usual, bool | str) else isinstance(usual, int)


def _some(method: str, name: str) -> tuple[Any, ...]:
    of = LEARNER_SPACES.get(method, {}).get(name)
    return of.values if isinstance(of, Choices) else ("…",)


def _only(value: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for key in value:
        if key not in known:
            raise unknown_name(f"key in {where}", shorten(str(key)), known)


def example_text() -> str:
    """A space file to start from: prompts of a sentiment task, and the built-in spaces of three learners."""
    prompts = {
        "template": Choices(("sentiment-plain", "sentiment-instruct")),
        "selector": Choices(("random", "knn")),
        "order": Choices(("given", "similarity-ascending")),
        "shots": Choices((0, 4, 8)),
        "calibration": Choices(("none", "contextual", "batch")),
    }
    learners = {name: LEARNER_SPACES[name] for name in ("lora", "linear-probe", "maml")}
    return EXAMPLE + spaces_text({IN_CONTEXT: prompts, **learners})


def spaces_text(spaces: Mapping[str, Space]) -> str:
    """The file of these spaces."""
    return str(yaml.safe_dump({method: plain(of) for method, of in spaces.items()}, sort_keys=False, default_flow_style=None, width=110))
