"""The benchmark, one command: `python benchmarks/run.py [--workloads A,C] [--peers icl,floor] [--repeats 3] [--out DIR]`.

On a machine with nothing else to do. Only one program computes at a time. Other programs live in environments of their own, which are made
on first use (`ICL_BENCH_ENVS` says where); one that cannot be installed is left out, and said.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
if str(REPOSITORY) not in sys.path:  # run as a script, Python looks beside it only
    sys.path.insert(0, str(REPOSITORY))

from benchmarks.exchange import Workload  # noqa: E402
from benchmarks.growing import measure_growth  # noqa: E402
from benchmarks.measure import OURS, measure, say  # noqa: E402
from benchmarks.peers import PEERS, PeerFailed, start  # noqa: E402
from benchmarks.report import Results, write  # noqa: E402
from benchmarks.workloads import WORKLOADS, Setting  # noqa: E402
from icl.environment import describe  # noqa: E402
from icl.models import load_tokenizer, resolve_model  # noqa: E402
from tasks import IclError  # noqa: E402

GROWTH = "growth"


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    known = (*WORKLOADS, GROWTH)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workloads", type=_names(known), default=list(known), help=f"of {','.join(known)}; default all")
    parser.add_argument("--peers", type=_names(tuple(PEERS)), default=list(PEERS), help=f"of {','.join(PEERS)}; icl always runs")
    parser.add_argument("--repeats", type=_at_least_one, default=3, help="rounds; medians are reported")
    parser.add_argument("--batches", type=_sizes, default=(), help="batch sizes for lm-eval to choose from; default: every sensible one")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "benchmarks", help="directory of the results")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the queries to run, for trying it out")
    parser.add_argument("--data-dir", type=Path, default=None, help="local mirror of hub data; default: ICL_DATA_DIR")
    parser.add_argument("--model", default="builtin:smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Runs what was asked for; 1 when nothing could be measured."""
    args = arguments(given)
    source = resolve_model(args.model)
    setting = Setting(load_tokenizer(source), args.data_dir, args.scale)
    workloads, left_out = made([name for name in args.workloads if name != GROWTH], setting)
    settings = {"model": args.model, "dtype": args.dtype, "scale": args.scale, "rounds": args.repeats}
    results = Results(machine({}, args.dtype), settings, [], [], left_out)
    with tempfile.TemporaryDirectory(prefix="icl-benchmark-") as scratch:
        measure_all(workloads, args, str(source.path), Path(scratch), results)
        if GROWTH in args.workloads:
            results.growth.extend(measure_growth(args.model, args.dtype, args.repeats, args.scale, args.data_dir, Path(scratch)))
    if not results.measured and not results.growth:
        say("nothing could be measured")
        return 1
    for path in write(results, args.out):
        print(path)
    return 0


def made(names: Sequence[str], setting: Setting) -> tuple[list[Workload], dict[str, str]]:
    """The workloads asked for, and name → why for what has no data here."""
    workloads: list[Workload] = []
    left_out: dict[str, str] = {}
    for name in names:
        say(f"preparing {name}")
        try:
            workloads.append(WORKLOADS[name](setting))
        except IclError as problem:
            left_out[name] = str(problem)
            say(f"{name} is left out: {problem}")
    return workloads, left_out


def measure_all(workloads: Sequence[Workload], args: argparse.Namespace, model: str, scratch: Path, results: Results) -> None:
    """Adds every workload, with every program that starts, to the results; they are written after each, since all take hours."""
    if not workloads:
        return
    names = [name for name in PEERS if name == OURS or name in args.peers]
    vocabulary = _vocabulary(model)
    running, missing = start(names, model, args.dtype)
    if OURS not in running:
        raise SystemExit(f"benchmarks: {missing[OURS]}")
    results.left_out.update(missing)
    results.machine.update(machine({name: process.facts for name, process in running.items()}, args.dtype))
    try:
        for workload in workloads:
            measured, failed = measure(workload, running, args.repeats, vocabulary, scratch, args.batches)
            results.measured.append(measured)
            results.left_out.update({f"{name} from {workload.name} on": why for name, why in failed.items()})
            write(results, args.out)
    finally:
        for process in running.values():
            process.close()


def machine(facts: dict[str, Any], dtype: str) -> dict[str, Any]:
    """Where it was measured, and with what."""
    here = describe("cpu", dtype)
    return {
        "cpu": here["device_name"],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else here["cpu_cores"],
        "torch_threads": here["torch_threads"],
        "python": here["python"],
        "git_revision": here["git_revision"],
        "versions": {name: found["versions"] for name, found in facts.items()} or {OURS: here["packages"]},
        "programs": facts,
    }


def _vocabulary(model: str) -> int:
    from transformers import AutoConfig

    return int(AutoConfig.from_pretrained(model, local_files_only=True).get_text_config(decoder=True).vocab_size)


def _names(known: Sequence[str]) -> Any:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; known are {', '.join(known)}")
        return names

    return parse


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_at_least_one(part) for part in text.split(","))


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, but is {value}")
    return value


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (IclError, PeerFailed) as error:
        sys.exit(f"benchmarks: {error}")
