"""Conformance suite for examples: call :func:`check_examples` on your own."""

from __future__ import annotations

import copy

import torch

from recsys.batch import Batch
from recsys.catalog import Catalog
from recsys.data.log import Log
from recsys.examples import Examples
from recsys.models import MF
from recsys.randomness import generator
from recsys.step import EpochView
from recsys.testing import worlds
from recsys.testing.expect import check_configuration, expect, same


def check_examples(examples: Examples) -> None:
    """Raises AssertionError, naming the class and the promise, if examples break one.

    A row is an event of the log (or, of labelled pairs, any pair, and its label tells which are in it), has its number for good and the
    same target and owner in every batch; a batch of examples has the rows of each, in order, whatever else it holds; what is drawn before
    an epoch follows from the stream that is handed in; nothing is left in a checkpoint, and the log stays as it is.
    """
    check_configuration(examples)
    log = worlds.sessions() if "order" in examples.needs() else worlds.users()
    weight = 1 + torch.arange(len(log)).float()
    log = Log(log.items, log.offsets, log.num_items, log.owner_kind, weight)
    before = log.items.clone()
    made = _ready(examples, log)
    number = len(made)
    expect(number > 0, examples, "there are no examples of a log")
    expect(not made.state_dict(), examples, "leaves state for a checkpoint; what follows from the log is a buffer with persistent=False")
    expect(log.items.equal(before), examples, "changes the log")

    ids = torch.randperm(number, generator=generator("examples"))[:40]
    batch = made.batch(ids)
    _shapes(examples, batch, len(ids))
    _rows(examples, batch, log)
    if "lengths" in made.gives(set()):
        rows, lengths = torch.bincount(batch.group, minlength=len(ids)), made.lengths()
        expect(len(lengths) == number and (rows <= lengths[ids]).all(), examples, "lengths() are not those of its examples")
    expect(_equal(batch, made.batch(ids)), examples, "two batches of the same examples differ")
    expect(_equal(batch, _ready(examples, log).batch(ids)), examples, "the same log and stream give other rows")
    alone = [made.batch(ids[n : n + 1]) for n in range(len(ids))]
    for name in ("target", "owner", "row", "label", "weight", "context"):
        parts = [getattr(one, name) for one in alone]
        together = None if parts[0] is None else torch.cat(parts)
        expect(same(getattr(batch, name), together), examples, f"{name} is not that of each example by itself, one after the other")
    expect(len(made.batch(ids[:0])) == 0, examples, "a batch of no examples has rows")
    if "pairs" in made.gives(set()):
        grouped = made.batch(ids[:20].view(5, 4))
        five = torch.arange(5).repeat_interleave(4)
        expect(grouped.groups == 5 and grouped.group.equal(five), examples, "ids [G, k] do not make G groups")
        expect(grouped.target.equal(batch.target[:20]), examples, "ids [G, k] have other rows than ids [G k]")


def _ready(examples: Examples, log: Log) -> Examples:
    made = copy.deepcopy(examples)
    made.load(log)
    made.begin_epoch(EpochView(MF(dim=4), made, Catalog(log), 1, generator("epoch")))
    return made


def _shapes(examples: Examples, batch: Batch, groups: int) -> None:
    rows = len(batch)
    for name in ("target", "owner", "group", "row"):
        x = getattr(batch, name)
        expect(x.dtype == torch.long and x.shape == (rows,), examples, f"{name} is not int64 [R]")
    expect(batch.groups == groups, examples, "a batch does not have a group for each example")
    expect(rows == 0 or bool((batch.group.diff() >= 0).all()), examples, "rows of a group are not next to each other, groups in order")
    expect(bool(((batch.group >= 0) & (batch.group < groups)).all()), examples, "rows are of groups that do not exist")
    expect(len(torch.unique(batch.row)) == rows, examples, "two rows of an epoch have the same number")
    for name in ("label", "weight"):
        x = getattr(batch, name)
        expect(x is None or (x.is_floating_point() and x.shape == (rows,)), examples, f"{name} is neither None nor a number for each row")
    expect((batch.context is None) == (batch.context_group is None), examples, "context and context_group are not given together")
    if batch.context is not None and batch.context_group is not None:
        expect(batch.context.shape == batch.context_group.shape, examples, "context and context_group differ in shape")
        expect(bool((batch.context_group < groups).all()), examples, "items are shown to groups that do not exist")


def _rows(examples: Examples, batch: Batch, log: Log) -> None:
    pair = log.owners * log.num_items + log.items
    mine = batch.owner * log.num_items + batch.target
    found = torch.isin(mine, pair)
    if "labels" in examples.gives(set()):
        expect(batch.label is not None and batch.label.bool().equal(found), examples, "labels do not tell which pairs are in the log")
        return
    expect(bool(found.all()), examples, "a row is not an event of the log")
    if batch.weight is not None and log.weight is not None:
        allowed = torch.stack([mine.double(), batch.weight.double()], 1)
        events = torch.stack([pair.double(), log.weight.double()], 1)
        expect(bool((allowed[:, None] == events).all(2).any(1).all()), examples, "weight is not that of the row's event")


def _equal(a: Batch, b: Batch) -> bool:
    return a.tensors().keys() == b.tensors().keys() and all(x.equal(b.tensors()[name]) for name, x in a.tensors().items())
