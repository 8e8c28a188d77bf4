"""Documents and items as the book has them, invoices and credit memos in one shape.

Both have `kind` (invoice or credit_memo), `document_id` and, of headers, `document_number`; items have `item_id` and
`owed`, the amount with a minus where a credit memo gives it back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Read = Callable[..., pl.LazyFrame]
    Row = Mapping[str, Any]

_KINDS: Final = (("invoice", 1), ("credit_memo", -1))


def headers(read: Read, among: pl.Series, *where: pl.Expr) -> pl.DataFrame:
    """Headers of both kinds with some values in a column, in the order of their ids."""
    found = []
    for kind, _ in _KINDS:
        column = f"{kind}_id" if among.name == "document_id" else among.name
        found.append(_shaped(read(f"{kind}s", only=Only(among=among.alias(column))), kind).filter(*where))
    return collected(pl.concat(found, how="diagonal").sort("document_id"))


def header(read: Read, document_id: str) -> Row:
    """The header of a document that is there."""
    return headers(read, pl.Series("document_id", [document_id])).row(0, named=True)


def items(read: Read, *where: pl.Expr) -> pl.DataFrame:
    """Items of both kinds, in the order of their ids."""
    found = [
        _shaped(read(f"{kind}_items"), kind).with_columns(owed=pl.col("amount") * sign).filter(*where)
        for kind, sign in _KINDS
    ]
    return collected(pl.concat(found, how="diagonal").sort("item_id"))


def key_of(document: Row) -> dict[str, Any]:
    """A header's group key, the group number as it was first spelled."""
    key: dict[str, Any] = json.loads(document["group_key"])
    return key | {"invoice_group_number": key["invoice_group_number"] and document["invoice_group_number"]}


def item(read: Read, item_id: str | None) -> Row | None:
    """An item, if there is one of that id."""
    found = items(read, pl.col("item_id") == item_id) if item_id else pl.DataFrame()
    return found.row(0, named=True) if found.height else None


def _shaped(rows: pl.LazyFrame, kind: str) -> pl.LazyFrame:
    names = {f"{kind}_id": "document_id", f"{kind}_number": "document_number", f"{kind}_date": "document_date",
             f"{kind}_item_id": "item_id"}  # fmt: skip
    return rows.rename(names, strict=False).with_columns(kind=pl.lit(kind))
