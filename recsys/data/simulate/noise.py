"""Noise of known place in training data: positives that never were, and positives that went missing.

False positives follow Zhang et al. (WWW 2025, "Personalized Denoising Implicit Feedback", PLD): ``int(share * n)`` random items that
are not among the ``n`` distinct items of an owner are appended to its training events. Missing positives are the opposite error:
``int(share * n)`` of an owner's distinct items lose all their events. Both touch training data alone, and say which events they touched.

Letters: E events, U owners, N items, P distinct (owner, item) pairs.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
import torch
from torch import Tensor

from recsys.data.events import owner_of
from recsys.data.log import Log
from recsys.data.simulate.truth import Bools, Floats, Ints
from recsys.errors import ConfigError, DataError
from recsys.randomness import numpy_generator

Law = Literal["uniform", "popular"]


def add_positives(log: Log, *, share: float, law: Law = "uniform", seed: int = 0, spare: Log | None = None) -> tuple[Log, Tensor]:
    """False positives: a training log with items that were never chosen appended to each owner's events.

    Of an owner with ``n`` distinct items, ``int(share * n)`` others are drawn, each at most once: one after another with equal
    probability (``uniform``) or with probability proportional to the number of training events (``popular``), among those not yet taken.
    An added event is a copy of the owner's last event (its weight, its time) with another item.

    Args:
        log: training events.
        share: at least 0; added items for each distinct item of an owner.
        law: of the draw.
        seed: of the draw.
        spare: further positives that must not be drawn, in the same codes (such as held-out ones). PLD spares none: a held-out
            item may be drawn, and is then masked in the test.

    Returns:
        the log, and bool [E']: which of its events were added.

    Raises:
        ConfigError: a share below 0 or not finite, an unknown law, or a ``spare`` of other owners or items.
        DataError: an owner has fewer items left than are to be drawn.
    """
    _check(share, law, most=np.inf)
    if spare is not None and (spare.num_owners, spare.num_items) != (log.num_owners, log.num_items):
        raise ConfigError(
            f"add_positives got spare with {spare.num_owners} owners and {spare.num_items} items; the log has {log.num_owners} and "
            f"{log.num_items}: both must use the same codes"
        )
    pair = _pairs(log)
    number = _int_share(share, np.bincount(pair // log.num_items, minlength=log.num_owners))
    taken = pair if spare is None else np.union1d(pair, _pairs(spare))
    weight = np.ones(log.num_items, dtype=np.int64) if law == "uniform" else log.counts.numpy()
    added = _draw_unseen(taken, number, weight, numpy_generator(seed, "simulate", "noise", "add", law))
    length = log.offsets.diff().numpy()
    copied = (log.offsets[1:].numpy() - 1)[added // log.num_items]
    source = np.concatenate([np.arange(len(log)), copied])
    owner = np.concatenate([log.owners.numpy(), added // log.num_items])
    order = np.argsort(owner, kind="stable")
    items = np.concatenate([log.items.numpy(), (added % log.num_items).astype(np.int32)])[order]
    offsets = np.concatenate([[0], (length + number).cumsum()])
    return _taken(log, source[order], items, offsets), torch.from_numpy(order >= len(log))


def drop_positives(log: Log, *, share: float, seed: int = 0) -> tuple[Log, Tensor]:
    """Missing positives: of an owner with ``n`` distinct items, ``int(share * n)`` lose all their events, drawn uniformly.

    The owners and items of the log stay the same, so that an owner or item may have no event left.

    Args:
        log: training events.
        share: in [0, 1].
        seed: of the draw.

    Returns:
        the log, and bool [E]: which of the events given were dropped.

    Raises:
        ConfigError: a share outside [0, 1].
    """
    _check(share, "uniform", most=1)
    pair, of = np.unique(_event_pairs(log), return_inverse=True)
    owner = pair // log.num_items
    number = np.bincount(owner, minlength=log.num_owners)
    g = numpy_generator(seed, "simulate", "noise", "drop")
    order = np.lexsort((g.random(len(pair)), owner))
    gone = np.zeros(len(pair), dtype=bool)
    gone[order] = np.arange(len(pair)) - (number.cumsum() - number)[owner] < _int_share(share, number)[owner]
    dropped = gone[of.ravel()]
    kept = np.flatnonzero(~dropped)
    offsets = np.concatenate([[0], np.bincount(log.owners.numpy()[kept], minlength=log.num_owners).cumsum()])
    return _taken(log, kept, log.items.numpy()[kept], offsets), torch.from_numpy(dropped)


def add_positives_to_events(
    events: pl.DataFrame, *, share: float, law: Law = "uniform", seed: int = 0, spare: Literal["train", "all"] = "train"
) -> pl.DataFrame:
    """The same for canonical events (:mod:`recsys.data.events`), with a column ``noisy`` that marks what was added.

    With a column ``part`` only rows of ``train`` count and are added to; all other rows stay as they are, in place. Items are drawn among
    those that training has. Added rows come last; their ``order`` continues the owner's.

    Args:
        events: canonical columns.
        share, law, seed: as in :func:`add_positives`.
        spare: ``train``: what an owner has in training is not drawn (PLD); ``all``: nor what it has in any other part.

    Raises:
        ConfigError, DataError: as in :func:`add_positives`; ConfigError for another ``spare``.
    """
    if spare not in ("train", "all"):
        raise ConfigError(f"add_positives_to_events got spare={spare!r}; allowed are 'train' and 'all'")
    train, log, (owners, items) = _encoded(events)
    held = _held_out(events, owners, items, log) if spare == "all" and "part" in events.columns else None
    noisy, flag = add_positives(log, share=share, law=law, seed=seed, spare=held)
    kind = log.owner_kind
    owner, item = noisy.owners[flag].numpy(), noisy.items[flag].numpy()
    last = (log.offsets[1:] - 1).numpy()[owner].astype(np.uint32)
    added = train[last].with_columns(items.gather(item.astype(np.uint32)).alias("item"))
    if "order" in events.columns:
        nth = pl.int_range(1, pl.len() + 1).over(kind)
        added = added.with_columns((pl.col("order") + nth).cast(events.schema["order"]))
    marked = [frame.with_columns(pl.lit(mark).alias("noisy")) for frame, mark in ((events, False), (added.select(events.columns), True))]
    return pl.concat(marked)


def drop_positives_from_events(events: pl.DataFrame, *, share: float, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same as :func:`drop_positives` for canonical events: the rows that stay, in their order, and the training rows that went.

    Raises:
        ConfigError: a share outside [0, 1].
    """
    train, log, _ = _encoded(events, keep="row")
    _, dropped = drop_positives(log, share=share, seed=seed)
    gone = np.zeros(len(events), dtype=bool)
    gone[train["row"].to_numpy()[dropped.numpy()]] = True
    return events.filter(~pl.Series(gone)), events.filter(pl.Series(gone))


def _draw_unseen(taken: Ints, number: Ints, weight: Ints, g: np.random.Generator) -> Ints:
    """``number[u]`` distinct pairs of each owner ``u`` outside ``taken``, drawn one after another by integer weights; grouped by owner.

    Exact in integers. Weight that is not taken is numbered 0, 1, ... for each owner; with ``below[k]`` the free weight below the k-th
    taken item, the r-th unit of free weight lies behind ``searchsorted(below, r)`` taken items. What a round draws twice is drawn again
    in the next, with everything drawn so far taken: this is the law of drawing one at a time.

    Args:
        taken: ascending pairs ``owner * N + item``.
        number: [U]. weight: [N], at least 0.
    """
    items, owners = len(weight), len(number)
    total = np.concatenate([[0], weight.cumsum()])
    positive = np.flatnonzero(weight)
    missing = number.copy()
    seen = np.bincount((taken // items)[weight[taken % items] > 0], minlength=owners)
    if (short := missing > len(positive) - seen).any():
        one = int(short.argmax())
        raise DataError(
            f"add_positives: owner {one} (a code) has {len(positive) - seen[one]} items left that may be drawn, but {number[one]} are "
            "asked for; give a smaller share"
        )
    found: list[Ints] = []
    while missing.any():
        first = np.searchsorted(taken, np.arange(owners + 1) * items)
        mass = np.concatenate([[0], weight[taken % items].cumsum()])
        before = mass[:-1] - mass[first[:-1]][taken // items]  # weight taken below, inside the owner
        below = total[taken % items] - before + (taken // items) * (total[-1] + 1)
        free = total[-1] - (mass[first[1:]] - mass[first[:-1]])
        owner = np.arange(owners).repeat(missing)
        r = g.integers(free[owner])
        rank = np.searchsorted(below, owner * (total[-1] + 1) + r, side="right")
        r += mass[rank] - mass[first[:-1]][owner]
        item = np.searchsorted(total, r, side="right") - 1
        fresh, at = np.unique(owner * items + item, return_index=True)
        found.append(fresh[np.argsort(at)])
        missing = missing - np.bincount(fresh // items, minlength=owners)
        taken = np.union1d(taken, fresh) if missing.any() else taken
    pairs = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    return pairs[np.argsort(pairs // items, kind="stable")]


def _taken(log: Log, source: Ints, items: np.ndarray[tuple[int, ...], np.dtype[np.int32]], offsets: Ints) -> Log:
    """The log with other rows: every tensor of one value an event follows ``source``, the index of the event that each row copies."""
    index = torch.from_numpy(source)
    others: dict[str, Any] = {
        field.name: value[index]
        for field in fields(log)
        if field.name not in ("items", "offsets") and isinstance(value := getattr(log, field.name), Tensor)
    }
    return replace(log, items=torch.from_numpy(items), offsets=torch.from_numpy(offsets.astype(np.int64)), **others)


def _event_pairs(log: Log) -> Ints:
    return np.asarray(log.owners.numpy() * log.num_items + log.items.numpy().astype(np.int64))


def _pairs(log: Log) -> Ints:
    return np.asarray(log.pairs.numpy())


def _int_share(share: float, number: Ints) -> Ints:
    """``int(share * n)`` in double precision, as the authors count."""
    product: Floats = share * number.astype(np.float64)
    return np.floor(product).astype(np.int64)


def _encoded(events: pl.DataFrame, keep: str | None = None) -> tuple[pl.DataFrame, Log, tuple[pl.Series, pl.Series]]:
    """Training rows sorted by owner, time or order; their log; ids of owners and items. ``keep``: name for the number of the row."""
    kind = owner_of(events.columns)
    frame = events if keep is None else events.with_row_index(keep)
    train = frame.filter(pl.col("part").cast(pl.String) == "train") if "part" in events.columns else frame
    train = train.sort([kind, *(name for name in ("time", "order") if name in events.columns)], maintain_order=True)
    owners, items = train[kind].unique().sort(), train["item"].unique().sort()
    offsets = np.concatenate([[0], np.bincount(_codes(train[kind], owners)[0], minlength=len(owners)).cumsum()])
    code = torch.from_numpy(_codes(train["item"], items)[0].astype(np.int32))
    return train, Log(code, torch.from_numpy(offsets.astype(np.int64)), len(items), kind), (owners, items)


def _held_out(events: pl.DataFrame, owners: pl.Series, items: pl.Series, log: Log) -> Log:
    """The held-out events of owners and items that training knows, in its codes."""
    rest = events.filter(pl.col("part").cast(pl.String) != "train")
    owner, known = _codes(rest[log.owner_kind], owners)
    item, listed = _codes(rest["item"], items)
    owner, item = owner[known & listed], item[known & listed]
    order = np.argsort(owner, kind="stable")
    offsets = np.concatenate([[0], np.bincount(owner, minlength=len(owners)).cumsum()]).astype(np.int64)
    return Log(torch.from_numpy(item[order].astype(np.int32)), torch.from_numpy(offsets), log.num_items, log.owner_kind)


def _codes(column: pl.Series, ids: pl.Series) -> tuple[Ints, Bools]:
    """The place of each value among ascending ids, and whether it is there."""
    table = pl.DataFrame({"id": ids}).with_row_index("code")
    found = pl.DataFrame({"id": column}).join(table, on="id", how="left", maintain_order="left")["code"]
    return found.fill_null(0).to_numpy().astype(np.int64), found.is_not_null().to_numpy()


def _check(share: float, law: str, most: float) -> None:
    if not (np.isfinite(share) and 0 <= share <= most):
        raise ConfigError(f"noise got share={share}; a share is finite and lies in [0, {'1]' if most == 1 else 'inf)'}")
    if law not in get_args(Law):
        raise ConfigError(f"noise got law={law!r}; allowed are {', '.join(get_args(Law))}")
