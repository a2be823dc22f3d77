"""What the worlds share: who would like what, what is shown how much, and draws from known probabilities.

Letters: U users, N items, Z topics, R rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ConfigError

CLUSTERS, WIDTH, SLOTS = 20, 16, 10

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def relevance(users: int, items: int, g: np.random.Generator) -> tuple[Floats, Ints]:
    """Probability of relevance [U, N] and the taste cluster of each item [N]: a logistic function of vectors of users and items."""
    centre = g.normal(size=(min(CLUSTERS, items), WIDTH))
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    cluster = g.integers(len(centre), size=items)
    item = centre[cluster] + g.normal(scale=0.12, size=(items, WIDTH))
    taste = g.dirichlet(np.full(len(centre), 0.10), size=users)
    user = taste @ centre + g.normal(scale=0.05, size=(users, WIDTH))
    user /= np.linalg.norm(user, axis=1, keepdims=True)
    logit = 6.0 * (user @ item.T) - 4.5 + g.normal(scale=0.3, size=items)
    return sigmoid(logit), cluster


def exposure(items: int, zipf: float, g: np.random.Generator) -> Floats:
    """Exposure [N], largest 1: a Zipf law of the popularity rank times the examination of a slot on the page, ``slot ** -0.5``."""
    rank = g.permutation(items) + 1.0
    slot = g.integers(1, SLOTS + 1, size=items)
    theta = rank**-zipf * slot**-0.5
    return np.asarray(theta / theta.max(), dtype=np.float64)


def popularity(items: int, zipf: float, g: np.random.Generator) -> Floats:
    """Zipf law of a random popularity rank, [N], largest 1."""
    return np.asarray((g.permutation(items) + 1.0) ** -zipf, dtype=np.float64)


def sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)), dtype=np.float64)


def draw_rows(weight: Floats, row: Ints, g: np.random.Generator) -> Ints:
    """One column for each entry of ``row`` [R], with probability proportional to ``weight[row]``; weight [K, N], int64 [R].

    By inverse distribution functions laid end to end: row ``k``'s lies in [k, k + 1], so that one search answers all.
    """
    below = weight.cumsum(1)
    below /= below[:, -1:]
    below[:, -1] = 1.0
    flat = (below + np.arange(len(weight))[:, None]).ravel()
    found = np.searchsorted(flat, row + g.random(len(row)), side="right") - row * weight.shape[1]
    last = weight.shape[1] - 1 - (weight[:, ::-1] > 0).argmax(1)  # a rounded sum never reaches a column of weight 0
    return np.asarray(np.clip(found, 0, last[row]), dtype=np.int64)


def check_sizes(what: str, **sizes: int) -> None:
    """Raises ConfigError for a size below 1, or for more than 10^8 pairs of users and items."""
    given = ", ".join(f"{name}={value}" for name, value in sizes.items())
    if min(sizes.values()) < 1 or sizes.get("users", 1) * sizes.get("items", 1) > 10**8:
        raise ConfigError(f"{what} got {given}; each must be at least 1 and users * items at most 10^8")


def check_probability(what: str, name: str, values: Floats, *, positive: bool = False) -> None:
    """Raises ConfigError unless all values lie in [0, 1], or in (0, 1] where ``positive``."""
    low = values <= 0 if positive else values < 0
    bad = low | ~(values <= 1)
    if bad.any():
        at = np.unravel_index(int(bad.argmax()), bad.shape)
        place = f"[{', '.join(str(int(n)) for n in at)}]" if values.ndim else ""
        interval = "(0, 1]" if positive else "[0, 1]"
        raise ConfigError(f"{what} got {name}{place}={float(values[at])}; a probability lies in {interval}")
