"""What share of a billing period a part of it is, as whole numbers: a numerator and a denominator.

Rows have a period [period_start, period_end), the part [service_start, service_end) that is owed, and their grid:
grid_day and length (periods.py). Months of a period are the grid's, not the calendar's (spec/bill_run.md P1 to P8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.periods import boundary, month_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_MONTH: Final = 30
"""Days of every month under the two assumptions of 30 days."""


def share(settings: Mapping[str, str]) -> tuple[pl.Expr, pl.Expr]:
    """Numerator and denominator of the part's share of its period, never more than one.

    A month is prorated by days; a longer period month by month, or by days if `long_period_proration` says so.
    """
    basis = settings["month_basis"]
    numerator, denominator = _by_months(basis)
    if settings["long_period_proration"] == "by_day":
        used, whole = _by_days(basis)
        longer = pl.col("length") > 1
        numerator = pl.when(longer).then(used).otherwise(numerator)
        denominator = pl.when(longer).then(whole).otherwise(denominator)
    return numerator.cast(pl.Int64), denominator.cast(pl.Int64)


def _by_days(basis: str) -> tuple[pl.Expr, pl.Expr]:
    """Days used of the period's days; the days used are actual ones under every basis (P6)."""
    actual = days(pl.col("period_start"), pl.col("period_end"))
    whole = actual if basis == "actual" else _MONTH * pl.col("length").cast(pl.Int64)
    return pl.min_horizontal(days(pl.col("service_start"), pl.col("service_end")), whole), whole


def _by_months(basis: str) -> tuple[pl.Expr, pl.Expr]:
    """Whole months of the grid, and the parts of the first and of the last one (P1 to P5)."""
    start, end = pl.col("service_start"), pl.col("service_end")
    first, last = _grid_month(start), _grid_month(end.dt.offset_by("-1d"))
    day, length = pl.col("grid_day"), pl.col("length").cast(pl.Int64)
    one = first == last
    used, of = _of_month(basis, start, pl.min_horizontal(end, boundary(first + 1, day)), first)
    used_last, of_last = _of_month(basis, pl.max_horizontal(start, boundary(last, day)), end, last)
    between = (last - first - 1).cast(pl.Int64)
    months = between * of * of_last + used * of_last + used_last * of
    return pl.when(one).then(used).otherwise(months), length * pl.when(one).then(of).otherwise(of * of_last)


def _grid_month(date: pl.Expr) -> pl.Expr:
    """The month, by number, in which the grid's month that holds a date begins."""
    month = month_of(date)
    return month - (boundary(month, pl.col("grid_day")) > date).cast(pl.Int32)


def _of_month(basis: str, start: pl.Expr, end: pl.Expr, month: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Days of [start, end) within one month of the grid, and that month's days."""
    day = pl.col("grid_day")
    used, actual = days(start, end), days(boundary(month, day), boundary(month + 1, day))
    if basis == "actual":
        return used, actual
    counted = used if basis == "actual_360" else _days_of_thirty(start, end.dt.offset_by("-1d"))
    whole = used == actual
    return pl.when(whole).then(_MONTH).otherwise(pl.min_horizontal(counted, _MONTH)), pl.lit(_MONTH, dtype=pl.Int64)


def days(start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Days from a date up to another, exclusive."""
    return (end - start).dt.total_days()


def _days_of_thirty(first: pl.Expr, last: pl.Expr) -> pl.Expr:
    """Days from first to last, inclusive, where every month has 30; a month's last day counts as its 30th (P3)."""
    from_day = pl.min_horizontal(first.dt.day().cast(pl.Int64), _MONTH)
    is_end = last == last.dt.month_end()
    to_day = pl.when(is_end).then(_MONTH).otherwise(pl.min_horizontal(last.dt.day().cast(pl.Int64), _MONTH))
    return (month_of(last) - month_of(first)).cast(pl.Int64) * _MONTH + to_day - from_day + 1
