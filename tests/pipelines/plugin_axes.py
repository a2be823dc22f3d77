"""Small classes in the roles of an experiment, for tests of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from recsys.part import Part

__all__ = [
    "BPR",
    "CSV",
    "MF",
    "Best",
    "Draws",
    "Hard",
    "Loss",
    "Mixed",
    "Model",
    "Plan",
    "Popular",
    "Schedule",
    "Softmax",
    "Source",
    "Steps",
    "Toy",
    "Trick",
]


class Source(Part): ...


class CSV(Source):
    def __init__(self, path: Path, *, columns: Mapping[str, str] | None = None, separator: str = ",") -> None:
        super().__init__()
        self.path, self.columns, self.separator = path, columns, separator


class Model(Part): ...


class Popular(Model): ...


class MF(Model):
    def __init__(self, *, dim: int = 64, bias: bool = False, scale: float | None = None, kind: Literal["dot", "cosine"] = "dot") -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim={dim}: at least 1")
        self.dim, self.bias, self.scale, self.kind = dim, bias, scale, kind


class Draws(Part): ...


class Trick(Draws):
    def __init__(self, *, num: int = 1, power: float = 0.0) -> None:
        super().__init__()
        self.num, self.power = num, power


class Best(Draws):
    def __init__(self, *, k: int, base: Draws) -> None:
        super().__init__()
        self.k, self.base = k, base


class Hard(Best): ...


class Mixed(Draws):
    def __init__(self, *, parts: dict[str, Draws], share: tuple[float, float] = (0.5, 0.5)) -> None:
        super().__init__()
        self.parts, self.share = parts, share


class Loss(Part): ...


class BPR(Loss): ...


class Softmax(Loss):
    def __init__(self, *, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature


class Schedule(Part): ...


class Steps(Schedule):
    def __init__(self, *, at: Sequence[int] = (10,), gamma: float = 0.1) -> None:
        super().__init__()
        self.at, self.gamma = at, gamma


class Plan:
    def __init__(self, *, epochs: int = 1, lr: float = 0.1, clip: float | None = None, schedule: Schedule | None = None) -> None:
        self.epochs, self.lr, self.clip, self.schedule = epochs, lr, clip, schedule


class Toy:
    """An experiment of stand-ins."""

    def __init__(
        self,
        *,
        data: Source,
        model: Model,
        sampler: Draws | None = None,
        loss: Loss | None = None,
        plan: Plan | None = None,
        metrics: list[str] | None = None,
        label: str | None = None,
        seed: int = 0,
    ) -> None:
        self.data, self.model, self.sampler, self.loss, self.plan = data, model, sampler, loss, plan
        self.metrics, self.label, self.seed = metrics, label, seed
