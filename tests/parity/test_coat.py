"""Rel-MF against the naive model on Coat, whose test part is 16 items for each user that were drawn at random.

The two configs differ in the loss alone: same rows, steps, learning rate, penalty and seeds. Tail: relevant items count if they are among
the half of the items with the fewest training events; all items shown are ranked.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipelines import config
from recsys.data.log import Fold, Holdout
from recsys.data.sources import Coat
from recsys.evaluation import evaluate
from recsys.learner import Learner

pytestmark = [pytest.mark.data, pytest.mark.parity]
CONFIGS = Path(__file__).parents[2] / "configs" / "coat"
SEEDS = range(10)
T_ONE_SIDED_1_PERCENT = 2.821  # 9 degrees of freedom


def on_the_tail(fold: Fold) -> Holdout:
    """The test part, of whose relevant items only those in the tail count."""
    holdout, counts = fold.holdouts["test"], fold.train.counts
    tail = torch.zeros(len(counts), dtype=torch.bool)
    tail[counts.argsort(stable=True)[: len(counts) // 2]] = True
    query = torch.arange(len(holdout)).repeat_interleave(holdout.offsets.diff())
    kept = tail[holdout.items.long()]
    size = torch.bincount(query[kept], minlength=len(holdout))
    offsets = torch.cat([size.new_zeros(1), size.cumsum(0)])
    return replace(holdout, items=holdout.items[kept], offsets=offsets, unknown=torch.zeros_like(holdout.unknown))


@pytest.fixture(scope="module")
def measured(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Tensor]]:
    """For each config and metric the value of every seed, trained on all training events."""
    cache, found = tmp_path_factory.mktemp("coat"), {}
    for name in ("mf-naive", "rel-mf"):
        rows = []
        for seed in SEEDS:
            e = config.load(CONFIGS / f"{name}.yaml", [("data.root", str(data_root))])
            assert isinstance(e.data, Coat)
            fold = e.prepare(cache=cache).refit
            parts = {part: copy.deepcopy(getattr(e, part)) for part in ("model", "examples", "batches", "sampler", "loss", "fit")}
            learner = Learner(**parts, seed=seed)
            for _ in learner.fit(fold.train):
                pass
            row = {}
            for of, holdout in (("", fold.holdouts["test"]), ("tail ", on_the_tail(fold))):
                summary = evaluate(learner, holdout, counts=fold.train.counts, owner_kind="user", evaluation=e.evaluation).summary
                row |= {of + metric: value for metric, value in summary.items()}
            rows.append(row)
        found[name] = {metric: torch.tensor([row[metric] for row in rows], dtype=torch.double) for metric in rows[0]}
    return found


@pytest.mark.parametrize("metric", ["ndcg@5", "recall@5", "tail ndcg@5", "tail recall@5"])
def test_it_is_significantly_above_the_naive_model(measured: dict[str, dict[str, Tensor]], metric: str) -> None:
    gain = measured["rel-mf"][metric] - measured["mf-naive"][metric]
    print(metric, *(f"{name} {values[metric].mean():.4f}" for name, values in measured.items()))
    assert gain.mean() / (gain.std() / len(SEEDS) ** 0.5) > T_ONE_SIDED_1_PERCENT
    assert (gain > 0).all()


def test_values_are_those_of_the_configs(measured: dict[str, dict[str, Tensor]]) -> None:
    assert float(measured["mf-naive"]["ndcg@5"].mean()) == pytest.approx(0.428, abs=0.01)
    assert float(measured["rel-mf"]["ndcg@5"].mean()) == pytest.approx(0.475, abs=0.01)
