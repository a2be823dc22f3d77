"""Recommendation lists from elsewhere: a table of queries, items and scores or ranks, as lists of item codes."""

from __future__ import annotations

import polars as pl
import torch
from torch import Tensor

from recsys.data.log import Holdout
from recsys.errors import RecsysError


def lists_of(table: pl.DataFrame, holdout: Holdout, items: pl.Series) -> Tensor:
    """int32 [Q, K]: the list of every query of the holdout, best first, -1 past its end; queries that the table does not have get none.

    Args:
        table: the columns that identify a query (as ``holdout.query`` has them), ``item``, and ``rank`` (from the smallest) or ``score``
            (from the largest); where scores are equal, the order of the table counts. Queries that the holdout has not are left out.
        items: the original id of each item code.

    Raises:
        RecsysError: a column is missing, or an item is not known from training.
    """
    keys = holdout.query.columns
    order = next((name for name in ("rank", "score") if name in table.columns), None)
    if missing := [name for name in (*keys, "item") if name not in table.columns]:
        raise RecsysError(f"the lists have no column {missing[0]}; needed are {', '.join(keys)}, item, and rank or score")
    if order is None:
        raise RecsysError("the lists have neither a column rank nor a column score, so nothing says which item comes first")
    known = pl.DataFrame({"item": items, "code": pl.int_range(len(items), eager=True)})
    asked = holdout.query.with_columns(pl.int_range(len(holdout), eager=True).alias("query"))
    given = table.select(*(pl.col(name).cast(asked.schema[name], strict=False) for name in keys), pl.col("item"), pl.col(order))
    given = given.with_columns(pl.col("item").cast(items.dtype, strict=False).alias("id"))
    given = given.join(asked, on=keys, how="inner", maintain_order="left").join(
        known, left_on="id", right_on="item", how="left", maintain_order="left"
    )
    if len(unknown := given.filter(pl.col("code").is_null())):
        first = unknown["item"][0]
        raise RecsysError(
            f"{len(unknown):,} of {len(given):,} recommended items are not known from training, such as {first!r}; what no model may "
            "recommend is no part of a list: leave it out, or check that ids are those of the data"
        )
    if given.is_empty():
        raise RecsysError(f"no row of the lists belongs to a test query; check the column{'s' if len(keys) > 1 else ''} {', '.join(keys)}")
    placed = given.sort("query", order, descending=[False, order == "score"], maintain_order=True)
    row = torch.from_numpy(placed["query"].cast(pl.Int64).to_numpy().copy())
    number = torch.bincount(row, minlength=len(holdout))
    column = torch.arange(len(row)) - (number.cumsum(0) - number)[row]
    lists = torch.full((len(holdout), int(number.max())), -1, dtype=torch.int32)
    lists[row, column] = torch.from_numpy(placed["code"].cast(pl.Int32).to_numpy().copy())
    return lists
