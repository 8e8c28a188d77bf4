"""Answers to orders, in the shape of the API's responses."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.orders.lines import line_id
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from billfold.book import State
    from billfold.lines import Documents
    from billfold.orders.create import Part
    from billfold.orders.parsing import Reason
    from billfold.orders.place import Placed

_KINDS: Final = (("invoice", "invoiceNumbers"), ("credit_memo", "creditMemoNumbers"))


def failure(reasons: Sequence[Reason]) -> dict[str, Any]:
    """The body for a request that could not be done."""
    return {"success": False, "reasons": [{"code": r.code, "message": r.message} for r in reasons]}


def text(body: object, indent: int | None = None) -> str:
    """A body as JSON; decimals are numbers, exactly."""
    separators = None if indent else (",", ":")
    told = json.dumps(body, indent=indent, separators=separators, default=_plain, ensure_ascii=False)
    return _NUMBER.sub(r"\1", told)


def _plain(value: object) -> str:
    """Dates as text; decimals between two characters that no text of a request has."""
    if not isinstance(value, Decimal):
        return str(value)
    whole, _, decimals = f"{value:f}".partition(".")
    decimals = decimals.rstrip("0")
    return f"\0{whole}.{decimals}\0" if decimals else f"\0{whole}\0"


_NUMBER: Final = re.compile(r'"\\u0000(-?[\d.]+)\\u0000"')


def bodies(part: Part) -> dict[str, dict[str, Any]]:
    """Responses to the orders of a part, by order number."""
    receipt = part.receipt
    numbers = _documents(receipt.documents) if receipt and receipt.bill_run_number else {}
    return {p.number: _body(p, numbers, billed=receipt is not None) for p in part.placed}


def _body(placed: Placed, numbers: dict[tuple[str, str], list[str]], *, billed: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "success": True,
        "orderNumber": placed.number,
        "accountNumber": placed.account,
        "status": "Completed",
    }
    if placed.subscriptions:
        body["subscriptionNumbers"] = list(placed.subscriptions)
        body["subscriptions"] = [{"subscriptionNumber": n, "status": s} for n, s in placed.subscriptions.items()]
    if billed:
        for kind, field in _KINDS:
            found = sorted(n for owner in placed.owners for n in numbers.get((kind, owner), ()))
            if found or kind == "invoice":
                body[field] = found
    if placed.items:
        body["orderLineItems"] = [
            {"id": line_id(placed.number, row["item_number"]), "itemNumber": row["item_number"]} for row in placed.items
        ]
    if placed.warnings:
        body["warnings"] = list(placed.warnings)
    return body


def documents(made: Documents) -> dict[str, Any]:
    """What a run made, for answers that show documents: numbers and amounts."""
    return {
        name: [
            {"id": row[f"{kind}_id"], "number": row[f"{kind}_number"], "amount": row["amount"]}
            for row in getattr(made, f"{kind}s").iter_rows(named=True)
        ]
        for name, kind in (("invoices", "invoice"), ("creditMemos", "credit_memo"))
    }


def _documents(documents: Documents) -> dict[tuple[str, str], list[str]]:
    """Numbers of a run's documents, by kind and account. Within a part, no two orders bill one account."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind, _ in _KINDS:
        headers = getattr(documents, f"{kind}s").select("account_number", f"{kind}_number")
        for account, number in headers.iter_rows():
            found[kind, account].append(number)
    return found


def stored(state: State, numbers: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The answers that were given to orders of the book."""
    named = Only(among=pl.Series("order_number", sorted(numbers), dtype=pl.String))
    rows = collected(state.read("orders", named).select("order_number", "response"))
    return {number: json.loads(response) for number, response in rows.iter_rows()}
