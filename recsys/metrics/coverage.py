from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from recsys.metrics.base import ListMetric


class Coverage(ListMetric):
    """Share of the catalogue that the model may recommend which is among the first k ranks of at least one list."""

    higher_is_better: ClassVar[bool | None] = None

    def measure(self, exposure: Tensor, candidates: Tensor) -> float:
        return int((exposure > 0).sum()) / size if (size := int(candidates.sum())) else float("nan")
