"""A sentence model without a download: the word vectors that the package wordllama ships, as sentence-transformers keeps a model.

    pip install wordllama==0.4.0.post1 'icl-lab[sentences]'
    python studies/word_vectors.py DIR           # then: icl compare … --embedder DIR

WordLlama (MIT): 256 numbers for each of 32,000 tokens, distilled from the tables of large language models; a text is their mean. It
multiplies nothing, so it is a floor under what an encoder of sentences would do.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np


def main(arguments: list[str] | None = None) -> None:
    """Writes the directory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    given = parser.parse_args(arguments)
    found = find_spec("wordllama")
    if found is None or found.origin is None or find_spec("sentence_transformers") is None:
        sys.exit("word_vectors: needs two packages: pip install wordllama==0.4.0.post1 'icl-lab[sentences]'")
    from safetensors.numpy import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    package = Path(found.origin).parent
    tokenizer = Tokenizer.from_file(str(package / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    (table,) = load_file(package / "weights" / "l2_supercat_256.safetensors").values()
    part = StaticEmbedding(tokenizer, embedding_weights=table.astype(np.float32))
    SentenceTransformer(modules=[part], device="cpu").save(str(given.directory))
    print(f"{given.directory}: {table.shape[0]:,} tokens, {table.shape[1]} numbers each")


if __name__ == "__main__":
    main()
