"""Sequences: which rows, and what is read before each."""

from __future__ import annotations

import pytest
import torch

from recsys.examples import NextItem
from recsys.testing import worlds

# owners of 4, 1, 2 and 6 events
LOG = worlds._log(torch.tensor([0] * 4 + [1] + [2] * 2 + [3] * 6), torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9]), 4, 10, "session")


@pytest.mark.parametrize(
    ("longest", "rows"),
    [
        (None, {0: ([3, 1, 4], [1, 4, 1]), 2: ([9], [2]), 3: ([6, 5, 3, 5, 8], [5, 3, 5, 8, 9])}),
        (2, {0: ([1, 4], [4, 1]), 2: ([9], [2]), 3: ([5, 8], [8, 9])}),
        (1, {0: ([4], [1]), 2: ([9], [2]), 3: ([8], [9])}),
    ],
)
def test_each_event_but_the_first_is_predicted_from_those_before(longest: int | None, rows: dict[int, tuple[list[int], list[int]]]) -> None:
    examples = NextItem(longest=longest)
    examples.load(LOG)
    assert len(examples) == 3 and examples.lengths().tolist() == [len(y) for _, y in rows.values()]
    assert examples.target.tolist() == [y for _, ys in rows.values() for y in ys]
    batch = examples.batch(torch.tensor([2, 0, 1]))
    for group, owner in enumerate((3, 0, 2)):
        mine = batch.group == group
        assert batch.owner[mine].tolist() == [owner] * int(mine.sum())
        assert (batch.context[batch.context_group == group].tolist(), batch.target[mine].tolist()) == rows[owner]  # type: ignore[index]
    items = batch.inputs["items"].flatten()[batch.inputs["at"]]
    assert torch.equal(items, batch.context) and torch.equal(examples.target[batch.row], batch.target)  # type: ignore[arg-type]


def test_an_example_has_a_row() -> None:
    with pytest.raises(ValueError, match="longest is 0"):
        NextItem(longest=0)
