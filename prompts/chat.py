"""Chat turns through a tokenizer's own chat template.

Some chat templates write today's date (Llama 3, SmolLM3, gpt-oss: `strftime_now`). The same run would then have other prompts tomorrow, so
the date is pinned: the template is given a `strftime_now` of its own that always answers with `DATE`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from prompts.build import ApplyChat, Message
from prompts.render import FAILURES
from tasks.errors import IclError

DATE = datetime(2024, 7, 26)
"""What chat templates are told for today: the date that Llama 3's own falls back to where there is no clock."""
RANDOM = re.compile(r"\|\s*random\b|\blipsum\b")
SYSTEM, USER = "a system turn to try", "a user turn to try"


def chat_renderer(tokenizer: Any) -> ApplyChat:
    """A function from chat turns to text. Raises IclError when the tokenizer has no chat template, or one that draws at random.

    A template that refuses a system turn (Gemma's does) gets the instruction at the head of the first user turn instead.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise IclError("--chat needs a tokenizer with a chat template, but this model's has none; leave --chat out")
    pinned = _pinned(tokenizer)
    merge = not _takes_system_turn(tokenizer, pinned)

    def apply(messages: list[Message]) -> str:
        if merge and messages[0]["role"] == "system":
            first = {"role": "user", "content": messages[0]["content"] + "\n\n" + messages[1]["content"]}
            messages = [first, *messages[2:]]
        return _apply(tokenizer, pinned, messages)

    return apply


def _pinned(tokenizer: Any) -> dict[str, str]:
    """Arguments that make a chat template the same on every day; none when it does not ask for the date."""
    try:
        source = tokenizer.get_chat_template()
    except ValueError as error:
        raise IclError(f"--chat cannot choose a chat template of this model: {' '.join(str(error).split())}") from error
    if RANDOM.search(source):
        raise IclError(
            "--chat needs a chat template that gives the same text every time, but this model's draws at random; leave --chat out"
        )
    return {"chat_template": fixed_clock() + source} if "strftime_now" in source else {}


def fixed_clock() -> str:
    """A macro `strftime_now` in the language of chat templates, for `DATE`.

    Functions cannot be handed to a chat template, so each directive is replaced by what it stands for on that day. "%%" goes first and
    comes back last. The line feed behind the macro is taken away by transformers' own settings, so the template begins as it did.
    """
    letters = "aAwdbBmyYHIpMSfjUWcxXGuVFTDeR"
    replaced = [("%%", "\0"), *((f"%-{c}", str(int(DATE.strftime(f"%{c}")))) for c in "dmyHIMSj")]
    replaced += [(f"%{c}", DATE.strftime(f"%{c}")) for c in letters] + [("%z", ""), ("%Z", ""), ("\0", "%")]
    chain = "".join(f" | replace({old!r}, {new!r})" for old, new in replaced)
    return "{% macro strftime_now(format) %}{{ format" + chain + " }}{% endmacro %}\n"


def _takes_system_turn(tokenizer: Any, pinned: dict[str, str]) -> bool:
    try:
        text = _apply(tokenizer, pinned, [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}])
    except IclError:
        return False
    return SYSTEM in text


def _apply(tokenizer: Any, pinned: dict[str, str], messages: list[Message]) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **pinned))
    except FAILURES as error:
        problem = " ".join(str(error).split())
        raise IclError(f"--chat: the model's chat template does not take these turns ({problem}); leave --chat out") from error
