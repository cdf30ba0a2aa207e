"""From a spec to everything that its names mean, looked up and checked; the model is on disk, but not in memory yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from icl.ablation import check_labels, written_as
from icl.calibration import CALIBRATORS, OF_LABELS, get_calibrator
from icl.device import default_batch_tokens, resolve_device, resolve_dtype
from icl.events import Events
from icl.labelwords import check_searchable
from icl.models import ModelSource, resolve_model
from icl.ordering import Order, check_order, make_order
from icl.selection import Selector, check_selector, make_selector
from icl.selection.types import Means, check_enough, embedder_of
from icl.sentences import sentence_source
from icl.shared import Shared
from icl.spec import ResolvedSpec, RunSpec
from prompts import PromptBuilder, Template, check_fit, load_template
from tasks import Episode, Example, IclError, Task
from tasks.episodefile import episodes_sha256, read_episodes
from tasks.episodes import resolve, sample_episodes
from tasks.load import load_task
from tasks.types import LETTERS

Pairs = tuple[tuple[Sequence[Example], list[Example]], ...]

DEFAULT_CALIBRATIONS = ("none", "contextual", "domain-context", "batch")


@dataclass(frozen=True)
class Prepared:
    """A spec whose names have been looked up and checked; the model is on disk, but not in memory."""

    resolved: ResolvedSpec
    task: Task
    template: Template
    source: ModelSource
    episodes: tuple[Episode, ...]
    pairs: Pairs
    """Support pool and queries of each episode."""
    labels: tuple[str, ...]
    """Labels of the candidates when they are the same for every query, else empty."""
    drawn: bool = True
    """Whether the episodes were drawn as the spec says, and not handed over in a file."""


def prepare(spec: RunSpec, data_dir: Path | None, episodes_file: Path | None, events: Events, shared: Shared | None = None) -> Prepared:
    """Looks up every name, draws the episodes, fills in every default. Writes nothing but the caches of data and models."""
    shared = shared or Shared()
    check_selector(spec.selector, spec.shots)
    check_order(spec.order)
    for name in spec.calibration:
        get_calibrator(name)
    events.phase("data")
    if spec.template:
        load_template(spec.template)  # a wrong name is said before data is fetched
    task = task_of(spec, data_dir, shared)
    for remark in task.remarks:
        events.note(f"task '{task.name}': {remark}")
    template = load_template(spec.template or task.default_template)
    check_order(spec.order, task.kind)
    check_labels(spec.labels, task)
    if spec.labels == "auto":
        check_searchable(template)
    check_fit(*written_as(spec.labels, template, task))
    if episodes_file:
        episodes = read_episodes(episodes_file)
        spec = as_the_file_says(spec, episodes)
        pairs = resolved_pairs(task, episodes)
    else:
        spec = replace(spec, split=spec.split or task.evaluated_split())
        drawn = (spec.episodes, spec.queries, spec.split, spec.pool, spec.seed)
        episodes, pairs = shared.once(("episodes", task.name, task.fingerprint, *drawn), lambda: draw(task, spec))
    check_enough(spec.selector, spec.shots, min(len(support) for support, _ in pairs))
    labels = fixed_candidates(task, template, pairs)
    calibration = applicable_calibrations(spec, task, template, fixed=bool(labels))
    check_candidates(calibration, spec.normalise, task, pairs)
    if "channel" in calibration:
        check_channel(spec, template, task)
    events.phase("model")
    device = resolve_device(spec.device)
    dtype = resolve_dtype(spec.dtype, device)
    source = source_of(spec, shared)
    spec = replace(
        spec,
        template=spec.template or task.default_template,
        calibration=calibration,
        device=device,
        dtype=dtype,
        batch_tokens=spec.batch_tokens or default_batch_tokens(device),
    )
    embedder = embedder_source(spec)
    resolved = ResolvedSpec(
        spec, task.fingerprint, source.fingerprint, template.sha256, episodes_sha256(episodes), embedder.fingerprint if embedder else ""
    )
    return Prepared(resolved, task, template, source, tuple(episodes), pairs, labels, drawn=episodes_file is None)


def task_of(spec: RunSpec, data_dir: Path | None, shared: Shared) -> Task:
    """The task with its data."""
    return shared.once(("task", spec.task, data_dir), lambda: load_task(spec.task, data_dir))


def source_of(spec: RunSpec, shared: Shared) -> ModelSource:
    """The model on disk."""
    asked = (spec.model, spec.trust_remote_code, spec.allow_pickle)
    return shared.once(("model", *asked), lambda: resolve_model(asked[0], trust_remote_code=asked[1], allow_pickle=asked[2]))


def draw(task: Task, spec: RunSpec) -> tuple[list[Episode], Pairs]:
    """The episodes that a spec with its split filled in says, with their support and queries."""
    queries: int | str = "all" if spec.queries is None else spec.queries
    episodes = sample_episodes(task, n=spec.episodes, queries=queries, split=spec.split, pool=spec.pool, seed=spec.seed)
    return episodes, resolved_pairs(task, episodes)


def resolved_pairs(task: Task, episodes: Sequence[Episode]) -> Pairs:
    """Support pool and queries of each episode."""
    return tuple(resolve(episode, task) for episode in episodes)


def as_the_file_says(spec: RunSpec, episodes: Sequence[Episode]) -> RunSpec:
    """The spec with the numbers of an episodes file. Raises IclError when it asks for others: they would be overridden without a word."""
    first, asked = episodes[0], RunSpec(spec.task)
    pool = None if first.support is None else len(first.support)
    said = replace(spec, episodes=len(episodes), queries=len(first.query), split=first.query_split)
    for name, value in (("episodes", said.episodes), ("queries", said.queries), ("split", said.split), ("pool", pool)):
        wanted = getattr(spec, name)
        if wanted not in (getattr(asked, name), value):
            known, other = ("all" if number is None else number for number in (value, wanted))
            raise IclError(f"the episodes file says {name} = {known}, but {name} = {other} was asked for; leave {name} out")
    return said


def embedder_source(spec: RunSpec) -> ModelSource | None:
    """The model that texts are embedded with, None for the evaluated one. Raises IclError where it is not to be had or used by nobody."""
    if not spec.embedder:
        return None
    selector, order = _strategies(spec)
    if embedder_of(selector) is None and embedder_of(order) is None:
        raise IclError(
            f"--embedder is for selectors and orders that compare embeddings, such as knn, but here are {spec.selector} and {spec.order}"
        )
    return sentence_source(spec.embedder, trust_remote_code=spec.trust_remote_code, allow_pickle=spec.allow_pickle)


def has_own_contexts(spec: RunSpec) -> bool:
    """Whether every query gets demonstrations, or an order of them, of its own."""
    return any(strategy.per_query for strategy in _strategies(spec))


def _strategies(spec: RunSpec) -> tuple[Selector, Order]:
    """Selector and order as far as they can be looked at without a model: they only keep its means until they are asked."""
    means = Means(_nothing, cast(Any, None))
    return make_selector(spec.selector, means), make_order(spec.order, means)


def _nothing(texts: Sequence[str]) -> NDArray[np.float32]:
    raise AssertionError("nothing is embedded while a spec is checked")


def fixed_candidates(task: Task, template: Template, pairs: Sequence[tuple[Sequence[Example], list[Example]]]) -> tuple[str, ...]:
    """The label set, or the letters where a template answers with letters and every query has as many choices; else empty."""
    if task.kind != "multiple_choice" or template.answer != "letter":
        return task.labels
    counts = {len(query.choices) for _, queries in pairs for query in queries}
    return tuple(LETTERS[: counts.pop()]) if len(counts) == 1 else ()


def check_candidates(
    calibration: Sequence[str], normalise: str, task: Task, pairs: Sequence[tuple[Sequence[Example], list[Example]]]
) -> None:
    """Raises IclError where scores of candidates are to be corrected, but the task only has written answers."""
    if task.kind != "generation" or any(query.choices for _, queries in pairs for query in queries):
        return
    asked = [f"--calibration {name}" for name in calibration if name != "none"] + ([f"--normalise {normalise}"] * (normalise != "none"))
    if asked:
        raise IclError(f"{asked[0]} needs candidates with scores, but the answers of task '{task.name}' are written; leave it out")


def check_channel(spec: RunSpec, template: Template, task: Task) -> None:
    """Raises IclError where prompts cannot be written answer-first."""
    _ = PromptBuilder(*written_as(spec.labels, template, task), str if spec.chat else None).channel


def applicable_calibrations(spec: RunSpec, task: Task, template: Template, *, fixed: bool) -> tuple[str, ...]:
    """The calibrations asked for, or all that apply. Raises IclError for one that needs the same candidates for every query.

    Those that divide by content-free or random-word inputs need them too: what they ask the model is asked once per context, not once
    per list of choices.
    """
    if not spec.calibration:
        return DEFAULT_CALIBRATIONS if fixed else ("none",)
    for name in spec.calibration:
        calibrator = get_calibrator(name)
        if calibrator.needs in OF_LABELS and not task.labels:
            raise IclError(
                f"calibration '{name}' needs a task with a label set, but '{task.name}' is of kind {task.kind}; "
                "use --calibration none or pmi"
            )
        if not fixed and (calibrator.fixed_candidates or calibrator.needs in ("content_free", "domain")):
            raise IclError(
                f"calibration '{name}' needs the same candidates for every query, but task '{task.name}' with template "
                f"'{template.name}' has others for each; use --calibration none or pmi"
            )
    return tuple(name for name in CALIBRATORS if name in spec.calibration)
