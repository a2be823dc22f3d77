"""Models: what scores items for a user or a history."""

from recsys.models.bert4rec import BERT4Rec
from recsys.models.ease import EASE
from recsys.models.expo_mf import ExpoMF
from recsys.models.graph_filter import GraphFilter
from recsys.models.gru4rec import GRU4Rec
from recsys.models.ials import IALS
from recsys.models.item2vec import Item2Vec
from recsys.models.item_knn import ItemKNN
from recsys.models.lightgcn import LightGCN
from recsys.models.markov import Markov
from recsys.models.mf import MF
from recsys.models.model import Model
from recsys.models.neumf import NeuMF
from recsys.models.popular import Popular
from recsys.models.random import Random
from recsys.models.rp3beta import RP3beta
from recsys.models.sasrec import SASRec
from recsys.models.sequence import SequenceModel
from recsys.models.session_knn import SessionKNN
from recsys.models.session_popular import SessionPopular
from recsys.models.simplex import SimpleX
from recsys.models.slim import SLIM

__all__ = [
    "EASE",
    "IALS",
    "MF",
    "SLIM",
    "BERT4Rec",
    "ExpoMF",
    "GRU4Rec",
    "GraphFilter",
    "Item2Vec",
    "ItemKNN",
    "LightGCN",
    "Markov",
    "Model",
    "NeuMF",
    "Popular",
    "RP3beta",
    "Random",
    "SASRec",
    "SequenceModel",
    "SessionKNN",
    "SessionPopular",
    "SimpleX",
]
