"""Which documents are asked for, and all that the book knows of them, at one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.contracts import TABLES, empty
from billfold.errors import BillfoldError
from billfold.lifecycle import runs
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from billfold.book import Book

KINDS: Final = ("invoice", "credit_memo")
_LISTED: Final = 5


@dataclass(frozen=True)
class Wanted:
    """Documents by id or number, or those of a run, perhaps only of some accounts or with some statuses."""

    documents: tuple[str, ...] = ()
    run: str | None = None
    accounts: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Paper:
    """One document: rows as the book has them, its columns named alike for both kinds (`document_id`, `item_id`)."""

    kind: str
    header: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]]
    account: Mapping[str, Any]
    contacts: Mapping[str, Mapping[str, Any]]
    numbers: Mapping[str, str]
    """Numbers, by id, of documents that items apply to."""

    item_ids: Collection[str]

    def applies_to(self, item: Mapping[str, Any]) -> str | None:
        """The number of another document to whose item this one applies."""
        applied = _document_of(item["applied_to_item_id"] or "")
        return None if applied == self.header["document_id"] else self.numbers.get(applied)


@dataclass(frozen=True)
class Papers:
    """Documents in the order of their ids; `paper` puts one together."""

    headers: pl.DataFrame
    """Headers of both kinds, with `kind`, and `first` and `rows`: where the items are."""

    items: pl.DataFrame
    accounts: Mapping[str, Mapping[str, Any]]
    contacts: Mapping[str, Mapping[str, Any]]
    numbers: Mapping[str, str]

    def paper(self, place: int) -> Paper:
        """The document at a place, from 0."""
        header = self.headers.row(place, named=True)
        kind, first, rows = (header.pop(k) for k in ("kind", "first", "rows"))
        items = self.items.slice(first, rows).to_dicts()
        account = self.accounts[header["account_number"]]
        return Paper(kind, header, items, account, self.contacts, self.numbers, {i["item_id"] for i in items})


def papers(book: Book, wanted: Wanted) -> Papers:
    """The documents that are asked for.

    Raises:
        BillfoldError: there is no such document or run, a number means several documents, or there are none at all.
    """
    at = book.head().snapshot_id
    headers = pl.concat([_headers(book, at, kind, wanted) for kind in KINDS], how="diagonal")
    headers = _named(headers, wanted.documents) if wanted.documents else headers
    if headers.is_empty():
        msg = "No document matches, so there is nothing to render."
        raise BillfoldError(msg)
    items = pl.concat([_items(book, at, kind, headers) for kind in KINDS], how="diagonal")
    items = items.sort("document_id", "item_id")
    counts = items.group_by("document_id", maintain_order=True).agg(rows=pl.len())
    placed = counts.with_columns(first=pl.col("rows").cum_sum() - pl.col("rows"))
    of_accounts = pl.col("account_number").is_in(headers["account_number"].unique().implode())
    return Papers(
        headers=headers.sort("document_id").join(placed, on="document_id", how="left", maintain_order="left"),
        items=items,
        accounts=_by_key(book.read("accounts", at).filter(of_accounts)),
        contacts=_contacts(book, at, pl.concat([headers["bill_to_contact"], items["sold_to_contact"]])),
        numbers=_numbers(book, at, items["applied_to_item_id"]),
    )


def _headers(book: Book, at: int, kind: str, wanted: Wanted) -> pl.DataFrame:
    rows = book.read(f"{kind}s", at).rename({f"{kind}_{c}": f"document_{c}" for c in ("id", "number", "date")})
    if wanted.documents:
        named = [pl.col(c).is_in(list(wanted.documents)) for c in ("document_id", "document_number")]
        rows = rows.filter(pl.any_horizontal(named))
    if wanted.run is not None:
        rows = rows.filter(bill_run_number=runs(book, wanted.run)["bill_run_number"][0])
    if wanted.accounts:
        rows = rows.filter(pl.col("account_number").is_in(list(wanted.accounts)))
    if wanted.statuses:
        rows = rows.filter(pl.col("status").is_in(list(wanted.statuses)))
    return collected(rows.with_columns(kind=pl.lit(kind)))


def _named(headers: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The one document that each name means; temporary numbers are given again after a run is canceled."""
    found = [_one(headers, name) for name in names]
    return headers.filter(pl.col("document_id").is_in(found))


def _one(headers: pl.DataFrame, name: str) -> str:
    matches = headers.filter((pl.col("document_id") == name) | (pl.col("document_number") == name))
    if matches.height > 1:
        live = matches.filter(pl.col("status") != "Canceled")
        matches = live if live.height else matches
    ids = matches["document_id"].sort().to_list()
    if not ids:
        msg = f'There is no invoice or credit memo {name}: `billfold sql "FROM invoices"` lists them by id and number.'
        raise BillfoldError(msg)
    if len(ids) > 1:
        msg = f"{name} is the number of {len(ids)} documents: give an id, one of {', '.join(ids[:_LISTED])}."
        raise BillfoldError(msg)
    return str(ids[0])


def _items(book: Book, at: int, kind: str, headers: pl.DataFrame) -> pl.DataFrame:
    ids = headers.filter(kind=kind)["document_id"].rename(f"{kind}_id")
    names = {f"{kind}_id": "document_id", f"{kind}_item_id": "item_id"}
    rows = book.read(f"{kind}_items", at, Only(among=ids)) if len(ids) else empty(TABLES[f"{kind}_items"]).lazy()
    return collected(rows.filter(pl.col(f"{kind}_id").is_in(ids.implode()))).rename(names)


def _by_key(rows: pl.LazyFrame) -> dict[str, dict[str, Any]]:
    """Rows by their first column."""
    return {next(iter(row.values())): row for row in collected(rows).iter_rows(named=True)}


def _contacts(book: Book, at: int, names: pl.Series) -> dict[str, dict[str, Any]]:
    """The contacts of these names; a book that was made before there were any has none."""
    there = book.sql("SELECT count(*) FROM duckdb_tables() WHERE database_name = 'book' AND table_name = 'contacts'")
    named = pl.col("contact").is_in(names.drop_nulls().unique().implode())
    return _by_key(book.read("contacts", at).filter(named)) if there.item() else {}


def _numbers(book: Book, at: int, applied: pl.Series) -> dict[str, str]:
    """Numbers, by id, of documents to whose items others apply."""
    ids = sorted({_document_of(item) for item in applied.drop_nulls().unique()})
    return dict(pl.concat([_number(book, at, kind, ids) for kind in KINDS]).iter_rows()) if ids else {}


def _number(book: Book, at: int, kind: str, ids: Sequence[str]) -> pl.DataFrame:
    rows = book.read(f"{kind}s", at).filter(pl.col(f"{kind}_id").is_in(list(ids)))
    return collected(rows.select(id=f"{kind}_id", number=f"{kind}_number"))


def _document_of(item_id: str) -> str:
    """The document of an item: an item's id is its document's, and its position."""
    return item_id.rpartition("-")[0]
