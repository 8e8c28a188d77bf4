"""Percentage discounts: what is taken off rounded amounts, in order (spec/bill_run.md M2 to M4, P16, P17).

A discount applies to a regular line of its rate plan, subscription or account whose first service day lies within it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.money import AMOUNT, WIDE

if TYPE_CHECKING:
    from billfold.rating.amounts import Money

_LEVELS: Final = {
    "rateplan": ("subscription_number", "rate_plan_name"),
    "subscription": ("subscription_number",),
    "account": ("subscriber",),
}
"""What a discount shares with the lines that it reduces; also the order in which levels apply."""

_OF_LINES: Final = (
    "line", "amount", "currency", "charge_type", "service_start_date", "subscription_number", "rate_plan_name",
    "subscriber",
)  # fmt: skip
_OF_STEPS: Final = (
    "line", "charge_number", "segment", "charge_name", "percentage", "is_stacked", "off_of", "percent", "wide", "off",
)  # fmt: skip
_HUNDRED: Final = pl.lit(100, dtype=WIDE)


def discounts_on(
    lines: pl.DataFrame, discounts: pl.DataFrame, money: Money, only: pl.DataFrame | None = None
) -> pl.DataFrame:
    """A row a line and discount, in the order in which they apply: line, charge_number, segment, charge_name, amount.

    `lines` have line (a number), amount (rounded), currency, charge_type, service_start_date, subscription_number,
    rate_plan_name and subscriber (the account that owns the subscription). Amounts are negative; percentages below
    zero, which add something, make positive ones. With `only`, pairs of line, charge_number and segment, no others
    count.
    """
    steps = discount_steps(lines, discounts, money, only)
    return steps.select("line", "charge_number", "segment", "charge_name", amount=-pl.col("off"))


def discount_steps(
    lines: pl.DataFrame, discounts: pl.DataFrame, money: Money, only: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The same with how each amount comes about: `percentage`, what it is taken of (`off_of`), and `off`.

    Of stacked discounts `percent` is what all up to this one take together; of others, their own percentage. `wide` is
    that share before rounding.
    """
    applied = _applied(lines, discounts, only)
    if applied.is_empty():
        return _no_steps(applied).drop("nth")
    stacked = _stacked(applied.filter("is_stacked"), money)
    taken = stacked.group_by("line").agg(taken=pl.col("off").sum().cast(WIDE))
    rest = applied.filter(~pl.col("is_stacked")).join(taken, on="line", how="left", maintain_order="left")
    compound = _compound(rest, money)
    return pl.concat([stacked, compound]).sort("line", "nth").drop("nth")


def _applied(lines: pl.DataFrame, discounts: pl.DataFrame, only: pl.DataFrame | None) -> pl.DataFrame:
    """Which discounts apply to which lines, numbered in order (`nth`) per line, the stacked ones first."""
    positive = lines.filter(pl.col("amount") > 0).select(_OF_LINES)
    level = pl.coalesce("discount_level", pl.lit("subscription"))
    met = [
        positive.join(discounts.filter(level == name).with_columns(rank=pl.lit(n)), on=shared, nulls_equal=True)
        .filter(
            pl.col("start") <= pl.col("service_start_date"),
            (pl.col("service_start_date") < pl.col("end")).fill_null(value=True),
            pl.col("apply_discount_to").is_null()
            | pl.col("apply_discount_to").str.contains(pl.col("charge_type").str.to_uppercase(), literal=True),
        )
        .select(
            "line", "currency", "rank", "start",
            off_of=pl.col("amount").cast(WIDE), charge_number="discount_charge", segment="discount_segment",
            charge_name="discount_name", percentage="percentage", klass="discount_class",
            is_stacked="is_stacked_discount",
        )
        for n, (name, shared) in enumerate(_LEVELS.items())
    ]  # fmt: skip
    number = pl.col("klass").cast(pl.Float64, strict=False)
    together = pl.concat(met)
    if only is not None:
        together = together.join(only, on=["line", "charge_number", "segment"], how="semi", maintain_order="left")
    order = together.with_columns(
        unstacked=~pl.col("is_stacked"), number=number, name=pl.when(number.is_null()).then("klass")
    )
    by = ["line", "unstacked", "number", "name", "rank", "charge_number", "segment"]
    ordered = order.sort(by, descending=[c in {"number", "name"} for c in by], nulls_last=True)
    return ordered.with_columns(nth=pl.int_range(pl.len()).over("line"))


def _stacked(applied: pl.DataFrame, money: Money) -> pl.DataFrame:
    """Stacked discounts add up before they are taken: each takes what all up to it take together, less the others."""
    together = pl.min_horizontal(pl.col("percentage").cum_sum().over("line").cast(WIDE), _HUNDRED)
    wide = applied.with_columns(percent=together, wide=pl.col("off_of") * together / _HUNDRED)
    so_far = wide.with_columns(so_far=money.rounded(pl.col("wide")))
    off = (pl.col("so_far") - pl.col("so_far").shift(1).over("line").fill_null(0)).cast(AMOUNT)
    return so_far.with_columns(off=off).select("nth", *_OF_STEPS)


def _compound(applied: pl.DataFrame, money: Money) -> pl.DataFrame:
    """Other discounts one after the other, each of what the ones before it have left; a pass for each place."""
    done = []
    place = pl.int_range(pl.len()).over("line")
    waiting = applied.with_columns(
        place=place, left=pl.col("off_of") - pl.col("taken").fill_null(0)
    )  # fmt: skip
    while waiting.height:
        first = pl.col("place") == 0
        wide = pl.max_horizontal("left", pl.lit(0, dtype=WIDE)) * pl.col("percentage").cast(WIDE) / _HUNDRED
        now = waiting.filter(first).with_columns(wide=wide)
        now = now.with_columns(off=money.rounded(pl.col("wide")))
        percent = pl.col("percentage").cast(WIDE)
        done.append(now.with_columns(off_of="left", percent=percent).select("nth", *_OF_STEPS))
        rest = waiting.filter(~first).join(now.select("line", "off"), on="line", how="left", maintain_order="left")
        waiting = rest.with_columns(place=pl.col("place") - 1, left=pl.col("left") - pl.col("off").cast(WIDE)).drop(
            "off"
        )
    return pl.concat(done) if done else _no_steps(applied)


def _no_steps(applied: pl.DataFrame) -> pl.DataFrame:
    """Steps of no discounts."""
    none = {"percent": pl.lit(None, dtype=WIDE), "wide": pl.lit(None, dtype=WIDE), "off": pl.lit(None, dtype=AMOUNT)}
    return applied.with_columns(**none).select("nth", *_OF_STEPS)
