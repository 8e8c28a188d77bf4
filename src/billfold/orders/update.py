"""`order update`: order lines change, up to a hundred at once, and are billed if that is asked for.

All of them change or none, and their documents come with them, in one commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from billfold.book import Change, Commit, State, merged
from billfold.orders import answers
from billfold.orders.create import scope
from billfold.orders.errors import OrderError, reason
from billfold.orders.frames import tables
from billfold.orders.lines import change, shown
from billfold.orders.place import Placed
from billfold.orders.register import Register, Wanted
from billfold.receipt import Clock, Receipt, bill_run_row, message_of, now
from billfold.requests import RunRequest
from billfold.run import made

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from billfold.book import Book
    from billfold.orders.models import UpdateOrderLines
    from billfold.orders.parsing import Parsed, Reason
    from billfold.orders.register import Row


def update(
    book: Book, asked: Parsed[UpdateOrderLines], *, today: date | None = None, clock: Clock = now
) -> dict[str, Any]:
    """Change order lines; the response shows them as they are afterwards, and the documents that bill them.

    Raises:
        ConflictError: another commit came first, and nothing was written.
        BillfoldError: the book can't be read or written.
    """
    if asked.request is None:
        return answers.failure(asked.reasons)
    state = State.of(book)
    register = Register(state, _wanted(state, asked.request))
    rows, refused = _changed(register, asked)
    if refused:
        return answers.failure(refused)
    found = tables(state, register)
    if found.faults:
        return answers.failure([reason("30", said) for said in found.faults.values()])
    request = _run_request(rows, asked, today or clock().astimezone().date())
    changes, counters, receipt = list(found.changes), {}, None
    message = "order lines"
    if request is not None:
        options = asked.request.processingOptions and asked.request.processingOptions.billingOptions
        started = clock()
        receipt, after = made(state.after(changes), request, post=not (options and options.generateDraftInvoice))
        if (parked := _parked(receipt)) or receipt.bill_run_number is None:
            if parked:
                return answers.failure(parked)
        else:
            row = bill_run_row(receipt, request, state.head.digest, started, clock())
            changes = merged([*changes, *receipt.changes(), Change("bill_runs", row)])
            message, counters = message_of(receipt.bill_run_number, orders=True), dict(after)
    if any(c.rows.height for c in changes):
        book.commit(state.head, Commit(message, changes, counters))
    return _body(register, rows, receipt)


def _wanted(state: State, request: UpdateOrderLines) -> Wanted:
    """The lines, and the sales that they give back."""
    ids = {u.id for u in request.orderLineItems}
    accounts = {u.ownerAccountNumber for u in request.orderLineItems if u.ownerAccountNumber}
    related = {u.relatedSubscriptionNumber for u in request.orderLineItems if u.relatedSubscriptionNumber}
    found = Register(state, Wanted(lines=ids))
    rows = [row for each in ids for row in found.lines_called(each)]
    sales = {
        f"{r['original_order_number']}/{r['original_item_number']}" for r in rows if r["item_category"] == "Return"
    }
    return Wanted(lines=ids | sales, accounts=accounts, subscriptions=related)


def _changed(register: Register, asked: Parsed[UpdateOrderLines]) -> tuple[list[Row], list[Reason]]:
    """The lines as they are to be, or why they can't be so."""
    rows: list[Row] = []
    refused: list[Reason] = []
    updates = asked.request.orderLineItems if asked.request else ()
    for place_in, each in enumerate(updates):
        try:
            rows.append(change(register, each, f"orderLineItems[{place_in}]"))
        except OrderError as e:
            refused.append(reason(e.category, str(e)))
    register.keep(asked.line)
    return rows, refused


def _run_request(rows: Sequence[Row], asked: Parsed[UpdateOrderLines], today: date) -> RunRequest | None:
    """The bill run for the orders of the lines; charges of subscriptions are left alone."""
    options = asked.request.processingOptions if asked.request else None
    if options is None or not options.runBilling:
        return None
    billing = options.billingOptions
    target = (billing and billing.targetDate) or today
    placed = [
        Placed(asked.line, number, "", owners={r["invoice_owner_account_number"] or r["account_number"] for r in rows})
        for number in dict.fromkeys(r["order_number"] for r in rows)
    ]
    return RunRequest(
        target_date=target,
        invoice_date=(billing and billing.documentDate) or target,
        subscriptions=False,
        **scope(placed, [asked.raw]),
    )


def _parked(receipt: Receipt) -> list[Reason]:
    rows = receipt.documents.parked_accounts.select("account_number", "reason").iter_rows()
    return [reason("30", f"The lines can't be billed: account {account}: {why}.") for account, why in rows]


def _body(register: Register, rows: Sequence[Row], receipt: Receipt | None) -> dict[str, Any]:
    """The lines, each as it is after all changes, and the documents that bill them."""
    names = dict.fromkeys((r["order_number"], r["item_number"]) for r in rows)
    now_there = [row for name in names if (row := register["order_line_items"].get(name))]
    body: dict[str, Any] = {
        "success": True,
        "orderLineItems": [
            shown(row, register.returned.get((row["order_number"], row["item_number"])) or 0) for row in now_there
        ],
    }
    if receipt is not None:
        body |= answers.documents(receipt.documents)
    return body
