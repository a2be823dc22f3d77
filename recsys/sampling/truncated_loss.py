from __future__ import annotations

import torch

from recsys.pool import Draw
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class TruncatedLoss(Refine):
    """Adaptive denoising, truncated: the observed rows of a batch with the largest losses are left out, as they are likely to be noise.

    T-CE (Wang et al. 2021, arXiv 2006.04153): at step T a share of min(T / ``steps``, 1) ``rate`` is dropped, for noise is
    fitted later than signal, and a model that knows nothing yet must not choose. The paper is about binary cross entropy on labelled rows;
    here a row's loss is the experiment's own against the base's draw, whatever it is, and a dropped row takes its candidates with it.
    The share is one of the rows with a positive label (the authors' code takes as many positives as that share of all rows); unlabelled
    rows are all positives, and rows labelled 0 always stay.

    rate = 0 is the base, to the bit. Expected counts stay those of the base's draw.
    """

    keeps = frozenset({"log_count", "alone"})

    def __init__(self, base: Sampler, *, rate: float = 0.2, steps: int = 30_000) -> None:
        super().__init__(base)
        if not 0 <= rate < 1:
            raise ValueError(f"rate is {rate}; the share of rows left out in the end is at least 0 and below 1")
        if steps < 1:
            raise ValueError(f"steps is {steps}; the rate is reached after at least 1 step")
        self.rate, self.steps = rate, steps

    def refine(self, view: View, draw: Draw) -> Draw:
        done = (view.epoch - 1) * len(view.batches.plan) + view.step
        label = view.batch.label
        observed = len(view.batch) if label is None else int((label > 0).sum())
        drop = int(self.rate * min(done / self.steps, 1) * observed)
        if drop == 0:
            return draw
        loss = view.losses(draw)
        loss = loss.masked_fill(loss.isnan(), -torch.inf)  # kept, for the step to refuse
        if label is not None:
            loss = loss.masked_fill(label <= 0, -torch.inf)
        return draw.take(loss.argsort(stable=True)[: len(loss) - drop].sort().values)
