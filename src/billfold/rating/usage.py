"""What was used: records matched to charges, summed per charge and period (spec/bill_run.md C13, P18, M7, M8).

A record names its charge, or is found by unit of measure among the usage charges of its subscription or account that
serve on its day. It belongs to the period that holds its start date.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.money import AMOUNT_LIMIT, PRICE, WIDE, WIDE_LIMIT
from billfold.rating.spans import serves, with_spans
from billfold.rows import collected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.lines import Carriers

RECORD: Final = (
    "usage_id", "account_number", "subscription_number", "charge_number", "uom", "quantity", "unit_rate", "total",
    "start_date",
)  # fmt: skip
_DECIMALS: Final = "uom_decimals."
_ROUNDING: Final = "uom_rounding."
_STEPS: Final = 9
_MEASURES: Final = {"units": PRICE, "records": pl.UInt32(), "rated_total": WIDE, "without_rate": pl.UInt32()}


Rivals = Callable[[], pl.LazyFrame]
"""Gives all usage charges with their subscriptions' dates; a record without a charge finds its own among them."""


@dataclass(frozen=True)
class Used:
    """Periods with their usage: units, records, rated_total, without_rate, `ambiguous` (a record that fits several).

    `processed` has a row a record that they rate: usage_id and the period's charge, segment and service_start.
    """

    periods: pl.DataFrame
    processed: pl.DataFrame


def with_usage(periods: pl.DataFrame, subscribers: pl.Series, carriers: Carriers, settings: Mapping[str, str]) -> Used:
    """Periods [service_start, service_end) of usage charges with what was used in them.

    `subscribers` are the accounts whose subscriptions have the charges.
    """
    numbered = periods.with_row_index("period")
    first, end = periods.select(pl.col("service_start").min(), pl.col("service_end").max()).row(0)
    told = pl.col("charge_number").is_in(periods["charge_number"].unique().implode())
    untold = pl.col("charge_number").is_null() & pl.col("account_number").is_in(subscribers.implode())
    window = collected(carriers.usage(first, end).select(RECORD).filter(told | untold))
    records = with_charges(_unbilled(window, carriers), carriers.usage_charges)
    found = _placed(records, numbered)
    sums = found.group_by("period").agg(
        units=pl.col("quantity").sum(),
        records=pl.len(),
        rated_total=pl.when(_rated_total().null_count() == _has_no_rate().sum()).then(_rated_total().sum()),
        without_rate=_has_no_rate().sum(),
        ambiguous=pl.col("usage_id").filter(pl.col("is_ambiguous")).min(),
    )
    joined = numbered.join(sums, on="period", how="left", maintain_order="left").drop("period")
    measured = joined.with_columns(
        units=_rounded_units(settings, periods["uom"].unique().to_list()),
        records=pl.col("records").fill_null(0),
        without_rate=pl.col("without_rate").fill_null(0),
    )
    rated = found.select("usage_id", "account", "charge_number", "segment", service_start_date="service_start")
    return Used(measured, rated)


def _unbilled(records: pl.DataFrame, carriers: Carriers) -> pl.DataFrame:
    """Records that were not billed. One that names its charge can't have been, since each period is billed once."""
    untold = records.filter(pl.col("charge_number").is_null())["usage_id"]
    billed = carriers.processed(untold) if untold.len() else untold
    return records.filter(~pl.col("usage_id").is_in(billed.implode())) if billed.len() else records


def without_usage(periods: pl.DataFrame) -> pl.DataFrame:
    """Periods of charges that rate what was bought: `units` is their quantity."""
    return periods.with_columns(
        pl.col("quantity").alias("units"),
        *(pl.lit(None, dtype=t).alias(c) for c, t in _MEASURES.items() if c != "units"),
        ambiguous=pl.lit(None, dtype=pl.String),
    )


def with_charges(records: pl.DataFrame, rivals: Rivals) -> pl.DataFrame:
    """Records with the charge that rates them; one that fits several has a row for each and `is_ambiguous`.

    Records that fit none are left out: they wait.
    """
    told = records.filter(pl.col("charge_number").is_not_null()).with_columns(is_ambiguous=pl.lit(value=False))
    untold = records.filter(pl.col("charge_number").is_null()).drop("charge_number")
    if untold.is_empty():
        return told
    wanted = untold["account_number"].unique().implode()
    concerned = collected(rivals().filter(pl.col("subscriber").is_in(wanted)).with_columns(billed_through=None))
    serving = with_spans(concerned.with_columns(pl.col("billed_through").cast(pl.Date))).filter(serves()).select(
        "uom", "charge_number", "start", "end", account_number="subscriber", of="subscription_number"
    )  # fmt: skip
    fitting = (
        untold.join(serving, on=["account_number", "uom"], maintain_order="left")
        .filter(
            (pl.col("start") <= pl.col("start_date")) & (pl.col("end") > pl.col("start_date")).fill_null(value=True),
            (pl.col("subscription_number") == pl.col("of")).fill_null(value=True),
        )
        .unique(["usage_id", "charge_number"], maintain_order=True)
        .with_columns(is_ambiguous=pl.len().over("usage_id") > 1)
    )
    return pl.concat([told, fitting.select(told.columns)])


def _placed(records: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """Records with the number, account and dates of the period that holds their start date."""
    known = periods.select(
        "period", "charge_number", "segment", "service_start", "service_end", account="owner", model="charge_model"
    ).sort("service_start")
    inside = pl.col("start_date") < pl.col("service_end")
    dated = records.sort("start_date", maintain_order=True)
    if known.select((pl.col("service_start") < pl.col("service_end").shift().over("charge_number")).any()).item():
        # Segments that overlap: of those that hold a record, the last one rates it.
        begun = pl.col("service_start") <= pl.col("start_date")
        held = dated.join(known, on="charge_number", maintain_order="left_right").filter(begun, inside)
        return held.unique(["usage_id", "charge_number"], keep="last", maintain_order=True)
    # Each charge's periods are in order, and none overlaps: the last one that began by then is the only candidate.
    return dated.join_asof(
        known, left_on="start_date", right_on="service_start", by="charge_number", strategy="backward",
        check_sortedness=False, coalesce=False,
    ).filter(inside)  # fmt: skip


def _has_no_rate() -> pl.Expr:
    """Whether a record lacks the rate or total that its pre-rated charge needs."""
    per_unit = pl.col("model") == "PreratedPerUnit"
    return pl.when(per_unit).then(pl.col("unit_rate").is_null()).otherwise(pl.col("total").is_null())


def _rated_total() -> pl.Expr:
    """What a pre-rated record costs: its total, or its rate times its quantity; null where that is too large."""
    quantity, rate, total = pl.col("quantity"), pl.col("unit_rate"), pl.col("total")
    fits = (quantity.cast(pl.Float64) * rate.cast(pl.Float64)).abs() < float(AMOUNT_LIMIT)
    product = pl.when(fits).then(quantity).otherwise(0).cast(WIDE) * pl.when(fits).then(rate).cast(WIDE)
    whole = pl.when(total.cast(pl.Float64).abs() < float(AMOUNT_LIMIT)).then(total).cast(WIDE)
    return pl.when(pl.col("model") == "PreratedPerUnit").then(product).otherwise(whole)


def _rounded_units(settings: Mapping[str, str], present: list[str | None]) -> pl.Expr:
    """The summed quantity, rounded to its unit of measure; units without a setting keep all nine decimals."""
    small = pl.col("units").cast(pl.Float64).abs() < float(WIDE_LIMIT)
    units = (
        pl.when(pl.col("units").is_null())
        .then(pl.lit(0, dtype=WIDE))
        .when(small)
        .then(pl.col("units").cast(WIDE, strict=False))
    )
    rounded: pl.Expr = units
    for uom in sorted(u for u in present if u is not None and _DECIMALS + u in settings):
        factor = pl.lit(10 ** int(settings[_DECIMALS + uom]), dtype=WIDE)
        fits = units.cast(pl.Float64).abs() * 10 ** int(settings[_DECIMALS + uom]) < float(WIDE_LIMIT)
        steps = pl.when(fits).then(units) * factor
        down = settings.get(_ROUNDING + uom, "up") == "down"
        whole = (
            (pl.when(steps < 0).then(steps.ceil()).otherwise(steps.floor()))
            if down
            else (pl.when(steps < 0).then(steps.floor()).otherwise(steps.ceil()))
        )
        rounded = pl.when(pl.col("uom") == uom).then(whole / factor).otherwise(rounded)
    return rounded.cast(PRICE, strict=False)
