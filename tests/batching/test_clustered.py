"""Batches of like owners: on the checkerboard even and odd users are the two clusters that a model must find."""

from __future__ import annotations

import copy

import pytest
import torch

from recsys.batching import Clustered
from recsys.data.sources import Simulated
from recsys.errors import ConfigError
from recsys.experiment import Experiment
from recsys.fit import Fit
from recsys.learner import Learner
from recsys.losses import BPR, Softmax
from recsys.models import MF
from recsys.optimizers import Adam
from recsys.sampling import InBatch, Unseen
from recsys.splitting import LastN
from recsys.step import Step
from recsys.testing import worlds

LOG = worlds.checkerboard()


def learner(batches: Clustered, epochs: int = 6) -> Learner:
    fit = Fit(epochs=epochs, optimizer=Adam(lr=0.02), patience=None, device="cpu", diagnostics=0)
    return Learner(model=MF(dim=8), batches=batches, sampler=Unseen(1), loss=BPR(), fit=fit).setup(LOG)


def parities(step: Step) -> list[torch.Tensor]:
    """The parity of the users in each batch."""
    return [step.examples.owner[batch] % 2 for batch in step.batches.plan]


def trained(batches: Clustered) -> Step:
    made = learner(batches)
    for _ in made.fit(LOG):
        pass
    made.step.begin_epoch(7)
    return made.step


def test_a_batch_is_of_one_cluster():
    step = trained(Clustered(size=64, clusters=2, mix=1))
    pure = [float(x.double().mean()) in (0.0, 1.0) for x in parities(step)]
    assert sum(pure) >= len(pure) - 1  # the piece at the border
    assert {float(x.double().mean()) for x in parities(step)} >= {0.0, 1.0}


def test_a_mixed_batch_is_made_of_whole_pieces():
    step = trained(Clustered(size=40, clusters=2, mix=4))
    pieces = [piece for x in parities(step) for piece in torch.split(x, 10)]  # 76 in all
    assert sum(float(x.double().mean()) in (0.0, 1.0) for x in pieces) >= 75
    assert len({float(x.double().mean()) for x in parities(step)}) > 2  # batches mix the two


def test_an_epoch_has_every_example_once_whatever_does_not_divide():
    for size, mix in ((64, 7), (37, 37), (50, 3)):
        step = trained(Clustered(size=size, clusters=3, mix=mix))
        assert torch.equal(torch.cat(step.batches.plan).sort().values, torch.arange(len(step.examples)))
        assert max(map(len, step.batches.plan)) <= size


def test_clusters_are_made_anew_when_due():
    made = learner(Clustered(size=64, clusters=2, mix=1, every=2), epochs=4)
    when = []
    for _ in made.fit(LOG):
        when.append(int(made.step.batches.made))
    assert when == [1, 1, 3, 3]


def test_a_run_that_goes_on_in_the_middle_of_an_epoch_has_the_same_batches():
    states = []
    whole = learner(Clustered(size=64, clusters=2, mix=2), epochs=3)
    whole.on_step = lambda epoch, step, *_: states.append(copy.deepcopy(whole.state())) if (epoch, step) == (2, 3) else None
    plans = [[b.clone() for b in whole.step.batches.plan] for _ in whole.fit(LOG)]
    again = learner(Clustered(size=64, clusters=2, mix=2), epochs=3)
    again.load_state(states[0])
    resumed = [[b.clone() for b in again.step.batches.plan] for _ in again.fit(LOG)]
    for theirs, ours in zip(plans[1:], resumed, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(theirs, ours, strict=True))
    for a, b in zip(whole.step.model.parameters(), again.step.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_expected_counts_are_not_promised():
    with pytest.raises(ConfigError, match="log_count"):
        Experiment(data=Simulated(), split=LastN(), model=MF(), batches=Clustered(), sampler=InBatch(), loss=Softmax(logq=True)).check()
    for options, message in (({"clusters": 0}, "clusters is 0"), ({"mix": 0}, "mix is 0"), ({"size": 4, "mix": 5}, "mix is 5")):
        with pytest.raises(ValueError, match=message):
            Clustered(**options)
