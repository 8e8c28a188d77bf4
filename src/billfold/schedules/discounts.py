"""Gross lines of schedules and the discounts on them: each adds up to its own total, cent by cent, over all items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from billfold.money import WIDE
from billfold.schedules.units import UNIT

if TYPE_CHECKING:
    from billfold.rating.amounts import Money


def gross(money: Money) -> pl.Expr:
    """What a line says before discounts: of parts with `before` and `taken`, of units with totals `gross` and `net`."""
    until = pl.col("before") + pl.col("taken")
    up_to = pl.when(until == pl.col("net")).then("gross").otherwise(_share(pl.col("gross"), until, money))
    plain = (pl.col("gross") == pl.col("net")) | (pl.col("net") == 0)
    return pl.when(plain).then("taken").otherwise(up_to - _share(pl.col("gross"), pl.col("before"), money))


def discounts_on_parts(parts: pl.DataFrame, discounts: pl.DataFrame, money: Money) -> pl.DataFrame:
    """A row a part and discount on it, with `off`, what it takes off the part's `line`; all together, all that is off.

    Parts are numbered by `of`. Each discount has its share, by percentage, of what is off the unit in all, and each
    item has of that what it takes of the unit; the last discount takes the cents.
    """
    met = parts.join(discounts, on=UNIT, maintain_order="left").filter(pl.col("line") != pl.col("taken"))
    so_far = pl.col("percentage").cum_sum().over("of").cast(WIDE) / pl.col("percentage").sum().over("of").cast(WIDE)
    in_all = ((pl.col("gross") - pl.col("net")).cast(WIDE) * so_far).round(0, mode="half_away_from_zero")
    totals = met.with_columns(until=in_all.cast(pl.Int128)).with_columns(
        total=pl.col("until") - pl.col("until").shift(1).over("of").fill_null(0)
    )
    after = _share(pl.col("total"), pl.col("before") + pl.col("taken"), money)
    own = totals.with_columns(
        own=after - _share(pl.col("total"), pl.col("before"), money),
        is_last=pl.int_range(pl.len()).over("of") == pl.len().over("of") - 1,
    )
    others = pl.col("own").filter(~pl.col("is_last")).sum().over("of")
    rest = pl.col("line") - pl.col("taken") - others
    return own.with_columns(off=pl.when("is_last").then(rest).otherwise("own"))


def _share(total: pl.Expr, billed: pl.Expr, money: Money) -> pl.Expr:
    """The part of a unit's total that belongs to what is billed of its net, set to the currency's increment."""
    step = pl.col("currency").replace_strict(money.steps(), return_dtype=pl.Int128)
    net = pl.when(pl.col("net") == 0).then(1).otherwise("net").cast(pl.Int128)
    return (2 * total * billed + net * step) // (2 * net * step) * step
