"""Adam for tables whose gradients come as rows: the torch optimiser behind ``Adam``, ``AdamW`` (on the CPU) and ``LazyAdam``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class RowAdam(torch.optim.Optimizer):
    """Sparse gradients may repeat rows; their sum is the row's gradient.

    With t the number of steps: rate = lr / (1 - beta1^t), scale = (1 - beta2^t)^(-1/2), and p -= rate m / (sqrt(v) scale + eps), which is
    Adam with both bias corrections.

    Args:
        lazy: move the rows that have a gradient only; False: every row, as torch's Adam does.
        decoupled: ``weight_decay`` shrinks p by lr x weight_decay (AdamW); False: it is an L2 term in the gradient.
        compiled: update tables by a compiled kernel (CPU, float32), or by torch operations.
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        lazy: bool = False,
        compiled: bool = True,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self._decoupled, self._lazy, self._compiled = decoupled, lazy, compiled

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            decay = 0.0 if self._decoupled else group["weight_decay"]
            shrink = 1 - group["lr"] * group["weight_decay"] if self._decoupled else 1.0
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
                numbers = (rate, beta1, beta2, scale, group["eps"], decay, shrink)
                self._update(parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"], numbers)

    def _update(self, p: Tensor, grad: Tensor, m: Tensor, v: Tensor, numbers: tuple[float, ...]) -> None:
        if self._compiled and p.ndim == 2 and p.dtype == torch.float32 and p.is_contiguous():
            from recsys.optimizers import row_kernel

            if not grad.is_sparse:
                row_kernel.update_dense(p, grad, m, v, numbers)
            elif self._lazy:
                row_kernel.update_touched(p, grad, m, v, numbers[:5])
            else:
                row_kernel.update_every(p, grad, m, v, numbers)
        elif grad.is_sparse and self._lazy:
            _touched(p, grad, m, v, numbers)
        else:
            _every(p, grad.to_dense() if grad.is_sparse else grad, m, v, numbers)


def _every(p: Tensor, grad: Tensor, m: Tensor, v: Tensor, numbers: tuple[float, ...]) -> None:
    rate, beta1, beta2, scale, eps, decay, shrink = numbers
    if decay:
        grad = grad.add(p, alpha=decay)
    m.lerp_(grad, 1 - beta1)
    v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    if shrink != 1:
        p.mul_(shrink)
    p.addcdiv_(m, v.sqrt().mul_(scale).add_(eps), value=-rate)


def _touched(p: Tensor, grad: Tensor, m: Tensor, v: Tensor, numbers: tuple[float, ...]) -> None:
    rate, beta1, beta2, scale, eps = numbers[:5]
    grad = grad.coalesce()
    rows, values = grad.indices()[0], grad.values()
    m_rows = m.index_select(0, rows).lerp_(values, 1 - beta1)
    v_rows = v.index_select(0, rows).mul_(beta2).addcmul_(values, values, value=1 - beta2)
    m.index_copy_(0, rows, m_rows)
    v.index_copy_(0, rows, v_rows)
    p.index_add_(0, rows, m_rows / v_rows.sqrt().mul_(scale).add_(eps), alpha=-rate)


def summed(grad: Tensor) -> Tensor:
    """A sparse gradient with each row once, the sum of its repetitions."""
    if grad.device.type != "cpu" or grad.dtype != torch.float32:
        return grad.coalesce()
    from recsys.optimizers import row_kernel

    return row_kernel.add_up(grad)
