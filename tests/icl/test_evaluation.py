"""The main job end to end, with a tiny random model and a task of one's own: results, files, repetition, interruption, mistakes."""

from __future__ import annotations

import gc
import html
import json
import os
import re
import shlex
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import icl
import icl.evaluation
import icl.session
from icl import RunSpec, evaluate
from icl.ablation import LABELS, shown_as
from icl.events import Quiet
from icl.ordering import ORDERS
from icl.runs import Run
from icl.runs.show import exported
from icl.selection import SELECTORS
from tasks import Episode, Example, IclError
from tasks.episodefile import write_episodes
from tasks.load import load_task

REPOSITORY = Path(icl.__file__).resolve().parent.parent


@pytest.fixture
def spec(own_task: Path, tiny_model_dir: Path) -> RunSpec:
    return RunSpec(str(own_task), model=str(tiny_model_dir), shots=3, episodes=3, queries=8, dtype="float32", device="cpu")


def files(run: Run) -> set[str]:
    return {path.name for path in run.dir.iterdir()}


def test_a_run_has_its_files_and_says_what_the_issue_promises(spec: RunSpec, tmp_path: Path) -> None:
    run = evaluate(spec, out=tmp_path / "runs")
    assert files(run) == {
        "spec.json", "environment.json", "episodes.jsonl", "predictions.parquet", "content_free.parquet", "prompts.parquet",
        "summary.json", "cost.json", "report.html",
    }  # fmt: skip
    assert set(run.summary) == {"spec_sha256", "metrics"}
    assert list(run.summary["metrics"]) == ["none", "contextual", "domain-context", "batch"]
    printed = run.to_json()
    assert {"run", "dir", "task", "model", "n_episodes", "n_queries", "metrics", "cost"} == set(printed)
    accuracy = printed["metrics"]["none"]["accuracy"]
    assert len(accuracy["per_episode"]) == 3
    assert accuracy["mean"] == pytest.approx(np.mean(accuracy["per_episode"]))
    assert accuracy["ci95"][0] < accuracy["mean"] < accuracy["ci95"][1] or len(set(accuracy["per_episode"])) == 1
    assert accuracy["bootstrap95"] is None, "there are fewer than 20 episodes"
    cost = printed["cost"]
    assert 0 < cost["tokens_unique"] < cost["tokens_total"]
    assert cost["flops"] > 0
    assert {"load", "plan", "score", "store"} <= set(cost["seconds"])
    json.dumps(printed, allow_nan=False)


def test_predictions_hold_raw_scores_from_which_the_accuracy_can_be_made_again(spec: RunSpec, tmp_path: Path) -> None:
    run = evaluate(spec, out=tmp_path)
    rows = run.table("predictions")
    assert len(rows) == 3 * 8 * 2
    right = 0
    for start in range(0, len(rows), 2):
        pair = rows[start : start + 2]
        best = max(pair, key=lambda row: row["logprob"])
        assert best["candidate"] == pair[0]["predicted"]
        right += best["candidate"] == best["target"]
    assert run.summary["metrics"]["none"]["accuracy"]["mean"] == pytest.approx(right / 24)


def test_exported_scores_equal_a_plain_forward_pass(spec: RunSpec, tmp_path: Path, tiny_model_dir: Path, tiny_tokenizer: Any) -> None:
    """From the exported record alone, without our code: the whole text, its tokens, the model's own forward in float32."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32).eval()
    records = list(exported(evaluate(spec, out=tmp_path), tiny_tokenizer))
    assert len(records) == 48
    for record in records:
        ids = tiny_tokenizer(record["text"])["input_ids"]
        assert ids == record["token_ids"]
        assert record["text"][slice(*record["span"])] in {" negative", " positive"}
        with torch.inference_mode():
            log_probs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        start = record["scored_from"]
        total = sum(log_probs[t - 1, ids[t]].item() for t in range(start, len(ids)))
        assert record["logprob"] == pytest.approx(total, abs=1e-4 * (len(ids) - start))


def test_the_same_spec_finds_the_finished_run(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Listening(Quiet):
        said: list[str] = []  # noqa: RUF012

        def note(self, text: str) -> None:
            self.said.append(text)

    first = evaluate(spec, out=tmp_path)
    stamp = (first.dir / "summary.json").stat().st_mtime_ns
    again = evaluate(spec, out=tmp_path, events=Listening())
    assert again.dir == first.dir
    assert (first.dir / "summary.json").stat().st_mtime_ns == stamp
    assert "is finished already; --fresh makes another" in Listening.said[0]
    monkeypatch.setenv("ICL_SCORE_STORE", str(tmp_path / "empty.sqlite"))
    fresh = evaluate(spec, out=tmp_path, fresh=True)
    assert fresh.cost["spans_reused"] == 0
    assert fresh.dir.name == first.dir.name + "-2"
    assert (fresh.dir / "summary.json").read_bytes() == (first.dir / "summary.json").read_bytes()


def test_another_process_gives_the_same_bytes(spec: RunSpec, tmp_path: Path) -> None:
    here = evaluate(spec, out=tmp_path / "here")
    code = (
        "import json, sys\nfrom icl import RunSpec, evaluate\n"
        "run = evaluate(RunSpec.from_json(json.loads(sys.argv[1])), out=sys.argv[2])\nprint(run.dir)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "77", "ICL_SCORE_STORE": str(tmp_path / "empty.sqlite")}
    arguments = [sys.executable, "-c", code, json.dumps(spec.to_json()), str(tmp_path / "there")]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True)
    there = Path(done.stdout.strip().splitlines()[-1])
    for name in ("summary.json", "spec.json", "episodes.jsonl", "predictions.parquet"):
        assert (here.dir / name).read_bytes() == (there / name).read_bytes(), name


def test_another_batch_size_moves_scores_by_less_than_1e_4(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = evaluate(replace(spec, batch_tokens=16), out=tmp_path)
    monkeypatch.setenv("ICL_SCORE_STORE", str(tmp_path / "empty.sqlite"))
    other = evaluate(replace(spec, batch_tokens=4096), out=tmp_path)
    assert one.name != other.name, "the chunk plan is part of the spec"
    for a, b in zip(one.table("predictions"), other.table("predictions"), strict=True):
        assert a["logprob"] == pytest.approx(b["logprob"], abs=1e-4 * a["tokens"])


def test_a_run_that_is_interrupted_keeps_finished_episodes_and_ends_in_the_same_bytes(spec: RunSpec, tmp_path: Path) -> None:
    class Interrupting(Quiet):
        done = 0

        def section_done(self) -> None:
            self.done += 1
            if self.done == 2:
                raise KeyboardInterrupt

    whole = evaluate(spec, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt, match="continues"):
        evaluate(spec, out=tmp_path / "cut", events=Interrupting())
    directory = tmp_path / "cut" / whole.name
    assert sorted(p.name for p in (directory / "partial").iterdir()) == ["e000.0000", "e001.0000"]
    assert not (directory / "summary.json").exists()
    resumed = evaluate(spec, out=tmp_path / "cut")
    assert (resumed.dir / "summary.json").read_bytes() == (whole.dir / "summary.json").read_bytes()
    assert files(resumed) == files(whole)


def test_sections_of_an_episode_are_committed_and_resumed_one_by_one(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import icl.sections as sections

    whole = evaluate(spec, out=tmp_path / "whole")
    monkeypatch.setattr(sections, "REQUESTS", 6)  # three queries of two labels

    class Interrupting(Quiet):
        done = 0

        def section_done(self) -> None:
            self.done += 1
            if self.done == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="continues"):
        evaluate(spec, out=tmp_path / "cut", events=Interrupting())
    kept = sorted(p.name for p in (tmp_path / "cut" / whole.name / "partial").iterdir())
    assert kept == ["e000.0000", "e000.0001", "e000.0002", "e001.0000"]
    resumed = evaluate(spec, out=tmp_path / "cut")
    for name in ("predictions", "content_free", "prompts"):
        for a, b in zip(whole.table(name), resumed.table(name), strict=True):
            assert {**a, "logprob": None} == {**b, "logprob": None}
            if name != "prompts":
                assert a["logprob"] == pytest.approx(b["logprob"], abs=1e-4)


def test_the_model_is_gone_when_the_report_is_written(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[weakref.ref[Any]] = []
    load, finish = icl.session.load_model, icl.evaluation._finish

    def loading(*arguments: Any) -> Any:
        loaded = load(*arguments)
        models.append(weakref.ref(loaded.model))
        return loaded

    def finishing(*arguments: Any) -> None:
        gc.collect()
        assert [model() for model in models] == [None]
        finish(*arguments)

    monkeypatch.setattr(icl.session, "load_model", loading)
    monkeypatch.setattr(icl.evaluation, "_finish", finishing)
    evaluate(spec, out=tmp_path / "runs")
    assert len(models) == 1


def test_fresh_computes_everything_again(spec: RunSpec, tmp_path: Path) -> None:
    first = evaluate(spec, out=tmp_path)
    again = evaluate(spec, out=tmp_path, fresh=True)
    assert again.dir != first.dir
    assert again.cost["spans_reused"] == 0
    assert again.cost["tokens_unique"] == first.cost["tokens_unique"]
    assert (again.dir / "summary.json").read_bytes() == (first.dir / "summary.json").read_bytes()


def test_fresh_does_not_go_on_with_a_run_that_was_begun_with_the_stores_help(spec: RunSpec, tmp_path: Path) -> None:
    class Interrupting(Quiet):
        def section_done(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(spec, out=tmp_path, events=Interrupting())
    with pytest.raises(KeyboardInterrupt):
        evaluate(spec, out=tmp_path, fresh=True, events=Interrupting())
    fresh = evaluate(spec, out=tmp_path, fresh=True)
    assert fresh.cost["spans_reused"] == 0
    assert fresh.name.endswith("-2"), "the fresh one goes on, the other still waits"
    assert (evaluate(spec, out=tmp_path).dir / "summary.json").read_bytes() == (fresh.dir / "summary.json").read_bytes()


def test_after_running_out_of_memory_a_run_keeps_its_smaller_passes(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from icl.engine.forward import TreeForward

    run, noted = TreeForward.run, list[str]()

    def short_of_memory(self: Any, plan: Any, tokens: Any, positions: Any, cache: Any = None) -> Any:
        if len(tokens) > 300:
            raise torch.OutOfMemoryError("no room")
        return run(self, plan, tokens, positions, cache)

    class Noting(Quiet):
        def note(self, text: str) -> None:
            noted.append(text)

        def section_done(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(TreeForward, "run", short_of_memory)
    with pytest.raises(KeyboardInterrupt):
        evaluate(spec, out=tmp_path, events=Noting())
    assert noted == ["out of memory: going on with --batch-tokens 512", "out of memory: going on with --batch-tokens 256"]
    noted.clear()
    resumed = evaluate(spec, out=tmp_path)
    assert json.loads((resumed.dir / "plan.json").read_text(encoding="utf-8")) == {"batch_tokens": 256}
    assert noted == []


@pytest.mark.recipe
def test_two_launched_processes_make_the_same_run(spec: RunSpec, tmp_path: Path) -> None:
    """`accelerate launch` of the console script: sections are dealt out, the summary is that of one process."""
    binaries = Path(sys.executable).parent
    options = [
        spec.task,
        "--model",
        spec.model,
        "--shots",
        "3",
        "--episodes",
        "3",
        "--queries",
        "8",
        "--dtype",
        "float32",
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    launch = [str(binaries / "accelerate"), "launch", "--cpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    script = str(binaries / "icl")
    for arguments, out, store in (([*launch, script], "two", "a.sqlite"), ([script], "one", "b.sqlite")):
        done = subprocess.run(
            [*arguments, "evaluate", *options, "--out", str(tmp_path / out), "--json"], capture_output=True, text=True, check=False,
            env={**environment, "ICL_SCORE_STORE": str(tmp_path / store)}, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)  # exactly one value: only one process prints
    (two,), (one,) = (list((tmp_path / out).glob("*/summary.json")) for out in ("two", "one"))
    assert two.read_bytes() == one.read_bytes()


def test_a_second_run_over_the_same_prompts_computes_nothing(spec: RunSpec, tmp_path: Path) -> None:
    first = evaluate(spec, out=tmp_path / "a")
    second = evaluate(spec, out=tmp_path / "b")
    assert first.cost["spans_reused"] == 0
    assert second.cost["spans_reused"] > 0
    assert second.cost["tokens_unique"] == second.cost["flops"] == 0
    assert "score" not in second.cost["seconds"], "times are never those of store hits"
    assert (second.dir / "summary.json").read_bytes() == (first.dir / "summary.json").read_bytes()
    fewer = evaluate(replace(spec, calibration=("batch",)), out=tmp_path / "b")
    assert fewer.cost["tokens_unique"] == 0, "another calibration costs nothing"


def test_a_run_that_is_killed_outright_ends_in_the_same_bytes(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kill -9` right after the second episode's scores were kept, before the episode was."""
    code = (
        "import json, os, signal, sys\nimport icl.evaluation as e\nfrom icl.spec import RunSpec\n"
        "commit, done = e.Draft.commit, []\n"
        "def dies(self, *a):\n    done.append(1)\n    if len(done) == 2: os.kill(os.getpid(), signal.SIGKILL)\n    commit(self, *a)\n"
        "e.Draft.commit = dies\n"
        "e.evaluate(RunSpec.from_json(json.loads(sys.argv[1])), out=sys.argv[2])"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    arguments = [sys.executable, "-c", code, json.dumps(spec.to_json()), str(tmp_path / "cut")]
    assert subprocess.run(arguments, env=environment, capture_output=True, check=False).returncode == -9
    resumed = evaluate(spec, out=tmp_path / "cut")
    monkeypatch.setenv("ICL_SCORE_STORE", str(tmp_path / "empty.sqlite"))
    whole = evaluate(spec, out=tmp_path / "whole")
    assert (resumed.dir / "summary.json").read_bytes() == (whole.dir / "summary.json").read_bytes()
    assert (resumed.dir / "predictions.parquet").read_bytes() == (whole.dir / "predictions.parquet").read_bytes()


def test_a_kill_before_anything_is_scored_leaves_a_run_that_can_be_made(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import icl.runs.store as store

    def dies(path: Path, values: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_json", dies)
        with pytest.raises(KeyboardInterrupt):
            evaluate(spec, out=tmp_path)
    assert files(evaluate(spec, out=tmp_path)) >= {"spec.json", "environment.json", "episodes.jsonl", "summary.json"}


def test_an_episodes_file_may_not_demonstrate_evaluated_rows(spec: RunSpec, tmp_path: Path) -> None:
    lines = (evaluate(spec, out=tmp_path / "a").dir / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    first, second = json.loads(lines[0]), json.loads(lines[1])
    shown = [id for id in second["query"] if id not in first["query"]]
    file = tmp_path / "episodes.jsonl"
    file.write_text(json.dumps({**first, "support_split": first["query_split"], "support": shown}) + "\n", encoding="utf-8")
    with pytest.raises(IclError, match="demonstrations would come from the evaluated rows"):
        evaluate(RunSpec(spec.task, model=spec.model, shots=1, dtype="float32"), out=tmp_path / "b", episodes=file)


def test_episodes_can_be_handed_on(spec: RunSpec, tmp_path: Path) -> None:
    first = evaluate(spec, out=tmp_path / "a")
    handed = RunSpec(spec.task, model=spec.model, shots=3, dtype="float32", seed=9)
    second = evaluate(handed, out=tmp_path / "b", episodes=first.dir / "episodes.jsonl")
    assert (second.dir / "episodes.jsonl").read_bytes() == (first.dir / "episodes.jsonl").read_bytes()
    assert second.to_json()["n_episodes"] == 3
    assert second.name != first.name, "the seed also chooses the demonstrations"
    again = evaluate(first.resolved.spec, out=tmp_path / "a", episodes=first.dir / "episodes.jsonl")
    assert again.dir == first.dir, "what agrees with the file may be said with it"


def test_the_report_of_handed_episodes_names_their_file(spec: RunSpec, tmp_path: Path) -> None:
    """The command on the page makes the same run; it does not draw other episodes."""
    first = evaluate(spec, out=tmp_path / "a")
    handed = RunSpec(spec.task, model=spec.model, shots=3, dtype="float32", seed=9)
    second = evaluate(handed, out=tmp_path / "b c", episodes=first.dir / "episodes.jsonl")
    drawn, given = command_of(first), command_of(second)
    assert "--episodes 3 --queries 8" in drawn
    assert "--episodes-file" not in drawn
    words = shlex.split(given)
    file = words[words.index("--episodes-file") + 1]
    assert Path(file) == second.dir / "episodes.jsonl"
    assert not {"--episodes", "--queries", "--split", "--pool"} & set(words)
    assert evaluate(handed, out=tmp_path / "c", episodes=file).name == second.name


def command_of(run: Run) -> str:
    """The command on the page of a run, as a browser copies it."""
    page = (run.dir / "report.html").read_text(encoding="utf-8")
    found = re.search(r"<pre class=\"command\".*?>\n(.*?)</pre>", page, re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"</?span>", "", found[1]))


@pytest.mark.parametrize(("name", "value"), [("episodes", 2), ("queries", 3), ("queries", None), ("split", "validation"), ("pool", 20)])
def test_an_episodes_file_is_not_overridden_without_a_word(spec: RunSpec, tmp_path: Path, name: str, value: Any) -> None:
    first = evaluate(spec, out=tmp_path / "a")
    with pytest.raises(IclError, match=rf"the episodes file says {name} = \w+, but {name} = {value or 'all'} was asked for"):
        evaluate(replace(spec, **{name: value}), out=tmp_path / "b", episodes=first.dir / "episodes.jsonl")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("selector", SELECTORS)
def test_every_selector_runs(spec: RunSpec, tmp_path: Path, selector: str) -> None:
    run = evaluate(replace(spec, selector=selector, episodes=2, queries=4), out=tmp_path)
    shown = {tuple(row["demonstrations"]) for row in run.table("prompts")}
    assert all(len(ids) == 3 for ids in shown)
    assert len(shown) == {"random": 2, "balanced": 2, "fixed": 1, "votek": 1, "k-center": 2, "perplexity": 1, "condacc": 2}.get(
        selector, len(shown)
    )
    if selector not in {"random", "balanced", "fixed", "votek", "k-center", "perplexity", "condacc"}:
        assert len(shown) > 2, "each query has demonstrations of its own"
        free = run.table("content_free")
        assert {row["belongs_to"] for row in free} == {row["query"] for row in run.table("prompts")}


def test_a_task_with_labels_has_one_premise_per_context(spec: RunSpec, tmp_path: Path) -> None:
    run = evaluate(replace(spec, calibration=("pmi",), normalise="token"), out=tmp_path)
    assert set(run.summary["metrics"]) == {"pmi"}
    assert {(row["part"], row["belongs_to"]) for row in run.table("content_free")} == {("premise", "")}
    assert len(run.table("content_free")) == 3 * 2


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_shows_the_same_demonstrations_otherwise(spec: RunSpec, tmp_path: Path, order: str) -> None:
    few = replace(spec, shots=5, episodes=2, queries=3)
    given, run = evaluate(few, out=tmp_path / "a"), evaluate(replace(few, order=order), out=tmp_path / "b")
    assert (given.name == run.name) == (order == "given"), "the order counts in the hash"
    pairs = [(a["demonstrations"], b["demonstrations"]) for a, b in zip(given.table("prompts"), run.table("prompts"), strict=True)]
    assert all(sorted(a) == sorted(b) for a, b in pairs)
    if order not in {"global-entropy", "local-entropy", "exhaustive"}:  # these may find the given order the best
        assert all(a == b for a, b in pairs) == (order == "given")
    shown = {tuple(b) for _, b in pairs}
    assert (len(shown) > 2) == order.startswith("similarity"), "only these look at the query"
    free = run.table("content_free")
    assert ({row["belongs_to"] for row in free} == {""}) != order.startswith("similarity")


def test_label_ablations_change_what_is_shown_and_nothing_else(spec: RunSpec, tmp_path: Path) -> None:
    few = replace(spec, shots=8, selector="balanced", queries=4, episodes=2, calibration=("none",))
    runs = {name: evaluate(replace(few, labels=name), out=tmp_path) for name in LABELS}
    shown = {name: [row["shown"] for row in run.table("prompts")] for name, run in runs.items()}
    for run in runs.values():
        assert [row["target"] for row in run.table("predictions")] == [row["target"] for row in runs["true"].table("predictions")]
        chosen = [row["demonstrations"] for row in run.table("prompts")]
        assert chosen == [row["demonstrations"] for row in runs["true"].table("prompts")]
    other = {"positive": "negative", "negative": "positive"}
    assert shown["flipped"] == [[other[label] for label in row] for row in shown["true"]]
    assert shown["random"] != shown["true"]
    assert shown["empty"] == shown["true"]
    assert len({tuple(row) for row in shown["random"]}) == 2, "one draw per episode"
    assert {row["text"] for row in runs["empty"].table("predictions")} == {" A", " B"}
    assert "positive" not in runs["empty"].table("prompts")[0]["context"]
    for labels, row in zip(shown["flipped"], runs["flipped"].table("prompts"), strict=True):
        assert re.findall("Sentiment: (.*)", row["context"]) == labels, "what is recorded is what the model read"


def test_label_ablations_of_choices(tmp_path: Path) -> None:
    example = Example("x", {"question": "?"}, "B", choices=("a", "b", "c"))
    assert {shown_as(example, "flipped", (), 0, f"e{e}").target for e in range(20)} == {"A", "C"}
    assert {shown_as(example, "random", (), 0, f"e{e}").target for e in range(20)} == {"A", "B", "C"}
    three = [shown_as(Example("x", {}, label), "flipped", ("p", "q", "r"), 0, "e").target for label in "pqr"]
    assert three in (["q", "r", "p"], ["r", "p", "q"]), "a permutation without a fixed point"


@pytest.mark.parametrize("labels", ["random", "flipped", "empty"])
def test_label_ablations_need_labels(spec: RunSpec, tmp_path: Path, labels: str) -> None:
    with pytest.raises(IclError, match=f"--labels {labels} needs a task with two or more labels"):
        evaluate(replace(spec, task="country-capital", labels=labels), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_twenty_episodes_have_a_bootstrap(spec: RunSpec, tmp_path: Path) -> None:
    run = evaluate(replace(spec, episodes=20, queries=4, shots=1, calibration=("none",)), out=tmp_path)
    low, high = run.summary["metrics"]["none"]["accuracy"]["bootstrap95"]
    assert low < run.summary["metrics"]["none"]["accuracy"]["mean"] < high


def test_one_episode_has_no_interval(spec: RunSpec, tmp_path: Path) -> None:
    run = evaluate(replace(spec, episodes=1), out=tmp_path)
    assert run.summary["metrics"]["none"]["accuracy"]["ci95"] is None


def test_prompts_over_the_window_drop_whole_demonstrations_when_asked(spec: RunSpec, tmp_path: Path) -> None:
    long = replace(spec, shots=20, episodes=1, queries=3, calibration=("none",))
    with pytest.raises(IclError, match=r"--overflow drop \(or fewer\) to leave out whole demonstrations"):
        evaluate(long, out=tmp_path)
    assert not list(tmp_path.glob("my-sentiment-*")), "nothing is written"
    run = evaluate(replace(long, overflow="drop"), out=tmp_path)
    for row in run.table("prompts"):
        assert row["dropped"] > 0
        assert row["dropped"] + len(row["demonstrations"]) == 20
        assert row["context"].startswith("Text: "), "no demonstration is cut in the middle"
        assert row["tokens"] <= 512


def test_scores_that_are_no_numbers_are_refused(spec: RunSpec, tmp_path: Path, tiny_model_dir: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    broken.mkdir()
    for path in tiny_model_dir.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][:] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(IclError, match="scores must be finite numbers"):
        evaluate(replace(spec, model=str(broken)), out=tmp_path / "runs")


GENERATION = """\
name: my-words
kind: generation
description: Past tenses.
source: {type: files, path: words.csv}
splits:
  demonstration: {from: all, part: 0-50}
  test: {from: all, part: 50-100}
inputs: {input: verb}
target: past
distractors: 3
max_new_tokens: 4
stop: ["\\n"]
metrics: [exact_match, token_f1]
template: word-plain
licence: CC0-1.0
citation: made up for a test
"""


def test_generation_is_scored_as_text_and_as_choices(spec: RunSpec, tmp_path: Path) -> None:
    verbs = [
        "walk",
        "talk",
        "jump",
        "look",
        "call",
        "ask",
        "help",
        "turn",
        "start",
        "show",
        "play",
        "move",
        "live",
        "work",
        "seem",
        "open",
        "wait",
        "stay",
        "pull",
        "push",
    ]
    lines = ["verb,past", *(f"{verb},{verb}ed" for verb in verbs)]
    (tmp_path / "words.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card = tmp_path / "my_words.yaml"
    card.write_text(GENERATION, encoding="utf-8")
    asked = replace(spec, task=str(card), episodes=2, queries=4)
    run = evaluate(asked, out=tmp_path)
    assert set(run.summary["metrics"]) == {"none"}
    assert set(run.summary["metrics"]["none"]) == {"exact_match", "token_f1", "accuracy", "nll", "ece"}
    rows = run.table("predictions")
    written = [row for row in rows if row["candidate"] == ""]
    assert len(written) == 8
    assert all(row["logprob"] is None and row["answers"] == [row["target"]] for row in written)
    assert len(rows) - len(written) == 8 * 4
    written = evaluate(replace(asked, calibration=("none", "pmi")), out=tmp_path)
    assert {"exact_match", "accuracy"} <= set(written.summary["metrics"]["none"])
    assert "accuracy" in written.summary["metrics"]["pmi"]
    card.write_text(GENERATION.replace("distractors: 3\n", ""), encoding="utf-8")
    for wrong in ({"normalise": "byte"}, {"calibration": ("pmi",)}):
        with pytest.raises(IclError, match="needs candidates with scores, but the answers of task 'my-words' are written"):
            evaluate(replace(asked, **wrong), out=tmp_path)


def test_a_multiple_choice_card(spec: RunSpec, tmp_path: Path) -> None:
    rows = [{"question": f"what is {a} + 1?", "choices": [str(a + 1), str(a), str(a + 7)], "answer": "A"} for a in range(40)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    card = tmp_path / "sums.yaml"
    card.write_text(
        "name: sums\nkind: multiple_choice\ndescription: Sums.\nsource: {type: files, path: sums.jsonl}\n"
        "splits:\n  demonstration: {from: all, part: 0-50}\n  test: {from: all, part: 50-100}\n"
        "inputs: {question: question}\nchoices: {texts: choices}\ntarget: answer\n"
        "metrics: [accuracy]\ntemplate: qa-cloze\nlicence: CC0-1.0\ncitation: made up\n",
        encoding="utf-8",
    )
    cloze = evaluate(replace(spec, task=str(card), episodes=2, queries=5), out=tmp_path)
    assert set(cloze.summary["metrics"]) == {"none"}
    letters = evaluate(replace(spec, task=str(card), template="qa-letters", episodes=2, queries=5), out=tmp_path)
    assert set(letters.summary["metrics"]) == {"none", "contextual", "domain-context", "batch"}
    assert "label_bias" in letters.summary["metrics"]["batch"]
    for selector, template in (("random", "qa-cloze"), ("bm25", "qa-cloze"), ("random", "qa-letters")):
        asked = replace(spec, task=str(card), template=template, selector=selector, episodes=2, queries=5, calibration=("none", "pmi"))
        run = evaluate(asked, out=tmp_path)
        assert set(run.summary["metrics"]) == {"none", "pmi"}
        free = run.table("content_free")
        texts = [(row["episode"], row["query"], row["candidate"], row["text"]) for row in run.table("predictions")]
        assert [(row["episode"], row["belongs_to"], row["candidate"], row["text"]) for row in free] == texts, "a premise for every query"
        by_byte = evaluate(replace(asked, normalise="byte"), out=tmp_path)
        assert by_byte.name != run.name
        assert by_byte.table("predictions") == run.table("predictions"), "raw scores are kept as they are"
        assert by_byte.cost["spans_reused"] == len(texts) + len(free), "nothing is computed again"
        assert by_byte.summary["metrics"] != run.summary["metrics"]
    with pytest.raises(IclError, match="calibration 'batch' needs the same candidates for every query"):
        evaluate(replace(spec, task=str(card), calibration=("batch",), queries=5), out=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": "sentiment-plan"}, "unknown template 'sentiment-plan': did you mean sentiment-plain"),
        ({"order": "similar"}, "unknown order 'similar'"),
        ({"selector": "knm"}, "unknown selector 'knm': did you mean knn"),
        ({"calibration": ("batsh",)}, "unknown calibration 'batsh': did you mean batch"),
        ({"model": "builtin:smollm"}, "unknown model 'builtin:smollm'"),
        ({"model": "./nowhere"}, "unknown model './nowhere'"),
        ({"model": "nobody/nothing"}, "is not on this machine and the hub cannot be reached"),
        ({"dtype": "float8"}, "unknown dtype 'float8'"),
        ({"device": "toaster"}, "--device must be auto, cpu, cuda or cuda:N"),
        ({"queries": 1000}, "--queries"),
        ({"shots": 500}, "--shots"),
        ({"split": "demonstration"}, "demonstrations would come from the evaluated rows"),
        ({"split": "validation"}, "validation"),
        ({"template": "boolq-plain"}, "needs the fields passage, question"),
        ({"pool": 10_000}, "10000"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(spec: RunSpec, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(IclError) as caught:
        evaluate(replace(spec, **change), out=tmp_path / "runs")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").glob("*/*"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shots": -1}, "shots >= 0 must hold, but got -1"),
        ({"episodes": 0}, "episodes >= 1"),
        ({"queries": 0}, "queries >= 1"),
        ({"labels": "flip"}, "unknown labels 'flip': did you mean flipped"),
        ({"normalise": "bite"}, "unknown length normalisation 'bite': did you mean byte"),
        ({"overflow": "cut"}, "unknown overflow policy 'cut'"),
        ({"shots": 9, "pool": 4}, "shots <= pool must hold"),
    ],
)
def test_a_spec_checks_itself(values: dict[str, Any], message: str) -> None:
    with pytest.raises(IclError) as caught:
        RunSpec("movie-sentiment", **values)
    assert message in str(caught.value)


def test_a_spec_survives_its_json() -> None:
    spec = RunSpec("t", calibration=("batch", "none"), shots=3)
    assert RunSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_content_free_inputs_stand_under_the_demonstrations_that_the_query_kept(spec: RunSpec, tmp_path: Path) -> None:
    """Queries of different lengths keep different numbers of demonstrations; what calibrates a query must have seen its own context."""
    data = Path(spec.task).parent / "reviews.csv"
    lines = data.read_text(encoding="utf-8").splitlines()
    data.write_text("\n".join([lines[0], *(f'"{"very " * (i % 7 * 12)}{line[1:]}' for i, line in enumerate(lines[1:]))]), encoding="utf-8")
    run = evaluate(replace(spec, shots=8, episodes=1, queries=12, overflow="drop", calibration=("none", "contextual")), out=tmp_path)
    dropped = {row["query"]: row["dropped"] for row in run.table("prompts")}
    assert len(set(dropped.values())) > 1, "otherwise this test shows nothing"
    free = run.table("content_free")
    assert {row["belongs_to"] for row in free} == set(dropped)
    by_query = {q: tuple(row["logprob"] for row in free if row["belongs_to"] == q) for q in dropped}
    for a in dropped:
        for b in dropped:
            assert (by_query[a] == by_query[b]) == (dropped[a] == dropped[b])


@pytest.mark.parametrize("selector", ["random", "bm25"])
def test_fewer_gives_all_queries_of_an_episode_as_many_demonstrations_as_the_longest_takes(
    spec: RunSpec, tmp_path: Path, selector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(spec.task).parent / "reviews.csv"
    lines = data.read_text(encoding="utf-8").splitlines()
    data.write_text("\n".join([lines[0], *(f'"{"very " * (i % 7 * 12)}{line[1:]}' for i, line in enumerate(lines[1:]))]), encoding="utf-8")
    asked = replace(spec, shots=8, episodes=2, queries=12, selector=selector, calibration=("none", "contextual"))
    dropped, fewer = (evaluate(replace(asked, overflow=policy), out=tmp_path / "a") for policy in ("drop", "fewer"))
    by_need, alike = ([(row["episode"], row["dropped"]) for row in run.table("prompts")] for run in (dropped, fewer))
    most = {episode: max(n for of, n in by_need if of == episode) for episode, _ in by_need}
    assert alike == [(episode, most[episode]) for episode, _ in by_need]
    assert len(set(by_need)) > 2, "otherwise this test shows nothing"
    assert {row["belongs_to"] == "" for row in fewer.table("content_free")} == {selector == "random"}, "one context for all, if it can be"
    assert all(len(row["demonstrations"]) == 8 - row["dropped"] for row in fewer.table("prompts"))
    text = (fewer.dir / "report.html").read_text(encoding="utf-8")
    assert re.search(r"The longest takes \d+ tokens, \d+\s%", text)

    monkeypatch.setattr("icl.sections.REQUESTS", 8)
    cut = evaluate(replace(asked, overflow="fewer"), out=tmp_path / "b")
    assert cut.table("prompts") == fewer.table("prompts"), "sections of an episode agree"


def test_hundreds_of_demonstrations_fill_the_window(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demonstration takes some twenty tokens: 58 do not fit, and how many do is found by halving."""
    import icl.plan

    calls = []
    tokenise = icl.plan.tokenise
    monkeypatch.setattr(icl.plan, "tokenise", lambda encoder, prompts: calls.append(1) or tokenise(encoder, prompts))
    run = evaluate(replace(spec, shots=58, episodes=1, queries=4, overflow="fewer", calibration=("none",)), out=tmp_path)
    kept = {len(row["demonstrations"]) for row in run.table("prompts")}
    assert len(kept) == 1
    longest = max(row["tokens"] for row in run.table("prompts"))
    assert 512 - 60 < longest <= 512, "one more would not have fitted"
    assert len(calls) < 4 + 4 * 8
    assert run.environment["engine"]["window"] == 512


def test_an_episode_with_fewer_labels_in_play_scores_only_those(spec: RunSpec, tmp_path: Path) -> None:
    card = Path(spec.task)
    three = card.read_text(encoding="utf-8").replace("labels: {negative: negative,", "labels: {mixed: mixed, negative: negative,")
    card.write_text(three, encoding="utf-8")
    with (card.parent / "reviews.csv").open("a", encoding="utf-8") as file:
        file.writelines(f'"so and so, number {i}",mixed\n' for i in range(60))
    task = load_task(card)
    asked = [e.id for e in task.splits["test"] if e.target != "mixed"][:6]
    two = ("negative", "positive")
    episodes = [Episode(f"e{i:03d}", task.name, "demonstration", None, "test", tuple(asked), two, task.fingerprint) for i in range(2)]
    write_episodes(tmp_path / "two.jsonl", episodes)
    run = evaluate(replace(spec, shots=6, episodes=2, queries=6), out=tmp_path, episodes=tmp_path / "two.jsonl")
    assert {row["candidate"] for row in run.table("predictions")} == set(two)
    shown = {id for row in run.table("prompts") for id in row["demonstrations"]}
    assert {task.splits["demonstration"].by_id(id).target for id in shown} == set(two)
    wrong = replace(episodes[0], query=tuple(e.id for e in task.splits["test"] if e.target == "mixed")[:2])
    write_episodes(tmp_path / "wrong.jsonl", [wrong])
    with pytest.raises(IclError, match="has the label 'mixed', but in play are negative, positive"):
        evaluate(replace(spec, episodes=1, queries=2), out=tmp_path, episodes=tmp_path / "wrong.jsonl")
