from __future__ import annotations

from torch import Tensor

from recsys.log_partition import log_partition
from recsys.losses.loss import Loss
from recsys.step import Scored


class Softmax(Loss):
    """Sampled softmax: -log( e^{s+} / (e^{s+} + sum over candidates of e^{s_j}) ), scores divided by ``temperature``.

    ``logq``: subtract from each candidate's score the log of its expected count in the draw (Bengio and Senecal 2008; Yi et al. 2019),
    so that the loss tends to the full softmax as draws grow. The positive is there once by itself and is not corrected; the limit is
    the full softmax only if the draw leaves the positive out. With the sampler ``All`` this is the full cross entropy. With scores that are
    cosines it is the InfoNCE loss (van den Oord et al. 2018, arXiv 1807.03748), which asks for a temperature
    well below 1: at 1 the candidates of a cosine can never be told apart from the target by more than a factor of e^2.
    """

    def __init__(self, *, temperature: float = 1.0, logq: bool = False) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; it must be above 0")
        self.temperature, self.logq = temperature, logq

    def needs(self) -> dict[str, str]:
        return {**super().needs(), **({"log_count": "logq=True corrects by expected counts"} if self.logq else {})}

    def forward(self, scored: Scored) -> Tensor:
        offset = None
        if scored.draw.share is not None:
            offset = (scored.draw.share * scored.number()[:, None]).clamp(min=1e-30).log()
        if self.logq:
            assert scored.draw.log_count is not None, "the sampler promised log_count"
            offset = -scored.draw.log_count if offset is None else offset - scored.draw.log_count
        scale = 1 / self.temperature
        total = log_partition(scored.positive, scored.negative, scale=scale, offset=offset, valid=scored.draw.valid)
        return total - scored.positive * scale
