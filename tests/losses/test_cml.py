"""Collaborative metric learning by hand, and on distances computed from vectors."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from recsys import ConfigError, Experiment
from recsys.data.sources import MovieLens
from recsys.losses import CML
from recsys.models import MF
from recsys.scorer import DotScorer
from recsys.splitting import LastN
from recsys.step import Scored
from recsys.testing.losses import given_scores, some_scored


def test_the_closest_candidate_by_the_log_of_the_rank_that_violators_suggest():
    case = given_scores([0.5, 0.9], [[0.4, 0.6, -0.9, 0.1], [0.5, -0.1, 0.0, 0.3]])
    value = CML(margin=0.5)(case)
    assert value.tolist() == pytest.approx([math.log(1 + 60 * 2 / 4) * (0.5 + 2 * 0.1), 0.0])
    positive, negative = torch.autograd.grad(value.sum(), (case.positive, case.negative))
    rank = 2 * math.log(31)
    assert positive.tolist() == pytest.approx([-rank, 0.0])
    assert negative.tolist() == [pytest.approx([0.0, rank, 0.0, 0.0]), [0.0] * 4]


def test_a_candidate_that_is_not_valid_is_neither_closest_nor_counted():
    case = given_scores([0.5], [[0.4, 1.0]], [[True, False]])
    assert CML(margin=0.5)(case).tolist() == pytest.approx([math.log(1 + 60) * 0.3])
    assert CML(margin=0.5)(given_scores([0.5], [[0.4, 1.0]], [[False, False]])).tolist() == [0.0]


def test_it_is_the_loss_on_squared_distances_of_vectors_of_length_one():
    """As in the authors' code: the distance to the closest negative, and the share of negatives within the margin."""
    case = some_scored()
    score = DotScorer(F.normalize(case.score.query, dim=1), case.score.table, case.batch.target, cosine=True)
    case = Scored.of(case.batch, score, replace(case.draw, valid=None), case.catalog)
    user, item = score.query, score.items(case.batch.target)
    others = score.items(case.draw.ids())
    near, far = (user - item).square().sum(1), (user[:, None] - others).square().sum(2)
    margin = 0.8
    share = (near[:, None] - far + margin > 0).double().mean(1)
    wanted = F.relu(near - far.amin(1) + margin) * (share * case.catalog.num_items + 1).log()
    assert torch.allclose(CML(margin=margin)(case), wanted)
    assert (wanted > 0).sum() > 5


def test_it_asks_for_cosines():
    with pytest.raises(
        ConfigError, match=r"loss: CML needs 'cosine' \(its distances are those of vectors of length 1\), which MF does not give"
    ):
        Experiment(data=MovieLens(), split=LastN(), model=MF(), loss=CML()).check()
    Experiment(data=MovieLens(), split=LastN(), model=MF(similarity="cosine"), loss=CML()).check()


@pytest.mark.parametrize("margin", [0.0, -1.0, 4.5])
def test_an_impossible_margin_is_refused(margin):
    with pytest.raises(ValueError, match="margin is"):
        CML(margin=margin)
