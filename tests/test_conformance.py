"""Every part of the library passes the suite that ships with it. CASES: for each class the instances that its suite is run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recsys.batching import Balanced, Bucketed, ByUser, Clustered, EvenRows, InOrder, Shuffled, Subsampled
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
from recsys.examples import LabelledPairs, MaskedItems, NextItem, Pairs, PairsWithHistory
from recsys.losses import (
    BCE,
    BPO,
    BPR,
    CCL,
    CML,
    GBCE,
    NBPO,
    WARP,
    WMF,
    AdaptiveMargin,
    Alignment,
    Asymmetric,
    BPRMax,
    DebiasedContrastive,
    EntropyMaximization,
    Hinge,
    MarginMSE,
    NBPOo,
    NBPOs,
    ProductOfExperts,
    RelMF,
    SelfAdversarial,
    Softmax,
    Top1Max,
    WeightedMSE,
)
from recsys.metrics import (
    F1,
    MAP,
    MRR,
    NDCG,
    AveragePopularity,
    Coverage,
    DCGLog2Rank,
    Gini,
    HitRate,
    IntraListDistance,
    MAPUnnormalized,
    NDCGUncapped,
    Novelty,
    Precision,
    Recall,
    RecallCapped,
    ShannonEntropy,
)
from recsys.models import (
    EASE,
    IALS,
    MF,
    SLIM,
    BERT4Rec,
    ExpoMF,
    GraphFilter,
    GRU4Rec,
    Item2Vec,
    ItemKNN,
    LightGCN,
    Markov,
    NeuMF,
    Popular,
    Random,
    RP3beta,
    SASRec,
    SessionKNN,
    SessionPopular,
    SimpleX,
)
from recsys.propensity import Independent
from recsys.sampling import (
    All,
    Ambiguous,
    BatchInputs,
    DiverseHard,
    FromRun,
    InBatch,
    InversePropensity,
    LocallyTypical,
    Misranked,
    Mix,
    Neighbors,
    Nothing,
    PersonalLoss,
    Popularity,
    Queue,
    Resampled,
    ReweightedLoss,
    SelfWeighted,
    Soft,
    StochasticTopK,
    Teleported,
    TopK,
    TopNSigma,
    TruncatedLoss,
    Uniform,
    Unseen,
    WithoutReplacement,
)
from recsys.splitting import GlobalTime, KFoldUsers, LastN, NewUsers, Predefined, SessionTime, UserFraction
from recsys.testing import check_batches, check_examples, check_loss, check_metric, check_model, check_sampler, check_splitter, check_step
from recsys.testing.worlds import LastItem, finished_run, users

UNIFORM = [Uniform(5, per=per, exclude=exclude) for per in ("row", "group", "batch") for exclude in ("nothing", "positive", "seen")]

CASES: dict[type, list[Any]] = {
    # samplers
    Uniform: UNIFORM,
    Unseen: [Unseen(3), Unseen(3, per="group")],
    WithoutReplacement: [WithoutReplacement(20), WithoutReplacement(9, power=0.0, exclude="seen"), WithoutReplacement(100)],
    Popularity: [Popularity(5), Popularity(4, power=1.0, per="batch"), Popularity(4, power=0.0, per="group", exclude="seen")],
    BatchInputs: [BatchInputs(9), BatchInputs(4, exclude="nothing"), BatchInputs(500, exclude="seen")],
    InBatch: [InBatch(), InBatch(exclude="seen"), InBatch(exclude="nothing")],
    All: [All(), All(exclude="seen")],
    Mix: [
        Mix({"uniform": Uniform(6, per="batch"), "popular": Popularity(3), "batch": InBatch()}),
        Mix({"groups": Uniform(6, per="group"), "hard": TopK(Uniform(9), k=2)}),
        Mix({"unseen": Uniform(9, per="batch", exclude="seen"), "popular": Popularity(3)}),
    ],
    TopK: [
        TopK(Uniform(9), k=3),
        TopK(Mix({"a": Uniform(20, per="batch"), "b": InBatch()}), k=4),
        TopK(Uniform(2), k=5),
        TopK(Uniform(60, per="batch"), k=3, screen="bfloat16"),
    ],
    Ambiguous: [Ambiguous(Uniform(9), k=3), Ambiguous(Uniform(20, per="batch", exclude="seen"), k=4, b=-1.0, replacement=True)],
    DiverseHard: [DiverseHard(Uniform(20), clusters=4), DiverseHard(Uniform(9, per="batch", exclude="seen"), clusters=70, every=2)],
    LocallyTypical: [LocallyTypical(Uniform(9), k=3), LocallyTypical(All(exclude="seen"), mass=0.3)],
    FromRun: [FromRun(finished_run(users()), num=3, depth=20), FromRun(finished_run(users()), num=4, depth=60, temperature=1.5)],
    Neighbors: [Neighbors(4, near=2, far=9), Neighbors(3, near=0, far=1), Neighbors(3, near=4, far=500, exclude="nothing")],
    Misranked: [Misranked(Uniform(9)), Misranked(InBatch(), k=4, margin=0.0)],
    Resampled: [Resampled(Unseen(3), warmup=0), Resampled(TopK(Uniform(9), k=2), rate=1.0)],
    ReweightedLoss: [ReweightedLoss(Unseen(3)), ReweightedLoss(TopK(Uniform(9), k=2), beta=1.0)],
    SelfWeighted: [SelfWeighted(Uniform(9)), SelfWeighted(Mix({"a": Uniform(6, per="batch"), "b": InBatch()}), alpha=3.0)],
    Soft: [Soft(Uniform(9), k=3), Soft(InBatch(), temperature=0.1)],
    StochasticTopK: [StochasticTopK(Uniform(9), k=3, mode=mode) for mode in ("softmax", "power", "softrank")],
    Teleported: [Teleported(3, depth=9), Teleported(2, depth=70, momentum=0.0, near=0)],
    TopNSigma: [TopNSigma(Uniform(9)), TopNSigma(Mix({"a": Uniform(6, per="group"), "b": InBatch()}), n=0.0)],
    TruncatedLoss: [TruncatedLoss(Uniform(5), rate=0.5, steps=4000), TruncatedLoss(Soft(Uniform(9), k=2), rate=0.5, steps=2)],
    Nothing: [Nothing()],
    InversePropensity: [InversePropensity(Unseen(3)), InversePropensity(TopK(Uniform(9), k=2), propensity=Independent(), clip=0.5)],
    Queue: [Queue(200), Queue(200, exclude="seen")],
    PersonalLoss: [PersonalLoss(Uniform(3, per="group")), PersonalLoss(Uniform(3, per="row"), temperature=5.0, warmup=0)],
    # losses
    BPR: [BPR()],
    CCL: [CCL(), CCL(margin=0.0, weight=1.0)],
    CML: [CML(), CML(margin=2.0)],
    AdaptiveMargin: [AdaptiveMargin()],
    Alignment: [Alignment()],
    Asymmetric: [Asymmetric(), Asymmetric(gamma_positive=1.0, gamma_negative=0.5, margin=0.0)],
    EntropyMaximization: [EntropyMaximization()],
    MarginMSE: [MarginMSE(finished_run(users()))],
    ProductOfExperts: [ProductOfExperts(), ProductOfExperts(strength=0.5, temperature=0.3, logq=True)],
    WeightedMSE: [WeightedMSE(), WeightedMSE(weight=0.5)],
    BPRMax: [BPRMax(), BPRMax(penalty=0.1, elu=0.5)],
    DebiasedContrastive: [DebiasedContrastive(), DebiasedContrastive(positive_share=0.2, temperature=1.0)],
    GBCE: [GBCE(), GBCE(calibration=0.0)],
    Hinge: [Hinge()],
    SelfAdversarial: [SelfAdversarial(), SelfAdversarial(sharpness=0.3, margin=2.0)],
    Top1Max: [Top1Max()],
    WARP: [WARP()],
    BPO: [BPO()],
    NBPO: [NBPO(), NBPO(dim=3, init=1.0)],
    NBPOo: [NBPOo(dim=4)],
    NBPOs: [NBPOs(dim=4)],
    BCE: [BCE()],
    Softmax: [Softmax(), Softmax(temperature=0.3), Softmax(logq=True)],
    RelMF: [RelMF(), RelMF(clip=0.0, delta="log"), RelMF(propensity=Independent(power=1.0), clip=0.3)],
    WMF: [WMF(), WMF(unclicked=0.3, delta="log")],
    # batch policies
    Balanced: [Balanced(size=32, steps=20), Balanced(size=16, positives=None), Balanced(size=30, positives=0.2, steps=7)],
    Shuffled: [Shuffled(size=32)],
    InOrder: [InOrder(size=50)],
    Bucketed: [Bucketed(size=4)],
    EvenRows: [EvenRows(size=16), EvenRows(size=1)],
    ByUser: [ByUser(size=8, positives=5), ByUser(size=64)],
    Clustered: [Clustered(size=32, clusters=5, mix=4), Clustered(size=16, clusters=3, mix=1, every=2)],
    Subsampled: [Subsampled(Shuffled(size=32), threshold=0.01), Subsampled(ByUser(size=8), threshold=0.02)],
    # models
    LightGCN: [LightGCN(dim=16, layers=2), LightGCN(dim=16, layers=0), LightGCN(dim=16, similarity="cosine")],
    NeuMF: [NeuMF(dim=8, mlp_dim=8, layers=(16, 8)), NeuMF(dim=16, mlp_dim=4, layers=[8])],
    MF: [MF(dim=16), MF(dim=16, bias=True), MF(dim=16, similarity="cosine", dropout=0.1), MF(dim=16, init_std=0.25, init_law="uniform")],
    SimpleX: [
        SimpleX(dim=16),
        SimpleX(dim=16, aggregator="cross_attention", shared=False, padded_to=30),
        SimpleX(dim=16, aggregator="self_attention", gamma=0.8, longest=15),
    ],
    SASRec: [
        SASRec(dim=16, longest=10),
        SASRec(dim=16, heads=2, hidden=32, norm="post", activation="gelu", init_std=0.1, shared=False, longest=10),
        SASRec(dim=16, positions="end", similarity="cosine", longest=10, layers=1),
    ],
    BERT4Rec: [
        BERT4Rec(dim=16, longest=10, init_std=None, dropout=0.0),
        BERT4Rec(dim=16, heads=1, layers=1, hidden=16, longest=10, activation="relu", shared=False, init_std=None, dropout=0.0),
    ],
    GRU4Rec: [GRU4Rec(dim=16, bias=True), GRU4Rec(dim=16, layers=2, shared=False, similarity="cosine")],
    Item2Vec: [Item2Vec(dim=16)],
    ExpoMF: [ExpoMF(dim=4, penalty=0.1, init_std=0.1)],
    Popular: [Popular()],
    SessionPopular: [SessionPopular()],
    Markov: [Markov(), Markov(window=3, smoothing=2.0)],
    SessionKNN: [SessionKNN(), SessionKNN(k=2, sample=9, idf=True)],
    Random: [Random(), Random(seed=1)],
    ItemKNN: [
        ItemKNN(),
        ItemKNN(k=5, similarity="jaccard", shrinkage=2.0),
        ItemKNN(k=5, similarity="dot", normalize=True),
        ItemKNN(shrinkage=1.0, weighting="idf", normalize=True, centre=True),
    ],
    EASE: [EASE(), EASE(penalty=1.0)],
    GraphFilter: [
        GraphFilter(),
        GraphFilter(factors=4, sharpen=2.5, steps=2),
        GraphFilter(low_pass=0.0),
        GraphFilter(sharpen=1.0, merge="late"),
    ],
    RP3beta: [RP3beta(), RP3beta(k=30, alpha=0.5, beta=0.3, normalize=True)],
    SLIM: [SLIM(), SLIM(l1=0.0, l2=10.0, candidates=30)],
    IALS: [IALS(factors=4, regularization=0.1), IALS(factors=4, regularization=0.1, alpha=5.0, use_cg=False)],
    # examples
    Pairs: [Pairs()],
    PairsWithHistory: [PairsWithHistory(), PairsWithHistory(longest=2)],
    LabelledPairs: [LabelledPairs()],
    NextItem: [NextItem(), NextItem(longest=3)],
    MaskedItems: [MaskedItems(), MaskedItems(share=0.6, last=0.0, longest=4)],
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
    **{cls: [cls(20)] for cls in (F1, AveragePopularity, Coverage, HitRate, MAP, MRR, NDCG, Precision, Recall, RecallCapped)},
    **{cls: [cls(20)] for cls in (DCGLog2Rank, Gini, IntraListDistance, MAPUnnormalized, NDCGUncapped, Novelty, ShannonEntropy)},
}

SUITES: dict[str, Callable[..., None]] = {
    "recsys.sampling": check_sampler,
    "recsys.losses": check_loss,
    "recsys.batching": check_batches,
    "recsys.examples": check_examples,
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
    Subsampled: {"covers": False},
    Balanced: {"covers": False},
    Popular: {"personal": False},
    SessionPopular: {"personal": False},
    Random: {"personal": False},
}


@pytest.mark.parametrize("part", [pytest.param(i, id=f"{c.__name__}-{n}") for c, cases in CASES.items() for n, i in enumerate(cases)])
def test_conformance(part: Any):
    suite = SUITES[".".join(type(part).__module__.split(".")[:2])]
    suite(part, **OPTIONS.get(type(part), {}))


def test_the_sequence_model_of_the_tiny_worlds_conforms_where_it_applies():
    from recsys.testing.models import _scorer

    _scorer(LastItem())
