from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from recsys.data import describe


def test_a_log_by_hand() -> None:
    stamps = [datetime(2026, 1, day) for day in (1, 2, 3, 4)]
    frame = pl.DataFrame({"user": [1, 1, 1, 2], "item": ["a", "b", "a", "a"], "time": stamps, "part": ["train", "train", "test", "train"]})
    assert describe(frame) == {
        "events": 4,
        "owner": "user",
        "owners": 2,
        "items": 2,
        "density": pytest.approx(3 / 4),
        "repeats": pytest.approx(1 / 4),
        "length_median": 2.0,
        "length_mean": 2.0,
        "length_max": 3,
        "top_1_percent": pytest.approx(3 / 4),
        "first": "2026-01-01T00:00:00",
        "last": "2026-01-04T00:00:00",
        "days": 3.0,
        "parts": {"train": 3, "test": 1},
    }
