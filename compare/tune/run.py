"""`tune`: a spec in, one study per method, its best setting on the test split, a report out.

names looked up, test rows sealed → per method: search on validation episodes → best setting → one test → files, report
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.tune.judge import Judge, Tested
from compare.tune.players import Players
from compare.tune.prepare import Prepared, prepare
from compare.tune.results import Json, to_json
from compare.tune.search import Search, best_of
from compare.tune.spacefile import spaces_text
from compare.tune.storage import FILE, open_storage, open_study
from compare.tune.tuned import write_tuned
from compare.tune.types import TuneSpec
from icl.events import Events, Quiet
from icl.runs.files import read_json, write_json, writing
from icl.runs.store import Draft
from tasks import IclError
from tasks.episodefile import write_episodes

RESULT = "tune.json"
VALIDATION, TEST = "episodes.jsonl", "test-episodes.jsonl"


@dataclass(frozen=True)
class Tuning:
    """A finished tuning, read from its directory."""

    dir: Path

    def to_json(self) -> Json:
        """What `icl tune --json` prints."""
        return read_json(self.dir / RESULT, "methods")


def tune(spec: TuneSpec, *, out: str | Path = "runs", data_dir: str | Path | None = None, events: Events | None = None) -> Tuning:
    """Searches every method's space, tests its best setting once, and returns the finished tuning.

    The same call goes on with what was killed, and repeats nothing that is finished. Raises IclError for every mistake of the user's.
    """
    events = events or Quiet()
    events.phase("data")
    place = Path(data_dir) if data_dir else None
    prepared = prepare(spec, place)
    for note in prepared.related.notes:
        events.note(note)
    directory = Path(out) / f"tune-{prepared.task.name}-{prepared.resolved.hash()[:10]}"
    draft = Draft(directory)
    with draft.locked():
        _begin(directory, prepared)
        try:
            with open_storage(directory / FILE) as storage:
                _make(prepared, directory, storage, Path(out), place, events)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(f"every played episode is kept in {directory}; the same command goes on") from error
    return Tuning(directory)


def _begin(directory: Path, prepared: Prepared) -> None:
    """What stands before the first trial. Raises IclError when the directory was begun by another spec."""
    resolved, spec_hash = prepared.resolved, prepared.resolved.hash()
    if (directory / "spec.json").is_file():
        begun = read_json(directory / "spec.json", "sha256", instead="delete the directory, or use another --out")["sha256"]
        if begun != spec_hash:
            raise IclError(f"{directory} cannot go on: it was begun with spec {begun}, but is asked for {spec_hash}; use another --out")
        return
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        write_episodes(directory / VALIDATION, prepared.episodes)
        write_episodes(directory / TEST, prepared.test_episodes)
        (directory / "space.yaml").write_text(spaces_text(prepared.spaces), encoding="utf-8", newline="\n")
    write_json(directory / "spec.json", {**resolved.to_json(), "sha256": spec_hash})


def _make(prepared: Prepared, directory: Path, storage: Any, out: Path, data_dir: Path | None, events: Events) -> None:
    from compare.tune.report.page import write_report

    players = Players(prepared, directory / VALIDATION, events)
    studies = {method: open_study(storage, method, prepared.spec.seed, prepared.spec.sampler) for method in prepared.spec.methods}
    searches = {method: _search(prepared, players, method, study) for method, study in studies.items()}
    most = prepared.spec.trials
    events.start(most * len(searches), sum(len(search.trials) for search in searches.values()))
    for method, search in searches.items():
        _carry_out(method, search, events)
    best = {method: best_of(search.trials) for method, search in searches.items()}
    settings = {method: prepared.whole(method, trial.settings) for method, trial in best.items()}
    write_tuned(directory, prepared, settings)
    del players  # the tests have models of their own
    judge = Judge(prepared, directory / TEST, out, data_dir, events)
    tested: dict[str, Tested] = {method: judge.test(method, settings[method], study) for method, study in studies.items()}
    events.phase("report")
    write_json(directory / RESULT, to_json(directory.name, prepared, searches, best, settings, tested))
    write_report(directory)


def _carry_out(method: str, search: Search, events: Events) -> None:
    """Every trial until budget or trials are used up; a new best is said."""
    top = -1.0
    while not search.over():
        trial = search.step()
        events.section_done()
        if trial.outcomes and len(trial.outcomes) == search.episodes and trial.accuracy > top:
            top = trial.accuracy
            events.note(f"{method}, trial {trial.number + 1}: accuracy {top:.3f} on validation, {_words(trial.settings)}")


def _words(settings: Any) -> str:
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in settings.items())


def _search(prepared: Prepared, players: Players, method: str, study: Any) -> Search:
    spec = prepared.spec
    return Search(
        method=method,
        space=prepared.spaces[method],
        first=prepared.first(method),
        begin=players.begin(method),
        study=study,
        sampler=spec.sampler,
        pruner=spec.pruner,
        episodes=spec.episodes,
        most=spec.trials,
        budget=spec.budget,
        chance=prepared.chance,
        seed=spec.seed,
    )
