"""A run that kills itself with SIGKILL at a stated point.

``python interrupted.py FOLDER CACHE POINT``, POINT being ``phase:step`` or ``none``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from recsys import Evaluation, Experiment, Fit
from recsys.batching import ByUser
from recsys.data.sources import Simulated
from recsys.losses import Softmax
from recsys.models import MF
from recsys.optimizers import Adam, LazyAdam
from recsys.sampling import InBatch, Mix, Popularity, TopK, Unseen
from recsys.schedules import PlateauDecay
from recsys.splitting import LastN


def experiment(lazy: bool = False) -> Experiment:
    return Experiment(
        data=Simulated(users=150, items=80, clicks=3000),
        split=LastN(),
        model=MF(dim=8, bias=True),
        sampler=TopK(Mix({"unseen": Unseen(6), "batch": InBatch(), "popular": Popularity(3, per="batch")}), k=5),
        loss=Softmax(),
        batches=ByUser(size=128, positives=2),
        fit=Fit(
            epochs=6,
            optimizer=LazyAdam(lr=0.05) if lazy else Adam(lr=0.05),
            schedule=PlateauDecay(factor=0.5, patience=1),
            clip=1.0,
            patience=4,
            checkpoint_seconds=0,
            device="cpu",
        ),
        evaluation=Evaluation(metrics=["recall@10"], select="ndcg@10"),
        seed=3,
    )


class Stop:
    """Ends the run, by ``end``, at the n-th step of a phase, or as the phase begins (n = 0)."""

    def __init__(self, point: str, end: Any) -> None:
        phase, _, step = point.partition(":")
        self.at, self.end, self.now, self.count = (phase, int(step or 0)), end, "", 0

    def phase(self, name: str, epochs: int) -> None:
        self.now, self.count = name, 0
        self._maybe()

    def step(self, epoch: int, step: int, steps: int, loss: float, rows: int) -> None:
        self.count += 1
        self._maybe()

    def epoch(self, record: Mapping[str, Any]) -> None: ...

    def say(self, text: str) -> None: ...

    def _maybe(self) -> None:
        if (self.now, self.count) == self.at:
            self.end()


if __name__ == "__main__":
    folder, cache, point = sys.argv[1:]
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    stop = Stop(point, lambda: os.kill(os.getpid(), signal.SIGKILL))
    experiment().run(folder, progress=stop, resume=True, cache=Path(cache))
