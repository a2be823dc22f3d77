from __future__ import annotations

from recsys.schedules.schedule import Decision, Schedule


class PlateauDecay(Schedule):
    """Multiply the learning rate by ``factor`` when the validation metric has not improved for ``patience`` validated epochs.

    ``reload_best``: go back to the best weights so far when that happens (the step decay with reload-best of SimpleX, Mao et al. 2021).
    The optimiser keeps its moments. ``floor``: the least multiple of the configured rate.
    """

    def __init__(self, *, factor: float = 0.1, patience: int = 1, reload_best: bool = True, floor: float = 1e-4) -> None:
        super().__init__()
        if not 0 < factor < 1:
            raise ValueError(f"factor is {factor}; a decay lies between 0 and 1")
        if patience < 1:
            raise ValueError(f"patience is {patience}; at least 1 epoch without improvement")
        self.factor, self.patience, self.reload_best, self.floor = factor, patience, reload_best, floor

    def decide(self, epoch: int, factor: float, epochs_since_change: int) -> Decision:
        if epochs_since_change < self.patience or factor <= self.floor:
            return Decision(factor)
        return Decision(max(factor * self.factor, self.floor), self.reload_best)
