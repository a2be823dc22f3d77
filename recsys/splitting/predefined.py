"""The split that came with the data."""

from __future__ import annotations

import polars as pl

from recsys.data.events import PARTS, clock_of, owner_of
from recsys.splitting.splitter import Splitter, check_share, counts, labels, shuffled


class Predefined(Splitter):
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

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        part = events["part"].cast(PARTS)
        if (part == "valid").any():
            return part
        train = events.filter(part == "train")
        carved = self._of_users(train, seed) if owner_of(events.columns) == "user" else self._of_sessions(train)
        full = events.select(part).with_row_index("row")
        rows = full.filter(part == "train").select("row").with_columns(carved.alias("carved"))
        joined = full.join(rows, on="row", how="left", maintain_order="left")
        return joined.select(pl.coalesce("carved", "part").alias("part"))["part"]

    def _of_users(self, train: pl.DataFrame, seed: int) -> pl.Series:
        frame = shuffled(train, seed, "split", "valid")
        frame = frame.with_columns(counts(frame["size"], frame["user"], self.validation, seed, "split", "valid", "round"))
        held = pl.col("rank") < pl.min_horizontal(pl.col("count"), pl.col("size") - 1)
        return labels(frame, pl.when(held).then(pl.lit("valid", PARTS)).otherwise(pl.lit("train", PARTS)))

    def _of_sessions(self, train: pl.DataFrame) -> pl.Series:
        by = ["last", "session"] if clock_of(train.columns) == "time" else ["session"]
        last = pl.col("time").max() if "last" in by else pl.lit(0)
        sessions = train.group_by("session").agg(last.alias("last")).sort(by)
        held = sessions["session"].tail(int(len(sessions) * self.validation))
        return train.select(
            pl.when(pl.col("session").is_in(held.implode())).then(pl.lit("valid", PARTS)).otherwise(pl.lit("train", PARTS)).alias("part")
        )["part"]
