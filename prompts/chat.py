"""Chat turns through a tokenizer's own chat template."""

from __future__ import annotations

from typing import Any

from prompts.build import ApplyChat, Message
from tasks.errors import IclError


def chat_renderer(tokenizer: Any) -> ApplyChat:
    """A function from chat turns to text. Raises IclError when the tokenizer has no chat template.

    A template that refuses a system turn (Gemma's does) gets the instruction at the head of the first user turn instead.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise IclError("--chat needs a tokenizer with a chat template, but this model's has none; leave --chat out")
    merge = not _takes_system_turn(tokenizer)

    def apply(messages: list[Message]) -> str:
        if merge and messages[0]["role"] == "system":
            first = {"role": "user", "content": messages[0]["content"] + "\n\n" + messages[1]["content"]}
            messages = [first, *messages[2:]]
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    return apply


def _takes_system_turn(tokenizer: Any) -> bool:
    from jinja2 import TemplateError

    probe = [{"role": "system", "content": "probe"}, {"role": "user", "content": "probe"}]
    try:
        text = tokenizer.apply_chat_template(probe, tokenize=False, add_generation_prompt=True)
    except TemplateError:
        return False
    return str(text).count("probe") == 2
