"""Optimisers, as configured objects that make torch's."""

from recsys.optimizers.lazy_adam import LazyAdam
from recsys.optimizers.optimizer import SGD, Adagrad, Adam, AdamW, Group, Optimizer

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Group", "LazyAdam", "Optimizer"]
