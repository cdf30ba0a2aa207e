"""`icl compare`: the same episodes, in the context or in the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icl.cli.options import DataDir, Debug, Fresh, Json, Out, names, print_json, when_interrupted
from tasks.errors import IclError


def command(
    context: typer.Context,
    names_given: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK | RUN RUN...",
            help="A classification task of the library ('icl tasks list'), or the path of a card (.yaml). "
            "Or finished evaluations on the same queries, to set side by side.",
            show_default=False,
        ),
    ],
    learners: Annotated[
        str,
        typer.Option(
            help="Comma-separated: zero-shot, in-context, metaicl, fine-tune, lora, ia3, bitfit, prompt-tuning, adapt-then-prompt, "
            "linear-probe, protonet, matching-net, maml, fomaml, reptile, anil, meta-sgd."
        ),
    ] = "zero-shot,in-context,linear-probe,protonet,maml",
    k_shot: Annotated[str, typer.Option("--k-shot", help="Support examples per label, comma-separated: 1,4.")] = "4",
    n_way: Annotated[
        int | None, typer.Option("--n-way", help="Classes per episode, of those that the card holds out. [default: all labels]")
    ] = None,
    episodes: Annotated[int, typer.Option(help="Independent draws of support and queries.")] = 10,
    queries: Annotated[int, typer.Option(help="Queries per episode.")] = 100,
    model: Annotated[str, typer.Option(help="Builtin, local directory, GGUF file or hub id.")] = "builtin:smollm2-135m",
    template: Annotated[str, typer.Option(help="Template name or .jinja file. [default: the task's own]")] = "",
    calibration: Annotated[
        str, typer.Option(help="Of in-context learning: none, contextual, domain-context, batch, batch-log or pmi.")
    ] = "none",
    seed: Annotated[int, typer.Option(help="Keys every random stream.")] = 0,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens of one forward pass. [default: by device]")] = None,
    meta_steps: Annotated[int, typer.Option(help="Outer steps of meta-training.")] = 300,
    probes: Annotated[
        bool,
        typer.Option(
            "--probes/--no-probes",
            help="Also measure accuracy after every step of adapting, overlap of classes, and damaged demonstrations. Changes no result.",
        ),
    ] = True,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    fresh: Fresh = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare ways to learn a task from K examples per label: accuracy, paired differences to in-context learning, cost. Or finished
    evaluations on the same queries, in pairs with the first."""
    if len(names_given) > 1 or is_run(names_given[0]):
        beside(context, names_given, out, calibration, json)
        return
    (task,) = names_given
    from compare.report.terminal import print_comparison
    from compare.run import compare
    from compare.types import ComparisonSpec
    from icl.cli.progress import Watcher

    spec = ComparisonSpec(
        task=task,
        learners=names(learners),
        k_shot=counts(k_shot),
        episodes=episodes,
        queries=queries,
        model=model,
        template=template,
        calibration=calibration,
        seed=seed,
        dtype=dtype,
        device=device,
        batch_tokens=batch_tokens,
        meta_steps=meta_steps,
        n_way=n_way,
    )
    with when_interrupted("nothing was finished yet"), Watcher() as watcher:
        run = compare(spec, out=out, data_dir=data_dir, fresh=fresh, probes=probes, events=watcher)
    if json:
        print_json(run.to_json())
    else:
        print_comparison(run)


OF_RUNS = {"names_given", "calibration", "out", "json", "debug"}
"""Parameters that mean something for runs side by side."""


def is_run(name: str) -> bool:
    """Whether it is the directory of a finished run."""
    return (Path(name) / "summary.json").is_file()


def beside(context: typer.Context, runs: list[str], out: Path, calibration: str, json: bool) -> None:
    """Raises IclError for an option that only a comparison of learners has."""
    from compare.beside.run import set_beside
    from compare.beside.terminal import print_beside

    given = {name for name in context.params if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"}
    if wrong := sorted(given - OF_RUNS):
        raise IclError(
            f"--{wrong[0].replace('_', '-')} belongs to a comparison of learners on one task, but {len(runs)} runs are named "
            f"({', '.join(runs)}); leave it out, or name one task"
        )
    with when_interrupted("runs stay as they are"):
        found = set_beside(runs, out=out, calibration=calibration)
    if json:
        print_json(found.to_json())
    else:
        print_beside(found)


def counts(value: str) -> tuple[int, ...]:
    """`1,4` → (1, 4). Raises IclError for anything but positive whole numbers."""
    parts = names(value)
    if not parts or not all(part.isdigit() and int(part) >= 1 for part in parts):
        raise IclError(f"--k-shot must be positive whole numbers with commas between them, but is '{value}'; for example --k-shot 1,4")
    return tuple(int(part) for part in parts)
