"""PLD (Zhang et al. 2025) on a part of Gowalla small enough for minutes: 6,000 users and the 3,000 most popular items, one false training
event for five true ones. Three seeds, which also draw the noise and the split anew; eleven minutes on one busy core (2026-11-25).

What it must show: the share of false pairs among the positives that are learnt from falls below half of what the batches offer, at its
lowest between epochs 20 and 60; the base model learns from all of them; and PLD ranks better than the base in every seed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines import config
from recsys.data.sources import Frame
from recsys.randomness import numpy_generator

pytestmark = [pytest.mark.data, pytest.mark.parity]
CONFIGS = Path(__file__).parents[2] / "configs" / "gowalla-noise"
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def log(data_root: Path) -> pl.DataFrame:
    """Training and test events of the published split together, cut."""
    lines = [line.split() for part in ("train", "test") for line in (data_root / "gowalla" / f"{part}.txt").read_text().splitlines()]
    events = pl.DataFrame({"user": [x[0] for x in lines], "item": [x[1:] for x in lines]}).explode("item").drop_nulls()
    popular = events["item"].value_counts().sort("count", "item", descending=True)["item"].head(3000)
    events = events.filter(pl.col("item").is_in(popular.implode()))
    events = events.filter(pl.len().over("user") >= 10)
    users = events["user"].unique().sort()
    chosen = users[numpy_generator("pld test").permutation(len(users))[:6000].tolist()]
    return events.filter(pl.col("user").is_in(chosen.implode()))


@pytest.fixture(scope="module")
def run(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The test recall and the history of a config with a seed."""
    folder = tmp_path_factory.mktemp("pld")
    known: dict[tuple[str, int], tuple[float, list[dict[str, Any]]]] = {}

    def of(name: str, seed: int) -> tuple[float, list[dict[str, Any]]]:
        if (name, seed) not in known:
            overrides = [("seed", str(seed)), ("split_seed", str(seed)), ("batches.draws", str(int(0.7 * len(log))))]
            experiment = config.load(CONFIGS / f"{name}.yaml", overrides)
            experiment.data = Frame(log, user="user", item="item")
            path = folder / f"{name}-{seed}"
            metrics = experiment.run(path, cache=folder / "cache").metrics
            history = [json.loads(line) for line in (path / "history.jsonl").read_text().splitlines()]
            known[name, seed] = metrics["test/recall@20"], history
        return known[name, seed]

    return of


def shares(history: list[dict[str, Any]], name: str) -> dict[int, float]:
    return {record["epoch"]: record[f"rows.{name}"] for record in history}


@pytest.mark.parametrize("seed", SEEDS)
def test_false_pairs_are_learnt_from_half_as_often(run: Any, seed: int) -> None:
    base, pld = (shares(run(name, seed)[1], "noisy_share") for name in ("mf-bpr", "pld"))
    offered = shares(run("pld", seed)[1], "noisy_share_offered")
    level = sum(base.values()) / len(base)
    assert 0.12 < level < 1 / 6  # less than 0.2 / 1.2: the number of false events is rounded down, and every user weighs the same
    assert all(abs(value - level) < 0.01 for value in [*base.values(), *offered.values()])
    assert all(abs(pld[epoch] - level) < 0.01 for epoch in range(1, 6))  # the warm-up
    lowest = min(range(20, 61), key=pld.__getitem__)
    assert pld[lowest] < level / 2


@pytest.mark.parametrize("seed", SEEDS)
def test_it_ranks_better_than_its_base(run: Any, seed: int) -> None:
    assert run("pld", seed)[0] > run("mf-bpr", seed)[0]
