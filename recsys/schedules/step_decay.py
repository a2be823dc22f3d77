from __future__ import annotations

from recsys.schedules.schedule import Decision, Schedule


class StepDecay(Schedule):
    """Multiply the learning rate by ``factor`` every ``epochs`` epochs."""

    def __init__(self, *, epochs: int = 10, factor: float = 0.1) -> None:
        super().__init__()
        if epochs < 1:
            raise ValueError(f"epochs is {epochs}; the rate changes after at least 1 epoch")
        if not factor > 0:
            raise ValueError(f"factor is {factor}; it must be above 0")
        self.epochs, self.factor = epochs, factor

    def decide(self, epoch: int, factor: float, epochs_since_change: int) -> Decision:
        return Decision(factor=self.factor ** (epoch // self.epochs))
