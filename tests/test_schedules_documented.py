"""The documented cases of invoice schedules: what they bill, for which days, and what becomes of the schedule.

The case names are those of the vendor's pages; test_schedules_documented_index.py lists them all.
Where a page contradicts itself, docs/schedules.md decides, and the test says so.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import pytest
from order_inputs import account, done, line, order
from schedule_books import (
    SAME_PLAN,
    SAME_TERM,
    YEAR,
    annual,
    answers,
    asked,
    billed,
    discount,
    documents,
    fee,
    figures,
    items,
    of_item,
    once,
    only,
    printed,
    refusal,
    run,
    scheduled,
    shares,
    statuses,
    stocked,
    subscription,
)

from billfold.settings import change as set_

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from schedule_books import Json

    from billfold import Book

IN_YEAR: Final = ("2022-01-01", "2023-01-01")


# --- how an amount is divided -----------------------------------------------------------------------------------


def test_charges_of_one_term_share_every_item(book: Book, tmp_path: Path) -> None:
    """UC-SAME-TERM: a day that was used in part is the first one of the next item too."""
    stocked(book, tmp_path / "in", SAME_TERM)
    number = scheduled(book, asked(SAME_PLAN))
    assert statuses(book, number) == ("Pending", ["Pending"] * 3, date(2023, 2, 4))
    assert figures(book, number) == (70200, 70200, 0, 70200)
    trail = []
    for day, _ in SAME_PLAN:
        run(book, day)
        trail.append((*statuses(book, number)[::2], figures(book, number)[2:]))
    assert trail == [
        ("PartiallyProcessed", date(2023, 5, 1), (50000, 20200)),
        ("PartiallyProcessed", date(2023, 9, 16), (64000, 6200)),
        ("FullyProcessed", None, (70200, 0)),
    ]
    assert of_item(book, number, 1) == printed(
        ("C1", "2023-01-01", "2023-09-17", "26282.05"),
        ("C2", "2023-01-01", "2023-09-17", "15313.39"),
        ("C3", "2023-01-01", "2023-09-17", "7834.76"),
        ("C4", "2023-01-01", "2023-09-17", "569.80"),
    )
    assert of_item(book, number, 2) == printed(
        ("C1", "2023-09-17", "2023-11-29", "7358.98"),
        ("C2", "2023-09-17", "2023-11-29", "4287.75"),
        ("C3", "2023-09-17", "2023-11-29", "2193.73"),
        ("C4", "2023-09-17", "2023-11-29", "159.54"),
    )
    assert of_item(book, number, 3) == printed(
        ("C1", "2023-11-29", "2023-12-31", "3258.97"),
        ("C2", "2023-11-29", "2023-12-31", "1898.86"),
        ("C3", "2023-11-29", "2023-12-31", "971.51"),
        ("C4", "2023-11-29", "2023-12-31", "70.66"),
    )


def test_ten_months_of_yearly_prices_are_ten_twelfths(book: Book, tmp_path: Path) -> None:
    """UC-ODD-TERM: the totals are balanced to 58,500.00 on the last charge; the page begins items on the next day."""
    span = ("2022-01-01", "2022-11-01")
    prices = zip(("C1", "C2", "C3", "C4"), (36900, 21500, 11000, 800), strict=True)
    stocked(book, tmp_path / "in", [annual(c, p, *span, list_price_base="Per_Year") for c, p in prices])
    number = scheduled(book, asked([("2022-02-05", 40000), ("2022-08-30", 10000), ("2022-09-14", 8500)]))
    for day in ("2022-02-05", "2022-08-30", "2022-09-14"):
        run(book, day)
    assert figures(book, number) == (58500, 58500, 58500, 0)
    assert of_item(book, number, 3) == printed(
        ("C1", "2022-09-17", "2022-10-31", "4467.95"),
        ("C2", "2022-09-17", "2022-10-31", "2603.28"),
        ("C3", "2022-09-17", "2022-10-31", "1331.91"),
        ("C4", "2022-09-17", "2022-10-31", "96.86"),
    )


def test_charges_are_consumed_by_start_date_if_the_setting_says_so(book: Book, tmp_path: Path) -> None:
    """UC-DIFF-START. The page prints 03/04 for 03/24: 1,600 of 10,083.33 for 11 months are 1.745 months."""
    set_(book, {"schedule_consumption": "start_date"})
    end = "2022-01-01"
    sold = [
        fee("C1", 36900, "2021-01-01", end), fee("C2", 21500, "2021-01-01", end),
        fee("C3", 11000, "2021-02-01", end), fee("C4", 800, "2021-03-01", end),
    ]  # fmt: skip
    stocked(book, tmp_path / "in", sold)
    number = scheduled(book, asked([("2021-02-04", 50000), ("2021-05-01", 10000), ("2021-09-16", 9150)]))
    for day in ("2021-02-04", "2021-05-01", "2021-09-16"):
        run(book, day)
    assert figures(book, number) == (69150, 69150, 69150, 0)
    assert of_item(book, number, 1) == printed(
        ("C1", "2021-01-01", "2021-11-09", "31592.47"), ("C2", "2021-01-01", "2021-11-09", "18407.53")
    )
    assert of_item(book, number, 2) == printed(
        ("C1", "2021-11-09", "2021-12-31", "5307.53"),
        ("C2", "2021-11-09", "2021-12-31", "3092.47"),
        ("C3", "2021-02-01", "2021-03-24", "1600.00"),
    )
    assert of_item(book, number, 3) == printed(
        ("C3", "2021-03-24", "2021-12-31", "8483.33"), ("C4", "2021-03-01", "2021-12-31", "666.67")
    )


def test_charges_inside_a_union_of_terms_are_consumed_together(book: Book, tmp_path: Path) -> None:
    """UC-STAGGERED; the third table of the page is of another page, its text says what the invoice bills."""
    sold = [fee("C1", 12000, *YEAR), fee("C2", 12000, *YEAR), fee("C3", 12000, "2023-06-01", YEAR[1])]
    sold += [fee(c, 12000, "2024-01-01", "2025-01-01") for c in ("C4", "C5", "C6")]
    stocked(book, tmp_path / "in", sold)
    number = scheduled(book, asked([("2023-01-01", 27000), ("2023-05-01", 4000), ("2024-01-01", 36000)]))
    for day in ("2023-01-01", "2023-05-01", "2024-01-01"):
        run(book, day)
    assert of_item(book, number, 1) == printed(
        ("C1", "2023-01-01", "2023-11-14", "10451.61"),
        ("C2", "2023-01-01", "2023-11-14", "10451.62"),
        ("C3", "2023-06-01", "2023-12-03", "6096.77"),
    )
    assert of_item(book, number, 2) == printed(
        ("C1", "2023-11-14", "2023-12-31", "1548.39"),
        ("C2", "2023-11-14", "2023-12-31", "1548.38"),
        ("C3", "2023-12-03", "2023-12-31", "903.23"),
    )
    assert of_item(book, number, 3) == printed(
        *((c, "2024-01-01", "2024-12-31", "12000.00") for c in ("C4", "C5", "C6"))
    )


@pytest.mark.parametrize(
    ("basis", "ends"),
    [("actual", ("05-07", "05-07", "09-12")), ("actual_360", ("05-06", "05-07", "09-12"))],
)
def test_every_years_items_bill_that_years_charge(book: Book, tmp_path: Path, basis: str, ends: Sequence[str]) -> None:
    """UC-MY9. The page prints the first year's days a month early: 4.2 months end in May."""
    set_(book, {"month_basis": basis})
    years = (2022, 2023, 2024)
    stocked(book, tmp_path / "in", [fee(f"C{n}", 1000, f"{y}-01-01", f"{y + 1}-01-01") for n, y in enumerate(years, 1)])
    plan = [(f"{y}-{day}", a) for y in years for day, a in (("01-01", 350), ("02-20", 350), ("06-10", 300))]
    number = scheduled(book, asked(plan))
    for day, _ in plan:
        run(book, day)
    found = [(x.charge, x.amount) for n in range(9) for x in of_item(book, number, n + 1)]
    assert found == [(f"C{n}", Decimal(a)) for n in (1, 2, 3) for a in (350, 350, 300)]
    assert [d["amount"] for d in documents(book)] == [350, 350, 300] * 3
    first, again, second = (f"2022-{day}" for day in ends)
    assert billed(book, charge_number="C1") == printed(
        ("C1", "2022-01-01", first, "350"), ("C1", again, second, "350"), ("C1", "2022-09-13", "2022-12-31", "300")
    )


def test_an_item_can_finish_one_year_and_begin_the_next(book: Book, tmp_path: Path) -> None:
    """UC-MY2: 1,200 in the first year are 1,000 of it and 200 of the second one."""
    stocked(book, tmp_path / "in", [fee("C1", 1000, *IN_YEAR), fee("C2", 1000, *YEAR)])
    number = scheduled(book, asked([("2022-02-04", 1200), ("2023-01-05", 500), ("2023-07-15", 300)]))
    for day in ("2022-02-04", "2023-01-05", "2023-07-15"):
        run(book, day)
    assert of_item(book, number, 1) == printed(
        ("C1", "2022-01-01", "2022-12-31", "1000"), ("C2", "2023-01-01", "2023-03-13", "200")
    )
    assert of_item(book, number, 2) == printed(("C2", "2023-03-13", "2023-09-12", "500"))
    assert of_item(book, number, 3) == printed(("C2", "2023-09-13", "2023-12-31", "300"))


@pytest.mark.parametrize(("basis", "last"), [("actual", "2022-07-22"), ("actual_360", "2022-07-21")])
def test_six_point_seven_months_end_as_documented(book: Book, tmp_path: Path, basis: str, last: str) -> None:
    """RULE-SERVICE-PERIOD-6.7: 21.7 days of July, or 21 days of 30; a day that is begun counts."""
    set_(book, {"month_basis": basis})
    stocked(book, tmp_path / "in", [fee("C1", 1200, *IN_YEAR)])
    number = scheduled(book, asked([("2022-01-01", 670), ("2022-06-01", 530)]))
    run(book, "2022-01-01")
    assert of_item(book, number, 1) == printed(("C1", "2022-01-01", last, "670"))


def test_four_amounts_bill_a_year_instead_of_quarters(book: Book, tmp_path: Path) -> None:
    """OV-12000."""
    stocked(book, tmp_path / "in", [fee("C1", 12000, *YEAR)])
    plan = [("2023-02-03", 3000), ("2023-07-12", 4000), ("2023-10-20", 3000), ("2023-11-28", 2000)]
    number = scheduled(book, asked(plan))
    for day, _ in plan:
        run(book, day)
    assert [(str(d["day"]), d["amount"]) for d in documents(book)] == plan
    assert figures(book, number) == (12000, 12000, 12000, 0)


def test_a_ramp_is_billed_segment_by_segment(book: Book, tmp_path: Path) -> None:
    """UC-RAMP-1: 1,000, 1,200 and 1,400 a year; the months are counted anew in each segment."""
    prices = enumerate((1000, 1200, 1400), 1)
    ramp = [fee("C1", p, f"{2022 + n}-01-01", f"{2023 + n}-01-01", segment=n) for n, p in prices]
    stocked(book, tmp_path / "in", ramp)
    plan = [("2023-01-01", 600), ("2023-06-01", 600), ("2024-01-01", 1200), ("2025-01-01", 1200)]
    number = scheduled(book, asked(plan))
    for day, _ in plan:
        run(book, day)
    assert [of_item(book, number, n) for n in (1, 2, 3, 4)] == [
        printed(("C1", "2023-01-01", "2023-08-07", "600")),
        printed(("C1", "2023-08-07", "2023-12-31", "400"), ("C1", "2024-01-01", "2024-02-29", "200")),
        printed(("C1", "2024-03-01", "2024-12-31", "1000"), ("C1", "2025-01-01", "2025-02-20", "200")),
        printed(("C1", "2025-02-21", "2025-12-31", "1200")),
    ]


def test_schedules_of_a_ramp_and_an_added_product_share_their_invoices(book: Book, tmp_path: Path) -> None:
    """UC-RAMP-2: 1,200 and 600 on one invoice of 1,800."""
    prices = enumerate((1000, 1200, 1400), 1)
    ramp = [fee("CA", p, f"{2022 + n}-01-01", f"{2023 + n}-01-01", segment=n) for n, p in prices]
    added = fee("CB", 600, "2024-01-01", "2026-01-01", subscription_number="SA")
    stocked(book, tmp_path / "in", [*ramp, added])
    together: Json = {"invoiceSeparately": False}
    of_b = [{**only("CB")[0], "subscriptionKey": "SA"}]
    plan = [("2023-01-01", 600), ("2023-06-01", 600), ("2024-01-01", 1200), ("2025-01-01", 1200)]
    scheduled(book, asked(plan, specificSubscriptions=only("CA"), **together))
    scheduled(book, asked([("2024-01-01", 600), ("2025-01-01", 600)], specificSubscriptions=of_b, **together))
    for day, _ in plan:
        run(book, day)
    assert [d["amount"] for d in documents(book)] == [600, 600, 1800, 1800]
    assert billed(book, charge_number="CB") == printed(
        ("CB", "2024-01-01", "2024-12-31", "600"), ("CB", "2025-01-01", "2025-12-31", "600")
    )


# --- percentages, discounts, zero prices, dates -----------------------------------------------------------------


def test_percentages_take_their_share_and_the_last_one_the_cents(book: Book, tmp_path: Path) -> None:
    """PCT-10-20-70."""
    stocked(book, tmp_path / "in", [fee("C1", "99.99", *YEAR)])
    number = scheduled(book, shares([("2023-01-01", 10), ("2023-05-01", 20), ("2023-09-01", 70)]))
    assert [i["amount"] for i in items(book, number)] == [Decimal("10.00"), Decimal("20.00"), Decimal("69.99")]


def test_a_plan_of_50_0_50_is_two_items(book: Book, tmp_path: Path) -> None:
    """PCT-10-20-70: an item of nothing is refused."""
    stocked(book, tmp_path / "in", [fee("C1", 100, *YEAR)])
    said = refusal(book, shares([("2023-01-01", 50), ("2023-05-01", 0), ("2023-09-01", 50)]))
    assert "scheduleItems[1].percentage" in said
    scheduled(book, shares([("2023-01-01", 50), ("2023-09-01", 50)]))


def test_a_one_time_charge_is_billed_by_milestones_without_dates(book: Book, tmp_path: Path) -> None:
    """UC-PCT-C3, as the page for people has it: the REST page halves every amount."""
    of = {"subscription_number": "S-00000001"}
    stocked(book, tmp_path / "in", [once("C-00000003", 66000, "2023-01-01", **of)])
    chosen = [{"orderKey": "O-1", "subscriptionKey": "S-00000001", "chargeNumbers": ["C-00000003"]}]
    (body,) = answers(book, shares([(None, 50), (None, 50)], specificSubscriptions=chosen))
    assert (body["status"], body["nextRunDate"], body["currency"]) == ("Pending", None, "USD")
    assert (body["invoiceSeparately"], body["totalAmount"]) == (True, 66000)
    assert [(i["percentage"], i["amount"], i["runDate"]) for i in body["scheduleItems"]] == [(50, 33000, None)] * 2


def test_percentages_of_discounts_add_up(book: Book, tmp_path: Path) -> None:
    """UC-DISC: 27,000 less two discounts of 10 % are 21,600, of which 10 % are 2,700 - 270 - 270."""
    sold = [fee("C1", 27000, *YEAR), discount("D1", 10, *YEAR, "S1"), discount("D2", 10, *YEAR, "S1")]
    stocked(book, tmp_path / "in", sold)
    number = scheduled(book, shares([("2023-01-01", 10), ("2023-06-01", 90)]))
    assert figures(book, number)[0] == 21600
    receipt = run(book, "2023-01-01")
    found = receipt.documents.invoice_items.sort("invoice_item_id")
    assert found["amount"].to_list() == [2700, -270, -270]
    assert found["processing_type"].to_list() == ["Charge", "Discount", "Discount"]
    assert receipt.documents.invoices["amount"].to_list() == [2160]
    assert {(i["service_start_date"], i["service_end_date"]) for i in found.to_dicts()} == {
        (date(2023, 1, 1), date(2023, 2, 6))
    }


def test_a_charge_without_a_price_serves_the_days_of_the_others(book: Book, tmp_path: Path) -> None:
    """UC-ZERO-PRICE, up to the cancellation."""
    stocked(book, tmp_path / "in", [fee("C1", 2000, *YEAR), fee("C2", 0, *YEAR)])
    plan = [("2023-02-04", 1000), ("2023-05-01", 500), ("2023-11-14", 500)]
    number = scheduled(book, asked(plan))
    for day, _ in plan:
        run(book, day)
    spans = [("2023-01-01", "2023-06-30", "1000"), ("2023-07-01", "2023-09-30", "500")]
    spans.append(("2023-10-01", "2023-12-31", "500"))
    for n, (first, last, amount) in enumerate(spans, 1):
        assert of_item(book, number, n) == printed(("C1", first, last, amount), ("C2", first, last, "0"))


def test_a_charge_that_reaches_over_two_billing_periods_is_refused(book: Book, tmp_path: Path) -> None:
    """VALIDATION-BILLING-PERIOD: from 31 October, with periods of five years from 14 November on."""
    five: Json = {
        "billing_period": "Five_Years",
        "specific_billing_period": None,
        "billing_period_alignment": "AlignToTermStart",
    }
    sold = fee("C1", 100, "2024-10-31", "2026-05-14", bill_cycle_type="TermStartDay", **five)
    term = subscription("S1", "2024-11-14", "2026-05-14", subscription_start_date="2024-10-31")
    stocked(book, tmp_path / "in", [sold], subscriptions=[term])
    assert "C1" in refusal(book, shares([("2024-12-01", 100)]))


def test_a_billing_period_that_is_shorter_than_the_charge_is_refused(book: Book, tmp_path: Path) -> None:
    """VALIDATION-BILLING-PERIOD, its second rule."""
    quarterly: Json = {"billing_period": "Quarter", "specific_billing_period": None}
    stocked(book, tmp_path / "in", [fee("C1", 100, *YEAR, **quarterly)])
    assert "C1" in refusal(book, shares([("2023-12-01", 100)]))


# --- which accounts ---------------------------------------------------------------------------------------------


def test_a_run_for_some_accounts_bills_their_schedules_and_order_lines(book: Book, tmp_path: Path) -> None:
    """BRFILTER-1: order lines of one account, a schedule of another, subscriptions of two more."""
    numbers = [f"A-{n}" for n in (1, 2, 3, 4)]
    sold = [annual(f"C{n}", 120, *YEAR) for n in (2, 3, 4)]
    own = [subscription(f"S{n}", *YEAR) | {"account_number": f"A-{n}"} for n in (2, 3, 4)]
    stocked(
        book, tmp_path / "in", sold, accounts=[account(n) for n in numbers], subscriptions=own,
        orders=[{"order_number": "O-2", "account_number": "A-2"}],
    )  # fmt: skip
    done(book, order("A-1", orderLineItems=[line(billTargetDate="2023-01-01")]))
    scheduled(book, asked([("2023-01-01", 120)], accountKey="A-2", orders=["O-2"]))
    receipt = run(book, "2023-01-01", accounts=("A-1", "A-3"))
    assert sorted(receipt.documents.invoices["account_number"]) == ["A-1", "A-3"]
    receipt = run(book, "2023-01-01")
    assert sorted(receipt.documents.invoices["account_number"]) == ["A-2", "A-4"]
    assert receipt.documents.invoice_items["source_type"].to_list() == ["InvoiceSchedule", "SubscriptionComponent"]
