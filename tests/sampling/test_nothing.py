from __future__ import annotations

import torch

from recsys.batching import Shuffled
from recsys.examples import LabelledPairs
from recsys.losses import WMF
from recsys.models import MF, Model, NeuMF
from recsys.pool import Draw, Pool
from recsys.sampling import Nothing
from recsys.testing import worlds


def test_no_candidates_are_scored_and_the_row_itself_is() -> None:
    models: list[Model] = [MF(dim=4), MF(dim=4, bias=True), MF(dim=4, similarity="cosine"), NeuMF(dim=4, mlp_dim=4, layers=(4,))]
    for model in models:
        step = worlds.step_of(Nothing(), WMF(), model, Shuffled(size=32), examples=LabelledPairs())
        value = step(worlds.first_batch(step), 1, 0)
        value.backward()
        assert step.scored is not None
        assert step.scored.negative.shape == (32, 0) and step.scored.draw.ids().shape == (1, 0) and step.scored.draw.width == 0
        assert step.scored.mean(step.scored.negative).tolist() == [0.0] * 32
        assert any(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_rows_can_be_taken_from_an_empty_draw() -> None:
    draw = Draw((Pool(torch.empty(0, dtype=torch.long)),)).take(torch.tensor([2, 0]))
    assert draw.rows is not None and draw.rows.tolist() == [2, 0] and draw.width == 0
