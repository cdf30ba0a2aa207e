"""`icl compare meta-train`: one learner on the tasks of a workspace, in versions that go on as tasks come."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from icl.cli.options import counts, given, print_json, when_interrupted
from tasks.errors import IclError

WORD = "meta-train"
SAME = ("model", "template", "seed", "dtype", "device", "batch_tokens", "meta_steps")
OPTIONS = {"names_given", "continued", "workspace", "k_shot", "data_dir", "json", "debug", *SAME}
"""Parameters of `icl compare` that mean something here; SAME mean the same."""
KEPT = "what is meta-trained is kept every few seconds: the same command goes on"


def command(context: typer.Context, names: list[str]) -> None:
    """`names`: the learner, then tasks; everything else is as `icl compare` reads it. Raises IclError for options of a comparison."""
    from compare.growing import Wish, meta_train
    from icl.cli.progress import Watcher
    from tasks.workspace import workspace_dir

    if not names:
        raise IclError("meta-train needs a learner, for example: icl compare meta-train maml")
    if wrong := sorted(given(context) - OPTIONS):
        raise IclError(f"--{wrong[0].replace('_', '-')} belongs to a comparison, not to meta-train; leave it out")
    options = context.params
    if len(shots := counts(options["k_shot"])) != 1:
        raise IclError(f"meta-train needs one K, but --k-shot is {options['k_shot']}")
    workspace, data_dir = (Path(value) if (value := options[name]) else None for name in ("workspace", "data_dir"))
    wish = Wish(names[0], workspace_dir(workspace), tuple(names[1:]), shots[0], **{name: options[name] for name in SAME})
    with when_interrupted(KEPT), Watcher() as watcher:
        version = meta_train(wish, go_on=options["continued"], data_dir=data_dir, events=watcher)
    if options["json"]:
        print_json({**asdict(version), "path": str(version.path), "spec_sha256": version.spec_sha256})
        return
    new = ", ".join(task.name for task in version.tasks if task.since == version.number) or "none"
    print(f"version {version.number} of {names[0]}: {version.steps} outer steps on {len(version.tasks)} tasks; new: {new}")
    if version.points:
        last = version.points[-1]
        parts = {"meta-train": last.train, "meta-validation": last.validation}
        print("; ".join(f"{name} accuracy {sum(of) / len(of):.3f}" for name, of in parts.items() if of))
    print(f"written to {version.path}")
