"""Small inputs of orders for tests: a catalog, accounts, requests as the API has them, and how to do them."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from inputs import write_rows

from billfold.intake import load
from billfold.orders.answers import text
from billfold.orders.create import create
from billfold.orders.models import CreateOrder, PreviewOrder, UpdateOrderLines
from billfold.orders.parsing import parsed
from billfold.orders.previews import preview
from billfold.orders.show import show
from billfold.orders.update import update

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from billfold import Book

Json = dict[str, Any]

TODAY: Final = date(2024, 1, 1)
"""The day of the orders below, and "today" where nothing else is said."""

_EVENTS: Final = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
_MONTHLY: Final = {"charge_type": "Recurring", "billing_period": "Month", "bill_cycle_type": "ChargeTriggerDay"}


def catalog() -> list[Json]:
    """Rate plans with one charge each, and BUNDLE, which has three."""
    return [
        charge("fee", "FEE", charge_model="FlatFee", price=30, **_MONTHLY),
        charge("seats", "SEATS", charge_model="PerUnit", price=10, quantity=3, uom="Seat", **_MONTHLY),
        charge("setup", "SETUP", charge_type="OneTime", charge_model="FlatFee", price=100),
        charge("traffic", "TRAFFIC", charge_type="Usage", charge_model="PerUnit", price="0.5", uom="GB"),
        charge("b-fee", "BUNDLE", charge_model="FlatFee", price=20, **_MONTHLY),
        charge("b-seats", "BUNDLE", charge_model="PerUnit", price=5, quantity=2, uom="Seat", **_MONTHLY),
        charge("b-setup", "BUNDLE", charge_type="OneTime", charge_model="FlatFee", price=50),
    ]


def charge(number: str, plan: str, **columns: object) -> Json:
    """A charge of the catalog."""
    names = {"charge_name": f"the {number}", "product_name": "Product", "rate_plan_name": f"Plan {plan}"}
    return {"product_rate_plan_charge_id": number, "product_rate_plan_id": plan, **names, **columns}


def account(number: str = "A-1", **columns: object) -> Json:
    """A row of the accounts table."""
    return {"account_number": number, "currency": "USD", "bill_cycle_day": 1, "payment_term": "Net 30", **columns}


def stock(book: Book, folder: Path, accounts: Sequence[Json] = (), charges: Sequence[Json] | None = None) -> Book:
    """The book with accounts (A-1 and A-2 if none are given) and a catalog."""
    tables = {
        "accounts": accounts or (account(), account("A-2")),
        "product_rate_plan_charges": catalog() if charges is None else charges,
    }
    # Columns that only some rows have stay blank in the others, which Parquet and CSV take and JSON lines do not.
    load(book, [f"{name}={write_rows(folder / f'{name}.csv', rows)}" for name, rows in tables.items() if rows])
    return book


def action(kind: str, day: str | date = TODAY, **body: object) -> Json:
    """An order action of a type, all of whose trigger dates are one day: `action("Suspend", suspendPolicy="Today")`."""
    named = {kind[0].lower() + kind[1:]: body} if body else {}
    return {"type": kind, "triggerDates": [{"name": n, "triggerDate": str(day)} for n in _EVENTS], **named}


def termed(months: int = 12, **terms: object) -> Json:
    """A first term of some months, renewed by as many."""
    renewal = {
        "renewalSetting": "RENEW_WITH_SPECIFIC_TERM",
        "renewalTerms": [{"period": months, "periodType": "Month"}],
    }
    return {"initialTerm": {"period": months, "periodType": "Month", "termType": "TERMED"}, **renewal, **terms}


def create_subscription(*plans: str | Json, day: str | date = TODAY, **body: Any) -> Json:  # noqa: ANN401 - JSON
    """An action that makes a subscription of rate plans of the catalog (FEE if none are given)."""
    chosen = [{"productRatePlanId": p} if isinstance(p, str) else p for p in plans or ("FEE",)]
    return action("CreateSubscription", day, **{"terms": termed(), "subscribeToRatePlans": chosen, **body})


def subscribe(*plans: str | Json, number: str | None = None, day: str | date = TODAY, **body: Any) -> Json:  # noqa: ANN401
    """An order that makes a subscription; `body` is of its `createSubscription`."""
    made_here = create_subscription(*plans, day=day, **body)
    return order(subscriptions=[entry(number, made_here)], orderDate=str(day))


def entry(number: str | None, *actions: Json, **more: object) -> Json:
    """What an order does to one subscription."""
    return {**({"subscriptionNumber": number} if number else {}), "orderActions": list(actions), **more}


def change(
    number: str, *actions: Json, account_number: str = "A-1", bill: str | date | None = None, **fields: object
) -> Json:
    """An order that does something to a subscription that is there."""
    return order(account_number, bill=bill, subscriptions=[entry(number, *actions)], **fields)


def line(amount: object = 10, **fields: object) -> Json:
    """An order line that is due at once."""
    due = {"itemState": "SentToBilling", "billTargetDate": str(TODAY)}
    return {"itemName": "Cup", "itemType": "Product", "quantity": 1, "amountPerUnit": amount, **due, **fields}


def order(account_number: str = "A-1", *, bill: str | date | None = None, **fields: object) -> Json:
    """An order; with `bill` it is billed at once, up to that day."""
    options = {"runBilling": True, "billingOptions": {"targetDate": str(bill)}}
    billed = {} if bill is None else {"processingOptions": options}
    return {"orderDate": str(TODAY), "existingAccountNumber": account_number, **billed, **fields}


def content(*requests: Json) -> bytes:
    """A file of requests: one JSON document, or JSON lines. Decimals and days are text."""
    return "\n".join(json.dumps(r, default=str) for r in requests).encode()


def made(book: Book, *orders: Json, today: date = TODAY) -> list[Json]:
    """The answers to orders, read and done as the command does."""
    answers = create(book, parsed(content(*orders), CreateOrder)[0], today=today)
    return [as_json(a.body) for a in answers]


def done(book: Book, *orders: Json, today: date = TODAY) -> list[Json]:
    """The same, for orders none of which may be refused."""
    bodies = made(book, *orders, today=today)
    assert [b for b in bodies if not b["success"]] == []
    return bodies


def previewed(book: Book, asked: Json, today: date = TODAY) -> Json:
    """The answer to a preview."""
    return as_json(preview(book, parsed(content(asked), PreviewOrder)[0][0], today=today).body)


def updated(book: Book, *lines: Json, bill: str | date | None = None, today: date = TODAY, **fields: object) -> Json:
    """The answer to an update of order lines."""
    billed = {} if bill is None else {"runBilling": True, "billingOptions": {"targetDate": str(bill)}}
    asked = {"orderLineItems": list(lines), **({"processingOptions": billed} if billed else {}), **fields}
    return as_json(update(book, parsed(content(asked), UpdateOrderLines)[0][0], today=today))


def shown(book: Book, number: str) -> Json:
    """An order as `order show` gives it."""
    return as_json(show(book, number))


def as_json(body: object) -> Json:
    """An answer as a program reads it; numbers stay exact."""
    found: Json = json.loads(text(body), parse_float=Decimal)
    return found
