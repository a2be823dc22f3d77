"""Whether a stored run still means what it says, and whether training it again gives the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
import torch
from torch import Tensor

from recsys import environment
from recsys.data.log import Prepared
from recsys.errors import RecsysError
from recsys.evaluation import evaluate, mean
from recsys.experiment import Experiment
from recsys.ledger import Ledger
from recsys.part import fingerprint
from recsys.run import Run, read_stored
from recsys.run_folder import LISTS
from recsys.statistics import interval

Status = Literal["ok", "changed", "wrong"]


@dataclass(frozen=True)
class Check:
    """``status``: "ok"; "changed": the run is sound, and would not be made the same here and now; "wrong": it contradicts itself or its
    data. ``said``: what was found, in words."""

    name: str
    status: Status
    said: str


def verify(run: Run, experiment: Experiment, *, cache: Path | None = None) -> list[Check]:
    """Hold a finished run against its configuration, its data, its environment and itself.

    The configuration, data and split must have the fingerprints of the record; the means of the stored values of all queries must be the
    stored metrics, and their bootstrap the stored intervals, to the last bit; and the stored model, ranking the test queries again, must
    give the stored lists and values. The model is not trained: :func:`compare_repetition` looks at that.

    Args:
        experiment: made from the run's spec.
        cache: where prepared data are kept.
    """
    checks = [_configuration(run, experiment), _values(run), _intervals(run), _environment(run)]
    try:
        data = experiment.prepare(cache=cache, verify=True)
    except RecsysError as error:
        return [*checks, Check("data", "wrong", f"they cannot be prepared again: {error}")]
    checks += [_data(run, data), _split(run, experiment), _ledger(run, cache)]
    if checks[-3].status == "ok":
        checks.append(_ranking(run, experiment, data))
    return checks


def _configuration(run: Run, experiment: Experiment) -> Check:
    known, own = run.about["fingerprint"], fingerprint(run.about["spec"])
    if own != known:
        return Check("configuration", "wrong", f"its fingerprint is {own}, and the record says {known}")
    if experiment.fingerprint() != known:
        return Check("configuration", "changed", "as recorded; parts have other options now than when the run was made")
    return Check("configuration", "ok", f"its fingerprint is that of the record ({known})")


def _data(run: Run, data: Prepared) -> Check:
    known = run.about["data"]["fingerprint"]
    if data.fingerprint == known:
        return Check("data", "ok", f"every byte is as prepared, and the fingerprint is that of the record ({known})")
    return Check("data", "wrong", f"their fingerprint is {data.fingerprint}, and the record says {known}: files or code have changed")


def _split(run: Run, experiment: Experiment) -> Check:
    found = experiment.split_fingerprint()
    known = run.about["data"]["split_fingerprint"]
    same = found == known
    return Check("split", "ok" if same else "wrong", "as recorded" if same else f"its fingerprint is {found}, and the record says {known}")


def _environment(run: Run) -> Check:
    now, before = environment.facts(), run.about["environment"]
    changed = environment.changes(before, now)
    if before["git_dirty"]:
        return Check("code and machine", "changed", "the code had changes that were never committed, so nobody can have it again")
    if not changed:
        return Check("code and machine", "ok", "commit, versions, processor and threads are those of the record")
    return Check("code and machine", "changed", "; ".join(f"{name} {before[name]} then, {now[name]} now" for name in changed))


def _values(run: Run) -> Check:
    """Coverage and its like are no means over queries: the ranking tells."""
    wrong = []
    for name in (name for name in run.per_query.columns if "@" in name):
        stored, found = run.metrics.get(f"test/{name}"), mean(run.per_query[name])
        if _differ(stored, found):
            wrong.append(f"test/{name} is {stored}, and the mean of the queries' values {found}")
    if wrong:
        return Check("values of queries", "wrong", "; ".join(wrong))
    return Check("values of queries", "ok", f"their means are the stored metrics ({len(run.per_query):,} queries)")


def _intervals(run: Run) -> Check:
    seed = int(run.about["spec"]["seed"])
    wrong = []
    for name, (low, high) in run.about["intervals"].items():
        found = interval(run.per_query[name.removeprefix("test/")], seed=seed)
        if (found.low, found.high) != (low, high):
            wrong.append(f"{name} {low} to {high}, and again {found.low} to {found.high}")
    return Check("intervals", "wrong" if wrong else "ok", "; ".join(wrong) or "their bootstrap gives the same again")


def _ledger(run: Run, cache: Path | None) -> Check:
    ledger = Ledger(run.about["data"]["fingerprint"], None if cache is None else cache / "ledgers")
    if (seals := run.about.get("ledger")) is None:
        return Check("ledger", "changed", "the run was made without one")
    entries, broken = ledger.entries(), ledger.broken()
    if broken is not None:
        return Check("ledger", "wrong", f"from line {broken} on, lines of {ledger.path} were changed, put in or taken out")
    if missing := set(seals.values()) - {entry.seal for entry in entries}:
        where = "was made on another machine or with another cache, or lines were taken out"
        return Check("ledger", "changed", f"{len(missing)} of the run's {len(seals)} entries are not in {ledger.path}: it {where}")
    looks = sum(entry.kind in ("tested", "evaluated") for entry in entries)
    configs = len({entry.details["config"] for entry in entries if entry.kind == "tested"})
    return Check("ledger", "ok", f"unbroken; this test set was looked at {looks} times, with {configs} configurations")


def _ranking(run: Run, experiment: Experiment, data: Prepared) -> Check:
    fold = experiment.tested(experiment.with_noise(data))
    train, evaluation = fold.train, experiment.evaluation
    holdout = fold.holdouts["test"]
    again = evaluate(run.recommender, holdout, counts=train.counts, owner_kind=train.owner_kind, evaluation=evaluation, train=train)
    wrong = []
    for name, value in again.summary.items():
        if _differ(stored := run.metrics.get(f"test/{name}"), value):
            wrong.append(f"test/{name} is {stored}, and again {value}")
    if not again.per_query.equals(run.per_query):
        wrong.append("values of queries differ")
    if (run.folder / LISTS).exists():
        moved = int((_padded(run.lists["items"], again.lists.shape[1]) != again.lists).any(1).sum())
        if moved:
            wrong.append(f"{moved:,} of {len(again.lists):,} lists differ")
    return Check("ranking", "wrong" if wrong else "ok", "; ".join(wrong) or "the stored model gives the same lists and values again")


def _differ(stored: float | None, value: float) -> bool:
    """nan is stored as None."""
    return stored != value and not (stored is None and value != value)


def _padded(lists: pl.Series, width: int) -> Tensor:
    """int32 [Q, width], -1 past the end of a list."""
    filled = pl.DataFrame(lists).select(pl.concat_list(pl.all(), pl.lit([-1] * width)).list.head(width).list.to_array(width))
    return torch.from_numpy(filled.to_series().to_numpy().astype("int32"))


@dataclass(frozen=True)
class Repetition:
    """How a run compares with the same experiment run again. ``verdict``: "bit-identical"; "within tolerance"; or "different". ``said``:
    where they part, in words. ``largest``: the largest difference of a test metric."""

    verdict: Literal["bit-identical", "within tolerance", "different"]
    said: str
    largest: float


def compare_repetition(first: Run, again: Run, *, tolerance: float = 1e-3) -> Repetition:
    """Epoch by epoch, then query by query, then weight by weight. ``tolerance``: of every test metric, absolute."""
    largest = max((abs(again.metrics[name] - value) for name, value in first.metrics.items() if name.startswith("test/")), default=0.0)
    parted = _first_epoch_apart(first.history, again.history)
    if parted is None:
        parted = _later(first, again)
    if parted is None:
        return Repetition("bit-identical", "losses and metrics of every epoch, values of every query, lists and weights are equal", largest)
    verdict: Literal["within tolerance", "different"] = "within tolerance" if largest <= tolerance else "different"
    return Repetition(verdict, parted, largest)


def _first_epoch_apart(first: pl.DataFrame, again: pl.DataFrame) -> str | None:
    compared = [name for name in first.columns if name in again.columns and not name.endswith(("seconds", "time_share"))]
    for one, two in zip(first.select(compared).iter_rows(named=True), again.select(compared).iter_rows(named=True), strict=False):
        for name in compared:
            if one[name] != two[name]:
                return f"they part in phase {one['phase']}, epoch {one['epoch']}: {name} was {one[name]}, and is {two[name]}"
    if len(first) != len(again):
        return f"the first run had {len(first)} epochs, and the second {len(again)}"
    return None


def _later(first: Run, again: Run) -> str | None:
    if not first.per_query.equals(again.per_query):
        return "all epochs are equal, and the values of test queries are not: the ranking differs"
    one, two = (read_stored(run.folder)["state"] for run in (first, again))
    apart = [name for name, value in one.items() if not _equal(value, two[name])]
    return f"all values are equal, and the weights {', '.join(apart)} are not" if apart else None


def _equal(one: Any, two: Any) -> bool:
    return bool(torch.equal(one, two)) if isinstance(one, Tensor) and isinstance(two, Tensor) else bool(one == two)
