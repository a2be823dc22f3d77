"""Where a step of TRON spends its time, on Diginetica and in the shape of OTTO. ``pytest -m benchmark -s``; asserts no speed.

The limits in the last lines are measured in the same run: what the step's products and lookups would take at the rates of one plain product
and one plain gather.
"""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import pytest
import torch

from recsys import Fit
from recsys.batching import Batches, EvenRows, InOrder
from recsys.data import prepare
from recsys.data.log import Log
from recsys.data.sources import Diginetica
from recsys.learner import Learner
from recsys.losses import BCE, Loss, Softmax
from recsys.models import SASRec
from recsys.optimizers import Adam, LazyAdam, Optimizer
from recsys.randomness import generator
from recsys.sampling import BatchInputs, Mix, Sampler, TopK, Uniform
from recsys.splitting import Predefined
from recsys.step import Scored, View, reduce

from .timing import best

pytestmark = pytest.mark.benchmark
DIM, UNIFORM, INPUTS, KEPT = 200, 16384, 127, 100
T = TypeVar("T")


@pytest.fixture(autouse=True)
def two_threads() -> None:
    torch.set_num_threads(2)


def tron() -> Sampler:
    parts: dict[str, Sampler] = {"uniform": Uniform(UNIFORM, per="batch"), "inputs": BatchInputs(INPUTS)}
    return TopK(Mix(parts), k=KEPT, screen="bfloat16")


def learner(log: Log, sampler: Sampler, loss: Loss, batches: Batches, optimizer: Optimizer) -> Learner:
    fit = Fit(epochs=1, optimizer=optimizer, patience=None, device="cpu", diagnostics=0)
    made = Learner(model=SASRec(dim=DIM, dropout=0.2), batches=batches, sampler=sampler, loss=loss, fit=fit).setup(log)
    made.step.train()
    made.step.begin_epoch(1)
    return made


def steps(made: Learner, number: int, first: int = 0) -> tuple[float, int]:
    """Seconds of ``number`` steps, and the rows learnt from."""
    begun, rows = time.perf_counter(), 0
    for at in range(first, first + number):
        rows += made._one_step(made.step.examples.batch(made.step.batches.plan[at]), 1, at)[1]
    return time.perf_counter() - begun, rows


def phases(made: Learner, number: int) -> dict[str, float]:
    """Median milliseconds of the parts of a step."""
    step, times = made.step, defaultdict[str, list[float]](list)

    def timed(name: str, work: Callable[..., T], *given: Any) -> T:
        begun = time.perf_counter()
        found = work(*given)
        times[name].append((time.perf_counter() - begun) * 1000)
        return found

    assert isinstance(step.sampler, TopK)
    for at in range(number):
        batch = timed("input", step.examples.batch, step.batches.plan[at])
        score = timed("encoder", step.model, batch)
        with torch.no_grad():
            stream = generator(0, "draw", 1, at)
            view = View(batch, score.detach(), step.loss, step.catalog, step.batches, 1, at, stream)
            drawn = timed("draw of candidates", step.sampler.base, view)
            vectors, query = view.score.items(drawn.pools[0].items).bfloat16().T, view.score.query.bfloat16()  # type: ignore[attr-defined]
            timed("scores of candidates", torch.matmul, query, vectors)
            draw = timed("scores and selection", step.sampler.refine, view, drawn)
        scored = timed("scores of the kept, with gradient", Scored.of, batch, score, draw, step.catalog)
        value = reduce(timed("loss", step.loss, scored), batch.weight, draw.weight, "rows")
        made.optimizer.zero_grad(set_to_none=True)
        timed("gradient", value.backward)
        timed("optimiser", made.optimizer.step)
    return {name: median(values) for name, values in times.items()}


@pytest.mark.data
@pytest.mark.parametrize(("batches", "optimizer"), [(InOrder(size=128), Adam(lr=5e-4)), (EvenRows(size=512), LazyAdam(lr=5e-4))])
def test_a_step_of_tron_on_diginetica(data_root: Path, tmp_path: Path, batches: Batches, optimizer: Optimizer) -> None:
    log = prepare(Diginetica(root=data_root), Predefined(validation=0.1), cache=tmp_path).refit.train
    made = learner(log, tron(), Softmax(), batches, optimizer)
    number = len(made.step.batches.plan)
    steps(made, 5)
    seconds, rows = steps(made, 60, 5)
    print(
        f"\n{type(batches).__name__}, {type(optimizer).__name__}: {seconds / 60 * 1000:.0f} ms a step of {rows / 60:.0f} events, ", end=""
    )
    print(f"{rows / seconds:,.0f} events/s, an epoch of {number:,} steps in {seconds / 60 * number:.0f} s")
    for name, ms in phases(made, 40).items():
        print(f"  {name:36s} {ms:6.1f} ms")
    plain = learner(log, Uniform(1, exclude="seen"), BCE(), batches, optimizer)
    steps(plain, 5)
    seconds, rows = steps(plain, 60, 5)
    print(f"  the same network with one candidate and BCE: {seconds / 60 * 1000:.0f} ms a step")
    query, items = torch.randn(rows // 60, DIM), torch.randn(UNIFORM, DIM)
    table, ids = torch.randn(log.num_items, DIM), torch.randint(log.num_items, (UNIFORM + rows // 60 * (KEPT + INPUTS),))
    exact, half = best(lambda: query @ items.T), best(lambda: query.bfloat16() @ items.bfloat16().T)
    fetched = best(lambda: table.index_select(0, ids))
    print(f"  limits: product of candidates {exact * 1000:.1f} ms in float32, {half * 1000:.1f} ms in bfloat16; ", end="")
    print(f"lookup of all vectors that are read {fetched * 1000:.1f} ms")


@pytest.mark.parametrize("items", [100_000, 1_800_000])
def test_a_catalogue_of_the_size_of_ottos(items: int) -> None:
    """12.9 million sessions of 194.7 million clicks on 1.8 million items are OTTO's training part; here a hundredth of its sessions."""
    stream = generator("otto", items)
    length = 2 + torch.empty(129_000).exponential_(1 / 13.1, generator=stream).long()
    clicked = (torch.rand(int(length.sum()), generator=stream) ** 3 * items).int()
    offsets = torch.cat([length.new_zeros(1), length.cumsum(0)])
    made = learner(Log(clicked, offsets, items, "session"), tron(), Softmax(), EvenRows(size=1024), LazyAdam(lr=5e-4))
    steps(made, 5)
    seconds, rows = steps(made, 60, 5)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{items:,} items: {seconds / 60 * 1000:.0f} ms a step of {rows / 60:.0f} events, {rows / seconds:,.0f} events/s; ", end="")
    print(f"194.7 million events would take {194.7e6 / rows * seconds / 3600:.1f} h an epoch; peak {peak:.1f} GiB so far")
