"""The split that came with the data."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.data.blocks import offsets_of
from recsys.data.events import PARTS, owner_of
from recsys.data.kernels import Mask
from recsys.splitting.splitter import Blockwise, Labeller, Log, Rounded, Shuffle, check_share, place, series


class Predefined(Blockwise):
    """Test events are the publisher's. Validation events too if there are any; else they are carved from the training part.

    Carved from a user log: a random ``validation`` share of every user's training events (numbers that are not whole are rounded at
    random so that the mean is exact); at least one event of the user stays in training. Carved from a session log: the latest
    ``validation`` share of the training sessions, by their last event's time, or by session id when there is no clock.

    Args:
        validation: share of the training part, between 0 and 1.

    Raises:
        ConfigError: a share outside those bounds.
    """

    def __init__(self, *, validation: float = 0.1) -> None:
        check_share(self, "validation", validation)
        self.validation = validation

    def needs(self) -> dict[str, str]:
        return {"predefined": "it keeps the split that came with the data"}

    def labeller(self, log: Log, seed: int) -> Labeller:
        if any((block["part"] == "valid").any() for block in log):
            return lambda block: block["part"].cast(PARTS)
        users = all(owner_of(block.columns) == "user" for block in log)
        return self._of_users(seed) if users else self._of_sessions(log)

    def _of_users(self, seed: int) -> Labeller:
        shuffle, carved = Shuffle(seed, "split", "valid"), Rounded(self.validation, seed, "split", "valid", "round")

        def of(block: pl.DataFrame) -> pl.Series:
            label = block["part"].cast(PARTS).to_physical().to_numpy().astype(np.int8)
            train = label == 0
            _, size, owner = place(block.filter(pl.Series(train)))
            label[train] = shuffle(owner) < np.minimum(carved(size, owner), size - 1)
            return series(label)

        return of

    def _of_sessions(self, log: Log) -> Labeller:
        last, code = [], []
        for block in log:
            train = block.filter(pl.col("part") == "train")
            offsets, sessions = offsets_of(train["session"])
            code.append(sessions)
            last.append(train["time"].to_physical().to_numpy()[offsets[1:] - 1] if "time" in train.columns else np.zeros_like(sessions))
        sessions = np.concatenate(code)
        late = sessions[np.lexsort([sessions, np.concatenate(last)])][len(sessions) - int(len(sessions) * self.validation) :]
        held: Mask = np.zeros(int(sessions.max(initial=0)) + 1, dtype=bool)
        held[late] = True

        def of(block: pl.DataFrame) -> pl.Series:
            label = block["part"].cast(PARTS).to_physical().to_numpy().astype(np.int8)
            train = label == 0
            label[train] = held[block["session"].to_numpy()[train]]
            return series(label)

        return of
