from __future__ import annotations

import pytest
import torch

from recsys.sampling import All, LocallyTypical, Soft

from .given import fits, frequencies, valid_ids, view_of

P = torch.tensor([0.0, 0.5, 0.3, 0.15, 0.05], dtype=torch.double)  # item 0 is the target


def scores() -> list[float]:
    return [0.0, *P[1:].log().tolist()]


def test_by_hand():
    """Surprisals 0.693, 1.204, 1.897, 2.996; entropy 1.142: the order is items 2, 1, 3, 4, with the masses 0.3, 0.8, 0.95, 1."""
    entropy = float(-(P[1:] * P[1:].log()).sum())
    assert entropy == pytest.approx(1.142, abs=1e-3)
    for mass, kept in [(0.29, {2}), (0.31, {1, 2}), (0.79, {1, 2}), (0.81, {1, 2, 3}), (0.96, {1, 2, 3, 4})]:
        draw = LocallyTypical(All(), k=1, mass=mass)(view_of(scores(), rows=20_000))
        wanted = torch.tensor([float(P[i]) if i in kept else 0.0 for i in range(5)], dtype=torch.double)
        assert fits(frequencies(draw, 5), wanted), mass


def test_equals_an_independent_computation_on_random_rows():
    stream = torch.Generator().manual_seed(3)
    table = torch.randn(40, 12, generator=stream) * 2
    for mass in (0.2, 0.6):
        draw = LocallyTypical(All(exclude="seen"), k=200, mass=mass, temperature=0.7)(view_of(table, seen=(0, 5)))
        for row, found in enumerate(valid_ids(draw)):
            usable = [j for j in range(12) if j not in (0, 5)]
            p = torch.softmax(table[row, usable].double() / 0.7, 0)
            gap = (-p.log() + (p * p.log()).sum()).abs()
            kept, total = set(), 0.0
            for at in sorted(range(len(usable)), key=lambda at: float(gap[at])):
                if total >= mass:
                    break
                kept.add(usable[at])
                total += float(p[at])
            assert set(found) <= kept
            likely = {j for j in kept if float(p[usable.index(j)]) > 0.1 * total}
            assert likely <= set(found)  # missed in 200 draws with probability below 1e-9


def test_mass_1_is_soft():
    view = [view_of([0.0, 1.0, -1.0, 0.5, 2.0], rows=300) for _ in range(2)]
    one, two = LocallyTypical(All(), k=4, mass=1.0, temperature=0.5)(view[0]), Soft(All(), k=4, temperature=0.5)(view[1])
    assert torch.equal(one.ids(), two.ids()) and torch.equal(one.valid, two.valid)


def test_a_small_mass_takes_the_one_nearest_to_the_entropy():
    """One candidate stands out from many alike: it is not typical, and not drawn."""
    table = [0.0, 4.0] + [0.0] * 200
    logit = torch.tensor(table[1:], dtype=torch.double).log_softmax(0)
    entropy = -(logit.exp() * logit).sum()
    assert (-logit[0] - entropy).abs() > (-logit[1] - entropy).abs()
    draw = LocallyTypical(All(), mass=0.5)(view_of(table, rows=1000))
    assert frequencies(draw, 202)[1] == 0 and frequencies(Soft(All())(view_of(table, rows=1000)), 202)[1] > 0


def test_what_is_not_valid_is_never_drawn():
    draw = LocallyTypical(All(exclude="seen"), k=5)(view_of(scores(), rows=500, seen=(0, 1, 4)))
    assert {item for row in valid_ids(draw) for item in row} == {2, 3}
    assert valid_ids(LocallyTypical(All(exclude="seen"))(view_of([0.0, 1.0], rows=2, seen=(0, 1)))) == [[], []]
    huge = LocallyTypical(All(), k=2)(view_of([0.0, 1e4, -1e4]))
    assert valid_ids(huge) == [[1, 1]]


@pytest.mark.parametrize("wrong", [{"k": 0}, {"mass": 0.0}, {"mass": 1.1}, {"temperature": -1.0}])
def test_refuses(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LocallyTypical(All(), **wrong)
