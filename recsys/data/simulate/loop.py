"""The feedback loop: a recommender learns from clicks on what it recommended.

Each round trains on the log, shows every user a list, lets users click, appends the clicks and trains again:

    D[t + 1] = D[t] + m events that users found by themselves + clicks on what the model showed

(the form of Taori and Hashimoto, ICML 2023, "Data Feedback Loops"; studied for recommenders by Chaney et al., RecSys 2018, and Mansoury
et al., CIKM 2020). A user examines the item in slot ``s`` (from 1) with probability ``s ** -eta`` and clicks it if it is examined and
relevant, ``Bernoulli(gamma[u, i])``. What users find by themselves: a user drawn uniformly, and an item with probability
proportional to ``gamma[u, i] * reach[i]``.

Measured in every round t, before its clicks (U users, N items, lists of k):

=====================  ================================================================================================================
``events``             events in D[t]
``coverage``           share of the N items in at least one list
``gini``               Gini index of the number of lists each of the N items is in; 0: all alike
``gini_log``           Gini index of the events of the N items in D[t]
``popularity``         mean number of events in D[t] of the items in the lists
``popularity_lift``    (GAP(lists) - GAP(D[t])) / GAP(D[t]); GAP is the mean over users of the mean popularity of their items (events
                       in D[t]; Abdollahpouri et al., RecSys 2020); users without an event count in GAP(lists) alone;
                       it falls as D[t] itself becomes popular
``long_tail``          share of list entries outside the head; the head: fewest items that held 80 % of the events of D[0], fixed
``homogenisation``     mean Jaccard index of two users' lists (Chaney et al.), over all pairs of at most 1,000 users, drawn once
``utility``            mean gamma of the list entries
``examined_utility``   the same weighted by the examination of the slots: expected clicks of a user, divided by the most that k slots allow
``clicks``             clicks on the lists that were appended
=====================  ================================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.data.simulate.truth import Floats, Ints, check_probability, draw_rows
from recsys.errors import ConfigError, DataError
from recsys.randomness import numpy_generator

if TYPE_CHECKING:
    from recsys.recommender import Trainable

Recommend = Callable[[Log], Tensor]
"""From a training log to scores, floating [U, N], or to lists of different items, integer [U, k], best first."""

JACCARD_USERS = 1000
HEAD = 0.8


@dataclass(frozen=True)
class Loop:
    """``rounds``: one row a round, columns as above. ``log``: D after the last round. ``source`` int64 [E] of its events: -1 from the
    start, 2 t for a click of round t on a list, 2 t + 1 for an event found without the model."""

    rounds: pl.DataFrame
    log: Log
    source: Tensor


def feedback_loop(
    gamma: Floats,
    start: Log,
    recommend: Recommend,
    *,
    rounds: int,
    k: int = 10,
    eta: float = 1.0,
    human: int = 0,
    model: int | None = None,
    reach: Floats | None = None,
    mask_seen: bool = False,
    seed: int = 0,
) -> Loop:
    """Run the loop. The same arguments, and a ``recommend`` that repeats itself, give the same result.

    Args:
        gamma: [U, N], P(relevant), for the owners and items of ``start``.
        start: D[0], owned by users, without weights; its times are not kept.
        recommend: trains on a log and scores, see :data:`Recommend` and :func:`fitted`. Ties of scores go to the lower code.
        rounds: how many.
        k: length of the lists.
        eta: position bias; 0: every slot is examined.
        human: m, events found without the model in every round.
        model: at most so many clicks are appended in a round, drawn uniformly from those that happened; None: all.
        reach: [N], how easily users find items by themselves; None: all alike.
        mask_seen: whether an item that a user has in the log is no longer shown to that user; applies to scores.
        seed: of clicks and events found.

    Raises:
        ConfigError: sizes, shapes or probabilities that cannot be.
        DataError: ``recommend`` returned another shape, a code that is no item, an item twice in a list, or nan.
    """
    _check(gamma, start, rounds, k, eta, human, model, reach)
    weight = gamma if reach is None else gamma * reach
    head = _head(start)
    among = np.sort(numpy_generator(seed, "simulate", "loop", "jaccard").permutation(len(gamma))[:JACCARD_USERS])
    log, source, rows = start, torch.full((len(start),), -1), []
    for t in range(rounds):
        lists = _lists(recommend(log), log, k, mask_seen)
        g = numpy_generator(seed, "simulate", "loop", t)
        user, item = _clicks(gamma, lists, eta, model, g)
        rows.append({"round": t, **_measures(gamma, log, lists, head, among, eta), "clicks": len(user)})
        finder = g.integers(len(gamma), size=human)
        found = draw_rows(weight, finder, g) if human else finder
        added = torch.tensor([2 * t, 2 * t + 1]).repeat_interleave(torch.tensor([len(user), human]))
        log, source = _appended(log, source, np.concatenate([user, finder]), np.concatenate([item, found]), added)
    return Loop(pl.DataFrame(rows), log, source)


def fitted(make: Callable[[], Trainable]) -> Recommend:
    """A :data:`Recommend` that makes a recommender of the library anew each round, fits it to its end, and scores all items for every
    owner, with the owner's events as history. For a model with a fit plan, one that needs no validation.
    """

    def recommend(log: Log) -> Tensor:
        recommender = make()
        for _ in recommender.fit(log):
            pass
        with torch.no_grad():
            return recommender.scores(Histories(log.items, log.offsets[:-1], log.offsets[1:], torch.arange(log.num_owners)))

    return recommend


def _lists(given: Tensor, log: Log, k: int, mask_seen: bool) -> Ints:
    """[U, k], from lists or scores; -1 where an owner has no item left."""
    shape = tuple(given.shape)
    if not given.is_floating_point():
        if shape != (log.num_owners, k):
            raise DataError(f"recommend gave lists of shape {shape}, not ({log.num_owners}, {k}): one list of k items a user")
        lists = given.cpu().numpy().astype(np.int64)
        ascending = np.sort(lists, axis=1)
        if lists.min() < 0 or lists.max() >= log.num_items or (ascending[:, 1:] == ascending[:, :-1]).any():
            raise DataError(f"recommend gave a list with a code outside 0..{log.num_items - 1} or with an item twice")
        return lists
    if shape != (log.num_owners, log.num_items):
        raise DataError(f"recommend gave scores of shape {shape}, not ({log.num_owners}, {log.num_items}): one score a user and item")
    scores = given.detach().cpu().numpy().astype(np.float64)
    if np.isnan(scores).any():
        raise DataError("recommend gave scores that are nan; has the model diverged?")
    if mask_seen:
        scores[log.owners.numpy(), log.items.numpy()] = -np.inf
    lists = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int64)
    lists[np.take_along_axis(scores, lists, 1) == -np.inf] = -1
    return lists


def _clicks(gamma: Floats, lists: Ints, eta: float, model: int | None, g: np.random.Generator) -> tuple[Ints, Ints]:
    """Users and items of the clicks."""
    examined = g.random(lists.shape) < np.arange(1, lists.shape[1] + 1) ** -eta
    relevant = g.random(lists.shape) < np.take_along_axis(gamma, lists.clip(min=0), 1)
    user, slot = (examined & relevant & (lists >= 0)).nonzero()
    if model is not None and len(user) > model:
        kept = np.sort(g.permutation(len(user))[:model])
        user, slot = user[kept], slot[kept]
    return user, lists[user, slot]


def _measures(gamma: Floats, log: Log, lists: Ints, head: Ints, among: Ints, eta: float) -> dict[str, float]:
    user, slot = (lists >= 0).nonzero()
    item = lists[user, slot]
    counts, shown = log.counts.numpy(), np.bincount(item, minlength=log.num_items)
    number, length = log.offsets.diff().numpy(), np.bincount(user, minlength=log.num_owners)
    profile = np.bincount(log.owners.numpy(), weights=counts[log.items.numpy()], minlength=log.num_owners)
    listed = np.bincount(user, weights=counts[item], minlength=log.num_owners)
    expected = (profile[number > 0] / number[number > 0]).mean() if len(log) else np.nan
    lift = (listed[length > 0] / length[length > 0]).mean() / expected - 1 if len(item) else np.nan
    relevant, examined = gamma[user, item], (slot + 1.0) ** -eta
    return {
        "events": len(log),
        "coverage": float((shown > 0).mean()),
        "gini": gini(shown),
        "gini_log": gini(counts),
        "popularity": _mean(counts[item]),
        "popularity_lift": float(lift),
        "long_tail": _mean(~np.isin(item, head)),
        "homogenisation": _jaccard(lists[among], log.num_items),
        "utility": _mean(relevant),
        "examined_utility": float((relevant * examined).sum() / examined.sum()) if len(item) else float("nan"),
    }


def gini(counts: Ints) -> float:
    """Gini index of counts [N]: the mean absolute difference of two items divided by twice the mean; 0 all alike, 1 - 1/N all on one.
    nan where there is no count."""
    ascending = np.sort(counts).astype(np.float64)
    size, total = len(ascending), ascending.sum()
    if not total:
        return float("nan")
    return float((2 * np.arange(1, size + 1) - size - 1) @ ascending / (size * total))


def _jaccard(lists: Ints, num_items: int) -> float:
    """Mean Jaccard index over all pairs of lists [V, k]; nan for fewer than two. Of two empty lists it counts as 0."""
    if len(lists) < 2:
        return float("nan")
    user, slot = (lists >= 0).nonzero()
    member = np.zeros((len(lists), num_items), dtype=np.float32)
    member[user, lists[user, slot]] = 1
    common = (member @ member.T).astype(np.float64)
    size = member.sum(1, dtype=np.float64)
    union = size[:, None] + size - common
    ratio = common / np.maximum(union, 1)
    return float((ratio.sum() - np.trace(ratio)) / (len(lists) * (len(lists) - 1)))


def _head(log: Log) -> Ints:
    """The fewest items that hold 80 % of the events."""
    counts = log.counts.numpy()
    order = np.argsort(-counts, kind="stable")
    return np.asarray(order[: 1 + int(np.searchsorted(counts[order].cumsum(), HEAD * len(log)))] if len(log) else order[:0])


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> float:
    return float(values.astype(np.float64).mean()) if values.size else float("nan")


def _appended(log: Log, source: Tensor, user: Ints, item: Ints, mark: Tensor) -> tuple[Log, Tensor]:
    """The log with events added at the end of their owners' rows."""
    owner = np.concatenate([log.owners.numpy(), user])
    order = torch.from_numpy(np.argsort(owner, kind="stable"))
    items = torch.cat([log.items, torch.from_numpy(item.astype(np.int32))])[order]
    offsets = np.concatenate([[0], np.bincount(owner, minlength=log.num_owners).cumsum()]).astype(np.int64)
    return Log(items, torch.from_numpy(offsets), log.num_items, log.owner_kind), torch.cat([source, mark])[order]


def _check(gamma: Floats, start: Log, rounds: int, k: int, eta: float, human: int, model: int | None, reach: Floats | None) -> None:
    if gamma.shape != (start.num_owners, start.num_items):
        raise ConfigError(
            f"feedback_loop got gamma of shape {gamma.shape}; the log has {start.num_owners} owners x {start.num_items} items"
        )
    check_probability("feedback_loop", "gamma", gamma)
    if not (rounds >= 1 and 1 <= k <= start.num_items and eta >= 0 and human >= 0 and (model is None or model >= 0)):
        given = f"rounds={rounds}, k={k}, eta={eta}, human={human}, model={model}"
        raise ConfigError(
            f"feedback_loop got {given}; rounds is at least 1, k lies in 1..{start.num_items}, and eta, human and model are at least 0"
        )
    weight = np.ones(start.num_items) if reach is None else reach
    if weight.shape != (start.num_items,) or not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ConfigError(f"feedback_loop got reach of shape {weight.shape}; it is [{start.num_items}], finite and at least 0")
    if human and not ((gamma @ weight) > 0).all():
        raise ConfigError("feedback_loop got human events, and a user for whom gamma * reach is 0 for all items; give each a chance")
    if start.weight is not None:
        raise ConfigError("feedback_loop got a log with weights; clicks have none: give a log without")
