"""Masked items: how many events of a sequence are hidden, which, and anew before every epoch."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch
from scipy import stats

from recsys.batching import Bucketed
from recsys.data.log import Log
from recsys.examples import MaskedItems
from recsys.fit import Fit
from recsys.learner import Learner
from recsys.losses import Softmax
from recsys.models import BERT4Rec
from recsys.optimizers import Adam
from recsys.sampling import All
from recsys.step import Step
from recsys.testing import worlds

# owners of 4, 0, 1, 7 and 12 events, each event another item
SIZES = torch.tensor([4, 0, 1, 7, 12])
LOG = worlds._log(torch.arange(5).repeat_interleave(SIZES), torch.arange(24), 5, 24, "session")


def step_of(examples: MaskedItems, log: Log = LOG) -> Step:
    return worlds.step_of(model=BERT4Rec(dim=4, longest=12), log=log, examples=examples)


def hidden_of(step: Step) -> dict[int, list[int]]:
    """The hidden items of each owner."""
    batch = step.examples.batch(torch.arange(len(step.examples)))
    return {owner: batch.target[batch.owner == owner].tolist() for owner in (0, 2, 3, 4)}


def test_a_share_of_each_sequence_is_hidden_and_at_least_one() -> None:
    hidden = hidden_of(step_of(MaskedItems(share=0.3, last=0.0)))
    assert {owner: len(items) for owner, items in hidden.items()} == {0: 1, 2: 1, 3: 2, 4: 4}
    assert {owner: len(set(items)) for owner, items in hidden.items()} == {0: 1, 2: 1, 3: 2, 4: 4}
    assert hidden_of(step_of(MaskedItems(share=1.0, last=0.0)))[3] == [5, 6, 7, 8, 9, 10, 11]


def test_the_rows_of_a_batch() -> None:
    step = step_of(MaskedItems(share=0.3, last=0.0))
    examples = step.examples
    batch = examples.batch(torch.tensor([3, 0]))  # the owners 4 and 0
    assert batch.inputs["items"].tolist() == [list(range(12, 24)), [0, 1, 2, 3] + [0] * 8]
    assert batch.inputs["at"].tolist() == [*range(12), 12, 13, 14, 15]
    assert batch.inputs["hidden"].sum() == len(batch) == 5
    shown = batch.inputs["items"].flatten()[batch.inputs["at"][~batch.inputs["hidden"]]]
    assert torch.equal(batch.context, shown)  # type: ignore[arg-type]
    assert sorted([*batch.target.tolist(), *shown.tolist()]) == [0, 1, 2, 3, *range(12, 24)]
    assert batch.owner.tolist() == [4] * 4 + [0] and batch.group.tolist() == [0] * 4 + [1] and batch.groups == 2
    assert torch.equal(examples.target[batch.row], batch.target)


def test_the_last_event_alone_in_a_share_of_the_sequences() -> None:
    assert hidden_of(step_of(MaskedItems(share=0.5, last=1.0))) == {0: [3], 2: [4], 3: [11], 4: [23]}
    step = step_of(MaskedItems(share=0.5, last=0.3))
    times = 0
    for epoch in range(1, 601):
        step.begin_epoch(epoch)
        times += hidden_of(step)[4] == [23]
    assert stats.binomtest(times, 600, 0.3).pvalue > 1e-4


def test_every_event_is_hidden_equally_often() -> None:
    step, count = step_of(MaskedItems(share=0.25, last=0.0)), Counter[int]()
    for epoch in range(1, 801):
        step.begin_epoch(epoch)
        count.update(hidden_of(step)[4])
    assert sum(count.values()) == 2400 and stats.chisquare([count[item] for item in range(12, 24)]).pvalue > 1e-4


def test_the_window() -> None:
    step = step_of(MaskedItems(share=1.0, last=0.0, longest=5))
    assert hidden_of(step) == {0: [0, 1, 2, 3], 2: [4], 3: [7, 8, 9, 10, 11], 4: [19, 20, 21, 22, 23]}
    assert step.examples.lengths().tolist() == [4, 1, 5, 5]


@pytest.mark.parametrize(("options", "word"), [({"share": 0.0}, "share"), ({"last": 1.1}, "last"), ({"longest": 0}, "longest")])
def test_wrong_options_are_refused(options: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        MaskedItems(**options)  # type: ignore[arg-type]


def test_training_that_is_cut_in_an_epoch_goes_on_with_the_same_masks() -> None:
    log = worlds.sessions(40)

    def made() -> Learner:
        fit = Fit(epochs=3, optimizer=Adam(lr=0.01), device="cpu", patience=None, checkpoint_seconds=0)
        model = BERT4Rec(dim=8, longest=12)
        return Learner(model=model, batches=Bucketed(size=8), sampler=All(), loss=Softmax(), fit=fit, seed=3)

    whole, states = made(), list[dict[str, Any]]()
    whole.on_checkpoint = lambda: states.append(copy.deepcopy(whole.state()))
    for _ in whole.fit(log):
        pass
    middle = next(state for state in states if state["done"]["epoch"] == 1 and state["done"]["step"] == 2)
    resumed = made().setup(log)
    resumed.load_state(middle)
    for _ in resumed.fit(log):
        pass
    wanted, found = whole.step.model.state_dict(), resumed.step.model.state_dict()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
