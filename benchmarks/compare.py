"""The proof that the hand-written SQL does the same work: it makes the documents that the book has."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.book import Book

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS: Final = (("invoices", "invoice_items", "invoice_id"), ("credit_memos", "credit_memo_items", "credit_memo_id"))
_SAME: Final = (
    "kind", "account_number", "currency", "source_type", "subscription_number", "charge_number", "order_number",
    "item_number", "service_start_date", "service_end_date", "amount", "total", "item_count",
)  # fmt: skip
"""What an item has in common in both: its identity, its amount, and its document's kind, sum and size."""


def difference(made: pl.DataFrame, by_hand: pl.DataFrame) -> str:
    """How the documents of these items differ, in words; nothing if they don't.

    Documents are the same if they hold the same items: ids and numbers are not looked at.
    """
    both = made.join(by_hand, on=_SAME, how="inner", nulls_equal=True)
    if not both.height == made.height == by_hand.height:
        return (
            f"Of {made.height:,} items of billfold and {by_hand.height:,} made by hand, {both.height:,} are the same."
        )
    pairs = both.select("document", "document_right").unique().height
    if not pairs == made["document"].n_unique() == by_hand["document"].n_unique():
        return "The same items are on different documents."
    return ""


def items(read: Callable[[str], pl.LazyFrame]) -> pl.DataFrame:
    """All items with what they are compared by, and their document's id."""
    return pl.concat(
        read(rows)
        .join(read(headers).select(key, "item_count", total="amount"), on=key, how="left")
        .with_columns(pl.col("amount", "total").cast(pl.Decimal(38, 4)), kind=pl.lit(headers))
        .select(*_SAME, document=key)
        for headers, rows, key in _KINDS
    ).collect()


def main() -> None:
    """Compare a book's documents with those made by hand; the exit code is 1 if they differ."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("book", type=Path)
    parser.add_argument("by_hand", type=Path)
    arguments = parser.parse_args()
    with Book(arguments.book, read_only=True) as book:
        made = items(book.read)
    by_hand = items(lambda table: pl.scan_parquet(arguments.by_hand / f"{table}.parquet"))
    sys.exit(difference(made, by_hand) or 0)


if __name__ == "__main__":
    main()
