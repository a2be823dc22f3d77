from __future__ import annotations

import math

import torch

from recsys.pool import Draw
from recsys.sampling.choice import gumbel
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class PersonalLoss(Refine):
    """Of each group's rows one is kept, drawn with probability softmax(-loss / ``temperature``): the positives are denoised.

    PLD (Zhang et al. 2025, arXiv 2502.00348): noisy and clean interactions overlap in the loss distribution of all users, and come apart
    in each user's own. With :class:`recsys.batching.ByUser` a group is ``positives`` of a user's rows, the candidates C_u, and

        P(i | u) = exp(-l_ui / temperature) / sum over i' in C_u of exp(-l_ui' / temperature)

    where l is the experiment's own loss of a row against the base's draw. The paper's draw is ``Unseen(1, per="group")``: one negative, the
    same for all candidates of a user. No gradient passes through P; what the base has drawn for the kept row stays as it is.

    In the first ``warmup`` epochs one row of each group is drawn uniformly, a plain draw of one row of the user. A large temperature
    tends to the same in every epoch, to the bit; groups of one row leave the base as it is. Drawn by the Gumbel-max trick in float64.
    """

    keeps = frozenset({"log_count"})

    def __init__(self, base: Sampler, *, temperature: float = 0.1, warmup: int = 5) -> None:
        super().__init__(base)
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature is {temperature}; it is above 0 and finite (a large one draws uniformly)")
        if warmup < 0:
            raise ValueError(f"warmup is {warmup}; it is a number of epochs, at least 0")
        self.temperature, self.warmup = temperature, warmup

    def needs(self) -> dict[str, str]:
        return {"groups": "it keeps one row of each group"}

    def refine(self, view: View, draw: Draw) -> Draw:
        group, rows = view.batch.group, len(view.batch)
        value = gumbel((rows,), view.generator)
        if view.epoch > self.warmup:
            value -= view.losses(draw).double() / self.temperature
        value = value.nan_to_num(nan=math.inf)  # kept, for the step to refuse
        best = value.new_full((view.batch.groups,), -math.inf).scatter_reduce(0, group, value, "amax")
        at = torch.arange(rows, device=group.device).masked_fill(value < best[group], rows)
        first = at.new_full((view.batch.groups,), rows).scatter_reduce(0, group, at, "amin")  # of equals the first: exactly one a group
        return draw.take(first[first < rows])
