"""Billing periods, counted from an anchor, as expressions over whole columns. Periods are half-open: [start, end).

A grid is an anchor month, a day and a length in months. Period n starts at anchor + n lengths, on the day or the
month's last one; it is never reckoned from the period before, or 31 January would wander (spec/bill_run.md C24).
Months are numbered from the year 0: year * 12 + month - 1.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import polars as pl

MONTHS: Final = {
    "Month": 1,
    "Quarter": 3,
    "Semi_Annual": 6,
    "Annual": 12,
    "Eighteen_Months": 18,
    "Two_Years": 24,
    "Three_Years": 36,
    "Five_Years": 60,
}
"""Lengths of the named billing periods that are whole months."""

_BEFORE_1970: Final = 719_528
"""Days from the beginning of the year 0 to that of 1970."""

_MONTH: Final = 30.436875
"""Days of a month on average, over 400 years."""

_SLACK: Final = 2
"""Days by which months wander around that average, at most."""

_LAST_YEAR: Final = 10_200
"""No date is later than 9999, and no period longer than a century."""


def length_in_months() -> pl.Expr:
    """The length of a charge's billing period; null when it is not a number of months."""
    named = pl.col("billing_period").replace_strict(MONTHS, default=None, return_dtype=pl.Int32)
    specific = pl.col("specific_billing_period").cast(pl.Int32)
    return pl.when(pl.col("billing_period") == "Specific_Months").then(specific).otherwise(named)


def length_in_days() -> pl.Expr:
    """The length of a charge's billing period; null when it is not a number of weeks or days."""
    several = pl.col("specific_billing_period").cast(pl.Int32)
    return (
        pl.when(billing_period="Week").then(pl.lit(7, dtype=pl.Int32))
        .when(billing_period="Specific_Weeks").then(several * 7)
        .when(billing_period="Specific_Days").then(several)
    )  # fmt: skip


def month_of(day: pl.Expr) -> pl.Expr:
    """The number of a date's month: a guess that is right or one too low, and a look at the next month's first day."""
    firsts, _ = _months()
    number = day.cast(pl.Int32)
    guess = ((number + _BEFORE_1970 - _SLACK) / _MONTH).cast(pl.UInt32)
    return guess.cast(pl.Int32) + (pl.lit(firsts).gather(guess + 1) <= number).cast(pl.Int32)


def boundary(month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """The given day of a month, or the month's last day if it is shorter. Looked up, since it is asked most of all."""
    firsts, lengths = _months()
    at = month.cast(pl.UInt32)
    within = pl.min_horizontal(day.cast(pl.Int32), pl.lit(lengths).gather(at))
    return (pl.lit(firsts).gather(at) + within - 1).cast(pl.Date)


@cache
def _months() -> tuple[pl.Series, pl.Series]:
    """First day (as a number) and length in days of every month from the year 0, which has none."""
    firsts = pl.select(pl.date_range(pl.date(1, 1, 1), pl.date(_LAST_YEAR, 12, 1), "1mo")).to_series()
    none = pl.Series([None] * 12, dtype=pl.Int32)
    return pl.concat([none, firsts.cast(pl.Int32)]), pl.concat([none, firsts.dt.month_end().dt.day().cast(pl.Int32)])


def anchor_month(base: pl.Expr, day: pl.Expr) -> pl.Expr:
    """The month of the first bill cycle day on or after the base date."""
    month = month_of(base)
    return month + (boundary(month, day) < base).cast(pl.Int32)


def period_of(date: pl.Expr, anchor: pl.Expr, day: pl.Expr, length: pl.Expr) -> pl.Expr:
    """The number of the period that holds a date; negative before the anchor."""
    n = (month_of(date) - anchor).floordiv(length)
    return n - (boundary(anchor + n * length, day) > date).cast(pl.Int32)
