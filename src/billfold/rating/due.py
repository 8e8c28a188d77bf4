"""What is due: one row a billing period, or part of one, that a charge owes and was not billed for.

Rows carry what the charge's price depends on, `row` (which charge), [service_start, service_end), numerator and
denominator (their share of the period), is_part, and multiplier (prices a whole period costs). A charge's other
columns stay behind: copying them through every step would take most of a run's memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.money import WIDE
from billfold.rating.grids import GRIDS, is_gridded
from billfold.rating.spans import serves, since

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from billfold.rating.grids import Grid

BOUGHT: Final = ("FlatFee", "PerUnit", "Volume", "Tiered")
USED: Final = (*BOUGHT, "Overage", "TieredWithOverage", "PreratedPerUnit", "PreratedPricing")
_OF_CHARGES: Final = (
    "row", "owner", "charge_number", "segment", "currency", "charge_type", "charge_model", "price", "quantity", "uom",
    "included_units", "overage_price", "tiers",
)  # fmt: skip
_OF_PERIODS: Final = ("service_start", "service_end", "numerator", "denominator", "is_part", "multiplier")
FOR_GRIDS: Final = (
    "billing_period", "specific_billing_period", "billing_timing", "bill_cycle_type", "bill_cycle_day",
    "weekly_bill_cycle_day", "billing_period_alignment", "list_price_base", "account_bill_cycle_day",
    "subscription_start_date", "contract_effective_date", "term_start_date", "term_end_date", "first_start", "start",
    "end", "through", "here",
)  # fmt: skip
_OF_GRIDS: Final = ("anchor", "grid_day", "length", "multiplier", "first", "last", "since", "end")


def is_usage() -> pl.Expr:
    """Whether a charge is for what was used."""
    return pl.col("charge_type") == "Usage"


def is_ratable() -> pl.Expr:
    """Whether there are rules for a charge of this kind."""
    models = (
        pl.when(is_usage()).then(pl.col("charge_model").is_in(USED)).otherwise(pl.col("charge_model").is_in(BOUGHT))
    )
    return models & ((pl.col("charge_type") == "OneTime") | is_gridded())


def may_owe(target: date | None = None) -> pl.Expr:
    """Charges that have begun by the target date, or may begin some day, and were not billed to their end."""
    unfinished = pl.col("through").is_null() | pl.col("end").is_null() | (pl.col("through") < pl.col("end"))
    once = pl.col("through").is_null() | (~pl.col("here") & (pl.col("through") <= pl.col("start")))
    open_ = pl.when(pl.col("charge_type") == "OneTime").then(once).otherwise(unfinished)
    begun = serves() if target is None else serves() & (pl.col("start") <= target)
    return begun & open_


def due(charges: pl.DataFrame, target: date, settings: Mapping[str, str]) -> pl.DataFrame:
    """Every period of the charges that is due up to the target date, inclusive (C11 to C15)."""
    open_ = charges.select(*_OF_CHARGES, *FOR_GRIDS).filter(may_owe(target) & is_ratable())
    of_type = pl.col("charge_type") == "OneTime"
    recurring = open_.filter(~of_type)
    parts = [_once(open_.filter(of_type))]
    parts += [_of_grid(grid, recurring.filter(grid.holds()), target, settings) for grid in GRIDS]
    return pl.concat(parts)


def _once(charges: pl.DataFrame) -> pl.DataFrame:
    """One-time charges, owed on the day that triggers them (C14)."""
    return charges.with_columns(
        service_start="start",
        service_end=pl.col("start").dt.offset_by("1d"),
        numerator=pl.lit(1, dtype=pl.Int64),
        denominator=pl.lit(1, dtype=pl.Int64),
        is_part=pl.lit(value=False),
        multiplier=pl.lit(1, dtype=WIDE),
    ).select(*_OF_CHARGES, *_OF_PERIODS)


def _of_grid(grid: Grid, charges: pl.DataFrame, target: date, settings: Mapping[str, str]) -> pl.DataFrame:
    """Periods that are due, and what of them their segment covers; shares are reckoned for the parts only."""
    in_arrears = (pl.col("billing_timing") == "IN_ARREARS") | is_usage()
    at_target = grid.number_of(pl.lit(target)) - in_arrears.cast(pl.Int32)
    at_end = grid.number_of(pl.col("end").dt.offset_by("-1d"))
    ended = (pl.col("end") <= target).fill_null(value=False)
    periods = (
        grid.of(charges)
        .with_columns(since=since())
        .filter((pl.col("since") <= target) | in_arrears)
        .with_columns(
            first=grid.number_of(pl.col("since")),
            last=pl.when(ended).then(at_end).otherwise(pl.min_horizontal(at_target, at_end)),
        )
        .filter(pl.col("last") >= pl.col("first"))
        .select(*_OF_CHARGES, *_OF_GRIDS)
        .with_columns(n=pl.int_ranges("first", pl.col("last") + 1, dtype=pl.Int32))
        .explode("n")
        .with_columns(period_start=grid.start_of(pl.col("n")), period_end=grid.start_of(pl.col("n") + 1))
        .with_columns(
            service_start=pl.max_horizontal("period_start", "since"),
            service_end=pl.min_horizontal("period_end", "end"),
        )
    )
    whole = (pl.col("service_start") == pl.col("period_start")) & (pl.col("service_end") == pl.col("period_end"))
    is_part = ~(whole | (is_usage() & (pl.col("charge_model") != "FlatFee")))
    return _with_shares(periods.with_columns(is_part=is_part), grid, settings).select(*_OF_CHARGES, *_OF_PERIODS)


def _with_shares(periods: pl.DataFrame, grid: Grid, settings: Mapping[str, str]) -> pl.DataFrame:
    """Periods with their numerator and denominator. Shares take long to reckon, and few periods are parts."""
    one = pl.lit(1, dtype=pl.Int64)
    if not periods["is_part"].any():
        return periods.with_columns(numerator=one, denominator=one)
    numerator, denominator = grid.share(settings)
    entire, parts = periods.filter(~pl.col("is_part")), periods.filter("is_part")
    return pl.concat(
        [
            entire.with_columns(numerator=one, denominator=one),
            parts.with_columns(numerator=numerator, denominator=denominator),
        ]
    )


def next_due(charges: pl.DataFrame) -> pl.Series:
    """The first target date after this run on which each charge may owe something; null for never.

    `through` must already be how far they are billed after the run.
    """
    known = charges.select("charge_type", "excess", *FOR_GRIDS)
    once = pl.col("charge_type") == "OneTime"
    # A charge without a grid can't be rated: it is looked at, and parks its account, from its start on.
    at = known.select(pl.when(once | ~is_gridded()).then("start"))["start"]
    for grid in GRIDS:
        gridded = known.select((grid.holds() & ~once).fill_null(value=False))[:, 0]
        if gridded.any():
            theirs = known.with_columns(billing_period=pl.when(gridded).then("billing_period"))
            at = _first_day(grid, theirs).zip_with(gridded, at)
    # What was billed too much of usage stays, and of one-time charges it is given back by this very run or never.
    over = (pl.col("through") > pl.col("excess")).fill_null(value=False) & (pl.col("charge_type") == "Recurring")
    last = pl.date(9999, 12, 31)  # databases know no later day
    at = at.alias("at").to_frame().select(pl.when(pl.col("at") <= last).then("at"))["at"]
    return charges.with_columns(at=at).select(
        pl.when(over).then("excess").when(may_owe()).then("at").alias("next_due_date")
    )["next_due_date"]


def _first_day(grid: Grid, charges: pl.DataFrame) -> pl.Series:
    """The first day on which more of a charge is due that has a billing period of this grid."""
    period_end = grid.start_of(grid.number_of(since()) + 1)
    in_arrears = (pl.col("billing_timing") == "IN_ARREARS") | is_usage()
    starts = pl.when(in_arrears).then(pl.min_horizontal(period_end, "end")).otherwise(since())
    return grid.of(charges).select(at=starts)["at"]
