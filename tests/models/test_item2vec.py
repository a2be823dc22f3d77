"""item2vec: what a score is, and the gradient that the mean of a context owes to each of its items."""

from __future__ import annotations

import pytest
import torch

from recsys.catalog import Catalog
from recsys.data.log import Histories, Log
from recsys.models import Item2Vec
from recsys.randomness import generator, reseed_global


def made(sparse: bool = False) -> tuple[Item2Vec, Log]:
    log = Log(torch.tensor([4, 1, 2, 0, 3], dtype=torch.int32), torch.tensor([0, 3, 5]), 6)
    reseed_global(1, "item2vec")
    model = Item2Vec(dim=3, init_std=1.0)
    model.setup(Catalog(log))
    with torch.no_grad():
        model.item.weight.normal_(generator=generator("out"))
    model.context.sparse = model.item.sparse = sparse
    return model, log


def test_a_score_is_the_mean_of_the_other_items_times_the_output_vector():
    model, log = made()
    examples = model.examples()
    examples.load(log)
    score = model(examples.batch(torch.tensor([0, 4])))
    inner, outer = model.context.weight, model.item.weight
    wanted = torch.stack([(inner[1] + inner[2]) / 2 @ outer.T, inner[0] @ outer.T])
    torch.testing.assert_close(score(None), wanted)


@pytest.mark.parametrize("sparse", [False, True])
def test_each_item_of_a_context_gets_one_over_its_size_of_the_gradient(sparse):
    model, log = made(sparse)
    examples = model.examples()
    examples.load(log)
    model(examples.batch(torch.tensor([0]))).positive().sum().backward()
    gradient = model.context.weight.grad
    gradient = gradient.to_dense() if gradient.is_sparse else gradient
    half = model.item.weight[4].detach() / 2  # word2vec.c would give the whole of it
    torch.testing.assert_close(gradient[[1, 2]], torch.stack([half, half]))
    assert not gradient[[0, 3, 4, 5]].any()


def test_an_owner_never_seen_is_answered_like_any_other_and_an_empty_history_by_zeros():
    model, log = made()
    model.eval()
    known = Histories(log.items, log.offsets[:-1], log.offsets[1:], torch.arange(2))
    strangers = Histories.of([[4, 1, 2], [0, 3], []])
    scores = model.queries(strangers)(None)
    torch.testing.assert_close(scores[:2], model.queries(known)(None))
    assert not scores[2].any()
