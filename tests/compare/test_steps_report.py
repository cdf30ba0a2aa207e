"""What the report says of traces worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from compare.report import failing, inner, steps


def episode(name: str, accuracy: list[float | None], loss: list[float | None], **more: Any) -> dict[str, Any]:
    flops = [1000 * i for i in range(len(accuracy))]
    norms = [None if value is None else 2 * value for value in loss]
    columns = {"step": list(range(len(accuracy))), "flops": flops, "accuracy": accuracy, "loss": loss, "gradient_norm": norms}
    return {"episode": name, **columns, "broken_at": None, "reason": "", **more}


TRACES: dict[str, Any] = {
    "limits": {"feature_episodes": 50, "model_episodes": 3, "damage_episodes": 3},
    "steps": [
        {
            "learner": "maml", "k_shot": 4, "trained": 2,
            "episodes": [
                episode("e000", [0.5, 0.6, 0.7, 0.7, 0.8], [0.7, 0.6, 0.5, 0.4, 0.3]),
                episode("e001", [0.7, 0.8, 0.9, 0.9, 0.8], [0.7, 0.6, 0.1, 0.2, 0.3]),
                episode("e002", [0.1, 0.1, 0.1, 0.1, 0.1], [0.7, 9e9, None, None, None], broken_at=2),
            ],
        },
        {
            "learner": "adapt-then-prompt", "k_shot": 4, "trained": 2,
            "episodes": [episode("e000", [0.5, None, 0.9], [0.7, 0.6, None]), episode("e001", [0.5, None, None], [0.7, 0.6, None], reason="it broke")],
        },
    ],
    "overlap": [{"k_shot": 4, "episodes": [{"episode": "e000", "nearer_to_wrong": 0.1, "silhouette": 0.4, "fisher": 1.5}, {"episode": "e001", "nearer_to_wrong": 0.3, "silhouette": None, "fisher": None}]}],
    "damage": [
        {"name": "labels permuted", "k_shot": 4, "episodes": [
            {"episode": "e000", "undamaged": 0.8, "accuracy": 0.6, "reason": "", "wrong_answers": 3, "shown": "Text: a\nSentiment: good\n\n"},
            {"episode": "e001", "undamaged": 0.9, "accuracy": None, "reason": "too long", "wrong_answers": 2, "shown": "x"},
        ]},
    ],
    "damage_left_out": {},
}  # fmt: skip
SUMMARY: dict[str, Any] = {
    "rows": [
        {"learner": "zero-shot", "k_shot": 1, "accuracy": {"per_episode": [0.4, 0.6, 0.0]}},
        {"learner": "in-context", "k_shot": 1, "accuracy": {"per_episode": [0.6, 0.6, 0.0]}},
        {"learner": "zero-shot", "k_shot": 4, "accuracy": {"per_episode": [0.4, 0.6, 0.0]}},
        {"learner": "in-context", "k_shot": 4, "accuracy": {"per_episode": [0.8, 0.9, 0.0]}},
        {"learner": "protonet", "k_shot": 4, "accuracy": {"per_episode": [0.7, 0.8]}},
    ]
}
COST = {"in_context_prefix": [{"k_shot": 1, "kept_adapt": 50}, {"k_shot": 4, "kept_adapt": 200}]}


def test_demonstrations_and_steps_on_one_axis_in_the_same_episodes() -> None:
    (figure,) = steps.figures(TRACES, SUMMARY, COST, 0.5)
    assert steps.common_episodes(TRACES) == 2
    rows = {name: (flops, accuracy) for name, flops, accuracy in figure.numbers.rows}
    assert rows["zero-shot, no demonstrations"] == ("0", "0.500")
    assert rows["in-context, K = 1"] == ("50 FLOP", "0.600")
    assert rows["in-context, K = 4"] == ("200 FLOP", "0.850")
    assert rows["maml, 0 steps"] == ("0", "0.600")
    assert rows["maml, 1 step"] == ("1,000 FLOP", "0.700")
    assert rows["maml, 4 steps"] == ("4,000 FLOP", "0.800")
    assert rows["adapt-then-prompt, 0 steps"] == ("200 FLOP", "0.500"), "it reads demonstrations, too"
    assert rows["adapt-then-prompt, 2 steps"] == ("2,200 FLOP", "0.700"), "an episode that broke counts as chance"
    assert "adapt-then-prompt, 1 step" not in rows


def test_accuracy_by_step_has_every_episode() -> None:
    (figure,) = steps.by_step(TRACES, 0.5)
    assert figure.numbers.rows[:2] == (("maml", "0", "0.433"), ("maml", "1", "0.500"))
    assert ("adapt-then-prompt", "2", "0.700") in figure.numbers.rows
    assert steps.by_step({"steps": []}, 0.5) == []


def test_the_table_has_every_episode() -> None:
    found = steps.table(TRACES, 0.5)
    assert found is not None
    assert found.rows[0] == ("maml", "4", "3", "0.433 at 0", "0.500 at 1", "0.500 at 1", "0.567 at 2", "0.567 at 4")
    assert found.rows[1][-2:] == ("0.700 at 2", "")
    assert steps.table({"steps": []}, 0.5) is None
    assert steps.figures({"steps": []}, SUMMARY, COST, 0.5) == []


def test_an_exploding_loop_is_seen() -> None:
    found = inner.table(TRACES)
    assert found is not None
    assert found.rows[0] == ("maml", "4", "3", "0.7", "0.5", "1.4", "1.8e+10 (e002 at 1)", "e002 at 2")
    assert found.rows[1][-1] == "none"
    loss, size = inner.figures(TRACES)
    assert "not finite in 1 episodes" not in loss.label
    assert "not finite in 1 episode" in loss.label
    assert ("maml, 1", "0.6", "0.6", "9e+09") in loss.numbers.rows
    crosses = [layer for layer in loss.spec["layer"] if layer["mark"].get("shape") == "cross"]
    assert len(crosses) == 1
    assert size.title == "Gradient norm"


def test_overlap_is_told_by_episode() -> None:
    (figure,) = failing.overlap_figures(TRACES, SUMMARY, 0.5)
    assert figure.numbers.rows == (("e000", "0.400", "1.500", "0.100", "0.700"), ("e001", "", "", "0.300", "0.800"))


def test_damage_is_paired_with_the_same_episodes() -> None:
    (figure,) = failing.damage_figures(TRACES, 0.5)
    assert figure.numbers.head == ("Episode", "as it is", "labels permuted")
    assert figure.numbers.rows == (("e000", "0.800", "0.600"), ("e001", "0.900", "0.500"))
    found = failing.damage_table(TRACES, 0.5)
    assert found is not None
    name, shown, wrong, accuracy, difference, _ = found.rows[0]
    assert (name, shown, wrong, accuracy, difference) == ("labels permuted", '"Text: a\\nSentiment: good\\n\\n"', "3, 2", "0.550", "−0.300")
    assert failing.damage_figures({"damage": []}, 0.5) == []


def test_many_learners_are_drawn_by_kind_at_the_largest_k() -> None:
    names = ("maml", "fomaml", "reptile", "anil", "meta-sgd", "lora", "ia3")
    groups = [{**TRACES["steps"][0], "learner": name, "k_shot": k} for k in (1, 4) for name in names]
    found = steps.figures({"steps": groups}, SUMMARY, COST, 0.5)
    assert [figure.title for figure in found] == ["Language model's weights, K = 4", "Meta-learnt, K = 4"]
    assert len({figure.id for figure in found}) == 2
    assert len({figure.id for figure in inner.figures({"steps": groups})}) == 4
    assert [figure.title for figure in steps.by_step({"steps": groups}, 0.5)] == ["Meta-learnt", "Language model's weights"]
    two = steps.figures({"steps": groups[::7]}, SUMMARY, COST, 0.5)
    assert [figure.title for figure in two] == ["K = 1", "K = 4"]


def test_reading_of_a_trace_needs_no_more_than_the_first_episodes() -> None:
    group = TRACES["steps"][0]
    assert steps.read(group, 1, 0.5)[0] == (0, [0.5], 0.0)
    assert steps.read(group, 2, 0.5)[1] == (1, [0.6, 0.8], pytest.approx(1000.0))
