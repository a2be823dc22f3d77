"""The hardest candidates, found in chunks of rows and by rough products: those that sorting all scores finds."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import BPR
from recsys.models import MF, NeuMF
from recsys.sampling import BatchInputs, Mix, Popularity, Sampler, TopK, Uniform
from recsys.testing import worlds

SESSIONS, USERS = worlds.sessions(40), worlds.users(num_items=400, events=3000)
BASES = {
    "shared": (Uniform(300, per="batch"), USERS),
    "shared, masked": (Uniform(300, per="batch", exclude="seen"), USERS),
    "own": (Uniform(70), USERS),
    "mixed": (Mix({"a": Uniform(200, per="batch"), "b": Popularity(30), "c": Popularity(50, per="batch")}), USERS),
    "groups": (Mix({"uniform": Uniform(40, per="batch"), "inputs": BatchInputs(9)}), SESSIONS),
}


@pytest.mark.parametrize("screen", ["float32", "bfloat16"])
@pytest.mark.parametrize("scores", [1 << 21, 1000])
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("bias", [False, True])
def test_the_highest_scores_are_kept(base: str, scores: int, screen: str, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler, log = BASES[base]
    sequential = log.owner_kind == "session"
    model = worlds.LastItem(dim=16) if sequential else MF(dim=16, init_std=1.0, bias=bias)
    step = worlds.step_of(TopK(sampler, k=5, screen=screen), model=model, log=log)  # type: ignore[arg-type]
    if bias and not sequential:
        torch.nn.init.normal_(step.model.item_bias.weight)  # type: ignore[union-attr, arg-type]
    batch = worlds.first_batch(step)
    view = worlds.view_of(step, batch)
    whole = sampler(view)
    wanted = view.scores(whole).topk(5, dim=1).values
    monkeypatch.setattr("recsys.sampling.top_k.SCORES", scores)
    view = worlds.view_of(step, batch)
    kept = step.sampler(view)
    torch.testing.assert_close(view.scores(kept).sort(dim=1, descending=True).values, wanted)


def test_screening_needs_vectors() -> None:
    assert "vectors" in TopK(Uniform(9), screen="bfloat16").needs() and not TopK(Uniform(9)).needs()
    step = worlds.step_of(TopK(Uniform(30, per="batch"), k=3), BPR(), NeuMF(dim=8, mlp_dim=8, layers=(16, 8)), log=USERS)
    assert step.sampler(worlds.view_of(step, worlds.first_batch(step))).width == 3


@pytest.mark.parametrize("options", [{"k": 0}, {"screen": "float16"}])
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    base: Sampler = Uniform(9)
    with pytest.raises(ValueError, match=next(iter(options))):
        TopK(base, **options)  # type: ignore[arg-type]
