"""Negatives: which items a row's target is contrasted with. No gradient passes through a sampler."""

from recsys.sampling.all_items import All
from recsys.sampling.ambiguous import Ambiguous
from recsys.sampling.batch_inputs import BatchInputs
from recsys.sampling.diverse_hard import DiverseHard
from recsys.sampling.from_run import FromRun
from recsys.sampling.in_batch import InBatch
from recsys.sampling.inverse_propensity import InversePropensity
from recsys.sampling.locally_typical import LocallyTypical
from recsys.sampling.misranked import Misranked
from recsys.sampling.mix import Mix
from recsys.sampling.neighbors import Neighbors
from recsys.sampling.nothing import Nothing
from recsys.sampling.personal_loss import PersonalLoss
from recsys.sampling.popularity import Popularity
from recsys.sampling.queue import Queue
from recsys.sampling.resampled import Resampled
from recsys.sampling.reweighted_loss import ReweightedLoss
from recsys.sampling.sampler import Proposal, Refine, Sampler
from recsys.sampling.self_weighted import SelfWeighted
from recsys.sampling.soft import Soft
from recsys.sampling.stochastic_top_k import StochasticTopK
from recsys.sampling.teleported import Teleported
from recsys.sampling.top_k import TopK
from recsys.sampling.top_n_sigma import TopNSigma
from recsys.sampling.truncated_loss import TruncatedLoss
from recsys.sampling.uniform import Uniform
from recsys.sampling.unseen import Unseen
from recsys.sampling.without_replacement import WithoutReplacement

__all__ = [
    "All",
    "Ambiguous",
    "BatchInputs",
    "DiverseHard",
    "FromRun",
    "InBatch",
    "InversePropensity",
    "LocallyTypical",
    "Misranked",
    "Mix",
    "Neighbors",
    "Nothing",
    "PersonalLoss",
    "Popularity",
    "Proposal",
    "Queue",
    "Refine",
    "Resampled",
    "ReweightedLoss",
    "Sampler",
    "SelfWeighted",
    "Soft",
    "StochasticTopK",
    "Teleported",
    "TopK",
    "TopNSigma",
    "TruncatedLoss",
    "Uniform",
    "Unseen",
    "WithoutReplacement",
]
