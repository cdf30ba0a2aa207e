"""The environment that templates run in: Jinja's sandbox, closed to the words of `prompts.language`, with a meter.

What a hostile or careless template could do is bounded by one rule instead of a list of dangers: *every expression that is evaluated costs
its operation plus the size of its value, and a rendered block has a fixed budget*. The syntax tree is rewritten before it is compiled so
that names, constants, lists and attributes pass through the meter; calls, filters, operators and what is written pass through the hooks
that Jinja has for them. Sizes are those of the whole value as a tree, so ten nested lists that share their parts are as long as they print.
Since no operation gives more than a small multiple of what it takes (see `prompts.language`), time and memory follow the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial, wraps
from typing import Any

from jinja2 import DictLoader, StrictUndefined, Undefined, nodes, pass_context, pass_eval_context
from jinja2 import Template as JinjaTemplate
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Namespace
from jinja2.visitor import NodeTransformer

from prompts.language import FILTERS, GLOBALS, METHODS, TESTS, describe, text

BUDGET = 5_000_000
"""What a rendered block may cost."""
OPERATION = 10
"""What an operation costs besides its value: a character of a text costs one."""
ELEMENT = 4
"""What an element of a list costs."""
INCLUSION = 2_000
"""What it costs to start an included file."""
MAX_NUMBER = 10**18
METERED = "metered value"
"""Name of the filter through which values pass; a template cannot write it."""
OPEN = (Namespace, LoopContext, Cycler, TemplateModule)
"""Kinds of objects whose public attributes a template may read."""


class Meter:
    """What a rendering may still cost."""

    def __init__(self) -> None:
        self.left = BUDGET

    def reset(self) -> None:
        self.left = BUDGET

    def spend(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise SecurityError(f"rendering takes more than {BUDGET} steps and characters; a loop or a text grows without need")

    def measure(self, value: Any) -> Any:
        """The same value, paid for."""
        if type(value) is str:
            self.spend(OPERATION + len(value))
        else:
            self.spend(OPERATION + self._size(value))
        return value

    def _size(self, value: Any) -> int:
        """Cost of the whole value, seen as a tree. Stops as soon as it is more than what is left."""
        size, waiting = 0, [value]
        while waiting and size <= self.left:
            item = waiting.pop()
            kind = type(item)
            if kind is str:
                size += len(item)
            elif kind is range:
                size += ELEMENT * len(item)
            elif kind is list or kind is tuple:
                size += ELEMENT * len(item)
                waiting.extend(item)
            elif kind is dict:
                size += ELEMENT * len(item)
                waiting.extend(item)
                waiting.extend(item.values())
            elif kind is int and abs(item) > MAX_NUMBER:
                raise SecurityError("a whole number may have 18 digits, but this has more")
        return size


class _Metered(NodeTransformer):
    """Lets the leaves of every expression pass through the meter; text between tags becomes a constant, which is metered when written."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        node = super().generic_visit(node, *args, **kwargs)
        leaf = isinstance(node, nodes.Name | nodes.Const | nodes.Tuple | nodes.List | nodes.Dict | nodes.Getattr | nodes.Getitem)
        if not leaf or getattr(node, "ctx", "load") != "load":
            return node
        return _filter(node, METERED)

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        return nodes.Const(node.data, lineno=node.lineno)

    def visit_Include(self, node: nodes.Node) -> nodes.Node:
        return node  # the file's name stays as it is

    visit_Import = visit_FromImport = visit_Include

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        return _filter(nodes.List([self.visit(part) for part in node.nodes], lineno=node.lineno), "join")


def _filter(node: nodes.Node, name: str) -> nodes.Node:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Fresh(JinjaTemplate):
    """A file that is imported anew in every rendering: Jinja keeps one module, so a counter in it would go on from item to item."""

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:
        return self.make_module()


class Sandbox(ImmutableSandboxedEnvironment):
    """See the module's opening. `files` are the only ones that can be included or imported."""

    template_class = _Fresh
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, files: Mapping[str, str]) -> None:
        self.meter = Meter()

        @pass_eval_context  # so that Jinja cannot write constants at compile time, past the meter
        def write(_: Any, value: Any) -> str:
            written = text(value)
            self.meter.spend(OPERATION + len(written))
            return written

        @pass_context  # for the same reason
        def measure(_: Any, value: Any) -> Any:
            return self.meter.measure(value)

        super().__init__(
            loader=DictLoader(files),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            optimized=False,
            auto_reload=False,
            finalize=write,
        )
        self.globals = dict(GLOBALS)
        self.filters = {name: self._metered(function) for name, function in FILTERS.items()}
        self.filters[METERED] = measure
        self.tests = {name: self._metered(function) for name, function in TESTS.items()}

    def compile(self, source: Any, *args: Any, **named: Any) -> Any:
        """Included files come here as text; the blocks of a template as trees that are metered already."""
        if isinstance(source, str):
            source = metered(self.parse(source))
        return super().compile(source, *args, **named)

    def _metered(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter or test that pays for what it takes and gives. What it would give piece by piece becomes a list."""
        first = 1 if hasattr(function, "jinja_pass_arg") else 0

        @wraps(function)
        def paid(*arguments: Any, **named: Any) -> Any:
            for value in (*arguments[first:], *named.values()):
                self.meter.measure(value)
            result = function(*arguments, **named)
            return self.meter.measure(list(result) if isinstance(result, Iterator) else result)

        return paid

    def get_template(self, *args: Any, **named: Any) -> JinjaTemplate:
        """An included file; the meter pays for starting it."""
        self.meter.spend(INCLUSION)
        template: JinjaTemplate = super().get_template(*args, **named)
        return template

    def call(self, context: Context, callee: Any, /, *args: Any, **named: Any) -> Any:
        return self.meter.measure(super().call(context, callee, *args, **named))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Numbers are reckoned with; two texts or two lists can be added. Everything else is written otherwise."""
        joined = operator == "+" and type(left) is type(right) and type(left) in (str, list, tuple)
        reckoned = operator != "**" and isinstance(left, int | float) and isinstance(right, int | float)
        if not joined and not reckoned and not isinstance(left, Undefined) and not isinstance(right, Undefined):
            raise SecurityError(
                f"'{operator}' on {describe(left)} and {describe(right)} is not part of the template language; it reckons with numbers, "
                "'+' also adds two texts or two lists, '~' joins texts and numbers"
            )
        return self.meter.measure(super().call_binop(context, operator, left, right))

    def getattr(self, obj: Any, attribute: str) -> Any:
        methods = METHODS.get(type(obj))
        if methods is not None:
            if attribute in methods:
                return partial(methods[attribute], obj)
            if isinstance(obj, dict) and attribute in obj:
                return obj[attribute]
            if not hasattr(obj, attribute):
                return self.undefined(obj=obj, name=attribute)
            raise SecurityError(f"'{attribute}' of {describe(obj)} is not part of the template language")
        if isinstance(obj, (*OPEN, Undefined)):
            return super().getattr(obj, attribute)
        raise SecurityError(f"access to '{attribute}' of {describe(obj)} is outside the sandbox")

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, str | list | tuple | dict | range):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        return self.undefined(obj=obj, name=argument)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        raise SecurityError(f"access to '{attribute}' is outside the sandbox")


def metered(tree: nodes.Template) -> nodes.Template:
    """The tree with its expressions passed through the meter; changes it in place."""
    environment = tree.environment
    assert environment is not None  # it was parsed
    _Metered().visit(tree)
    tree.set_environment(environment)
    return tree
