"""`icl compare` on images: which of its options mean something there, and their defaults."""

from __future__ import annotations

from typing import Any

import typer

from icl.cli.options import given, names, print_json, when_interrupted
from tasks.errors import IclError

OF_TEXT = {
    "model",
    "embedder",
    "template",
    "calibration",
    "dtype",
    "batch_tokens",
    "adapts",
    "budget",
    "meta_trained",
    "probes",
    "settings",
}
"""Parameters that only comparisons on text have."""
OF_IMAGES = {"norm", "protocol", "backbone"}
"""Parameters that only images have."""


def refuse(context: typer.Context, wrong: set[str], why: str) -> None:
    """Raises IclError when one of these was written."""
    if found := sorted(given(context) & wrong):
        raise IclError(f"--{found[0].replace('_', '-')} {why}; leave it out")


def compare_on_images(context: typer.Context, task: str, k_shot: tuple[int, ...], json: bool) -> None:
    """Runs the comparison and shows it. `k_shot`: as the user wrote it."""
    from compare.images.report.terminal import print_images
    from compare.images.run import compare_images
    from compare.images.spec import META_DATASET, ImageSpec, everyone
    from icl.cli.progress import Watcher

    refuse(context, OF_TEXT, f"belongs to comparisons on text, but '{task}' is a task of images")
    written, values = given(context), context.params
    chosen: dict[str, Any] = {}
    if values["protocol"] == META_DATASET:
        refuse(context, {"queries"}, f"is drawn by --protocol {META_DATASET} itself")
    left_out: list[str] = []
    if "learners" in written:
        chosen["learners"] = names(values["learners"])
        if chosen["learners"] == ("all",):
            chosen["learners"], left_out = everyone(values["protocol"])
    if "k_shot" in written:
        chosen["k_shot"] = k_shot
    if "meta_test" in written:
        chosen["meta_test"] = names(values["meta_test"])
    for name in ("n_way", "episodes", "queries", "seed", "norm", "protocol", "backbone", "meta_steps", "device"):
        if name in written:
            chosen[name] = values[name]
    spec = ImageSpec(task=task, **chosen)
    with when_interrupted("nothing was finished yet"), Watcher() as watcher:
        for reason in left_out:
            watcher.note(reason)
        run = compare_images(spec, out=values["out"], data_dir=values["data_dir"], fresh=values["fresh"], events=watcher)
    if json:
        print_json(run.to_json())
    else:
        print_images(run)
