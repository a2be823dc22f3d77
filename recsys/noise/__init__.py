"""Errors of known place in training data, as an axis of an experiment: what a method makes of positives that never were, or are missing."""

from recsys.noise.add_positives import AddPositives
from recsys.noise.drop_positives import DropPositives
from recsys.noise.noise import Noise

__all__ = ["AddPositives", "DropPositives", "Noise"]
