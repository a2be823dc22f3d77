"""A batch: R rows to learn from. A row is one observed event to predict; padding never leaves the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """R rows in G groups.

    ``target`` int64 [R]: the item to predict. ``owner`` int64 [R]: the user or session of the row. ``group`` int64 [R]: the slot of
    the row's example in this batch; ``groups``: their number G (a `take` may leave some empty). ``row`` int64 [R]: id in the
    training set. ``inputs``: what the model reads, known to the model and its examples alone. ``label`` [R] or None: all rows
    are positives. ``weight`` float [R] or None. ``context`` int64 [P] and ``context_group`` [P]: the items shown to the model,
    for samplers that draw from them.
    """

    target: Tensor
    owner: Tensor
    group: Tensor
    row: Tensor
    groups: int
    inputs: Mapping[str, Tensor]
    label: Tensor | None = None
    weight: Tensor | None = None
    context: Tensor | None = None
    context_group: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: Tensor) -> Batch:
        """The given rows of every [R] field; the inputs stay whole (they were read before)."""
        return replace(
            self,
            target=self.target[rows],
            owner=self.owner[rows],
            group=self.group[rows],
            row=self.row[rows],
            label=None if self.label is None else self.label[rows],
            weight=None if self.weight is None else self.weight[rows],
        )

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name, for a dump."""
        fields = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return {**fields, **{f"inputs.{name}": value for name, value in self.inputs.items()}}
