"""Negatives: which items a row's target is contrasted with. No gradient passes through a sampler."""

from recsys.sampling.all_items import All
from recsys.sampling.in_batch import InBatch
from recsys.sampling.mix import Mix
from recsys.sampling.popularity import Popularity
from recsys.sampling.sampler import Proposal, Refine, Sampler
from recsys.sampling.top_k import TopK
from recsys.sampling.uniform import Uniform
from recsys.sampling.unseen import Unseen

__all__ = ["All", "InBatch", "Mix", "Popularity", "Proposal", "Refine", "Sampler", "TopK", "Uniform", "Unseen"]
