"""A finished run as a teacher: what it says of the training users, for samplers that mine its lists and losses that follow its scores.

Shapes: U users, N items, R rows, K candidates of a row, D width.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recsys.errors import RunError
from recsys.gather_dot import gather_dot

if TYPE_CHECKING:
    from recsys.catalog import Catalog
    from recsys.recommender import Recommender

KEPT = 1 << 26
"""Scores of all users for all items that are computed once and kept, where a teacher has no vectors (256 MB of float32)."""


class Teacher:
    """The recommender of a finished run, asked about the users of the training log it was fitted on.

    ``run``: its folder, which is read in :meth:`setup`. A teacher must know exactly the student's training events: with others its item
    codes mean other items, and with more of them it tells the student what it is tested on. So both train on the same data, split and
    noise, and both with ``fit.refit: false`` (a refit is a training on train + validation).

    A user is asked about with all its training events, a row's own target included, as if for a recommendation. A teacher is no part of
    the student: nothing of it is trained, saved in checkpoints or needed once training is over.
    """

    def __init__(self, run: str) -> None:
        if not run:
            raise ValueError("run is empty; give the folder of a finished run")
        self.run = run

    recommender: Recommender

    def setup(self, catalog: Catalog) -> None:
        """Read the run, for the training log of ``catalog``; computations happen on its device.

        Raises:
            RunError: there is no finished run in the folder, it learnt from sessions, or it was fitted on another training log.
        """
        from recsys.catalog import Catalog
        from recsys.run import load

        found = load(Path(self.run))
        train = found.train
        if train.owner_kind != "user":
            raise RunError(f"the run in {self.run} learnt from sessions; a teacher is asked about users")
        known = Catalog(train, catalog.device)
        if not all(torch.equal(a, b) for a, b in zip(_events(known), _events(catalog), strict=True)):
            raise RunError(
                f"the run in {self.run} was fitted on another training log than this one; a teacher must know the same events, no more and "
                "no fewer: train both on the same data, split and noise, and both with fit.refit: false"
            )
        self.recommender = found.recommender_on(catalog.device)
        self._everybody = train.histories()
        self._vectors, self._scores = self.recommender.vectors(self._everybody), None
        if self._vectors is not None:
            self._vectors = self._vectors[0].to(catalog.device).contiguous(), self._vectors[1].to(catalog.device).contiguous()
        elif train.num_owners * train.num_items <= KEPT:
            self._scores = torch.cat([self.recommender.scores(asked).to(catalog.device) for asked in self._everybody.blocks(256)])

    @torch.no_grad()
    def scores(self, owner: Tensor, ids: Tensor) -> Tensor:
        """Its scores of items for users: owner int64 [R], ids int64 [R | 1, K]; float [R, K]. By a dot product each where the teacher has
        vectors; else the whole catalogue is scored, once for all users if that fits (KEPT), or each time for the users of the rows."""
        ids = ids.expand(len(owner), -1)
        if self._vectors is not None:
            query, items = self._vectors
            return gather_dot(query.index_select(0, owner), items, ids)
        if self._scores is not None:
            return self._scores[owner[:, None], ids]
        user, row = torch.unique(owner, return_inverse=True)
        everything = self.recommender.scores(self._everybody.take(user.cpu())).to(ids.device)
        return everything[row[:, None], ids]

    @torch.no_grad()
    def top(self, owner: Tensor, depth: int) -> Tensor:
        """The ``depth`` items it would recommend to each user, best first, none that the user has in training; int64 [R, depth], -1 past
        the end of a list."""
        from recsys.ranking import rank

        found = rank(self.recommender, self._everybody.take(owner.cpu()), depth, mask_seen=True)
        return found.items.to(owner.device)


def _events(catalog: Catalog) -> tuple[Tensor, ...]:
    """Who has what, and how often each item occurs."""
    return catalog.size, catalog.items, catalog.counts
