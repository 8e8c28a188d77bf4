"""Amounts of lines: the share of a whole amount, rounded once (docs/rating.md, "How much")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from billfold.money import WIDE, WIDE_LIMIT, increment, rounded
from billfold.rating.models import with_whole_amounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Money:
    """How amounts are rounded: the book's settings, and the currencies that can occur."""

    settings: Mapping[str, str]
    currencies: Sequence[str]

    def rounded(self, wide: pl.Expr) -> pl.Expr:
        """A `WIDE` amount set to its row's currency; null where it does not fit an amount."""
        return rounded(wide, pl.col("currency"), self.settings, self.currencies)

    def steps(self) -> dict[str, int]:
        """The smallest steps of currencies' amounts, in 1/10,000."""
        return {c: int(increment(c, self.settings) * 10_000) for c in self.currencies}


def with_amounts(rows: pl.DataFrame, money: Money) -> pl.DataFrame:
    """Rows of periods with quantity, unit_price, trouble and `amount`; null when it is too large to be billed."""
    return with_whole_amounts(rows).with_columns(
        amount=money.rounded(shared(pl.col("whole"), pl.col("numerator"), pl.col("denominator")))
    )


def shared(whole: pl.Expr, numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Numerator / denominator of a `WIDE` amount; multiplied first, so that nothing is lost before the rounding.

    A product that does not fit its type would raise for the whole frame: such rows are null.
    """
    fits = whole.cast(pl.Float64).abs() * numerator < float(WIDE_LIMIT)
    part = pl.when(fits).then(whole) * numerator.cast(WIDE) / denominator.cast(WIDE)
    return pl.when(numerator == denominator).then(whole).otherwise(part)
