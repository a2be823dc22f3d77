from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.catalog import Catalog
from recsys.propensity import Given, Independent, ItemPowerLaw, Propensity
from recsys.testing import worlds

# Owners 0..3, items 0..3: item 0 has four owners, item 1 one (twice), item 2 none, item 3 two; owner 0 has three items
OWNER, ITEM = torch.tensor([0, 0, 0, 0, 1, 2, 3, 3]), torch.tensor([0, 1, 1, 3, 0, 0, 0, 3])


def theta(propensity: Propensity) -> torch.Tensor:
    """[U, N]"""
    propensity.setup(Catalog(worlds._log(OWNER, ITEM, 4, 4, "user")))
    pair = torch.arange(16)
    found: torch.Tensor = propensity(pair // 4, pair % 4)
    return found.view(4, 4)


def test_item_power_law_counts_owners_and_keeps_its_place_where_an_item_is_unseen() -> None:
    """The list of present items alone (1, 1/2, sqrt(1/2)) would give item 2 what is item 3's."""
    assert torch.allclose(theta(ItemPowerLaw()), torch.tensor([1.0, 0.5, 0.0, 0.5**0.5]).expand(4, 4))
    assert torch.allclose(theta(ItemPowerLaw(power=1.0)), torch.tensor([1.0, 0.25, 0.0, 0.5]).expand(4, 4))
    assert torch.equal(theta(ItemPowerLaw(power=0.0)), torch.ones(4, 4))


def test_independent_is_the_product_of_what_owner_and_item_do() -> None:
    assert torch.allclose(theta(Independent(power=1.0)), torch.tensor([1, 1 / 3, 1 / 3, 2 / 3])[:, None] * torch.tensor([1, 0.25, 0, 0.5]))
    assert torch.allclose(theta(Independent())[1], theta(ItemPowerLaw())[1] * (1 / 3) ** 0.5)


@pytest.mark.parametrize("shape", [(4,), (4, 4)])
def test_given_reads_a_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).uniform(size=shape)
    np.save(tmp_path / "theta.npy", values)
    assert torch.equal(theta(Given(tmp_path / "theta.npy")), torch.from_numpy(np.broadcast_to(values, (4, 4)).copy()).float())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones(5), r"has shape \[5\]; of this training log it must be \[4, 4\] or \[4\]"),
        (np.ones((4, 3)), r"has shape \[4, 3\]"),
        (np.full(4, 1.5), "values outside"),
        (np.full(4, np.nan), "values outside"),
    ],
)
def test_given_refuses_what_is_no_propensity_of_this_log(tmp_path: Path, values: np.ndarray, said: str) -> None:
    np.save(tmp_path / "theta.npy", values)
    with pytest.raises(ValueError, match=said):
        theta(Given(tmp_path / "theta.npy"))
