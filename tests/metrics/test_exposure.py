"""Metrics of all lists together: how unequally the catalogue is recommended."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from recsys.metrics import Gini, ShannonEntropy

ALL = torch.ones(4, dtype=torch.bool)
exposures = st.lists(st.integers(0, 50), min_size=2, max_size=30).filter(lambda x: sum(x) > 0)


@pytest.mark.parametrize(
    ("exposure", "gini", "bits"),
    [
        ([3, 3, 3, 3], 0.0, 2.0),
        ([0, 0, 9, 0], 1.0, 0.0),
        ([0, 5, 5, 0], (-3 * 0 - 1 * 0 + 1 * 5 + 3 * 5) / (3 * 10), 1.0),
        ([2, 1, 1, 0], (-3 * 0 - 1 * 1 + 1 * 1 + 3 * 2) / (3 * 4), 1.5),
    ],
)
def test_hand_worked(exposure: list[int], gini: float, bits: float):
    assert Gini(20).measure(torch.tensor(exposure), ALL) == pytest.approx(gini, abs=1e-15)
    assert ShannonEntropy(20).measure(torch.tensor(exposure), ALL) == pytest.approx(bits, abs=1e-15)


@given(exposures)
def test_gini_is_the_mean_difference_of_two_items_over_twice_the_mean(exposure: list[int]):
    x = np.array(exposure, dtype=float)
    size = len(x)
    difference = np.abs(x[:, None] - x).sum() / (size * (size - 1))
    found = Gini(5).measure(torch.tensor(exposure), torch.ones(size, dtype=torch.bool))
    assert found == pytest.approx(difference / (2 * x.mean()), abs=1e-12) and -1e-12 <= found <= 1 + 1e-12


@given(exposures)
def test_entropy_equals_scipy(exposure: list[int]):
    found = ShannonEntropy(5).measure(torch.tensor(exposure), torch.ones(len(exposure), dtype=torch.bool))
    assert found == pytest.approx(entropy(exposure, base=2), abs=1e-12)


def test_only_what_may_be_recommended_counts():
    exposure, allowed = torch.tensor([4, 0, 4, 0]), torch.tensor([True, False, True, False])
    assert Gini(5).measure(exposure, allowed) == 0.0 and Gini(5).measure(exposure, ALL) > 0.6
    assert ShannonEntropy(5).measure(exposure, allowed) == 1.0


def test_undefined_without_lists_and_for_a_catalogue_of_one():
    nothing, one = torch.zeros(4, dtype=torch.long), torch.tensor([True, False, False, False])
    assert math.isnan(Gini(5).measure(nothing, ALL)) and math.isnan(ShannonEntropy(5).measure(nothing, ALL))
    assert math.isnan(Gini(5).measure(torch.tensor([7, 0, 0, 0]), one))
    assert ShannonEntropy(5).measure(torch.tensor([7, 0, 0, 0]), one) == 0.0


def test_sums_of_a_large_catalogue_are_exact():
    exposure = torch.zeros(3_000_000, dtype=torch.long)
    exposure[17] = 2_000_000_000
    assert Gini(5).measure(exposure, torch.ones(3_000_000, dtype=torch.bool)) == 1.0
