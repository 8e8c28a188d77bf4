"""`explain` from Python: the answer to "why is this so?" about one id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.book import State
from billfold.errors import BillfoldError
from billfold.explanations.charges import charge_why
from billfold.explanations.documents import document_why
from billfold.explanations.find import Found, find
from billfold.explanations.items import item_why
from billfold.explanations.models import CarrierWhy, DocumentWhy, Explanation, ItemWhy
from billfold.explanations.orders import order_line_why
from billfold.explanations.past import past
from billfold.explanations.rows import input_rows
from billfold.explanations.stored import header, item
from billfold.explanations.texts import DOCUMENTS, counted, in_currency, listed
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.book import Book

    Row = Mapping[str, Any]


def explain(
    book: Book, name: str, item_number: str | None = None, *, kind: str | None = None, segment: int | None = None
) -> Explanation:
    """Why a document, an item, a charge or an order line is as it is.

    `name` is the id or number of an invoice or credit memo (also a draft's TMP number), the id of an item, a charge
    number, or an order line as `ORDER/ITEM`; with `item_number`, `name` is its order. `kind` says what is meant where
    several things are called so: invoice, credit_memo, item, charge or order_line. `segment` is one of a charge's.

    Raises:
        BillfoldError: there is no such thing, or there are several; or the book no longer has what a run read.
    """
    book.refuse_older()
    now = State.of(book)
    found = find(now.read, name, item_number, kind)
    if segment is not None and found.kind != "charge":
        msg = f"Only charges have segments, and {name} is {found}: leave --segment out."
        raise BillfoldError(msg)
    match found.kind:
        case "invoice" | "credit_memo":
            return _document(now, found)
        case "item":
            return _item(now, found)
        case "charge":
            return _charge(now, found, segment)
        case _:
            return _order_line(now, found)


def _document(now: State, found: Found) -> Explanation:
    stored = header(now.read, found.key[0])
    read = past(now.book, stored["bill_run_number"])
    why, _, own = document_why(now, read, stored)
    rows = input_rows(read.state.read, own)
    return Explanation(found.key[0], found.kind, _of_document(why), read.facts.snapshot_id, document=why, rows=rows)


def _of_document(why: DocumentWhy) -> str:
    amount, kind = in_currency(why.currency, why.amount), DOCUMENTS[why.kind]
    items = counted(why.item_count, "item")
    return (
        f"{kind.capitalize()} {why.document_number} bills account {why.account_number} {amount} in {items}. {why.rule}"
    )


def _item(now: State, found: Found) -> Explanation:
    row = item(now.read, found.key[0])
    assert row is not None  # noqa: S101 - it was found
    read = past(now.book, header(now.read, row["document_id"])["bill_run_number"])
    why = item_why(now, read, row)
    usage = [r["usage_id"] for step in why.steps if step.name == "usage" for r in step.rows]
    rows = input_rows(read.state.read, _frame(row), usage)
    return Explanation(found.key[0], "item", _of_item(why), read.facts.snapshot_id, item=why, rows=rows)


def _frame(row: Row) -> pl.DataFrame:
    """One row's names of what it bills."""
    names = ("account_number", "subscription_number", "charge_number", "order_number", "item_number",
             "invoice_schedule_number", "invoice_schedule_item_id")  # fmt: skip
    return pl.DataFrame([{n: row.get(n) for n in names}], schema=dict.fromkeys(names, pl.String))


def _of_item(why: ItemWhy) -> str:
    kind = "amount" if why.kind in {"charge", "order line", "schedule share"} else why.kind
    amount = f"The {kind} for {why.what} is {in_currency(why.currency, why.amount)}"
    if why.agrees is None:
        return f"{amount}. {why.note}"
    if why.agrees:
        return f"{amount}; made again from what the run read, it is the same."
    again = "nothing" if why.recomputed is None else in_currency(why.currency, why.recomputed)
    return f"{amount}, but made again from what the run read it is {again}."


def _charge(now: State, found: Found, segment: int | None) -> Explanation:
    why = charge_why(now.read, found.key[0], segment)
    only = Only(among=pl.Series("charge_number", [found.key[0]]))
    charge = collected(now.read("rate_plan_charges", only).select("subscription_number", "charge_number").head(1))
    row = {"account_number": why.invoice_owner_account_number, **charge.row(0, named=True)}
    rows = input_rows(now.read, _frame(row))
    return Explanation(found.key[0], "charge", _of_carrier(why), now.head.snapshot_id, carrier=why, rows=rows)


def _order_line(now: State, found: Found) -> Explanation:
    why = order_line_why(now.read, *found.key)
    row = {
        "account_number": why.invoice_owner_account_number,
        "order_number": found.key[0],
        "item_number": found.key[1],
    }
    rows = input_rows(now.read, _frame(row))
    name = "/".join(found.key)
    return Explanation(name, "order_line", _of_carrier(why), now.head.snapshot_id, carrier=why, rows=rows)


def _of_carrier(why: CarrierWhy) -> str:
    what = why.what[:1].upper() + why.what[1:]
    first = f" {why.reasons[0].said}" if why.reasons else ""
    if not why.billed:
        return f"{what} has not been billed.{first}"
    documents = len({b.document_id for b in why.billed})
    sums = listed([in_currency(c, a) for c, a in why.billed_amounts.items()])
    return f"{what} is on {counted(len(why.billed), 'item')} of {counted(documents, 'document')}: {sums}.{first}"
