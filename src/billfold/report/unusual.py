"""Bills that someone should look at, each with the reason. Nothing here changes a bill or holds it back.

What is usual is a middle value, which a few odd bills do not move; amounts are compared exactly, never as floats.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.report.reading import TOP, documents_of, named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.report.reading import Read

FEWEST_BILLS: Final = 3
"""Earlier bills that an account needs before one of its bills can be unusual for it."""

FEWEST: Final = 20
"""Documents, or accounts, that a run needs before one of them can be unusual among them."""

FAR: Final = 3
"""How many times the span between the quartiles, as a ratio, lies between them and what is far out."""

_NARROWEST: Final = Decimal("1.5")
"""Quartiles closer to each other than this ratio count as this far apart."""

_SPREADS: Final = 5
_TO_SIGMA: Final = 14826
"""Ten thousandths: a normal distribution's standard deviation over its median absolute deviation."""

_UNUSUAL: Final = pl.Schema(
    {
        "kind": pl.String(),
        "currency": pl.String(),
        "account_number": pl.String(),
        "number": pl.String(),
        "amount": pl.Decimal(38, 4),
        "usual": pl.Decimal(38, 4),
        "measure": pl.Int64(),
        "usual_measure": pl.Int64(),
    }
)
"""What is unusual. `measure` counts documents or items where these are what is unusual; the amount is theirs."""


def unusual_of(read: Read, documents: pl.DataFrame, earlier: Sequence[str]) -> pl.DataFrame:
    """Unusual bills, the heaviest of each kind and currency, and `count`, how many of them there are.

    `earlier` are runs with which an account's bills are compared.
    """
    found = pl.concat([
        _UNUSUAL.to_frame(),
        *(rows.select(pl.col(c).cast(t) for c, t in _UNUSUAL.items()) for rows in (
            _off(read, documents, earlier), *_far_out(documents), _zero(documents), _negative(documents),
            _many_documents(documents), _many_items(documents),
        )),
    ])  # fmt: skip
    kinds = pl.Enum(["own", "large", "small", "zero", "negative", "documents", "items"])
    order = [pl.col("kind").cast(kinds), "currency", _weight(), "account_number", "number"]
    ranked = found.sort(order, descending=[False, False, True, False, False])
    of = ["kind", "currency"]
    counted = ranked.with_columns(place=pl.int_range(pl.len()).over(of), count=pl.len().over(of).cast(pl.Int64))
    return named(counted.filter(pl.col("place") < TOP).drop("place"), read)


def _weight() -> pl.Expr:
    """What comes first: more documents or items than usual, then larger differences of amounts."""
    difference = (pl.col("amount") - pl.col("usual").fill_null(0)).abs()
    return pl.when(pl.col("measure").is_not_null()).then("measure").otherwise(difference)


def _of(rows: pl.DataFrame, kind: str, **columns: pl.Expr) -> pl.DataFrame:
    """Unusual rows of one kind; what it says nothing about is null."""
    blank = {c: pl.lit(None, t) for c, t in _UNUSUAL.items() if c not in rows.columns}
    return rows.with_columns(**{**blank, "kind": pl.lit(kind), **columns})


def _off(read: Read, documents: pl.DataFrame, earlier: Sequence[str]) -> pl.DataFrame:
    """Accounts whose net is far from the middle of their own earlier ones.

    Far is more than 5 times their spread: the middle distance from the middle, scaled, or a tenth of the middle.
    """
    of = ["currency", "account_number"]
    now = documents.group_by(of).agg(amount=pl.col("net").sum())
    bills = documents_of(read, earlier).group_by(*of, "bill_run_number").agg(net=pl.col("net").sum())
    middle = bills.group_by(of).agg(usual=_middle(pl.col("net")), bills=pl.len())
    away = bills.join(middle, on=of).with_columns(away=(pl.col("net") - pl.col("usual")).abs())
    spread = away.group_by(*of, "usual", "bills").agg(spread=_middle(pl.col("away"))).collect()
    known = now.join(spread.filter(pl.col("bills") >= FEWEST_BILLS), on=of)
    distance, least = (pl.col("amount") - pl.col("usual")).abs(), pl.col("usual").abs()
    far = (distance * 10_000 > pl.col("spread") * (_SPREADS * _TO_SIGMA)) & (distance * 10 > least * _SPREADS)
    return _of(known.filter(far), "own")


def _middle(values: pl.Expr) -> pl.Expr:
    """The value in the middle, the lower one of two: an amount that occurred."""
    return values.sort().get((pl.len() - 1) // 2)


def _far_out(documents: pl.DataFrame) -> list[pl.DataFrame]:
    """Invoices far above, or far below, those of the run in their currency."""
    found = []
    for (currency,), rows in sorted(documents.filter(kind="invoice").partition_by("currency", as_dict=True).items()):
        amounts = rows["amount"].filter(rows["amount"] > 0).sort()
        if amounts.len() < FEWEST:
            continue
        low, middle, high = (Decimal(str(amounts[(amounts.len() - 1) * n // 4])) for n in (1, 2, 3))
        ratio = max(high / low, _NARROWEST) ** FAR
        above, below = _exact(high * ratio), _exact(low / ratio)
        usual = pl.lit(middle, pl.Decimal(38, 4))
        amount = pl.col("amount")
        for kind, far in (("large", amount > above), ("small", (amount > 0) & (amount < below))):
            found.append(_of(rows.filter(far, currency=currency), kind, usual=usual))
    return found


def _exact(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.0001"))


def _zero(documents: pl.DataFrame) -> pl.DataFrame:
    """Accounts with documents of nothing: how many, and the first of them."""
    none = documents.filter(amount=0).sort("id").group_by("currency", "account_number")
    return _of(none.agg(pl.col("number", "amount").first(), measure=pl.len()), "zero")


def _negative(documents: pl.DataFrame) -> pl.DataFrame:
    return _of(documents.filter(pl.col("amount") < 0), "negative")


def _many_documents(documents: pl.DataFrame) -> pl.DataFrame:
    """Accounts with far more documents than the others of their currency."""
    of = ["currency", "account_number"]
    counted = documents.group_by(of).agg(amount=pl.col("net").sum(), measure=pl.len().cast(pl.Int64))
    return _far_counts(counted, "documents", fewest=10)


def _many_items(documents: pl.DataFrame) -> pl.DataFrame:
    """Documents with far more items than the others of their currency."""
    return _far_counts(documents.with_columns(measure=pl.col("item_count")), "items", fewest=100)


def _far_counts(rows: pl.DataFrame, kind: str, *, fewest: int) -> pl.DataFrame:
    """Rows with a count far above those of their currency; `fewest` or more."""
    found = [_of(rows.clear(), kind)]
    for _, some in sorted(rows.partition_by("currency", as_dict=True).items()):
        counts = some["measure"].sort()
        if counts.len() < FEWEST:
            continue
        low, middle, high = (int(counts[(counts.len() - 1) * n // 4]) for n in (1, 2, 3))
        above = high * max(Decimal(high) / low, _NARROWEST) ** FAR
        far = (pl.col("measure") > int(above)) & (pl.col("measure") >= fewest)
        found.append(_of(some.filter(far), kind, usual_measure=pl.lit(middle, pl.Int64)))
    return pl.concat(found, how="diagonal_relaxed")
