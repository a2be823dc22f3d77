"""NBPO on Amazon Electronics (14-core) against the figures of its authors, and against BPO and BPR by their procedure. 20 runs,
ten minutes on one thread (2026-11-25).

Their procedure takes the largest value of each metric over 200 epochs, each metric by itself, which is optimistic. It is what
``selection.maxima`` of a run holds; the clean configs beside ``nbpo-published.yaml`` choose by it nothing at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest

from pipelines import config
from recsys.data.sources import JsonLists

pytestmark = [pytest.mark.data, pytest.mark.parity]
CONFIGS = Path(__file__).parents[2] / "configs" / "amazon-electronics"

# The mean of their ten runs, three negatives, on the validation part (experiment_result/ of github.com/Wenhui-Yu/NBPO)
PUBLISHED = {"f1@5": 0.03920, "f1@10": 0.03701, "f1@20": 0.03030, "ndcg@5": 0.05243, "ndcg@10": 0.06436, "ndcg@20": 0.07752}

Largest = Callable[[str, int], dict[str, float]]


@pytest.fixture(scope="module")
def largest(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Largest:
    """The largest value of each metric over the epochs of a config with a seed, trained on the training part alone.

    For ``nbpo-published`` on the validation part. For the others on the test part, as the authors have it: validation events stay among
    the candidates. Our own test masks them, so the two parts change places.
    """
    files = {part: str(data_root / "amazon-electronics-14core" / f"{part}.json") for part in ("train", "test", "validation")}
    folder = tmp_path_factory.mktemp("nbpo")
    known: dict[tuple[str, int], dict[str, float]] = {}

    def of(name: str, seed: int) -> dict[str, float]:
        if (name, seed) not in known:
            experiment = config.load(CONFIGS / f"{name}.yaml", [("seed", str(seed)), ("fit.refit", "false")])
            if name != "nbpo-published":
                experiment.data = JsonLists(files["train"], test=files["validation"], valid=files["test"])
            experiment.run(folder / f"{name}-{seed}", cache=folder / "cache")
            about = json.loads((folder / f"{name}-{seed}" / "run.json").read_text())
            assert ("has collapsed" in " ".join(about.get("remarks", []))) == name.startswith("nbpo"), "gamma is 1/2 for all pairs"
            known[name, seed] = {metric.removeprefix("valid/"): found["value"] for metric, found in about["selection"]["maxima"].items()}
        return known[name, seed]

    return of


def test_the_validation_part_gives_what_the_authors_published(largest: Largest) -> None:
    found = [largest("nbpo-published", seed) for seed in range(5)]
    means = {name: mean(run[name] for run in found) for name in PUBLISHED}
    assert means == pytest.approx(PUBLISHED, rel=0, abs=0.0012)


def test_the_test_part_gives_what_others_measured(largest: Largest) -> None:
    """Four negatives, as their file says. Printed for NBPO by the repository of ENMF: f1@5 0.0401, ndcg@10 0.0655."""
    found = [largest("nbpo", seed) for seed in range(5)]
    assert 0.038 <= mean(run["f1@5"] for run in found) <= 0.042
    assert 0.064 <= mean(run["ndcg@10"] for run in found) <= 0.070


@pytest.mark.parametrize("other", ["bpo", "bpr"])
def test_it_is_well_above_the_losses_without_noise(largest: Largest, other: str) -> None:
    ours, theirs = ([largest(name, seed)["ndcg@10"] for seed in range(5)] for name in ("nbpo", other))
    assert all(a > b for a, b in zip(ours, theirs, strict=True))
    assert mean(ours) >= 1.1 * mean(theirs)
