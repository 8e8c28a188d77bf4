"""What a run's documents come to: by currency, size, account, group and source."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.report.reading import leading, named, sums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from billfold.report.reading import Read

_MOST_SIZES: Final = 13
"""With more classes of sizes than this, each is a whole power of ten."""

_SIZES: Final = pl.Schema(
    {
        "currency": pl.String(),
        "at_least": pl.Decimal(38, 4),
        "below": pl.Decimal(38, 4),
        "invoices": pl.Int64(),
        "credit_memos": pl.Int64(),
        "invoiced": pl.Decimal(38, 4),
        "credited": pl.Decimal(38, 4),
        "net": pl.Decimal(38, 4),
    }
)


def totals_of(documents: pl.DataFrame) -> pl.DataFrame:
    """A row a currency: counts, sums, items, and how many of the documents are drafts."""
    items = pl.col("item_count").sum()
    drafts = (pl.col("status") == "Draft").sum().cast(pl.Int64)
    return documents.group_by("currency").agg(**sums(), items=items, drafts=drafts).sort("currency")


def accounts_of(documents: pl.DataFrame, read: Read) -> pl.DataFrame:
    """The accounts that were billed most, by net."""
    rows = documents.group_by("currency", "account_number").agg(**sums())
    return named(leading(rows, "net", "account_number"), read)


def groups_of(documents: pl.DataFrame) -> pl.DataFrame:
    """The group values, or where there are none the group numbers, that were billed most.

    A document of neither has `by` none. A group of one name may have documents of several accounts.
    """
    value, number = pl.col("invoice_group_value"), pl.col("invoice_group_number")
    by = pl.when(value.is_not_null()).then(pl.lit("value")).when(number.is_not_null()).then(pl.lit("number"))
    labels = {"group": pl.coalesce(value, number), "by": by.otherwise(pl.lit("none"))}
    accounts = pl.col("account_number").n_unique().cast(pl.Int64)
    rows = documents.with_columns(**labels).group_by("currency", *labels).agg(accounts=accounts, **sums())
    return leading(rows, "net", "group", "by").with_columns(
        accounts=pl.when(pl.col("others") == 0).then("accounts")  # an account may be in several of the others
    )


def sources_of(documents: pl.DataFrame) -> pl.DataFrame:
    """Documents of subscriptions, of orders, and of both."""
    return documents.group_by("currency", "source_type").agg(**sums()).sort("currency", "source_type")


def sizes_of(documents: pl.DataFrame) -> pl.DataFrame:
    """Documents by size: zero, then from 1 to 2, 2 to 5, 5 to 10 times a power of ten; a minus counts like a plus."""
    return pl.concat([_SIZES.to_frame(), *_sizes(documents)])


def _sizes(documents: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for (currency,), rows in sorted(documents.partition_by("currency", as_dict=True).items()):
        size = rows["amount"].abs()
        edges = pl.Series([Decimal(0), *_edges(size.filter(size > 0))], dtype=pl.Decimal(38, 4))
        reached = pl.sum_horizontal((pl.col("amount").abs() >= edge).cast(pl.Int64) for edge in edges)
        counted = rows.group_by(place=reached - 1).agg(**sums())
        classes = pl.DataFrame({"place": range(edges.len()), "at_least": edges, "below": edges.shift(-1)})
        every = classes.join(counted, on="place", how="left", maintain_order="left")
        used = every.filter(pl.col("invoices").is_not_null() | (pl.col("place") > 0) & pl.col("below").is_not_null())
        filled = used.with_columns(pl.col(list(sums())).fill_null(0), currency=pl.lit(currency))
        yield filled.select(pl.col(c).cast(t) for c, t in _SIZES.items())


def _edges(sizes: pl.Series) -> list[Decimal]:
    """Where classes of sizes begin; the last edge lies above the largest size, so that every class has an end."""
    if sizes.is_empty():
        return []
    least, most = Decimal(str(sizes.min())), Decimal(str(sizes.max()))
    powers = [Decimal(1).scaleb(n) for n in range(least.adjusted(), most.adjusted() + 2)]
    fine = [p * n for p in powers for n in (1, 2, 5)]
    first = max(n for n, edge in enumerate(fine) if edge <= least)
    last = min(n for n, edge in enumerate(fine) if edge > most)
    return fine[first : last + 1] if last - first <= _MOST_SIZES else powers
