"""Models: what scores items for a user or a history."""

from recsys.models.expo_mf import ExpoMF
from recsys.models.item2vec import Item2Vec
from recsys.models.lightgcn import LightGCN
from recsys.models.mf import MF
from recsys.models.model import Model
from recsys.models.neumf import NeuMF
from recsys.models.popular import Popular
from recsys.models.simplex import SimpleX

__all__ = ["MF", "ExpoMF", "Item2Vec", "LightGCN", "Model", "NeuMF", "Popular", "SimpleX"]
