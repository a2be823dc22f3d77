"""Exact top-k of the whole catalogue, in blocks of queries.

The order of a list is defined by (score of record, descending; item code, ascending) and depends on nothing else: not on the block
size, the number of threads, the other queries or their order, or the device.

A model that gives vectors is *screened* by one matrix product. The last bits of such a product depend on its shape, so it only
proposes candidates: the best k + margin of each row. Their scores of record are dot products in float64, added up in one fixed
order (:func:`dot`). By Higham (2002), section 3.1, a float32 product of width D is within ``gamma_D * |q| * |v|`` of the true one,
whatever the order of its sum; a row is proven when its k-th score of record is above the last screened score by more than that. The
rows that are not (ties, nearly equal scores) are answered again from every item within the bound.

The scores of a model without vectors are the scores of record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recsys.data.log import Histories
from recsys.errors import RecsysError
from recsys.recommender import Recommender

MARGIN = 16
"""Screened candidates beyond k. More of them cost time in every block, fewer leave more rows unproven; 16 is about the best."""

CHUNK = 64
"""Items whose maximum is taken together before the top-k selection."""

FLOATS = 1 << 25
"""Scores in memory at once (128 MB of float32); blocks of queries shrink when the catalogue is very large."""


class Ranked(NamedTuple):
    """Lists of Q queries, best first: ``items`` int64 [Q, k], -1 past the end of a list; ``scores`` float64 [Q, k], -inf there."""

    items: Tensor
    scores: Tensor


def rank(
    recommender: Recommender,
    histories: Histories,
    k: int,
    *,
    mask_seen: bool,
    candidates: Tensor | None = None,
    block: int = 256,
) -> Ranked:
    """The k best items of each query.

    Args:
        mask_seen: whether the items of a query's own history may not be recommended to it.
        candidates: bool [N], the items that may be recommended; None: all.
        block: queries scored at a time; changes time and memory only.

    Raises:
        RecsysError: the model's scores are nan or infinite (-inf excepted: "not to be recommended"), or of the wrong shape.
    """
    parts = list(blocks(recommender, histories, k, mask_seen=mask_seen, candidates=candidates, block=block))
    if not parts:
        return Ranked(torch.empty(0, k, dtype=torch.long), torch.empty(0, k, dtype=torch.double))
    return Ranked(torch.cat([p.items for p in parts]), torch.cat([p.scores for p in parts]))


def blocks(
    recommender: Recommender,
    histories: Histories,
    k: int,
    *,
    mask_seen: bool,
    candidates: Tensor | None = None,
    block: int = 256,
) -> Iterator[Ranked]:
    """The same, a block of queries at a time, in order. The model is in evaluation mode meanwhile, and no gradient is kept."""
    if k < 1 or block < 1:
        raise ValueError(f"k and block must be at least 1, got {k} and {block}")
    training = isinstance(recommender, nn.Module) and recommender.training
    if isinstance(recommender, nn.Module):
        recommender.eval()
    screen = _Screen(recommender, mask_seen, candidates)
    try:
        at = 0
        while at < len(histories):
            part = histories.take(slice(at, at + min(block, screen.rows())))
            at += len(part)
            with torch.no_grad():
                yield _padded(screen.answer(part, k), k)
    finally:
        if isinstance(recommender, nn.Module):
            recommender.train(training)


def dot(query: Tensor, items: Tensor) -> Tensor:
    """Dot products over the last dimension in float64, added up in an order that depends on the width alone (halves onto halves)."""
    terms = query.double() * items.double()
    while (width := terms.shape[-1]) > 1:
        half = width // 2
        added = terms[..., :half] + terms[..., half : 2 * half]
        terms = added if width % 2 == 0 else torch.cat([added, terms[..., 2 * half :]], -1)
    return terms.squeeze(-1) if terms.shape[-1] else terms.sum(-1)


class _Screen:
    """Scores blocks of queries of one model; keeps one block of scores and what is known of the item vectors."""

    def __init__(self, recommender: Recommender, mask_seen: bool, candidates: Tensor | None) -> None:
        self.recommender, self.mask_seen = recommender, mask_seen
        self.excluded = torch.empty(0, dtype=torch.long) if candidates is None else (~candidates).nonzero()[:, 0]
        self.buffer = torch.empty(0)
        self.items = torch.empty(0)
        self.largest = 0.0  # norm among the item vectors
        self.expected = None if candidates is None else len(candidates)
        self.num_items = self.expected or 0  # 0: not known before the first block

    def answer(self, histories: Histories, k: int) -> Ranked:
        found = self.recommender.vectors(histories)
        if found is None:
            scores = self._given(histories)
            return _first(scores, min(k, self.num_items), self)
        query, items = found
        self._learn(query, items, len(histories))
        scores = self._space(len(histories), torch.float32, query.device)
        torch.mm(query.float(), items.float().T, out=scores)
        self._mask(scores, histories)
        return self._exact(query, scores, min(k, self.num_items))

    def rows(self) -> int:
        """How many queries a block may have; few in the first if the size of the catalogue is not known yet."""
        return max(1, FLOATS // (self.num_items or 1 << 21))

    def _exact(self, query: Tensor, scores: Tensor, k: int) -> Ranked:
        size = query.double().norm(dim=1)
        self.check(bool(size.isfinite().all()))
        bound = _relative_error(query.shape[1]) * size * self.largest + query.shape[1] * torch.finfo(torch.float32).tiny
        value, index = _largest(scores, min(k + MARGIN, self.num_items))
        self.check(not bool((value.isnan() | (value == torch.inf)).any()))
        index = index.sort(1).values  # ascending, so that a stable sort by score leaves equal scores in the order of their codes
        record = dot(query[:, None], self.items[index]).masked_fill(scores.gather(1, index) == -torch.inf, -torch.inf)
        record, order = record.sort(dim=1, descending=True, stable=True)
        index, last = index.gather(1, order)[:, :k], value[:, -1].double()
        record = record[:, :k]
        if k + MARGIN < self.num_items:
            unproven = ((last > -torch.inf) & (record[:, -1] <= last + bound)).nonzero()[:, 0]
            if len(unproven):
                index[unproven], record[unproven] = self._again(query[unproven], scores[unproven], (record[:, -1] - bound)[unproven], k)
        return Ranked(index, record)

    def _again(self, query: Tensor, scores: Tensor, at_least: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The first k of all items screened at ``at_least`` or more. Rows with fewer than k do not occur: the k best are among them."""
        threshold = torch.nextafter(at_least.float(), torch.tensor(-torch.inf, device=scores.device))
        row, item = (scores >= threshold[:, None]).nonzero(as_tuple=True)  # rows ascending, items ascending inside a row
        step = max(1, (1 << 22) // max(1, query.shape[1]))
        record = torch.cat([dot(query[row[a : a + step]], self.items[item[a : a + step]]) for a in range(0, len(row), step)])
        order = record.argsort(descending=True, stable=True)
        order = order[row[order].argsort(stable=True)]
        length = torch.bincount(row, minlength=len(query))
        first = order[(length.cumsum(0) - length)[:, None] + torch.arange(k, device=order.device)]
        return item[first], record[first]

    def _given(self, histories: Histories) -> Tensor:
        """The model's own scores, copied: they may be an expanded view or a buffer of the model."""
        given = self.recommender.scores(histories)
        if given.ndim != 2 or len(given) != len(histories):
            raise RecsysError(f"{self.model}.scores gave shape {tuple(given.shape)} for {len(histories)} queries, not [queries, items]")
        self._size(given.shape[1])
        scores = self._space(len(histories), torch.float64 if given.dtype == torch.float64 else torch.float32, given.device)
        scores.copy_(given)
        self._mask(scores, histories)
        return scores

    def _learn(self, query: Tensor, items: Tensor, rows: int) -> None:
        if query.ndim != 2 or items.ndim != 2 or len(query) != rows or query.shape[1] != items.shape[1]:
            raise RecsysError(
                f"{self.model}.vectors gave shapes {tuple(query.shape)} and {tuple(items.shape)} for {rows} queries; "
                "it must give [queries, width] and [items, width]"
            )
        if items.data_ptr() != self.items.data_ptr() or items.shape != self.items.shape:
            self._size(len(items))
            self.items = items
            self.largest = float(items.double().norm(dim=1).max()) if items.numel() else 0.0
            self.check(self.largest < torch.inf)

    def _size(self, num_items: int) -> None:
        if self.expected is not None and num_items != self.expected:
            raise RecsysError(f"{self.model} scores {num_items} items, but the catalogue has {self.expected}; was it fitted on this data?")
        self.num_items = num_items

    def _space(self, rows: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        if self.buffer.dtype != dtype or self.buffer.device != device or self.buffer.numel() < rows * self.num_items:
            self.buffer = torch.empty(rows * self.num_items, dtype=dtype, device=device)
        return self.buffer[: rows * self.num_items].view(rows, self.num_items)

    def _mask(self, scores: Tensor, histories: Histories) -> None:
        if self.mask_seen:
            item, query = histories.flat()
            scores.view(-1).index_fill_(0, (query * self.num_items + item).to(scores.device), -torch.inf)
        if len(self.excluded):
            scores.index_fill_(1, self.excluded.to(scores.device), -torch.inf)

    @property
    def model(self) -> str:
        return type(self.recommender).__name__

    def check(self, finite: bool) -> None:
        if not finite:
            raise RecsysError(f"{self.model} gave scores that are nan or infinite: it has diverged, lower the learning rate or clip")


def _first(scores: Tensor, k: int, screen: _Screen) -> Ranked:
    """The first k by (value, code) of scores [Q, N] that are taken as they are."""
    wide = min(k + MARGIN, scores.shape[1])
    value, index = _largest(scores, wide)
    screen.check(not bool((value.isnan() | (value == torch.inf)).any()))
    index = index.sort(1).values
    top, order = scores.gather(1, index).sort(dim=1, descending=True, stable=True)
    index, top = index.gather(1, order)[:, :k], top[:, :k]
    if wide < scores.shape[1]:
        kth = top[:, -1:]
        cut = ((kth == value[:, -1:]) & (kth > -torch.inf)).nonzero()[:, 0]  # equal scores on both sides of the last candidate
        if len(cut):
            some, kth = scores[cut], kth[cut]
            above, equal = some > kth, some == kth
            wanted = k - above.sum(1, keepdim=True)
            chosen = (above | (equal & (equal.cumsum(1, dtype=torch.int32) <= wanted))).nonzero()[:, 1].view(len(cut), k)
            top[cut], order = some.gather(1, chosen).sort(dim=1, descending=True, stable=True)
            index[cut] = chosen.gather(1, order)
    return Ranked(index, top.double())


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """``scores.topk(k)`` of wide rows: only the k chunks with the largest maxima can hold any of the k largest values."""
    width = scores.shape[1]
    chunks = width // CHUNK
    if chunks <= 2 * k or scores.device.type != "cpu":
        return scores.topk(k, dim=1)
    whole = scores[:, : chunks * CHUNK].view(-1, chunks, CHUNK)
    best = whole.amax(-1).topk(k, dim=1, sorted=False).indices
    inside = whole.gather(1, best[:, :, None].expand(-1, -1, CHUNK)).flatten(1)
    value, at = torch.cat([inside, scores[:, chunks * CHUNK :]], 1).topk(k, dim=1)
    index = best.gather(1, at.clamp(max=k * CHUNK - 1) // CHUNK) * CHUNK + at % CHUNK
    return value, index.where(at < k * CHUNK, at - k * CHUNK + chunks * CHUNK)


def _relative_error(width: int) -> float:
    """Of a float32 product of this width against the exact one, relative to the two norms, under torch's precision setting."""
    unit = 2.0**-24
    rounded = {"highest": unit, "high": 2.0**-11, "medium": 2.0**-8}[torch.get_float32_matmul_precision()]  # of the two inputs
    return 2 * rounded + rounded**2 + 1.01 * (width + 2) * unit


def _padded(ranked: Ranked, k: int) -> Ranked:
    """On the CPU, with -1 and -inf where there is no item, up to k columns."""
    scores = ranked.scores.cpu()
    items = ranked.items.cpu().masked_fill(scores == -torch.inf, -1)
    if (missing := k - items.shape[1]) > 0:
        items = nn.functional.pad(items, (0, missing), value=-1)
        scores = nn.functional.pad(scores, (0, missing), value=-torch.inf)
    return Ranked(items, scores)
