"""`icl compare`: the same episodes, in the context or in the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icl.cli import meta_train
from icl.cli.options import DataDir, Debug, Fresh, Json, Out, Workspace, counts, given, names, print_json, when_interrupted
from tasks.errors import IclError


def command(
    context: typer.Context,
    names_given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TASK | RUN RUN... | meta-train LEARNER [TASK...]",
            help="A classification task of the library ('icl tasks list'), or the path of a card (.yaml). "
            "Or images: glyphs, omniglot, miniimagenet, digits, with a split after a colon. "
            "Or finished evaluations on the same queries, to set side by side. Or a learner to meta-train on the tasks of the workspace.",
            show_default=False,
        ),
    ] = None,
    learners: Annotated[
        str,
        typer.Option(
            help="On images snail, mann, in-context-transformer, fine-tune and, from linear-probe on, all but matching-net-fce. 'all' is "
            "whoever can run here; or names with commas: zero-shot, in-context, metaicl, fine-tune, lora, ia3, bitfit, prompt-tuning, "
            "adapt-then-prompt, linear-probe, protonet, matching-net, matching-net-fce, maml, fomaml, reptile, anil, meta-sgd. "
            "[default on images: protonet,maml]"
        ),
    ] = "zero-shot,in-context,linear-probe,protonet,maml",
    k_shot: Annotated[str, typer.Option("--k-shot", help="Support examples per label, comma-separated: 1,4. [default on images: 1]")] = "4",
    n_way: Annotated[
        int | None, typer.Option("--n-way", help="Classes per episode, of those that are held out. [default: all labels; on images 5]")
    ] = None,
    episodes: Annotated[int, typer.Option(help="Independent draws of support and queries. [default on images: 600]")] = 10,
    queries: Annotated[int, typer.Option(help="Queries per episode; on images of every class. [default on images: 15]")] = 20,
    model: Annotated[str, typer.Option(help="Builtin, local directory, GGUF file or hub id.")] = "builtin:smollm2-135m",
    embedder: Annotated[
        str,
        typer.Option(
            help="What linear-probe, metric learners and heads read: vectors of a sentence-transformers model. [default: hidden states of "
            "the language model]"
        ),
    ] = "",
    template: Annotated[str, typer.Option(help="Template name or .jinja file. [default: the task's own]")] = "",
    calibration: Annotated[
        str, typer.Option(help="Of in-context learning: none, contextual, domain-context, batch, batch-log or pmi.")
    ] = "none",
    seed: Annotated[int, typer.Option(help="Keys every random stream.")] = 0,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens of one forward pass. [default: by device]")] = None,
    meta_steps: Annotated[int, typer.Option(help="Outer steps of meta-training.")] = 300,
    budget: Annotated[
        float | None,
        typer.Option(
            help="TFLOP that a learner may spend at each K on test episodes: it plays the first ones, two at least. [default: all]"
        ),
    ] = None,
    adapts: Annotated[
        str,
        typer.Option(
            help="What the inner loop of maml, fomaml, reptile, anil and meta-sgd moves: head (on frozen features), lora (factors in the "
            "last layers of the model) or all (its weights)."
        ),
    ] = "head",
    settings: Annotated[
        Path | None, typer.Option(help="A file of learners' settings (as 'icl tune' writes it), used instead of a search.")
    ] = None,
    probes: Annotated[
        bool,
        typer.Option(
            "--probes/--no-probes",
            help="Also measure accuracy after every step of adapting, overlap of classes, and damaged demonstrations. Changes no result.",
        ),
    ] = True,
    meta_test: Annotated[
        str,
        typer.Option(
            "--meta-test",
            help="Comma-separated: other tasks (images: other image tasks) to play on as well, for shifts of the distribution. They take "
            "no part in meta-training.",
        ),
    ] = "",
    meta_trained: Annotated[
        str,
        typer.Option("--meta-trained", metavar="FILE", help="Version of 'icl compare meta-train' (.json) to use as one of the learners."),
    ] = "",
    resume: Annotated[
        str,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with an unfinished comparison, by its own options: its name or the beginning of it, its directory, or 'latest'.",
        ),
    ] = "",
    continued: Annotated[
        bool, typer.Option("--continue", help="With meta-train: go on from the newest version, with the tasks that have come since.")
    ] = False,
    workspace: Workspace = None,
    norm: Annotated[str, typer.Option(help="On images: batch (transductive) or layer.")] = "batch",
    backbone: Annotated[
        str, typer.Option(help="On images: conv4 (a maximum of 2 x 2 after each block) or conv4-strided (stride 2: MAML on Omniglot).")
    ] = "conv4",
    protocol: Annotated[str, typer.Option(help="On images, of meta-test episodes: fixed (N-way K-shot) or meta-dataset.")] = "fixed",
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    fresh: Fresh = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare ways to learn a task from K examples per label: accuracy, paired differences to in-context learning, cost. Or finished
    evaluations on the same queries, in pairs with the first."""
    if resume:
        go_on(context, resume, out, data_dir, json)
        return
    if names_given and names_given[0] == meta_train.WORD:
        meta_train.command(context, names_given[1:])
        return
    if wrong := sorted(given(context) & {"continued", "workspace"}):
        raise IclError(f"--{'continue' if wrong[0] == 'continued' else 'workspace'} belongs to 'icl compare meta-train'; leave it out")
    if not names_given:
        raise IclError("icl compare needs a task, for example: icl compare movie-sentiment; 'icl tasks list' shows those of the library")
    if len(names_given) > 1 or is_run(names_given[0]):
        beside(context, names_given, out, calibration, json)
        return
    (task,) = names_given
    from icl.cli.compare_images import OF_IMAGES, compare_on_images, refuse
    from tasks.images.sources import is_image_task

    if is_image_task(task):
        compare_on_images(context, task, counts(k_shot), json)
        return
    refuse(context, OF_IMAGES, f"belongs to a task of images, but '{task}' is none")
    from compare.report.terminal import print_comparison
    from compare.run import compare
    from compare.settingsfile import read_settings
    from compare.types import ComparisonSpec
    from icl.cli.progress import Watcher

    spec = ComparisonSpec(
        task=task,
        learners=names(learners),
        k_shot=counts(k_shot),
        episodes=episodes,
        queries=queries,
        model=model,
        embedder=embedder,
        template=template,
        calibration=calibration,
        seed=seed,
        dtype=dtype,
        device=device,
        batch_tokens=batch_tokens,
        meta_steps=meta_steps,
        budget=budget,
        n_way=n_way,
        meta_test=names(meta_test),
        meta_trained=meta_trained,
        adapts=adapts,
        settings=read_settings(settings) if settings else {},
    )
    with when_interrupted("nothing was finished yet"), Watcher() as watcher:
        run = compare(spec, out=out, data_dir=data_dir, fresh=fresh, probes=probes, events=watcher)
    if json:
        print_json(run.to_json())
    else:
        print_comparison(run)


OF_RESUMING = {"resume", "data_dir", "out", "json", "debug"}
"""Parameters that mean something for a comparison that goes on: the rest was decided when it was begun."""


def go_on(context: typer.Context, run: str, out: Path, data_dir: Path | None, json: bool) -> None:
    """Raises IclError for an option that was decided when the comparison was begun."""
    from icl.cli.runs import resume
    from icl.runs.find import find_unfinished, kind_of

    if wrong := sorted(given(context) - OF_RESUMING):
        what = "a task" if wrong[0] == "names_given" else f"--{wrong[0].replace('_', '-')}"
        raise IclError(f"--resume goes on with the options that run '{run}' was begun with, but {what} is given as well; leave it out")
    directory = find_unfinished(run, out)
    if kind_of(directory) not in {"compare", "compare-images"}:
        raise IclError(f"--resume goes on with comparisons, but {directory.name} is none; use 'icl runs resume {directory}'")
    resume(str(directory), data_dir=data_dir, out=out, json=json)


OF_RUNS = {"names_given", "calibration", "out", "json", "debug"}
"""Parameters that mean something for runs side by side."""


def is_run(name: str) -> bool:
    """Whether it is the directory of a finished run."""
    return (Path(name) / "summary.json").is_file()


def beside(context: typer.Context, runs: list[str], out: Path, calibration: str, json: bool) -> None:
    """Raises IclError for an option that only a comparison of learners has."""
    from compare.beside.run import set_beside
    from compare.beside.terminal import print_beside

    if wrong := sorted(given(context) - OF_RUNS):
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
