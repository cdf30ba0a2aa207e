"""Corrections of label scores, applied to stored scores after the model has run: one method per file."""

from __future__ import annotations

from icl.calibration.batch import BatchCalibration, BatchLogCalibration
from icl.calibration.channel import ChannelScores
from icl.calibration.contextual import ContextualCalibration
from icl.calibration.domain_context import DomainContextCalibration
from icl.calibration.hidden import HiddenCalibration
from icl.calibration.knn_prompting import KNNPrompting
from icl.calibration.none import NoCalibration
from icl.calibration.pmi import PMICalibration
from icl.calibration.prototypical import PrototypicalCalibration
from icl.calibration.types import OF_LABELS, Calibrator, LabelScores, Needs, Neighbours
from tasks.errors import unknown_name

CALIBRATORS: dict[str, Calibrator] = {
    "none": NoCalibration(),
    "contextual": ContextualCalibration(),
    "domain-context": DomainContextCalibration(),
    "batch": BatchCalibration(),
    "batch-log": BatchLogCalibration(),
    "pmi": PMICalibration(),
    "channel": ChannelScores(),
    "prototypical": PrototypicalCalibration(),
    "knn-prompting": KNNPrompting(),
    "hidden": HiddenCalibration(),
}
"""Name → calibrator, in the order in which they are shown."""


def get_calibrator(name: str) -> Calibrator:
    """The calibrator of that name. Raises IclError for an unknown one."""
    if name not in CALIBRATORS:
        raise unknown_name("calibration", name, CALIBRATORS)
    return CALIBRATORS[name]


__all__ = ["CALIBRATORS", "OF_LABELS", "Calibrator", "LabelScores", "Needs", "Neighbours", "get_calibrator"]
