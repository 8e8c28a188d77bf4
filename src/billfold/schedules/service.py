"""The days that items serve: they follow from how much of a unit is billed in all (docs/schedules.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.periods import boundary, month_of
from billfold.schedules.units import UNIT

if TYPE_CHECKING:
    from collections.abc import Mapping

_THIRTY: Final = 30


def served(parts: pl.DataFrame, units: pl.DataFrame, settings: Mapping[str, str]) -> pl.DataFrame:
    """Parts of units with service_start_date and service_end_date, both inclusive.

    Parts have what the item takes (`taken`) and what was billed `before`, both of the unit's total `net`.
    """
    told = parts.join(
        units.select(*UNIT, "first", "until", "months", "of_months", "is_once"), on=UNIT, maintain_order="left"
    )
    day, is_part = _reached(pl.col("before"), settings)
    end, _ = _reached(pl.col("before") + pl.col("taken"), settings)
    begun = told.with_columns(reached=day, is_part=is_part, end=end).with_columns(
        begin=pl.when("is_part").then(pl.col("reached").dt.offset_by("-1d")).otherwise("reached")
    )
    last = pl.min_horizontal(pl.col("end").dt.offset_by("-1d"), pl.col("until").dt.offset_by("-1d"))
    return begun.with_columns(
        service_start_date=pl.when("is_once").then("first").otherwise("begin"),
        service_end_date=pl.when("is_once").then("first").otherwise(pl.max_horizontal(last, "begin")),
    ).drop("reached", "is_part", "end", "begin", "first", "until", "months", "of_months", "is_once")


def _reached(billed: pl.Expr, settings: Mapping[str, str]) -> tuple[pl.Expr, pl.Expr]:
    """Up to which day, exclusive, an amount lasts; and whether the day before it is used in part only.

    Whole months first, then the fraction of the days of the month that comes next; a day that is begun counts.
    """
    number = pl.Int128
    months, of = billed * pl.col("months").cast(number), pl.col("net") * pl.col("of_months").cast(number)
    whole, rest = (months // of).cast(pl.Int32), months % of
    month, day = month_of(pl.col("first")) + whole, pl.col("first").dt.day()
    start, following = boundary(month, day), boundary(month + 1, day)
    actual = (following - start).dt.total_days()
    counted = (actual if settings["month_basis"] == "actual" else pl.lit(_THIRTY, dtype=pl.Int64)).cast(number)
    days = rest * counted
    begun = (days % of != 0).cast(number)
    used = pl.min_horizontal((days // of + begun).cast(pl.Int64), actual)
    reached = (start.cast(pl.Int32) + used.cast(pl.Int32)).cast(pl.Date)
    return reached, begun == 1
