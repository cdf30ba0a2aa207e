"""Fabricated runs for the tests of the report: no model, no task; scores are drawn, prompts are written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from icl.results import metrics_json, metrics_of
from icl.runs import write_json
from icl.runs.tables import write_tables
from icl.spec import ResolvedSpec, RunSpec

EVIL = "</script><script>alert(1)</script> & <img src=x onerror=alert(2)>"
LABELS = ("negative", "positive")
CALIBRATIONS = ("none", "contextual", "domain-context", "batch")
REVIEWS = (
    "A quietly devastating film about memory, told without a wasted shot.",
    "Two hours of noise in search of a plot; I checked my watch twice.",
    "Es ist schön — 素晴らしい, магия 🎬 and then some.",
    EVIL,
    "The leads have charm to spare, which is lucky, because the script has none.",
)


def sentiment_run(directory: Path, *, episodes: int = 5, queries: int = 20, labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    """A classification run with all four calibrations, a model biased to the last label, and some dropped demonstrations."""
    rng = np.random.default_rng(7)
    tables: dict[str, list[dict[str, Any]]] = {"predictions": [], "content_free": [], "prompts": []}
    for e in range(episodes):
        name = f"e{e:03d}"
        lean = np.linspace(0.0, 1.6, len(labels)) + rng.normal(0, 0.2, len(labels))
        shared = "\n".join(f"Review: {REVIEWS[i % 5]}\nSentiment: {LABELS[i % 2]}\n" for i in range(e, e + 4))
        for q in range(queries):
            target = (q + e) % len(labels)
            scores = -4 + lean + rng.normal(0, 0.7, len(labels)) + 1.6 * (np.arange(len(labels)) == target)
            row = {"episode": name, "query": f"q{e * 7 + q:04d}", "target": labels[target], "answers": None}
            row |= {"predicted": labels[int(scores.argmax())], "tokens": 1}
            tables["predictions"] += [
                {**row, "candidate": c, "text": f" {c}", "logprob": float(s)} for c, s in zip(labels, scores, strict=True)
            ]
            context = f"\n{shared}\nReview: {REVIEWS[q % 5]} ({q})\nSentiment:"
            prompt = {"episode": name, "query": row["query"], "context": context, "special_tokens": True}
            tables["prompts"].append({**prompt, "demonstrations": ["d1", "d2"], "dropped": int(q == 3 and e == 0)})
        for part in ("content_free", "domain"):
            for item in range(3):
                free = -4 + lean + rng.normal(0, 0.3, len(labels))
                row = {"episode": name, "part": part, "item": f"{part}:{item}", "belongs_to": ""}
                tables["content_free"] += [{**row, "candidate": c, "logprob": float(s)} for c, s in zip(labels, free, strict=True)]
    spec = RunSpec("movie-sentiment", calibration=CALIBRATIONS, episodes=episodes, queries=queries, overflow="drop")
    return _write(directory, spec, tables, "movie-sentiment", "classification", labels)


def generation_run(directory: Path, *, scored: bool = False) -> dict[str, Any]:
    """Written answers; with `scored`, the same queries as multiple choice too."""
    rng = np.random.default_rng(11)
    tables: dict[str, list[dict[str, Any]]] = {"predictions": [], "content_free": [], "prompts": []}
    capitals = {"France": "Paris", "Japan": "Tokyo", "Côte d'Ivoire": "Yamoussoukro", "Kenya": "Nairobi", EVIL: "Nowhere"}
    for e in range(5):
        for q, (country, capital) in enumerate(capitals.items()):
            right = rng.random() < 0.6
            text = capital if right else "I <b>think</b> it is Lyon" if q else ""
            row = {"episode": f"e{e:03d}", "query": f"q{q}"}
            written = {"candidate": "", "text": f" {text}", "logprob": None, "tokens": 0, "predicted": text, "target": capital}
            tables["predictions"].append({**row, **written, "answers": [capital, f"{capital} City"]})
            if scored:
                tables["predictions"] += _choices(row, [capital, "Lyon", "Oslo"], rng)
            context = f"Country: Peru\nCapital: Lima\n\nCountry: {country}\nCapital:"
            tables["prompts"].append({**row, "context": context, "special_tokens": True, "demonstrations": ["d"], "dropped": 0})
    spec = RunSpec("country-capital", shots=1, calibration=("none",), episodes=5, queries=5)
    return _write(directory, spec, tables, "country-capital", "generation", ())


def choice_run(directory: Path, *, episodes: int = 3) -> dict[str, Any]:
    """Multiple choice whose choices are texts: candidates without a fixed meaning, three or four of them."""
    rng = np.random.default_rng(5)
    tables: dict[str, list[dict[str, Any]]] = {"predictions": [], "content_free": [], "prompts": []}
    for e in range(episodes):
        for q in range(8):
            row = {"episode": f"e{e:03d}", "query": f"q{q}"}
            tables["predictions"] += _choices(row, ["rain", "a stone", "sunlight", "iron"][: 3 + q % 2], rng)
            context = f"Question: what do plants need most? ({q})\nAnswer:"
            tables["prompts"].append({**row, "context": context, "special_tokens": True, "demonstrations": [], "dropped": 0})
    spec = RunSpec("openbookqa", shots=0, calibration=("none",), episodes=episodes, queries=None)
    return _write(directory, spec, tables, "openbookqa", "multiple_choice", ())


def _choices(row: dict[str, Any], choices: list[str], rng: np.random.Generator) -> list[dict[str, Any]]:
    scores = rng.normal(-6, 1.5, len(choices))
    right = int(rng.integers(len(choices)))
    common = {**row, "tokens": 2, "predicted": "ABCD"[int(scores.argmax())], "target": "ABCD"[right], "answers": None}
    rows = zip("ABCD", choices, scores.tolist(), strict=False)
    return [{**common, "candidate": letter, "text": f" {text}", "logprob": score} for letter, text, score in rows]


def _write(
    directory: Path, spec: RunSpec, tables: dict[str, list[dict[str, Any]]], task: str, kind: str, labels: tuple[str, ...]
) -> dict[str, Any]:
    """The files of a run but its summary, which is returned."""
    directory.mkdir(parents=True, exist_ok=True)
    write_tables(directory, tables)
    resolved = ResolvedSpec(spec, "a" * 64, "b" * 64, "c" * 64, "d" * 64)
    write_json(directory / "spec.json", resolved.to_json())
    write_json(directory / "environment.json", _environment(spec, task, kind, labels))
    seconds = {"prepare": 1.31, "load": 2.9, "plan": 0.42, "score": 83.7, "metrics": 0.2}
    cost = {"tokens_unique": 41_873, "tokens_total": 389_114, "flops": 11_300_000_000_000, "seconds": seconds}
    write_json(directory / "cost.json", {**cost, "peak_memory_bytes": 1_520_000_000})
    metrics = metrics_json(metrics_of(tables["predictions"], tables["content_free"], labels, spec.calibration))
    return {"spec_sha256": resolved.hash(), "metrics": metrics}


def _environment(spec: RunSpec, task: str, kind: str, labels: tuple[str, ...]) -> dict[str, Any]:
    run = {"task": task, "kind": kind, "labels": list(labels), "model": spec.model}
    return {
        "python": "3.11.9",
        "platform": "Linux x86_64",
        "packages": {"icl-lab": "0.1.0", "torch": "2.13.0", "bm25s": None},
        "git_revision": None,
        "device": "cpu",
        "device_name": "A processor",
        "dtype": "bfloat16",
        "cpu_cores": 2,
        "torch_threads": 2,
        "engine": {"back_end": "hf", "path": "prefix", "notes": []},
        "model": {"name": spec.model, "fingerprint": "b" * 64, "description": "SmolLM2 135M Instruct", "notes": ["Q4_1, made dense"]},
        "template": {"name": "review", "sha256": "c" * 64},
        "data": {"fingerprint": "a" * 64, "source": "a package", "licence": "MIT", "dropped": {"the same text twice": 12}},
        "run": {**run, "n_episodes": spec.episodes, "n_queries": spec.queries or 8, "split": "test"},
    }
