"""Storing grouping configurations in a book, and who uses which."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

from billfold.book import Change, Commit
from billfold.errors import BillfoldError
from billfold.grouping import OBJECTS, column_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.book import Book
    from billfold.grouping import ChargeField, InvoiceGroup, OrderLineField


def configure(book: Book, group: InvoiceGroup, accounts: Sequence[str] = ()) -> str:
    """Store a configuration as the default or, with `accounts`, as theirs; returns its number.

    A configuration replaces the one of the same name (for accounts) or the present default as a whole.

    Raises:
        BillfoldError: drafts exist, a field or an account does not.
    """
    head = book.head()
    refuse_while_drafts(book)
    entries: tuple[ChargeField | OrderLineField, ...] = (*group.meta.subscriptionGroup, *group.meta.orderLineItemGroup)
    for entry in entries:
        column_of(entry.objectType, entry.field, list(book.columns(OBJECTS[entry.objectType])))
    stored = book.read("invoice_groups").sort("number").collect()
    same = stored.filter(~pl.col("is_default"), name=group.name) if accounts else stored.filter("is_default")
    counters = book.counters()
    following = counters.get("invoice_group", 0) + 1
    number = same["number"][0] if same.height else f"IG-{following:08d}"
    row = {"number": number, "name": group.name, "is_default": not accounts, "meta": group.meta.canonical()}
    changes = [Change("invoice_groups", pl.DataFrame([row]), replace=True)]
    changes += _assignment(book, accounts, number)
    book.commit(head, Commit(f"grouping {number}", changes, {} if same.height else {"invoice_group": following}))
    return str(number)


def clear(book: Book, accounts: Sequence[str] = ()) -> None:
    """Remove the default configuration or, with `accounts`, let these use the default one.

    Raises:
        BillfoldError: drafts exist, an account does not, or there is nothing to clear.
    """
    head = book.head()
    refuse_while_drafts(book)
    if accounts:
        book.commit(head, Commit("grouping clear", _assignment(book, accounts, None)))
        return
    default = book.read("invoice_groups").filter("is_default").collect()
    if default.is_empty():
        msg = "There is no default grouping configuration to clear."
        raise BillfoldError(msg)
    rows = default.with_columns(is_default=pl.lit(value=False))
    book.commit(head, Commit("grouping clear", [Change("invoice_groups", rows, replace=True)]))


def show(book: Book) -> list[dict[str, object]]:
    """Every configuration in use, the default first, with the accounts that have it as their own."""
    owners = (
        book.read("accounts").filter(pl.col("invoice_group").is_not_null())
        .group_by(number="invoice_group").agg(accounts=pl.col("account_number").sort())
    )  # fmt: skip
    groups = book.read("invoice_groups").join(owners, on="number", how="left").collect()
    used = groups.filter(pl.col("is_default") | pl.col("accounts").is_not_null())
    return [
        {**row, "meta": json.loads(row["meta"]), "accounts": row["accounts"] or []}
        for row in used.sort("is_default", "number", descending=[True, False]).iter_rows(named=True)
    ]


def refuse_while_drafts(book: Book) -> None:
    """A configuration must not change under drafts that were grouped by it (spec/grouping.md 1.2).

    Raises:
        BillfoldError: drafts exist; the message lists their runs.
    """
    headers = [book.read(t).select("bill_run_number", "status") for t in ("invoices", "credit_memos")]
    runs = pl.concat(headers).filter(status="Draft").select("bill_run_number").unique().collect()
    if runs.height:
        listed = ", ".join(sorted(runs["bill_run_number"]))
        msg = f"Drafts of {listed} were grouped by the present configuration: post or cancel them first."
        raise BillfoldError(msg)


def _assignment(book: Book, accounts: Sequence[str], number: str | None) -> list[Change]:
    if not accounts:
        return []
    rows = book.read("accounts").filter(pl.col("account_number").is_in(sorted(set(accounts)))).collect()
    unknown = sorted(set(accounts) - set(rows["account_number"]))
    if unknown:
        msg = f"There is no account {', '.join(unknown)} in the book."
        raise BillfoldError(msg)
    return [Change("accounts", rows.with_columns(invoice_group=pl.lit(number, dtype=pl.String)), replace=True)]
