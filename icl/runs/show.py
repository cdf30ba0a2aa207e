"""What the model saw: one prompt with its scored span marked, and all scored spans as lines that anyone can check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from icl.encode import Encoder
from icl.runs.store import Run
from icl.tokenise import tokenise
from prompts import Prompt
from tasks import IclError
from tasks.errors import unknown_name


def shown_query(run: Run, query: str, episode: str | None) -> dict[str, Any]:
    """A query of a run: its context, candidates with their scores, demonstrations. Raises IclError for an unknown query."""
    prompts = [row for row in run.table("prompts") if episode in (None, row["episode"])]
    rows = [row for row in prompts if row["query"] == query]
    if not rows:
        raise unknown_name("query", query, {row["query"] for row in prompts})
    prompt = rows[0]
    scored = [r for r in run.table("predictions") if r["query"] == query and r["episode"] == prompt["episode"]]
    return {**prompt, "candidates": scored, "also_in": [row["episode"] for row in rows[1:]]}


def first_query(run: Run) -> str:
    """Id of the first query of the first episode."""
    return str(run.table("prompts")[0]["query"])


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
            if len(request.token_ids) - request.scored_from != row["tokens"]:
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
    context, answer = prompt_row["context"], prediction["text"]
    span = (len(context), len(context) + len(answer))
    demonstrations = tuple(prompt_row["demonstrations"])
    return Prompt(prediction["query"], prediction["candidate"], context + answer, span, demonstrations, prompt_row["special_tokens"])


def export(run: Run, tokenizer: Any, path: Path) -> int:
    """Writes `exported` as JSON lines; returns how many. A file that exists is refused."""
    if path.exists():
        raise IclError(f"--to {path} must be a new file, but it exists")
    count = 0
    with path.open("x", encoding="utf-8") as file:
        for record in exported(run, tokenizer):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count
