"""LazyAdam: Adam that moves touched rows only. A different optimiser from Adam, hence its own name."""

from __future__ import annotations

from typing import Any

import torch

from recsys.errors import ConfigError
from recsys.optimizers.optimizer import Group, Optimizer, check_share
from recsys.optimizers.row_adam import RowAdam


class LazyAdam(Optimizer):
    """Adam on the rows of a table that the step looked up; moments of the other rows rest, and they do not move.

    A row's update is Adam's, with the bias correction of the global step count (as in TensorFlow Addons' LazyAdam). Parameters with
    dense gradients get plain Adam. The row update is one compiled kernel on the CPU (numba), or torch operations elsewhere
    (``kernel="torch"``; ``"auto"`` chooses): equal up to rounding. For a model with large tables this is many times faster.
    """

    lazy = True

    def __init__(
        self,
        *,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        groups: dict[str, Group] | None = None,
        kernel: str = "auto",
    ) -> None:
        super().__init__(lr=lr, weight_decay=0.0, groups=groups)
        if kernel not in ("auto", "numba", "torch"):
            raise ValueError(f"kernel is {kernel!r}; allowed are 'auto', 'numba' and 'torch'")
        if any(group.weight_decay is not None for group in (groups or {}).values()):
            raise ValueError("groups: LazyAdam has no weight_decay, it would have to move untouched rows; use the penalty TouchedRows")
        check_share("beta1", beta1)
        check_share("beta2", beta2)
        self.beta1, self.beta2, self.eps, self.kernel = beta1, beta2, eps, kernel

    def wants_rows(self, device: torch.device) -> bool:
        return True

    def torch_optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        on_cpu = all(p.device.type == "cpu" for group in groups for p in group["params"])
        if self.kernel == "numba" and not on_cpu:
            raise ConfigError(
                "fit.optimizer.kernel is 'numba', which runs on the CPU only, and the model is on a GPU; use 'auto' or 'torch'"
            )
        compiled = on_cpu and self.kernel != "torch"
        return RowAdam(groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, lazy=True, compiled=compiled)
