"""What a report reads: documents and items of runs, in one shape for invoices and credit memos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Read = Callable[[str], pl.LazyFrame]

TOP: Final = 10
"""Rows that a ranking shows of each currency; the others are one row together."""

_KINDS: Final = (("invoice", 1), ("credit_memo", -1))
_OF_DOCUMENTS: Final = (
    "bill_run_number", "account_number", "currency", "status", "source_type", "invoice_group_number",
    "invoice_group_value", "amount", "item_count",
)  # fmt: skip
_OF_ITEMS: Final = ("currency", "source_type", "charge_type", "processing_type")


def documents_of(read: Read, runs: Sequence[str]) -> pl.LazyFrame:
    """Headers of both kinds: `kind`, `id`, `number`, what they have in common, and `net`, which is what they owe."""
    return pl.concat(
        read(f"{kind}s")
        .filter(pl.col("bill_run_number").is_in(list(runs)))
        .select(
            *_OF_DOCUMENTS,
            kind=pl.lit(kind),
            id=pl.col(f"{kind}_id"),
            number=pl.col(f"{kind}_number"),
            net=pl.col("amount") * sign,
        )
        for kind, sign in _KINDS
    )


def items_of(read: Read, run: str) -> pl.LazyFrame:
    """Items of both kinds; `owed` has a minus where money goes back. Their documents' ids begin with the run."""
    return pl.concat(
        read(f"{kind}_items")
        .filter(pl.col(f"{kind}_id").str.starts_with(f"{run}-"))
        .select(*_OF_ITEMS, owed=pl.col("amount") * sign)
        for kind, sign in _KINDS
    )


def sums() -> dict[str, pl.Expr]:
    """How many documents of each kind, and what they come to: `net` is invoiced less credited."""
    invoice, memo = (pl.col("kind") == kind for kind, _ in _KINDS)
    return {
        "invoices": invoice.sum().cast(pl.Int64),
        "credit_memos": memo.sum().cast(pl.Int64),
        "invoiced": pl.col("amount").filter(invoice).sum(),
        "credited": pl.col("amount").filter(memo).sum(),
        "net": pl.col("net").sum(),
    }


def leading(rows: pl.DataFrame, by: str, *labels: str) -> pl.DataFrame:
    """The first rows of each currency by the size of an amount, then one row for all others, so that sums stay whole.

    `others` counts what that last row stands for, and is 0 in the rows before it. Its labels are null.
    """
    size, order = pl.col(by).abs(), ["currency", "size", *labels]
    falling = [False, True, *(False for _ in labels)]
    ranked = rows.with_columns(size=size).sort(order, descending=falling, nulls_last=True).drop("size")
    placed = ranked.with_columns(place=pl.int_range(pl.len()).over("currency"), others=pl.lit(0, pl.Int64))
    first, rest = placed.filter(pl.col("place") < TOP), placed.filter(pl.col("place") >= TOP)
    numbers = [c for c, t in rows.schema.items() if t.is_numeric()]
    together = rest.group_by("currency").agg(pl.col(numbers).sum(), others=pl.len().cast(pl.Int64), place=pl.lit(TOP))
    both = pl.concat([first, together.cast({"place": first.schema["place"]})], how="diagonal_relaxed")
    return both.sort("currency", "place").drop("place").select(*rows.columns, "others")


def named(rows: pl.DataFrame, read: Read) -> pl.DataFrame:
    """Rows about accounts with the names that these have now; rows without an account have none."""
    wanted = rows["account_number"].drop_nulls().unique().implode()
    names = read("accounts").filter(pl.col("account_number").is_in(wanted)).select("account_number", "name").collect()
    return rows.join(names, on="account_number", how="left", maintain_order="left")
