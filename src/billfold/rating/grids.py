"""The two kinds of billing grids, months and days, as expressions over charges (spec/bill_run.md C17 to C26).

`Months` has columns anchor (a month's number), grid_day and length (in months); `Days` has anchor (days since 1970)
and length (in days). Period n is anchor + n lengths, half-open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from billfold.money import WIDE
from billfold.periods import anchor_month, boundary, length_in_days, length_in_months, period_of
from billfold.proration import days, share

if TYPE_CHECKING:
    from collections.abc import Mapping

_WEEK: Final = 7
_WEEKDAYS: Final = {
    "Monday": 1, "Tuesday": 2, "Wednesday": 3, "Thursday": 4, "Friday": 5, "Saturday": 6, "Sunday": 7,
}  # fmt: skip
_START_OF: Final = ("SubscriptionStartDay", "ChargeTriggerDay", "TermStartDay", "TermEndDay")


def _subscription_start() -> pl.Expr:
    return pl.coalesce("subscription_start_date", "contract_effective_date", "first_start")


def _term_start() -> pl.Expr:
    return pl.coalesce("term_start_date", _subscription_start())


def _base() -> pl.Expr:
    """The date that the grid is anchored on; null where a charge is aligned to a term that has no end."""
    return (
        pl.when(billing_period_alignment="AlignToSubscriptionStart").then(_subscription_start())
        .when(billing_period_alignment="AlignToTermStart").then(_term_start())
        .when(billing_period_alignment="AlignToTermEnd").then("term_end_date")
        .otherwise("first_start")
    )  # fmt: skip


def _named_day() -> pl.Expr:
    """The date whose day of the month, or of the week, periods begin on; null for the other cycle types."""
    return (
        pl.when(bill_cycle_type="SubscriptionStartDay").then(_subscription_start())
        .when(bill_cycle_type="ChargeTriggerDay").then("first_start")
        .when(bill_cycle_type="TermStartDay").then(_term_start())
        .when(bill_cycle_type="TermEndDay").then("term_end_date")
    )  # fmt: skip


class Months:
    """Periods of whole months, on one day of the month."""

    @staticmethod
    def holds() -> pl.Expr:
        """Charges that have this grid, and whose price base it can reckon with."""
        known_base = pl.col("list_price_base").is_in(["Per_Billing_Period", "Per_Month"])
        return length_in_months().is_not_null() & known_base & _base().is_not_null() & Months._day().is_not_null()

    @staticmethod
    def _day() -> pl.Expr:
        return (
            pl.when(bill_cycle_type="DefaultFromCustomer").then("account_bill_cycle_day")
            .when(bill_cycle_type="SpecificDayofMonth").then("bill_cycle_day")
            .when(pl.col("bill_cycle_type").is_in(_START_OF)).then(_named_day().dt.day().cast(pl.Int64))
        )  # fmt: skip

    @staticmethod
    def of(charges: pl.DataFrame) -> pl.DataFrame:
        """Charges with the columns of their grid; `multiplier` is how many prices a whole period costs."""
        gridded = charges.with_columns(grid_day=Months._day(), length=length_in_months())
        monthly = pl.when(list_price_base="Per_Month").then("length").otherwise(1)
        return gridded.with_columns(anchor=anchor_month(_base(), pl.col("grid_day")), multiplier=monthly.cast(WIDE))

    @staticmethod
    def number_of(date: pl.Expr) -> pl.Expr:
        """The number of the period that holds a date."""
        return period_of(date, pl.col("anchor"), pl.col("grid_day"), pl.col("length"))

    @staticmethod
    def start_of(number: pl.Expr) -> pl.Expr:
        """The first day of a period."""
        return boundary(pl.col("anchor") + number * pl.col("length"), pl.col("grid_day"))

    @staticmethod
    def share(settings: Mapping[str, str]) -> tuple[pl.Expr, pl.Expr]:
        """What [service_start, service_end) is of [period_start, period_end)."""
        return share(settings)


class Days:
    """Periods of weeks or days (spec/bill_run.md C22; P7)."""

    @staticmethod
    def holds() -> pl.Expr:
        """Charges that have this grid, and whose price base it can reckon with."""
        weekly = (pl.col("list_price_base") == "Per_Week") & (pl.col("billing_period") != "Specific_Days")
        known_base = (pl.col("list_price_base") == "Per_Billing_Period") | weekly
        known_day = (pl.col("billing_period") == "Specific_Days") | Days._weekday().is_not_null()
        return length_in_days().is_not_null() & known_base & _base().is_not_null() & known_day

    @staticmethod
    def _weekday() -> pl.Expr:
        named = pl.col("weekly_bill_cycle_day").replace_strict(_WEEKDAYS, default=None, return_dtype=pl.Int8)
        return (
            pl.when(bill_cycle_type="DefaultFromCustomer").then(_base().dt.weekday())
            .when(bill_cycle_type="SpecificDayofWeek").then(named)
            .when(pl.col("bill_cycle_type").is_in(_START_OF)).then(_named_day().dt.weekday())
        )  # fmt: skip

    @staticmethod
    def of(charges: pl.DataFrame) -> pl.DataFrame:
        """Charges with the columns of their grid; `multiplier` is how many prices a whole period costs."""
        base, length = _base().cast(pl.Int32), length_in_days()
        ahead = (Days._weekday().cast(pl.Int32) - _base().dt.weekday().cast(pl.Int32)) % _WEEK
        weeks = pl.when(list_price_base="Per_Week").then(length // _WEEK).otherwise(1)
        return charges.with_columns(
            grid_day=pl.lit(None, dtype=pl.Int64),
            length=length,
            anchor=base + pl.when(billing_period="Specific_Days").then(0).otherwise(ahead),
            multiplier=weeks.cast(WIDE),
        )

    @staticmethod
    def number_of(date: pl.Expr) -> pl.Expr:
        """The number of the period that holds a date."""
        return (date.cast(pl.Int32) - pl.col("anchor")).floordiv(pl.col("length"))

    @staticmethod
    def start_of(number: pl.Expr) -> pl.Expr:
        """The first day of a period."""
        return (pl.col("anchor") + number * pl.col("length")).cast(pl.Date)

    @staticmethod
    def share(_: Mapping[str, str]) -> tuple[pl.Expr, pl.Expr]:
        """Days of [service_start, service_end) of the period's days."""
        return days(pl.col("service_start"), pl.col("service_end")), pl.col("length").cast(pl.Int64)


Grid: TypeAlias = "type[Months | Days]"

GRIDS: Final[tuple[Grid, ...]] = (Months, Days)
"""Every kind of grid; a charge that none of them holds can't be rated."""


def is_gridded() -> pl.Expr:
    """Whether a charge has a grid that can be reckoned with."""
    return pl.any_horizontal(grid.holds() for grid in GRIDS).fill_null(value=False)
