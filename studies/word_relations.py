"""Word relations from 1 to 16 pairs: in the prompt, by LoRA, or by both.

    python studies/word_relations.py --data-dir DIR                                # four relations
    python studies/word_relations.py --data-dir DIR --docs docs/studies            # and the tables into word-relations.md
    python studies/word_relations.py --data-dir DIR --relations english-french --k-shot 1,2,4,8,16

DIR is a mirror that holds function_vectors/RELATION/*.jsonl (Todd et al. 2024). Every query has its right answer and nine answers of other
rows of its split; the highest score counts. The support of a larger K holds that of a smaller one, and queries are the same for every K.
Every episode at every K is kept in `--out` when it is played, and found again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from word_relations_play import Outcome, Relation, play, weights
from word_relations_report import report

from compare.learners.lora import Settings
from icl.device import default_batch_tokens, keep_freed_memory, resolve_dtype
from icl.encode import Encoder
from icl.engine.hf import HFEngine
from icl.models import load_model, resolve_model
from icl.runs import write_json
from prompts import PromptBuilder, load_template
from tasks import Episode, IclError, Task
from tasks.episodes import resolve, sample_kshot, support_at
from tasks.load import load_task

NAME = "word-relations"
RELATIONS = ("antonym", "country-capital", "landmark-country", "present-past")
SETTINGS = tuple(Settings(rank=8, lr=lr, steps=10) for lr in (1e-3, 3e-4, 3e-3))
"""The rate is searched; ten steps are what every training gets."""
VERSION = 1
"""Raise it when equal options would give other results: then nothing old is found."""


@dataclass(frozen=True)
class Study:
    """What decides the results."""

    k_shot: tuple[int, ...]
    queries: int
    distractors: int
    model: str
    seed: int
    search_k: int
    """K at which LoRA's setting is chosen."""
    search_queries: int
    """Of a relation's validation episode."""


def main(arguments: list[str] | None = None) -> None:
    """Plays what is not played yet, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--relations", default=",".join(RELATIONS), help="comma-separated")
    parser.add_argument("--k-shot", default="1,4,16", help="pairs, comma-separated; 0 (no pair) is always asked of the prompts")
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--queries", type=int, default=20, help="per episode")
    parser.add_argument("--search-queries", type=int, default=15, help="of the validation episodes")
    parser.add_argument(
        "--search-k", type=int, default=4, help="pairs of the validation episodes on which LoRA's setting is chosen, one per relation"
    )
    parser.add_argument("--distractors", type=int, default=9)
    parser.add_argument("--model", default="builtin:smollm2-135m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, required=True, help="a mirror of the data")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where episodes are kept")
    parser.add_argument("--docs", type=Path, help=f"directory that gets {NAME}.svg, {NAME}.json, and the tables in {NAME}.md")
    given = parser.parse_args(arguments)
    try:
        k_shot = tuple(sorted({int(k) for k in given.k_shot.split(",")} - {0}))
        study = Study(k_shot, given.queries, given.distractors, given.model, given.seed, given.search_k, given.search_queries)
        run(study, given.relations.split(","), given.episodes, given.data_dir, given.out / NAME, given.docs)
    except IclError as error:
        sys.exit(f"{NAME}: {error}")


def run(study: Study, relations: list[str], episodes: int, data_dir: Path, out: Path, docs: Path | None) -> None:
    """The whole flow. Raises IclError for relations that the mirror does not have, and for too few rows."""
    tasks = {name: load_task(card(name, study.distractors, data_dir, out / "cards" / name)) for name in relations}
    bench = Bench(study, out)
    settings, tried = bench.choose(tasks)
    found: dict[str, dict[int, list[list[Outcome]]]] = {name: {k: [] for k in (0, *study.k_shot)} for name in tasks}
    for number in range(episodes):  # the episode comes first, so that stopping early leaves as many of every relation
        for name, task in tasks.items():
            drawn = sample_kshot(task, n=episodes, k_shot=study.k_shot, n_query=study.queries, split_query="test", seed=study.seed)
            for k, of in found[name].items():
                of.append(bench.played(task, drawn[number], k, settings))
    facts = {**asdict(study), "settings": asdict(settings), "tried": tried, **bench.facts}
    report(found, facts, NAME, docs)


def card(name: str, distractors: int, data_dir: Path, directory: Path) -> Path:
    """A card for one relation, beside a copy of its rows. Raises IclError when the mirror does not have it."""
    source = data_dir / "function_vectors" / name
    if not (source / "dataset.json").is_file():
        there = sorted(path.parent.name for path in source.parent.glob("*/dataset.json"))
        raise IclError(f"{data_dir} has no relation '{name}' under function_vectors; there are {', '.join(there) or 'none'}")
    known = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    directory.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation", "test"):
        shutil.copy(source / f"{split}.jsonl", directory / f"{split}.jsonl")
    path = directory / f"{name}.yaml"
    values = {
        "name": name,
        "kind": "generation",
        "description": f"The relation {name}.",
        "source": {"type": "files", "paths": {split: f"{split}.jsonl" for split in ("train", "validation", "test")}},
        "splits": {"demonstration": "train", "validation": "validation", "test": "test"},
        "inputs": {"input": "input"},
        "target": "output",
        "distractors": distractors,
        "template": "word-plain",
        "licence": known["licence"],
        "citation": known["citation"],
    }
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


class Bench:
    """A model in memory, and the episodes that were played with it."""

    def __init__(self, study: Study, out: Path) -> None:
        keep_freed_memory()
        source = resolve_model(study.model)
        dtype = resolve_dtype("auto", "cpu")
        loaded = load_model(source, dtype, "cpu")
        self.study, self.out, self.fingerprint = study, out, source.fingerprint
        self.engine = HFEngine(loaded.model, loaded.tokenizer, default_batch_tokens("cpu"))
        self.encoder = Encoder(loaded.tokenizer)
        self.facts = {"dtype": dtype, "torch": torch.__version__, "torch_threads": torch.get_num_threads()}

    def relation(self, task: Task) -> Relation:
        """The model, asked about a task."""
        return Relation(self.engine, self.encoder, PromptBuilder(load_template(task.default_template), task))

    def choose(self, tasks: dict[str, Task]) -> tuple[Settings, list[dict[str, Any]]]:
        """LoRA's rate with the highest mean accuracy over one validation episode of every relation; the first of equals."""
        study = self.study
        tried = []
        for settings in SETTINGS:
            accuracies = []
            for task in tasks.values():
                (episode,) = sample_kshot(
                    task, n=1, k_shot=(study.search_k,), n_query=study.search_queries, split_query="validation", seed=study.seed
                )
                (first, *_) = self._kept(task, episode, study.search_k, settings, only_lora=True)
                accuracies.append(first.accuracy)
            tried.append({**asdict(settings), "accuracy": sum(accuracies) / len(accuracies), "episodes": len(accuracies)})
            print(
                f"lora, rate {settings.lr:g}, {settings.steps} steps: {tried[-1]['accuracy']:.3f} on validation",
                file=sys.stderr,
                flush=True,
            )
        best = max(range(len(tried)), key=lambda i: (tried[i]["accuracy"], -i))
        return SETTINGS[best], tried

    def played(self, task: Task, episode: Episode, k: int, settings: Settings) -> list[Outcome]:
        """All arms on an episode's first k pairs."""
        print(f"{task.name} {episode.id} K = {k}", file=sys.stderr, flush=True)
        return self._kept(task, episode, k, settings, only_lora=False)

    def _kept(self, task: Task, episode: Episode, k: int, settings: Settings, only_lora: bool) -> list[Outcome]:
        """From the file of an episode that was played before, else played and kept."""
        support = support_at(episode, task, k) if k else []
        queries = resolve(episode, task)[1]
        decides = [VERSION, self.fingerprint, self.facts["dtype"], self.study.seed, task.fingerprint, k, only_lora, asdict(settings)]
        rows = [example.id for example in (*support, *queries)]
        digest = hashlib.sha256(json.dumps([decides, rows], sort_keys=True).encode("utf-8")).hexdigest()[:16]
        path = self.out / "episodes" / f"{task.name}-{episode.id}-{k}-{digest}.json"
        if path.is_file():
            return [Outcome(**values) for values in json.loads(path.read_text(encoding="utf-8"))]
        relation, item = self.relation(task), (self.study.seed, NAME, task.name, k, episode.id, episode.query_split)
        if only_lora:
            found = [next(weights(relation, support, queries, settings, item))]
        else:
            found = play(relation, support, queries, settings, item)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, [asdict(outcome) for outcome in found])
        return found


if __name__ == "__main__":
    main()
