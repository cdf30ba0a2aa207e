"""`icl models`: the embedded models, and what is known about any model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from icl.cli.options import Debug, Json, print_json, when_interrupted

if TYPE_CHECKING:
    from icl.models import ModelSource

KEPT = "what was fetched whole is kept; the same command goes on"

app = typer.Typer(help="Models: list the embedded ones, fetch one, say what one is.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="builtin:NAME, a directory, a GGUF file or a hub id.")]


@app.command("list")
def list_models(json: Json = False, debug: Debug = False) -> None:
    """The embedded models."""
    from icl.models.builtin import BUILTINS

    rows = [{"name": name, "description": b.description, "licence": b.licence} for name, b in BUILTINS.items()]
    if json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['name']}  {row['description']}  ({row['licence']})")
    print("--model also takes a local directory, a .gguf file or a hub id such as HuggingFaceTB/SmolLM2-135M-Instruct.")


@app.command("pull")
def pull(name: Name, json: Json = False, debug: Debug = False) -> None:
    """Fetch a model (and convert it, if it is a GGUF file), so that later runs need no network."""
    from icl.models.resolve import resolve_model

    with when_interrupted(KEPT):
        source = resolve_model(name)
    if json:
        print_json({"name": source.name, "path": str(source.path)})
    else:
        print(f"{source.name} is ready in {source.path}")


@app.command("info")
def info(name: Name, json: Json = False, debug: Debug = False) -> None:
    """What a model is: where it lies, how large, which dtype, what was lost in conversion."""
    facts = _facts(name)
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        for line in value if isinstance(value, list) else [value]:
            print(f"{key:16} {line}")


def _facts(name: str) -> dict[str, Any]:
    from icl.models.load import load_config
    from icl.models.resolve import resolve_model

    with when_interrupted(KEPT):
        source = resolve_model(name)
    config = load_config(source)
    return {
        "name": source.name,
        "path": str(source.path),
        "description": source.description,
        "licence": source.licence,
        "notes": list(source.notes),
        "fingerprint": source.fingerprint,
        "architecture": config.model_type,
        "parameters": _parameters(source),
        "layers": getattr(config, "num_hidden_layers", None),
        "hidden_size": getattr(config, "hidden_size", None),
        "vocabulary": getattr(config, "vocab_size", None),
        "context_window": getattr(config, "max_position_embeddings", None),
        "stored_dtype": str(config.dtype).removeprefix("torch.") if config.dtype is not None else None,
    }


def _parameters(source: ModelSource) -> int | None:
    """Counted from the headers of the safetensors files; None when there are none."""
    from math import prod

    from safetensors import safe_open

    from icl.models.load import explained

    files = sorted(source.path.glob("*.safetensors"))
    total = 0
    for file in files:
        with explained(f"--model {source.name}: {file} is damaged"), safe_open(file, framework="pt") as tensors:
            total += sum(prod(tensors.get_slice(key).get_shape()) for key in list(tensors.keys()))
    return total if files else None
