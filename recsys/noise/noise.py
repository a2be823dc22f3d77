"""The base of all noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from recsys.catalog import contains
from recsys.data.log import Fold, Histories, Holdout, Log, Prepared


class Noise:
    """Changes training logs after the split, each fold's by itself; what is relevant to a query stays as it was. A subclass writes
    :meth:`apply`. Configured by its constructor, and holds no data.

    Whatever knows the log knows the noise: models, samplers, item counts (and metrics of popularity), and the histories of known owners,
    where added items come last and dropped ones are gone. So an added item is masked in the ranking of its user as everything seen is, and
    one that happens to be relevant is a miss; how many there are is in the report. A dropped item may be recommended, and is a miss too.
    """

    def needs(self) -> dict[str, str]:
        """Capabilities of the log that it cannot do without, and why."""
        return {}

    def apply(self, log: Log, *, seed: int) -> Log:
        """A log of the same owners and items. ``injected`` marks what was added, if anything was to be."""
        raise NotImplementedError

    def inject(self, data: Prepared, *, seed: int) -> Prepared:
        """Prepared data with noise in both training logs. The report says under ``noise``, for each fold: ``events`` before, ``added`` and
        ``dropped``; ``share``, the added events among all, and ``owner_share``, the mean over owners of their own (what batches of users
        drawn uniformly hold); ``relevant``, the added events that are relevant to a query, by part. The fingerprint stays: the queries and
        their answers are the same."""
        folds: dict[str, Fold] = {}
        told = {}
        for name in ("select", "refit"):
            fold: Fold = getattr(data, name)
            noisy = self.apply(fold.train, seed=seed)
            held = {
                part: replace(holdout, histories=_histories(holdout.histories, fold.train, noisy))
                for part, holdout in fold.holdouts.items()
            }
            folds[name] = replace(fold, train=noisy, holdouts=held)
            told[name] = _told(fold.train, noisy, held)
        return replace(data, select=folds["select"], refit=folds["refit"], report={**data.report, "noise": told})


def _added(log: Log) -> Tensor:
    return torch.zeros(len(log), dtype=torch.bool) if log.injected is None else log.injected


def _histories(known: Histories, clean: Log, noisy: Log) -> Histories:
    """The histories without the pairs that the noisy log has lost, followed by the events that it has gained."""
    new, before = _added(noisy), clean.pairs
    lost = before[~contains(noisy.pairs, before)]
    number = torch.bincount(noisy.owners[new], minlength=noisy.num_owners)
    touched = number > 0
    touched[lost // noisy.num_items] = True
    query = ((known.owner >= 0) & touched[known.owner.clamp(min=0)]).nonzero()[:, 0]
    if not len(query):
        return known
    owner = known.owner[query]
    stop = number.cumsum(0)[owner]
    items, of = known.take(query).flat()
    kept = ~torch.isin(owner[of] * noisy.num_items + items, lost)
    more, of_more = Histories(noisy.items[new], stop - number[owner], stop, owner).flat()
    of = torch.cat([of[kept], of_more])
    made = torch.cat([items[kept], more])[of.argsort(stable=True)]
    stop = len(known.items) + torch.bincount(of, minlength=len(query)).cumsum(0)
    start = torch.cat([stop.new_full((1,), len(known.items)), stop[:-1]])
    return Histories(
        torch.cat([known.items, made.int()]), known.start.index_copy(0, query, start), known.stop.index_copy(0, query, stop), known.owner
    )


def _told(clean: Log, noisy: Log, holdouts: dict[str, Holdout]) -> dict[str, Any]:
    new = _added(noisy)
    added = int(new.sum())
    size = noisy.offsets.diff()
    share = torch.bincount(noisy.owners[new], minlength=noisy.num_owners)[size > 0] / size[size > 0]
    relevant, pair = {}, noisy.owners[new] * noisy.num_items + noisy.items[new]
    for part, holdout in holdouts.items():
        owner = holdout.histories.owner.repeat_interleave(holdout.offsets.diff())
        relevant[part] = int(torch.isin(owner * noisy.num_items + holdout.items, pair).sum())  # owner -1: no pair
    return {
        "events": len(clean),
        "added": added,
        "dropped": len(clean) + added - len(noisy),
        "share": added / max(len(noisy), 1),
        "owner_share": float(share.double().mean()),
        "relevant": relevant,
    }
