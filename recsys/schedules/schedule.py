"""The base of all schedules."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.part import Part


@dataclass(frozen=True)
class Decision:
    """What changes before the next epoch: the learning rates as a multiple of those configured, and whether the best weights so far are
    loaded again."""

    factor: float
    reload_best: bool = False


class Schedule(Part):
    """A subclass writes :meth:`decide`, from its arguments alone: a schedule keeps no state, so a resumed run decides the same."""

    def decide(self, epoch: int, factor: float, epochs_since_change: int) -> Decision:
        """Called after every epoch.

        Args:
            epoch: the epoch that has just ended, from 1.
            factor: the present multiple of the configured learning rates.
            epochs_since_change: validated epochs since the validation metric was best or the factor last changed, whichever is
                later; 0 if this one was the best.
        """
        raise NotImplementedError
