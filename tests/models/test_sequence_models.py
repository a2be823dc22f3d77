"""SASRec and GRU4Rec: equal to independent implementations, blind to the future, the same alone as in company."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from recsys.catalog import Catalog
from recsys.data.log import Histories
from recsys.errors import ConfigError
from recsys.examples import NextItem
from recsys.models import GRU4Rec, SASRec, SequenceModel
from recsys.testing import worlds
from recsys.transformer import Packing, Transformer

LOG = worlds.sessions(60, longest=9)
MODELS = [
    SASRec(dim=12, heads=2, longest=9),
    SASRec(dim=12, longest=9, norm="post", activation="gelu", hidden=20, shared=False),
    SASRec(dim=12, longest=9, similarity="cosine", scale=False),
    GRU4Rec(dim=12, layers=2, longest=9),
]
names = ["pre", "post", "cosine", "gru"]


def ready(model: SequenceModel) -> SequenceModel:
    torch.manual_seed(3)
    model.setup(Catalog(LOG))
    return model.eval()


def states(model: SequenceModel, lists: list[list[int]]) -> torch.Tensor:
    with torch.no_grad():
        return model.queries(Histories.of(lists)).query


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("causal", [True, False])
def test_the_transformer_is_that_of_torch(norm: str, activation: str, causal: bool) -> None:
    torch.manual_seed(0)
    options = {"heads": 3, "hidden": 20, "dropout": 0.0, "norm": norm, "activation": activation}
    ours = Transformer(12, layers=2, causal=causal, **options).eval()  # type: ignore[arg-type]
    layer = nn.TransformerEncoderLayer(12, 3, 20, 0.0, activation, batch_first=True, norm_first=norm == "pre")
    theirs = nn.TransformerEncoder(layer, 2, nn.LayerNorm(12) if norm == "pre" else None, enable_nested_tensor=False).eval()
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        for name, target in (("qkv", "self_attn.in_proj"), ("out", "self_attn.out_proj"), ("up", "linear1"), ("down", "linear2")):
            for kind in ("weight", "bias"):
                joint = "_" if target.endswith("in_proj") else "."
                other.get_parameter(f"{target}{joint}{kind}").data.copy_(getattr(getattr(mine, name), kind))
        for parameter in (mine.norm1, mine.norm2):
            nn.init.normal_(parameter.weight)
        other.norm1.load_state_dict(mine.norm1.state_dict())
        other.norm2.load_state_dict(mine.norm2.state_dict())
    lengths = torch.tensor([4, 1, 6, 0, 3])
    packing = Packing.of(lengths)
    x = torch.randn(14, 12)
    padding = torch.arange(6) >= lengths[:, None].clamp(min=1)  # torch's gives nan for a sequence without any
    blocked = torch.ones(6, 6, dtype=torch.bool).triu(1) if causal else None
    wanted = theirs(packing.spread(x), mask=blocked, src_key_padding_mask=padding)
    torch.testing.assert_close(ours(x, packing), packing.gather(wanted), atol=1e-5, rtol=1e-5)


def test_places_of_a_packing() -> None:
    packing = Packing.of(torch.tensor([2, 0, 3]))
    assert packing.at.tolist() == [0, 1, 6, 7, 8]
    assert packing.slot.tolist() == [0, 1, 0, 1, 2] and packing.group.tolist() == [0, 0, 2, 2, 2]
    assert packing.lengths.tolist() == [2, 0, 3]


@pytest.mark.parametrize("model", MODELS, ids=names)
def test_a_row_does_not_see_what_follows(model: SequenceModel) -> None:
    """The state after an item is the same whatever comes later, and in training the same as of a query that ends there."""
    model = ready(model)
    examples = NextItem()
    examples.load(LOG)
    batch = examples.batch(torch.arange(20))
    with torch.no_grad():
        rows = model(batch).query
    first = torch.searchsorted(batch.group, torch.arange(20))
    prefixes = []
    for group in range(20):
        items = batch.context[batch.context_group == group].tolist()  # type: ignore[index]
        prefixes += [items[: n + 1] for n in range(len(items))]
    assert len(first) == 20
    torch.testing.assert_close(rows, states(model, prefixes), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model", [*MODELS, SASRec(dim=12, longest=9, positions="end")], ids=[*names, "end"])
def test_a_query_is_answered_alike_alone_and_in_company(model: SequenceModel) -> None:
    model = ready(model)
    lists = [[3], [5, 3, 3, 9, 1, 0, 7], [], [2, 4], [1] * 9]
    together = states(model, lists)
    for one, state in zip(lists, together, strict=True):
        torch.testing.assert_close(states(model, [one])[0], state, atol=1e-5, rtol=1e-5)
    assert not together[2].any()


@pytest.mark.parametrize("model", MODELS, ids=names)
def test_only_the_window_is_read(model: SequenceModel) -> None:
    model = ready(model)
    window = [5, 3, 8, 9, 1, 0, 7, 2, 2]
    assert torch.equal(states(model, [[4, 4, 6, *window]]), states(model, [window]))
    assert not torch.equal(states(model, [[4, *window[1:]]]), states(model, [window]))


def test_positions_count_from_the_start_or_from_the_end() -> None:
    """Without attention's mixing (one item), the state shows which position was added."""
    for positions, place in (("start", 0), ("end", 8)):
        model = ready(SASRec(dim=12, longest=9, positions=positions))  # type: ignore[arg-type]
        x = model.item.weight[[5]] * math.sqrt(12) + model.position.weight[[place]]  # type: ignore[operator, union-attr]
        wanted = model.transformer(x, Packing.of(torch.tensor([1])))  # type: ignore[operator]
        torch.testing.assert_close(states(model, [[5]]), wanted.detach())


def test_the_gru_is_that_of_torch_on_one_session() -> None:
    model = ready(GRU4Rec(dim=12))
    items = torch.tensor([4, 4, 1])
    wanted = model.gru(model.item(items))[0][-1]  # type: ignore[operator]
    torch.testing.assert_close(states(model, [items.tolist()])[0], wanted.detach())


def test_a_longer_example_than_the_model_reads_is_refused() -> None:
    step = worlds.step_of(model=SASRec(dim=4, longest=5), log=worlds.sessions(longest=11), examples=NextItem())
    long = int(step.examples.lengths().argmax())
    with pytest.raises(ConfigError, match="examples give sequences of 10 items, and SASRec reads 5"):
        step.model(step.examples.batch(torch.tensor([long])))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"dim": 0}, "dim"),
        ({"dim": 10, "heads": 3}, "heads"),
        ({"layers": 0}, "layers"),
        ({"hidden": 0}, "hidden"),
        ({"longest": 0}, "longest"),
        ({"dropout": 1.0}, "dropout"),
        ({"norm": "sandwich"}, "norm"),
        ({"activation": "tanh"}, "activation"),
        ({"positions": "middle"}, "positions"),
        ({"similarity": "euclid"}, "similarity"),
        ({"init_std": 0.0}, "init_std"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        SASRec(**options)  # type: ignore[arg-type]


def test_the_gru_has_at_least_one_layer() -> None:
    with pytest.raises(ValueError, match="layers"):
        GRU4Rec(layers=0)
