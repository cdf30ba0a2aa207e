"""The words of the template language: filters, tests, names and methods. What is not listed here does not exist in a template.

Two rules decide what is listed. *The same item gives the same text*: nothing draws at random, reads a clock, or shows an address in memory
(only text and numbers can be written). *The work is in proportion to the text*: where a few characters could ask for a huge result
(`join`, `replace`, `indent`), its size is computed and refused before it is made; what only ever serves that (`center`, `'%9d' % x`,
`format`) is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from jinja2 import Undefined, filters, tests
from jinja2.exceptions import SecurityError
from jinja2.sandbox import MAX_RANGE, safe_range
from jinja2.utils import Cycler, Joiner, Namespace

JINJA_FILTERS: Mapping[str, Callable[..., Any]] = filters.FILTERS
JINJA_TESTS: Mapping[str, Any] = tests.TESTS

MAX_TEXT = 1_000_000
"""Characters of a text that a template makes, a rendered block included."""
MAX_STRIPPED = 100
"""Characters that `strip` may be told to take away."""
MAX_DECIMALS = 15


def text(value: Any) -> str:
    """A text or a number as text. Raises SecurityError for anything else, UndefinedError for a name that does not exist."""
    if type(value) is str:
        return value
    if type(value) in (int, float, bool) or isinstance(value, Undefined):
        return str(value)
    raise SecurityError(f"only text and numbers can be written, but this is {describe(value)}; a list is written with | join")


def describe(value: Any) -> str:
    """What kind of thing a value is, without its contents."""
    kinds = {str: "text", list: "a list", tuple: "a list", range: "a list", dict: "a mapping", type(None): "none", bool: "true or false"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else "a part of the template itself")


def check_size(characters: int) -> None:
    """Raises SecurityError for a text that would be too long."""
    if characters > MAX_TEXT:
        raise SecurityError(f"a text may have {MAX_TEXT} characters, but this would have {characters}")


def join(values: Iterable[Any], separator: Any = "") -> str:
    """Texts and numbers one after the other."""
    parts, between = [text(value) for value in values], text(separator)
    check_size(sum(map(len, parts)) + len(between) * max(0, len(parts) - 1))
    return between.join(parts)


def replace(value: Any, old: Any, new: Any, count: int = -1) -> str:
    """Every (or the first `count`) `old` replaced."""
    whole, old, new = text(value), text(old), text(new)
    found = whole.count(old) if count < 0 else min(count, whole.count(old))
    check_size(len(whole) + found * (len(new) - len(old)))
    return whole.replace(old, new, count)


def indent(value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """Lines after the first moved in, as Jinja's filter does it."""
    whole = text(value)
    by = len(width) if isinstance(width, str) else width
    check_size(len(whole) + (len(whole.splitlines()) + 2) * by)
    return str(JINJA_FILTERS["indent"](whole, width, first, blank))


def stripper(strip: Callable[..., str]) -> Callable[..., str]:
    """`strip` and its kin, for a short list of characters."""

    def stripped(value: Any, characters: str | None = None) -> str:
        if characters is not None and len(characters) > MAX_STRIPPED:
            raise SecurityError(f"strip takes at most {MAX_STRIPPED} characters, but got {len(characters)}")
        return strip(text(value), characters)

    return stripped


def rounded(value: Any, precision: int = 0, method: Any = "common") -> Any:
    """A number rounded to a few decimals."""
    if abs(precision) > MAX_DECIMALS:
        raise SecurityError(f"round takes at most {MAX_DECIMALS} decimals, but got {precision}")
    return JINJA_FILTERS["round"](value, precision, method)


def total(values: Iterable[Any], start: Any = 0) -> Any:
    """The sum of numbers."""
    numbers = [start, *values]
    for value in numbers:
        if not isinstance(value, int | float):
            raise SecurityError(f"sum adds numbers, but one of these is {describe(value)}; texts are put together with | join")
    return sum(numbers)


def tojson(value: Any) -> str:
    """JSON as it is, not made safe for HTML: keys in their order, nothing but quotes and control characters escaped."""
    return json.dumps(value, ensure_ascii=False)


def fromjson(value: Any) -> Any:
    """What a JSON text says: texts, numbers, lists and mappings."""
    return json.loads(text(value), parse_constant=_no_number)


def _no_number(name: str) -> Any:
    raise SecurityError(f"fromjson reads finite numbers, but got {name}")


def on_text(filter: Callable[..., Any]) -> Callable[..., Any]:
    """The same filter or test, for text and numbers only: Jinja's own would make a text of anything."""
    at = 1 if hasattr(filter, "jinja_pass_arg") else 0

    @wraps(filter)
    def for_text(*arguments: Any, **named: Any) -> Any:
        return filter(*arguments[:at], text(arguments[at]), *arguments[at + 1 :], **named)

    return for_text


def in_few(filter: Callable[..., Any]) -> Callable[..., Any]:
    """The same filter, with a bound on the number that says how many parts or columns."""
    at = 2 if hasattr(filter, "jinja_pass_arg") else 1

    @wraps(filter)
    def bounded(*arguments: Any) -> Any:
        if len(arguments) > at and arguments[at] > MAX_RANGE:
            raise SecurityError(f"a list may be cut into {MAX_RANGE} parts, but got {arguments[at]}")
        return filter(*arguments)

    return bounded


FILTERS: Mapping[str, Callable[..., Any]] = {
    # texts
    "fromjson": fromjson,
    "capitalize": on_text(JINJA_FILTERS["capitalize"]),
    "indent": indent,
    "lower": on_text(JINJA_FILTERS["lower"]),
    "replace": replace,
    "string": text,
    "title": on_text(JINJA_FILTERS["title"]),
    "trim": stripper(str.strip),
    "truncate": on_text(JINJA_FILTERS["truncate"]),
    "upper": on_text(JINJA_FILTERS["upper"]),
    "wordcount": on_text(JINJA_FILTERS["wordcount"]),
    # numbers
    "abs": JINJA_FILTERS["abs"],
    "float": JINJA_FILTERS["float"],
    "int": JINJA_FILTERS["int"],
    "round": rounded,
    "sum": total,
    # lists and mappings
    "batch": in_few(JINJA_FILTERS["batch"]),
    "count": JINJA_FILTERS["count"],
    "dictsort": JINJA_FILTERS["dictsort"],
    "first": JINJA_FILTERS["first"],
    "items": JINJA_FILTERS["items"],
    "join": join,
    "last": JINJA_FILTERS["last"],
    "length": JINJA_FILTERS["length"],
    "list": JINJA_FILTERS["list"],
    "map": JINJA_FILTERS["map"],
    "max": JINJA_FILTERS["max"],
    "min": JINJA_FILTERS["min"],
    "reject": JINJA_FILTERS["reject"],
    "rejectattr": JINJA_FILTERS["rejectattr"],
    "reverse": JINJA_FILTERS["reverse"],
    "select": JINJA_FILTERS["select"],
    "selectattr": JINJA_FILTERS["selectattr"],
    "slice": in_few(JINJA_FILTERS["slice"]),
    "sort": JINJA_FILTERS["sort"],
    "tojson": tojson,
    "unique": JINJA_FILTERS["unique"],
    # anything
    "d": JINJA_FILTERS["d"],
    "default": JINJA_FILTERS["default"],
}

TESTS: Mapping[str, Callable[..., Any]] = {
    **{name: JINJA_TESTS[name] for name in ("boolean", "defined", "false", "float", "in", "integer", "iterable", "mapping", "none")},
    **{name: JINJA_TESTS[name] for name in ("number", "sequence", "string", "true", "undefined")},
    **{name: JINJA_TESTS[name] for name in ("==", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge")},
    **{name: JINJA_TESTS[name] for name in ("equalto", "lessthan", "greaterthan", "divisibleby", "even", "odd")},
    **{name: on_text(JINJA_TESTS[name]) for name in ("lower", "upper")},
}

GLOBALS: Mapping[str, Any] = {"range": safe_range, "dict": dict, "namespace": Namespace, "cycler": Cycler, "joiner": Joiner}

TEXT_METHODS = (
    *("capitalize", "casefold", "lower", "swapcase", "title", "upper", "removeprefix", "removesuffix"),
    *("count", "endswith", "find", "index", "rfind", "rindex", "startswith"),
    *("partition", "rpartition", "rsplit", "split", "splitlines"),
    *("isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper"),
)
METHODS: Mapping[type, Mapping[str, Callable[..., Any]]] = {
    str: {
        **{name: getattr(str, name) for name in TEXT_METHODS},
        "join": lambda separator, values: join(values, separator),
        "lstrip": stripper(str.lstrip),
        "replace": replace,
        "rstrip": stripper(str.rstrip),
        "strip": stripper(str.strip),
    },
    list: {"count": list.count, "index": list.index},
    tuple: {"count": tuple.count, "index": tuple.index},
    dict: {
        "get": dict.get,
        "items": lambda mapping: list(mapping.items()),
        "keys": lambda mapping: list(mapping),
        "values": lambda mapping: list(mapping.values()),
    },
}
"""Kind of value → the methods it has in a template."""
