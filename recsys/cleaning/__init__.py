"""Cleaning steps: which events of a log an experiment keeps; one class a rule, applied in the order they are listed."""

from recsys.cleaning.consecutive import ConsecutiveRepeats
from recsys.cleaning.duplicates import Duplicates
from recsys.cleaning.kcore import KCore
from recsys.cleaning.kinds import Kinds
from recsys.cleaning.length import MaxLength, MinLength
from recsys.cleaning.sessions import Sessionize
from recsys.cleaning.step import LogStep, OwnerStep, Step
from recsys.cleaning.support import MinSupport
from recsys.cleaning.threshold import Threshold
from recsys.cleaning.window import TimeWindow

__all__ = [
    "ConsecutiveRepeats",
    "Duplicates",
    "KCore",
    "Kinds",
    "LogStep",
    "MaxLength",
    "MinLength",
    "MinSupport",
    "OwnerStep",
    "Sessionize",
    "Step",
    "Threshold",
    "TimeWindow",
]
