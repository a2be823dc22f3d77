"""What a model reads, made from a training log."""

from recsys.examples.pairs import Pairs
from recsys.examples.sequences import NextItem

__all__ = ["NextItem", "Pairs"]
