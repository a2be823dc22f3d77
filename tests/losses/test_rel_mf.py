"""Rel-MF against the estimator's theory (Saito et al. 2020): mean, variance and bias over many draws of the same world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys import Fit
from recsys.batch import Batch
from recsys.batching import Shuffled
from recsys.catalog import Catalog
from recsys.data.simulate.bernoulli import draw
from recsys.examples import LabelledPairs
from recsys.learner import Learner
from recsys.losses import WMF, Loss, RelMF
from recsys.models import MF
from recsys.optimizers import SGD
from recsys.part import Part
from recsys.pool import Draw, Pool
from recsys.propensity import Given, ItemPowerLaw
from recsys.randomness import generator
from recsys.sampling import Nothing
from recsys.scorer import DotScorer
from recsys.step import Scored
from recsys.testing import worlds

USERS, ITEMS, REPLICATES, TOGETHER = 50, 40, 20_000, 500
PAIRS = USERS * ITEMS


class World:
    """Probabilities and scores of a grid, the catalogue of one draw of clicks, and the propensities in a file."""

    def __init__(self, folder: Path) -> None:
        stream = np.random.default_rng(7)
        self.gamma = stream.uniform(0.05, 0.95, (USERS, ITEMS))
        self.theta = stream.uniform(0.02, 1.0, (USERS, ITEMS))
        self.score = torch.from_numpy(stream.normal(0.5, 1.5, (USERS, ITEMS)))
        self.path = folder / "theta.npy"
        np.save(self.path, self.theta)
        self.catalog = Catalog(draw(self.gamma, self.theta, seed=0).log())
        self.exact = torch.from_numpy(self.theta).float().double()  # as the loss has it

    def ready(self, loss: Loss) -> Loss:
        for part in loss.modules():
            if isinstance(part, Part):
                part.setup(self.catalog)
        return loss

    def values(self, loss: Loss, label: Tensor) -> Tensor:
        """The loss of all pairs, for label [replicates, U, N]: the same shape."""
        times = len(label)
        pair = torch.arange(PAIRS).repeat(times)
        owner, item = pair // ITEMS, pair % ITEMS
        batch = Batch(item, owner, pair, pair, len(pair), {"user": owner}, label=label.flatten().float())
        positive = self.score.flatten().repeat(times)
        score = DotScorer(positive[:, None], torch.ones(ITEMS, 1).double(), item)
        scored = Scored(positive, positive.new_zeros(len(pair), 0), batch, score, Draw((Pool(pair[:0]),)), self.catalog)
        value: Tensor = loss(scored)
        return value.view(times, USERS, ITEMS)

    def estimates(self, loss: Loss) -> Tensor:
        """float64 [replicates]: the mean loss over all pairs of each draw of the clicks."""
        probability, stream = self.exact * torch.from_numpy(self.gamma), generator("clicks")
        found = []
        for _ in range(REPLICATES // TOGETHER):
            label = torch.rand((TOGETHER, USERS, ITEMS), generator=stream, dtype=torch.float64) < probability
            found.append(self.values(loss, label).mean((1, 2)))
        return torch.cat(found)

    def costs(self, delta: str) -> tuple[Tensor, Tensor]:
        """The costs of a relevant and of an irrelevant pair, written another way."""
        p = 1 / (1 + (-self.score).exp())
        return (-p.log(), -(1 - p).log()) if delta == "log" else ((1 - p) ** 2, p**2)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("delta", ["squared", "log"])
@pytest.mark.parametrize("clip", [0.0, 0.3])
def test_mean_variance_and_bias_are_those_of_the_theory(world: World, delta: str, clip: float) -> None:
    found = world.estimates(world.ready(RelMF(propensity=Given(world.path), clip=clip, delta=delta)))  # type: ignore[arg-type]
    gamma, theta = torch.from_numpy(world.gamma), world.exact
    relevant, irrelevant = world.costs(delta)
    ideal = float((gamma * relevant + (1 - gamma) * irrelevant).mean())
    clipped = theta.clamp(min=clip)
    bias = float((gamma * (theta / clipped - 1) * (relevant - irrelevant)).mean())
    variance = float((gamma * theta * (1 - gamma * theta) / clipped**2 * (relevant - irrelevant) ** 2).sum()) / PAIRS**2
    if clip == 0:
        assert bias == 0
        assert variance == pytest.approx(float((gamma * (1 / theta - gamma) * (relevant - irrelevant) ** 2).sum()) / PAIRS**2)
    else:
        assert abs(bias) > 10 * (variance / REPLICATES) ** 0.5, "a bias that could not be seen would prove nothing"
    error = float(found.std()) / REPLICATES**0.5
    assert abs(float(found.mean()) - (ideal + bias)) < 3 * error
    assert float(found.var()) == pytest.approx(variance, rel=0.05)


def test_taking_clicks_for_relevance_is_biased(world: World) -> None:
    """The same world tells the naive estimator from the unbiased one: the check above is not passed by everything."""
    gamma = torch.from_numpy(world.gamma)
    relevant, irrelevant = world.costs("log")
    ideal = float((gamma * relevant + (1 - gamma) * irrelevant).mean())
    found = world.estimates(world.ready(WMF(delta="log")))
    assert abs(float(found.mean()) - ideal) > 50 * float(found.std()) / REPLICATES**0.5


@pytest.mark.parametrize("delta", ["squared", "log"])
def test_the_limits_of_the_clip(world: World, delta: str) -> None:
    label = torch.rand((3, USERS, ITEMS), generator=generator("labels")) < 0.5
    of = {clip: world.values(world.ready(RelMF(propensity=Given(world.path), clip=clip, delta=delta)), label) for clip in (0, 1e-9, 0.5, 1)}  # type: ignore[arg-type]
    assert torch.equal(of[0], of[1e-9]), "below every theta it is the unbiased estimator, to the bit"
    assert torch.equal(of[1], world.values(WMF(delta=delta), label)), "at 1 it is the naive one"  # type: ignore[arg-type]
    assert not torch.equal(of[0], of[0.5])


def test_values_by_hand() -> None:
    """Item 0 has 4 owners, item 1 has 1, item 2 none: theta = 1, 1/2 and 0 with power 1/2. At s = 0 both costs are 1/4 or log 2; s = log 3
    has p = 3/4."""
    log = worlds._log(torch.tensor([0, 0, 1, 2, 3]), torch.tensor([0, 1, 0, 0, 0]), 4, 3, "user")
    pairs = LabelledPairs()
    pairs.load(log)
    batch = pairs.batch(torch.tensor([0, 1, 2, 4]))  # (0, 0) and (0, 1) clicked, (0, 2) and (1, 1) not
    assert batch.label is not None and batch.label.tolist() == [1, 1, 0, 0]
    score = torch.full((4,), 3.0).log()
    scored = Scored(score, score.new_zeros(4, 0), batch, None, Draw((Pool(batch.row[:0]),)), Catalog(log))  # type: ignore[arg-type]

    def of(loss: Loss) -> list[float]:
        for part in loss.modules():
            if isinstance(part, Part):
                part.setup(Catalog(log))
        return [round(v, 6) for v in loss(scored).tolist()]

    q = [1 / 16, 9 / 16]  # (1 - p)^2 and p^2
    assert of(RelMF(clip=0.0)) == [q[0], round(2 * q[0] - q[1], 6), q[1], q[1]]
    assert of(RelMF(clip=0.8)) == [q[0], round(1.25 * q[0] - 0.25 * q[1], 6), q[1], q[1]]
    assert of(RelMF(propensity=ItemPowerLaw(power=1.0), clip=0.1)) == [q[0], round(4 * q[0] - 3 * q[1], 6), q[1], q[1]]
    assert of(WMF(unclicked=0.5)) == [q[0], q[0], q[1] / 2, q[1] / 2]
    assert of(WMF(unclicked=0.0, delta="log")) == [round(float(np.log(4 / 3)), 6)] * 2 + [0, 0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: RelMF(clip=-0.1), "clip is -0.1"),
        (lambda: RelMF(clip=1.5), "clip is 1.5"),
        (lambda: RelMF(delta="hinge"), "delta is 'hinge'; allowed are"),  # type: ignore[arg-type]
        (lambda: WMF(unclicked=-1.0), "unclicked is -1.0"),
        (lambda: ItemPowerLaw(power=-1.0), "power is -1.0"),
    ],
)
def test_a_wrong_knob_is_refused(wrong: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()  # type: ignore[operator]


def test_relevance_is_recovered_where_the_naive_loss_learns_exposure(tmp_path: Path) -> None:
    """Items have a relevance and an exposure of their own, the less relevant the more exposed. A model of biases alone tends to the share
    of clicks (naive), or to that share over theta, which estimates the relevance (unbiased)."""
    items, users = 12, 3000
    gamma = np.linspace(0.2, 0.8, items)
    theta = np.linspace(0.9, 0.15, items)
    log = draw(np.tile(gamma, (users, 1)), theta, seed=3).log()
    np.save(tmp_path / "theta.npy", theta)

    def learnt(loss: Loss) -> np.ndarray:
        fit = Fit(epochs=10, optimizer=SGD(lr=20.0), patience=None, device="cpu")
        model = MF(dim=1, bias=True, init_std=1e-6)
        parts = {"model": model, "batches": Shuffled(size=3000), "sampler": Nothing(), "loss": loss, "examples": LabelledPairs()}
        learner = Learner(**parts, fit=fit)  # type: ignore[arg-type]
        for _ in learner.fit(log):
            pass
        assert model.item_bias is not None
        return torch.sigmoid(model.item_bias.weight[:, 0]).detach().numpy()

    unbiased = learnt(RelMF(propensity=Given(tmp_path / "theta.npy"), clip=0.0, delta="log"))
    naive = learnt(WMF(delta="log"))
    clicks = log.counts.numpy() / users
    assert np.abs(naive - clicks).max() < 0.03
    assert np.abs(unbiased - clicks / theta).max() < 0.05
    assert np.corrcoef(unbiased, gamma)[0, 1] > 0.97 and np.corrcoef(naive, gamma)[0, 1] < 0.2
