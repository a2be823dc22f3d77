"""Learning-rate schedules, decided after each epoch."""

from recsys.schedules.plateau import PlateauDecay
from recsys.schedules.schedule import Schedule
from recsys.schedules.step_decay import StepDecay

__all__ = ["PlateauDecay", "Schedule", "StepDecay"]
