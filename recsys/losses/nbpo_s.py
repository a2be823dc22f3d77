from __future__ import annotations

import torch
from torch import Tensor

from recsys.losses.nbpo_o import NBPOo


class NBPOs(NBPOo):
    """Noisy-label robust optimisation, the likelihood itself ("s" for surrogate): it is summed over pairs, not its logarithm.

    Model, sums and knobs are those of :class:`NBPOo`. A pair costs 1 - its likelihood: 1 - (1 - gamma) sigmoid(s) if it was observed,
    (1 - gamma) sigmoid(s) if not. So no pair costs more than 1, and one that is far off has next to no gradient. Yu and Qin, SIGIR 2020.
    """

    def observed(self, score: Tensor, flip: Tensor) -> Tensor:
        return 1 - torch.sigmoid(-flip) * torch.sigmoid(score)

    def unobserved(self, score: Tensor, flip: Tensor) -> Tensor:
        return torch.sigmoid(-flip) * torch.sigmoid(score)
