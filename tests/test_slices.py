"""Slices of queries by hand."""

from __future__ import annotations

import polars as pl
import pytest
import torch

from recsys.data.log import Histories, Holdout
from recsys.slices import by_history, by_popularity, depths, described


def test_depth_is_the_share_of_events_of_more_popular_items() -> None:
    """Events 6, 3, 3, 0 of 12: nothing above the first, half above the next two and a quarter of the events on their level, all above the
    last."""
    assert depths(torch.tensor([6, 3, 3, 0])).tolist() == [0.25, 0.75, 0.75, 1.0]
    assert depths(torch.tensor([0, 0])).tolist() == [0.0, 0.0]


def test_queries_are_described() -> None:
    histories = Histories.of([[0, 1], [], [2, 2, 2]])
    query = pl.DataFrame({"user": ["a", "b", "c"]})
    holdout = Holdout(histories, torch.tensor([0, 1, 3]), torch.tensor([0, 2, 2, 3]), torch.tensor([0, 1, 2]), query)
    found = described(holdout, torch.tensor([6, 3, 3, 0]))
    assert found.to_dicts() == [
        {"user": "a", "history": 2, "relevant": 2, "depth": 0.5},
        {"user": "b", "history": 0, "relevant": 1, "depth": None},
        {"user": "c", "history": 3, "relevant": 3, "depth": 1.0},
    ]
    assert by_popularity(found["depth"]).to_list() == ["torso", "unknown", "tail"]


def test_popularity_slices_share_the_training_events() -> None:
    """With events on every rank, a third of them falls into each slice."""
    counts = torch.arange(1, 2001)
    share = pl.DataFrame({"slice": by_popularity(pl.Series(depths(counts).numpy())), "events": counts.numpy()})
    for kind in ("head", "torso", "tail"):
        assert share.filter(pl.col("slice") == kind)["events"].sum() / counts.sum() == pytest.approx(1 / 3, abs=2e-3)


def test_history_slices() -> None:
    assert by_history(pl.Series([1, 2, 3, 4, 5, 6, 7, 8])).to_list() == ["1 to 2"] * 2 + ["3 to 4"] * 2 + ["5 to 6"] * 2 + ["7 to 8"] * 2
    assert by_history(pl.Series([1, 1, 1, 1, 1, 1, 9, 3])).to_list() == ["1"] * 6 + ["3 to 9"] * 2
    assert by_history(pl.Series([5, 5])).to_list() == ["5", "5"]
    assert by_history(pl.Series([], dtype=pl.Int64)).to_list() == []
    mixed = by_history(pl.Series([0, 0, 2, 100]))
    assert mixed.to_list() == ["0", "0", "2", "100"]
