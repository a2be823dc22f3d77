"""Configured optimisers, with one pass over each parameter instead of about fifteen."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from recsys.errors import ConfigError
from recsys.optimizers.row_adam import RowAdam
from recsys.part import Part


def check_rates(lr: float, weight_decay: float) -> None:
    if not lr > 0:
        raise ValueError(f"lr is {lr}; a learning rate is above 0")
    if weight_decay < 0:
        raise ValueError(f"weight_decay is {weight_decay}; it is at least 0")


def check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it is at least 0 and below 1")


class Group:
    """What differs for the parameters of a group: learning rate ``lr``, ``weight_decay``; None: as for the rest."""

    def __init__(self, *, lr: float | None = None, weight_decay: float | None = None) -> None:
        check_rates(1.0 if lr is None else lr, weight_decay or 0.0)
        self.lr, self.weight_decay = lr, weight_decay

    def options(self) -> dict[str, float]:
        return {name: value for name, value in vars(self).items() if value is not None}


class Optimizer(Part):
    """Makes a torch optimiser for named parameters.

    ``groups`` maps patterns on parameter names (``model.user.*``, ``loss.*``) to :class:`Group`; the first that matches a
    parameter counts, and a pattern that matches none is an error. ``weight_decay`` is an L2 term in the gradient, except in AdamW,
    where it is decoupled. ``lazy`` (class attribute): moves the rows of a table that a step looked up, and no others.
    """

    lazy = False

    def __init__(self, *, lr: float, weight_decay: float, groups: dict[str, Group] | None) -> None:
        super().__init__()
        check_rates(lr, weight_decay)
        self.lr, self.weight_decay, self.groups = lr, weight_decay, groups

    def make(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
        """The torch optimiser. Each of its groups remembers its configured rate as ``base_lr``, for schedules."""
        made = self.torch_optimizer(split(list(parameters), self.groups or {}))
        for group in made.param_groups:
            group["base_lr"] = group["lr"]
        return made

    def wants_rows(self, device: torch.device) -> bool:
        """Whether it takes gradients of looked-up rows, which are cheaper than those of whole tables."""
        return False

    def torch_optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        raise NotImplementedError


def split(parameters: list[tuple[str, nn.Parameter]], groups: Mapping[str, Group]) -> list[dict[str, Any]]:
    """torch parameter groups, the configured ones first."""
    found: dict[str, list[nn.Parameter]] = {pattern: [] for pattern in groups}
    rest: list[nn.Parameter] = []
    for name, parameter in parameters:
        pattern = next((p for p in groups if fnmatch.fnmatchcase(name, p)), None)
        (rest if pattern is None else found[pattern]).append(parameter)
    for pattern, members in found.items():
        if not members:
            names = ", ".join(name for name, _ in parameters)
            raise ConfigError(f"fit.optimizer.groups: {pattern!r} matches no parameter; there are {names}")
    made = [{"params": members, **groups[pattern].options()} for pattern, members in found.items()]
    return [*made, {"params": rest}] if rest else made


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), every row at every step. ``beta1``, ``beta2``, ``eps`` as in the paper.

    On the CPU a table's gradient stays a list of the rows that were looked up, and one compiled pass updates all rows from it; on a GPU it
    is torch's fused kernel. Equal up to rounding.
    """

    decoupled = False

    def __init__(
        self,
        *,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        groups: dict[str, Group] | None = None,
    ) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, groups=groups)
        check_share("beta1", beta1)
        check_share("beta2", beta2)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def wants_rows(self, device: torch.device) -> bool:
        return device.type == "cpu"

    def torch_optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        kind = torch.optim.AdamW if self.decoupled else torch.optim.Adam
        common: dict[str, Any] = {"lr": self.lr, "betas": (self.beta1, self.beta2), "eps": self.eps, "weight_decay": self.weight_decay}
        if all(p.device.type == "cpu" for group in groups for p in group["params"]):
            return RowAdam(groups, decoupled=self.decoupled, **common)
        return kind(groups, fused=True, **common)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    decoupled = True


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum."""

    def __init__(
        self, *, lr: float = 0.1, momentum: float = 0.0, weight_decay: float = 0.0, groups: dict[str, Group] | None = None
    ) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, groups=groups)
        check_share("momentum", momentum)
        self.momentum = momentum

    def torch_optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, fused=True)


class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011)."""

    def __init__(self, *, lr: float = 0.01, eps: float = 1e-10, weight_decay: float = 0.0, groups: dict[str, Group] | None = None) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, groups=groups)
        self.eps = eps

    def torch_optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        fused = all(p.device.type == "cpu" for group in groups for p in group["params"])
        return torch.optim.Adagrad(groups, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay, fused=fused or None)
