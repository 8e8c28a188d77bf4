"""SEED004: three schedules of one subscription, whose items share an invoice when they are due on one day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from order_inputs import account
from schedule_books import (
    answers,
    billed,
    documents,
    fee,
    run,
    statuses,
    stocked,
    subscription,
)

if TYPE_CHECKING:
    from pathlib import Path

    from schedule_books import Json

    from billfold import Book

THREE_YEARS: Final = ("2023-12-01", "2026-12-01")
FOR_THREE: Final[Json] = {
    "billing_period": "Three_Years",
    "specific_billing_period": None,
    "subscription_number": "S-00000001",
}
PER_PERIOD: Final[Json] = {**FOR_THREE, "list_price_base": "Per_Billing_Period"}
SEED: Final = [
    fee("C-00000001", 50000, *THREE_YEARS, charge_name="Annual Platform Fee", **FOR_THREE),
    fee("C-00000002", 2000000, *THREE_YEARS, charge_name="First Time Verification Fee", **PER_PERIOD),
    fee("C-00000003", 1000000, *THREE_YEARS, charge_name="Ongoing Verification Fee", **PER_PERIOD),
]
PLATFORM: Final = [("2023-12-01", 50000), ("2024-12-01", 50000), ("2025-12-01", 50000)]
FIRST_TIME: Final = [("2023-12-01", 1000000), ("2024-05-01", 1000000)]
ONGOING: Final = [("2024-06-01", 250000), ("2024-09-01", 250000), ("2024-12-01", 250000), ("2025-03-01", 250000)]
NOTES: Final = ("Annual Platform Fee", "First Time Verification Fee", "Ongoing Verification Fee")
NAMES: Final = (
    [f"Annual Platform Fee | Year {n} " for n in (1, 2, 3)],
    ["First Time Verification Fee | Milestone 1"] * 2,
    [f"Ongoing Verification Fee | Milestone {n}" for n in (1, 2, 3, 4)],
)
SEED_DAYS: Final = {
    "2023-12-01": 1050000, "2024-05-01": 1000000, "2024-06-01": 250000, "2024-09-01": 250000, "2024-12-01": 300000,
    "2025-03-01": 250000, "2025-12-01": 50000,
}  # fmt: skip


def seed_requests(**fields: object) -> list[Json]:
    """The three requests of the page, field by field."""
    found = []
    for n, plan in enumerate((PLATFORM, FIRST_TIME, ONGOING)):
        named = [{"name": name, "runDate": day, "amount": a} for name, (day, a) in zip(NAMES[n], plan, strict=True)]
        of = {"orderKey": "O-00000001", "subscriptionKey": "S-00000001", "chargeNumbers": [f"C-0000000{n + 1}"]}
        asked_for = {"accountKey": "A00000970", "orders": ["O-00000001"], "specificSubscriptions": [of]}
        found.append({**asked_for, "scheduleItems": named, "invoiceSeparately": False, "notes": NOTES[n], **fields})
    return found


@pytest.fixture
def seed(book: Book, tmp_path: Path) -> Book:
    of = {"account_number": "A00000970"}
    return stocked(
        book, tmp_path / "seed", SEED, accounts=[account("A00000970")],
        orders=[{"order_number": "O-00000001", **of}], subscriptions=[subscription("S-00000001", *THREE_YEARS, **of)],
    )  # fmt: skip


def test_three_schedules_are_answered_as_documented(seed: Book) -> None:
    """SEED004. Of ids, only their form is documented; the page's first run date of the third schedule is a slip."""
    requests = seed_requests()
    for n, (body, request) in enumerate(zip(answers(seed, *requests), requests, strict=True)):
        plan = (PLATFORM, FIRST_TIME, ONGOING)[n]
        total = sum(a for _, a in plan)
        told = {k: v for k, v in body.items() if k not in {"id", "accountId", "scheduleItems"}}
        assert told == {
            "number": f"IS-0000000{n + 1}", "notes": NOTES[n], "status": "Pending", "nextRunDate": plan[0][0],
            "totalAmount": total, "actualAmount": total, "billedAmount": 0, "unbilledAmount": total,
            "orders": ["O-00000001"], "specificSubscriptions": request["specificSubscriptions"],
            "invoiceSeparately": False, "additionalSubscriptionsToBill": [], "currency": "USD", "success": True,
        }  # fmt: skip
        assert [{k: v for k, v in i.items() if k != "id"} for i in body["scheduleItems"]] == [
            {
                "amount": amount, "actualAmount": amount, "percentage": None, "status": "Pending", "invoiceId": None,
                "creditMemoId": None, "runDate": day, "name": name, "targetDateForAdditionalSubscriptions": None,
            }
            for name, (day, amount) in zip(NAMES[n], plan, strict=True)
        ]  # fmt: skip


def test_nine_items_on_seven_days_make_seven_invoices(seed: Book) -> None:
    """SEED004: schedules that are not invoiced separately share an invoice when they are due together."""
    answers(seed, *seed_requests())
    for day in SEED_DAYS:
        run(seed, day, post=True)
    assert [(str(d["day"]), d["amount"]) for d in documents(seed)] == list(SEED_DAYS.items())
    assert {d["kind"] for d in documents(seed)} == {"invoice"}
    assert [statuses(seed, f"IS-0000000{n}")[0] for n in (1, 2, 3)] == ["FullyProcessed"] * 3
    for charge, total in (("C-00000001", 150000), ("C-00000002", 2000000), ("C-00000003", 1000000)):
        assert sum(x.amount for x in billed(seed) if x.charge == charge) == total


def test_schedules_that_are_invoiced_separately_make_nine_invoices(seed: Book) -> None:
    answers(seed, *seed_requests(invoiceSeparately=True))
    for day in SEED_DAYS:
        run(seed, day)
    assert sorted(d["amount"] for d in documents(seed)) == sorted(
        a for p in (PLATFORM, FIRST_TIME, ONGOING) for _, a in p
    )
    assert all(d["item_count"] == 1 for d in documents(seed))
