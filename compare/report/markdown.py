"""A comparison as Markdown, for an issue, a notebook or a paper's draft: the tables of the page, without its charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compare.report import facts
from icl.report.figures import Table

if TYPE_CHECKING:
    from compare.report.page import Page

RESULTS_HEAD = (
    "Learner", "K", "Episodes", "Accuracy", "95 % interval", "Worst", "To in-context", "95 % interval", "p", "Failed",
    "Adapt, s", "Adapt, FLOP", "Per query, s", "Per query, FLOP", "Meta-training, s",
    "Meta-training, FLOP", "Trainable", "Stored", "Transductive",
)  # fmt: skip


def markdown(page: Page) -> str:
    """The whole text."""
    parts = [
        f"# {page.task}: in the context or in the weights",
        " ".join(page.lead),
        f"**What you may conclude.** {page.may_conclude}",
        f"**What you may not.** {page.may_not_conclude}",
        f"{page.n_episodes} episodes of {page.n_queries} queries from the {page.split} split, the same for every learner and K. "
        f"Model: {page.model}. Guessing gets {100 / page.ways:.1f} % right.",
        "## Results",
        table(Table(RESULTS_HEAD, tuple(_row(row) for row in page.rows))),
        *_section(
            "Break-even",
            page.break_even,
            "Queries of one task for which the learner costs less; after a stroke, with all of its meta-training.",
        ),
        *_section("In-context cost", page.prefix),
        *_section("Accuracy by gradient step", page.traced.steps_table, "Accuracy, and the steps after which it was read."),
        *_section("Gradient steps in the search", page.steps, "On meta-validation episodes, with the best of the rates tried."),
        *_section("While they were meta-trained", page.course_table, "Accuracy after adapting, on a fixed few episodes."),
        *_section(
            "Labels permuted", page.permuted, "Queries are scored against the permuted labels too; memorised labels give chance or less."
        ),
        *_section("In and out of distribution", page.places),
        *_section("On other tasks", page.elsewhere),
        *_section("Right and wrong beside the prompt", page.overlap, " ".join(page.shared_errors)),
        *_section("Calibration", page.calibration),
        *_section("Damaged demonstrations", page.traced.damage_table, f"In-context learning, K = {page.traced.damage_k}."),
        *_section(
            "Loss and gradient of adapting", page.traced.inner_table, "Medians over episodes; the largest with its episode and step."
        ),
        *(part for figure in page.traced.overlap for part in _section(_overlap(figure.title), figure.numbers)),
        *_section("Search", page.search),
        "\n".join(f"- {name}: {value}" for name, value in page.budget),
        "## Failures",
        "\n".join(f"- {learner}, episode {episode}: {plain(reason)}" for learner, episode, reason in page.failures) or "None.",
        "\n".join(f"- {learner} is left out: {plain(reason)}" for learner, reason in page.left_out),
        "## Made with",
        f"```bash\n{page.command}\n```",
        "\n".join(f"- {name}: {plain(value)}" for name, value in page.provenance),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, of: Table | None, words: str = "") -> list[str]:
    return [f"## {title}", words, table(of)] if of else []


def _overlap(at: str) -> str:
    return f"Overlap of classes, {at}" if at else "Overlap of classes"


def _row(row: facts.TextRow) -> tuple[str, ...]:
    return (
        row.learner, str(row.k_shot), str(row.episodes), row.accuracy, row.interval, row.worst,
        row.difference, row.difference_interval, row.p_adjusted,
        str(row.failed), *row.adapt, *row.per_query, *row.meta_train, row.trainable, row.stored, "yes" if row.transductive else "no",
    )  # fmt: skip


def table(of: Table) -> str:
    """A table of pipes."""
    lines: Sequence[Sequence[str]] = [of.head, ["---"] * len(of.head), *of.rows]
    return "\n".join("| " + " | ".join(plain(cell) for cell in line) + " |" for line in lines)


def plain(text: str) -> str:
    """No character that ends a table's cell or begins a tag."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
