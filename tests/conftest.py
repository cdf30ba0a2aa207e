"""Fixtures that several test files share: a tiny random model with a real tokenizer, a task of one's own, the data mirror."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may wait for a hub


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The local mirror of hub data; tests that use it skip where it is absent."""
    named = os.environ.get("ICL_DATA_DIR")
    directory = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not directory.is_dir():
        pytest.skip("no data mirror: set ICL_DATA_DIR")
    return directory


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """A byte-level BPE tokenizer of 400 tokens, trained here, with a beginning-of-sequence token that it does not add."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    text = [
        "Text: the film was good\nSentiment: positive\n\nText: a bad, dull film\nSentiment: negative\n\n" * 3,
        "Input: go\nOutput: went",
    ]
    tokenizer.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Any) -> Path:
    """A directory with a tiny random Llama and the tiny tokenizer, as `--model` takes it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)  # so that predictions are not all but uniform
    directory = tmp_path_factory.mktemp("model") / "tiny"
    model.save_pretrained(directory)
    tiny_tokenizer.save_pretrained(directory)
    return directory


CARD = """\
name: my-sentiment
kind: classification
description: Short reviews, positive or negative.
source: {type: files, path: reviews.csv}
splits:
  demonstration: {from: all, part: 0-50}
  test: {from: all, part: 50-100}
inputs: {text: review}
target: label
labels: {negative: negative, positive: positive}
metrics: [accuracy, macro_f1]
template: sentiment-plain
licence: CC0-1.0
citation: made up for a test
"""


def review_rows(count: int) -> list[tuple[str, str]]:
    """Made-up reviews with their labels, all different."""
    draw = random.Random(0)
    good, bad = ["good", "lovely", "fine", "great"], ["bad", "dull", "poor", "sad"]
    things = ["film", "story", "cast", "plot", "score", "ending", "scene"]
    rows: dict[str, str] = {}
    while len(rows) < count:
        label = draw.choice(["positive", "negative"])
        words = draw.choices(good if label == "positive" else bad, k=2)
        text = f"a {words[0]} {draw.choice(things)} and a {words[1]} {draw.choice(things)} number {draw.randrange(10_000)}"
        rows[text] = label
    return list(rows.items())


@pytest.fixture
def own_task(tmp_path: Path) -> Path:
    """A card beside a CSV of 120 made-up reviews."""
    rows = [f'"{text}",{label}' for text, label in review_rows(120)]
    (tmp_path / "reviews.csv").write_text("review,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    card = tmp_path / "my_task.yaml"
    card.write_text(CARD, encoding="utf-8")
    return card


@pytest.fixture
def isolated_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache directory of the test's own."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("ICL_CACHE_DIR", str(directory))
    return directory


@pytest.fixture(autouse=True)
def _own_score_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds the scores of another."""
    monkeypatch.setenv("ICL_SCORE_STORE", str(tmp_path / "store" / "scores.sqlite"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A stand-in for the package sentence-transformers: letter counts as vectors, the operations of a tiny encoder, a prompt of two bytes.
    The texts that were asked of it are noted."""
    import importlib.machinery
    import sys
    import types

    import numpy as np
    from transformers import BertConfig, BertModel

    noted: list[str] = []
    config = BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)

    class SentenceTransformer:
        def __getitem__(self, part: int) -> Any:
            return types.SimpleNamespace(modality_config={"text": {}, "message": {}})

        def __init__(self, path: str, **options: Any) -> None:
            import torch

            self.transformers_model, self.prompts, self.default_prompt_name = BertModel(config), {"query": "q:"}, "query"
            assert options["local_files_only"]
            assert not options["trust_remote_code"]
            assert options["model_kwargs"] == {"use_safetensors": True, "dtype": torch.float32}

        def encode(self, texts: list[str], **options: Any) -> Any:
            noted.extend(texts)
            return np.array([[text.count(letter) for letter in "abcdefgh"] for text in texts], dtype=np.float64)

        def preprocess(self, texts: list[str], prompt: str | None = None) -> Any:
            (text,) = texts
            ids = [*(prompt or "").encode(), *text.encode()]
            return {"input_ids": [[0, *ids]], "attention_mask": [[0] + [1] * len(ids)]}

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = SentenceTransformer  # type: ignore[attr-defined]
    module.__spec__ = importlib.machinery.ModuleSpec("sentence_transformers", None)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    return noted
