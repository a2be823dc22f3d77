"""Numbers as other libraries would report them: the same lists, under their definitions and names.

One function a library, which says in words what differs from ours. They begin where the lists are given: what a library does before that
(its splits, which items it masks, how it breaks ties) is not made again. The records in ``tests/foreign`` hold what the libraries
themselves say of one set of lists.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable

from recsys.errors import ConfigError, RecsysError
from recsys.foreign.base import Given
from recsys.foreign.cornac import as_cornac
from recsys.foreign.elliot import as_elliot
from recsys.foreign.implicit import as_implicit
from recsys.foreign.lenskit import as_lenskit
from recsys.foreign.recbole import as_recbole
from recsys.foreign.recommenders import as_recommenders
from recsys.foreign.recpack import as_recpack
from recsys.foreign.rectools import as_rectools
from recsys.foreign.session_rec import as_session_rec

__all__ = ["LIBRARIES", "Given", "definition", "values"]

LIBRARIES: dict[str, Callable[[Given, int], dict[str, float]]] = {
    "cornac": as_cornac,
    "elliot": as_elliot,
    "implicit": as_implicit,
    "lenskit": as_lenskit,
    "recbole": as_recbole,
    "recommenders": as_recommenders,
    "recpack": as_recpack,
    "rectools": as_rectools,
    "session-rec": as_session_rec,
}


def values(library: str, given: Given, k: int) -> dict[str, float]:
    """What a library reports at k, under its own names of metrics.

    Raises:
        ConfigError: an unknown library.
        RecsysError: k is below 1, or the lists hold fewer than k ranks.
    """
    measure = _found(library)
    width = given.ranking.items.shape[1]
    if not 1 <= k <= width:
        raise RecsysError(f"values of {library} at k = {k} are asked for, and the lists have {width} ranks; k is 1 to {width}")
    return measure(given, k)


def definition(library: str) -> str:
    """What a library's numbers mean, what differs from ours, and where it was read.

    Raises:
        ConfigError: an unknown library.
    """
    return inspect.getdoc(_found(library)) or ""


def _found(library: str) -> Callable[[Given, int], dict[str, float]]:
    if library not in LIBRARIES:
        near = difflib.get_close_matches(library.lower(), LIBRARIES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"no library {library!r}; {hint}known: {', '.join(LIBRARIES)}")
    return LIBRARIES[library]
