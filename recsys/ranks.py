"""Where the relevant items stand in the ranking of the whole catalogue, also far below any top k.

Shapes: Q queries, N items, R relevant items of all queries, B queries of a block.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data.log import Holdout
from recsys.errors import RecsysError
from recsys.ranking import FLOATS, TOGETHER, evaluating, of_record
from recsys.recommender import Recommender
from recsys.threads import share


class Ranks(NamedTuple):
    """``rank`` int64 [R]: of each relevant item of a holdout among the candidates of its query, 1 for the best, 0 where it is none;
    ``query`` int64 [R]: its query. ``candidates`` int64 [Q]: how many items are ranked. ``relevant`` int64 [Q]: how many are relevant,
    unknown ones included."""

    rank: Tensor
    query: Tensor
    candidates: Tensor
    relevant: Tensor


def full_ranks(
    recommender: Recommender, holdout: Holdout, num_items: int, *, mask_seen: bool, candidates: Tensor | None = None, block: int = 256
) -> Ranks:
    """The rank of every relevant item in the order of :mod:`recsys.ranking`: by score of record, then by item code.

    Vectors are multiplied in float64. Where the products of other items are too close to the score of record of a relevant one to tell
    which is higher, their scores of record are compared. Memory is bounded by a block of scores.

    Args:
        mask_seen: whether the items of a query's own history are no candidates.
        candidates: bool [N], the items that may be recommended; None: all.
        block: queries scored at a time; changes time and memory only.

    Raises:
        RecsysError: the model's scores are nan or infinite (-inf excepted), or not of ``num_items`` items.
    """
    if num_items < 1 or block < 1:
        raise ValueError(f"num_items and block must be at least 1, got {num_items} and {block}")
    excluded = torch.empty(0, dtype=torch.long) if candidates is None else (~candidates.cpu()).nonzero()[:, 0]
    query = torch.arange(len(holdout)).repeat_interleave(holdout.offsets.diff())
    rank, ranked = torch.zeros_like(query), torch.zeros(len(holdout), dtype=torch.long)
    block = max(1, min(block, FLOATS // num_items))
    space = torch.empty(block, num_items, dtype=torch.double)
    with evaluating(recommender), torch.no_grad():
        for first in range(0, len(holdout), TOGETHER):
            asked = holdout.histories.take(slice(first, first + TOGETHER))
            vectors = recommender.vectors(asked)
            whole = None if vectors is None else _Products(vectors[0].double(), vectors[1].double())
            for at in range(0, len(asked), block):
                some = asked.take(slice(at, at + block))
                scores, rows = space[: len(some)], slice(first + at, first + at + len(some))
                products = None if whole is None else whole.rows(slice(at, at + block))
                given = recommender.scores(some) if products is None else products
                if tuple(given.shape) != tuple(scores.shape):
                    shapes = f"scores of shape {tuple(given.shape)}, not {tuple(scores.shape)}"
                    raise RecsysError(f"{type(recommender).__name__} gave {shapes}; was it fitted on this data?")
                if isinstance(given, _Products):
                    given.write(scores)
                else:
                    scores.copy_(given)
                if not bool((scores.amax(1) < torch.inf).all()):
                    raise RecsysError(f"{type(recommender).__name__} gave scores that are nan or infinite: it has diverged")
                if mask_seen:
                    seen, of = some.flat()
                    scores.view(-1).index_fill_(0, of * num_items + seen, -torch.inf)
                scores.index_fill_(1, excluded, -torch.inf)
                everything = torch.full((len(some),), num_items)
                ranked[rows] = _counted(scores, torch.arange(len(some)), everything, torch.full((len(some),), -torch.inf).double())[0]
                part = slice(int(holdout.offsets[rows.start]), int(holdout.offsets[rows.stop]))
                rank[part] = _ranks(scores, query[part] - rows.start, holdout.items[part].long(), products)
    return Ranks(rank, query, ranked, holdout.relevant())


class _Products:
    """Scores that are products of vectors, float64 [B, D] and [N, D]."""

    def __init__(self, query: Tensor, items: Tensor, largest: Tensor | None = None) -> None:
        self.query, self.items = query, items
        self.shape = len(query), len(items)
        self.largest = items.norm(dim=1).amax() if largest is None else largest

    def rows(self, rows: slice) -> _Products:
        return _Products(self.query[rows], self.items, self.largest)

    def write(self, out: Tensor) -> None:
        if out.device == self.query.device:
            torch.mm(self.query, self.items.T, out=out)
        else:
            out.copy_(self.query @ self.items.T)

    def of_record(self, row: Tensor, item: Tensor) -> Tensor:
        """float64 [R]."""
        device = self.query.device
        return of_record(self.query, self.items, row.to(device), item.to(device)).cpu()

    def margin(self) -> Tensor:
        """float64 [B]: the largest difference of a product and a score of record (Higham 2002, section 3.1: each is within half of it)."""
        width = 2.02 * (self.query.shape[1] + 2) * 2.0**-53
        found: Tensor = width * self.query.norm(dim=1) * self.largest
        return found.cpu()


def _ranks(scores: Tensor, row: Tensor, item: Tensor, products: _Products | None) -> Tensor:
    """int64 [R]: the ranks of items in rows of masked scores, float64 [B, N]; 0 for a masked item."""
    known = scores[row, item] > -torch.inf
    if products is None:
        above, lower, _ = _counted(scores, row, item, scores[row, item])
        return (1 + above + lower) * known  # equal scores stand in the order of codes
    own, margin = products.of_record(row, item), products.margin()[row]
    above, lower, higher = _counted(scores, row, item, own, margin)
    rank = 1 + above + lower
    unclear = (known & (margin > 0) & (lower + higher > 0)).nonzero()[:, 0]
    for which in torch.split(unclear, max(1, FLOATS // (8 * scores.shape[1]))):
        inside, near, mine = scores[row[which]], margin[which, None], own[which, None]
        at, other = ((inside >= mine - near) & (inside <= mine + near)).nonzero(as_tuple=True)
        record, mine = products.of_record(row[which][at], other), own[which][at]
        better = (record > mine) | ((record == mine) & (other < item[which][at]))
        rank[which] = 1 + above[which] + torch.bincount(at[better], minlength=len(which))
    return rank * known


def _counted(scores: Tensor, row: Tensor, item: Tensor, value: Tensor, margin: Tensor | float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """int64 [R] each: how many scores of a row are above ``value`` by more than the margin, and how many are within it, of items of lower
    and of higher codes than ``item``."""
    found = torch.empty_like(row), torch.empty_like(row), torch.empty_like(row)
    from recsys import ranking_kernel

    share(partial(ranking_kernel.count, *(x.numpy() for x in (scores, row, item, value - margin, value + margin, *found))), len(row))
    return found
