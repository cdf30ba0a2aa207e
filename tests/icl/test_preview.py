"""Preview: its segments are the prompt that the scorer reads, its tokens are the scorer's, its page is escaped and has no script."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icl.encode import Encoder
from icl.preview import Segment, find_query, make_preview
from icl.report.preview import write_page
from icl.tokenise import tokenise
from icl.vocabulary import make_reader
from prompts import PromptBuilder, load_template
from prompts.chat import chat_renderer
from tasks.errors import IclError
from tasks.load import load_task
from tasks.types import Task

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</{{ m.role }}>{% endfor %}<assistant>"


@pytest.fixture
def task(own_task: Path) -> Task:
    return load_task(own_task)


@pytest.mark.parametrize("chat", [False, True])
def test_the_segments_are_the_prompt_that_is_scored(task: Task, tiny_tokenizer: Any, chat: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_tokenizer, "chat_template", CHAT)
    template = load_template("sentiment-instruct")
    reader = make_reader(tiny_tokenizer, "tiny", 512)
    view = make_preview(template, task, shots=2, reader=reader, chat=chat)
    builder = PromptBuilder(template, task, chat_renderer(tiny_tokenizer) if chat else None)
    query = find_query(task, view.query)
    demonstrations = [task.splits["demonstration"].by_id(id) for id in view.demonstrations]
    prompts = builder.prompts(demonstrations, query.query(), builder.verbalizer.candidates(query.query()))
    requests = tokenise(Encoder(tiny_tokenizer), prompts)
    right = next(i for i, prompt in enumerate(prompts) if prompt.candidate == query.target)
    assert view.text == prompts[right].text
    assert view.segments[-1] == Segment("answer", prompts[right].text[prompts[right].span[0] :])
    assert tuple(token.id for token in view.tokens) == requests[right].token_ids
    assert [token.scored for token in view.tokens].index(True) == requests[right].scored_from
    assert "".join(token.text for token in view.tokens) == view.text
    assert [option.tokens for option in view.options] == [len(r.answer) for r in requests]
    assert [option.label for option in view.options if option.right] == [query.target]
    assert view.share == len(view.tokens) / 512
    parts = [segment.part for segment in view.segments if segment.part not in ("markup", "separator")]
    assert parts == ["instruction", *["demonstration"] * (4 if chat else 2), "query", "answer"]


def test_a_short_answer_is_not_found_inside_the_markup(task: Task, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_tokenizer, "chat_template", CHAT)
    template = replace(load_template("sentiment-plain"), label_words={"positive": "s", "negative": "user"})
    view = make_preview(template, task, shots=2, reader=make_reader(tiny_tokenizer, "tiny", 512), chat=True)
    assert [s.text for s in view.segments if s.part == "markup"][:3] == ["<user>", "</user><assistant>", "</assistant><user>"]


def test_a_chat_template_that_changes_texts_is_shown_undivided(task: Task, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_tokenizer, "chat_template", CHAT.replace("trim", "upper"))
    view = make_preview(load_template("sentiment-plain"), task, shots=1, reader=make_reader(tiny_tokenizer, "tiny", None), chat=True)
    assert [segment.part for segment in view.segments] == ["markup", "answer"]
    assert view.share is None


def test_queries_by_id_and_demonstrations_by_seed(task: Task) -> None:
    template = load_template("sentiment-plain")
    chosen = task.splits["test"][3].id
    view = make_preview(template, task, shots=3, query=chosen)
    assert view.query == chosen
    assert view.tokens == ()
    assert view.options[0].tokens is None
    assert make_preview(template, task, shots=3, query=chosen) == view
    assert make_preview(template, task, shots=3, query=chosen, seed=1).demonstrations != view.demonstrations
    with pytest.raises(IclError, match="unknown query 'none'"):
        make_preview(template, task, shots=3, query="none")
    with pytest.raises(IclError, match="--shots must be between"):
        make_preview(template, task, shots=1000)


def test_the_page_is_escaped_and_holds_the_exact_text(task: Task, tiny_tokenizer: Any, tmp_path: Path) -> None:
    import html

    view = make_preview(load_template("sentiment-plain"), task, shots=2, reader=make_reader(tiny_tokenizer, "tiny", 512))
    hostile = Segment("query", "<script>alert(1)</script>\n&amp; \"quoted\" 'text':")
    view = replace(view, segments=(*view.segments[:-2], hostile, view.segments[-1]), query="<img src=x>")
    write_page(view, tmp_path / "page.html", with_tokens=True)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "script-src &#39;none&#39;" in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    (pre,) = re.findall(r'<pre class="text">\n(.*?)</pre>', page, re.DOTALL)
    assert html.unescape(re.sub(r"<[^>]+>", "", pre)) == view.text
    assert pre.endswith("</mark>")
    assert page.count('class="token"') == len(view.tokens)


def test_a_target_that_looks_like_the_letter_of_a_choice() -> None:
    task = load_task("element-symbol")
    carbon = next(e for role in ("test", "validation") for e in task.splits[role] if e.target in "ABCDEFGHIJ")
    view = make_preview(load_template("word-plain"), task, shots=1, query=carbon.id)
    assert [option.text for option in view.options if option.right] == [carbon.target]
    assert view.segments[-1].text == f" {carbon.target}"


def test_characters_that_steer_a_terminal_are_shown_as_signs(task: Task) -> None:
    from icl.cli.prompts_preview import lines

    view = make_preview(load_template("sentiment-plain"), task, shots=0)
    view = replace(view, segments=(Segment("query", "a\x1b[2Jb\r\n\x9bc"),))
    assert [pieces[0][0] for _, pieces in lines(view)] == ["a␛[2Jb␍", "\ufffdc"]
