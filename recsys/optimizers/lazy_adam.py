"""LazyAdam: Adam that moves touched rows only. A different optimiser from Adam, hence its own name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recsys.errors import ConfigError
from recsys.optimizers.optimizer import Group, Optimizer, check_share


class LazyAdam(Optimizer):
    """Adam on the rows of a table that the step looked up; moments of the other rows rest, and they do not move.

    A row's update is Adam's, with the bias correction of the global step count (as in TensorFlow Addons' LazyAdam). Parameters with
    dense gradients get plain Adam. The row update is one compiled kernel on the CPU (numba), or torch operations elsewhere
    (``kernel="torch"``; ``"auto"`` chooses): equal up to rounding. For a model with large tables this is many times faster.
    """

    sparse = True

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

    def torch_optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        on_cpu = all(p.device.type == "cpu" for group in groups for p in group["params"])
        if self.kernel == "numba" and not on_cpu:
            raise ConfigError(
                "fit.optimizer.kernel is 'numba', which runs on the CPU only, and the model is on a GPU; use 'auto' or 'torch'"
            )
        kernel = self.kernel if self.kernel != "auto" else "numba" if on_cpu else "torch"
        return RowAdam(groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, kernel=kernel)


class RowAdam(torch.optim.Optimizer):
    """The torch optimiser that :class:`LazyAdam` makes. Sparse gradients may repeat rows; their sum is the row's gradient."""

    def __init__(self, params: Any, *, lr: float, betas: tuple[float, float], eps: float, kernel: str) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
        self._rows: Callable[..., None] = _torch_rows
        if kernel == "numba":
            from recsys.optimizers.row_kernel import RowUpdate

            self._rows = RowUpdate()

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = 0
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["step"] += 1
                rate = group["lr"] / (1 - beta1 ** state["step"])
                scale = (1 - beta2 ** state["step"]) ** -0.5
                update = self._rows if parameter.grad.is_sparse else _dense
                update(parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"], rate, beta1, beta2, scale, group["eps"])


def _dense(p: Tensor, grad: Tensor, m: Tensor, v: Tensor, rate: float, beta1: float, beta2: float, scale: float, eps: float) -> None:
    m.lerp_(grad, 1 - beta1)
    v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    p.addcdiv_(m, v.sqrt().mul_(scale).add_(eps), value=-rate)


def _torch_rows(p: Tensor, grad: Tensor, m: Tensor, v: Tensor, rate: float, beta1: float, beta2: float, scale: float, eps: float) -> None:
    grad = grad.coalesce()
    rows, values = grad.indices()[0], grad.values()
    m_rows = m.index_select(0, rows).lerp_(values, 1 - beta1)
    v_rows = v.index_select(0, rows).mul_(beta2).addcmul_(values, values, value=1 - beta2)
    m.index_copy_(0, rows, m_rows)
    v.index_copy_(0, rows, v_rows)
    p.index_add_(0, rows, m_rows / v_rows.sqrt().mul_(scale).add_(eps), alpha=-rate)
