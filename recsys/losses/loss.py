"""The base of all losses."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from recsys.part import Part
from recsys.step import Scored


class Loss(Part):
    """``forward(scored) -> [R]``, never averaged. A loss may have parameters of its own (made in ``setup``).

    Not valid candidates (``scored.draw.valid``) must not change the value; a row without any valid candidate gets what its
    positive alone is worth.

    ``surrogate`` (class attribute): its gradient is by design not that of its value, but of a surrogate that the docstring states; the
    value is what is reported and what samplers compare. ``monotone`` (class attribute): a higher score of the positive never makes the
    value worse; False for a mean over those candidates that the positive has not passed yet, and for a distance from a value to be met.
    """

    surrogate: ClassVar[bool] = False
    monotone: ClassVar[bool] = True

    def needs(self) -> dict[str, str]:
        return {"negatives": "it contrasts the target with candidates", "positives": "every row must be a positive"}

    def forward(self, scored: Scored) -> Tensor:
        raise NotImplementedError
