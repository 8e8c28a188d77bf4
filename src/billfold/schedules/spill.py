"""Cents that rounding leaves over, or takes too many: given to rows in order, as far as each has room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence


def spilled(rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Adds `given`: what each row gets of its group's `rest`, which may be negative.

    Rows have `rest` (one value a group), `room` (how much they can take or give, not negative) and `order`.
    """
    before = (pl.col("room").cum_sum() - pl.col("room")).over(by, order_by="order")
    size = (pl.col("rest").abs() - before).clip(0, None)
    return rows.with_columns(given=pl.min_horizontal(size, "room") * pl.col("rest").sign())
