"""The base of all examples."""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.batch import Batch
from recsys.data.log import Log
from recsys.part import Part


class Examples(Part):
    """What a model reads, made from a training log. An example is one row or several (a session); ``batch`` makes rows of examples.

    After :meth:`load`: ``target``, ``owner`` and ``example`` describe all rows, int64 [rows]; ``len`` is the number of examples.
    They are buffers, so that they move to the training device with the step, but no state of a checkpoint. Examples that compute their
    rows (:class:`recsys.examples.LabelledPairs`) have none of the three.
    """

    target: Tensor
    owner: Tensor
    example: Tensor

    def load(self, log: Log) -> None:
        raise NotImplementedError

    def batch(self, ids: Tensor) -> Batch:
        """ids [B]: each example a group of its own; ids [G, k]: G groups of k examples."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.target)

    def lengths(self) -> Tensor:
        """int64 [len]: the number of rows of each example."""
        return torch.bincount(self.example, minlength=len(self))

    def target_counts(self, ids: Tensor, num_items: int) -> Tensor:
        """float64 [N]: how often each item is the target of a row of these examples; an id counts as often as it is given."""
        times = torch.bincount(ids, minlength=len(self))
        return torch.bincount(self.target, times[self.example].double(), minlength=num_items)

    @staticmethod
    def _rows(ids: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of ``batch(ids)`` and their groups, where an example is one row: int64 [R] each."""
        group = torch.arange(len(ids), device=ids.device)
        return ids.flatten(), group if ids.ndim == 1 else group.repeat_interleave(ids.shape[1])

    def _buffer(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)
