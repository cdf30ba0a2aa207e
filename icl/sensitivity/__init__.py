"""How much of a result is luck: of the draw of demonstrations, their order, the template, its format, the label words."""

from icl.sensitivity.run import SensitivityRun, sensitivity
from icl.sensitivity.spec import SensitivitySpec

__all__ = ["SensitivityRun", "SensitivitySpec", "sensitivity"]
