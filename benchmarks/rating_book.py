"""A made-up book of charges of all models and of usage, of any size: the same arguments give the same rows.

Nearly every charge owes one item up to `TARGET`; about one in a hundred owes one more on the day after. Rows are
expressions over their numbers, written a row group at a time, so that ten million charges need little memory.

An account has two subscriptions and ten charges on average, a subscription five rows of charges in a row: two of the
five may be the segments of one charge, and the last is the usage charge.
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks.generate import (
    CHARGES,
    TARGET,
    WHALES,
    Maker,
    Table,
    account_columns,
    money,
    named,
    on_day,
    sequence_sets,
    subscription_columns,
    tier_lists,
    write,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUBSCRIPTIONS: Final = 2
"""An account's, on average."""

_FIVE: Final = CHARGES // _SUBSCRIPTIONS
_FIRST, _SECOND, _USAGE = 2, 3, 4
"""Places among a subscription's five: of what may be two segments of one charge, and of its usage charge."""

_MONTH: Final = TARGET.year * 12 + TARGET.month - 1
_START_MONTH: Final = 2012 * 12
"""The first subscriptions start here, before any charge."""

_PERIODS: Final = {"Month": 75, "Quarter": 10, "Semi_Annual": 5, "Annual": 9, "Week": 1}
_MONTHS: Final = {"Month": 1, "Quarter": 3, "Semi_Annual": 6, "Annual": 12, "Week": 1}
_DAY_TYPES: Final = {"SpecificDayofMonth": 15, "SubscriptionStartDay": 5, "TermStartDay": 5, "ChargeTriggerDay": 10}
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MODELS: Final = {
    "OneTime": {"FlatFee": 50, "PerUnit": 30, "Volume": 10, "Tiered": 10},
    "Recurring": {"FlatFee": 40, "PerUnit": 36, "Volume": 12, "Tiered": 12},
    "Usage": {"PerUnit": 40, "Volume": 15, "Tiered": 15, "Overage": 15, "TieredWithOverage": 10, "FlatFee": 5},
    "Discount": {"DiscountPercentage": 100},
}
_LISTS: Final = 25
"""Lists of tiers that end open, and as many that do not: fifty in all."""

_UOMS: Final = ("Call", "GB")
"""Units of usage; the two subscriptions of an account use one each, so that a record without a charge finds it."""


def tables(charges: int, usage: int, seed: int) -> dict[str, Table]:
    """The input tables of a book with so many rows of charges and of usage."""
    accounts = max(charges // CHARGES, 1)
    make = Maker(accounts, seed, _SUBSCRIPTIONS)
    subscriptions = accounts * _SUBSCRIPTIONS
    return {
        "accounts": Table(accounts, lambda rows: rows.select(**account_columns(make))),
        "subscriptions": Table(subscriptions, lambda rows: _subscriptions(make, rows)),
        "rate_plan_charges": Table(subscriptions * _FIVE, lambda rows: _charges(make, rows)),
        "usage": Table(usage, lambda rows: _usage(make, rows, subscriptions)),
        "sequence_sets": Table(1, sequence_sets),
    }


def _subscriptions(make: Maker, rows: pl.LazyFrame) -> pl.LazyFrame:
    row = pl.col("row")
    start = on_day(_START_MONTH + make.roll(row, "start", 12), _subscription_day(make, row))
    termed = make.chance(row, "termed", 50)
    terms = {
        "contract_effective_date": start,
        "subscription_start_date": start,
        "term_start_date": start,
        "term_type": pl.when(termed).then(pl.lit("TERMED")).otherwise(pl.lit("EVERGREEN")),
        "term_end_date": pl.when(termed).then(pl.lit(date(2032, 1, 1))),
    }
    return rows.select(**{**subscription_columns(make), **terms})


def _subscription_day(make: Maker, subscription: pl.Expr) -> pl.Expr:
    """A day that every month has, so that the start itself has it."""
    return pl.min_horizontal(make.cycle_day(subscription), 28)


def _charges(make: Maker, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Charge segments. Both segments of a charge are made from the number of the first, `charge`, except how much."""
    row = pl.col("row")
    place, first = row % _FIVE, row - (row % _FIVE == _SECOND).cast(pl.Int64)
    two = place.is_in([_FIRST, _SECOND]) & make.chance(first, "two segments", 10)
    return (
        rows.with_columns(two=two, subscription=row // _FIVE, place=place)
        .with_columns(charge=pl.when("two").then(first).otherwise(row), second=pl.col("two") & (place == _SECOND))
        .with_columns(kind=_kind(make))
        .with_columns(model=_by_kind(make, _MODELS), **_grid(make))
        .with_columns(**_due_period(make))
        .with_columns(change=pl.col("due") + pl.duration(days=1 + make.roll(pl.col("charge"), "change", 27)))
        .select(**_columns(make), **_prices(make), **_dates(make))
    )


def _kind(make: Maker) -> pl.Expr:
    charge = pl.col("charge")
    return (
        pl.when(pl.col("place") == _USAGE).then(pl.lit("Usage"))
        .when("two").then(pl.lit("Recurring"))
        .when(make.roll(charge, "discount", 1_000) < 26).then(pl.lit("Discount"))  # noqa: PLR2004 - 2 % of all
        .when(make.chance(charge, "once", 6)).then(pl.lit("OneTime"))
        .otherwise(pl.lit("Recurring"))
    )  # fmt: skip


def _by_kind(make: Maker, choices: Mapping[str, Mapping[str, int]]) -> pl.Expr:
    picked = [pl.when(kind=kind).then(make.pick(pl.col("charge"), kind, c)) for kind, c in choices.items()]
    return pl.coalesce(picked)


def _grid(make: Maker) -> dict[str, pl.Expr]:
    """Period, day and timing of recurring and usage charges; `lately` begun ones start off their day."""
    charge, subscription, usage = pl.col("charge"), pl.col("subscription"), pl.col("kind") == "Usage"
    longer = pl.when("two").then(pl.lit("Month")).otherwise(make.pick(charge, "period", _PERIODS))
    period = pl.when(usage).then(pl.lit("Month")).when(pl.col("kind") == "Recurring").then(longer)
    day_type = make.pick(charge, "day type", _DAY_TYPES).fill_null("DefaultFromCustomer")
    own = make.cycle_day(charge)
    day = (
        pl.when(day_type == "SpecificDayofMonth").then(own)
        .when(day_type == "ChargeTriggerDay").then(pl.min_horizontal(own, 28))
        .when(day_type == "DefaultFromCustomer").then(make.cycle_day(make.owner_of(subscription)))
        .otherwise(_subscription_day(make, subscription))
    )  # fmt: skip
    can_be_off = (pl.col("kind") == "Recurring") & ~pl.col("two") & (day_type != "ChargeTriggerDay")
    return {
        "period": period,
        "length": period.replace_strict(_MONTHS, default=1, return_dtype=pl.Int64),
        "in_week": (period == "Week").fill_null(value=False),
        "day_type": pl.when(period == "Week").then(pl.lit("SpecificDayofWeek")).otherwise(day_type),
        "day": day,
        "weekday": make.roll(charge, "weekday", 7),
        "in_arrears": usage | make.chance(charge, "arrears", 25),
        "lately": can_be_off & (period != "Week") & make.chance(charge, "lately", 5),
        "before": make.roll(charge, "periods before", 12),
    }


def _due_period(make: Maker) -> dict[str, pl.Expr]:
    """The last boundary up to `TARGET` and the first day of the period that is due for it, and of the first one."""
    length, day = pl.col("length"), pl.col("day")
    month = _MONTH - (on_day(pl.lit(_MONTH), day) > TARGET).cast(pl.Int64)
    phase = pl.when("lately").then(0).otherwise(make.roll(pl.col("charge"), "phase", 12) % length)
    periods = pl.col("in_arrears").cast(pl.Int64)
    monday = pl.lit(TARGET - timedelta(days=TARGET.weekday()))
    weekday = pl.col("weekday") - pl.when(pl.col("weekday") > TARGET.weekday()).then(7).otherwise(0)

    def starts(ago: pl.Expr) -> pl.Expr:
        of_week = monday + pl.duration(days=weekday - 7 * ago)
        return pl.when("in_week").then(of_week).otherwise(on_day(month - phase - ago * length, day))

    off = on_day(month, day) - pl.duration(days=1 + make.roll(pl.col("charge"), "days before", 27))
    start = pl.when("lately").then(off).otherwise(starts(periods + pl.col("before")))
    return {"due": starts(periods), "begun": start}


def _columns(make: Maker) -> dict[str, pl.Expr]:
    row, charge, kind = pl.col("row"), pl.col("charge"), pl.col("kind")
    weekdays = dict(enumerate(_WEEKDAYS))
    to_discount = {"RECURRING": 30, "ONETIMERECURRINGUSAGE": 10}
    at_subscription = (pl.col("period") == "Month") & make.chance(charge, "aligned", 20)
    return {
        "charge_number": named("R", charge),
        "segment": pl.col("second").cast(pl.Int64) + 1,
        "subscription_number": named("S", pl.col("subscription")),
        "rate_plan_name": make.pick(charge, "plan", {"Basic": 50, "Team": 30, "Enterprise": 20}),
        "charge_name": make.pick(charge, "name", {"Platform": 40, "Seats": 40, "Support": 20}),
        "charge_type": pl.when(kind == "Discount").then(pl.lit("Recurring")).otherwise(kind),
        "charge_model": pl.col("model"),
        "billing_period": pl.col("period"),
        "billing_timing": pl.when("in_arrears").then(pl.lit("IN_ARREARS")).otherwise(pl.lit("IN_ADVANCE")),
        "bill_cycle_type": pl.col("day_type"),
        "bill_cycle_day": pl.when(day_type="SpecificDayofMonth").then("day"),
        "weekly_bill_cycle_day": pl.when("in_week").then(pl.col("weekday").replace_strict(weekdays)),
        "billing_period_alignment": pl.when(at_subscription).then(pl.lit("AlignToSubscriptionStart")),
        "discount_percentage": pl.when(kind == "Discount").then(money((make.roll(row, "off", 6) + 1) * 50_000)),
        "discount_level": pl.when(kind == "Discount").then(
            make.pick(charge, "level", {"rateplan": 34, "subscription": 33, "account": 33})
        ),
        "apply_discount_to": pl.when(kind == "Discount").then(make.pick(charge, "reduces", to_discount)),
        "is_stacked_discount": (kind == "Discount") & make.chance(charge, "stacked", 20),
    }


def _prices(make: Maker) -> dict[str, pl.Expr]:
    row, model, usage = pl.col("row"), pl.col("model"), pl.col("kind") == "Usage"
    counted = model.is_in(["PerUnit", "Volume", "Tiered"]) & ~usage
    overage = model.is_in(["Overage", "TieredWithOverage"])
    unit_price, of_list = make.roll(row, "unit price", 100_000) + 1, make.roll(row, "tiers", _LISTS)
    base = pl.when(pl.col("period") == "Week").then(pl.lit("Per_Week")).otherwise(pl.lit("Per_Month"))
    uom = (pl.col("subscription") % _SUBSCRIPTIONS).replace_strict(dict(enumerate(_UOMS)))
    return {
        "price": pl.when(model == "FlatFee").then(money(make.roll(row, "fee", 5_000) * 100 + 999))
        .when(model == "PerUnit").then(money(unit_price)),
        "quantity": pl.when(counted).then(money((make.roll(row, "units", 2_000) + 1) * 10_000)),
        "uom": pl.when(usage).then(uom).when(counted).then(pl.lit("Seat")),
        "included_units": pl.when(model == "Overage").then(money(make.roll(row, "included", 20) * 1_000_000)),
        "overage_price": pl.when(overage).then(money(unit_price)),
        "tiers": pl.when(model.is_in(["Volume", "Tiered"])).then(of_list.replace_strict(tier_lists(_LISTS)))
        .when(model == "TieredWithOverage").then(of_list.replace_strict(tier_lists(_LISTS, is_open=False))),
        "list_price_base": pl.when(make.chance(row, "base", 20) & pl.col("period").is_not_null()).then(base),
    }  # fmt: skip


def _dates(make: Maker) -> dict[str, pl.Expr]:
    """What every kind has been through: most were billed elsewhere up to the period that is due."""
    charge, kind, second = pl.col("charge"), pl.col("kind"), pl.col("second")
    once = pl.lit(TARGET) - pl.duration(days=make.roll(charge, "day of sale", 30))
    in_period = 1 + make.roll(charge, "last day", 27) % pl.when("in_week").then(6).otherwise(27)
    ends = (kind == "Recurring") & ~pl.col("two") & ~pl.col("lately") & make.chance(charge, "ends", 3)
    billed = kind.is_in(["Recurring", "Usage"]) & ~second & ~pl.col("lately") & (pl.col("before") > 0)
    return {
        "effective_start_date": pl.when(second).then("change")
        .when(kind == "OneTime").then(once)
        .when(kind == "Discount").then(pl.lit(date(2020, 1, 1)))
        .otherwise("begun"),
        "effective_end_date": pl.when(pl.col("two") & ~second).then("change")
        .when(ends).then(pl.col("due") + pl.duration(days=in_period)),
        "charged_through_date": pl.when(billed).then("due"),
    }  # fmt: skip


def _usage(make: Maker, rows: pl.LazyFrame, subscriptions: int) -> pl.LazyFrame:
    """Records in turn for every usage charge. Nine in ten name it; the others say the unit, and whose it was."""
    row, subscription = pl.col("row"), pl.col("row") % subscriptions
    account = make.account_of(subscription)
    names = make.pick(row, "names", {"charge": 90, "subscription": 5})
    # A large account has many usage charges of one unit.
    names = names.fill_null(pl.when(account < max(make.accounts // 100, WHALES)).then(pl.lit("charge")))
    return rows.select(
        usage_id=named("U", row),
        account_number=named("A", account),
        subscription_number=pl.when(names == "subscription").then(named("S", subscription)),
        charge_number=pl.when(names == "charge").then(named("R", subscription * _FIVE + _USAGE)),
        uom=(subscription % _SUBSCRIPTIONS).replace_strict(dict(enumerate(_UOMS))),
        quantity=money(make.roll(row, "used", 5_000_000) + 1),
        start_date=pl.lit(TARGET) - pl.duration(days=1 + make.roll(row, "day of use", 30)),
    )


def main() -> None:
    """Write the tables as Parquet files."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--charges", type=int, default=1_000_000)
    parser.add_argument("--usage", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write(arguments.folder, tables(arguments.charges, arguments.usage, arguments.seed))


if __name__ == "__main__":
    main()
