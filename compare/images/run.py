"""A comparison on images: a spec in, a run on disk out.

images → classes cut into parts → episodes.jsonl → per K and learner: meta-training (with its curve) → every source's episodes → statistics

Each training is a state on disk, each CHUNK of played episodes a record of the journal: what was killed goes on, and ends in the same
`summary.json`. Trained learners stay in the run, under `learners/`.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compare.frame import find_or_make, make_alone
from compare.images.curve import look, looks, to, watched
from compare.images.learners.types import ImageLearner
from compare.images.play import CHUNK, Answers, answer
from compare.images.prepare import Prepared, Source, full_name, prepare
from compare.images.results import Json, Results, Tested, public_rows
from compare.images.sampler import tensors
from compare.images.spec import FIXED, KIND, ImageSpec
from compare.images.training import Trained, Training
from compare.journal import Journal, Record, check_same_spec
from icl.cost import Clock, peak_memory_bytes
from icl.device import keep_freed_memory
from icl.environment import describe, version
from icl.events import Events, Quiet
from icl.runs import Draft, write_json
from icl.runs.files import damaged, read_json, writing
from tasks.images.episodes import ImageEpisode

if TYPE_CHECKING:
    from compare.meta_gradient import Params


@dataclass(frozen=True)
class ImageRun:
    """A finished comparison, read from its directory."""

    dir: Path

    def read(self, name: str) -> dict[str, Any]:
        """`spec`, `environment`, `summary` or `cost`. Raises IclError when the file is missing or broken."""
        return read_json(self.dir / f"{name}.json")

    def to_json(self) -> dict[str, Any]:
        """What `icl compare --json` prints."""
        summary, facts = self.read("summary"), self.read("environment")["run"]
        return {
            "run": self.dir.name,
            "dir": str(self.dir),
            "episodes_sha256": summary["episodes_sha256"],
            **{name: facts[name] for name in ("n_episodes", "n_way", "n_queries", "norm", "backbone", "notes")},
            "reference": summary["reference"],
            "rows": public_rows(summary, self.read("cost")),
            "ranks": summary["ranks"],
        }


def compare_images(
    spec: ImageSpec,
    *,
    out: str | Path = "runs",
    data_dir: str | Path | None = None,
    fresh: bool = False,
    events: Events | None = None,
) -> ImageRun:
    """Meta-trains every learner at every K and tests it on the same episodes. A finished run of the same spec is returned as it is, unless
    `fresh`; one that was interrupted goes on. Raises IclError for every mistake of the user's."""
    events = events or Quiet()
    clock = Clock()
    events.phase("data")
    with clock.phase("prepare"):
        prepared = prepare(spec, Path(data_dir) if data_dir else None)
    for note in prepared.task.notes:
        events.note(f"{full_name(prepared.task)}: {note}")
    first = Path(out) / name_of(prepared)
    return ImageRun(find_or_make(first, fresh, events, lambda draft: _make(prepared, draft, clock, events, fresh)))


def name_of(prepared: Prepared) -> str:
    """Of the run's directory."""
    return f"compare-{prepared.task.name}-{prepared.resolved.hash()[:10]}"


def resume(directory: Path, *, data_dir: Path | None = None, events: Events | None = None) -> ImageRun:
    """Goes on with a comparison that was begun in that directory. Raises IclError when it would be another one now."""
    clock, path = Clock(), directory / "spec.json"
    try:
        spec = ImageSpec.from_json(read_json(path, "spec")["spec"])
    except (KeyError, TypeError) as error:
        raise damaged(path, f"it has no {error}") from error
    with clock.phase("prepare"):
        prepared = prepare(spec, data_dir)
    draft = Draft(directory)
    fresh = draft.is_fresh()
    return ImageRun(make_alone(draft, lambda draft: _make(prepared, draft, clock, events or Quiet(), fresh)))


def _make(prepared: Prepared, draft: Draft, clock: Clock, events: Events, fresh: bool) -> None:
    wanted = prepared.resolved.hash()
    if draft.partial.is_dir():
        known = read_json(draft.dir / "spec.json", "spec")
        check_same_spec(draft.dir, known.get("sha256", ""), wanted)
        _write_episodes(prepared, draft)
    else:
        for k in prepared.spec.k_shot:
            watched(prepared, k)  # too few classes or drawings for that are said before anything is written
        _begin(prepared, draft, fresh)
    keep_freed_memory()
    spent = Spent(clock)
    journal = Journal(draft, wanted, lambda: None, spent.since_last, lambda: None)
    contest = Contest(prepared, draft, journal, clock, events)
    results = contest.results()
    journal.flush()
    events.phase("report")
    costs = journal.costs()
    phases = dict.fromkeys(name for cost in costs for name in cost["seconds"])
    seconds = {name: round(sum(cost["seconds"].get(name, 0.0) for cost in costs), 4) for name in phases}
    _finish(draft, results, results.cost(seconds, max(cost["peak_memory_bytes"] for cost in costs)))


class Spent:
    """Deals out the seconds of this process, each once."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.told: dict[str, float] = {}

    def since_last(self) -> Json:
        """Seconds by phase since this was last asked, and the peak of memory."""
        now = dict(self.clock.seconds)
        new = {name: value - self.told.get(name, 0.0) for name, value in now.items()}
        self.told = now
        return {"seconds": new, "peak_memory_bytes": peak_memory_bytes("cpu")}


def _begin(prepared: Prepared, draft: Draft, fresh: bool) -> None:
    """What is known before the first step; `partial` comes last: it says that the rest is there."""
    with writing(draft.dir):
        draft.dir.mkdir(parents=True, exist_ok=True)
        write_json(draft.dir / "spec.json", {**prepared.resolved.to_json(), "sha256": prepared.resolved.hash()})
        write_json(draft.dir / "environment.json", {**_environment(prepared), "fresh": fresh})
        _write_episodes(prepared, draft)
        draft.partial.mkdir(exist_ok=True)


def _write_episodes(prepared: Prepared, draft: Draft) -> None:
    path = draft.dir / "episodes.jsonl"
    with writing(path):
        path.write_text(prepared.episode_lines, encoding="utf-8")


def _environment(prepared: Prepared) -> dict[str, Any]:
    spec = prepared.spec
    found = describe(spec.device, "float32")
    packages = {**found["packages"], **{name: version(name) for name in ("pillow", "matplotlib", "scikit-learn")}}
    return {
        **found,
        "packages": packages,
        "data": [
            {
                "task": full_name(task),
                "source": task.source,
                "licence": task.licence,
                "fingerprint": prepared.resolved.data_fingerprints[full_name(task)],
                "classes": {part: len(images.classes) for part, images in task.parts.items()},
                "notes": list(task.notes),
            }
            for task in (prepared.task, *prepared.domains)
        ],
        "run": {
            "kind": KIND,
            "task": full_name(prepared.task),
            "n_way": spec.n_way,
            "n_episodes": spec.episodes,
            "n_queries": spec.n_way * spec.queries if spec.protocol == FIXED else None,
            "norm": spec.norm,
            "backbone": spec.backbone,
            "protocol": spec.protocol,
            "chance": {source.name: source.chance for source in prepared.sources},
            "sources": [source.name for source in prepared.sources],
            "notes": [f"{full_name(task)}: {note}" for task in (prepared.task, *prepared.domains) for note in task.notes],
        },
    }


@dataclass
class Contest:
    """The learners at work."""

    prepared: Prepared
    draft: Draft
    journal: Journal
    clock: Clock
    events: Events

    def results(self) -> Results:
        """Of every learner at every K on every source."""
        spec = self.prepared.spec
        cells = [(k, name) for k in spec.k_shot for name in spec.learners]
        chunks = sum(-(-len(source.episodes) // CHUNK) for source in self.prepared.sources)
        self.events.start(len(cells) * (spec.meta_steps + chunks), 0)
        trained, tested = {}, {}
        for k, name in cells:
            learner = self.prepared.learner(name, k)
            trained[name, k] = self.train(learner, k)
            for source in self.prepared.sources:
                tested[name, k, source.name] = self.test(learner, trained[name, k].params, k, source)
        return Results(self.prepared, trained, tested)

    def train(self, learner: ImageLearner, k: int) -> Trained:
        """From where it stands to the last step."""
        spec = self.prepared.spec
        facts = {"spec_sha256": self.prepared.resolved.hash(), "learner": learner.name, "k_shot": k}
        path = self.draft.dir / "learners" / f"{learner.name}-{k}.safetensors"
        sampler = self.prepared.sampler(learner.name, k)
        training = Training(
            learner, sampler, spec.meta_steps, spec.meta_batch, spec.seed, spec.device, tuple(looks(spec.meta_steps)), path, facts
        )
        at = watched(self.prepared, k)

        def seen(params: Params) -> dict[str, float]:
            with self.clock.phase("curves"):
                return look(learner, params, at, spec.n_way)

        with self.clock.phase("meta-train"):
            return training.run(seen, self.events.section_done)

    def test(self, learner: ImageLearner, meta: Params, k: int, source: Source) -> Tested:
        """All episodes of a source, CHUNK by CHUNK."""
        scores, adapt, predict = list[Any](), 0.0, 0.0
        fixed = self.prepared.spec.protocol == FIXED
        episodes = [episode.at(k) if fixed else episode for episode in source.episodes]
        for start in range(0, len(episodes), CHUNK):
            key = f"{learner.name}/{k}/{source.name}/{start}"
            if (known := self.journal.get(key)) is None:
                with self.clock.phase("test"):
                    chunk = episodes[start : start + CHUNK]
                    known = _record([self.answers(learner, meta, source, of) for of in ([chunk] if fixed else [[one] for one in chunk])])
                self.journal.put(key, known)
            self.events.section_done()
            scores += [known.tensors[str(i)].numpy() for i in range(len(known.tensors))]
            adapt += known.facts["adapt_seconds"]
            predict += known.facts["predict_seconds"]
        targets: list[Any] = [episode.query_labels for episode in episodes]
        return Tested(scores, targets, adapt / len(episodes), predict / sum(map(len, targets)))

    def answers(self, learner: ImageLearner, meta: Params, source: Source, episodes: list[ImageEpisode]) -> Answers:
        """Of equally large episodes."""
        tasks = to(tensors(source.images, episodes), self.prepared.spec.device)
        return answer(learner.for_ways(len(episodes[0].classes)), meta, tasks)


def _record(answers: list[Answers]) -> Record:
    import torch

    scores = [torch.from_numpy(of.copy()) for found in answers for of in found.scores]
    facts = {name: sum(getattr(found, name) for found in answers) for name in ("adapt_seconds", "predict_seconds")}
    return Record(facts, {str(i): of for i, of in enumerate(scores)})


def _finish(draft: Draft, results: Results, cost: Json) -> None:
    """All files, made among the parts and moved out one by one; the summary comes last and makes the run finished."""
    from compare.images.report.page import write_report

    with writing(draft.dir):
        scratch = Path(tempfile.mkdtemp(prefix=".finish-", dir=draft.partial))
        for name in ("spec.json", "environment.json"):
            shutil.copy(draft.dir / name, scratch / name)
        results.write_predictions(scratch / "predictions.parquet")
        summary = results.summary()
        write_json(scratch / "summary.json", summary)
        write_json(scratch / "cost.json", cost)
        write_report(scratch, draft.dir.name)
        for name in ("predictions.parquet", "cost.json", "report.html"):
            (scratch / name).replace(draft.dir / name)
        draft.finish(summary)
