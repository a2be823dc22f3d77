from __future__ import annotations

import torch
from torch import Tensor

from recsys.catalog import Catalog
from recsys.pool import Pool
from recsys.sampling.sampler import Exclude, Proposal, check_num
from recsys.step import View


class WithoutReplacement(Proposal):
    """``num`` different items for the whole batch, with inclusion probabilities proportional to (training count) ** ``power``.

    With pi_j = min(1, c n_j^power), c such that they sum to ``num``: an item is in the draw with probability pi_j exactly, at most once, so
    the sum of e^{s_j} / pi_j over the draw is an unbiased estimate of the sum over all items (Horvitz and Thompson 1952), which is what
    Softmax with logq takes: the log of the expected count is log pi_j. Popular items that draws with replacement would repeat are there
    once and for certain. Drawn by systematic sampling in random order (Madow 1949; Hartley and Rao 1962), in one pass over the items;
    conditional Poisson sampling (Meister et al. 2021, arXiv 2109.11034, for beams) reaches the same probabilities by a quadratic one.

    ``power`` 0: all items of the training events alike. Items without an event are never drawn; with ``num`` at least the number of the
    others all of these are, as in :class:`recsys.sampling.All`.
    """

    def __init__(self, num: int = 256, *, power: float = 0.75, exclude: Exclude = "positive") -> None:
        super().__init__(exclude=exclude)
        check_num(num)
        self.num, self.power = num, power

    inclusion: Tensor

    def setup(self, catalog: Catalog) -> None:
        counts = catalog.counts.cpu().double()
        weight = torch.where(counts > 0, counts**self.power, 0.0)
        self.register_buffer("inclusion", inclusion(weight, self.num), persistent=False)

    def propose(self, view: View) -> tuple[Pool, Tensor | None]:
        device = self.inclusion.device
        order = torch.randperm(len(self.inclusion), generator=view.generator, device=device)
        reach = self.inclusion[order].cumsum(0)
        number = round(float(reach[-1]))
        start = torch.rand((), generator=view.generator, dtype=torch.float64, device=device)
        at = torch.searchsorted(reach, start + torch.arange(number, device=device), right=True)
        return Pool(order[at.clamp_(max=len(order) - 1)]), None

    def log_count(self, view: View, ids: Tensor) -> Tensor:
        return self.inclusion[ids].log().float()


def inclusion(weight: Tensor, num: int) -> Tensor:
    """float64 [N]: min(1, c weight) with the c for which the sum is ``num``; 1 wherever there is weight, where that is less."""
    found, free = torch.zeros_like(weight), weight > 0
    while True:
        left = num - int((found == 1).sum())
        if left >= int(free.sum()):
            return found.masked_fill(free, 1.0)
        share = weight * free * left / (weight * free).sum()
        if not bool((share >= 1).any()):
            return torch.where(free, share, found)
        found, free = found.masked_fill(share >= 1, 1.0), free & (share < 1)
