"""`icl tune`: prompts and learners tuned under equal budgets, tested once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icl.cli.options import DataDir, Debug, Json, Out, names, print_json, when_interrupted
from tasks.errors import IclError


def command(
    task: Annotated[
        str, typer.Argument(help="A task of the library ('icl tasks list'), or the path of a card (.yaml).", show_default=False)
    ] = "",
    methods: Annotated[
        str,
        typer.Option(
            help="Comma-separated: in-context (template, selector, order, shots, calibration), fine-tune, lora, ia3, bitfit, "
            "prompt-tuning, adapt-then-prompt, linear-probe, protonet, matching-net, maml, fomaml, reptile, anil, meta-sgd."
        ),
    ] = "in-context,lora",
    space: Annotated[Path | None, typer.Option(help="A space file (.yaml); --example prints one. [default: built-in spaces]")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a space file to start from.")] = False,
    sampler: Annotated[str, typer.Option(help="tpe, nsga2 (accuracy against FLOPs per query) or random.")] = "tpe",
    pruner: Annotated[str, typer.Option(help="hyperband, wilcoxon or none. [default: hyperband; none with nsga2]")] = "",
    trials: Annotated[int, typer.Option(help="Settings tried of each method, at most.")] = 50,
    budget: Annotated[str, typer.Option(help="Of each method: FLOPs (20TFLOP) or played episodes (60episodes).")] = "100TFLOP",
    k_shot: Annotated[
        str, typer.Option("--k-shot", help="Examples per label to learn from, or 'all' for in-context alone: the whole split.")
    ] = "4",
    episodes: Annotated[int, typer.Option(help="Validation episodes of a setting that is not given up before.")] = 9,
    queries: Annotated[int, typer.Option(help="Queries per validation episode.")] = 50,
    test_episodes: Annotated[int, typer.Option("--test-episodes", help="Test episodes of the best setting.")] = 10,
    test_queries: Annotated[int, typer.Option("--test-queries", help="Queries per test episode.")] = 100,
    model: Annotated[str, typer.Option(help="Builtin, local directory, GGUF file or hub id.")] = "builtin:smollm2-135m",
    template: Annotated[str, typer.Option(help="Of the learners, and where the search of prompts begins. [default: the task's own]")] = "",
    seed: Annotated[int, typer.Option(help="Keys every random stream.")] = 0,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens of one forward pass. [default: by device]")] = None,
    meta_steps: Annotated[int, typer.Option(help="Outer steps of meta-training.")] = 300,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tune prompts and learners on validation episodes, every method under the same budget; test the best setting of each, once."""
    from compare.tune.report.terminal import print_tuning
    from compare.tune.run import tune
    from compare.tune.spacefile import example_text, read_spaces
    from compare.tune.types import Budget, TuneSpec
    from icl.cli.options import count_or_all
    from icl.cli.progress import Watcher

    if example:
        print(example_text(), end="")
        return
    if not task:
        raise IclError("a tuning needs a task, as in 'icl tune movie-sentiment'; --example prints a space file to start from")
    spec = TuneSpec(
        task=task,
        methods=names(methods),
        model=model,
        template=template,
        k_shot=count_or_all(k_shot, "k-shot"),
        sampler=sampler,
        pruner=pruner,
        trials=trials,
        budget=Budget.parse(budget),
        episodes=episodes,
        queries=queries,
        test_episodes=test_episodes,
        test_queries=test_queries,
        seed=seed,
        dtype=dtype,
        device=device,
        batch_tokens=batch_tokens,
        meta_steps=meta_steps,
        spaces=read_spaces(space) if space else {},
    )
    with when_interrupted("nothing was played yet"), Watcher() as watcher:
        tuning = tune(spec, out=out, data_dir=data_dir, events=watcher)
    if json:
        print_json(tuning.to_json())
    else:
        print_tuning(tuning)
