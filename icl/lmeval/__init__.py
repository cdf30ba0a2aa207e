"""Tasks of lm-evaluation-harness (its YAML files without Python) as cards and templates of this program."""

from icl.lmeval.importing import Imported, import_task
from icl.lmeval.search import find_yaml

__all__ = ["Imported", "find_yaml", "import_task"]
