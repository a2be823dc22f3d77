"""Pages of ranked items with position bias, every impression logged with its slot.

Examination model (Richardson et al., WWW 2007; Joachims et al., WSDM 2017, "Unbiased Learning-to-Rank with Biased Feedback"): the item
in slot ``k`` (from 1) is examined with probability ``k ** -eta``, whatever the item; it is clicked if examined and relevant, and
relevance is drawn anew at each impression, ``Bernoulli(gamma[u, i])``. Hence ``E[click / k ** -eta] = gamma[u, i]``.

The logging policy fills a page without repeats by the Plackett-Luce law of the item weights ``rank ** -zipf`` (popularity bias): slot
by slot, an item that is not on the page yet is taken with probability proportional to its weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.data.simulate.truth import Bools, Floats, Ints, check_sizes, popularity, relevance
from recsys.errors import ConfigError
from recsys.randomness import numpy_generator

BLOCK = 1 << 24
"""Random numbers in memory at once."""


@dataclass(frozen=True)
class Impressions:
    """U users, N items, I impressions, page by page and slot by slot.

    ``gamma`` [U, N]: P(relevant). ``weight`` [N]: of the logging policy. ``eta``: exponent of position bias. Of each impression, [I]:
    ``user``, ``page``, ``item``, ``slot`` int64 (slots from 1), ``examined``, ``relevant``, ``clicked`` bool.
    """

    gamma: Floats
    weight: Floats
    eta: float
    user: Ints
    page: Ints
    slot: Ints
    item: Ints
    examined: Bools
    relevant: Bools
    clicked: Bools

    @property
    def propensity(self) -> Floats:
        """float64 [I]: the probability that each impression was examined."""
        return np.asarray(self.slot**-self.eta, dtype=np.float64)

    def frame(self) -> pl.DataFrame:
        """What a platform logs: ``user``, ``page``, ``slot``, ``item``, ``clicked``."""
        return pl.DataFrame({name: getattr(self, name) for name in ("user", "page", "slot", "item", "clicked")})

    def events(self) -> pl.DataFrame:
        """The clicks in canonical columns; ``order`` is the number of the impression."""
        at = self.clicked.nonzero()[0]
        return pl.DataFrame({"user": self.user[at], "item": self.item[at], "order": at})


def impressions(*, users: int, items: int, pages: int, slots: int = 10, eta: float = 1.0, zipf: float = 0.6, seed: int = 0) -> Impressions:
    """Show pages to random users and let them click.

    Args:
        users, items: U and N.
        pages: number of pages; each goes to a user drawn uniformly.
        slots: items on a page.
        eta: position bias; 0: every slot is examined.
        zipf: popularity bias of what is shown; 0: pages are uniformly random.
        seed: of everything.

    Raises:
        ConfigError: a size below 1, more slots than items, a negative exponent.
    """
    check_sizes("impressions", users=users, items=items, pages=pages, slots=slots)
    if slots > items or min(eta, zipf) < 0:
        raise ConfigError(f"impressions got slots={slots} of {items} items, eta={eta}, zipf={zipf}; slots <= items and exponents >= 0")
    gamma, _ = relevance(users, items, numpy_generator(seed, "simulate", "impressions", "gamma"))
    weight = popularity(items, zipf, numpy_generator(seed, "simulate", "impressions", "weight"))
    g = numpy_generator(seed, "simulate", "impressions", "pages")
    user = g.integers(users, size=pages).repeat(slots)
    step = max(1, BLOCK // items)
    item = np.concatenate([_pages(weight, min(step, pages - at), slots, g) for at in range(0, pages, step)]).ravel()
    slot = np.tile(np.arange(1, slots + 1), pages)
    g = numpy_generator(seed, "simulate", "impressions", "clicks")
    examined = g.random(len(slot)) < slot**-eta
    relevant = g.random(len(slot)) < gamma[user, item]
    page = np.arange(pages).repeat(slots)
    return Impressions(gamma, weight, eta, user, page, slot, item, examined, relevant, examined & relevant)


def _pages(weight: Floats, pages: int, slots: int, g: np.random.Generator) -> Ints:
    """[pages, slots] items by the Plackett-Luce law: exponential clocks of these rates, in the order in which they ring."""
    clock = g.exponential(size=(pages, len(weight))) / weight
    first = np.argpartition(clock, slots - 1, axis=1)[:, :slots]
    order = np.take_along_axis(clock, first, 1).argsort(1)
    return np.asarray(np.take_along_axis(first, order, 1), dtype=np.int64)
