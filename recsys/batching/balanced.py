from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from recsys.batching.batches import Batches
from recsys.catalog import below
from recsys.examples import LabelledPairs
from recsys.step import EpochView


class Balanced(Batches):
    """Batches of labelled pairs drawn with replacement: a share ``positives`` of each from those with label 1, the rest from those with 0.

    Each kind is drawn uniformly. Half and half is the procedure of the code of Saito et al. 2020 (Rel-MF, arXiv 1909.03601) for real data;
    it weighs clicked pairs more than the average over all pairs in the paper does, of which the mean over such batches is no unbiased
    estimate. ``positives=None`` draws uniformly over all pairs, as their semi-synthetic code has it: each batch's mean is one.

    ``size``: pairs in a batch. ``steps``: batches in an epoch, which has no natural length here. Where the drawn kind does not occur, the
    other one takes its place. The pairs are never listed, however many there are.
    """

    def __init__(self, *, size: int = 2048, positives: float | None = 0.5, steps: int = 100) -> None:
        super().__init__(size=size)
        if positives is not None and not 0 <= positives <= 1:
            raise ValueError(f"positives is {positives}; the share of pairs with label 1 is between 0 and 1, or None: as many as there are")
        if steps < 1:
            raise ValueError(f"steps is {steps}; an epoch has at least 1 batch")
        self.positives, self.steps = positives, steps

    def needs(self) -> dict[str, str]:
        return {"labels": "it draws pairs of either label", "pairs": "an example must be one row"}

    def begin_epoch(self, view: EpochView) -> None:
        self.start(view, self._drawn(view, None))  # without a list of all pairs

    def epoch(self, view: EpochView, among: Tensor) -> Iterator[Tensor]:
        return self._drawn(view, among)

    def _drawn(self, view: EpochView, among: Tensor | None) -> Iterator[Tensor]:
        examples, shape = _labelled(view), (self.steps, self.size)
        if self.positives is None:
            drawn = _any(len(examples) if among is None else len(among), shape, view.generator)
            yield from drawn if among is None else among[drawn]
            return
        if among is None:
            ones, zeros = len(examples.pairs), len(examples) - len(examples.pairs)
        else:
            label = examples.label(among.to(examples.pairs.device)).to(among.device) > 0
            one, zero = among[label], among[~label]
            ones, zeros = len(one), len(zero)
        wanted = self._ones(ones, zeros)
        first = _any(ones, (self.steps, wanted), view.generator)
        rest = _any(zeros, (self.steps, self.size - wanted), view.generator)
        if among is None:
            pairs = examples.pairs
            first, rest = pairs[first.to(pairs.device)].cpu(), examples.unlabelled(rest.to(pairs.device)).cpu()
        else:
            first, rest = one[first], zero[rest]
        yield from torch.cat([first, rest], 1)

    def _ones(self, ones: int, zeros: int) -> int:
        """How many pairs of a batch have label 1."""
        assert self.positives is not None
        return round(self.positives * self.size) if ones and zeros else self.size * bool(ones)

    def target_share(self, view: EpochView) -> Tensor:
        """In closed form, as what is drawn over all pairs."""
        examples, items = _labelled(view), view.catalog.num_items
        one = examples.target_counts(examples.pairs, items)
        zero = examples.num_owners - one
        ones, zeros = int(one.sum()), int(zero.sum())
        if self.positives is None:
            return (one + zero) / len(examples)
        wanted = self._ones(ones, zeros)
        return (wanted * one / max(ones, 1) + (self.size - wanted) * zero / max(zeros, 1)) / self.size


def _labelled(view: EpochView) -> LabelledPairs:
    assert isinstance(view.examples, LabelledPairs), "the examples promised labels of all pairs"
    return view.examples


def _any(high: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """int64 of this shape, uniform in [0, high)."""
    return below(torch.full(shape, max(high, 1)), generator)
