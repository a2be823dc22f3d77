from __future__ import annotations

import json

import pytest
import torch

from recsys.data.sources import Simulated
from recsys.experiment import Experiment
from recsys.fit import Fit
from recsys.losses import BPR
from recsys.models import MF
from recsys.noise import AddPositives
from recsys.optimizers import Adam
from recsys.sampling import All, Resampled, TopK, Unseen
from recsys.splitting import LastN
from recsys.testing import worlds

from .given import fits, view_of

TABLE = torch.tensor([[1.0, 0.0], [-2.0, 0.0], [3.0, 0.0], [0.0, 0.0]])


def counts(sampler: Resampled, epoch: int, repeats: int = 500) -> torch.Tensor:
    found = [sampler(view_of(TABLE.T.contiguous().T, loss=BPR(), epoch=epoch, at=at)).rows for at in range(repeats)]
    assert all(len(rows) == 4 for rows in found)
    return torch.bincount(torch.cat(found), minlength=4).double()


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_rows_are_drawn_by_the_ratio_of_the_paper(rate: float):
    p = torch.sigmoid(TABLE[:, 0].double())  # of the right order, by BPR
    weight = p / (p + rate * (1 - p))
    assert fits(counts(Resampled(TopK(All(), k=1), rate=rate, warmup=0), 1), weight)


def test_in_the_warmup_rows_are_drawn_uniformly():
    assert fits(counts(Resampled(TopK(All(), k=1), warmup=2), 2), torch.ones(4).double())
    assert not fits(counts(Resampled(TopK(All(), k=1), warmup=2), 3), torch.ones(4).double())


def test_false_events_are_learnt_from_less_often(tmp_path):
    made = Experiment(
        data=Simulated(users=300, items=600, clicks=15_000, seed=3),
        split=LastN(),
        noise=AddPositives(share=0.4),
        model=MF(dim=16),
        sampler=Resampled(Unseen(1), rate=1.0, warmup=2),
        fit=Fit(epochs=12, optimizer=Adam(lr=0.01), patience=None, refit=False, device="cpu"),
    )
    run = made.run(tmp_path / "run", cache=tmp_path)
    history = [json.loads(line) for line in (run.folder / "history.jsonl").read_text().splitlines()]
    offered, kept = (history[-1][f"rows.{name}"] for name in ("noisy_share_offered", "noisy_share"))
    assert abs(history[1]["rows.noisy_share"] - offered) < 0.02
    assert kept < 0.9 * offered


def test_a_step_of_repeated_rows_is_finite():
    step = worlds.step_of(Resampled(Unseen(2), warmup=0), BPR())
    assert torch.isfinite(step(worlds.first_batch(step), 1, 0))


@pytest.mark.parametrize(
    ("options", "message"), [({"rate": 0.0}, "rate is 0"), ({"rate": 1.5}, "rate is 1.5"), ({"warmup": -1}, "warmup is -1")]
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        Resampled(Unseen(1), **options)
