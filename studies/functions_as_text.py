"""The language model on functions, numbers as text, beside least squares, neighbours, MAML and a transformer on the same episodes.

    python studies/functions_as_text.py                          # trains what is not trained yet, asks the model, prints the table
    python studies/functions_as_text.py --docs docs/studies      # the same, and writes table, numbers and plot there

    python studies/functions_as_text.py --learners maml --families sinusoid-1d      # a part of it

All numbers are rounded to two decimals, for every learner. Trainings are kept in `--out`, the model's answers in the score store;
after a kill the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from functions_as_text_report import print_table, write_docs
from numpy.typing import NDArray

from compare.backbones import mlp
from compare.baselines import NearestNeighbours, least_squares
from compare.checkpoint import load_state, save_state
from compare.learners import maml
from compare.meta_gradient import TaskBatch, squared_error
from compare.meta_method import Inner
from compare.numbers_as_text import NumbersInContext, regression_task, rounded
from compare.outer import Adam, meta_step
from compare.sequence import InContextTransformer, SequenceModel, Sequences, Training, ask
from compare.sequence.optimise import WarmAdam
from compare.traced import traced
from tasks import IclError, keyed_rng
from tasks.functions import sample

if TYPE_CHECKING:
    from compare.baselines import Baseline
    from compare.meta_gradient import Params

Values = NDArray[np.float64]

SHOWN = (2, 4, 8, 16)
TASKS, QUERIES = 30, 4
TRANSFORMER_STEPS, MAML_STEPS = 2500, 2000
INNER = Inner(mlp((40, 40)), lr=0.01, steps=5, loss=squared_error)
KEEP_EVERY = 500
MAX_NEW_TOKENS = 8


@dataclass(frozen=True)
class Family:
    """One class of functions."""

    name: str
    d: int

    @property
    def title(self) -> str:
        """`linear-2d`."""
        return f"{self.name}-{self.d}d"

    def features(self, x: Values) -> Values:
        """What functions of the class are linear in: A sin(x − φ) = a sin x + b cos x."""
        return np.concatenate([np.sin(x), np.cos(x)], axis=-1) if self.name == "sinusoid" else x

    def points(self, purpose: str, item: int, n: int, points: int) -> tuple[Values, Values]:
        """(n, points, d) and (n, points), with two decimals."""
        drawn = sample(self.name, n, points, self.d, keyed_rng(0, "functions-as-text", self.title, purpose, item))
        return rounded(drawn.x), rounded(drawn.y)


FAMILIES = {family.title: family for family in (Family("linear", 1), Family("linear", 2), Family("sinusoid", 1))}


def tensors(*parts: Values) -> tuple[torch.Tensor, ...]:
    """float32."""
    return tuple(torch.from_numpy(np.ascontiguousarray(part)).float() for part in parts)


@dataclass(frozen=True)
class Told:
    """Least squares on the features in which functions of the class are linear: the closed form of whoever knows the class. A Baseline."""

    family: Family

    def __call__(self, x: Values, y: Values, asked: Values) -> Values:
        """See Baseline."""
        return least_squares(self.family.features(x), y, self.family.features(asked))


@dataclass(frozen=True)
class TrainedTransformer:
    """One transformer per class of functions, for every number of examples. A Baseline."""

    family: Family
    steps: int

    @property
    def model(self) -> SequenceModel:
        """The network."""
        return SequenceModel("in-context-transformer", InContextTransformer(max(SHOWN) + 1), mlp(()))

    def draw(self, step: int) -> Sequences:
        """Of a training step."""
        return Sequences(*tensors(*self.family.points("transformer", step, 32, max(SHOWN) + 1)))

    def params(self, out: Path) -> Params:
        """Trained, or as it was kept."""
        facts = {"family": self.family.title, "steps": self.steps, "shown": list(SHOWN)}
        training = Training(self.model, self.family.d, self.draw, WarmAdam(1e-3, self.steps), facts, keep_every=KEEP_EVERY)
        return training.run(out / f"transformer-{self.family.title}.safetensors", partial(said, f"transformer on {self.family.title}"))

    def said(self, params: Params, x: Values, y: Values, asked: Values) -> Values:
        """See Baseline."""
        sx, sy, qx = tensors(x, y, asked)
        with torch.no_grad():
            out: Values = ask(self.model, params, TaskBatch(sx, sy, qx, qx[..., 0]))[..., 0].double().numpy()
        return out


@dataclass(frozen=True)
class TrainedMAML:
    """One start per class of functions, meta-trained on every number of examples in turn. A Baseline."""

    family: Family
    steps: int

    def draw(self, step: int) -> TaskBatch:
        """Of a meta-training step."""
        k = SHOWN[step % len(SHOWN)]
        x, y = tensors(*self.family.points("maml", step, 25, k + 10))
        return TaskBatch(x[:, :k], y[:, :k, None], x[:, k:], y[:, k:, None])

    def params(self, out: Path) -> Params:
        """Meta-trained, or as it was kept."""
        path, optimiser = out / f"maml-{self.family.title}.safetensors", Adam(1e-3)
        facts = {"family": self.family.title, "steps": self.steps, "shown": list(SHOWN), "inner": [INNER.lr, INNER.steps]}
        start = INNER.backbone.initial(self.family.d, 1, keyed_rng(0, "functions-as-text", "maml", "start"), torch.float32)
        state, kept = load_state(path) if path.exists() else (optimiser.start(start), facts)
        if kept != facts:
            raise IclError(f"{path} is the state of another training; remove it, or name another --out")
        step = traced(meta_step(partial(maml.METHOD.direction, INNER), optimiser))
        while (done := int(state.step)) < self.steps:
            state = step(state, self.draw(done))
            if (done + 1) % KEEP_EVERY == 0 or done + 1 == self.steps:
                save_state(path, state, facts)
                said(f"maml on {self.family.title}", done + 1)
        return state.params

    def said(self, params: Params, x: Values, y: Values, asked: Values) -> Values:
        """See Baseline."""
        sx, sy, qx = tensors(x, y[..., None], asked)

        def of_one_task(xs: torch.Tensor, ys: torch.Tensor, xq: torch.Tensor) -> torch.Tensor:
            return INNER.backbone(maml.adapt(INNER, params, xs, ys), xq)[:, 0]

        with torch.no_grad():
            out: Values = torch.func.vmap(of_one_task)(sx, sy, qx).double().numpy()
        return out


def said(what: str, step: int, loss: float | None = None) -> None:
    """One line of progress."""
    print(
        f"{time.strftime('%H:%M:%S')} {what}: step {step}" + (f", loss {loss:.4f}" if loss is not None else ""), file=sys.stderr, flush=True
    )


def language_model(name: str) -> NumbersInContext:
    """The model in memory, with the study's template."""
    from icl.cost import Clock
    from icl.device import resolve_dtype
    from icl.encode import Encoder
    from icl.engine.hf import HFEngine
    from icl.engine.store import Identity, ScoreStore, StoredEngine, store_path
    from icl.environment import describe
    from icl.models import load_model, resolve_model
    from prompts import PromptBuilder, load_template

    source, dtype = resolve_model(name), resolve_dtype("auto", "cpu")
    loaded = load_model(source, dtype, "cpu")
    template = load_template(str(Path(__file__).with_name("functions-as-text") / "lines.jinja"))
    builder = PromptBuilder(template, regression_task("functions", template, MAX_NEW_TOKENS))
    engine, packages = HFEngine(loaded.model, loaded.tokenizer, 1024), describe("cpu", dtype)["packages"]
    versions = f"engine {engine.VERSION}, torch {packages['torch']}, transformers {packages['transformers']}"
    stored = StoredEngine(
        engine, ScoreStore(store_path()), Identity(source.fingerprint, dtype, "cpu", f"hf {engine.path}", versions), Clock()
    )
    return NumbersInContext(stored, Encoder(loaded.tokenizer), builder, loaded.context_window)


LEARNERS = ("least-squares", "3-nearest", "maml", "in-context-transformer", "language-model", "zero")


def contender(name: str, family: Family, out: Path, lm: Callable[[], Baseline], steps: Sequence[int]) -> Baseline:
    """A learner by its name, trained."""
    if name == "maml":
        gradient = TrainedMAML(family, steps[1])
        return partial(gradient.said, gradient.params(out))
    if name == "in-context-transformer":
        transformer = TrainedTransformer(family, steps[0])
        return partial(transformer.said, transformer.params(out))
    if name == "language-model":
        return lm()
    simple: dict[str, Baseline] = {
        "least-squares": Told(family),
        "3-nearest": NearestNeighbours(3),
        "zero": lambda x, y, asked: np.zeros(asked.shape[:2]),
    }
    return simple[name]


def measure(family: Family, learners: dict[str, Baseline], tasks: int) -> list[dict[str, Any]]:
    """A row per learner and number of examples: squared errors, (tasks, queries), and the answers without a number, which count as 0."""
    x, y = family.points("test", 0, tasks, max(SHOWN) + QUERIES)
    asked_x, asked_y = x[:, max(SHOWN) :], y[:, max(SHOWN) :]
    rows = []
    for name, learner in learners.items():
        for k in SHOWN:
            answers = learner(x[:, :k], y[:, :k], asked_x)
            missing = np.isnan(answers)
            errors = (np.where(missing, 0.0, answers) - asked_y) ** 2
            rows.append({"family": family.title, "learner": name, "k": k, "errors": errors, "missing": int(missing.sum())})
    return rows


def main(arguments: list[str] | None = None, lm: Baseline | None = None) -> None:
    """Trains, asks, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", default=",".join(FAMILIES), help="comma-separated")
    parser.add_argument("--learners", default=",".join(LEARNERS), help="comma-separated")
    parser.add_argument("--model", default="builtin:smollm2-135m")
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--steps", type=int, nargs=2, default=(TRANSFORMER_STEPS, MAML_STEPS), metavar=("TRANSFORMER", "MAML"))
    parser.add_argument("--out", type=Path, default=Path("runs/functions-as-text"), help="where training states are kept")
    parser.add_argument("--docs", type=Path, help="directory that gets table, numbers and plot")
    options = parser.parse_args(arguments)
    names, learners = options.families.split(","), options.learners.split(",")
    for what, given, known in (("class of functions", names, FAMILIES), ("learner", learners, LEARNERS)):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"unknown {what} {', '.join(unknown)}; choose from {', '.join(known)}")
    torch.set_num_threads(1)  # the products are small: a second thread only waits
    rows = []
    model = cache(lambda: lm or language_model(options.model))
    try:
        for name in names:
            chosen = {learner: contender(learner, FAMILIES[name], options.out, model, options.steps) for learner in learners}
            rows += measure(FAMILIES[name], chosen, options.tasks)
    except IclError as error:
        sys.exit(f"functions_as_text: {error}")
    facts = {
        "model": options.model,
        "tasks": options.tasks,
        "queries": QUERIES,
        "steps": list(options.steps),
        "inner": [INNER.lr, INNER.steps],
    }
    print_table(rows)
    if options.docs:
        write_docs(rows, facts, options.docs)


if __name__ == "__main__":
    main()
