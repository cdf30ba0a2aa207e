"""Classes of functions to be learnt from a few points: one per file, drawn with a given stream; `sample` makes sequences of points."""

from tasks.functions.sample import FUNCTION_CLASSES, Points, get_function_class, sample
from tasks.functions.shifts import SHIFTS, get_shift
from tasks.functions.types import FunctionClass, Functions

__all__ = ["FUNCTION_CLASSES", "SHIFTS", "FunctionClass", "Functions", "Points", "get_function_class", "get_shift", "sample"]
