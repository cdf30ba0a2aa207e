"""The format of a prompt, apart from its words: separators, casing of field names, spacing, enumerators (Sclar et al. 2024, FormatSpread).

A `Layout` is what a template says: an instruction, lines that name a field and show it, the line that asks for the answer. A `Format` is
how that is written down. Layout and format together *write a template file*, which goes through the ordinary parser and builder: nothing of
a rendered prompt is changed afterwards. A layout's `own` format writes a template that renders what the original renders.

A template has a layout when its query side is lines of text and fields, perhaps with the usual list of choices, and nothing else is said
by other blocks than `instruction`, `query` and `separator`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import product

from prompts.template import parse_template
from prompts.types import Template
from tasks.errors import IclError
from tasks.rng import keyed_rng

CASINGS: dict[str, Callable[[str], str]] = {
    "as written": lambda name: name,
    "lower": str.lower,
    "upper": str.upper,
}
"""How the name of a field stands."""
MARKS = (": ", ":", " : ", ":\n", ":: ", " - ", " = ", ":\t")
"""Between a field's name and its text, and between the answer's name and the answer."""
JOINERS = ("\n", " ", "; ", " | ", ", ")
"""Between two fields of an item."""
DELIMITERS = ("\n\n", "\n", "\n\n\n", "\n---\n", "\n###\n")
"""Between the instruction, the demonstrations and the query."""
ENUMERATORS = ("{}. ", "{}) ", "({}) ", "[{}] ", "{}: ")
"""How the letter or number of a choice stands."""


@dataclass(frozen=True)
class Format:
    """One way of writing items down. The defaults are how the library's templates are written."""

    casing: str = "as written"
    mark: str = ": "
    joiner: str = "\n"
    delimiter: str = "\n\n"
    enumerator: str = "{}. "

    def in_words(self) -> str:
        """`lower, ": ", joined by "\\n", …`: only what differs from how templates are usually written."""
        names = {
            "casing": "names",
            "mark": "after names",
            "joiner": "between fields",
            "delimiter": "between items",
            "enumerator": "choices",
        }
        said = [
            f"{names[f.name]} {value if f.name == 'casing' else json.dumps(value, ensure_ascii=False)}"
            for f in fields(self)
            if (value := getattr(self, f.name)) != f.default
        ]
        return ", ".join(said) or "as written"


@dataclass(frozen=True)
class Line:
    """A line of the query side."""

    name: str
    """Of the field, as `Text`; empty for a line that is only text."""
    rest: str
    """Template source after the name; empty where the answer follows."""
    numbering: str = ""
    """For the list of choices: the expression of a choice's letter or number."""


@dataclass(frozen=True)
class Layout:
    """What a template says."""

    template: Template
    instruction: str | None
    """Source of the block."""
    lines: tuple[Line, ...]
    own: Format
    """How the template itself is written."""

    def source(self, form: Format, words: Mapping[str, str] | None = None) -> str:
        """A template file that says the same in that format, with these label words instead of its own where they are given."""
        prefix, query, delimiter = self._parts(form)
        instruction = "" if self.instruction is None else f"{{% block instruction %}}{self.instruction}{{% endblock %}}\n"
        return (
            f"---\n{self._front(prefix, words)}---\n{instruction}"
            f"{{% block query %}}{query}{{% endblock %}}\n{{% block separator %}}{delimiter}{{% endblock %}}\n"
        )

    def write(self, form: Format, words: Mapping[str, str] | None = None) -> Template:
        """The template of that source, by the name of the original."""
        return parse_template(self.source(form, words), self.template.name)

    def before_own(self, form: Format, rename: Callable[[str], str] = str) -> Template:
        """A template whose query side is its own, while what stands before it is written in another format: demonstrations, their fields
        under other names if `rename` says so, and what stands between them and before the query."""
        prefix, query, _ = self._parts(self.own)
        lines = [replace(line, name=rename(line.name)) for line in self.lines]
        shown = form.joiner.join(_line(line, form) for line in lines) + self._answer_prefix(form) + "{{ answer }}"
        blocks = {"query": query, "demonstration": shown, "separator": form.delimiter}
        if self.instruction is not None:
            blocks = {"instruction": self.instruction, **blocks}
        body = "\n".join(f"{{% block {name} %}}{text}{{% endblock %}}" for name, text in blocks.items())
        return parse_template(f"---\n{self._front(prefix, None)}---\n{body}\n", self.template.name)

    def count(self) -> int:
        """Formats that write different templates."""
        return 1 + len(self._others)

    def formats(self, count: int, seed: int) -> list[Format]:
        """Its own, then others drawn without replacement; those that would write the same text count once.

        Asking for fewer takes a part of what asking for more takes. Raises IclError when the grammar has fewer for this template.
        """
        others = self._others
        if count > len(others) + 1:
            raise IclError(
                f"at most {len(others) + 1} formats can be written of template '{self.template.name}', but {count} were asked for; "
                "ask for fewer"
            )
        order = keyed_rng(seed, "formats", self.template.name).permutation(len(others))
        return [self.own, *(others[int(i)] for i in order[: count - 1])]

    @cached_property
    def _others(self) -> list[Format]:
        """All formats but its own, each text once."""
        seen = {self._parts(self.own)}
        found: list[Format] = []
        for values in product(CASINGS, MARKS, JOINERS, DELIMITERS, ENUMERATORS):
            form = Format(*values)
            if _readable(form) and (parts := self._parts(form)) not in seen:
                seen.add(parts)
                found.append(form)
        return found

    def _parts(self, form: Format) -> tuple[str, str, str]:
        """All that a format decides: the answer's prefix, the query side, the delimiter."""
        return self._answer_prefix(form), form.joiner.join(_line(line, form) for line in self.lines), form.delimiter

    def _answer_prefix(self, form: Format) -> str:
        """What stands between the answer's name and the answer; it belongs to the answer's span."""
        if form == self.own or not self.lines[-1].name:
            return self.template.answer_prefix
        return form.mark[len(form.mark.rstrip()) :]

    def _front(self, answer_prefix: str, words: Mapping[str, str] | None) -> str:
        of = self.template
        keys: dict[str, object] = {
            "name": of.name,
            "description": of.description,
            "kinds": list(of.kinds),
            "fields": list(of.fields),
            "answer": of.answer,
            "answer_prefix": answer_prefix,
            "licence": of.licence,
        }
        own = {label: [word, *of.synonyms.get(label, ())] for label, word in of.label_words.items()}
        if chosen := words or own:
            keys["label_words"] = dict(chosen)
        if of.mapping != "own":
            keys["mapping"] = of.mapping
        # JSON's way of writing values is one of YAML's.
        return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in keys.items())


def layout_of(template: Template) -> Layout:
    """What a template says. Raises IclError, with the reason, for one that has no layout."""
    blocks = dict(_BLOCK.findall(template.body))
    if why := _why_not(template, blocks):
        raise IclError(
            f"formats are written for templates of named fields, but template '{template.name}' {why}; use --formats 1 --budget 0"
        )
    own = Format(delimiter=blocks.get("separator", Format.delimiter))
    return Layout(template, blocks.get("instruction"), tuple(_lines(blocks["query"])), own)


def _lines(text: str) -> Iterator[Line]:
    more = True
    while more:
        if found := _CHOICES.match(text):
            yield Line("", "", numbering=found["number"])
            text = text[found.end() :]
            more = bool(text)
            continue
        line, feed, text = text.partition("\n")
        named = _NAMED.match(line)
        yield Line(named["name"], named["rest"] or "") if named else Line("", line)
        more = bool(feed)


def _line(line: Line, form: Format) -> str:
    if line.numbering:
        number = form.enumerator.format(f"{{{{ {line.numbering} }}}}")
        return f"{{% for choice in choices %}}{number}{{{{ choice }}}}{{% if not loop.last %}}{form.joiner}{{% endif %}}{{% endfor %}}"
    if not line.name:
        return line.rest
    name = CASINGS[form.casing](line.name)
    return name + (form.mark + line.rest if line.rest else form.mark.rstrip())


_BLOCK = re.compile(r"\{% block (\w+) %\}(.*?)\{% endblock %\}", re.DOTALL)
_CHOICES = re.compile(
    r"\{% for choice in choices %\}\{\{ (?P<number>letters\[loop\.index0\]|loop\.index) \}\}\. \{\{ choice \}\}\n\{% endfor %\}"
)
_NAMED = re.compile(r"(?P<name>[^\W\d_][^\W_]*(?: [^\W_]+){0,3}):(?: (?P<rest>.+))?$")


def _why_not(template: Template, blocks: Mapping[str, str]) -> str:
    """Why a template has no layout, or nothing."""
    outside = _BLOCK.sub("", template.body)
    if template.inclusions or outside.strip() or "query" not in blocks:
        return "has macros, settings, inclusions or blocks written in another way"
    if "demonstration" in blocks:
        return "writes its demonstrations in a block of their own"
    if "{%" in _CHOICES.sub("", blocks["query"]):
        return "has statements in its query side"
    return ""


def _readable(form: Format) -> bool:
    """Items must be told apart from fields: more line feeds between items, or a rule."""
    return form.joiner != form.delimiter and form.delimiter.count("\n") > form.joiner.count("\n")
