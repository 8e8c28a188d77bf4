"""Answers about invoice schedules, in the shape of the API's responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from billfold.orders.answers import failure, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.receipt import Receipt
    from billfold.requests import RunRequest

__all__ = ["body", "executed", "failure", "header", "text"]

_PAGE: Final = 20
"""Items on a page, where nothing else is asked for."""


def body(
    schedule: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]],
    *,
    page: int | None = None,
    page_size: int | None = None,
) -> dict[str, Any]:
    """A schedule with its items, from rows of the tables; all items, or one page of them."""
    shown = [_item(row) for row in _paged(items, page, page_size)]
    return {**_amounts(schedule), "scheduleItems": shown, **_scope(schedule), "success": True}


def header(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule without its items."""
    return {**_amounts(schedule), **_scope(schedule)}


def _amounts(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """What comes before the items: names, progress and amounts."""
    return {
        "id": schedule["schedule_id"],
        "accountId": schedule["account_number"],
        "number": schedule["number"],
        "notes": schedule["notes"],
        "status": schedule["status"],
        "nextRunDate": schedule["next_run_date"],
        "totalAmount": schedule["total_amount"],
        "actualAmount": schedule["actual_amount"],
        "billedAmount": schedule["billed_amount"],
        "unbilledAmount": schedule["unbilled_amount"],
    }


def _scope(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """What comes behind the items: what is billed, and how."""
    return {
        "orders": _list(schedule["orders"]),
        "specificSubscriptions": [_subscription(s) for s in _list(schedule["specific_subscriptions"])],
        "invoiceSeparately": schedule["invoice_separately"],
        "additionalSubscriptionsToBill": _list(schedule["additional_subscriptions_to_bill"]),
        "currency": schedule["currency"],
        **_custom(schedule),
    }


def executed(
    request: RunRequest, receipt: Receipt, schedule: Mapping[str, Any], item_id: str | None = None
) -> dict[str, Any]:
    """The bill run that an execution made; it has no number when nothing was due.

    The vendor's run is pending when it is answered. This one is done.
    """
    of_schedule = {
        "filterType": "InvoiceSchedule",
        "accountId": schedule["account_number"],
        "subscriptionId": None,
        "invoiceScheduleId": schedule["schedule_id"],
        "invoiceScheduleItemId": item_id,
    }
    return {
        "id": receipt.bill_run_number,
        "autoEmail": False,
        "autoPost": receipt.status == "Posted",
        "autoRenewal": False,
        "billCycleDay": None,
        "billRunNumber": receipt.bill_run_number,
        "invoiceDate": request.invoice_date,
        "noEmailForZeroAmountInvoice": False,
        "status": receipt.status or "Completed",
        "targetDate": request.target_date,
        "targetDateOffset": None,
        "invoiceDateOffset": None,
        "scheduledExecutionTime": None,
        "batches": None,
        "chargeTypeToExclude": list(request.excluded_charge_types),
        "billRunFilters": [of_schedule],
        "schedule": None,
        "success": True,
    }


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["item_id"],
        "amount": row["amount"],
        "actualAmount": row["actual_amount"],
        "percentage": row["percentage"],
        "status": row["status"],
        "invoiceId": row["invoice_id"],
        "creditMemoId": row["credit_memo_id"],
        "runDate": row["run_date"],
        "name": row["name"],
        "targetDateForAdditionalSubscriptions": row["target_date_for_additional_subscriptions"],
        **_custom(row),
    }


def _paged(items: Sequence[Mapping[str, Any]], page: int | None, page_size: int | None) -> Sequence[Mapping[str, Any]]:
    """Items in order, of one page if a page or its size is asked for."""
    ordered = sorted(items, key=lambda row: row["sequence_number"])
    if page is None and page_size is None:
        return ordered
    size = page_size or _PAGE
    first = ((page or 1) - 1) * size
    return ordered[first : first + size]


def _subscription(said: Mapping[str, Any]) -> dict[str, Any]:
    """No charge numbers, which mean all charges, are an empty list in answers."""
    return {"orderKey": said["orderKey"], "subscriptionKey": said["subscriptionKey"],
            "chargeNumbers": list(said.get("chargeNumbers") or ())}  # fmt: skip


def _custom(row: Mapping[str, Any]) -> dict[str, Any]:
    """The custom fields that have a value; they stand among the others."""
    return {name: value for name, value in row.items() if name.endswith("__c") and value is not None}


def _list(stored: str | None) -> list[Any]:
    """A JSON array of a column; a blank is an empty one."""
    found: list[Any] = json.loads(stored) if stored else []
    return found
