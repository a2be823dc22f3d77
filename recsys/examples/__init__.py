"""What a model reads, made from a training log."""

from recsys.examples.examples import Examples
from recsys.examples.labelled_pairs import LabelledPairs
from recsys.examples.masked_items import MaskedItems
from recsys.examples.pairs import Pairs
from recsys.examples.pairs_with_history import PairsWithHistory
from recsys.examples.sequences import NextItem

__all__ = ["Examples", "LabelledPairs", "MaskedItems", "NextItem", "Pairs", "PairsWithHistory"]
