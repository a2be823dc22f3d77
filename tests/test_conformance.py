"""Every part of the library passes the suite that ships with it. CASES: for each class the instances that its suite is run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recsys.batching import Bucketed, ByUser, InOrder, Shuffled
from recsys.cleaning import (
    ConsecutiveRepeats,
    Duplicates,
    KCore,
    Kinds,
    MaxLength,
    MinLength,
    MinSupport,
    Sessionize,
    Threshold,
    TimeWindow,
)
from recsys.losses import BCE, BPR, Softmax
from recsys.metrics import MAP, MRR, NDCG, AveragePopularity, Coverage, HitRate, Precision, Recall, RecallCapped
from recsys.models import MF, Popular
from recsys.sampling import All, InBatch, Mix, Popularity, TopK, Uniform, Unseen
from recsys.splitting import GlobalTime, KFoldUsers, LastN, NewUsers, Predefined, SessionTime, UserFraction
from recsys.testing import check_batches, check_loss, check_metric, check_model, check_sampler, check_splitter, check_step
from recsys.testing.worlds import LastItem

UNIFORM = [Uniform(5, per=per, exclude=exclude) for per in ("row", "group", "batch") for exclude in ("nothing", "positive", "seen")]

CASES: dict[type, list[Any]] = {
    # samplers
    Uniform: UNIFORM,
    Unseen: [Unseen(3), Unseen(3, per="group")],
    Popularity: [Popularity(5), Popularity(4, power=1.0, per="batch"), Popularity(4, power=0.0, per="group", exclude="seen")],
    InBatch: [InBatch(), InBatch(exclude="seen"), InBatch(exclude="nothing")],
    All: [All(), All(exclude="seen")],
    Mix: [
        Mix({"uniform": Uniform(6, per="batch"), "popular": Popularity(3), "batch": InBatch()}),
        Mix({"groups": Uniform(6, per="group"), "hard": TopK(Uniform(9), k=2)}),
    ],
    TopK: [TopK(Uniform(9), k=3), TopK(Mix({"a": Uniform(20, per="batch"), "b": InBatch()}), k=4), TopK(Uniform(2), k=5)],
    # losses
    BPR: [BPR()],
    BCE: [BCE()],
    Softmax: [Softmax(), Softmax(temperature=0.3), Softmax(logq=True)],
    # batch policies
    Shuffled: [Shuffled(size=32)],
    InOrder: [InOrder(size=50)],
    Bucketed: [Bucketed(size=4)],
    ByUser: [ByUser(size=8, positives=5), ByUser(size=64)],
    # models
    MF: [MF(dim=16), MF(dim=16, bias=True)],
    Popular: [Popular()],
    # splitters
    LastN: [LastN(), LastN(n=2, validation=1)],
    GlobalTime: [GlobalTime()],
    UserFraction: [UserFraction()],
    Predefined: [Predefined()],
    SessionTime: [SessionTime(), SessionTime(by="end")],
    NewUsers: [NewUsers()],
    KFoldUsers: [KFoldUsers(), KFoldUsers(fold=4)],
    # cleaning steps
    ConsecutiveRepeats: [ConsecutiveRepeats()],
    Duplicates: [Duplicates(), Duplicates(same="event"), Duplicates("last"), Duplicates("sum", fit="all")],
    KCore: [KCore(owner=4, item=7)],
    Kinds: [Kinds(["clicks"]), Kinds({"clicks": 1.0, "orders": 5.0})],
    MaxLength: [MaxLength(5), MaxLength(5, keep="first", fit="all")],
    MinLength: [MinLength(5)],
    MinSupport: [MinSupport(10, fit="all")],
    Sessionize: [Sessionize("20m")],
    Threshold: [Threshold(4.0), Threshold(4.0, forget=False)],
    TimeWindow: [TimeWindow(start="2026-01-01T00:30", end="2026-01-01T01:30")],
    # metrics
    **{cls: [cls(20)] for cls in (AveragePopularity, Coverage, HitRate, MAP, MRR, NDCG, Precision, Recall, RecallCapped)},
}

SUITES: dict[str, Callable[..., None]] = {
    "recsys.sampling": check_sampler,
    "recsys.losses": check_loss,
    "recsys.batching": check_batches,
    "recsys.models": check_model,
    "recsys.splitting": check_splitter,
    "recsys.cleaning": check_step,
    "recsys.metrics": lambda metric: check_metric(type(metric)),
}
OPTIONS: dict[type, dict[str, Any]] = {
    LastN: {"guarantees": {"order"}},
    GlobalTime: {"guarantees": {"time", "order"}},
    UserFraction: {"guarantees": {"random"}},
    Predefined: {"guarantees": {"random"}},
    NewUsers: {"guarantees": {"random", "new_users"}},
    KFoldUsers: {"guarantees": {"random", "new_users"}},
    InOrder: {"random": False},
    ByUser: {"covers": False},
    Popular: {"personal": False},
}


@pytest.mark.parametrize("part", [pytest.param(i, id=f"{c.__name__}-{n}") for c, cases in CASES.items() for n, i in enumerate(cases)])
def test_conformance(part: Any):
    suite = SUITES[".".join(type(part).__module__.split(".")[:2])]
    suite(part, **OPTIONS.get(type(part), {}))


def test_the_sequence_model_of_the_tiny_worlds_conforms_where_it_applies():
    from recsys.testing.models import _scorer

    _scorer(LastItem())
