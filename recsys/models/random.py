from __future__ import annotations

import torch
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.randomness import seed_of
from recsys.recommender import ClosedForm


class Random(ClosedForm):
    """Every query gets a random ranking of its own: the floor, and what a metric is worth by chance.

    The score of item i for query q is a uniform number in [0, 1) hashed from ``seed``, the query's owner, the items of its history with
    their multiplicities, and i (the finaliser of SplitMix64, Steele, Lea and Flood 2014). So a query is always answered alike, whatever the
    other queries, the device and the threads, and a session anew at every step. float64: 53 random bits, so that there are no ties.
    """

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.register_buffer("item", torch.zeros(0, dtype=torch.int64))

    item: Tensor

    def solve(self, train: Log) -> None:
        self.item = _mixed(torch.arange(train.num_items) + seed_of(self.seed, "random"))

    def scores(self, histories: Histories) -> Tensor:
        item, query = histories.flat()
        key = _mixed(histories.owner).index_add(0, query, self.item[item.to(self.item.device)].to(query.device))
        bits = _mixed(_mixed(key).to(self.item.device)[:, None] + self.item)
        return _shifted(bits, 11).double() / 2**53


def _mixed(x: Tensor) -> Tensor:
    """Every bit of the result depends on every bit of x int64; arithmetic modulo 2^64."""
    x = x + (0x9E3779B97F4A7C15 - 2**64)
    x = (x ^ _shifted(x, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    x = (x ^ _shifted(x, 27)) * (0x94D049BB133111EB - 2**64)
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, by: int) -> Tensor:
    """To the right, with zeros from the left."""
    return (x >> by) & ((1 << (64 - by)) - 1)
