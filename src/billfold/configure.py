"""Storing grouping configurations in a book, and who uses which."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from billfold.book import Change, Commit, State
from billfold.errors import BillfoldError
from billfold.grouping import OBJECTS, column_of
from billfold.rows import collected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.book import Book
    from billfold.grouping import ChargeField, InvoiceGroup, OrderLineField


@dataclass(frozen=True)
class Configuring:
    """What storing a configuration would change: rows of tables and counters; `number` is the configuration's."""

    number: str
    changes: Sequence[Change]
    counters: Mapping[str, int]


def configure(book: Book, group: InvoiceGroup, accounts: Sequence[str] = ()) -> str:
    """Store a configuration as the default or, with `accounts`, as theirs; returns its number.

    A configuration replaces the one of the same name (for accounts) or the present default as a whole.

    Raises:
        BillfoldError: drafts exist, a field or an account does not.
    """
    state = State.of(book)
    refuse_while_drafts(book)
    stored = configuring(state, group, accounts)
    book.commit(state.head, Commit(f"grouping {stored.number}", stored.changes, stored.counters))
    return stored.number


def configuring(state: State, group: InvoiceGroup, accounts: Sequence[str] = ()) -> Configuring:
    """What `configure` would change at a state of the book, whether drafts exist or not.

    Raises:
        BillfoldError: a field or an account does not exist.
    """
    entries: tuple[ChargeField | OrderLineField, ...] = (*group.meta.subscriptionGroup, *group.meta.orderLineItemGroup)
    for entry in entries:
        column_of(entry.objectType, entry.field, list(state.book.columns(OBJECTS[entry.objectType])))
    stored = collected(state.read("invoice_groups").sort("number"))
    same = stored.filter(~pl.col("is_default"), name=group.name) if accounts else stored.filter("is_default")
    following = state.counters().get("invoice_group", 0) + 1
    number = str(same["number"][0]) if same.height else f"IG-{following:08d}"
    row = {"number": number, "name": group.name, "is_default": not accounts, "meta": group.meta.canonical()}
    changes = [Change("invoice_groups", pl.DataFrame([row]), replace=True), *_assignment(state, accounts, number)]
    return Configuring(number, changes, {} if same.height else {"invoice_group": following})


def clear(book: Book, accounts: Sequence[str] = ()) -> None:
    """Remove the default configuration or, with `accounts`, let these use the default one.

    Raises:
        BillfoldError: drafts exist, an account does not, or there is nothing to clear.
    """
    state = State.of(book)
    refuse_while_drafts(book)
    book.commit(state.head, Commit("grouping clear", clearing(state, accounts)))


def clearing(state: State, accounts: Sequence[str] = ()) -> list[Change]:
    """What `clear` would change at a state of the book, whether drafts exist or not.

    Raises:
        BillfoldError: an account does not exist, or there is nothing to clear.
    """
    if accounts:
        return _assignment(state, accounts, None)
    default = collected(state.read("invoice_groups").filter("is_default"))
    if default.is_empty():
        msg = "There is no default grouping configuration to clear."
        raise BillfoldError(msg)
    return [Change("invoice_groups", default.with_columns(is_default=pl.lit(value=False)), replace=True)]


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
    if runs := runs_with_drafts(State.of(book)):
        msg = f"Drafts of {', '.join(runs)} were grouped by the present configuration: post or cancel them first."
        raise BillfoldError(msg)


def runs_with_drafts(state: State) -> list[str]:
    """The runs that have drafts, in order."""
    headers = [state.read(t).select("bill_run_number", "status") for t in ("invoices", "credit_memos")]
    drafts = pl.concat(headers).filter(status="Draft")
    return collected(drafts.select("bill_run_number").unique().sort("bill_run_number"))["bill_run_number"].to_list()


def _assignment(state: State, accounts: Sequence[str], number: str | None) -> list[Change]:
    if not accounts:
        return []
    rows = collected(state.read("accounts").filter(pl.col("account_number").is_in(sorted(set(accounts)))))
    unknown = sorted(set(accounts) - set(rows["account_number"]))
    if unknown:
        msg = f"There is no account {', '.join(unknown)} in the book."
        raise BillfoldError(msg)
    return [Change("accounts", rows.with_columns(invoice_group=pl.lit(number, dtype=pl.String)), replace=True)]
