"""The k highest scores of each row: against sorting, with ties, with what does not count, and by both implementations."""

from __future__ import annotations

import pytest
import torch

from recsys.top_k import top_k


def by_sorting(scores: torch.Tensor, valid: torch.Tensor | None, k: int) -> torch.Tensor:
    counts = torch.ones_like(scores, dtype=torch.bool) if valid is None else valid.expand_as(scores)
    pairs = [list(zip((~c).tolist(), (-s).tolist(), range(len(s)), strict=True)) for c, s in zip(counts, scores, strict=True)]
    return torch.tensor([sorted(j for _, _, j in sorted(row)[:k]) for row in pairs])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # compiled, and by torch
@pytest.mark.parametrize(("columns", "k"), [(1, 1), (7, 7), (50, 3), (3000, 1), (3000, 100), (5000, 4999), (20_000, 64)])
@pytest.mark.parametrize("mask", [None, "shared", "own", "few"])
def test_it_is_the_head_of_a_sorted_row(dtype: torch.dtype, columns: int, k: int, mask: str | None) -> None:
    stream = torch.Generator().manual_seed(columns + k)
    scores = torch.randn(6, columns, generator=stream).mul_(4).round_().to(dtype)  # many ties
    scores[1] = torch.arange(columns)
    scores[2] = -torch.arange(columns)
    scores[3] = 0
    scores[4, ::2] = -torch.inf
    share = {"shared": 0.7, "own": 0.7, "few": 0.002, None: 0.0}[mask]
    valid = None if mask is None else torch.rand(1 if mask == "shared" else 6, columns, generator=stream) < share
    found = top_k(scores, valid, k)
    if valid is None or int(valid.sum(1).min()) >= k:
        assert torch.equal(found, by_sorting(scores, valid, k))
    else:  # those that count are all there, and no column twice
        assert all(len(set(row)) == k for row in found.tolist())
        kept = torch.zeros(6, columns, dtype=torch.bool).scatter(1, found, True) & valid
        assert torch.equal(kept.sum(1), valid.expand(6, -1).sum(1).clamp(max=k))


def test_the_number_of_threads_changes_nothing() -> None:
    scores = torch.randn(40, 2000)
    once = top_k(scores, None, 9)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(top_k(scores, None, 9), once)
    finally:
        torch.set_num_threads(threads)


def test_a_row_of_nan_still_has_columns() -> None:
    assert top_k(torch.full((2, 50), torch.nan), None, 3).shape == (2, 3)
