"""Propensities: how likely an item is to be exposed to a user, so that what was not seen is not taken for what is not liked.

They are the theta that :class:`recsys.losses.RelMF` and :class:`recsys.sampling.InversePropensity` divide by.
Shapes: U owners, N items, R rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recsys.catalog import Catalog
from recsys.part import Part


class Propensity(Part):
    """``forward(owner, item) -> float [R]``, in [0, 1]. A subclass makes what it needs in ``setup``, from training data only."""

    def forward(self, owner: Tensor, item: Tensor) -> Tensor:
        raise NotImplementedError


class ItemPowerLaw(Propensity):
    """theta_i = (c_i / max c) ^ ``power``, with c_i the number of owners who have the item in training; the same for all owners.

    Saito et al. 2020 (Rel-MF, arXiv 1909.03601), for Yahoo! R3, with power 0.5. An item without a training event has
    theta = 0; the code of the authors leaves such items out of the list that it then looks items up in, so that all later ones get the
    propensity of another item.
    """

    def __init__(self, *, power: float = 0.5) -> None:
        super().__init__()
        _check_power(power)
        self.power = power

    theta: Tensor

    def setup(self, catalog: Catalog) -> None:
        count = torch.bincount(catalog.items, minlength=catalog.num_items).double()
        self.register_buffer("theta", (count / count.max().clamp(min=1)).pow(self.power).float(), persistent=False)

    def forward(self, owner: Tensor, item: Tensor) -> Tensor:
        return self.theta.index_select(0, item)


class Independent(Propensity):
    """theta_ui = (n_u c_i / (max n max c)) ^ ``power``: exposure by the owner's activity and the item's popularity, independently.

    n_u is the number of items of the owner, c_i that of owners of the item; n_u c_i is what is expected of a pair when the two are
    independent, up to a constant. :class:`ItemPowerLaw` with the same power where all owners are as active (our extension of it).
    """

    def __init__(self, *, power: float = 0.5) -> None:
        super().__init__()
        _check_power(power)
        self.power = power

    owner_theta: Tensor
    item_theta: Tensor

    def setup(self, catalog: Catalog) -> None:
        counts = {"owner": catalog.size, "item": torch.bincount(catalog.items, minlength=catalog.num_items)}
        for name, count in counts.items():
            value = (count.double() / count.max().clamp(min=1)).pow(self.power)
            self.register_buffer(f"{name}_theta", value.float(), persistent=False)

    def forward(self, owner: Tensor, item: Tensor) -> Tensor:
        return self.owner_theta.index_select(0, owner) * self.item_theta.index_select(0, item)


class Given(Propensity):
    """Propensities from a NumPy file, as a simulated world has them: floats [N], or [U, N], in the codes of the training log.

    Codes are the places in :attr:`recsys.data.log.Fold.owners` and ``items`` (in a run's folder, owners.parquet and items.parquet).

    Args:
        path: an .npy file.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self.path = path

    theta: Tensor

    def setup(self, catalog: Catalog) -> None:
        given = np.load(self.path, allow_pickle=False)
        shape = (catalog.num_owners, catalog.num_items)
        if given.shape not in (shape, shape[1:]):
            allowed = f"{list(shape)} or {list(shape[1:])}"
            raise ValueError(f"{self.path} has shape {list(given.shape)}; of this training log it must be {allowed}")
        if not bool(((given >= 0) & (given <= 1)).all()):
            raise ValueError(f"{self.path} has values outside [0, 1], or nan; propensities are probabilities")
        self.register_buffer("theta", torch.from_numpy(given).float().to(catalog.device), persistent=False)

    def forward(self, owner: Tensor, item: Tensor) -> Tensor:
        return self.theta.index_select(0, item) if self.theta.ndim == 1 else self.theta[owner, item]


def inverse(propensity: Propensity, clip: float, owner: Tensor, item: Tensor) -> Tensor:
    """float [R]: 1 / max(theta, clip) of pairs; infinite for theta = 0 without a clip."""
    theta: Tensor = propensity(owner, item)
    return 1 / theta.clamp(min=clip)


def check_clip(clip: float) -> None:
    """Raises ValueError for a clip that is no probability."""
    if not 0 <= clip <= 1:
        raise ValueError(f"clip is {clip}; the least propensity lies in [0, 1] (0: none, 1: all pairs weigh the same)")


def _check_power(power: float) -> None:
    if not 0 <= power < float("inf"):
        raise ValueError(f"power is {power}; it is at least 0 (0: all pairs are exposed) and finite")


__all__ = ["Given", "Independent", "ItemPowerLaw", "Propensity"]
