"""Which documents billed a charge or an order line, over all runs; those of canceled ones don't count."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from billfold.explanations.models import Billed
from billfold.explanations.stored import headers, items

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Read = Callable[..., pl.LazyFrame]


def billed_by(read: Read, *where: pl.Expr) -> tuple[tuple[Billed, ...], int]:
    """Items for which some conditions hold, run by run, and how many more are on canceled documents."""
    own = items(read, *where)
    if own.is_empty():
        return (), 0
    of = headers(read, own["document_id"].unique()).select(
        "document_id", "document_number", "status", "bill_run_number"
    )
    known = own.join(of, on="document_id", how="left", maintain_order="left").sort("bill_run_number", "item_id")
    counting = known.filter(pl.col("status") != "Canceled")
    told = counting.select(
        *(c for c in Billed.__dataclass_fields__ if c not in {"document_kind", "amount"}),
        document_kind="kind", amount="owed",
    )  # fmt: skip
    return tuple(Billed(**row) for row in told.iter_rows(named=True)), known.height - counting.height


def amounts(billed: Sequence[Billed]) -> Mapping[str, Decimal]:
    """Sums by currency."""
    currencies = sorted({b.currency for b in billed})
    return {c: sum((b.amount for b in billed if b.currency == c), Decimal(0)) for c in currencies}
