"""Batches of equally many rows."""

from __future__ import annotations

import pytest
import torch

from recsys.batching import EvenRows
from recsys.examples import NextItem
from recsys.testing import worlds


@pytest.mark.parametrize("size", [12, 40, 100])
def test_batches_have_as_many_rows_as_asked_but_for_one_example(size: int) -> None:
    step = worlds.step_of(batches=EvenRows(size=size), log=worlds.sessions(300, longest=11), examples=NextItem())
    length = step.examples.lengths()
    rows = sorted(int(length[ids].sum()) for ids in step.batches.plan)
    assert all(abs(number - size) < 10 for number in rows[1:])  # sessions have at most 10 rows; the first is what was left
    assert len(rows) == -(-int(length.sum()) // size)
    spread = torch.tensor([int(length[ids].max() - length[ids].min()) for ids in step.batches.plan])
    assert spread.double().mean() <= 1.5  # of similar length


def test_an_example_longer_than_a_batch_is_one_of_its_own() -> None:
    step = worlds.step_of(batches=EvenRows(size=3), log=worlds.sessions(50, longest=11), examples=NextItem())
    length = step.examples.lengths()
    assert all(len(ids) == 1 for ids in step.batches.plan if length[ids].max() > 3)
