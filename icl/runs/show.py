"""What the model saw: one prompt with its scored span marked, and all scored spans as lines that anyone can check."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from icl.encode import Encoder
from icl.runs.files import UNFINISHED, writing
from icl.runs.store import Run
from icl.tokenise import tokenise
from prompts import Prompt
from tasks import IclError
from tasks.errors import unknown_name


def shown_query(run: Run, query: str | None, episode: str | None) -> dict[str, Any]:
    """A query of a run, by default the first: its context, candidates with their scores, demonstrations.

    Raises IclError for an unknown query or episode.
    """
    prompts = run.table("prompts")
    if episode is not None:
        episodes = dict.fromkeys(row["episode"] for row in prompts)
        if episode not in episodes:
            raise unknown_name("episode", episode, episodes, f"(run {run.name} has {len(episodes)}: {_span(list(episodes))})")
        prompts = [row for row in prompts if row["episode"] == episode]
    rows = [row for row in prompts if query in (None, row["query"])]
    if not rows:
        where = f" of episode {episode}" if episode else ""
        raise unknown_name("query", query or "", {row["query"] for row in prompts}, f"(looked in the prompts{where} of run {run.name})")
    prompt = rows[0]
    scored = [r for r in run.table("predictions") if (r["query"], r["episode"]) == (prompt["query"], prompt["episode"])]
    return {**prompt, "candidates": scored, "also_in": [row["episode"] for row in rows[1:] if row["query"] == prompt["query"]]}


def _span(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def exported(run: Run, tokenizer: Any) -> Iterator[dict[str, Any]]:
    """One record per scored candidate, with the whole text, its span in characters, and the token ids.

    Raises IclError when the tokenizer gives another number of scored tokens than the run recorded.
    """
    encoder = Encoder(tokenizer)
    contexts = {(row["episode"], row["query"]): row for row in run.table("prompts")}
    scored = (row for row in run.table("predictions") if row["logprob"] is not None)
    for key, of_query in groupby(scored, lambda row: (row["episode"], row["query"])):
        rows = list(of_query)
        prompts = [as_prompt(contexts[key], row) for row in rows]
        for row, prompt, request in zip(rows, prompts, tokenise(encoder, prompts), strict=True):
            if len(request.answer) != row["tokens"]:
                raise IclError(
                    f"query '{row['query']}', candidate '{row['candidate']}': the tokenizer does not split it as it did in the run"
                )
            yield {
                **{name: row[name] for name in ("episode", "query", "candidate")},
                "text": prompt.text,
                "span": list(prompt.span),
                "token_ids": list(request.token_ids),
                "scored_from": request.scored_from,
                **{name: row[name] for name in ("logprob", "target", "predicted")},
            }


def as_prompt(prompt_row: dict[str, Any], prediction: dict[str, Any]) -> Prompt:
    """The whole prompt of one scored candidate, put together from the tables."""
    demonstrations, special = tuple(prompt_row["demonstrations"]), prompt_row["special_tokens"]
    return Prompt(prediction["query"], prediction["candidate"], prompt_row["context"], prediction["text"], demonstrations, special)


def export(run: Run, tokenizer: Any, path: Path) -> int:
    """Writes `exported` as JSON lines, whole or not at all; returns how many. A file that exists is refused."""
    count = 0
    unfinished = path.with_name(f".{path.name}{UNFINISHED}{os.getpid()}")
    with writing(path, "choose another --to"):
        if path.exists() or path.is_symlink():
            raise IclError(f"--to {path} must be a new file, but it exists")
        try:
            with unfinished.open("x", encoding="utf-8") as file:
                for record in exported(run, tokenizer):
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
                    count += 1
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return count
