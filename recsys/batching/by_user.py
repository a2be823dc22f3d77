from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.batching.batches import Batches
from recsys.catalog import below
from recsys.step import EpochView


class ByUser(Batches):
    """Users drawn uniformly with replacement, and of each user ``positives`` of its rows.

    This is how LightGCN and PLD sample: every user weighs the same, however many events it has. ``size`` is the number of users in
    a batch; the rows of one draw of a user are one group. A user's rows are drawn without replacement (Floyd's algorithm) where it
    has enough of them, else with replacement.

    ``draws``: users drawn in an epoch, rounded up to whole batches; None: so many that an epoch has as many rows as there are examples (at
    least one batch). A fixed number keeps the length of an epoch where ``positives`` of a user are candidates, of which one is learnt from
    (:class:`recsys.sampling.PersonalLoss`), and where noise is added to the training events.
    """

    def __init__(self, *, size: int = 2048, positives: int = 1, draws: int | None = None) -> None:
        super().__init__(size=size)
        if positives < 1:
            raise ValueError(f"positives is {positives}; at least 1 row of each user must be drawn")
        if draws is not None and draws < 1:
            raise ValueError(f"draws is {draws}; at least 1 user is drawn in an epoch")
        self.positives, self.draws = positives, draws

    def needs(self) -> dict[str, str]:
        return {"user": "it draws users", "positives": "it draws a user's own items", "pairs": "it draws rows, and an example must be one"}

    def gives(self, have: set[str]) -> set[str]:
        return {"log_prob", "groups"}

    def epoch(self, view: EpochView, among: Tensor) -> Iterator[Tensor]:
        owner = view.examples.owner.to(among.device)[among]
        by_owner = among[owner.argsort(stable=True)]
        size = torch.bincount(owner)
        size = size[size > 0]
        start = F.pad(size.cumsum(0), (1, 0))[:-1]
        batches = max(1, round(len(among) / (self.size * self.positives))) if self.draws is None else -(-self.draws // self.size)
        draws = batches * self.size
        user = below(torch.full((draws,), len(size)), view.generator)
        n, enough = size[user], size[user] >= self.positives
        picked = torch.empty(draws, 0, dtype=torch.long)
        for j in range(self.positives):  # Floyd: a uniform subset in `positives` steps, for all users at once
            last = n - self.positives + j
            r = below(torch.where(enough, last + 1, n), view.generator)
            again = (picked == r[:, None]).any(1)
            picked = torch.cat([picked, torch.where(enough & again, last, r)[:, None]], 1)
        yield from torch.split(by_owner[start[user][:, None] + picked], self.size)

    def target_share(self, view: EpochView) -> Tensor:
        """In closed form: 1 / (users x the user's rows), summed over an item's rows."""
        owner = view.examples.owner
        size = torch.bincount(owner)
        users = (size > 0).sum()
        weight = 1 / (size[owner].double() * users)
        return torch.zeros(view.catalog.num_items, dtype=torch.float64, device=owner.device).index_add(0, view.examples.target, weight)
