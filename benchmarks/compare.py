"""The proof that a program by hand does the same work: it makes the documents that the book has."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.book import Book

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[[str], pl.LazyFrame]

_KINDS: Final = (("invoices", "invoice_items", "invoice_id"), ("credit_memos", "credit_memo_items", "credit_memo_id"))
_OF_HEADERS: Final = (
    "bill_to_contact", "payment_term", "invoice_template", "sequence_set", "communication_profile",
    "invoice_group_value", "invoice_date", "target_date", "item_count",
)  # fmt: skip
_OF_ITEMS: Final = (
    "account_number", "currency", "subscription_number", "charge_number", "charge_name", "charge_type",
    "order_number", "item_number", "service_start_date", "service_end_date", "quantity", "unit_price", "uom",
    "sold_to_contact", "amount",
)  # fmt: skip
_SAME: Final = ("kind", "source_type", "from_where", "total", *_OF_HEADERS, *_OF_ITEMS)
"""What an item has in common in both: all that is its own, and its document's kind, attributes, sum and size."""

_DECIMALS: Final = {
    "quantity": pl.Decimal(38, 9), "unit_price": pl.Decimal(38, 9), "amount": pl.Decimal(38, 4),
    "total": pl.Decimal(38, 4),
}  # fmt: skip
_AT_ONCE: Final = 1_000_000
"""Items that are compared at once, about: a book's may not fit into memory twice."""


def difference(made: Read, by_hand: Read) -> str:
    """How the documents of two books differ, in words; nothing if they don't.

    Documents are the same if they hold the same items: ids and numbers only have to be there once each.
    """
    for read in (made, by_hand):
        if twice := _twice(read):
            return twice
    for first, last in _ranges(made, by_hand):
        both = (
            items(read, pl.col("account_number").is_between(pl.lit(first), pl.lit(last))) for read in (made, by_hand)
        )
        if found := _differing(*both):
            return f"{found} (accounts {first} to {last})"
    return ""


def _twice(read: Read) -> str:
    """Which ids or numbers of documents are there twice."""
    for headers, _, key in _KINDS:
        for column in (key, key.replace("_id", "_number")):
            rows = read(headers).select(all=pl.len(), different=pl.col(column).n_unique()).collect().row(0)
            if rows[0] != rows[1]:
                return f"{rows[0]:,} {headers} have {rows[1]:,} different values of {column}."
    return ""


def _ranges(*reads: Read) -> Iterator[tuple[str, str]]:
    """First and last accounts of ranges with about as many items each, over all of both."""
    counted = pl.concat(
        read(headers).select("account_number", "item_count") for read in reads for headers, _, _ in _KINDS
    )
    accounts = counted.group_by("account_number").agg(pl.col("item_count").sum()).sort("account_number")
    slices = accounts.with_columns(slice=pl.col("item_count").cum_sum() // (2 * _AT_ONCE))
    ends = slices.group_by("slice").agg(first=pl.col("account_number").min(), last=pl.col("account_number").max())
    yield from ends.sort("slice").select("first", "last").collect().iter_rows()


def _differing(made: pl.DataFrame, by_hand: pl.DataFrame) -> str:
    both = made.join(by_hand, on=_SAME, how="inner", nulls_equal=True)
    if not both.height == made.height == by_hand.height:
        return f"Of {made.height:,} items of billfold and {by_hand.height:,} made by hand, {both.height:,} are the same"
    pairs = both.select("document", "document_right").unique().height
    if not pairs == made["document"].n_unique() == by_hand["document"].n_unique():
        return "The same items are on different documents"
    return ""


def items(read: Read, among: pl.Expr) -> pl.DataFrame:
    """Items of some accounts with what they are compared by, and their document's id."""
    found = []
    for headers, rows, key in _KINDS:
        dated = {"invoice_date": f"{key.removesuffix('_id')}_date"}
        of_header = read(headers).select(
            key, *(pl.col(dated.get(c, c)).alias(c) for c in _OF_HEADERS), total="amount", from_where="source_type"
        )
        theirs = read(rows).filter(among).select(key, "source_type", *_OF_ITEMS)
        joined = theirs.join(of_header, on=key, how="left").with_columns(kind=pl.lit(headers))
        found.append(joined.with_columns(pl.col(c).cast(t) for c, t in _DECIMALS.items()).select(*_SAME, document=key))
    return pl.concat(found).collect()


def of_run(book: Book, bill_run_number: str) -> Read:
    """Reads documents of one run only: their ids begin with its number."""
    keys = {table: key for *tables, key in _KINDS for table in tables}
    return lambda table: book.read(table).filter(pl.col(keys[table]).str.starts_with(f"{bill_run_number}-"))


def scan(path: Path) -> pl.LazyFrame:
    """A Parquet file, or all those in a folder of this name: Spark writes several."""
    return pl.scan_parquet(path / "*.parquet" if path.is_dir() else path)


def main() -> None:
    """Compare the documents of a book's run with those made by hand; the exit code is 1 if they differ."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("book", type=Path)
    parser.add_argument("by_hand", type=Path)
    parser.add_argument("run", help="the book's run")
    arguments = parser.parse_args()
    with Book(arguments.book, read_only=True) as book:
        sys.exit(
            difference(of_run(book, arguments.run), lambda table: scan(arguments.by_hand / f"{table}.parquet")) or 0
        )


if __name__ == "__main__":
    main()
