from __future__ import annotations

import torch

from recsys.kmeans import kmeans
from recsys.randomness import generator


def test_finds_what_is_far_apart():
    centre = torch.tensor([[10.0, 0.0], [0.0, 10.0], [-10.0, -10.0]])
    truth = torch.arange(300) % 3
    x = centre[truth] + torch.randn(300, 2, generator=generator("points"))
    found = [kmeans(x, 3, generator("start", at)) for at in range(5)]
    best = min(found, key=lambda label: sum(float((x[label == c] - x[label == c].mean(0)).square().sum()) for c in label.unique()))
    assert all(len(best[truth == c].unique()) == 1 for c in range(3)) and len(best.unique()) == 3


def test_every_row_is_nearest_to_the_mean_of_its_own_cluster():
    x = torch.randn(200, 4, generator=generator("cloud"))
    label = kmeans(x, 7, generator("start"), iterations=100)
    mean = torch.stack([x[label == c].mean(0) for c in range(7)])
    assert torch.equal(torch.cdist(x, mean).argmin(1), label)


def test_limits():
    x = torch.randn(5, 3, generator=generator("few"))
    assert torch.equal(kmeans(x, 1, generator("start")), torch.zeros(5, dtype=torch.long))
    assert kmeans(x, 9, generator("start")).sort().values.tolist() == [0, 1, 2, 3, 4]
    assert len(kmeans(torch.ones(6, 2), 3, generator("start")).unique()) == 1
    assert torch.equal(kmeans(x, 2, generator("start")), kmeans(x, 2, generator("start")))
