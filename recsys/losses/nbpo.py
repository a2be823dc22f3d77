from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.losses.nbpo_o import NBPOo


class NBPO(NBPOo):
    """Noisy-label robust optimisation with the surrogate gradient of Yu and Qin, SIGIR 2020 (arXiv 2007.07204).

    Model, sums and knobs are those of :class:`NBPOo`, and so is the value, minus the log-likelihood. Its gradient is another one, that
    of the likelihood (:class:`NBPOs`) with the derivative of each factor replaced by that of its logarithm. With s the score, g = p . q
    and gamma = sigmoid(g), what is ascended is

        observed:      d/ds = (1 - gamma) sigmoid(-s)              d/dg = -gamma sigmoid(s)
        not observed:  d/ds = gamma sigmoid(-s) - sigmoid(s)       d/dg = (1 - gamma) sigmoid(s)

    For a constant gamma a negative is thus pulled to sigmoid(s) = gamma / (1 + gamma) instead of 0 (1/3 for gamma = 1/2). This is what
    the authors' rates lead to on their Amazon data: gamma is 1/2 everywhere after a few epochs, and :meth:`remarks` says so.
    """

    surrogate = True

    def observed(self, score: Tensor, flip: Tensor) -> Tensor:
        surrogate = _share(-flip) * F.softplus(-score) + _share(score) * F.softplus(flip)
        return _with_gradient_of(surrogate, super().observed(score.detach(), flip.detach()))

    def unobserved(self, score: Tensor, flip: Tensor) -> Tensor:
        surrogate = _share(flip) * F.softplus(-score) + F.softplus(score) + _share(score) * F.softplus(-flip)
        return _with_gradient_of(surrogate, super().unobserved(score.detach(), flip.detach()))


def _share(logit: Tensor) -> Tensor:
    """A probability that is taken for a constant."""
    return torch.sigmoid(logit.detach())


def _with_gradient_of(surrogate: Tensor, value: Tensor) -> Tensor:
    return surrogate + (value - surrogate.detach())
