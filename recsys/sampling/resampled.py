from __future__ import annotations

import torch

from recsys.pool import Draw
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class Resampled(Refine):
    """RENT: a batch is drawn anew from its own rows, with replacement, those likelier that the model takes for true.

    Bae et al. 2024 (arXiv 2403.02690): instead of weighing losses, rows are resampled with probability proportional to
    f(x) / (T'f(x)), f the model's probability of the label seen and T the probabilities of a label to be changed into another. Here
    the noise is one-sided, a false event for a share ``rate`` of the pairs that are not true, so that a row's weight is

        w = p / (p + rate (1 - p)),   p = exp(-l),

    l the row's loss against the base's draw; below 0 it counts as 0. For BPR p is the probability of the right order, for a softmax that
    of the target (:class:`ReweightedLoss` has more on this). In the first ``warmup`` epochs rows are drawn uniformly. As many rows are
    drawn as there were. With rate 1 the weight is p itself.
    """

    keeps = frozenset({"log_count"})

    def __init__(self, base: Sampler, *, rate: float = 0.2, warmup: int = 1) -> None:
        super().__init__(base)
        if not 0 < rate <= 1:
            raise ValueError(f"rate is {rate}; the share of false pairs that are seen as true is above 0 and at most 1")
        if warmup < 0:
            raise ValueError(f"warmup is {warmup}; it is a number of epochs, at least 0")
        self.rate, self.warmup = rate, warmup

    def needs(self) -> dict[str, str]:
        return {"positives": "it draws among observed events"}

    def refine(self, view: View, draw: Draw) -> Draw:
        rows = len(view.batch)
        weight = torch.ones(rows, dtype=torch.float64, device=view.batch.target.device)
        if view.epoch > self.warmup:
            p = (-view.losses(draw).double().clamp(min=0)).exp()
            weight = p / (p + self.rate * (1 - p))
            weight = weight.nan_to_num(nan=1.0).clamp(min=1e-300)  # a loss that is nan is left for the step to refuse
        reach = weight.cumsum(0)
        u = torch.rand(rows, generator=view.generator, dtype=torch.float64, device=weight.device)
        at = torch.searchsorted(reach, u * reach[-1:], right=True).clamp_(max=max(rows - 1, 0))
        return draw.take(at.sort().values)
