"""Views with given scores: what a sampler sees when the numbers are known."""

from __future__ import annotations

import torch
from scipy import stats
from torch import Tensor

from recsys.batch import Batch
from recsys.batching import Batches, Shuffled
from recsys.catalog import Catalog
from recsys.data.log import Log
from recsys.losses import BPR, Loss
from recsys.pool import Draw
from recsys.randomness import generator
from recsys.scorer import DotScorer
from recsys.step import View


def view_of(
    scores: list[float] | list[list[float]] | Tensor,
    *,
    rows: int = 1,
    seen: tuple[int, ...] = (0,),
    loss: Loss | None = None,
    label: Tensor | None = None,
    epoch: int = 1,
    at: int = 0,
    steps: int = 10,
) -> View:
    """The target of every row is item 0, its owner has ``seen``. scores [N]: the same for ``rows`` rows; [R, N]: of each row."""
    table = torch.as_tensor(scores, dtype=torch.float32)
    query = torch.ones(rows, 1) if table.ndim == 1 else torch.eye(len(table))
    table = table[:, None] if table.ndim == 1 else table.T.contiguous()
    zeros = torch.zeros(len(query), dtype=torch.long)
    batch = Batch(zeros, zeros, torch.arange(len(query)), torch.arange(len(query)), len(query), {}, label)
    log = Log(torch.tensor(seen, dtype=torch.int32), torch.tensor([0, len(seen)]), len(table))
    batches: Batches = Shuffled(size=len(query))
    batches.plan = [zeros] * steps
    score = DotScorer(query, table, zeros)
    return View(batch, score, loss or BPR(), Catalog(log), batches, epoch, at, generator("given", epoch, at), counts=True)


def frequencies(draw: Draw, items: int) -> Tensor:
    """float64 [items]: how often each item is a valid candidate."""
    ids = draw.ids()
    valid = torch.ones_like(ids, dtype=torch.bool) if draw.valid is None else draw.valid.expand_as(ids)
    return torch.bincount(ids[valid], minlength=items).double()


def fits(observed: Tensor, probability: Tensor) -> bool:
    """The chi-square test of counts against probabilities, at 1 in 1000; what has no probability must not occur."""
    possible = probability > 0
    if bool((observed[~possible] > 0).any()):
        return False
    if int(possible.sum()) == 1:
        return bool(observed.sum() > 0)
    expected = probability[possible] / probability.sum() * observed.sum()
    return bool(stats.chisquare(observed[possible].numpy(), expected.numpy()).pvalue > 1e-3)


def valid_ids(draw: Draw) -> list[list[int]]:
    """The valid candidates of each row, ascending."""
    ids = draw.ids()
    valid = torch.ones_like(ids, dtype=torch.bool) if draw.valid is None else draw.valid
    ids = ids.expand(len(valid), -1)
    return [sorted(row[ok].tolist()) for row, ok in zip(ids, valid, strict=True)]
