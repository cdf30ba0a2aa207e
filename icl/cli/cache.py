"""`icl cache`: the score store and what else lies in the user's cache directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icl.cli.options import Debug, Json, print_json

app = typer.Typer(help="The score store and the cache of models and data: what they hold, how to shrink them.", no_args_is_help=True)


@app.command("info")
def info(json: Json = False, debug: Debug = False) -> None:
    """Where the caches lie, how large they are, how many scores are kept."""
    from icl.engine.store import ScoreStore, store_path
    from tasks.cache import cache_dir

    path = store_path()
    facts = {
        "score_store": str(path),
        "scores": ScoreStore(path).count() if path.is_file() else 0,
        "score_store_bytes": path.stat().st_size if path.is_file() else 0,
        "cache": str(cache_dir()),
        "models_bytes": _size(cache_dir() / "models"),
        "downloads_bytes": _size(cache_dir() / "downloads"),
    }
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        print(f"{key:18} {value:,}" if isinstance(value, int) else f"{key:18} {value}")


@app.command("prune")
def prune(
    older_than: Annotated[float, typer.Option("--older-than", min=0, help="Days; 0 drops every score.")] = 30.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Drop scores that were kept longer ago than so many days. They are computed again when they are needed."""
    from icl.engine.store import ScoreStore, store_path

    path = store_path()
    dropped = ScoreStore(path).prune(older_than) if path.is_file() else 0
    if json:
        print_json({"score_store": str(path), "dropped": dropped})
    else:
        print(f"{dropped:,} scores dropped from {path}")


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) if directory.is_dir() else 0
