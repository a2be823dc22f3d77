"""k-means, for what is clustered once an epoch: items or queries by their vectors."""

from __future__ import annotations

import torch
from torch import Tensor


def kmeans(x: Tensor, clusters: int, generator: torch.Generator, *, iterations: int = 10) -> Tensor:
    """The cluster of each row of x [N, D]; int64 [N] in [0, clusters).

    Lloyd's algorithm from ``clusters`` distinct rows drawn uniformly (all of them, where N is smaller). A centre that loses its last row
    stays where it is. Distances are computed in blocks, sums in float64.
    """
    first = torch.randperm(len(x), generator=generator, device=generator.device)[:clusters].to(x.device)
    centre = x[first]
    label = _nearest(x, centre)
    for _ in range(iterations):
        total = torch.zeros(centre.shape, dtype=torch.float64, device=x.device).index_add_(0, label, x.double())
        size = torch.bincount(label, minlength=len(centre))[:, None]
        centre = torch.where(size > 0, total / size.clamp(min=1), centre.double()).to(x.dtype)
        before, label = label, _nearest(x, centre)
        if torch.equal(before, label):
            break
    return label


def _nearest(x: Tensor, centre: Tensor) -> Tensor:
    half = centre.square().sum(1) / 2
    return torch.cat([(block @ centre.T - half).argmax(1) for block in torch.split(x, max(1, (1 << 22) // len(centre)))])
