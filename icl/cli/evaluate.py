"""`icl evaluate`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icl.cli.options import DataDir, Debug, Fresh, Json, Out, count_or_all, names, print_json, when_interrupted
from tasks.errors import IclError

OF_THE_EPISODES = ("episodes", "queries", "split", "pool")
"""Options that say how episodes are drawn: an episodes file says it already."""


def from_file(context: typer.Context, path: Path | None) -> Path | None:
    """The file's values stand for options that are not given. Raises IclError for one that is no option of a run."""
    if path is not None:
        from icl.specfile import read_options

        context.default_map = {**(context.default_map or {}), **read_options(path)}
    return path


def command(
    context: typer.Context,
    task: Annotated[
        str, typer.Argument(help="A task of the library ('icl tasks list'), or the path of a card (.yaml). A --spec names one, too.")
    ] = "",
    spec_file: Annotated[
        Path | None,
        typer.Option(
            "--spec", is_eager=True, callback=from_file, help="A file of options (as 'icl tune' writes it); those given here come first."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Builtin, local directory, GGUF file or hub id.")] = "builtin:smollm2-135m",
    template: Annotated[str, typer.Option(help="Template name or .jinja file. [default: the task's own]")] = "",
    selector: Annotated[
        str,
        typer.Option(
            help="random, balanced, fixed, bm25, knn, bm25-stratified, knn-stratified, mmr, dpp, set-coverage, votek, k-center, "
            "perplexity, mdl, condacc, epr, "
            "or fixed:ID,ID,…"
        ),
    ] = "random",
    order: Annotated[
        str,
        typer.Option(
            help="given (by the selector), random, similarity-ascending, similarity-descending, label-alternating, "
            "global-entropy, local-entropy, exhaustive (at most 5 shots)."
        ),
    ] = "given",
    embedder: Annotated[
        str, typer.Option(help="What texts are embedded with: a sentence-transformers model. [default: the evaluated model]")
    ] = "",
    labels: Annotated[
        str,
        typer.Option(
            help="Labels that demonstrations show: true, random, flipped, empty (written as A, B, …), or auto (words found on the "
            "demonstration split)."
        ),
    ] = "true",
    shots: Annotated[int, typer.Option(help="Demonstrations in the prompt.")] = 8,
    pool: Annotated[int | None, typer.Option(help="Rows of the demonstration split to choose from. [default: all]")] = None,
    calibration: Annotated[
        str,
        typer.Option(
            help="Comma-separated: none, contextual, domain-context, batch, batch-log, pmi, channel, prototypical, knn-prompting, "
            "hidden. "
            "[default: the first four, as far as they apply]"
        ),
    ] = "",
    normalise: Annotated[str, typer.Option(help="Candidates' log-probabilities by length: none (sums), token or byte.")] = "none",
    episodes: Annotated[int, typer.Option(help="Independent draws of demonstrations and queries.")] = 5,
    queries: Annotated[str, typer.Option(help="Queries per episode, or 'all'.")] = "100",
    split: Annotated[str, typer.Option(help="Role that is evaluated. [default: test, or validation where there is none]")] = "",
    seed: Annotated[int, typer.Option(help="Keys every random stream.")] = 0,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    device_map: Annotated[
        str, typer.Option("--device-map", help="Spread a model too big for one device: auto, balanced, sequential. [default: one device]")
    ] = "",
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens of one forward pass. [default: by device]")] = None,
    overflow: Annotated[
        str,
        typer.Option(
            help="Prompt over the context window: error, drop (whole demonstrations, where a query needs it), or fewer (the same number "
            "for all queries of an episode)."
        ),
    ] = "error",
    chat: Annotated[bool, typer.Option("--chat", help="Demonstrations as turns of the tokenizer's chat template.")] = False,
    episodes_file: Annotated[Path | None, typer.Option("--episodes-file", help="Use the episodes of this file (episodes.jsonl).")] = None,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    fresh: Fresh = False,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")] = False,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="Load weights that are not safetensors.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how well a model learns a task from examples in its prompt: mean ± 95 % interval over episodes, with its cost."""
    from icl.cli.progress import Watcher
    from icl.evaluation import evaluate
    from icl.report.terminal import print_run
    from icl.spec import RunSpec

    if not task:
        raise IclError("a task must be named; use 'icl evaluate movie-sentiment', or --spec FILE with a task in it")
    if episodes_file is not None:
        refuse_with_a_file(context)
    spec = RunSpec(
        task=task,
        model=model,
        template=template,
        selector=selector,
        embedder=embedder,
        order=order,
        labels=labels,
        shots=shots,
        pool=pool,
        calibration=names(calibration),
        normalise=normalise,
        episodes=episodes,
        queries=count_or_all(queries, "queries"),
        split=split,
        seed=seed,
        dtype=dtype,
        device=device,
        device_map=device_map,
        batch_tokens=batch_tokens,
        overflow=overflow,
        chat=chat,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )
    with when_interrupted("nothing was scored yet"), Watcher() as watcher:
        run = evaluate(spec, out=out, data_dir=data_dir, episodes=episodes_file, fresh=fresh, events=watcher)
    if json:
        print_json(run.to_json())
    else:
        print_run(run)


def refuse_with_a_file(context: typer.Context) -> None:
    """Raises IclError for an option that would be overridden by the episodes file without a word."""
    given = [name for name in OF_THE_EPISODES if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    if given:
        raise IclError(f"--episodes-file says which episodes, so --{given[0]} must not be given with it; leave one of them out")
