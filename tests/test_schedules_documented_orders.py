"""The documented cases in which orders change what is scheduled."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from order_inputs import account, action, change, done, entry, made, order
from schedule_books import (
    CATALOG,
    IS1,
    ORDER,
    SAME_PLAN,
    SAME_TERM,
    YEAR,
    YEARLY,
    annual,
    asked,
    billed,
    details,
    discount,
    documents,
    early,
    executed,
    fee,
    figures,
    header,
    items,
    kept,
    of_item,
    once,
    only,
    plan,
    printed,
    run,
    scheduled,
    shares,
    statuses,
    stocked,
    subscription,
    updated,
)

from billfold.schedules.update import pause, resume

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from billfold import Book

    Json = dict[str, Any]

ALL_FOUR: Final = ("S1", "S2", "S3", "S4")


@pytest.fixture
def same_term(book: Book, tmp_path: Path) -> Book:
    """UC-SAME-TERM before any item is processed."""
    stocked(book, tmp_path / "in", SAME_TERM, **CATALOG)
    scheduled(book, asked(SAME_PLAN))
    return book


def removing(numbers: Sequence[str], day: str, *more: Json) -> Json:
    """An order that removes the rate plan of each subscription."""
    return order(
        subscriptions=[entry(n, action("RemoveProduct", day, ratePlanId=n.replace("S", "P")), *more) for n in numbers]
    )


# --- orders -----------------------------------------------------------------------------------------------------


def test_what_is_removed_shortens_the_next_items(same_term: Book) -> None:
    """UC-REMOVE-PARTIAL: the second item bills the 8,500 that are left, the third one nothing."""
    run(same_term, "2023-02-04", post=True)
    done(same_term, removing(ALL_FOUR, "2023-11-01"))
    assert figures(same_term, IS1) == (70200, 58500, 50000, 8500)
    assert [i["actual_amount"] for i in items(same_term, IS1)] == [50000, 8500, 0]
    assert header(same_term, IS1)["next_run_date"] == date(2023, 5, 1)
    for day in ("2023-05-01", "2023-09-16"):
        run(same_term, day)
    assert of_item(same_term, IS1, 2) == printed(
        ("C1", "2023-09-17", "2023-10-31", "4467.95"),
        ("C2", "2023-09-17", "2023-10-31", "2603.28"),
        ("C3", "2023-09-17", "2023-10-31", "1331.91"),
        ("C4", "2023-09-17", "2023-10-31", "96.86"),
    )
    assert of_item(same_term, IS1, 3) == []
    assert [d["amount"] for d in documents(same_term)] == [50000, 8500]
    assert items(same_term, IS1)[2]["invoice_id"] is None
    assert statuses(same_term, IS1) == ("FullyProcessed", ["Processed"] * 3, None)


def test_what_is_removed_after_all_items_is_credited_newest_first(same_term: Book) -> None:
    """UC-REMOVE-FULL: 11,700.00 in eight items."""
    for day, _ in SAME_PLAN:
        run(same_term, day, post=True)
    done(same_term, removing(ALL_FOUR, "2023-11-01"))
    assert figures(same_term, IS1) == (70200, 58500, 70200, -11700)
    assert header(same_term, IS1)["next_run_date"] == date(2023, 11, 1)
    run(same_term, "2023-11-01")
    assert figures(same_term, IS1) == (70200, 58500, 58500, 0)
    assert statuses(same_term, IS1) == ("FullyProcessed", ["Processed"] * 3, None)
    (memo,) = (d for d in documents(same_term) if d["kind"] == "credit_memo")
    assert (memo["amount"], memo["item_count"]) == (-11700, 8)
    found = billed(same_term, document=memo["id"])
    assert found == printed(
        ("C1", "2023-11-01", "2023-11-29", "-2891.03"),
        ("C1", "2023-11-29", "2023-12-31", "-3258.97"),
        ("C2", "2023-11-01", "2023-11-29", "-1684.48"),
        ("C2", "2023-11-29", "2023-12-31", "-1898.86"),
        ("C3", "2023-11-01", "2023-11-29", "-861.82"),
        ("C3", "2023-11-29", "2023-12-31", "-971.51"),
        ("C4", "2023-11-01", "2023-11-29", "-62.67"),
        ("C4", "2023-11-29", "2023-12-31", "-70.66"),
    )
    totals = {c: -sum(x.amount for x in found if x.charge == c) for c in ("C1", "C2", "C3", "C4")}
    assert totals == {c: Decimal(a) for c, a in zip(totals, ("6150", "3583.34", "1833.33", "133.33"), strict=True)}
    before = {i["item"]: i for i in details(same_term)}
    for item in details(same_term):
        if item["document"] == memo["id"]:
            assert -item["amount"] <= before[item["applied_to_item_id"]]["amount"]


def test_a_charge_without_a_price_is_credited_with_the_others(book: Book, tmp_path: Path) -> None:
    """UC-ZERO-PRICE: canceled after the schedule is fully processed."""
    stocked(book, tmp_path / "in", [fee("C1", 2000, *YEAR), fee("C2", 0, *YEAR)])
    number = scheduled(book, asked([("2023-02-04", 1000), ("2023-05-01", 500), ("2023-11-14", 500)]))
    for n in (1, 2, 3):
        executed(book, number, post=True)
        assert len(documents(book)) == n
    canceled = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2023-11-01"}
    done(
        book,
        order(subscriptions=[entry(s, action("CancelSubscription", "2023-11-01", **canceled)) for s in ("S1", "S2")]),
    )
    run(book, "2023-11-01")
    memo = documents(book)[-1]
    assert (memo["kind"], memo["amount"]) == ("credit_memo", Decimal("-333.33"))
    assert billed(book, document=memo["id"]) == printed(
        ("C1", "2023-11-01", "2023-12-31", "-333.33"), ("C2", "2023-11-01", "2023-12-31", "0")
    )


def test_a_pending_schedule_takes_in_a_charge_that_an_order_adds(same_term: Book) -> None:
    """UC-ADD-CHARGES: a new product never joins by itself; the new order has to."""
    added = action("AddProduct", "2023-01-01", **plan("C5", 500))
    done(same_term, change("S4", added, orderNumber="O-0002"))
    assert figures(same_term, IS1) == (70200, 70200, 0, 70200)
    sent = kept(same_term, IS1)
    sent[2]["amount"] = 6700
    body = updated(same_term, IS1, orders=[ORDER, "O-0002"], scheduleItems=sent)
    assert (body["status"], body["totalAmount"]) == ("Pending", 70700)
    assert [(i["runDate"], i["amount"]) for i in body["scheduleItems"]] == [
        ("2023-02-04", 50000), ("2023-05-01", 14000), ("2023-09-16", 6700),
    ]  # fmt: skip


def new_price() -> Json:
    priced = {"chargeNumber": "C4", "pricing": {"recurringFlatFee": {"listPrice": 1000}}}
    return change(
        "S4", action("UpdateProduct", "2023-01-01", ratePlanId="P4", chargeUpdates=[priced]), orderNumber="O-0002"
    )


@pytest.mark.parametrize("is_edited", [True, False])
def test_a_higher_price_lands_on_the_last_item(same_term: Book, is_edited: bool) -> None:  # noqa: FBT001 - a case
    """UC-CHANGE-PRICE: by the update that the page shows, or by itself."""
    done(same_term, new_price())
    assert figures(same_term, IS1) == (70200, 70400, 0, 70400)
    assert [i["actual_amount"] for i in items(same_term, IS1)] == [50000, 14000, 6400]
    if is_edited:
        sent = kept(same_term, IS1)
        sent[2]["amount"] = 6400
        assert updated(same_term, IS1, scheduleItems=sent)["actualAmount"] == 70400
    for day, _ in SAME_PLAN:
        run(same_term, day)
    assert [d["amount"] for d in documents(same_term)] == [50000, 14000, 6400]
    assert sum(x.amount for x in billed(same_term, charge_number="C4")) == 1000


def test_a_new_price_is_refused_once_an_item_is_processed(same_term: Book) -> None:
    """UC-CHANGE-PRICE."""
    run(same_term, "2023-02-04")
    (body,) = made(same_term, new_price())
    assert not body["success"]
    assert "C4" in str(body["reasons"])


def test_a_renewed_term_gets_a_schedule_of_its_own(book: Book, tmp_path: Path) -> None:
    """UC-RENEW-NEW-SCHEDULE."""
    endless = [c | {"effective_end_date": None} for c in SAME_TERM]
    renewable: Json = {"renewal_term": 12, "renewal_term_period_type": "Month"}
    own = [subscription(s, *YEAR, **renewable) for s in ALL_FOUR]
    stocked(book, tmp_path / "in", endless, subscriptions=own)
    scheduled(book, asked(SAME_PLAN))
    for day in ("2023-02-04", "2023-05-01"):
        run(book, day)
    renewals = [entry(s, action("RenewSubscription", "2024-01-01")) for s in ALL_FOUR]
    done(book, order(orderNumber="O-0002", subscriptions=renewals))
    assert figures(book, IS1) == (70200, 70200, 64000, 6200)
    second = [("2024-01-04", 50000), ("2024-06-01", 14000), ("2024-12-14", 6200)]
    number = scheduled(book, asked(second, orders=["O-0002"]))
    assert figures(book, number) == (70200, 70200, 0, 70200)
    assert [(i["amount"], i["status"]) for i in items(book, IS1)] == [
        (50000, "Processed"), (14000, "Processed"), (6200, "Pending"),
    ]  # fmt: skip
    for day in ("2023-09-16", *(d for d, _ in second)):
        run(book, day)
    assert [d["amount"] for d in documents(book)] == [50000, 14000, 6200, 50000, 14000, 6200]
    assert of_item(book, number, 1)[0] == printed(("C1", "2024-01-01", "2024-09-17", "26282.05"))[0]


def test_an_early_renewal_after_period_bills_is_credited_with_the_first_item(book: Book, tmp_path: Path) -> None:
    """UC-EARLY-STANDARD: 16,000 on an invoice, 4,000 on a credit memo."""
    quarter = {"billing_period": "Quarter"}
    stocked(book, tmp_path / "in", [annual(c, 3000, *YEAR, **quarter) for c in ("C1", "C2")], **CATALOG)
    for day in ("2023-01-01", "2023-04-01", "2023-07-01", "2023-10-01"):
        run(book, day, post=True)
    assert [d["amount"] for d in documents(book)] == [6000] * 4
    renewed = [early(f"S{n}", "2023-11-01", f"C{n + 2}", 13000, 22) for n in (1, 2)]
    done(book, order(orderNumber="O-002", subscriptions=renewed))
    request = asked([("2023-10-15", 16000), ("2024-06-01", 10000)], orders=["O-002"])
    for item in request["scheduleItems"]:
        item["targetDateForAdditionalSubscriptions"] = "2023-11-01"
    number = scheduled(book, request | {"additionalSubscriptionsToBill": ["S1", "S2"]})
    run(book, "2023-10-15", post=True)
    invoice, memo = documents(book)[-2:]
    assert (invoice["amount"], invoice["invoice_number"]) == (16000, "INV00000005")
    assert (memo["amount"], memo["credit_memo_number"]) == (-4000, "CM00000001")
    assert billed(book, document=memo["id"]) == printed(
        *((c, "2023-11-01", "2023-12-31", "-2000") for c in ("C1", "C2"))
    )
    assert statuses(book, number) == ("PartiallyProcessed", ["Processed", "Pending"], date(2024, 6, 1))
    assert items(book, number)[1]["amount"] == 10000


def test_the_rest_of_a_schedule_joins_the_invoice_of_the_charges_that_replace_it(book: Book, tmp_path: Path) -> None:
    """UC-SWITCH: 12,000 a year up to 18 April are 3,600, of which 3,580 are billed; 20 and 2,400 on one invoice."""
    monthly = YEARLY | {"product_rate_plan_charge_id": "month", "product_rate_plan_id": "MONTH", "price": 2400}
    monthly |= {"billing_period": "Month"}
    stocked(book, tmp_path / "in", [fee("C1", 12000, *YEAR)], product_rate_plan_charges=[monthly])
    number = scheduled(book, asked([("2023-01-01", 3580), ("2023-06-01", 4000), ("2023-10-01", 4420)]))
    run(book, "2023-01-01", post=True)
    pause(book, number)
    switched = [removing(["S1"], "2023-04-19")["subscriptions"][0]["orderActions"][0]]
    switched.append(action("AddProduct", "2023-04-19", productRatePlanId="MONTH"))
    done(book, change("S1", *switched))
    assert figures(book, number) == (12000, 3600, 3580, 20)
    assert header(book, number)["next_run_date"] == date(2023, 4, 19)
    resume(book, number)
    assert updated(book, number, invoiceSeparately=False)["invoiceSeparately"] is False
    run(book, "2023-04-19")
    (_, invoice) = documents(book)
    assert invoice["amount"] == 2420
    assert sorted(x.amount for x in billed(book, document=invoice["id"])) == [20, 2400]


# --- owners, terms, ramps -----------------------------------------------------------------------------------------


def test_owners_of_a_schedule_change_together_until_it_is_billed(book: Book, tmp_path: Path) -> None:
    """UC-OWNER-TRANSFER."""
    sold = [fee("C1", 1200, "2022-01-01", YEAR[0]), fee("C2", 1300, "2022-01-01", YEAR[0])]
    stocked(book, tmp_path / "in", sold, accounts=[account(), account("A-2"), account("A-3")])
    number = scheduled(book, asked([("2022-01-01", 1200), ("2022-12-01", 1300)]))
    run(book, "2022-01-01")
    assert of_item(book, number, 1) == printed(
        ("C1", "2022-01-01", "2022-06-23", "576"), ("C2", "2022-01-01", "2022-06-23", "624")
    )

    def moving(to: str, *subscriptions: str, owner: str = "A-1") -> Json:
        moved = action("OwnerTransfer", "2022-03-01", destinationAccountNumber=to, destinationInvoiceAccountNumber=to)
        return order(owner, subscriptions=[entry(s, moved) for s in subscriptions])

    assert not made(book, moving("A-2", "S1"))[0]["success"]
    done(book, moving("A-2", "S1", "S2"))
    run(book, "2022-12-01", post=True)
    assert [(d["account_number"], d["amount"]) for d in documents(book)] == [("A-1", 1200), ("A-2", 1300)]
    done(book, moving("A-3", "S1", owner="A-2"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_schedule_does_not_care_which_subscriptions_are_invoiced_separately(
    book: Book, tmp_path: Path, when: str
) -> None:
    """UC-ISS-NEW and UC-ISS-CHANGE: one invoice of 10,000."""
    separate = action("TermsAndConditions", "2023-01-01", invoiceSeparately=True)
    stocked(book, tmp_path / "in", [fee("C1", 12000, *YEAR), fee("C2", 8000, *YEAR)])
    if when == "before":
        done(book, change("S2", separate))
    number = scheduled(book, asked([("2023-03-01", 10000), ("2023-09-01", 10000)]))
    if when == "after":
        done(book, change("S2", separate))
    executed(book, number)
    assert [d["amount"] for d in documents(book)] == [10000]
    assert statuses(book, number) == ("PartiallyProcessed", ["Processed", "Pending"], date(2023, 9, 1))


RAMP_PLAN: Final = [("2023-01-01", 600), ("2023-06-01", 600), ("2024-01-01", 1200), ("2025-01-01", 1200)]


@pytest.fixture
def ramp(book: Book, tmp_path: Path) -> Book:
    """UC-RAMP-1 by an order: three years at 1,000, 1,200 and 1,400, and its schedule."""
    stocked(book, tmp_path / "in", [], **CATALOG, orders=[])
    terms = {"initialTerm": {"period": 36, "periodType": "Month", "termType": "TERMED"}}
    sold = {"subscriptionNumber": "SA", "terms": terms, "subscribeToRatePlans": [plan("CA", 1000, "Three_Years")]}
    steps = [action("CreateSubscription", "2023-01-01", **sold)]
    for year, price in ((2024, 1200), (2025, 1400)):
        fees = {"chargeNumber": "CA", "pricing": {"recurringFlatFee": {"listPrice": price}}}
        steps.append(action("UpdateProduct", f"{year}-01-01", ratePlanId="PA", chargeUpdates=[fees]))
    done(book, order(orderNumber="O-1", subscriptions=[entry("SA", *steps)]))
    scheduled(book, asked(RAMP_PLAN))
    return book


def test_a_ramp_that_an_order_made_is_billed_segment_by_segment(ramp: Book) -> None:
    """UC-RAMP-1."""
    assert figures(ramp, IS1) == (3600, 3600, 0, 3600)
    for day, _ in RAMP_PLAN:
        run(ramp, day)
    assert billed(ramp) == printed(
        ("CA", "2023-01-01", "2023-08-07", "600"), ("CA", "2023-08-07", "2023-12-31", "400"),
        ("CA", "2024-01-01", "2024-02-29", "200"), ("CA", "2024-03-01", "2024-12-31", "1000"),
        ("CA", "2025-01-01", "2025-02-20", "200"), ("CA", "2025-02-21", "2025-12-31", "1200"),
    )  # fmt: skip


def test_a_product_that_is_replaced_within_a_ramp_is_credited(ramp: Book) -> None:
    """UC-RAMP-3: A ends and B begins on 1 July 2024, when all of A is billed."""
    for day, _ in RAMP_PLAN:
        executed(ramp, IS1, post=True)
        assert day
    swapped = [action("RemoveProduct", "2024-07-01", ratePlanId="PA")]
    swapped.append(action("AddProduct", "2024-07-01", **plan("CB", 6000, "Three_Years")))
    done(ramp, change("SA", *swapped, orderNumber="O-2"))
    assert figures(ramp, IS1) == (3600, 1600, 3600, -2000)
    chosen = [{"orderKey": "O-2", "subscriptionKey": "SA", "chargeNumbers": ["CB"]}]
    second = scheduled(
        ramp, asked([("2024-07-01", 3000), ("2025-02-01", 6000)], orders=["O-2"], specificSubscriptions=chosen)
    )
    run(ramp, "2024-07-01")
    memo = next(d for d in documents(ramp) if d["kind"] == "credit_memo")
    assert memo["amount"] == -2000
    assert billed(ramp, document=memo["id"]) == printed(
        ("CA", "2024-07-01", "2024-12-31", "-600"),
        ("CA", "2025-01-01", "2025-02-20", "-200"),
        ("CA", "2025-02-21", "2025-12-31", "-1200"),
    )
    run(ramp, "2025-02-01")
    assert [x.amount for x in billed(ramp, invoice_schedule_number=second)] == [3000, 6000]
    assert figures(ramp, IS1) == (3600, 1600, 1600, 0)


def test_a_ramp_gets_another_year_without_its_charges_getting_longer(ramp: Book) -> None:
    """UC-RAMP-4. The page removes the product first; billfold does so once the term reaches that day."""
    longer = [
        action(
            "TermsAndConditions", "2026-01-01", lastTerm={"period": 48, "periodType": "Month", "termType": "TERMED"}
        ),
        action("RemoveProduct", "2026-01-01", ratePlanId="PA"),
        action("AddProduct", "2026-01-01", **plan("CB", 1400)),
    ]
    done(ramp, change("SA", *longer, orderNumber="O-2"))
    assert figures(ramp, IS1) == (3600, 3600, 0, 3600)
    chosen = [{"orderKey": "O-2", "subscriptionKey": "SA", "chargeNumbers": ["CB"]}]
    request = asked([("2026-01-01", 700), ("2026-07-01", 700)], orders=["O-2"], specificSubscriptions=chosen)
    assert figures(ramp, scheduled(ramp, request))[0] == 1400


def test_a_longer_term_is_fine_for_one_time_charges_only(book: Book, tmp_path: Path) -> None:
    """UC-DISC-2: the recurring charge of the subscription is not scheduled, so that it may get longer."""
    sold = [
        once("C1", 400, "2024-01-01"), fee("C3", 1200, "2024-01-01", "2025-01-01", subscription_number="S1"),
        discount("C2", 10, "2024-01-01", "2025-01-01", "S1"),
    ]  # fmt: skip
    endless = [c | {"effective_end_date": None} for c in sold]
    stocked(book, tmp_path / "in", endless, subscriptions=[subscription("S1", "2024-01-01", "2025-01-01")])
    plan_of = [("2024-01-01", 20), ("2024-03-01", 30), ("2024-06-06", 50)]
    number = scheduled(book, shares(plan_of, specificSubscriptions=only("C1")))
    assert figures(book, number)[0] == 360
    longer = {"lastTerm": {"period": 18, "periodType": "Month", "termType": "TERMED"}}
    done(book, change("S1", action("TermsAndConditions", "2024-01-01", **longer)))
    assert figures(book, number) == (360, 360, 0, 360)
    for day, _ in plan_of:
        executed(book, number)
        assert day
    assert [x.amount for x in billed(book)] == [72, 108, 180]
