"""Which documents of two runs stand for each other: those that share items, however remotely, are one match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.errors import PromiseError
from billfold.whatif.sides import ITEM

if TYPE_CHECKING:
    from billfold.whatif.sides import Side

CHANGES: Final = (
    "unchanged", "merged", "split", "regrouped", "other_type", "other_items", "other_due_date", "appeared",
    "disappeared",
)  # fmt: skip
"""What becomes of the documents of a match, in the order in which it is told."""


@dataclass(frozen=True)
class Matched:
    """Frames of two sides put together.

    - `pairs`: a row an item: document and amount of both sides, null where the item is not there
    - `documents`: the documents of both sides with `side` (before, after) and `match`
    - `matches`: match (a number from 1, by account), account_number, currency, change (one of `CHANGES`), and of both
      sides documents_, items_ and amount_ (as owed)
    """

    pairs: pl.DataFrame
    documents: pl.DataFrame
    matches: pl.DataFrame


def matched(before: Side, after: Side) -> Matched:
    """Two sides, document by document.

    Raises:
        PromiseError: an item is twice on one side, so that nobody can tell which one is meant.
    """
    pairs = _pairs(before, after)
    edges = _edges(pairs)
    documents = _numbered(_with_roots(before.documents, after.documents, components(edges)))
    return Matched(pairs, documents, _matches(documents, edges))


def _pairs(before: Side, after: Side) -> pl.DataFrame:
    """Every item of both sides once."""
    there = pl.col("document").is_not_null()
    joined = before.items.lazy().join(after.items.lazy(), on=ITEM, how="full", nulls_equal=True, suffix="_after")
    pairs = joined.select("document", "document_after", "amount", "amount_after").collect()
    once = pairs.select(there.sum(), pl.col("document_after").is_not_null().sum()).row(0)
    if once != (before.items.height, after.items.height):
        msg = "Items of one run agree in all that tells them apart: a fault of billfold, nothing was compared."
        raise PromiseError(msg)
    return pairs


def _edges(pairs: pl.DataFrame) -> pl.DataFrame:
    """Documents before and after that share items: how many, and how many of these have another amount."""
    shared = pairs.drop_nulls(["document", "document_after"])
    other = pl.col("amount") != pl.col("amount_after")
    return shared.group_by("document", "document_after").agg(shared=pl.len(), other_amount=other.sum())


def components(edges: pl.DataFrame) -> pl.DataFrame:
    """The documents of `edges` (document, document_after) with `root`: the least document that leads to the same ones.

    In each round, every root follows the least root with which it shares a document, to the end. What is left are
    roots that had no lesser neighbour, so that even long chains take few rounds.
    """
    rooted = edges.select("document", "document_after", root="document")
    while True:
        least = rooted.with_columns(least=pl.col("root").min().over("document_after"))
        heads = _followed(least.group_by("root").agg(pl.col("least").min()))
        if heads.filter(pl.col("root") != pl.col("least")).is_empty():
            return rooted
        rooted = rooted.join(heads, on="root").select("document", "document_after", root="least")


def _followed(heads: pl.DataFrame) -> pl.DataFrame:
    """Roots (`root`) and whom they follow (`least`), until nobody leads on."""
    while True:
        further = heads.join(heads.select(least="root", end="least"), on="least").select("root", least="end")
        if further.sort("root").equals(heads.sort("root")):
            return heads
        heads = further


def _with_roots(before: pl.DataFrame, after: pl.DataFrame, rooted: pl.DataFrame) -> pl.DataFrame:
    """The documents of both sides with `root`; those that share no item are their own, with numbers of their own."""
    of_before = rooted.select("document", "root").unique()
    of_after = rooted.select("root", document="document_after").unique()
    alone = {"before": pl.col("document"), "after": pl.col("document") + before.height}
    sides = {"before": before.join(of_before, on="document", how="left"),
             "after": after.join(of_after, on="document", how="left")}  # fmt: skip
    return pl.concat(
        rows.with_columns(side=pl.lit(side), root=pl.coalesce("root", alone[side])) for side, rows in sides.items()
    )


def _numbered(documents: pl.DataFrame) -> pl.DataFrame:
    """Documents with `match`, in order: numbers rise with accounts and currencies."""
    place = pl.struct("account_number", "currency", "root").rank("dense").cast(pl.UInt32)
    numbered = documents.with_columns(match=place).drop("root")
    return numbered.sort("match", "side", "document", descending=[False, True, False])


def _matches(documents: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """A row a match; `documents` are in order, so that the first of a side is always the same."""
    of_before = documents.filter(side="before").select("document", "match")
    told = edges.join(of_before, on="document").group_by("match").agg(pl.col("shared", "other_amount").sum())
    sides = [
        expression
        for side in ("before", "after")
        for expression in (
            (pl.col("side") == side).sum().alias(f"documents_{side}"),
            pl.col("item_count").filter(side=side).sum().alias(f"items_{side}"),
            pl.col("amount").filter(side=side).sum().alias(f"amount_{side}"),
        )
    ]
    differs = (pl.col(c).n_unique().alias(f"{c}s") for c in ("document_type", "due_date"))
    rows = documents.group_by("match", "account_number", "currency", maintain_order=True).agg(*sides, *differs)
    known = rows.join(told, on="match", how="left", maintain_order="left")
    return known.with_columns(change=_change()).select(
        "match", "account_number", "currency", "change",
        *(f"{what}_{side}" for what in ("documents", "items", "amount") for side in ("before", "after")),
    )  # fmt: skip


def _change() -> pl.Expr:
    """What becomes of a match's documents."""
    before, after = pl.col("documents_before"), pl.col("documents_after")
    all_shared = (pl.col("shared") == pl.col("items_before")) & (pl.col("shared") == pl.col("items_after"))
    return (
        pl.when(before == 0).then(pl.lit("appeared"))
        .when(after == 0).then(pl.lit("disappeared"))
        .when((before > 1) & (after > 1)).then(pl.lit("regrouped"))
        .when(before > 1).then(pl.lit("merged"))
        .when(after > 1).then(pl.lit("split"))
        .when(pl.col("document_types") > 1).then(pl.lit("other_type"))
        .when(~all_shared | (pl.col("other_amount") > 0)).then(pl.lit("other_items"))
        .when(pl.col("due_dates") > 1).then(pl.lit("other_due_date"))
        .otherwise(pl.lit("unchanged"))
    )  # fmt: skip
