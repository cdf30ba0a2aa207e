"""The HTML report: what it says, that it derives it rightly from the raw tables, and that no text of the data can become code."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from report_runs import CALIBRATIONS, EVIL, LABELS, choice_run, generation_run, sentiment_run

from icl.report import evidence, facts
from icl.report.embed import script_json
from icl.report.page import build_page, write_report
from icl.runs.store import Run
from icl.runs.tables import read_table
from icl.spec import RunSpec


class Reader(HTMLParser):
    """Text by element, and every start tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def text(self) -> str:
        """What is read, without scripts and styles, white space joined."""
        return " ".join(" ".join(text for tag, text in self.texts if tag not in ("script", "style")).split())

    def inside(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def report(directory: Path, summary: dict[str, object]) -> Reader:
    return Reader(write_report(directory, summary).read_text(encoding="utf-8"))


def test_the_headline_says_every_calibration_plainly(tmp_path: Path) -> None:
    summary = sentiment_run(tmp_path)
    text = report(tmp_path, summary).text()
    accuracy = {name: summary["metrics"][name]["accuracy"] for name in CALIBRATIONS}
    for estimate in accuracy.values():
        low, high = estimate["ci95"]
        assert f"{100 * estimate['mean']:.1f}\u202f% ± {50 * (high - low):.1f}".replace("\u202f", " ") in text.replace("\u202f", " ")
    assert "Shown 8 demonstrations in its prompt, builtin:smollm2-135m answers" in text
    assert "of the queries correctly uncalibrated," in text
    assert "with domain-context and" in text
    assert "with batch calibration" in text
    assert "Guessing among the candidates would get 50.0 % right" in text


def test_the_table_holds_every_metric_with_its_interval_and_worst_and_best_episode(tmp_path: Path) -> None:
    page = build_page_of(tmp_path, sentiment_run(tmp_path))
    assert [name for name, _ in page.table.columns] == list(CALIBRATIONS)
    assert [transductive for _, transductive in page.table.columns] == [False, False, False, True]
    rows = {name: (higher, cells) for name, higher, cells in page.table.rows}
    assert list(rows) == ["Accuracy", "Macro F1", "Matthews correlation", "Negative log-likelihood", "Calibration error", "Label bias"]
    summary = sentiment_run(tmp_path)["metrics"]["batch"]["nll"]
    higher, cells = rows["Negative log-likelihood"]
    assert not higher
    assert cells[3] is not None
    assert cells[3].ends == f"{max(summary['per_episode']):.3f} … {min(summary['per_episode']):.3f}", "worst is the highest loss"
    assert cells[3].interval == f"{summary['ci95'][0]:.3f} to {summary['ci95'][1]:.3f}"


def test_what_an_interval_means_is_said(tmp_path: Path) -> None:
    five = report(tmp_path / "five", sentiment_run(tmp_path / "five")).text()
    assert "Student’s t over episodes" in five
    assert "A bootstrap crossed over episodes and queries is added from 20 episodes on" in five
    assert "Transductive" in five
    assert "perfectly calibrated model with the same confidences would show" in five
    one = report(tmp_path / "one", sentiment_run(tmp_path / "one", episodes=1)).text()
    assert "One episode has no interval" in one
    assert "±" not in one
    many = report(tmp_path / "many", sentiment_run(tmp_path / "many", episodes=20)).text()
    assert "In brackets, a bootstrap" in many


def build_page_of(directory: Path, summary: dict[str, object]):  # type: ignore[no-untyped-def]
    return build_page(Run(directory), summary)


def test_confusions_reliability_and_shares_agree_with_the_summary(tmp_path: Path) -> None:
    summary = sentiment_run(tmp_path)
    page = build_page_of(tmp_path, summary)
    for name, figure in zip(CALIBRATIONS, page.choices.confusions, strict=True):
        counts = np.array([[int(cell) for cell in row[1:]] for row in figure.numbers.rows])
        assert counts.sum() == 100
        assert counts.trace() / 100 == pytest.approx(summary["metrics"][name]["accuracy"]["mean"])
    for name, figure in zip(CALIBRATIONS, page.choices.reliabilities, strict=True):
        bins = [(int(count), float(confidence), float(right)) for _, count, confidence, right in figure.numbers.rows]
        assert sum(count for count, _, _ in bins) == 100
        error = sum(count * abs(confidence - right) for count, confidence, right in bins) / 100
        assert error == pytest.approx(summary["metrics"][name]["ece"]["mean"], abs=1e-3)
    shares = np.array([[float(cell.split("\u202f")[0]) for cell in row[1:]] for row in page.choices.bias.numbers.rows])
    assert shares.sum(axis=0) == pytest.approx([100.0] * 5, abs=0.2)


def test_mistakes_are_wrong_sorted_and_show_the_whole_prompt(tmp_path: Path) -> None:
    page = build_page_of(tmp_path, sentiment_run(tmp_path, episodes=8))
    contexts = {(row["episode"], row["query"]): row["context"] for row in read_table(tmp_path, "prompts")}
    mistakes = page.choices.mistakes
    assert 1 < len(mistakes) <= 10
    assert len({mistake.query for mistake in mistakes}) == len(mistakes)
    assert [m.probability for m in mistakes] == sorted((m.probability for m in mistakes), reverse=True)
    for mistake in mistakes:
        assert mistake.predicted != mistake.target
        assert mistake.probability > mistake.target_probability
        assert mistake.context == contexts[mistake.episode, mistake.query]
        assert mistake.span == f" {mistake.predicted}"
        assert mistake.excerpt.startswith("Review: "), "the demonstrations are shared, so the excerpt is the query alone"
        assert mistake.excerpt.count("Review: ") == 1
    accuracy = {name: of["accuracy"]["mean"] for name, of in sentiment_run(tmp_path, episodes=8)["metrics"].items()}
    assert accuracy[page.choices.shown] == max(accuracy.values())


def test_text_of_the_data_cannot_become_code(tmp_path: Path) -> None:
    page = report(tmp_path, sentiment_run(tmp_path, episodes=8))
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert not [tag for tag, _ in page.tags if tag == "img"]
    shown = "".join(page.inside("pre"))
    assert EVIL in shown, "a demonstration or query with the attack is shown as it is"
    assert "素晴らしい, магия 🎬" in shown
    assert all(text in (f" {label}" for label in LABELS) for text in page.inside("mark"))
    generated = report(tmp_path / "g", generation_run(tmp_path / "g"))
    assert "I <b>think</b> it is Lyon" in generated.text()
    assert EVIL in generated.text()


@pytest.mark.parametrize("episodes", [1, 2, 5, 20])
def test_sentences_are_parted_by_a_space(tmp_path: Path, episodes: int) -> None:
    """What a template's line ends may swallow."""
    page = write_report(tmp_path, sentiment_run(tmp_path, episodes=episodes)).read_text(encoding="utf-8")
    main = page[page.index("<main>") : page.index("</main>")]
    prose = re.sub(r"<(pre|blockquote|table|dl|details).*?</\1>", " ", main, flags=re.DOTALL)
    words = re.sub(r"</?(?:i|b|em|strong|code|span|small)\b[^>]*>", "", prose)
    assert re.findall(r"[a-z%][.;:,][A-Z][a-z]+", words) == []
    assert re.search(r"[.] Demonstrations are chosen by the selector random", " ".join(words.split()))


def test_a_prompt_that_begins_with_a_newline_keeps_it(tmp_path: Path) -> None:
    html = write_report(tmp_path, sentiment_run(tmp_path)).read_text(encoding="utf-8")
    assert '<pre tabindex="0">\n\nReview:' in html, "HTML drops the first newline of <pre>; the second one is the prompt's"


def test_json_in_a_script_can_neither_end_it_nor_change(tmp_path: Path) -> None:
    value = {"text": f"{EVIL}\u2028\u2029 <!-- 素", "n": [1, None]}
    text = script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="Out of range"):
        script_json({"x": float("nan")})


def test_the_page_fetches_nothing_and_admits_only_its_own_scripts(tmp_path: Path) -> None:
    page = report(tmp_path, sentiment_run(tmp_path))
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not {"src", "href", "srcset", "data"} & set(attributes)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    specs = next(text for tag, text in page.texts if tag == "script" and text.startswith("{"))
    assert "://" not in specs


def test_charts_have_an_element_a_description_and_headed_numbers(tmp_path: Path) -> None:
    page = report(tmp_path, sentiment_run(tmp_path))
    specs = json.loads(next(text for tag, text in page.texts if tag == "script" and text.startswith("{")))
    charts = {a["id"]: a for tag, a in page.tags if tag == "div" and a.get("class") == "chart"}
    assert set(specs) == set(charts)
    assert len(specs) == 1 + 4 + 4 + 1
    for id, spec in specs.items():
        assert charts[id]["role"] == "img"
        assert charts[id]["aria-label"] == spec["description"]
        assert spec["width"] == "container"
    assert all(a.get("scope") in ("row", "col") for tag, a in page.tags if tag == "th")
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_many_labels_get_a_list_of_pairs_instead_of_a_matrix(tmp_path: Path) -> None:
    labels = tuple(f"intent {i}" for i in range(31))
    page = build_page_of(tmp_path, sentiment_run(tmp_path, labels=labels, queries=62))
    assert page.choices.confusions == []
    assert 1 < len(page.choices.pairs.rows) <= 20
    counts = [int(row[2]) for row in page.choices.pairs.rows]
    assert counts == sorted(counts, reverse=True)
    assert all(row[0] != row[1] for row in page.choices.pairs.rows)
    assert len(page.choices.bias.numbers.rows) == 20


@pytest.mark.parametrize("scored", [False, True])
def test_generated_answers_are_shown_right_and_wrong(tmp_path: Path, scored: bool) -> None:
    summary = generation_run(tmp_path, scored=scored)
    page = build_page_of(tmp_path, summary)
    assert (page.choices is not None) == scored
    assert page.written is not None
    assert {len(of) for of in page.written.values()} <= set(range(1, 6))
    assert all(answer.predicted in answer.right_span.split(" · ") for answer in page.written["right"])
    assert all(answer.predicted not in answer.right_span.split(" · ") for answer in page.written["wrong"])
    text = report(tmp_path, summary).text()
    assert "writes the right answer to" in text
    assert "Confusions" not in text
    assert ("picks the right one for" in text) == scored
    assert ("Reliability" in text) == scored


def test_choices_without_a_label_set_have_no_matrix_and_no_label_bias(tmp_path: Path) -> None:
    summary = choice_run(tmp_path)
    page = build_page_of(tmp_path, summary)
    assert page.choices.confusions == []
    assert page.choices.pairs is None
    assert page.choices.bias is None
    assert page.guess == pytest.approx((1 / 3 + 1 / 4) / 2)
    text = report(tmp_path, summary).text()
    assert "Without a demonstration in its prompt" in text
    assert "a stone" in text


def test_losses_and_cost_are_told(tmp_path: Path) -> None:
    text = report(tmp_path, sentiment_run(tmp_path)).text()
    assert "1 demonstration dropped from 1 prompt of 100" in text
    assert "12 rows of the source data: the same text twice." in text
    assert "41,873 (9.3 times fewer" in text
    assert "11.3 TFLOP" in text
    assert "1 min 24 s" in text
    assert "icl-lab 0.1.0, torch 2.13.0" in text
    assert "c" * 64 in text
    nothing = report(tmp_path / "mc", choice_run(tmp_path / "mc")).text()
    assert "No demonstration: every one of the 24 prompts fitted" in nothing


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    summary = sentiment_run(tmp_path)
    assert write_report(tmp_path, summary).read_bytes() == write_report(tmp_path, summary).read_bytes()
    assert not (tmp_path / "summary.json").exists()


def test_the_command_line_gives_the_spec_back() -> None:
    spec = RunSpec("my card.yaml", shots=4, queries=None, calibration=("none", "batch"), chat=True, batch_tokens=2048, dtype="float32")
    assert facts.command_line(spec) == (
        "icl evaluate 'my card.yaml' --model builtin:smollm2-135m --shots 4 --calibration none,batch --episodes 5 --queries all "
        "--seed 0 --dtype float32 --batch-tokens 2048 --chat"
    )


def test_numbers_are_written_for_people() -> None:
    assert [facts.number(x) for x in (-0.0001, -0.25, 1.0)] == ["0.000", "−0.250", "1.000"]
    assert [facts.scaled(x, "FLOP") for x in (9_999, 12_345, 999_600, 2.5e12)] == ["9,999 FLOP", "12.3 kFLOP", "1.00 MFLOP", "2.50 TFLOP"]
    assert [facts.seconds(x) for x in (0.4, 12.34, 59.97, 61)] == ["0.40 s", "12.3 s", "1 min 0 s", "1 min 1 s"]


def test_the_shared_start_of_contexts_ends_with_a_line() -> None:
    assert evidence.shared_start(["A: x\nQ: one", "A: x\nQ: other"]) == 5
    assert evidence.shared_start(["Q: one"]) == 0
    assert evidence.shared_start(["Q: one", "P: two"]) == 0
