"""Rows of the input tables, and the items and documents that a run must give."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from make_examples import said

from rating_examples.case import START, Row, Tables

# Dates


def day(text: str, days: int = 0) -> str:
    """A date some days later."""
    return str(date.fromisoformat(text) + timedelta(days))


def after(text: str | None) -> str | None:
    """The day after: an inclusive end made exclusive."""
    return None if text is None else day(text, 1)


def months_later(text: str, months: int) -> str:
    """A date, not later than the 28th, some months later."""
    then = date.fromisoformat(text)
    month = then.month - 1 + months
    return str(then.replace(year=then.year + month // 12, month=month % 12 + 1))


def months(first: str, last: str) -> list[Row]:
    """Service dates of the months from a first to a last day."""
    starts = [first]
    while months_later(starts[-1], 1) <= last:
        starts.append(months_later(starts[-1], 1))
    return [period(start, day(months_later(start, 1), -1)) for start in starts]


# The input tables


def account(**columns: Any) -> Row:  # noqa: ANN401 - any column
    """The account ACC, unless another number is given."""
    return {"account_number": "ACC", "currency": "USD", "bill_cycle_day": 1, **columns}


def subscription(start: str = START, **columns: Any) -> Row:  # noqa: ANN401 - any column
    """The subscription SUB of ACC, without an end of its own."""
    row = {"subscription_number": "SUB", "account_number": "ACC", "status": "Active", "term_type": "EVERGREEN"}
    dates = {"contract_effective_date": start, "subscription_start_date": start, "term_start_date": start}
    return {**row, **dates, **columns}


def charge(start: str | None = START, end: str | None = None, **columns: Any) -> Row:  # noqa: ANN401 - any column
    """The charge CHARGE of SUB: a flat fee of 100 a month in advance; `end` is exclusive."""
    row = {
        "charge_number": "CHARGE", "subscription_number": "SUB", "charge_type": "Recurring", "charge_model": "FlatFee",
        "price": "100", "billing_period": "Month", "effective_start_date": start, "effective_end_date": end,
    }  # fmt: skip
    return {**row, **columns}


def once(**columns: Any) -> Row:  # noqa: ANN401 - any column
    """A one-time flat fee."""
    return charge(**{"charge_type": "OneTime", "billing_period": None, **columns})


def discount(number: str, percentage: Any, start: str, **columns: Any) -> Row:  # noqa: ANN401 - a number; any column
    """A discount of a percentage on charges of its subscription, unless it has another level."""
    row = {
        "charge_number": number, "charge_model": "DiscountPercentage", "price": None, "billing_period": None,
        "discount_percentage": percentage,
    }  # fmt: skip
    return charge(start, **{**row, **columns})


def line(number: str = "1", **columns: Any) -> Row:  # noqa: ANN401 - any column
    """A line of the order O-1 that may be billed from START on."""
    row = {"order_number": "O-1", "item_number": number, "account_number": "ACC", "item_state": "SentToBilling"}
    return {**row, "bill_target_date": START, "transaction_date": START, **columns}


def tables(charges: list[Row], of: Row | None = None, by: Row | None = None, **others: list[Row]) -> Tables:
    """Charges with their one subscription `of` and its account `by`."""
    sold = {"subscriptions": [of or subscription()], "rate_plan_charges": charges} if charges else {}
    return {"accounts": [by or account()], **sold, **others}


# What the run must give


def period(start: str, end: str) -> Row:
    """Service dates, both inclusive."""
    return {"service_start_date": start, "service_end_date": end}


def item(stated: Row, number: str = "CHARGE", **columns: Any) -> Row:  # noqa: ANN401 - any column
    """An item that is owed, for a period {service_start, service_end, amount, quantity} as cases spell it."""
    dates = period(stated["service_start"], stated["service_end"])
    sums = said({name: stated.get(name) for name in ("amount", "quantity")})
    return {"charge_number": number, **dates, **sums, **columns}


def outcome(items: list[Row], documents: list[Row] | None = None, **more: Any) -> Row:  # noqa: ANN401 - what a step checks
    """All items and documents of a run. Unless they are given, it is one: an invoice, or a memo if that is negative."""
    if documents is None:
        net = sum((Decimal(i.get("amount", 0)) for i in items), Decimal(0))
        documents = [{"document": "credit_memo" if net < 0 else "invoice"}] if items else []
    return {"items": items, "documents": documents, **more}
