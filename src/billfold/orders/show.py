"""`order show`: an order as the book has it now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from billfold.book import State
from billfold.errors import BillfoldError
from billfold.orders.lines import line_id, shown
from billfold.orders.register import Register, Wanted
from billfold.rows import collected

if TYPE_CHECKING:
    from billfold.book import Book


def show(book: Book, number: str) -> dict[str, Any]:
    """An order in the shape of the API's GET: its actions by subscription, and its lines with their quantities.

    Raises:
        BillfoldError: there is no such order.
    """
    state = State.of(book)
    found = collected(state.read("orders").filter(order_number=number))
    items = collected(state.read("order_line_items").filter(order_number=number)).to_dicts()
    items.sort(key=lambda r: (len(r["item_number"]), r["item_number"]))
    if found.is_empty() and not items:
        msg = f"There is no order {number} in the book."
        raise BillfoldError(msg)
    order = found.row(0, named=True) if found.height else {"order_number": number, **_of_lines(items)}
    told: dict[str, Any] = {
        "orderNumber": number,
        "existingAccountNumber": order["account_number"],
        "orderDate": order.get("order_date"),
        "category": order.get("category"),
        "status": order.get("status"),
        "description": order.get("description"),
        "billRunNumber": order.get("bill_run_number"),
        "customFields": {c: v for c, v in order.items() if c.endswith("__c") and v is not None},
        "subscriptions": _subscriptions(state, number),
        "orderLineItems": _lines(state, items),
    }
    return {"success": True, "order": {name: value for name, value in told.items() if value not in (None, {}, [])}}


def _of_lines(items: list[dict[str, Any]]) -> dict[str, Any]:
    """What is known of an order whose header nobody loaded."""
    return {"account_number": items[0]["account_number"]}


def _subscriptions(state: State, number: str) -> list[dict[str, Any]]:
    actions = collected(state.read("order_actions").filter(order_number=number).sort("sequence"))
    by: dict[str, list[dict[str, Any]]] = {}
    for row in actions.iter_rows(named=True):
        custom = {c: v for c, v in row.items() if c.endswith("__c") and v is not None}
        told = {"type": row["type"], "effectiveDate": row["effective_date"], "changeReason": row["change_reason"]}
        by.setdefault(row["subscription_number"], []).append(
            {k: v for k, v in told.items() if v is not None} | ({"customFields": custom} if custom else {})
        )
    return [{"subscriptionNumber": n, "orderActions": done} for n, done in by.items()]


def _lines(state: State, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    register = Register(state, Wanted(lines={line_id(r["order_number"], r["item_number"]) for r in items}))
    return [shown(row, register.returned.get((row["order_number"], row["item_number"])) or 0) for row in items]
