"""Models: what a name means, fetching and converting the embedded one, loading."""

from icl.models.builtin import BUILTINS
from icl.models.load import LoadedModel, load_model, load_skeleton, load_tokenizer
from icl.models.resolve import resolve_model
from icl.models.types import ModelSource

__all__ = ["BUILTINS", "LoadedModel", "ModelSource", "load_model", "load_skeleton", "load_tokenizer", "resolve_model"]
