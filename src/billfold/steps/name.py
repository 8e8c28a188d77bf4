"""Step 5, first half: ids of documents and items, BR-00000007-000123 and BR-00000007-000123-000004.

They go on from the documents that the run has made for accounts before these, so that they are dense over the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.contracts import TABLES, columns
from billfold.errors import PromiseError
from billfold.lines import Documents, custom_fields

if TYPE_CHECKING:
    from billfold.requests import RunIdentity

_KINDS: Final = ("invoice", "credit_memo")
_DIGITS: Final = 6
"""Digits of an item's place in its document."""


def name(documents: Documents, run: RunIdentity) -> Documents:
    """Documents with their ids, in the columns and types of their tables."""
    ids = _ids(documents.invoices.height + documents.credit_memos.height, run)
    if ids.is_empty():
        return Documents(**{table: _shaped(table, rows) for table, rows in vars(documents).items()})
    named = dict(vars(documents))
    for kind in _KINDS:
        named[f"{kind}s"] = named[f"{kind}s"].with_columns(_gathered(ids, "document").alias(f"{kind}_id"))
        named[f"{kind}_items"] = _items(named[f"{kind}_items"], kind, ids)
    named["invoice_schedule_items"] = named["invoice_schedule_items"].with_columns(
        pl.coalesce(_gathered(ids, f"on_{kind}"), f"{kind}_id").alias(f"{kind}_id") for kind in _KINDS
    )
    return Documents(**{table: _shaped(table, rows) for table, rows in named.items()})


def _ids(count: int, run: RunIdentity) -> pl.Series:
    """The ids of a part's documents, in order.

    Raises:
        PromiseError: their numbers have more digits than the run foresaw, so that ids would not sort.
    """
    if run.documents + count >= 10**run.digits:
        msg = f"A run has more documents than ids of {run.digits} digits: a fault of billfold, nothing was written."
        raise PromiseError(msg)
    numbers = pl.int_range(run.documents + 1, run.documents + count + 1, eager=True).cast(pl.String)
    return (f"{run.bill_run_number}-" + numbers.str.zfill(run.digits)).rename("id")


def _gathered(ids: pl.Series, document: str) -> pl.Expr:
    """The ids of documents by their numbers, from 1."""
    return pl.lit(ids).gather(pl.col(document) - 1)


def _items(items: pl.DataFrame, kind: str, ids: pl.Series) -> pl.DataFrame:
    of_document = items.with_columns(_gathered(ids, "document").alias(f"{kind}_id"))
    named = of_document.with_columns(_item(f"{kind}_id", "position").alias(f"{kind}_item_id"))
    if "applied_document" not in named.columns:
        return named
    reduced = named.with_columns(_reduced=_gathered(ids, "applied_document"))
    return reduced.with_columns(
        applied_to_item_id=pl.coalesce("applied_to_item_id", _item("_reduced", "applied_position"))
    )


def _item(document_id: str, position: str) -> pl.Expr:
    return pl.format("{}-{}", document_id, pl.col(position).cast(pl.String).str.zfill(_DIGITS))


def _shaped(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in their table's columns and types, blank where they lack one; custom fields are kept."""
    there = rows.columns
    standard = (
        (pl.col(c.name) if c.name in there else pl.lit(None)).cast(c.dtype).alias(c.name)
        for c in columns(TABLES[table]).values()
    )
    return rows.select(*standard, *custom_fields(rows))
