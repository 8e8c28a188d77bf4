"""Amounts that lead from one to another: each step begins where the one before it ended."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.report.reading import items_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.report.reading import Read

STEPS: Final = pl.Schema(
    {
        "currency": pl.String(),
        "step": pl.String(),
        "role": pl.String(),
        "count": pl.Int64(),
        "amount": pl.Decimal(38, 4),
        "start": pl.Decimal(38, 4),
        "end": pl.Decimal(38, 4),
    }
)
"""`role` is total (from nothing to the amount), part (from `start` to `end`), or parked (owed, but not billed)."""

ZERO: Final = Decimal(0)
DISCOUNTS: Final = "Discounts"
CREDITS: Final = "Credits and negative charges"
RETURNS: Final = "Returns and negative order lines"
_PARTS: Final = (
    "One-time charges", "Recurring charges", "Usage charges", "Invoice schedules", "Order lines", DISCOUNTS, CREDITS,
    RETURNS,
)  # fmt: skip
_CHARGES: Final = {"OneTime": "One-time charges", "Recurring": "Recurring charges", "Usage": "Usage charges"}


@dataclass(frozen=True)
class Step:
    """A total, or what is added to or taken from the amount before it."""

    name: str
    amount: Decimal
    count: int
    role: str = "part"


def followed(currency: str, steps: Sequence[Step]) -> pl.DataFrame:
    """Steps with where they start and end (`STEPS`)."""
    rows, at = [], ZERO
    for step in steps:
        start = ZERO if step.role == "total" else at
        at = start + step.amount
        rows.append([currency, step.name, step.role, step.count, step.amount, start, at])
    return pl.DataFrame(rows, schema=STEPS, orient="row")


def waterfall(read: Read, run: str, totals: pl.DataFrame, owed: pl.DataFrame) -> pl.DataFrame:
    """From lines owed to documents, by currency (`STEPS`); `count` is lines, and documents where these are the step.

    What parked accounts owe, as far as it is known (`owed`: currency, lines, amount), comes last.
    """
    parts = items_of(read, run).group_by("currency", step=_part()).agg(
        count=pl.len().cast(pl.Int64), amount=pl.col("owed").sum().cast(pl.Decimal(38, 4))
    ).collect()  # fmt: skip
    sums = {row["currency"]: row for row in totals.iter_rows(named=True)}
    parked = {c: Step("Parked, not billed", a, n, "parked") for c, n, a in owed.iter_rows()}
    found = [
        followed(c, [*_of_run(parts.filter(currency=c), sums.get(c)), *([parked[c]] if c in parked else [])])
        for c in sorted({*sums, *parked})
    ]
    return pl.concat([STEPS.to_frame(), *found])


def _of_run(parts: pl.DataFrame, sums: dict[str, Any] | None) -> list[Step]:
    """The kinds of lines and their net, then the documents, which come to the same."""
    if sums is None:
        return []
    rows = {row["step"]: row for row in parts.iter_rows(named=True)}
    lines = [Step(p, rows[p]["amount"], rows[p]["count"]) for p in _PARTS if p in rows]
    return [
        *lines,
        Step("Net of all lines", sum((s.amount for s in lines), ZERO), sum(s.count for s in lines), "total"),
        Step("On invoices", sums["invoiced"], sums["invoices"], "total"),
        Step("On credit memos", -sums["credited"], sums["credit_memos"]),
    ]


def _part() -> pl.Expr:
    """What an item is. A discount that is taken back belongs to the credit that takes it back."""
    negative = pl.col("owed") < 0
    discount = pl.col("processing_type") == "Discount"
    return (
        pl.when(discount & (pl.col("owed") > 0)).then(pl.lit(CREDITS))
        .when(discount).then(pl.lit(DISCOUNTS))
        .when((pl.col("source_type") == "OrderLineItem") & negative).then(pl.lit(RETURNS))
        .when(negative).then(pl.lit(CREDITS))
        .when(pl.col("source_type") == "OrderLineItem").then(pl.lit("Order lines"))
        .when(pl.col("source_type") == "InvoiceSchedule").then(pl.lit("Invoice schedules"))
        .otherwise(pl.col("charge_type").replace_strict(_CHARGES, default="Recurring charges"))
    )  # fmt: skip
