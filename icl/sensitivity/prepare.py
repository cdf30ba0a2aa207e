"""From a SensitivitySpec to everything that its names mean; the model is on disk, but not in memory.

Every mistake of the user's that can be seen without the model is raised here, before anything is computed or written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from icl import prepare as evaluation
from icl.calibration import get_calibrator
from icl.events import Events
from icl.selection import Means, make_selector
from icl.sensitivity import search
from icl.sensitivity.design import Plan, Wording, draw_contexts
from icl.sensitivity.search import Schedule
from icl.sensitivity.spec import ResolvedSensitivity, SensitivitySpec
from icl.sensitivity.words import default_words, words_of
from prompts import Template, check_fit, library_names, load_template
from prompts.format_space import Format, layout_of
from tasks import Example, IclError, Task
from tasks.types import LETTERS

MOST_TEMPLATES = 4
"""Templates of the library that are taken where none are named."""
CALIBRATIONS = ("none", "batch")
"""Where none are named and all candidates are fixed: what costs no further pass."""


@dataclass(frozen=True)
class Prepared:
    """See the module's opening."""

    resolved: ResolvedSensitivity
    base: evaluation.Prepared
    """The evaluation whose queries, pool, model and engine settings hold for all cells."""
    plan: Plan
    queries: tuple[Example, ...]
    """Their targets are candidates' labels, for written tasks too."""
    formats: tuple[tuple[Format, Template], ...]
    """Those that are searched, the template's own first; empty without a search."""
    schedule: Schedule | None

    @property
    def spec(self) -> SensitivitySpec:
        return self.resolved.spec

    @property
    def task(self) -> Task:
        return self.base.task

    @property
    def evaluations(self) -> int:
        """Prompts (a cell x a query) to be scored."""
        return len(self.plan) * len(self.queries) + (self.schedule.evaluations if self.schedule else 0)


def prepare(spec: SensitivitySpec, data_dir: Path | None, events: Events) -> Prepared:
    """Looks up every name, draws queries and demonstrations, writes the templates of all formats."""
    for name in spec.templates:
        load_template(name)  # a wrong name is said before data is fetched
    main = spec.run.template or (spec.templates[0] if spec.templates else "")
    base = evaluation.prepare(replace(spec.run, template=main, episodes=1), data_dir, None, events)
    task = base.task
    _check_candidates(base)
    names = spec.templates or _serving(task, base.resolved.spec.template)
    templates = [load_template(name) for name in names]
    for template in templates:
        check_fit(template, task)
    words = spec.words or default_words(templates, task)
    wordings = tuple(_wordings(base, names, templates, spec.formats, words))
    base = _calibrated(base, spec, wordings)
    support, _ = base.pairs[0]
    nothing = Means(cast(Any, None), cast(Any, None))  # these selectors ask neither
    chooser = make_selector(spec.run.selector, nothing).over(support, base.episodes[0].labels or task.labels)
    contexts = draw_contexts(spec, chooser, support)
    plan = Plan(contexts, wordings, (spec.draws, spec.orders, len(names), spec.formats, len(words)))
    spec = replace(spec, run=base.resolved.spec, templates=tuple(names), words=tuple(words))
    queries = tuple(_with_label(example) if task.kind == "generation" else example for example in base.pairs[0][1])
    formats, schedule = _search(spec, base, len(queries))
    resolved = ResolvedSensitivity(spec, base.resolved, tuple(w.template.sha256 for w in wordings))
    return Prepared(resolved, base, plan, queries, formats, schedule)


def _check_candidates(base: evaluation.Prepared) -> None:
    """Accuracy, margin and log-loss are of candidates."""
    if base.task.kind == "generation" and not all(example.choices for example in base.pairs[0][1]):
        raise IclError(
            f"icl sensitivity needs candidates to score, but the answers of task '{base.task.name}' are written; "
            "use a classification or multiple-choice task, or give the card distractors"
        )


def _serving(task: Task, main: str) -> list[str]:
    """The main template, then those of its family, then the general ones; templates for --chat are left out."""
    family = main.partition("-")[0] if "/" not in main else main
    near = [name for name in library_names() if name.partition("-")[0] == family]
    general = [name for name in library_names() if name.startswith("classify-")]
    named = [name for name in dict.fromkeys([*near, *general]) if name != main and not name.endswith("-chat")]
    return [main, *(name for name in named if _fits(name, task))][:MOST_TEMPLATES]


def _fits(name: str, task: Task) -> bool:
    try:
        check_fit(load_template(name), task)
    except IclError:
        return False
    return True


def _wordings(
    base: evaluation.Prepared, names: Sequence[str], templates: Sequence[Template], formats: int, words: Sequence[str]
) -> Iterator[Wording]:
    """Every template in every one of its formats with every set of words."""
    task, seed = base.task, base.resolved.spec.seed
    for t, (name, template) in enumerate(zip(names, templates, strict=True)):
        chosen = {of: words_of(of, template, task) for of in words}
        layout = layout_of(template) if formats > 1 else None
        for f, form in enumerate(layout.formats(formats, seed) if layout else [None]):
            for w, (of, mapping) in enumerate(chosen.items()):
                if layout and form:
                    written = layout.write(form, mapping)
                else:
                    written = template if mapping is None else replace(template, label_words=mapping, synonyms={})
                check_fit(written, task)
                yield Wording((t, f, w), name, written, form, of, evaluation.fixed_candidates(task, written, base.pairs))


def _calibrated(base: evaluation.Prepared, spec: SensitivitySpec, wordings: Sequence[Wording]) -> evaluation.Prepared:
    """With the calibrations that apply to all wordings. Raises IclError for one that was asked for and does not."""
    fixed = all(wording.labels for wording in wordings)
    if not spec.run.calibration:
        return replace(base, resolved=base.resolved.with_spec(calibration=CALIBRATIONS if fixed else ("none",)))
    for name in () if fixed else spec.run.calibration:
        of = get_calibrator(name)
        if of.fixed_candidates or of.needs in ("content_free", "domain"):
            other = next(wording.name for wording in wordings if not wording.labels)
            raise IclError(
                f"calibration '{name}' needs the same candidates for every query, but template '{other}' has others for each; "
                "use --calibration none or pmi, or other --templates"
            )
    return base


def _search(spec: SensitivitySpec, base: evaluation.Prepared, queries: int) -> tuple[tuple[tuple[Format, Template], ...], Schedule | None]:
    if not spec.budget:
        return (), None
    layout = layout_of(base.template)
    schedule = search.schedule(spec.budget, queries, layout.count())
    formats = layout.formats(schedule.formats, spec.run.seed)
    return tuple((form, layout.write(form)) for form in formats), schedule


def _with_label(example: Example) -> Example:
    """A written task's item with the letter of its right choice as its target."""
    accepted = {example.target, *example.answers}
    letters = [LETTERS[i] for i, choice in enumerate(example.choices) if choice in accepted]
    if len(letters) != 1:
        raise IclError(f"exactly one choice of query '{example.id}' must be right, but {len(letters)} are")
    return replace(example, target=letters[0])
