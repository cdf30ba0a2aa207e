"""Loading templates: from the library, from a file, from a text.

A template file is a short YAML front matter between two `---` lines and named Jinja blocks:

    instruction    (optional) stands once, before everything
    query          the query side: what the model sees of an item, up to but not including the answer
    demonstration  (optional) an item with its answer; by default the query side, the answer prefix and the answer
    channel        (optional) an item written answer-first, for `--calibration channel`; by default the query side turned round
    separator      (optional) between instruction, demonstrations and query; by default an empty line
"""

from __future__ import annotations

from pathlib import Path

from prompts.blocks import Source, names_used, split_blocks
from prompts.errors import AnswerInReach
from prompts.files import Inclusions, closure_sha256, read_file
from prompts.front import split_front_matter
from prompts.sandbox import Sandbox
from prompts.types import Template
from tasks.errors import IclError, unknown_name

LIBRARY = Path(__file__).parent / "library"
GIVEN = frozenset({"answer", "query", "labels", "choices", "letters", "task"})
"""Names that every template may use besides the input fields: `answer` and `query` in a demonstration and a channel only."""
ANSWER_SIDE = frozenset({"answer", "query"})
SAME_FOR_ALL = GIVEN - {"choices"}
"""Given names that are the same for every query."""


def library_names() -> list[str]:
    """Names of the shipped templates."""
    return sorted(path.stem for path in LIBRARY.glob("*.jinja") if not path.stem.startswith("_"))


def load_template(name_or_path: str | Path) -> Template:
    """The template of that name in the library, or in that file (a path, or a name that ends in `.jinja`)."""
    path = find_template(name_or_path)
    return parse_template(read_file(path), path.stem, path)


def find_template(name_or_path: str | Path) -> Path:
    """Where the template of that name or path stands. Raises IclError when there is none."""
    text = str(name_or_path)
    if text.endswith(".jinja") or "/" in text or isinstance(name_or_path, Path):
        path = Path(name_or_path)
        try:
            found = path.is_file()
        except OSError as error:
            raise IclError(f"{path}: the template cannot be read ({error.strerror})") from error
        if not found:
            raise IclError(f"a template must be a file that exists, but there is no {path}")
        return path
    if text not in library_names():
        raise unknown_name("template", text, library_names(), "(a file of your own must end in .jinja)")
    return LIBRARY / f"{text}.jinja"


def parse_template(text: str, name: str, path: Path | None = None) -> Template:
    """A template from its text; with a path, what it includes is read from the directory of that path.

    Raises IclError, with file and line where there is one, for everything that can be seen to be wrong before a task is known.
    """
    where = str(path or name)
    front, body, offset = split_front_matter(text, where)
    source = Source(body, where, offset)
    trees = split_blocks(source)
    if "query" not in trees:
        raise IclError(f"{where}: a template needs a block 'query' ({{% block query %}} … {{% endblock %}})")
    inclusions = Inclusions(path.parent if path else None)
    inclusions.read(trees.values(), source)
    with source.mistakes():
        used = {block: names_used(tree, inclusions.names) for block, tree in trees.items()}
        sandbox = Sandbox(inclusions.files)
        for tree in trees.values():
            sandbox.from_string(tree)
    for file in inclusions.files:
        with Source("", file).mistakes():
            sandbox.get_template(file)
    _check_names(used, where)
    return Template(
        name=front.name or name,
        source=text,
        body=body,
        inclusions=inclusions.files,
        sha256=closure_sha256(text, inclusions.files),
        description=front.description,
        kinds=front.kinds,
        fields=front.fields if front.fields is not None else tuple(sorted(frozenset().union(*used.values()) - GIVEN)),
        used=used,
        answer=front.answer,
        answer_prefix=front.answer_prefix,
        label_words={label: words[0] for label, words in front.label_words.items()},
        synonyms={label: words[1:] for label, words in front.label_words.items() if words[1:]},
        lint_ignore=front.lint_ignore,
        mapping=front.mapping,
        licence=front.licence,
    )


def _check_names(used: dict[str, frozenset[str]], where: str) -> None:
    """The answer is out of reach of what stands before it, and the query side differs between items."""
    for block, names in used.items():
        if block not in ("demonstration", "channel") and names & ANSWER_SIDE:
            raise AnswerInReach(f"{where}: block '{block}' uses '{min(names & ANSWER_SIDE)}', which exists in 'demonstration' only")
    if "channel" in used and "answer" not in used["channel"]:
        raise IclError(f"{where}: block 'channel' must use {{{{ answer }}}}: it writes an item answer-first")
    if not used["query"] - SAME_FOR_ALL:
        raise IclError(f"{where}: block 'query' must use an input field (such as {{{{ text }}}}), or every query would be the same prompt")
