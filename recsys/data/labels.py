"""What an event is for, as splitters say it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.data.events import PARTS

LABELS = pl.Enum([*PARTS.categories, "valid_given", "test_given"])
"""``train``, ``valid`` and ``test``; and for users whom training has not seen, what is given of them when they are asked in validation
(``valid_given``: trained on when validation is) or in test (``test_given``: never trained on)."""

TRAIN, VALID, TEST, VALID_GIVEN, TEST_GIVEN = range(len(LABELS.categories))

Promise = Literal["global", "end", "start", "owner", "users", "none"]
"""What a split promises about time: ``global``: every training event is before every test event; ``end``, ``start``: every training
session ends (starts) before every test session does; ``owner``: no training event of an owner is after its test events; ``users``: no test
user has training events; ``none``."""

Label = NDArray[np.int8]  # [E] of a block: the number of each event's label; -1 for an event that is left out
Labels = list[Label]  # one array a block

LEARNT = {"select": frozenset({TRAIN}), "refit": frozenset({TRAIN, VALID, VALID_GIVEN})}
ASKED = {"select": {"valid": VALID, "test": TEST}, "refit": {"test": TEST}}
EARLIER = {VALID: frozenset({TRAIN, VALID_GIVEN}), TEST: frozenset({TRAIN, VALID, VALID_GIVEN, TEST_GIVEN})}


def among(label: Label, parts: frozenset[int]) -> NDArray[np.bool_]:
    """bool [E]: whether each label is one of these."""
    chosen = np.zeros(len(LABELS.categories) + 1, dtype=bool)  # the last stands for -1
    chosen[list(parts)] = True
    return np.asarray(chosen[label])
