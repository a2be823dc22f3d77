"""Losses: one value for every row; averaging happens in one place, the step."""

from recsys.losses.bce import BCE
from recsys.losses.bpr import BPR
from recsys.losses.loss import Loss
from recsys.losses.softmax import Softmax

__all__ = ["BCE", "BPR", "Loss", "Softmax"]
