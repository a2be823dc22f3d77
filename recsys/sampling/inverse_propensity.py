from __future__ import annotations

import torch

from recsys.pool import Draw
from recsys.propensity import ItemPowerLaw, Propensity, check_clip, inverse
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class InversePropensity(Refine):
    """Weighs each observed row by 1 / max(theta, ``clip``), for any loss: inverse propensity scoring.

    Schnabel et al. 2016 (arXiv 1602.05352). Rows of items that are shown to everybody count less than those of items that few
    could see. Divided by the number of rows (``fit.denominator: rows``) this is IPS; by the sum of the weights ("weights") it is the
    self-normalised estimator SNIPS, step by step, which no constant factor of theta changes. With ``clip=1`` all rows weigh 1: the base, to
    the bit. Rows labelled 0 weigh 1; weights that the base has given are multiplied. The candidates are the base's own.

    ``propensity``: theta. A row whose theta is 0 needs a clip above 0.
    """

    keeps = frozenset({"log_count", "alone"})

    def __init__(self, base: Sampler, *, propensity: Propensity | None = None, clip: float = 0.1) -> None:
        super().__init__(base)
        check_clip(clip)
        self.propensity = ItemPowerLaw() if propensity is None else propensity
        self.clip = clip

    def refine(self, view: View, draw: Draw) -> Draw:
        batch = view.batch
        weight = inverse(self.propensity, self.clip, batch.owner, batch.target)
        if batch.label is not None:
            weight = torch.where(batch.label > 0, weight, 1.0)
        return draw.weighed(weight)
