"""What schedules bill: the units of their charges, with days, months and totals (docs/schedules.md, "Amounts").

A unit is a charge, or those consecutive segments of it that have one price. Amounts are whole numbers of 1/10,000 of
the currency (`SCALE`), so that shares can be reckoned without losing anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.money import AMOUNT, WIDE
from billfold.periods import boundary, length_in_months, month_of
from billfold.rating.amounts import shared
from billfold.rating.models import with_whole_amounts
from billfold.rating.usage import without_usage
from billfold.schedules.spill import spilled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.rating.amounts import Money

SCALE: Final = 10_000
CHARGE: Final = ["invoice_schedule_number", "charge_number"]
UNIT: Final = [*CHARGE, "unit"]
_THIRTY: Final = 30
_PRICED_BY: Final = (
    "price", "quantity", "tiers", "charge_model", "list_price_base", "billing_period", "specific_billing_period",
)  # fmt: skip
_OF_PIECES: Final = (
    *_PRICED_BY, "charge_type", "rate_plan_name", "subscription_number", "currency", "included_units", "overage_price",
)  # fmt: skip
_BASES: Final = {"Per_Month": 1, "Per_Year": 12}


@dataclass(frozen=True)
class Units:
    """Units of the charges of some schedules.

    `units` have CHARGE, unit (from 0), position, first and until (exclusive), months (`of_months` of them make one),
    net and gross (in 1/10,000), exact (`WIDE`), is_once and trouble. `pieces` are their segments: UNIT, segment, first.
    `discounts` are UNIT, discount_charge, discount_segment, discount_name, percentage.
    """

    units: pl.DataFrame
    pieces: pl.DataFrame
    discounts: pl.DataFrame


def units_of(links: pl.DataFrame, charges: pl.DataFrame, discounts: pl.DataFrame, money: Money) -> Units:
    """Units of the charges in `links` (rows of invoice_schedule_charges).

    `charges` are their segments with spans and a currency, `discounts` those that may reduce them.
    """
    pieces = _pieces(links, charges)
    spans = _with_months(_spans(pieces), money.settings)
    off = _discounts(spans, discounts)
    totals = _totals(_with_exact(spans, off), money)
    return Units(totals, pieces.select(*UNIT, "segment", "first"), off)


def months_between(first: pl.Expr, until: pl.Expr, settings: Mapping[str, str]) -> tuple[pl.Expr, pl.Expr]:
    """Months from a day up to another, as a numerator and a denominator: a part of a month counts by its days."""
    month, day = month_of(first), first.dt.day()
    whole = month_of(until) - month
    whole -= (boundary(month + whole, day) > until).cast(pl.Int32)
    start, following = boundary(month + whole, day), boundary(month + whole + 1, day)
    of = (following - start).dt.total_days() if settings["month_basis"] == "actual" else pl.lit(_THIRTY, pl.Int64)
    rest = pl.min_horizontal((until - start).dt.total_days(), of)
    return whole.cast(pl.Int64) * of + rest, of


def ten_thousandths(amount: pl.Expr) -> pl.Expr:
    """An `AMOUNT` as a whole number of 1/10,000."""
    return (amount.cast(pl.Decimal(38, 4)) * SCALE).cast(pl.Int128)


def negative(number: pl.Expr) -> pl.Expr:
    """A whole number with the other sign; Polars has no minus for numbers of this size."""
    return pl.lit(0, dtype=pl.Int128) - number


def amounts(number: pl.Expr) -> pl.Expr:
    """Whole numbers of 1/10,000 as an `AMOUNT`; null where one does not fit."""
    return (number.cast(pl.Decimal(38, 4)) / SCALE).cast(AMOUNT, strict=False)


def _pieces(links: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """Segments of the charges within the days that their schedule covers, numbered by unit."""
    once = pl.col("charge_type") == "OneTime"
    met = (
        links.select(*CHARGE, "position", "from_date", "through_date")
        .join(charges.select("charge_number", "segment", "start", "end", *_OF_PIECES), on="charge_number")
        .with_columns(
            is_once=once,
            first=pl.when(once).then("start").otherwise(pl.max_horizontal("start", "from_date")),
            until=pl.when(once & (pl.col("end").is_null() | (pl.col("end") > pl.col("start"))))
            .then(pl.col("start").dt.offset_by("1d"))
            .when(~once).then(pl.min_horizontal("end", "through_date")),
        )
        .filter(pl.col("first") < pl.col("until"))
        .sort(*CHARGE, "first", "segment")
    )  # fmt: skip
    before = {c: pl.col(c).shift(1).over(CHARGE) for c in (*_PRICED_BY, "until")}
    differs = pl.any_horizontal(pl.col(c).ne_missing(before[c]) for c in _PRICED_BY)
    new = (differs | (pl.col("first") != before["until"]) | pl.col("is_once")).fill_null(value=True)
    numbered = met.with_columns(is_new=new | ~pl.int_range(pl.len()).over(CHARGE).cast(pl.Boolean))
    return numbered.with_columns(unit=(pl.col("is_new").cast(pl.Int32).cum_sum().over(CHARGE) - 1))


def _spans(pieces: pl.DataFrame) -> pl.DataFrame:
    """One row a unit, with what its first segment says."""
    return pieces.group_by(UNIT, maintain_order=True).agg(
        pl.col("position", "is_once", "first", "from_date", "through_date", *_OF_PIECES).first(),
        pl.col("until").last(),
    )


def _with_months(spans: pl.DataFrame, settings: Mapping[str, str]) -> pl.DataFrame:
    """Adds the months of the unit, and those of the span that its price is for (as fractions of whole numbers)."""
    months, of = months_between(pl.col("first"), pl.col("until"), settings)
    covered, covered_of = months_between(pl.col("from_date"), pl.col("through_date"), settings)
    whole = (pl.col("list_price_base") == "Per_Validity_Period") | (
        (pl.col("list_price_base") == "Per_Billing_Period") & (pl.col("billing_period") == "Subscription_Term")
    )
    base = pl.col("list_price_base").replace_strict(_BASES, default=None, return_dtype=pl.Int64)
    named = (
        pl.when(list_price_base="Per_Billing_Period").then(length_in_months().cast(pl.Int64))
        .when(list_price_base="Per_Specific_Months").then(pl.col("specific_billing_period").cast(pl.Int64))
        .otherwise(base)
    )  # fmt: skip
    one = pl.lit(1, dtype=pl.Int64)
    return spans.with_columns(
        months=pl.when("is_once").then(one).otherwise(months),
        of_months=pl.when("is_once").then(one).otherwise(of),
        base=pl.when("is_once").then(one).when(whole).then(covered).otherwise(named),
        of_base=pl.when(whole & ~pl.col("is_once")).then(covered_of).otherwise(one),
    )


def _discounts(spans: pl.DataFrame, discounts: pl.DataFrame) -> pl.DataFrame:
    """Percentages taken off units: those in force on the unit's first day, of its rate plan or subscription."""
    level = pl.coalesce("discount_level", pl.lit("subscription"))
    told = spans.select(*UNIT, "first", "charge_type", "subscription_number", "rate_plan_name")
    met = [
        told.join(discounts.filter(level == name), on=shared_by, nulls_equal=True)
        .filter(
            pl.col("start") <= pl.col("first"),
            (pl.col("first") < pl.col("end")).fill_null(value=True),
            pl.col("apply_discount_to").is_null()
            | pl.col("apply_discount_to").str.contains(pl.col("charge_type").str.to_uppercase(), literal=True),
        )
        .select(*UNIT, "discount_charge", "discount_segment", "discount_name", "percentage")
        for name, shared_by in (
            ("rateplan", ["subscription_number", "rate_plan_name"]), ("subscription", ["subscription_number"]),
        )
    ]  # fmt: skip
    return pl.concat(met).sort(*UNIT, "discount_charge", "discount_segment")


def _with_exact(spans: pl.DataFrame, off: pl.DataFrame) -> pl.DataFrame:
    """Adds what a unit costs in all, before rounding: `gross`, and `exact`, net of its discounts (both `WIDE`)."""
    sums = off.group_by(UNIT).agg(percent=pl.col("percentage").sum().cast(WIDE))
    priced = with_whole_amounts(without_usage(spans.with_columns(multiplier=pl.lit(1, dtype=WIDE))))
    costing = priced.join(sums, on=UNIT, how="left", maintain_order="left").with_columns(
        gross=shared(pl.col("whole"), pl.col("months") * pl.col("of_base"), pl.col("base") * pl.col("of_months")),
        percent=pl.min_horizontal(pl.col("percent").fill_null(0), pl.lit(100, dtype=WIDE)),
    )
    unknown = pl.when(pl.col("base").is_null()).then(
        pl.format("a price {} can't be reckoned to months", "list_price_base")
    )
    large = pl.when(pl.col("gross").is_null()).then(pl.lit("its amount is too large"))
    return costing.with_columns(
        exact=pl.col("gross") * (pl.lit(100, dtype=WIDE) - pl.col("percent")) / pl.lit(100, dtype=WIDE),
        trouble=pl.coalesce("trouble", unknown, large),
    )


def _totals(units: pl.DataFrame, money: Money) -> pl.DataFrame:
    """Units with rounded totals. The last priced charge takes the cents that charges differ by from the schedule."""
    whole = units.group_by("invoice_schedule_number", "currency").agg(exact=pl.col("exact").sum().cast(WIDE))
    of_schedule = whole.select("invoice_schedule_number", in_all=ten_thousandths(money.rounded(pl.col("exact"))))
    rounded = units.with_columns(
        net=ten_thousandths(money.rounded(pl.col("exact"))).fill_null(0),
        gross=ten_thousandths(money.rounded(pl.col("gross"))).fill_null(0),
    ).sort("invoice_schedule_number", "position", "unit")
    summed = rounded.join(of_schedule, on="invoice_schedule_number", maintain_order="left").with_columns(
        rest=pl.col("in_all") - pl.col("net").sum().over("invoice_schedule_number"), order=-pl.int_range(pl.len())
    )
    room = pl.when(pl.col("net") == 0).then(0).when(pl.col("rest") > 0).then(pl.col("rest")).otherwise("net")
    given = spilled(summed.with_columns(room=room), ["invoice_schedule_number"])
    plain = pl.col("gross") == pl.col("net")
    return given.with_columns(
        net=pl.col("net") + pl.col("given"),
        gross=pl.when(plain).then(pl.col("gross") + pl.col("given")).otherwise("gross"),
    ).select(
        *UNIT, "position", "first", "until", "months", "of_months", "net", "gross", "exact", "is_once", "trouble",
        "currency", "subscription_number",
    )  # fmt: skip
