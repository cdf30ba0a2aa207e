"""`icl sensitivity`: how much of a result is luck."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icl.cli.options import DataDir, Debug, Fresh, Json, Out, count_or_all, names, print_json, when_interrupted


def command(
    task: Annotated[str, typer.Argument(help="A task of the library ('icl tasks list'), or the path of a card (.yaml).")],
    model: Annotated[str, typer.Option(help="Builtin, local directory, GGUF file or hub id.")] = "builtin:smollm2-135m",
    shots: Annotated[int, typer.Option(help="Demonstrations in the prompt.")] = 8,
    draws: Annotated[int, typer.Option(help="Random draws of demonstrations.")] = 6,
    orders: Annotated[int, typer.Option(help="Orders of each draw.")] = 2,
    templates: Annotated[
        str, typer.Option(help="Comma-separated names or .jinja files. [default: the task's own and up to three that serve it]")
    ] = "",
    formats: Annotated[
        int, typer.Option(help="Formats of each template (separators, casing, spacing, enumerators), its own among them.")
    ] = 2,
    words: Annotated[
        str, typer.Option(help="Sets of label words: own, title, lower, upper, synonym-1, … [default: own and one that changes something]")
    ] = "",
    budget: Annotated[
        int, typer.Option(help="Evaluations (a format x a query) to find the best and the worst format; 0: no search.")
    ] = 800,
    template: Annotated[str, typer.Option(help="The template whose formats are searched. [default: the first of --templates]")] = "",
    selector: Annotated[str, typer.Option(help="How demonstrations are drawn: random or balanced.")] = "random",
    pool: Annotated[int | None, typer.Option(help="Rows of the demonstration split to draw from. [default: all]")] = None,
    calibration: Annotated[
        str,
        typer.Option(help="Comma-separated names of calibrations, as 'icl evaluate' has them. [default: none and batch where it applies]"),
    ] = "",
    normalise: Annotated[str, typer.Option(help="Candidates' log-probabilities by length: none (sums), token or byte.")] = "none",
    queries: Annotated[str, typer.Option(help="Queries, the same for every prompt, or 'all'.")] = "50",
    split: Annotated[str, typer.Option(help="Role that is evaluated. [default: test, or validation where there is none]")] = "",
    seed: Annotated[int, typer.Option(help="Keys every random stream.")] = 0,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens of one forward pass. [default: by device]")] = None,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    fresh: Fresh = False,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")] = False,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="Load weights that are not safetensors.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how much of a result is luck: of demonstrations, order, template, format, label words; and the spread over formats."""
    from icl.cli.progress import Watcher
    from icl.sensitivity import SensitivitySpec, sensitivity
    from icl.sensitivity.terminal import print_sensitivity
    from icl.spec import RunSpec

    run = RunSpec(
        task=task,
        model=model,
        template=template,
        selector=selector,
        shots=shots,
        pool=pool,
        calibration=names(calibration),
        normalise=normalise,
        episodes=1,
        queries=count_or_all(queries, "queries"),
        split=split,
        seed=seed,
        dtype=dtype,
        device=device,
        batch_tokens=batch_tokens,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )
    spec = SensitivitySpec(
        run=run, draws=draws, orders=orders, templates=names(templates), formats=formats, words=names(words), budget=budget
    )
    with when_interrupted("nothing was scored yet"), Watcher() as watcher:
        finished = sensitivity(spec, out=out, data_dir=data_dir, fresh=fresh, events=watcher)
    if json:
        print_json(finished.to_json())
    else:
        print_sensitivity(finished)
