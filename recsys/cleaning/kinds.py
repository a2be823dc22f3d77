"""Kinds of events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from recsys.cleaning.step import OwnerStep
from recsys.errors import ConfigError, DataError


class Kinds(OwnerStep):
    """Keep events of some kinds (clicks, carts, orders), all alike or with a weight for each kind.

    A weight multiplies the event's own weight where there is one. The kind itself is forgotten afterwards. A kind that the log does not
    have is an error, as a misspelt one would otherwise go unnoticed.

    Args:
        kinds: a list of kinds (``[clicks]``), or a mapping from kind to weight (``{clicks: 1.0, orders: 5.0}``).

    Raises:
        ConfigError: no kinds, or a weight that is negative or not finite.
    """

    def __init__(self, kinds: Sequence[str] | Mapping[str, float]) -> None:
        if isinstance(kinds, str) or not kinds:
            raise ConfigError(f"Kinds got kinds={kinds!r}; give a list such as [clicks], or weights such as {{clicks: 1.0, orders: 5.0}}")
        if isinstance(kinds, Mapping) and not all(0 <= weight < math.inf for weight in kinds.values()):
            raise ConfigError(f"Kinds got kinds={dict(kinds)}; weights are finite and >= 0")
        self.kinds = kinds

    def needs(self) -> dict[str, str]:
        return {"kind": "it chooses among the kinds of events"}

    def leaves(self, have: set[str]) -> set[str]:
        return (have - {"kind"}) | ({"weight"} if isinstance(self.kinds, Mapping) else set())

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        known = events["kind"].dtype
        assert isinstance(known, pl.Enum)
        missing = [kind for kind in self.kinds if kind not in known.categories]
        if missing:
            raise DataError(f"Kinds: no event is of kind {missing[0]!r}; the log has {', '.join(map(repr, known.categories))}")
        kind = events["kind"].to_physical().to_numpy()
        chosen = np.asarray([name in self.kinds for name in known.categories], dtype=bool)
        kept = events.drop("kind").filter(pl.Series(chosen[kind]))
        if isinstance(self.kinds, Mapping):
            weights = np.asarray([self.kinds.get(name, 0.0) for name in known.categories], dtype=np.float32)
            weight = pl.Series("weight", weights[kind[chosen[kind]]])
            kept = kept.with_columns(weight * kept["weight"] if "weight" in kept.columns else weight)
        return kept
