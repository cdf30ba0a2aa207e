"""MinHash against the definition, and each rule on data that breaks it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import IclError
from tasks.minhash import miss_rate, near_duplicates, shingles
from tasks.validate import Validation, validate
from tests.tasks.taskfiles import write_card

PARTS = {"demonstration": {"from": "train"}, "test": {"from": "test"}}


def rows(n: int, first: int = 0) -> list[dict[str, str]]:
    """Texts of twelve words each that share next to nothing."""
    texts = (" ".join(f"w{(i * 12 + j) * 7919}" for j in range(12)) for i in range(first, first + n))
    return [{"text": text, "label": ("bad", "good")[i % 2]} for i, text in enumerate(texts)]


def rules(found: Validation) -> list[tuple[str, str, int]]:
    return [(finding.severity, finding.rule, finding.rows) for finding in found.findings]


def check(directory: Path, train: list[dict[str, str]], test: list[dict[str, str]], **changes: Any) -> Validation:
    return validate(write_card(directory, {"train": train, "test": test}, splits=PARTS, **changes))


def test_near_duplicates_are_all_pairs_of_the_definition() -> None:
    rng = np.random.default_rng(5)
    texts = []
    for _ in range(40):
        words = [f"v{w}" for w in rng.integers(0, 5000, 20)]
        other = list(words)
        for at in rng.integers(0, 20, rng.integers(1, 4)):
            other[at] = "changed"
        texts += [" ".join(words), " ".join(other)]
    sets = [shingles(text) for text in texts]
    wanted = {(i, j) for i, j in combinations(range(80), 2) if len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= 0.7}
    assert 5 < len(wanted) < 40
    assert {(pair.first, pair.second) for pair in near_duplicates(texts)} == wanted
    assert near_duplicates(["", "", "republic of the congo", "democratic republic of the congo"]) == []


def test_miss_rate_is_how_often_a_pair_shares_no_band() -> None:
    """Pairs of similarity 1/3: 4 of 12 shingles shared."""
    texts = [
        f"{' '.join(f's{i}x{j}' for j in range(5))} {' '.join(f't{i}x{k}x{j}' for j in range(4))}" for i in range(400) for k in range(2)
    ]
    pairs = {(pair.first, pair.second) for pair in near_duplicates(texts, 0.3)}
    missed = sum((2 * i, 2 * i + 1) not in pairs for i in range(400)) / 400
    assert miss_rate(1 / 3) == pytest.approx(0.672, abs=0.001)
    assert missed == pytest.approx(miss_rate(1 / 3), abs=0.08)  # 3.4 standard errors


def test_clean_data_has_no_finding(tmp_path: Path) -> None:
    found = check(tmp_path, rows(20), rows(10, 20))
    assert found.findings == ()
    assert found.splits == {"demonstration": 20, "test": 10}
    assert found.labels["test"] == {"bad": 5, "good": 5}


def test_near_duplicates_across_splits_are_errors_and_within_one_warnings(tmp_path: Path) -> None:
    train, test = rows(20), rows(10, 20)
    near = {"text": test[0]["text"] + " indeed", "label": "good"}
    found = check(tmp_path, [*train, near], [*test, {"text": test[1]["text"] + " indeed", "label": "good"}])
    assert rules(found) == [("error", "near-duplicates", 1), ("warning", "near-duplicates", 1)]
    assert "between demonstration and test" in found.findings[0].text
    assert "1 with different labels" in found.findings[0].text
    assert found.errors == 1


def test_what_loading_left_out_is_reported(tmp_path: Path) -> None:
    train, test = rows(20), rows(10, 20)
    noise = {"text": train[0]["text"].upper() + "!", "label": "good"}
    found = check(tmp_path, [*train, noise, test[0], train[3], {"text": " ", "label": "bad"}], test)
    assert sorted(rules(found)) == [
        ("error", "label noise", 2),
        ("warning", "leak", 1),
        ("warning", "left out", 1),
        ("warning", "left out", 1),
    ]


def test_empty_fields_balance_and_lengths_are_warnings(tmp_path: Path) -> None:
    train = [{**row, "title": f"t{i}", "label": "bad" if i else "good"} for i, row in enumerate(rows(24))]
    train[5]["title"] = ""
    train[7]["text"] = " ".join(f"z{i}" for i in range(900))
    test = [{**row, "title": f"u{i}"} for i, row in enumerate(rows(10, 24))]
    found = check(tmp_path, train, test, inputs={"text": "text", "title": "title"})
    assert rules(found) == [("warning", "missing values", 1), ("warning", "balance", 1), ("warning", "length", 1)]
    assert found.errors == 0


def test_a_broken_card_and_broken_data_are_findings(tmp_path: Path) -> None:
    assert rules(check(tmp_path, rows(20), rows(10, 20), kind="poetry")) == [("error", "schema", 0)]
    found = check(tmp_path, rows(20), [{"text": "x", "label": "neither"}])
    assert rules(found) == [("error", "schema", 0)]
    assert "test.jsonl:1" in found.findings[0].text
    with pytest.raises(IclError, match="there is no file"):
        validate(tmp_path / "none.yaml")
