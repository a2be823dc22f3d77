"""Tiny training logs for tests, and a sequence model small enough to reason about."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import nn

from recsys.batch import Batch
from recsys.batching import Batches, Bucketed, Shuffled
from recsys.catalog import Catalog
from recsys.data.log import Histories, Log
from recsys.examples import Examples, NextItem
from recsys.losses import BPR, Loss
from recsys.models import MF, Model
from recsys.part import spec
from recsys.randomness import generator, reseed_global
from recsys.recommender import ClosedForm
from recsys.run import write_model
from recsys.run_folder import RunFolder
from recsys.sampling import Sampler, Uniform
from recsys.scorer import DotScorer
from recsys.step import Step, View


def users(num_users: int = 30, num_items: int = 60, events: int = 400, seed: int = 1) -> Log:
    """Distinct (user, item) pairs, items of unequal popularity; every user has at least one."""
    stream = generator("tiny users", seed)
    user = torch.cat([torch.arange(num_users), torch.randint(num_users, (events,), generator=stream)])
    item = (torch.rand(len(user), generator=stream) ** 2 * num_items).long()
    pair = torch.unique(user * num_items + item)
    return _log(pair // num_items, pair % num_items, num_users, num_items, "user")


def sessions(num_sessions: int = 24, num_items: int = 60, longest: int = 11, seed: int = 1) -> Log:
    """Sessions of 1 to ``longest`` clicks, with repeats."""
    stream = generator("tiny sessions", seed)
    length = torch.randint(1, longest + 1, (num_sessions,), generator=stream)
    item = (torch.rand(int(length.sum()), generator=stream) ** 2 * num_items).long()
    return _log(torch.arange(num_sessions).repeat_interleave(length), item, num_sessions, num_items, "session")


def checkerboard(size: int = 40) -> Log:
    """Users and items 0..size-1; user u has every item of its own parity except item u: the hidden diagonal that a model must recover.

    Every user has exactly one unseen item that its taste asks for: its own number.
    """
    user, item = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    kept = ((user + item) % 2 == 0) & (user != item)
    return _log(user[kept], item[kept], size, size, "user")


def walks(size: int = 40) -> Log:
    """Sessions of 3, 5 and 8 clicks from every item on, each click the item after the last one, and after the last item the first: only
    the order tells what is next."""
    start, length = (x.flatten() for x in torch.meshgrid(torch.arange(size), torch.tensor([3, 5, 8]), indexing="ij"))
    session = torch.arange(len(start)).repeat_interleave(length)
    at = torch.arange(len(session)) - (length.cumsum(0) - length)[session]
    return _log(session, (start[session] + at) % size, len(start), size, "session")


def _log(owner: torch.Tensor, item: torch.Tensor, owners: int, items: int, kind: str) -> Log:
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), torch.bincount(owner, minlength=owners).cumsum(0)])
    return Log(item.int(), offsets, items, "user" if kind == "user" else "session")


def dense(log: Log) -> np.ndarray:
    """float64 [U, N]: 1 where the log has the pair, else 0."""
    x = np.zeros((log.num_owners, log.num_items))
    x[log.owners.numpy(), log.items.numpy()] = 1
    return x


class LastItem(Model):
    """The query is a vector of the last item read: the smallest sequence model."""

    def __init__(self, *, dim: int = 8) -> None:
        super().__init__()
        self.dim = dim

    def needs(self) -> dict[str, str]:
        return {"sequence": "it reads the last item"}

    def gives(self, have: set[str]) -> set[str]:
        return {"vectors"}

    def examples(self) -> Examples:
        return NextItem()

    def setup(self, catalog: Catalog) -> None:
        self.read = nn.Embedding(catalog.num_items, self.dim)
        self.item = nn.Embedding(catalog.num_items, self.dim)

    def forward(self, batch: Batch) -> DotScorer:
        query = self.read(batch.inputs["items"]).flatten(0, 1).index_select(0, batch.inputs["at"])
        return DotScorer(query, self.item.weight, batch.target, sparse=self.item.sparse)

    def queries(self, histories: Histories) -> DotScorer:
        last = histories.items[(histories.stop - 1).clamp(min=0)].long().to(self.item.weight.device)
        empty = (histories.lengths() == 0).to(last.device)
        return DotScorer(self.read(last).masked_fill(empty[:, None], 0.0), self.item.weight, torch.zeros_like(last))


def step_of(
    sampler: Sampler | None = None,
    loss: Loss | None = None,
    model: Model | None = None,
    batches: Batches | None = None,
    log: Log | None = None,
    seed: int = 0,
    examples: Examples | None = None,
) -> Step:
    """A step set up on a tiny log, its first epoch begun: a user log with MF, or a session log with LastItem."""
    log = log if log is not None else users()
    sequential = log.owner_kind == "session"
    model = model or (LastItem() if sequential else MF(dim=8, init_std=1.0))
    examples = model.examples() if examples is None else examples
    examples.load(log)
    batches = batches or (Bucketed(size=8) if sequential else Shuffled(size=32))
    reseed_global(seed, "init")
    step = Step(model, batches, sampler or Uniform(8), loss or BPR(), seed=seed).setup(Catalog(log), examples)
    step.begin_epoch(1)
    return step


def finished_run(log: Log, model: Model | ClosedForm | None = None, folder: Path | str | None = None) -> str:
    """The folder of a finished run, for parts that read one: a model fitted on the log in closed form, or as it is before the first step
    (MF if none is given). Without ``folder`` it is gone when the process ends."""
    if folder is None:
        folder = tempfile.mkdtemp(prefix="recsys-run-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    model = model or MF(dim=8, init_std=1.0)
    reseed_global(0, "init")
    if isinstance(model, ClosedForm):
        model.solve(log)
    else:
        model.setup(Catalog(log))
    Path(folder).mkdir(parents=True, exist_ok=True)
    RunFolder(folder).write_about({"status": "finished", "spec": {"model": spec(model)}, "fingerprint": ""})
    write_model(Path(folder), model, log)
    pl.DataFrame({"item": [f"i{code}" for code in range(log.num_items)]}).write_parquet(Path(folder, "items.parquet"))
    pl.DataFrame({"owner": [f"u{code}" for code in range(log.num_owners)]}).write_parquet(Path(folder, "owners.parquet"))
    return str(folder)


def view_of(step: Step, batch: Batch, at: int = 0, counts: bool = True) -> View:
    """What the step's sampler sees of a batch."""
    with torch.no_grad():
        score = step.model(batch).detach()
    return View(batch, score, step.loss, step.catalog, step.batches, 1, at, generator(step.seed, "draw", 1, at), counts)


def first_batch(step: Step) -> Batch:
    return step.examples.batch(step.batches.plan[0])


@contextmanager
def no_default_device() -> Iterator[None]:
    """Whatever is allocated inside without naming a device goes to the meta device, and meeting a CPU tensor is an error: a part that
    works here allocates on its inputs' device, on a GPU too."""
    with torch.device("meta"):
        yield
