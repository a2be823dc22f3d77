"""What a run says of its candidates, against numbers worked by hand, and that saying it changes nothing."""

from __future__ import annotations

import copy
import itertools
import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor

from recsys import Experiment, Fit
from recsys.batch import Batch
from recsys.batching import Balanced, Shuffled
from recsys.catalog import Catalog
from recsys.data.log import Histories, Holdout, Log
from recsys.data.sources import Simulated
from recsys.diagnostics import GROUPS, MOST, Diagnostics
from recsys.examples import LabelledPairs
from recsys.learner import Learner
from recsys.losses import BPR, WMF, Hinge, Loss, Softmax
from recsys.models import MF
from recsys.optimizers import Adam
from recsys.pool import Draw, Pool
from recsys.sampling import Mix, Nothing, Popularity, SelfWeighted, Soft, TopK, Uniform, Unseen
from recsys.scorer import DotScorer
from recsys.splitting import GlobalTime
from recsys.step import Scored
from recsys.testing import worlds

# item counts 4, 3, 2, 1; the owners 0 and 1
LOG = Log(torch.tensor([0, 0, 1, 2, 3, 0, 0, 1, 1, 2], dtype=torch.int32), torch.tensor([0, 5, 10]), 4)


def held(pairs: list[tuple[int, int]]) -> Holdout:
    """Pairs of owner and item to be recommended; the owner -1 is unknown to training."""
    owner = torch.tensor([u for u, _ in pairs], dtype=torch.long)
    histories = Histories(torch.empty(0, dtype=torch.int32), torch.zeros_like(owner), torch.zeros_like(owner), owner)
    items = torch.tensor([i for _, i in pairs], dtype=torch.int32)
    return Holdout(histories, items, torch.arange(len(pairs) + 1), torch.zeros_like(owner), pl.DataFrame({"user": owner.numpy()}))


def counted(
    draw: Draw,
    positive: list[float],
    negative: list[list[float]],
    held_out: Holdout | None = None,
    *,
    loss: Loss | None = None,
    label: Tensor | None = None,
) -> dict[str, Any]:
    """The figures of one step: rows of the owners 0, 1, 0, 1, ... with target 0."""
    rows, zeros = torch.arange(len(positive)), torch.zeros(len(positive), dtype=torch.long)
    batch = Batch(zeros, rows % 2, rows, rows, len(rows), {}, label=label)
    leaf = torch.tensor(negative, requires_grad=True)
    catalog = Catalog(LOG)
    scored = Scored(torch.tensor(positive), leaf * 1.0, batch, DotScorer(torch.ones(len(rows), 1), torch.ones(4, 1), zeros), draw, catalog)
    made = Diagnostics(catalog, 16, held_out)
    made.watch(scored)
    if draw.width:
        (loss or BPR())(scored).sum().backward()
    made.take(scored, 0.25, 1.0)
    return made.figures()


def drawn(items: list[list[int]] | list[int], **given: Any) -> Draw:
    return Draw((Pool(torch.tensor(items)),), **given)


def test_each_figure_by_hand():
    """Row 0 (owner 0): items 1, 2, 2, 3, the last not valid. Row 1 (owner 1): items 3, 3, 3, 1."""
    valid = torch.tensor([[True, True, True, False], [True, True, True, True]])
    found = counted(
        drawn([[1, 2, 2, 3], [3, 3, 3, 1]], valid=valid),
        [1.0, 0.0],
        [[2.0, 1.0, 1.0, 9.0], [-1.0, -1.0, -1.0, 0.5]],
        held([(0, 2), (0, 3), (1, 3), (-1, 1)]),
        loss=Hinge(margin=0.5),
    )
    # the gap plus 0.5: 1.5, 0.5, 0.5 and -0.5, -0.5, -0.5, 1: three without gradient
    drawn_share = [0.0, 2 / 7, 2 / 7, 3 / 7]  # of the items 0 to 3, each a group of its own
    assert found == {
        "false_negative_rate": pytest.approx(5 / 7),  # item 2 twice, item 3 three times
        "hardness": pytest.approx(2 / 7),  # equal to the positive is not above it
        "zero_gradient_share": pytest.approx(3 / 7),
        "duplicate_share": pytest.approx(3 / 7),
        "valid_share": pytest.approx(7 / 8),
        "popularity": pytest.approx((2 * 0.625 + 2 * 0.375 + 3 * 0.125) / 7),
        "time_share": 0.25,
        "popularity_kl": pytest.approx(sum(p * math.log(p / q) for p, q in zip(drawn_share, (0.4, 0.3, 0.2, 0.1), strict=True) if p)),
    }


def test_pools_of_every_shape_and_mixtures_count_alike():
    ids = torch.tensor([[1, 2, 2], [1, 2, 2], [1, 2, 2]])
    group = torch.tensor([1, 0, 1])
    scores = [[2.0, 0.5, 1.0]] * 3
    shapes = {
        "row": Draw((Pool(ids),)),
        "shared": Draw((Pool(ids[0]),)),
        "group": Draw((Pool(ids[:2], group),)),
        "mix": Draw((Pool(ids[0, :1]), Pool(ids[:, 1:]))),
        "mask of one row": Draw((Pool(ids[0]),), valid=torch.ones(1, 3, dtype=torch.bool)),
    }
    found = {name: counted(draw, [1.0] * 3, scores, held([(0, 1)])) for name, draw in shapes.items()}
    assert found["row"]["false_negative_rate"] == pytest.approx(2 / 9) and found["row"]["duplicate_share"] == pytest.approx(1 / 3)
    assert all(other == found["row"] for other in found.values())


def test_effective_sample_size_is_that_of_shares_and_of_inverse_counts():
    ids, scores = [[1, 2, 3], [1, 2, 3]], [[0.0] * 3] * 2
    share = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]])
    found = counted(drawn(ids, share=share), [0.0, 0.0], scores)
    assert found["effective_sample_size"] == pytest.approx((1 / 3 + (1 / 0.375) / 3) / 2)
    count = torch.tensor([[1.0, 0.5, 0.25]]).log()  # weights 1, 2, 4; without the last 1, 2
    found = counted(drawn(ids, log_count=count, valid=torch.tensor([[True] * 3, [True, True, False]])), [0.0, 0.0], scores)
    assert found["effective_sample_size"] == pytest.approx(((49 / 21) / 3 + (9 / 5) / 2) / 2)
    even = counted(drawn(ids, share=share[1:].expand(2, -1), log_count=torch.tensor([[0.5, 0.25, 0.25]]).log()), [0.0, 0.0], scores)
    assert even["effective_sample_size"] == pytest.approx(1.0), "shares in proportion to the counts even each other out"
    assert "effective_sample_size" not in counted(drawn(ids), [0.0, 0.0], scores)


def test_what_is_not_known_is_absent():
    found = counted(drawn([[1], [2]]), [0.0, 0.0], [[0.0], [1.0]])
    assert "false_negative_rate" not in found
    assert "false_negative_rate" not in counted(drawn([[1], [2]]), [0.0, 0.0], [[0.0], [1.0]], held([(-1, 1), (-1, 2)]))
    assert counted(drawn([[1], [2]]), [0.0, 0.0], [[0.0], [1.0]], held([(0, 3)]))["false_negative_rate"] == 0
    none = torch.zeros(2, 1, dtype=torch.bool)
    assert counted(drawn([[1], [2]], valid=none), [0.0, 0.0], [[0.0], [1.0]]) == {"valid_share": 0.0, "time_share": 0.25}
    assert counted(drawn([[], []]), [0.0, 0.0], [[], []]) == {"time_share": 0.25}


def test_rows_labelled_0_have_no_positive_to_be_compared_with():
    found = counted(drawn([[1], [2], [3]]), [0.0] * 3, [[1.0], [1.0], [-1.0]], label=torch.tensor([1.0, 0.0, 1.0]))
    assert found["hardness"] == 0.5


def test_of_many_candidates_rows_are_looked_at_evenly():
    """Every other row is hard, in halves; the share of the rows taken is that of all."""
    width, rows = MOST // 40, 160
    negative = torch.full((rows, width), -1.0)
    negative[80:] = 1.0
    found = counted(Draw((Pool(torch.ones(width, dtype=torch.long)),)), [0.0] * rows, negative.tolist())
    assert found["hardness"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("number", "steps", "looked"), [(16, 396, 16), (4, 396, 4), (16, 128, 16), (16, 40, 5), (16, 5, 1), (1, 1, 1)])
def test_the_steps_looked_at_are_spread_evenly(number: int, steps: int, looked: int):
    made = Diagnostics(Catalog(LOG), number)
    at = [step for step in range(steps) if made.wants(step, steps)]
    assert len(at) == looked
    gaps = [b - a for a, b in itertools.pairwise(at)]
    assert all(abs(gap - steps / looked) < 1 for gap in gaps)
    assert at[0] <= steps / looked / 2 + 1 and steps - 1 - at[-1] <= steps / looked / 2 + 1


# ---------------------------------------------------------------------------------------------------- in training


def zipf(users: int = 400, items: int = 300, seed: int = 3) -> Log:
    """Users with 20 distinct items each, drawn with probability 1 / rank."""
    stream = torch.Generator().manual_seed(seed)
    item = torch.multinomial((1 / torch.arange(1, items + 1)).expand(users, -1), 20, generator=stream)
    return Log(item.sort().values.flatten().int(), torch.arange(0, 20 * users + 1, 20), items)


def learner(sampler: Any, loss: Loss | None = None, held_out: Holdout | None = None, **given: Any) -> Learner:
    plan = Fit(epochs=given.pop("epochs", 1), optimizer=Adam(lr=0.05), device="cpu", diagnostics=given.pop("diagnostics", 1000))
    parts = {"model": MF(dim=8, init_std=0.5), "batches": Shuffled(size=64), "sampler": sampler, "loss": loss or BPR(), **given}
    return Learner(**copy.deepcopy(parts), fit=plan, held_out=held_out)


def figures(made: Learner, log: Log) -> list[dict[str, float]]:
    found = []
    for epoch in made.fit(log):
        epoch.value = 0.0
        found.append({name.removeprefix("sampler."): value for name, value in epoch.figures.items()})
    return found


def group_shares(made: Learner, weight: Tensor) -> tuple[Tensor, float]:
    """Of draws with probability in proportion to ``weight``: the share of each popularity group, and the divergence from the events."""
    kept = made.step.diagnostics
    assert kept is not None
    p = torch.bincount(kept.group, weight.double(), minlength=GROUPS) / weight.sum()
    q = torch.bincount(kept.group, made.step.catalog.counts.double(), minlength=GROUPS) / made.step.catalog.counts.sum()
    return p, float((p * (p / q).log())[p > 0].sum())


@pytest.mark.parametrize("power", [1.0, 0.5, 0.0, None])
def test_popularity_kl_is_that_of_the_proposal(power: float | None):
    """0 for draws in proportion to popularity; None: uniform."""
    log = zipf()
    made = learner(Uniform(50, exclude="nothing") if power is None else Popularity(50, power=power, exclude="nothing"))
    (found,) = figures(made, log)
    counts = made.step.catalog.counts.double()
    weight = torch.ones_like(counts) if power is None else torch.where(counts > 0, counts**power, 0.0)
    groups, wanted = group_shares(made, weight)
    assert found["popularity_kl"] == pytest.approx(wanted, rel=0.02, abs=1e-3)
    assert made.step.diagnostics is not None
    assert made.step.diagnostics.groups == pytest.approx(groups.tolist(), abs=0.01)
    percentile = float((made.step.diagnostics.percentile * weight).sum() / weight.sum())
    assert found["popularity"] == pytest.approx(percentile, abs=0.005)
    if power == 1.0:
        assert wanted == 0.0 and max(groups) < 0.2
    if power is None:
        assert wanted > 0.3 and percentile == pytest.approx(0.5)


def test_planted_false_negatives_are_found():
    """Each user has one of its 21 unseen items held out: 1 in 21 uniform unseen candidates is that one. A sampler that goes for what scores
    high finds it more often once the model has learnt, for it is to the user's taste."""
    log = worlds.checkerboard(40)
    made = learner(Unseen(10), held_out=held([(u, u) for u in range(40)]), epochs=20)
    found = figures(made, log)
    free = 40 - 19
    assert found[-1]["false_negative_rate"] == pytest.approx(1 / free, rel=0.15)
    hard = figures(learner(TopK(Unseen(10), k=1), held_out=held([(u, u) for u in range(40)]), epochs=20), log)
    assert hard[-1]["false_negative_rate"] > 4 / free


def test_the_figures_of_a_step_are_those_of_its_own_draw_and_scores():
    step = worlds.step_of(Mix({"a": Uniform(4, per="batch"), "b": Unseen(3)}), Hinge(margin=0.5), log=zipf())
    step.diagnostics = Diagnostics(step.catalog, 1000)
    step.batches.plan = step.batches.plan[:1]
    value = step(worlds.first_batch(step), 1, 0)
    scored = step.scored
    value.backward()
    step.end_step()
    zero = (scored.negative - scored.positive[:, None] + 0.5 <= 0)[scored.draw.valid].double().mean()
    hard = (scored.negative > scored.positive[:, None])[scored.draw.valid].double().mean()
    found = step.figures()
    assert found["sampler.zero_gradient_share"] == pytest.approx(float(zero))
    assert found["sampler.hardness"] == pytest.approx(float(hard))
    assert found["sampler.valid_share"] == pytest.approx(float(scored.draw.valid.double().mean()))
    assert 0 < found["sampler.time_share"] < 1


@pytest.mark.parametrize(
    ("sampler", "loss", "given"),
    [
        (Unseen(2), BPR(), {}),
        (SelfWeighted(Mix({"a": Uniform(20, per="batch"), "b": Popularity(3)}), alpha=2.0), Softmax(logq=True), {}),
        (Soft(Uniform(9), k=3), Hinge(), {"model": MF(dim=8, dropout=0.3)}),
        (Nothing(), WMF(), {"examples": LabelledPairs(), "batches": Balanced(size=64, steps=9)}),
    ],
    ids=["unseen", "shares and counts", "drawn again", "nothing"],
)
def test_weights_are_bit_identical_with_and_without(sampler: Any, loss: Loss, given: dict[str, Any]):
    log, states, names = zipf(100, 80), [], []
    for diagnostics in (0, 1000):
        made = learner(sampler, loss, held([(0, 3)]), epochs=2, diagnostics=diagnostics, **given)
        names.append(set(figures(made, log)[-1]))
        states.append([made.step.model.state_dict(), made.optimizer.state_dict()["state"]])
    assert names[0] == set() and names[1] >= {"time_share"}
    (one, of_one), (two, of_two) = states
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(torch.equal(torch.as_tensor(of_one[p][k]), torch.as_tensor(of_two[p][k])) for p in of_one for k in of_one[p])


def test_an_epoch_does_not_remember_the_one_before_and_a_resumed_one_goes_on_counting():
    log = zipf(100, 80)
    made = learner(Unseen(2), epochs=3)
    states: list[Any] = []
    made.on_checkpoint = lambda: states.append(copy.deepcopy(made.state()))
    made.plan.checkpoint_seconds = 0.0
    found = figures(made, log)
    assert len({record["hardness"] for record in found}) == 3
    middle = next(state for state in states if state["done"]["epoch"] == 1 and state["done"]["step"] == 20)
    resumed = learner(Unseen(2), epochs=3).setup(log)
    resumed.load_state(middle)
    again = figures(resumed, log)
    for record in [*again, *found]:
        record.pop("time_share")
    assert again == found[1:]


def test_a_run_records_them_by_the_validation_part_and_not_while_refitting(tmp_path: Path):
    plan = Fit(epochs=2, device="cpu")
    source = Simulated(users=120, items=40, clicks=2500)
    run = Experiment(data=source, split=GlobalTime(), model=MF(dim=4), sampler=Uniform(4), fit=plan).run(tmp_path / "run", cache=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    by_phase = {record["phase"]: record for record in records}
    assert 0 < by_phase["select"]["sampler.false_negative_rate"] < 0.5
    assert "sampler.false_negative_rate" not in by_phase["refit"] and "sampler.hardness" in by_phase["refit"]
    assert sum(run.about["popularity_groups"]) == pytest.approx(1.0)


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="diagnostics is -1"):
        Fit(diagnostics=-1)
