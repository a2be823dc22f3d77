"""A dense core of the log."""

from __future__ import annotations

from recsys.cleaning.step import Fit, LogStep, check_at_least, check_fit
from recsys.data.kernels import Codes, Ints, Mask, core


class KCore(LogStep):
    """Keep the largest set of events in which every owner has at least ``owner`` and every item at least ``item`` of them (k-core).

    Removing an item may leave an owner with too few events, and the other way round: it goes on until nothing is removed. Events are
    counted, so repeats count; put :class:`recsys.cleaning.Duplicates` before it to count pairs.

    Seidman, "Network structure and minimum degree", Social Networks 5(3), 1983.

    Args:
        owner: events of each user or session, at least 1.
        item: events of each item, at least 1.
        fit: where it counts; see :mod:`recsys.cleaning.step`. Publications mostly count in the whole log: ``all``.

    Raises:
        ConfigError: a number below 1, or an unknown ``fit``.
    """

    def __init__(self, *, owner: int = 5, item: int = 5, fit: Fit = "train") -> None:
        check_at_least(self, 1, owner=owner, item=item)
        check_fit(self, fit)
        self.owner, self.item, self.fit = owner, item, fit

    def keep(self, offsets: Ints, item: Codes, items: int) -> Mask:
        return core(offsets, item, items, self.owner, self.item)
