from __future__ import annotations

import torch
from torch import Tensor

from recsys.catalog import Catalog
from recsys.losses.loss import Loss
from recsys.step import Scored
from recsys.teacher import Teacher


class MarginMSE(Loss):
    """Distillation of margins: the mean over candidates of ((s+ - s_j) - (t+ - t_j))^2, t the scores of a teacher.

    Hofstaetter et al. 2020 (arXiv 2010.02666, equation 11): the student follows how much better the teacher finds the positive, and is free
    in the level of its scores. ``run``: the folder of the teacher, a finished run fitted on the same training log (see
    :class:`recsys.teacher.Teacher`: the student's fit has refit: false). Only the candidates that a sampler draws are learnt about, so that
    candidates which the teacher ranks high belong among them.
    """

    monotone = False

    def __init__(self, run: str) -> None:
        super().__init__()
        Teacher(run)
        self.run = run

    def needs(self) -> dict[str, str]:
        return {**super().needs(), "user": "its teacher is asked about users"}

    def setup(self, catalog: Catalog) -> None:
        self._teacher = Teacher(self.run)
        self._teacher.setup(catalog)

    def forward(self, scored: Scored) -> Tensor:
        batch = scored.batch
        ids = scored.draw.ids().expand(len(batch), -1)
        known = self._teacher.scores(batch.owner, torch.cat([batch.target[:, None], ids], 1)).to(scored.negative.dtype)
        return scored.mean((scored.positive[:, None] - scored.negative - (known[:, :1] - known[:, 1:])).square())
