"""Every combination of parts works, or is refused before data is read, with both class names and the reason."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys import ConfigError, Experiment, Fit
from recsys.batching import Batches, Bucketed, ByUser, EvenRows, InOrder, Shuffled
from recsys.compatibility import title
from recsys.data.source import Source
from recsys.learner import Learner
from recsys.losses import BCE, BPR, Loss, Softmax
from recsys.models import MF, Model, Popular
from recsys.optimizers import SGD, Adagrad, Adam, AdamW, LazyAdam
from recsys.penalties import FullTable, Penalty, TouchedRows
from recsys.sampling import All, InBatch, Mix, Popularity, Sampler, TopK, Uniform, Unseen
from recsys.splitting import GlobalTime, LastN, Predefined, Splitter
from recsys.testing import worlds
from recsys.testing.worlds import LastItem

MODELS: list[Model] = [MF(dim=4, init_std=0.5), MF(dim=4, bias=True), LastItem()]
SAMPLERS: list[Sampler] = [
    *(Uniform(3, per=per, exclude=exclude) for per in ("row", "group", "batch") for exclude in ("nothing", "positive", "seen")),
    Unseen(2),
    Unseen(2, per="group"),
    Popularity(3),
    InBatch(),
    All(),
    TopK(Uniform(9), k=2),
    TopK(All(exclude="seen"), k=3),
    Mix({"batch": Uniform(4, per="batch"), "others": InBatch()}),
    TopK(Mix({"a": Unseen(2), "b": Popularity(5, per="group")}), k=3),
]
LOSSES: list[Loss] = [BPR(), BCE(), Softmax(), Softmax(temperature=0.2, logq=True)]
BATCHES: list[Batches] = [Shuffled(size=16), InOrder(size=9), ByUser(size=4, positives=3), Bucketed(size=4), EvenRows(size=20)]
PENALTIES: list[Penalty | None] = [None, FullTable(), TouchedRows()]
OPTIMIZERS = [Adam(), AdamW(weight_decay=0.1), SGD(), Adagrad(), LazyAdam()]


class Stub(Source):
    """Says what it is and may not be read."""

    def __init__(self, owner: str, timed: bool = True) -> None:
        self._owner, self._timed = owner, timed

    owner = property(lambda self: self._owner)
    timed = property(lambda self: self._timed)

    def events(self) -> Any:
        raise AssertionError("data were read")


def refusal(**parts: Any) -> str | None:
    try:
        Experiment(**{"split": LastN(), **parts}).check()
    except ConfigError as error:
        return str(error)
    return None


def test_every_combination_is_refused_with_a_reason_or_trains_a_step():
    """In turn through penalties and optimisers, clipped and not, so that each meets all the others many times."""
    outcomes: Counter[str] = Counter()
    turn = itertools.count()
    for owner, model, sampler, loss, batches in itertools.product(("user", "session"), MODELS, SAMPLERS, LOSSES, BATCHES):
        n = next(turn)
        penalty, optimizer, clip = PENALTIES[n % 3], OPTIMIZERS[n % 5], (None, 0.1)[n % 2]
        if penalty is not None and penalty.dense and optimizer.lazy:
            optimizer = Adam()  # Fit refuses the pair
        fit = Fit(epochs=1, penalty=penalty, optimizer=optimizer, clip=clip, device="cpu", denominator=("rows", "weights", "sum")[n % 3])
        chosen = {"model": model, "sampler": sampler, "loss": loss, "batches": batches}
        said = refusal(data=Stub(owner), fit=fit, **copy.deepcopy(chosen))
        if said is not None:
            outcomes[said] += 1
            continue
        outcomes["accepted"] += 1
        if n % 4:
            continue
        learner = Learner(**copy.deepcopy(chosen), fit=copy.deepcopy(fit))
        log = worlds.users() if owner == "user" else worlds.sessions()
        learner.setup(log)
        before = [p.detach().clone() for p in learner.step.parameters()]
        epoch = next(iter(learner.fit(log)))
        assert epoch.loss == epoch.loss, (owner, *map(title, chosen.values()))
        assert any(not torch.equal(a, b) for a, b in zip(before, learner.step.parameters(), strict=True))
    accepted = outcomes.pop("accepted")
    assert accepted > 500
    assert sum(outcomes.values()) + accepted == 2 * len(MODELS) * len(SAMPLERS) * len(LOSSES) * len(BATCHES)
    for said in outcomes:
        assert " needs '" in said and "(" in said and said.rstrip().endswith("does not give"), said


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"data": Stub("session"), "model": MF()}, "model: MF needs 'user' (it has a vector for each user), which Stub does not give"),
        (
            {"data": Stub("user"), "model": MF(), "batches": Bucketed()},
            "batches: Bucketed needs 'lengths' (it sorts examples by length), which Pairs does not give",
        ),
        (
            {"data": Stub("user"), "model": MF(), "sampler": TopK(Mix({"u": Uniform(9)}), k=2), "loss": Softmax(logq=True)},
            "loss: Softmax needs 'log_count' (logq=True corrects by expected counts), which TopK(Mix(Uniform)) does not give",
        ),
        ({"data": Stub("user"), "model": LastItem()}, None),
        (
            {"data": Stub("user", timed=False), "model": LastItem(), "split": Predefined()},
            "split: Predefined needs 'predefined'",
        ),
        ({"data": Stub("user", timed=False), "model": Popular(), "split": GlobalTime()}, "split: GlobalTime needs 'time'"),
        (
            {"data": Stub("user"), "model": Popular(), "sampler": Uniform()},
            "sampler: Popular is solved in closed form and takes no sampler",
        ),
    ],
)
def test_refusals_name_both_parts_and_the_reason(parts: dict[str, Any], said: str | None):
    found = refusal(**parts)
    assert found == said or (said is not None and found is not None and found.startswith(said))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": BPR()}, "model: BPR() is a BPR, not a Model or ClosedForm"),
        ({"loss": Uniform()}, "loss: Uniform() is a Uniform, not a Loss"),
        ({"split": "LastN"}, "split: 'LastN' is a str, not a Splitter"),
        ({"seed": "1"}, "seed: '1' is a str, not a int"),
    ],
)
def test_a_part_of_the_wrong_kind_is_refused(wrong: dict[str, Any], said: str):
    with pytest.raises(ConfigError) as raised:
        Experiment(**{"data": Stub("user"), "split": LastN(), "model": MF(), **wrong})
    assert str(raised.value) == said


def test_cuda_is_refused_where_there_is_none(tmp_path: Path):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert "fit.device is 'cuda', but this machine" in str(refusal(data=Stub("user"), model=MF(), fit=Fit(device="cuda")))


def test_a_splitter_of_ones_own_is_a_part_too():
    class Hasty(Splitter):
        def needs(self) -> dict[str, str]:
            return {"session": "it cuts whole sessions"}

    assert (
        refusal(data=Stub("user"), model=Popular(), split=Hasty())
        == "split: Hasty needs 'session' (it cuts whole sessions), which Stub does not give"
    )
