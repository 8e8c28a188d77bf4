"""The documented cases in which a schedule changes: by commands, or by what becomes of its documents."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from order_inputs import account, action, change, done, entry, order
from schedule_books import (
    CATALOG,
    IS1,
    ORDER,
    SAME_PLAN,
    SAME_TERM,
    YEAR,
    answers,
    asked,
    billed,
    details,
    documents,
    executed,
    fee,
    figures,
    header,
    items,
    kept,
    of_item,
    once,
    plan,
    printed,
    rows,
    run,
    scheduled,
    state_of,
    statuses,
    stocked,
    subscription,
    updated,
)

from billfold.errors import BillfoldError
from billfold.lifecycle import cancel
from billfold.schedules.update import delete, pause, resume
from billfold.settings import change as set_

if TYPE_CHECKING:
    from pathlib import Path

    from billfold import Book

    Json = dict[str, Any]


@pytest.fixture
def same_term(book: Book, tmp_path: Path) -> Book:
    """UC-SAME-TERM before any item is processed."""
    stocked(book, tmp_path / "in", SAME_TERM, **CATALOG)
    scheduled(book, asked(SAME_PLAN))
    return book


# --- updates ----------------------------------------------------------------------------------------------------


def test_items_without_dates_wait_until_they_get_one(book: Book, tmp_path: Path) -> None:
    """UC-BLANK-DATES."""
    stocked(book, tmp_path / "in", [once("C1", 40000, "2023-01-01")])
    number = scheduled(book, asked([("2023-01-01", 4000), (None, 8000), (None, 28000)]))
    assert statuses(book, number) == ("Pending", ["Pending"] * 3, date(2023, 1, 1))
    executed(book, number, items(book, number)[0]["item_id"])
    assert statuses(book, number) == ("PartiallyProcessed", ["Processed", "Pending", "Pending"], None)
    run(book, "2023-12-31")
    for n, (day, amount) in enumerate((("2023-06-16", 8000), ("2023-10-18", 28000)), 1):
        sent = kept(book, number)
        sent[n] |= {"runDate": day, "amount": amount}
        assert updated(book, number, scheduleItems=sent)["nextRunDate"] == day
        run(book, day)
        processed = ["Processed"] * (n + 1) + ["Pending"] * (2 - n)
        assert statuses(book, number) == ("PartiallyProcessed" if n == 1 else "FullyProcessed", processed, None)
    assert [(str(d["day"]), d["amount"]) for d in documents(book)] == [
        ("2023-01-01", 4000), ("2023-06-16", 8000), ("2023-10-18", 28000),
    ]  # fmt: skip


def test_two_schedules_bill_an_order_by_payment_term(book: Book, tmp_path: Path) -> None:
    """UC-MULTIYEAR-CONTRACT."""
    prices = zip("1234", (1200, 1200, 900, 900), (2023, 2023, 2024, 2024), strict=True)
    sold = [fee(f"C-0000000{n}", p, f"{y}-01-01", f"{y + 1}-01-01") for n, p, y in prices]
    of = {"account_number": "A00000966"}
    own = []
    for n, (year, term) in enumerate(((2023, "Net 30"), (2023, "Net 30"), (2024, "Net 45"), (2024, "Net 45")), 1):
        made_for = subscription(f"S-0000000{n}", f"{year}-01-01", f"{year + 1}-01-01", payment_term=term)
        own.append(made_for | of)
    stocked(
        book, tmp_path / "in", sold, accounts=[account("A00000966")], subscriptions=own,
        orders=[{"order_number": "O-00000001", **of}],
    )  # fmt: skip
    plans = ([("2023-01-01", 1000), ("2023-11-01", 1400)], [("2024-01-01", 500), ("2024-10-01", 1300)])
    for n, items_of in enumerate(plans):
        numbers = (f"S-0000000{2 * n + 1}", f"S-0000000{2 * n + 2}")
        chosen = [{"orderKey": "O-00000001", "subscriptionKey": s} for s in numbers]
        named = {"accountKey": "A00000966", "orders": ["O-00000001"], "notes": f"{2023 + n} Billing Schedule"}
        (body,) = answers(book, asked(items_of, specificSubscriptions=chosen, **named))
        total = sum(a for _, a in items_of)
        assert (body["totalAmount"], body["unbilledAmount"], body["invoiceSeparately"]) == (total, total, True)
        assert body["specificSubscriptions"] == [{**c, "chargeNumbers": []} for c in chosen]
        assert (body["notes"], body["nextRunDate"], body["currency"]) == (named["notes"], items_of[0][0], "USD")
    trail = []
    for day, n in (("2023-01-01", 1), ("2023-11-01", 1), ("2024-01-01", 2), ("2024-10-01", 2)):
        run(book, day, post=True)
        status, _, due = statuses(book, f"IS-0000000{n}")
        trail.append((documents(book)[-1]["invoice_number"], documents(book)[-1]["amount"], status, due))
    assert trail == [
        ("INV00000001", 1000, "PartiallyProcessed", date(2023, 11, 1)),
        ("INV00000002", 1400, "FullyProcessed", None),
        ("INV00000003", 500, "PartiallyProcessed", date(2024, 10, 1)),
        ("INV00000004", 1300, "FullyProcessed", None),
    ]
    assert of_item(book, "IS-00000001", 1) == printed(
        *((f"C-0000000{n}", "2023-01-01", "2023-05-31", "500") for n in (1, 2))
    )
    assert of_item(book, "IS-00000001", 2) == printed(
        *((f"C-0000000{n}", "2023-06-01", "2023-12-31", "700") for n in (1, 2))
    )
    assert [x.amount for x in billed(book, invoice_schedule_number="IS-00000002")] == [250, 650, 250, 650]


def test_pending_items_can_be_changed_once_an_item_is_processed(book: Book, tmp_path: Path) -> None:
    """EDIT-REST-1; the page prints the amounts from before the update."""
    stocked(book, tmp_path / "in", [fee("C1", 800, "2022-10-01", "2023-10-01")])
    number = scheduled(book, asked([("2022-10-03", 500), ("2022-10-08", 200), ("2022-11-03", 100)]))
    run(book, "2022-10-03")
    sent = kept(book, number)
    sent[1]["amount"], sent[2]["amount"] = 180, 120
    body = updated(book, number, orders=[ORDER], scheduleItems=sent, notes="2020 Billing Schedules - Updated")
    assert (body["status"], body["nextRunDate"], body["notes"]) == (
        "PartiallyProcessed", "2022-10-08", "2020 Billing Schedules - Updated",
    )  # fmt: skip
    assert figures(book, number) == (800, 800, 500, 300)
    told = [(i["amount"], i["actualAmount"], i["status"], i["runDate"]) for i in body["scheduleItems"]]
    assert told == [
        (500, 500, "Processed", "2022-10-03"), (180, 180, "Pending", "2022-10-08"), (120, 120, "Pending", "2022-11-03"),
    ]  # fmt: skip


@pytest.fixture
def two_orders(book: Book, tmp_path: Path) -> Book:
    """A pending schedule of the first of two orders, of 800 each."""
    stocked(book, tmp_path / "in", [], **CATALOG, orders=[])
    for n in (6, 7):
        terms = {"initialTerm": {"period": 12, "periodType": "Month", "termType": "TERMED"}}
        sold = {"subscriptionNumber": f"S{n}", "terms": terms, "subscribeToRatePlans": [plan(f"C{n}", 800)]}
        bought = [entry(None, action("CreateSubscription", "2022-12-01", **sold))]
        done(book, order(orderNumber=f"O-0000144{n}", subscriptions=bought))
    scheduled(book, asked([("2022-12-03", 500), ("2022-12-08", 300)], orders=["O-00001446"]))
    return book


def two_orders_updated(book: Book) -> Json:
    plan_of = [("2022-12-03", 1000), ("2022-12-08", 300), ("2022-12-23", 300)]
    sent = asked(plan_of)["scheduleItems"]
    notes = "2022 Billing Schedules - Update Orders"
    return updated(book, IS1, orders=["O-00001446", "O-00001447"], scheduleItems=sent, notes=notes)


def test_a_pending_schedule_can_take_in_another_order(two_orders: Book) -> None:
    """EDIT-REST-2: items that are sent without ids replace all others."""
    before = {i["item_id"] for i in items(two_orders, IS1)}
    body = two_orders_updated(two_orders)
    assert (body["orders"], body["status"], body["nextRunDate"]) == (
        ["O-00001446", "O-00001447"], "Pending", "2022-12-03",
    )  # fmt: skip
    assert figures(two_orders, IS1) == (1600, 1600, 0, 1600)
    assert [i["amount"] for i in body["scheduleItems"]] == [1000, 300, 300]
    assert not before & {i["id"] for i in body["scheduleItems"]}


def test_executing_an_item_is_a_run_for_its_date(two_orders: Book) -> None:
    """EXEC-REST-1 and EXEC-REST-2: by its id, then whichever is next. billfold is done when it answers."""
    two_orders_updated(two_orders)
    ids = [i["item_id"] for i in items(two_orders, IS1)]
    with pytest.raises(BillfoldError, match=ids[0]):
        executed(two_orders, IS1, ids[1])
    for n, (day, asked_for) in enumerate((("2022-12-03", ids[0]), ("2022-12-08", None)), 1):
        body = executed(two_orders, IS1, asked_for).body
        assert body["success"] is True
        expected = {
            "autoEmail": False, "autoPost": False, "autoRenewal": False, "billCycleDay": None, "batches": None,
            "billRunNumber": f"BR-0000000{n}", "noEmailForZeroAmountInvoice": False, "status": "Completed",
            "targetDateOffset": None, "invoiceDateOffset": None, "scheduledExecutionTime": None,
            "chargeTypeToExclude": ["Usage"], "schedule": None,
        }  # fmt: skip
        assert {k: body[k] for k in expected} == expected
        assert (str(body["invoiceDate"]), str(body["targetDate"])) == (day, day)
        (limit,) = body["billRunFilters"]
        assert (limit["filterType"], limit["subscriptionId"]) == ("InvoiceSchedule", None)
        assert limit["invoiceScheduleItemId"] == asked_for
        assert limit["invoiceScheduleId"] == header(two_orders, IS1)["schedule_id"]
    assert [(str(d["day"]), d["amount"], d["status"]) for d in documents(two_orders)] == [
        ("2022-12-03", 1000, "Draft"), ("2022-12-08", 300, "Draft"),
    ]  # fmt: skip


@pytest.fixture
def reference(book: Book, tmp_path: Path) -> Book:
    """The book of the API reference: two orders, of the second of which one subscription is scheduled."""
    stocked(book, tmp_path / "in", [], accounts=[account("A00000007")], **CATALOG, orders=[])
    bought = {"6": [("1", 100), ("2", 100)], "7": [("7", 50000)], "8": [("8", 20200), ("9", 999)]}
    for of, subscriptions in bought.items():
        terms = {"initialTerm": {"period": 12, "periodType": "Month", "termType": "TERMED"}}
        entries = [
            entry(None, action("CreateSubscription", "2022-01-01", subscriptionNumber=f"S-0000000{n}", terms=terms,
                               subscribeToRatePlans=[plan(f"C{n}", price)]))
            for n, price in subscriptions
        ]  # fmt: skip
        done(book, order("A00000007", orderNumber=f"O-0000000{of}", subscriptions=entries))
    return book


def reference_items(*amounts: int) -> list[Json]:
    days = ("2022-02-24", "2022-10-17", "2022-11-14")
    return [
        {"amount": a, "runDate": day, "targetDateForAdditionalSubscriptions": day}
        for a, day in zip(amounts, days, strict=True)
    ]


def reference_request() -> Json:
    """The sample of the API reference, field by field."""
    return {
        "accountKey": "A00000007", "additionalSubscriptionsToBill": ["S-00000001", "S-00000002"],
        "invoiceSeparately": False, "notes": "2022 Billing Schedule", "orders": ["O-00000007", "O-00000008"],
        "scheduleItems": reference_items(50000, 14000, 6200),
        "specificSubscriptions": [{"orderKey": "O-00000008", "subscriptionKey": "S-00000008"}],
    }  # fmt: skip


def test_the_sample_of_the_reference_is_answered_as_printed(reference: Book) -> None:
    """API-CREATE, API-UPDATE and API-GET; the reference prints what is left as actual amounts, the pages do not."""
    (body,) = answers(reference, reference_request())
    told = {k: v for k, v in body.items() if k not in {"id", "accountId", "number", "scheduleItems"}}
    assert told == {
        "actualAmount": 70200, "additionalSubscriptionsToBill": ["S-00000001", "S-00000002"], "billedAmount": 0,
        "currency": "USD", "invoiceSeparately": False, "nextRunDate": "2022-02-24", "notes": "2022 Billing Schedule",
        "orders": ["O-00000007", "O-00000008"], "status": "Pending", "success": True, "totalAmount": 70200,
        "specificSubscriptions": [{"orderKey": "O-00000008", "subscriptionKey": "S-00000008", "chargeNumbers": []}],
        "unbilledAmount": 70200,
    }  # fmt: skip
    sent = [
        s | {"id": i["id"]} for s, i in zip(reference_items(54000, 10000, 6200), body["scheduleItems"], strict=True)
    ]
    again = {k: v for k, v in reference_request().items() if k != "accountKey"}
    body = updated(reference, IS1, **{**again, "scheduleItems": sent})
    assert (body["status"], body["nextRunDate"]) == ("Pending", "2022-02-24")
    assert [(i["id"], i["amount"], i["actualAmount"]) for i in body["scheduleItems"]] == [
        (s["id"], s["amount"], s["amount"]) for s in sent
    ]
    run(reference, "2022-02-24")
    assert statuses(reference, IS1) == ("PartiallyProcessed", ["Processed", "Pending", "Pending"], date(2022, 10, 17))
    assert figures(reference, IS1) == (70200, 70200, 54000, 16200)
    assert [i["actual_amount"] for i in items(reference, IS1)] == [54000, 10000, 6200]


def test_the_additional_subscriptions_of_the_sample_are_billed_with_its_items(reference: Book) -> None:
    """API-CREATE: S-00000001 and S-00000002 up to the items' target date; S-00000009 waits for its own run."""
    answers(reference, reference_request())
    executed(reference, IS1)
    assert {x.charge: x.amount for x in billed(reference)} == {
        "C1": 100, "C2": 100, "C7": Decimal("35612.54"), "C8": Decimal("14387.46"),
    }  # fmt: skip
    assert len(documents(reference)) == 1


def test_a_pause_is_taken_back_by_resuming(same_term: Book) -> None:
    """API-PAUSE-RESUME."""
    run(same_term, "2023-02-04")
    before = state_of(same_term)
    assert pause(same_term, IS1)["success"]
    assert statuses(same_term, IS1) == ("Paused", ["Processed", "Pending", "Pending"], date(2023, 5, 1))
    with pytest.raises(BillfoldError, match="aused"):
        executed(same_term, IS1)
    assert resume(same_term, IS1)["success"]
    assert state_of(same_term) == before


@pytest.mark.parametrize(("rule", "amount"), [("billed", 14000), ("skipped", 0)])
def test_a_pause_stops_bill_runs_only_if_the_setting_says_so(same_term: Book, rule: str, amount: int) -> None:
    """API-PAUSE-RESUME: as documented, runs whose target date passes the next run date bill it all the same."""
    set_(same_term, {"paused_schedules": rule})
    run(same_term, "2023-02-04")
    pause(same_term, IS1)
    run(same_term, "2023-05-01")
    assert header(same_term, IS1)["billed_amount"] == 50000 + amount
    assert header(same_term, IS1)["status"] == "Paused"


# --- custom fields, owners, terms -------------------------------------------------------------------------------


def new_purchase_order(number: str, day: str) -> Json:
    changed = {"chargeNumber": "C1", "customFields": {"PONumber__c": number}}
    return change("S1", action("UpdateProduct", day, ratePlanId="P1", chargeUpdates=[changed]))


def purchase_orders(book: Book) -> list[object]:
    """Of each billed line of C1, the purchase order of its segment."""
    of = {r["segment"]: r["PONumber__c"] for r in rows(book, "rate_plan_charges")}
    return [of[i["segment"]] for i in details(book)]


def test_an_item_is_of_the_segment_in_force_on_its_days(book: Book, tmp_path: Path) -> None:
    """UC-CUSTOM-FIELDS, with PO-003 from November on: the page says October, and shows November."""
    stocked(book, tmp_path / "in", [fee("C1", 1200, *YEAR, PONumber__c="PO-001")])
    number = scheduled(book, asked([("2023-01-01", 700), ("2023-05-01", 300), ("2023-11-01", 200)]))
    executed(book, number, post=True)
    for name, day in (("PO-002", "2023-08-01"), ("PO-003", "2023-11-01")):
        done(book, new_purchase_order(name, day))
    for _ in range(2):
        executed(book, number)
    assert billed(book) == printed(
        ("C1", "2023-01-01", "2023-07-31", "700"),
        ("C1", "2023-08-01", "2023-10-31", "300"),
        ("C1", "2023-11-01", "2023-12-31", "200"),
    )
    assert purchase_orders(book) == ["PO-001", "PO-002", "PO-003"]


def test_a_canceled_item_can_be_billed_again_with_another_custom_field(book: Book, tmp_path: Path) -> None:
    """UC-REVERSE, with a draft that is canceled: billfold does not reverse what is posted."""
    stocked(book, tmp_path / "in", [fee("C1", 1200, *YEAR, PONumber__c="PO-001")])
    number = scheduled(book, asked([("2023-01-01", 700), ("2023-05-01", 500)]))
    trail = [statuses(book, number)[:2]]
    for _ in range(2):
        executed(book, number)
        trail.append(statuses(book, number)[:2])
    cancel(book, "BR-00000002")
    trail.append(statuses(book, number)[:2])
    done(book, new_purchase_order("PO-002", "2023-08-01"))
    executed(book, number)
    trail.append(statuses(book, number)[:2])
    assert [status for status, _ in trail] == [
        "Pending", "PartiallyProcessed", "FullyProcessed", "PartiallyProcessed", "FullyProcessed",
    ]  # fmt: skip
    assert [of[1] for _, of in trail] == ["Pending", "Pending", "Processed", "Pending", "Processed"]
    assert billed(book) == printed(("C1", "2023-01-01", "2023-07-31", "700"), ("C1", "2023-08-01", "2023-12-31", "500"))
    assert purchase_orders(book) == ["PO-001", "PO-002"]


def test_a_partly_processed_schedule_can_be_deleted_once_its_run_is_canceled(book: Book, tmp_path: Path) -> None:
    """UC-DELETE-PARTIAL, with a draft that is canceled instead of an invoice that is reversed."""
    stocked(book, tmp_path / "in", [fee("C1", 1200, "2022-01-01", YEAR[0]), fee("C2", 1300, "2022-01-01", YEAR[0])])
    number = scheduled(book, asked([("2022-01-01", 1200), ("2022-12-01", 1300)]))
    executed(book, number)
    with pytest.raises(BillfoldError):
        delete(book, number)
    cancel(book, "BR-00000001")
    assert statuses(book, number)[:2] == ("Pending", ["Pending", "Pending"])
    assert delete(book, number)["success"]
    assert {t: rows_of for t, rows_of in state_of(book).items() if rows_of} == {}
