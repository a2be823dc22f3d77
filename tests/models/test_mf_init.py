"""Where the vectors of MF start from."""

from __future__ import annotations

import pytest
import torch

from recsys.catalog import Catalog
from recsys.models import MF
from recsys.testing import worlds


def tables(model: MF) -> torch.Tensor:
    torch.manual_seed(1)
    model.setup(Catalog(worlds.users(num_users=200, num_items=300)))
    return torch.cat([model.user.weight, model.item.weight]).detach()


def test_the_uniform_law_fills_zero_to_init_std():
    found = tables(MF(dim=50, init_std=0.2, init_law="uniform"))
    assert 0 <= found.min() < 0.001 and 0.199 < found.max() <= 0.2
    assert found.mean().item() == pytest.approx(0.1, abs=0.002) and found.std().item() == pytest.approx(0.2 / 12**0.5, abs=0.002)


def test_the_normal_law_has_the_standard_deviation_init_std():
    found = tables(MF(dim=50, init_std=0.2))
    assert found.mean().item() == pytest.approx(0, abs=0.005) and found.std().item() == pytest.approx(0.2, abs=0.005)
    assert found.abs().max() > 0.5


def test_other_laws_are_refused():
    with pytest.raises(ValueError, match="init_law is 'xavier'; allowed are 'normal' and 'uniform'"):
        MF(init_law="xavier")  # type: ignore[arg-type]
