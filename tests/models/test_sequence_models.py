"""SASRec, BERT4Rec and GRU4Rec: equal to independent implementations, blind to the future, the same alone as in company."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from recsys import transformer
from recsys.catalog import Catalog
from recsys.data.log import Histories
from recsys.errors import ConfigError
from recsys.examples import MaskedItems, NextItem
from recsys.models import BERT4Rec, GRU4Rec, SASRec, SequenceModel
from recsys.testing import worlds
from recsys.transformer import Packing, Transformer

BERT = BERT4Rec(dim=12, longest=9, init_std=0.5, positions="start")
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


def test_parts_of_a_packing_hold_sequences_of_like_length(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = torch.tensor([2, 9, 0, 4, 3, 17, 1, 8])
    packing = Packing.of(lengths)
    assert not packing.parts  # of 8 x 17 places too few are empty
    monkeypatch.setattr(transformer, "WORTH", 1)
    packing = Packing.of(lengths)
    assert [part.lengths.tolist() for _, part in packing.parts] == [[2, 0, 4, 3, 1], [8], [9], [17]]
    assert [part.longest for _, part in packing.parts] == [4, 8, 9, 17]
    for at, part in packing.parts:  # each position stands in its sequence where it stood
        assert part.slot.equal(packing.slot[at]) and part.lengths[part.group].equal(lengths[packing.group[at]])
        assert part.group.diff().ge(0).all()
    x = torch.randn(int(lengths.sum()), 3)
    assert packing.apart(lambda some, part: part.gather(part.spread(some) * 2), x).equal(2 * x)
    assert not Packing.of(torch.tensor([5, 5])).parts and not Packing.padded(lengths, 20).parts
    assert [part.longest for _, part in Packing.of(torch.tensor([20, 3])).parts] == [3, 20]


@pytest.mark.parametrize("causal", [True, False])
def test_attention_in_parts_is_attention(monkeypatch: pytest.MonkeyPatch, causal: bool) -> None:
    """Values and gradients, whether sequences are taken together or apart."""
    made = Transformer(8, layers=2, heads=2, hidden=16, dropout=0.0, norm="pre", activation="relu", causal=causal)
    lengths = torch.tensor([2, 9, 0, 4, 3, 17, 1, 8])
    x = torch.randn(44, 8, requires_grad=True)
    weight = torch.randn(44, 8)
    found = []
    for worth in (1 << 30, 1):
        monkeypatch.setattr(transformer, "WORTH", worth)
        out = made(x, Packing.of(lengths))
        found.append((out, *torch.autograd.grad((out * weight).sum(), [x, *made.parameters()])))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


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


@pytest.mark.parametrize(
    "model",
    [*MODELS, SASRec(dim=12, longest=9, positions="end"), BERT, BERT4Rec(dim=12, longest=9)],
    ids=[*names, "end", "bert", "bert-end"],
)
def test_a_query_is_answered_alike_alone_and_in_company(model: SequenceModel) -> None:
    model = ready(model)
    lists = [[3], [5, 3, 3, 9, 1, 0, 7], [], [2, 4], [1] * 9]
    together = states(model, lists)
    for one, state in zip(lists, together, strict=True):
        torch.testing.assert_close(states(model, [one])[0], state, atol=1e-5, rtol=1e-5)
    assert together[2].any() == isinstance(model, BERT4Rec)


@pytest.mark.parametrize("model", [*MODELS, BERT], ids=[*names, "bert"])
def test_only_the_window_is_read(model: SequenceModel) -> None:
    model = ready(model)
    window = [5, 3, 8, 9, 1, 0, 7, 2, 2]
    assert torch.equal(states(model, [[4, 4, 6, *window]]), states(model, [window]))
    assert not torch.equal(states(model, [[4, *window[1:]]]), states(model, [window]))


def test_positions_count_from_the_start_or_from_the_end() -> None:
    """Without attention's mixing (one item), the state shows which position was added."""
    bert = ready(BERT4Rec(dim=12, longest=9))
    seen = [bert.position.weight[at].detach() for at in (8, 9)]  # type: ignore[index, union-attr]
    read: list[torch.Tensor] = []
    bert.input_norm.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))  # type: ignore[union-attr]
    states(bert, [[5]])
    torch.testing.assert_close(read[0], torch.stack([bert.item.weight[5], bert.mask[0]]).detach() + torch.stack(seen))  # type: ignore[index]
    for positions, place in (("start", 0), ("end", 8)):
        model = ready(SASRec(dim=12, longest=9, positions=positions))  # type: ignore[arg-type]
        x = model.item.weight[[5]] * math.sqrt(12) + model.position.weight[[place]]  # type: ignore[operator, union-attr]
        wanted = model.transformer(x, Packing.of(torch.tensor([1])))  # type: ignore[operator]
        torch.testing.assert_close(states(model, [[5]]), wanted.detach())


def test_bert_is_a_torch_encoder_over_padded_sequences_with_a_mask_vector() -> None:
    model = ready(BERT)
    layer = nn.TransformerEncoderLayer(12, 2, 48, 0.0, "gelu", batch_first=True, norm_first=False)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    for mine, other in zip(model.transformer.layers, encoder.layers, strict=True):  # type: ignore[union-attr, arg-type]
        for name, target in (("qkv", "self_attn.in_proj"), ("out", "self_attn.out_proj"), ("up", "linear1"), ("down", "linear2")):
            for kind in ("weight", "bias"):
                joint = "_" if target.endswith("in_proj") else "."
                other.get_parameter(f"{target}{joint}{kind}").data.copy_(getattr(getattr(mine, name), kind))
    with torch.no_grad():
        model.bias.weight.uniform_(-1, 1)  # type: ignore[operator, union-attr]
        lists = [[3, 7], [5, 3, 3, 9, 1], [8]]
        table = torch.cat([model.item.weight, model.mask])  # type: ignore[list-item]
        padded = torch.tensor([[3, 7, 60, 0, 0, 0], [5, 3, 3, 9, 1, 60], [8, 60, 0, 0, 0, 0]])
        length = torch.tensor([3, 6, 2])
        x = nn.functional.layer_norm(table[padded] + model.position.weight[:6], (12,))  # type: ignore[index, union-attr]
        states = encoder(x, src_key_padding_mask=torch.arange(6) >= length[:, None])[torch.arange(3), length - 1]
        states = nn.functional.layer_norm(nn.functional.gelu(model.dense(states)), (12,))  # type: ignore[operator]
        wanted = states @ model.item.weight.T + model.bias.weight[:, 0]  # type: ignore[index, union-attr]
        torch.testing.assert_close(model.queries(Histories.of(lists))(None), wanted, atol=1e-5, rtol=1e-5)


def test_bert_does_not_look_at_hidden_items_and_learns_a_last_one_as_it_is_asked() -> None:
    step = worlds.step_of(model=copy.deepcopy(BERT), log=LOG, examples=MaskedItems(share=0.4, last=0.5, longest=10))
    model = step.model.eval()
    batch = step.examples.batch(torch.arange(len(step.examples)))
    places = batch.inputs["at"][batch.inputs["hidden"]]
    other = batch.inputs["items"].flatten().index_put((places,), torch.tensor(59)).view_as(batch.inputs["items"])
    with torch.no_grad():
        rows = model(batch).query
        assert torch.equal(model(replace(batch, inputs={**batch.inputs, "items": other})).query, rows)
    items, at = batch.inputs["items"], places % batch.inputs["items"].shape[1]
    once = torch.bincount(batch.group) == 1
    last = once[batch.group] & (at == step.examples.lengths()[batch.group] - 1)
    assert last.sum() > 10
    asked = [items[group, :end].tolist() for group, end in zip(batch.group[last], at[last], strict=True)]
    torch.testing.assert_close(rows[last], states(model, asked), atol=1e-5, rtol=1e-5)  # type: ignore[arg-type]


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


def test_wrong_options_of_bert_are_refused() -> None:
    with pytest.raises(ValueError, match="heads is 3 and dim 64"):
        BERT4Rec(heads=3)
    with pytest.raises(ValueError, match="longest is 0"):
        BERT4Rec(longest=0)


def test_the_gru_has_at_least_one_layer() -> None:
    with pytest.raises(ValueError, match="layers"):
        GRU4Rec(layers=0)
