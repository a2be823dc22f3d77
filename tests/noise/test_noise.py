"""Noise as an axis of an experiment: in training only, of known place, and reported."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recsys import Experiment, Fit
from recsys.batching import ByUser
from recsys.data.sources import Simulated
from recsys.errors import ConfigError
from recsys.models import MF
from recsys.noise import AddPositives, DropPositives
from recsys.sampling import PersonalLoss, Unseen
from recsys.splitting import UserFraction

SHOP = {"data": Simulated(users=60, items=200, clicks=20), "split": UserFraction(test=0.2, validation=0.1), "model": MF(dim=8)}


def pairs(log) -> set[tuple[int, int]]:
    return set(zip(log.owners.tolist(), log.items.tolist(), strict=True))


@pytest.fixture
def clean(tmp_path: Path):
    return Experiment(**SHOP).prepare(cache=tmp_path)


def test_added_positives_are_marked_masked_and_counted_and_answers_stay(clean):
    noisy = AddPositives(share=0.5).inject(clean, seed=1)
    for fold, before in ((noisy.select, clean.select), (noisy.refit, clean.refit)):
        added = fold.train.injected
        kept = fold.train.items[~added]
        assert torch.equal(kept, before.train.items)
        new = set(zip(fold.train.owners[added].tolist(), fold.train.items[added].tolist(), strict=True))
        assert new and not new & pairs(before.train)
        distinct = torch.tensor([len({i for o, i in pairs(before.train) if o == u}) for u in range(before.train.num_owners)])
        assert torch.equal(torch.bincount(fold.train.owners[added], minlength=len(distinct)), (distinct * 0.5).long())
        for part, holdout in fold.holdouts.items():
            assert torch.equal(holdout.items, before.holdouts[part].items)
            query = 0
            own, history = int(holdout.histories.owner[query]), set(holdout.histories.take(slice(query, query + 1)).flat()[0].tolist())
            assert {i for u, i in new if u == own} <= history
    report = noisy.report["noise"]["select"]
    assert report["added"] == int(noisy.select.train.injected.sum()) and report["dropped"] == 0
    assert report["share"] == pytest.approx(report["added"] / len(noisy.select.train))


def test_the_same_seed_gives_the_same_noise_and_another_seed_other_noise(clean):
    one, same, other = (AddPositives(share=0.3).inject(clean, seed=seed).select.train.fingerprint for seed in (1, 1, 2))
    assert one == same != other


def test_dropped_positives_are_gone_from_training_and_from_histories(clean):
    noisy = DropPositives(share=0.5).inject(clean, seed=1)
    lost = pairs(clean.select.train) - pairs(noisy.select.train)
    assert lost and pairs(noisy.select.train) < pairs(clean.select.train)
    holdout = noisy.select.holdouts["valid"]
    items, query = holdout.histories.flat()
    assert not lost & set(zip(holdout.histories.owner[query].tolist(), items.tolist(), strict=True))


def test_a_run_reports_the_share_of_noise_that_it_learnt_from(tmp_path: Path):
    batches = ByUser(size=32, positives=5, draws=320)
    sampler = PersonalLoss(Unseen(1, per="group"), temperature=0.1, warmup=1)
    fit = Fit(epochs=3, refit=False, device="cpu")
    run = Experiment(**SHOP, noise=AddPositives(share=0.5), sampler=sampler, batches=batches, fit=fit).run(tmp_path / "run", cache=tmp_path)
    offered = run.history["rows.noisy_share_offered"].to_list()
    learnt = run.history["rows.noisy_share"].to_list()
    expected = run.about["data"]["report"]["noise"]["select"]["owner_share"]
    assert offered == pytest.approx([expected] * 3, abs=0.06)
    assert all(0 <= x <= 1 for x in learnt) and learnt[0] == pytest.approx(offered[0], abs=0.12)
    assert learnt[1] != offered[1]  # after the warm-up some rows are preferred


@pytest.mark.parametrize("share", [-0.1, float("inf"), float("nan")])
def test_a_share_that_cannot_be_is_refused(share):
    with pytest.raises(ConfigError, match="share"):
        AddPositives(share=share)
