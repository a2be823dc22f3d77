"""Data: sources of events, their check, and encoded data for training and evaluation."""

from recsys.data.describe import describe
from recsys.data.events import check
from recsys.data.log import Fold, Histories, Holdout, Log, Prepared
from recsys.data.prepare import prepare
from recsys.data.recipe import Recipe
from recsys.data.source import Source

__all__ = ["Fold", "Histories", "Holdout", "Log", "Prepared", "Recipe", "Source", "check", "describe", "prepare"]
