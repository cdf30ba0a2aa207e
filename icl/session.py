"""A model in memory, at work on the sections of a run: planner, engine and score store put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from icl.ablation import written_as
from icl.anchors import labelled
from icl.calibration import Needs, get_calibrator
from icl.cost import Clock, forward_flops, peak_memory_bytes
from icl.device import keep_freed_memory
from icl.embedder import Embedder
from icl.encode import Encoder
from icl.engine.store import Identity, ScoreStore, StoredEngine, store_path
from icl.engine.types import Engine, Progress, Work
from icl.environment import describe
from icl.judge import PromptJudge
from icl.labelwords import find_label_words
from icl.models import load_model
from icl.models.load import LoadedModel
from icl.ordering import make_order
from icl.plan import Item, Part, Planner
from icl.prepare import Prepared, embedder_source
from icl.runs.tables import Rows
from icl.scoring import score_section
from icl.sections import Section
from icl.selection import Chooser, Means, make_selector
from icl.selection.types import Embed
from icl.sentences import SentenceEmbedder
from icl.shared import Shared
from prompts import PromptBuilder
from prompts.chat import chat_renderer
from tasks import keyed_rng
from tasks.types import with_labels

if TYPE_CHECKING:
    from icl.engine.hf import HFEngine

PART_OF: dict[Needs, Part] = {
    "content_free": "content_free",
    "domain": "domain",
    "premise": "premise",
    "channel": "channel",
    "estimation": "estimation",
    "divergence": "anchor",
    "hidden": "anchor",
}
"""What a calibration reads → the items that it is made from."""


class Session:
    """Plans and scores sections. The first one that it scores carries what preparing and loading cost."""

    def __init__(
        self,
        prepared: Prepared,
        clock: Clock,
        *,
        device: str,
        batch_tokens: int,
        fresh: bool,
        shared: Shared | None = None,
        label_words: Mapping[str, str] | None = None,
    ) -> None:
        """`label_words` are those that a run which goes on has found already."""
        keep_freed_memory()
        with clock.phase("load"):
            self.loaded, self.inner = in_memory(prepared, device, batch_tokens, shared or Shared())
        self.prepared, self.clock, self.device = prepared, clock, device
        self.environment = environment_of(prepared, self.inner, device, self.loaded.context_window)
        identity = identity_of(prepared, self.inner, self.environment)
        store = ScoreStore(store_path())
        self.engine = StoredEngine(self.inner, store, identity, clock, fresh=fresh)
        other = embedder_source(prepared.resolved.spec)
        embed: Embed = (
            SentenceEmbedder(other, device, store, clock, fresh=fresh)
            if other
            else Embedder(self.engine, self.loaded.tokenizer, self.loaded.context_window)
        )
        words = dict(label_words) if label_words else self._find_words()
        self.environment["run"]["label_words"] = words
        self.planner = planner_of(prepared, self.engine, embed, self.loaded.context_window, self.loaded.tokenizer, words)
        self._choosers: dict[Any, Chooser] = {}
        self._counted = (replace(self.inner.work), dict[str, float]())
        """Work and seconds that have been charged to a section so far."""

    def _find_words(self) -> dict[str, str]:
        """Label → word for `--labels auto`, on labelled examples of the split that the first episode shows; else empty."""
        spec, task = self.prepared.resolved.spec, self.prepared.task
        if spec.labels != "auto":
            return {}
        tokenizer = self.loaded.tokenizer
        builder = PromptBuilder(self.prepared.template, task, chat_renderer(tokenizer) if spec.chat else None)
        split = self.prepared.episodes[0].support_split
        rng = keyed_rng(spec.seed, "label-words", split)
        examples = labelled(task.splits[split], (), task.labels, rng, "--labels auto needs")
        with self.clock.phase("label words"):
            return find_label_words(self.engine, Encoder(tokenizer), builder, examples, task.labels, self.loaded.context_window)

    def planned(self, sections: Sequence[Section]) -> Iterator[tuple[Section, list[Item]]]:
        """Each section with its items. The next is planned while the caller scores the one before, unless planning needs the engine."""
        if self.planner.asks_engine:
            for section in sections:
                with self.clock.phase("plan"):
                    items = self._items(section)
                yield section, items
            return
        with ThreadPoolExecutor(max_workers=1) as pool:
            coming = [pool.submit(self._items, section) for section in sections[:1]]
            for number, section in enumerate(sections):
                with self.clock.phase("plan"):
                    items = coming.pop().result()
                coming = [pool.submit(self._items, later) for later in sections[number + 1 : number + 2]]
                yield section, items

    def _items(self, section: Section) -> list[Item]:
        episode, (support, queries) = self.prepared.episodes[section.episode], self.prepared.pairs[section.episode]
        pool = (episode.support_split, episode.support, episode.labels)
        if pool not in self._choosers:
            self._choosers[pool] = self.planner.selector.over(support, episode.labels or self.prepared.task.labels)
        asked = queries[section.start : section.stop]
        return list(self.planner.items(episode, self._choosers[pool], support, asked, first=section.number == 0, every=queries))

    @property
    def near(self) -> list[Needs]:
        """What queries and anchors are compared by."""
        return [of for of in needs_of(self.prepared) if PART_OF[of] == "anchor"]

    def score(self, section: Section, items: Sequence[Item], progress: Progress) -> tuple[dict[str, Rows], dict[str, Any]]:
        """The rows of a section's tables, and what it cost. Raises IclError for a score that is not a finite number."""
        episode = self.prepared.episodes[section.episode].id
        tables = score_section(episode, items, self.prepared.task, self.engine, progress, self.near)
        return tables, self._cost()

    def _cost(self) -> dict[str, Any]:
        """What was added since the last section."""
        work, (before, spent) = self.engine.work, self._counted
        added = Work(*(getattr(work, name) - getattr(before, name) for name in Work.__dataclass_fields__))
        seconds = {name: value - spent.get(name, 0.0) for name, value in self.clock.seconds.items()}
        self._counted = (replace(work), dict(self.clock.seconds))
        return {
            "tokens_unique": added.tokens_unique,
            "tokens_total": added.tokens_total,
            "flops": forward_flops(self.loaded.model, added),
            "spans_reused": added.spans_reused,
            "seconds": seconds,
            "peak_memory_bytes": peak_memory_bytes(self.device),
        }


def in_memory(prepared: Prepared, device: str, batch_tokens: int, shared: Shared) -> tuple[LoadedModel, HFEngine]:
    """The model and its engine; what is in memory from the evaluation before is used again."""
    from icl.engine.hf import HFEngine

    source, spec = prepared.source, prepared.resolved.spec

    def make() -> tuple[LoadedModel, HFEngine]:
        loaded = load_model(source, spec.dtype, device, spec.device_map)
        return loaded, HFEngine(loaded.model, loaded.tokenizer, batch_tokens)

    return shared.model((source, spec.dtype, device, spec.device_map, batch_tokens), make)


def needs_of(prepared: Prepared) -> list[Needs]:
    """What the run's calibrations read, each once, in their order."""
    needs = [get_calibrator(name).needs for name in prepared.resolved.spec.calibration]
    return [of for of in dict.fromkeys(needs) if of]


def identity_of(prepared: Prepared, engine: Any, environment: dict[str, Any]) -> Identity:
    """What the score store keeps scores apart by, besides the tokens."""
    spec = prepared.resolved.spec
    device = environment["device_name"] if spec.device.startswith("cuda") else "cpu"
    packages = environment["packages"]
    versions = f"engine {engine.VERSION}, torch {packages['torch']}, transformers {packages['transformers']}"
    trusted = " with the model's own code" if spec.trust_remote_code else ""
    return Identity(prepared.source.fingerprint, spec.dtype, device, f"hf {engine.path}{trusted}", versions)


def planner_of(
    prepared: Prepared, engine: Engine, embed: Embed, window: int, tokenizer: Any, label_words: Mapping[str, str] | None = None
) -> Planner:
    """What makes the items of a run's episodes; `label_words` as `--labels auto` found them."""
    spec = prepared.resolved.spec
    chat = chat_renderer(tokenizer) if spec.chat else None

    @cache
    def builder(labels: tuple[str, ...]) -> PromptBuilder:
        return PromptBuilder(*written_as(spec.labels, prepared.template, with_labels(prepared.task, labels), label_words), chat)

    encoder = Encoder(tokenizer)
    means = Means(embed, PromptJudge(engine, encoder, builder, window))
    return Planner(
        spec=spec,
        task=prepared.task,
        builder=builder,
        encoder=encoder,
        window=window,
        selector=make_selector(spec.selector, means),
        order=make_order(spec.order, means),
        parts=frozenset(PART_OF[of] for of in needs_of(prepared)),
        generate=prepared.task.kind == "generation",
    )


def environment_of(prepared: Prepared, engine: Any, device: str, window: int) -> dict[str, Any]:
    """As `environment.json` holds it."""
    spec, task, source = prepared.resolved.spec, prepared.task, prepared.source
    return {
        **describe(device, spec.dtype),
        "engine": {"back_end": "hf", "path": engine.path, "notes": engine.notes, "window": window},
        "model": {"name": source.name, "fingerprint": source.fingerprint, "description": source.description, "notes": list(source.notes)},
        "template": {"name": prepared.template.name, "sha256": prepared.template.sha256},
        "data": {
            "fingerprint": task.fingerprint,
            "source": task.source,
            "licence": task.licence,
            "dropped": dict(task.dropped),
            "remarks": list(task.remarks),
        },
        "run": {
            "task": task.name,
            "kind": task.kind,
            "labels": list(prepared.labels),
            "metrics": list(task.metrics),
            "model": spec.model,
            "n_episodes": len(prepared.episodes),
            "n_queries": len(prepared.episodes[0].query),
            "split": prepared.episodes[0].query_split,
            "episodes": "drawn" if prepared.drawn else "of a file",
        },
    }
