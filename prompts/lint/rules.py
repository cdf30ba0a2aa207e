"""The rules: what goes wrong with templates, one line of code per rule in `RULES`."""

from __future__ import annotations

from prompts.lint import answers, layout, tokens
from prompts.lint.types import Rule
from tasks.errors import IclError, unknown_name

RULES: dict[str, Rule] = {
    "P001": Rule(
        "not a template",
        "error",
        "The file cannot be read as a template: its front matter, its syntax or a word that is not part of the language. Nothing else "
        "is checked until it can.",
    ),
    "P002": Rule(
        "does not serve the task",
        "error",
        "The template is for another kind of task, its label words are not those of the task, it answers with letters that the prompt "
        "never explains, or it fails on an item. Choose another template, or repair 'kinds', 'label_words' or the block that is named.",
    ),
    "P003": Rule(
        "undefined field",
        "error",
        "A block uses a name that the task does not have. 'icl tasks show TASK' lists the fields; a name that may be missing is "
        "written {{ name | default('') }} and left out of 'fields'.",
    ),
    "P004": Rule(
        "answer in reach",
        "error",
        "The query side, the instruction or the separator uses 'answer' or 'query', which exist in the block 'demonstration' only. A "
        "prompt that shows the answer measures copying.",
    ),
    "P005": Rule(
        "unused field",
        "warning",
        "The task has an input field that no block uses. The model then sees less than the task gives, and items that differ in this "
        "field only become one text.",
        answers.unused_fields,
    ),
    "P006": Rule(
        "answer in the query",
        "error",
        "The text of the right answer already stands in the query side, while another candidate does not. In half of the queries or "
        "more this is the template's fault (a field that holds the answer) and an error; in a few it is the nature of the data (the "
        "plural of 'sheep') and a warning. Lists of all choices give nothing away.",
        answers.answer_in_query,
    ),
    "P007": Rule(
        "space before the answer",
        "error",
        "The query side ends with a space or tab. In most vocabularies a leading space is part of a word's token, so a space before it "
        "moves the boundary and the model reads a text that it has hardly seen in training. End the block without white space; "
        "answer_prefix brings the space.",
        layout.trailing_space,
    ),
    "P008": Rule(
        "tokens merge across the boundary",
        "warning",
        "The last characters of the context and the first of an answer are one token. The scorer then scores that whole token for "
        "every candidate, so part of the context counts in the score. Let the query side end with a character that does not merge with "
        "a space, such as a colon or a letter, and the answer begin with a space.",
        check_tokens=tokens.merged_boundary,
    ),
    "P009": Rule(
        "first token shared",
        "warning",
        "Two label words begin with the same token. Their scores then differ only in later tokens, and a probe or calibration that "
        "looks at the first token cannot tell them apart. Choose other words.",
        check_tokens=tokens.first_token_shared,
    ),
    "P010": Rule(
        "label words of unequal length",
        "warning",
        "Scores are sums over tokens, unless a run divides them by length, so a word of more tokens starts with a handicap. Choose "
        "words of equal length, or rely on a calibration, which takes a constant handicap out.",
        check_tokens=tokens.unequal_lengths,
    ),
    "P011": Rule(
        "label words split oddly",
        "warning",
        "With or without its leading space, whichever the template does not use, a label word would take fewer tokens: the form in the "
        "prompt is the rarer one in the model's training. Change answer_prefix or the word.",
        check_tokens=tokens.odd_splits,
    ),
    "P012": Rule(
        "label word begins another",
        "warning",
        "Every token of the longer word costs probability, so the shorter one hardly ever loses to it. Choose words of which none "
        "begins another.",
        answers.prefix_words,
    ),
    "P013": Rule(
        "beginning of sequence",
        "error",
        "The token that begins a text stands twice (the template writes one that the tokenizer adds as well), or is missing where the "
        "tokenizer's convention asks for it (a warning; some chat templates mean it). Templates leave it to the tokenizer.",
        check_tokens=tokens.beginning,
    ),
    "P014": Rule(
        "chat markup",
        "error",
        "The template writes marks of a conversation by hand. They fit one model only, and with --chat they stand twice. Write plain "
        "text; --chat makes turns through the model's own chat template.",
        layout.markup,
    ),
    "P015": Rule(
        "separator in the data",
        "warning",
        "The text that separates demonstrations also stands inside some of them, so the model cannot see where an example ends. Choose "
        "another separator, such as a line of three signs.",
        layout.separator_in_data,
    ),
    "P016": Rule(
        "demonstration unlike the query",
        "error",
        "A demonstration does not begin with the query side, answer_prefix and answer exactly as a query is asked, so what the "
        "examples teach is not what is scored. Write {{ query }} and the same prefix in the block 'demonstration', or leave the block "
        "out.",
        layout.rendered_differently,
    ),
    "P017": Rule(
        "support and query alike",
        "error",
        "An example that may become a demonstration and a query of the evaluated split are written as the same text, so the prompt may "
        "hold the answer. Usually the template leaves out a field that tells them apart. A warning where their answers differ.",
        answers.alike,
    ),
    "P018": Rule(
        "instruction lacks a label",
        "error",
        "The instruction names some of the labels but not all, which turns the model against the others. Write {{ labels | join(', ') "
        "}}. An instruction that names none is a warning.",
        answers.missing_labels,
    ),
    "P019": Rule(
        "over the window",
        "error",
        "Sampled prompts with the number of demonstrations asked for are longer than the model's context window. Use fewer shots, a "
        "shorter template or a model with a longer window; --overflow drop leaves demonstrations out.",
        check_tokens=tokens.over_window,
    ),
    "P020": Rule(
        "not deterministic",
        "error",
        "The same item gave two texts when it was rendered twice, in another order. The template language has no chance and no clock, "
        "so this is state of a chat template or of this program. Runs would not be repeatable.",
        layout.not_deterministic,
    ),
    "P021": Rule(
        "long white space",
        "warning",
        "The prompt has four spaces or two empty lines in a row that come from no input value, usually from indented Jinja tags. Tags "
        "that take their white space with them are written {%- and -%}.",
        layout.long_spaces,
    ),
}
"""Id → rule. Ids are never used again for something else."""


def get_rule(id: str) -> Rule:
    """Raises IclError for an unknown id."""
    if id not in RULES:
        raise unknown_name("lint rule", id, RULES, "('icl prompts explain' without a rule lists them)")
    return RULES[id]


def check_suppressed(ids: tuple[str, ...], where: str) -> None:
    """Raises IclError for what the front matter's `lint_ignore` cannot name."""
    for id in ids:
        rule = get_rule(id)
        if rule.check is None and rule.check_tokens is None:
            raise IclError(f"{where}: lint_ignore must not name {id} ({rule.title}): such a template cannot run")
