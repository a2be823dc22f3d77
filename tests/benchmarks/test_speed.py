"""Speeds on Gowalla next to what the machine allows for the same bytes and flops. ``pytest -m benchmark -s``; asserts no speed.

Limits are measured in the same run, since machines differ and shared ones drift: GB/s of a copy, rows/s of gathering 64 floats, GFLOP/s
of the evaluation's matrix product.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recsys import Evaluation, Fit, evaluate
from recsys.batching import Shuffled
from recsys.data import prepare
from recsys.data.log import Prepared
from recsys.data.sources import Gowalla
from recsys.learner import Learner
from recsys.losses import BPR
from recsys.models import MF
from recsys.optimizers import Adam, LazyAdam, Optimizer
from recsys.randomness import generator
from recsys.sampling import Unseen
from recsys.splitting import Predefined

from .timing import best

pytestmark = [pytest.mark.benchmark, pytest.mark.data]
DIM = 64


@pytest.fixture(scope="module")
def gowalla(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(Gowalla(root=data_root), Predefined(validation=0.1), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def two_threads() -> None:
    torch.set_num_threads(2)


def gather_rate(table: torch.Tensor) -> float:
    """Rows a second."""
    rows = torch.randint(len(table), (200_000,), generator=generator("gather"))
    kept = torch.empty(len(rows), table.shape[1])  # new memory at every call would be the cost, not the rows
    return len(rows) / best(lambda: torch.index_select(table, 0, rows, out=kept))


@pytest.mark.parametrize("optimizer", [LazyAdam(), Adam()], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("size", [2048, 8192])
def test_training_mf_bpr(gowalla: Prepared, optimizer: Optimizer, size: int):
    log = gowalla.refit.train
    learner = Learner(
        model=MF(dim=DIM),
        batches=Shuffled(size=size),
        sampler=Unseen(1),
        loss=BPR(),
        fit=Fit(epochs=5, optimizer=optimizer, patience=None, device="cpu"),
    )
    epochs = [epoch for epoch in learner.fit(log) if epoch.epoch > 1]  # the first compiles and fills caches
    assert all(epoch.rows == len(log) for epoch in epochs)
    seconds = min(epoch.seconds for epoch in epochs)
    table = torch.randn(log.num_owners + log.num_items, DIM)
    gather = gather_rate(table)
    other = torch.empty_like(table)
    copy = best(lambda: other.copy_(table))
    bandwidth = 2 * table.numel() * 4 / copy
    touched = 3 * 4  # user, positive and negative row: read for the score, and read with their two moments for the update
    line = f"{type(optimizer).__name__:9s} batch {size}: {len(log) / seconds:11,.0f} rows/s, {seconds:5.2f} s an epoch of {len(log):,}"
    if optimizer.lazy:
        line += f"; gathering the {touched} rows that each one touches: {gather / touched:,.0f} rows/s ({gather / 1e6:.0f} M gathered/s)"
    else:
        moved = 7 * table.numel() * 4  # p, m, v read and written, the gradient read
        line += f"; moving p, m, v and the gradient once a step: {size / (moved / bandwidth):,.0f} rows/s ({bandwidth / 1e9:.0f} GB/s)"
    print("\n" + line)


def test_full_ranking(gowalla: Prepared):
    fold = gowalla.refit
    stream = generator("vectors")
    users, items = (torch.randn(n, DIM, generator=stream) * 0.1 for n in (fold.train.num_owners, fold.train.num_items))

    class Vectors:
        def vectors(self, histories):
            return users[histories.owner], items

        def scores(self, histories):
            return users[histories.owner] @ items.T

    counts = fold.train.counts
    holdout, evaluation = fold.holdouts["test"], Evaluation()

    def product() -> None:
        for block in users[holdout.histories.owner].split(256):
            block @ items.T

    whole = best(lambda: evaluate(Vectors(), holdout, counts=counts, owner_kind="user", evaluation=evaluation), 3)
    bare = best(product, 3)
    flops = 2 * len(holdout) * len(items) * DIM
    print(
        f"\nfull ranking, {len(holdout):,} users x {len(items):,} items, {len(evaluation.metrics)} metrics: {whole:.2f} s, "
        f"{len(holdout) / whole:,.0f} queries/s; the bare float32 matrix product: {bare:.2f} s ({flops / bare / 1e9:.0f} GFLOP/s), "
        f"ratio {whole / bare:.2f}"
    )
    assert whole > 0
