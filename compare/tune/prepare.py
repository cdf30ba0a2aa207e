"""From a TuneSpec to everything that a tuning needs, looked up and checked; no model is in memory. The user's mistakes are raised here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from compare import meta_tasks
from compare.everyone import without_weights
from compare.learners import LEARNERS
from compare.learning import learning_episode
from compare.meta_tasks import MetaTasks, Pools
from compare.prepare import builder_for, check_kind
from compare.tune.defaults import default_settings, default_space
from compare.tune.guard import sealed
from compare.tune.samplers import check_search
from compare.tune.space import Choices, Space, Span, plain, start
from compare.tune.spacefile import check_method, space_of
from compare.tune.types import IN_CONTEXT, ResolvedTuning, TuneSpec, Value
from compare.types import LearningEpisode
from icl.ablation import written_as
from icl.device import default_batch_tokens, resolve_device, resolve_dtype
from icl.models import ModelSource, resolve_model
from icl.ordering import check_order
from icl.spec import RunSpec
from prompts import PromptBuilder, check_fit, load_template
from tasks import Episode, IclError, Task, keyed_rng
from tasks.episodes import episodes_sha256, resolve, sample_episodes, sample_kshot
from tasks.load import load_task


@dataclass(frozen=True)
class Prepared:
    """See the module's opening."""

    asked: TuneSpec
    """As the user gave it: what is `auto` stays so in the files that are left."""
    resolved: ResolvedTuning
    task: Task
    """As the search has it: without test rows."""
    related: MetaTasks
    pools: Pools | None
    """Rows of other tasks, for learners that read these."""
    spaces: Mapping[str, Space]
    """Method → its space, in the order of the methods."""
    usual: Mapping[str, Mapping[str, Value]]
    """Method → the setting that it has without a search."""
    builders: Mapping[str, PromptBuilder]
    """Task → its prompts, of the learners."""
    source: ModelSource
    episodes: tuple[Episode, ...]
    """Demonstrations and validation queries."""
    test_episodes: tuple[Episode, ...]
    """Demonstrations and test queries; other draws of demonstrations."""

    @property
    def spec(self) -> TuneSpec:
        return self.resolved.spec

    @property
    def run_spec(self) -> RunSpec:
        """What all runs of the search of prompts have."""
        spec = self.spec
        return RunSpec(spec.task, spec.model, seed=spec.seed, dtype=spec.dtype, device=spec.device, batch_tokens=spec.batch_tokens)

    @property
    def chance(self) -> float:
        """Accuracy of a guess."""
        return 1.0 / len(self.task.labels) if self.task.labels else 0.0

    def first(self, method: str) -> dict[str, Value]:
        """The setting that a search begins with."""
        return start(self.spaces[method], self.usual[method])

    def whole(self, method: str, settings: Mapping[str, Value]) -> dict[str, Value]:
        """A trial's setting with everything that its space does not name."""
        return {**self.usual[method], **settings}

    def learning_episodes(self) -> list[LearningEpisode]:
        """The validation episodes, as learners are given them."""
        assert self.spec.k_shot is not None
        return [learning_episode(self.task, e, resolve(e, self.task)[1], self.spec.k_shot) for e in self.episodes]


def prepare(spec: TuneSpec, data_dir: Path | None) -> Prepared:
    """Raises IclError for unknown names, a task without what a search needs, values that the task or the program does not have."""
    asked = spec
    for method in spec.methods:
        check_method(method)
    if stray := [method for method in spec.spaces if method not in spec.methods]:
        raise IclError(f"the space file has a part for {stray[0]}, which is not tuned; add it to --methods, or leave its part out")
    pruner = check_search(spec.sampler, spec.pruner, spec.episodes)
    learners = [method for method in spec.methods if method != IN_CONTEXT]
    device = resolve_device(spec.device)
    dtype = resolve_dtype(spec.dtype, device)
    task = load_task(spec.task, data_dir)
    _check_task(task, learners)
    template = load_template(spec.template or task.default_template)
    name = spec.template or task.default_template
    builder = PromptBuilder(template, task)
    families = {method: LEARNERS[method] for method in learners}
    needy = [method for method, of in families.items() if of.needs_meta_train or of.uses_features]
    related = meta_tasks.load_related(task, lambda other: load_task(other, data_dir)) if needy else MetaTasks((), ())
    for method, family in families.items():
        if family.needs_meta_train:
            meta_tasks.require_related(task, related, method)
    # Rows of other tasks are held against every text of this one, test texts too, before these are out of reach.
    pools = Pools(task, related.tasks, k_max=spec.k_shot or 1, seed=spec.seed) if needy else None
    open_task, task = task, sealed(task)
    pool = None if spec.k_shot is None else spec.k_shot * max(1, len(task.labels))
    spaces = {
        method: space_of(method, spec.spaces[method]) if method in spec.spaces else default_space(method, task, name, pool)
        for method in spec.methods
    }
    if IN_CONTEXT in spaces:
        check_prompt_space(spaces[IN_CONTEXT], task, pool)
    search_seed = int(keyed_rng(spec.seed, "tune").integers(2**31))  # so that no support set of the search is one of the test
    episodes = _draw(task, spec, spec.episodes, spec.queries, "validation", search_seed)
    try:
        test_episodes = _draw(open_task, spec, spec.test_episodes, spec.test_queries, "test", spec.seed)
    except IclError as error:
        raise IclError(str(error).replace("--queries", "--test-queries")) from error
    source = resolve_model(spec.model)
    _check_ranks(spaces, source)
    templates = {name, *(str(value) for value in _values(spaces.get(IN_CONTEXT, {}).get("template")))}
    resolved = ResolvedTuning(
        spec=replace(
            spec,
            template=name,
            pruner=pruner,
            dtype=dtype,
            device=device,
            batch_tokens=spec.batch_tokens or default_batch_tokens(device),
            spaces={method: plain(of) for method, of in spaces.items()},
        ),
        task_fingerprint=task.fingerprint,
        related_fingerprints=tuple(other.fingerprint for other in related.tasks),
        model_fingerprint=source.fingerprint,
        templates={found: load_template(found).sha256 for found in sorted(templates)},
        episodes_sha256=episodes_sha256(episodes),
        test_episodes_sha256=episodes_sha256(test_episodes),
    )
    return Prepared(
        asked=asked,
        resolved=resolved,
        task=task,
        related=related,
        pools=pools,
        spaces=spaces,
        usual={method: default_settings(method, name, pool) for method in spec.methods},
        builders={task.name: builder, **{other.name: builder_for(other, template) for other in related.tasks}},
        source=source,
        episodes=tuple(episodes),
        test_episodes=tuple(test_episodes),
    )


def _draw(task: Task, spec: TuneSpec, n: int, queries: int, split: str, seed: int) -> list[Episode]:
    if spec.k_shot is None:
        return sample_episodes(task, n=n, queries=queries, split=split, pool=None, seed=seed)
    return sample_kshot(task, n=n, k_shot=(spec.k_shot,), n_query=queries, split_query=split, seed=seed)


def _check_ranks(spaces: Mapping[str, Space], source: ModelSource) -> None:
    """Raises IclError for a learner whose greatest rank the model cannot have."""
    ranked = {method: of for method, of in spaces.items() if "rank" in of}
    tools = without_weights(source) if ranked else None
    for method, of in ranked.items():
        assert tools is not None
        family, rank = LEARNERS[method], of["rank"]
        greatest = max(map(int, rank.values)) if isinstance(rank, Choices) else int(rank.high)
        family.build(tools, replace(family.grid[0], **{**start(of, asdict(family.grid[0])), "rank": greatest}))


def _check_task(task: Task, learners: list[str]) -> None:
    if learners:
        check_kind(task, f"{learners[0]} needs")
    elif task.kind not in ("classification", "multiple_choice"):
        raise IclError(
            f"icl tune compares candidates of answers, but task '{task.name}' is of kind {task.kind}; "
            "use a classification or multiple-choice task"
        )


def _values(of: Choices | Span | None) -> tuple[Value, ...]:
    return of.values if isinstance(of, Choices) else ()


def check_prompt_space(space: Space, task: Task, pool: int | None) -> None:
    """Raises IclError for a value that means nothing for this task."""
    for value in map(str, _values(space.get("template"))):
        check_fit(*written_as("true", load_template(value), task))
    for value in map(str, _values(space.get("order"))):
        check_order(value, task.kind)
    shots = space.get("shots")
    most = max(map(int, shots.values)) if isinstance(shots, Choices) else int(shots.high) if shots else 0
    if pool is not None and most > pool:
        raise IclError(
            f"shots <= K x labels must hold, but the space has {most} shots and support sets of {pool}; use a greater --k-shot, or all"
        )
