"""Exact top-k of the whole catalogue, in blocks of queries.

The order of a list is defined by (score of record, descending; item code, ascending) and depends on nothing else: not on the block
size, the number of threads, the other queries or their order, or the device.

A model that gives vectors is *screened* by matrix products. The last bits of such a product depend on its shape, so it only tells
which items may be in the list. Their scores of record are dot products in float64, added up in one fixed order (:func:`dot`). By
Higham (2002), section 3.1, a float32 product of width D is within ``e = gamma_D * |q| * |v|`` of the true one, whatever the order of
its sum. With t a value that at least k screened scores reach, the k best items all have screened scores of t - 2 e or more: exactly
these are scored again, so that ties and nearly equal scores need no special case. For t the k-th largest of the maxima of small
chunks of items is close enough, and much cheaper than a top-k selection.

Where a processor multiplies bfloat16 (half as wide, several times as fast), it screens in that. With q' and v' the rounded vectors,
q.v - q'.v' = (q - q').v + q'.(v - v'), so that by Cauchy and Schwarz ``e`` grows by |q - q'| |v| + |q'| |v - v'|, lengths that are
computed; and as rounding the product itself to bfloat16 keeps the order, it moves the bound t - 2 e by one rounding at each end
(:func:`_widened`). Where that lets too many items through (scores that differ by less than a few thousandths of the product of the vectors'
lengths), float32 screens.

The scores of a model without vectors are the scores of record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recsys import bfloat16
from recsys.data.log import Histories
from recsys.errors import RecsysError
from recsys.recommender import Recommender
from recsys.threads import share

CHUNK = 64
"""Items whose maximum is taken together."""

TILE = 1 << 22
"""Scores of a matrix product at a time on a CPU (16 MB: read again while in a shared cache)."""

TOGETHER = 4096
"""Queries whose vectors are asked for at once, so that what a model computes for all queries alike is done once for so many."""

FLOATS = 1 << 25
"""Scores in memory at once (128 MB of float32): larger tiles for an accelerator, and smaller blocks for a very large catalogue."""

PENDING = 1 << 16
"""Screened candidates that wait for their scores of record; more only when very many scores are nearly equal."""

MARGIN = 16
"""Ranks beyond k that are selected from given scores, so that most ties across rank k need no second look."""

ROUGH = 32
"""Screened items for each of k, beyond which bfloat16 is too rough for a model."""

_HALF = 2.0**-8  # the largest relative error of rounding to bfloat16


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
        return _nothing(0, k, torch.device("cpu"))
    return Ranked(torch.cat([p.items for p in parts]), torch.cat([p.scores for p in parts]))


def blocks(
    recommender: Recommender,
    histories: Histories,
    k: int,
    *,
    mask_seen: bool,
    candidates: Tensor | None = None,
    among: tuple[Tensor, Tensor] | None = None,
    block: int = 256,
) -> Iterator[Ranked]:
    """The same, a block of queries at a time, in order. The model is in evaluation mode meanwhile, and no gradient is kept.

    ``among``: items and offsets [Q + 1]; of query q only ``items[offsets[q]:offsets[q + 1]]`` (ascending) are ranked. None: all.
    """
    if k < 1 or block < 1:
        raise ValueError(f"k and block must be at least 1, got {k} and {block}")
    screen = _Screen(recommender, mask_seen, candidates)
    first = 0
    with evaluating(recommender):
        for asked in histories.blocks(max(block, TOGETHER)):
            query = screen.vectors(asked)
            at = 0
            while at < len(asked):
                rows = slice(at, at + (min(block, screen.rows()) if query is None else block))
                some, vectors = asked.take(rows), None if query is None else query[rows]
                if among is None:
                    found = screen.answer(some, vectors, k)
                else:
                    found = screen.answer_among(some, vectors, k, *_part_of(among, first + at, len(some)))
                at = rows.stop
                yield _padded(found, k)
            first += len(asked)


@contextmanager
def evaluating(recommender: Recommender) -> Iterator[None]:
    """A model in evaluation mode meanwhile."""
    training = isinstance(recommender, nn.Module) and recommender.training
    if isinstance(recommender, nn.Module):
        recommender.eval()
    try:
        yield
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


def of_record(query: Tensor, items: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """float64 [R]: :func:`dot` of query[row] and items[item], the same to the bit; on a CPU in one pass, else some at a time."""
    if all(x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) for x in (query, items)):
        from recsys import ranking_kernel

        out = torch.empty(len(row), dtype=torch.float64)
        arrays = (x.detach().contiguous().numpy() for x in (query, items, row, item, out))
        share(partial(ranking_kernel.records, *arrays), len(row), worth=len(row) * query.shape[1] >= 1 << 16)
        return out
    step = max(1, (1 << 20) // max(1, query.shape[1]))
    pairs = zip(torch.split(row, step), torch.split(item, step), strict=True)
    return torch.cat([dot(query[r], items[i]) for r, i in pairs])


class _Screen:
    """Scores blocks of queries of one model; keeps one block of scores and what is known of the item vectors."""

    def __init__(self, recommender: Recommender, mask_seen: bool, candidates: Tensor | None) -> None:
        self.recommender, self.mask_seen = recommender, mask_seen
        self.excluded = torch.empty(0, dtype=torch.long) if candidates is None else (~candidates).nonzero()[:, 0]
        self.buffer, self.narrow = torch.empty(0), torch.empty(0, dtype=torch.bfloat16)
        self.items = self.floats = torch.empty(0)  # as given, and in float32, padded to whole chunks
        self.half: Tensor | None = None  # the same in bfloat16; None: float32 screens
        self.largest = self.lost = 0.0  # norm among the item vectors, and among what bfloat16 takes from them
        self.expected = None if candidates is None else len(candidates)
        self.num_items = self.expected or 0  # 0: not known before the first block

    @torch.no_grad()
    def vectors(self, histories: Histories) -> Tensor | None:
        """[Q, D], where the model gives vectors."""
        found = self.recommender.vectors(histories)
        if found is None:
            return None
        query, items = found
        self._learn(query, items, len(histories))
        return query

    @torch.no_grad()
    def answer(self, histories: Histories, query: Tensor | None, k: int) -> Ranked:
        """The lists of a block of queries; ``query`` [Q, D]: their vectors, if the model gives some."""
        if query is None:
            scores = self._given(histories)
            return _first(scores, min(k, self.num_items), self)
        found = None if self.half is None else self._screened(query, histories, min(k, self.num_items), self.half)
        if found is None:
            self.half = None  # for good: too rough for this model
            found = self._screened(query, histories, min(k, self.num_items), None)
        assert found is not None
        return found

    @torch.no_grad()
    def answer_among(self, histories: Histories, query: Tensor | None, k: int, items: Tensor, offsets: Tensor) -> Ranked:
        """The same of the given items only: all their scores of record, in order."""
        row = torch.arange(len(histories)).repeat_interleave(offsets.diff())
        if query is None:
            scores = self._given(histories)
            row, items = row.to(scores.device), items.to(scores.device)
            record = scores[row, items].double()
        else:
            pair = row * self.num_items + items
            seen, of = histories.flat() if self.mask_seen else (torch.empty(0, dtype=torch.long),) * 2
            kept = ~(torch.isin(pair, of * self.num_items + seen) | torch.isin(items, self.excluded))
            row, items = row[kept].to(query.device), items[kept].to(query.device)
            record = of_record(query, self.items, row, items)
        self.check(not bool((record.isnan() | (record == torch.inf)).any()))
        kept = record > -torch.inf
        return _by_row(row[kept], items[kept], record[kept], rows=len(histories), k=min(k, self.num_items))

    def rows(self) -> int:
        """How many queries may be scored whole at a time; few in the first block if the size of the catalogue is not known yet."""
        return max(1, FLOATS // (self.num_items or 1 << 21))

    def _screened(self, query: Tensor, histories: Histories, k: int, half: Tensor | None) -> Ranked | None:
        """Lists by a screen in float32, or by ``half``, the items in bfloat16: None if that lets too many items through."""
        exact = query.double()
        size = exact.norm(dim=1)
        self.check(bool(size.isfinite().all()))
        scale = size * self.largest  # where it is 0, products are exact
        error = _relative_error(query.shape[1]) * scale + (query.shape[1] + 2) * torch.finfo(torch.float32).tiny * (scale > 0)
        query_screened, items_screened, rounding = query.float(), self.floats, 0.0
        if half is not None:
            query_screened, items_screened, rounding = query.bfloat16(), half, _HALF
            given = query_screened.double()
            error += (exact - given).norm(dim=1) * self.largest + given.norm(dim=1) * self.lost
        best = torch.empty(len(query), 0, device=query.device)  # up to k values that distinct items reach
        lowest, passed = _below(scale), 0  # set in the loop: no item screened below it can be in the list
        kept = _nothing(len(query), k, query.device)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for first, tile in self._tiles(query_screened, items_screened, histories):
            chunks = tile.view(len(tile), -1, CHUNK)
            top = chunks.amax(-1)
            best = torch.cat([best, top if top.shape[1] >= k else tile.topk(min(k, tile.shape[1]), dim=1).values], 1)
            best = best.topk(min(k, best.shape[1]), dim=1).values
            kth = best[:, -1].double() if best.shape[1] == k else torch.full_like(size, -torch.inf)
            lowest = _below(_widened(_widened(kth, rounding) - 2 * error, rounding))
            row, chunk = (top >= lowest).nonzero(as_tuple=True)
            inside = chunks[row, chunk]
            at, offset = ((inside >= lowest[row]) & (inside > -torch.inf)).nonzero(as_tuple=True)
            found.append((row[at], first + chunk[at] * CHUNK + offset, inside[at, offset]))
            passed += len(at)
            if half is not None and passed > ROUGH * k * len(query):
                return None
            if sum(len(x) for x, _, _ in found) > PENDING:
                kept, found = self._entered(query, kept, found, lowest, _widened(kept.scores[:, -1] - error, rounding)), []
        self.check(not bool((best.isnan() | (best == torch.inf)).any()))
        return self._entered(query, kept, found, lowest, _widened(kept.scores[:, -1] - error, rounding)) if found else kept

    def _entered(self, query: Tensor, kept: Ranked, found: list[tuple[Tensor, Tensor, Tensor]], lowest: Tensor, last: Tensor) -> Ranked:
        """``kept`` after items of higher codes, screened at ``lowest`` or more, have entered by their scores of record. Items screened
        below ``last`` [Q] are behind all that is kept."""
        row, item, value = (torch.cat(x) for x in zip(*found, strict=True))
        possible = (value >= lowest[row, 0]) & (value >= last[row])
        row, item = row[possible], item[possible]
        record = of_record(query, self.items, row, item)
        enters = record > kept.scores[row, -1]
        row, item, record = row[enters], item[enters], record[enters]
        old, at = (kept.items >= 0).nonzero(as_tuple=True)
        row, item, record = torch.cat([old, row]), torch.cat([kept.items[old, at], item]), torch.cat([kept.scores[old, at], record])
        return _by_row(row, item, record, rows=len(query), k=kept.items.shape[1])

    def _tiles(self, query: Tensor, vectors: Tensor, histories: Histories) -> Iterator[tuple[int, Tensor]]:
        """Masked screened scores of all queries and some items: the first item's code, and float32 [Q, items], padded to whole chunks by
        -inf. Vectors are in float32 or bfloat16."""
        wide = max(1, (TILE if query.device.type == "cpu" else FLOATS) // len(query) // CHUNK) * CHUNK
        edges = torch.arange(0, self.num_items + wide, wide)
        seen, of = histories.flat() if self.mask_seen else (torch.empty(0, dtype=torch.long),) * 2
        seen, order = seen.sort()
        seen, of = seen.to(query.device), of[order].to(query.device)
        cut, drop = torch.searchsorted(seen.cpu(), edges).tolist(), torch.searchsorted(self.excluded, edges).tolist()
        for n, first in enumerate(range(0, self.num_items, wide)):
            items = vectors[first : first + wide]
            tile = self._space(len(query), len(items), torch.float32, query.device)
            if query.dtype == torch.float32:
                torch.mm(query, items.T, out=tile)
            else:
                if self.narrow.numel() < tile.numel():
                    self.narrow = torch.empty(tile.numel(), dtype=query.dtype)
                tile.copy_(torch.mm(query, items.T, out=self.narrow[: tile.numel()].view(tile.shape)))
            tile.view(-1).index_fill_(0, of[cut[n] : cut[n + 1]] * len(items) + seen[cut[n] : cut[n + 1]] - first, -torch.inf)
            if drop[n + 1] > drop[n]:
                tile.index_fill_(1, self.excluded[drop[n] : drop[n + 1]].to(tile.device) - first, -torch.inf)
            tile[:, self.num_items - first :] = -torch.inf
            yield first, tile

    def _given(self, histories: Histories) -> Tensor:
        """The model's own scores, copied: they may be an expanded view or a buffer of the model."""
        given = self.recommender.scores(histories)
        if given.ndim != 2 or len(given) != len(histories):
            raise RecsysError(f"{self.model}.scores gave shape {tuple(given.shape)} for {len(histories)} queries, not [queries, items]")
        self._size(given.shape[1])
        scores = self._space(len(histories), self.num_items, torch.float64 if given.dtype == torch.float64 else torch.float32, given.device)
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
            self.floats = nn.functional.pad(items.float(), (0, 0, 0, -len(items) % CHUNK))
            self.largest, self.lost, self.half = _longest(items), 0.0, None
            self.check(self.largest < torch.inf)
            if items.device.type == "cpu" and bfloat16.is_fast(items.device) and self.largest < 1e18:
                self.half = self.floats.bfloat16()
                self.lost = _longest(items, self.half)

    def _size(self, num_items: int) -> None:
        if self.expected is not None and num_items != self.expected:
            raise RecsysError(f"{self.model} scores {num_items} items, but the catalogue has {self.expected}; was it fitted on this data?")
        self.num_items = num_items

    def _space(self, rows: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        if self.buffer.dtype != dtype or self.buffer.device != device or self.buffer.numel() < rows * width:
            self.buffer = torch.empty(rows * width, dtype=dtype, device=device)
        return self.buffer[: rows * width].view(rows, width)

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


def _part_of(among: tuple[Tensor, Tensor], first: int, size: int) -> tuple[Tensor, Tensor]:
    """The lists of some queries: items int64, and offsets from 0."""
    items, offsets = among[0], among[1][first : first + size + 1]
    return items[int(offsets[0]) : int(offsets[-1])].long(), offsets - offsets[0]


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


def _by_row(row: Tensor, item: Tensor, score: Tensor, *, rows: int, k: int) -> Ranked:
    """The first k by (score, code) of each row, from pairs whose codes ascend inside a row, at least among equal scores."""
    order = score.argsort(descending=True, stable=True)
    order = order[row[order].argsort(stable=True)]
    row, length = row[order], torch.bincount(row, minlength=rows)
    at = torch.arange(len(row), device=row.device) - (length.cumsum(0) - length)[row]
    row, at, order = (x[at < k] for x in (row, at, order))
    ranked = _nothing(rows, k, row.device)
    ranked.items[row, at], ranked.scores[row, at] = item[order], score[order]
    return ranked


def _nothing(rows: int, k: int, device: torch.device) -> Ranked:
    """Lists of no items."""
    return Ranked(torch.full((rows, k), -1, device=device), torch.full((rows, k), -torch.inf, dtype=torch.double, device=device))


def _below(values: Tensor) -> Tensor:
    """float32 [Q, 1], no larger than the float64 values."""
    single = values.float()[:, None]
    return torch.nextafter(single, torch.full_like(single, -torch.inf))


def _longest(vectors: Tensor, rounded: Tensor | None = None) -> float:
    """The largest norm of the rows in float64, or of what is lost from them in ``rounded``; nan if one is. Some rows at a time."""
    found = [0.0]
    for at in range(0, len(vectors), 1 << 15):
        part = vectors[at : at + (1 << 15)].double()
        found.append(float((part if rounded is None else part - rounded[at : at + len(part)].double()).norm(dim=1).max()))
    return float(torch.tensor(found, dtype=torch.float64).max())


def _widened(values: Tensor, rounding: float) -> Tensor:
    """float64, at or below every number that rounding (to that relative precision) makes at least these values, and every number that
    rounding makes of these or larger ones."""
    return values - rounding * values.abs() if rounding else values


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
