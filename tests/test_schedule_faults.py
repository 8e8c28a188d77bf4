"""Faults of schedules that were found by trying: each is one short history."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from inputs import write_rows
from schedule_books import asked, detached, discount, fee, header, items, previewed, rows, run, scheduled, stocked

from billfold.errors import BillfoldError
from billfold.intake import load
from billfold.lifecycle import cancel

if TYPE_CHECKING:
    from pathlib import Path

    from billfold import Book

YEAR = ("2024-01-01", "2025-01-01")


def test_a_run_whose_item_a_later_one_credited_is_not_canceled_first(book: Book, tmp_path: Path) -> None:
    stocked(book, tmp_path / "in", [fee("C1", 1200, *YEAR)])
    number = scheduled(book, asked([("2024-02-01", 1200)]))
    first = run(book, "2024-02-01").bill_run_number
    charge = fee("C1", 1200, "2024-01-01", "2024-07-01")
    load(book, [f"rate_plan_charges={write_rows(tmp_path / 'less.csv', [charge])}"])
    assert header(book, number)["next_run_date"] == date(2024, 7, 1)
    second = run(book, "2024-07-01").bill_run_number
    with pytest.raises(BillfoldError, match=f"{second} has billed on from it"):
        cancel(book, str(first))
    cancel(book, str(second))
    cancel(book, str(first))
    assert [i["status"] for i in items(book, number)] == ["Pending"]
    assert header(book, number)["billed_amount"] == 0


def test_a_detached_charge_of_another_account_does_not_touch_the_schedule(book: Book, tmp_path: Path) -> None:
    stocked(book, tmp_path / "in", [fee("C1", 1200, *YEAR), fee("C2", 2400, *YEAR)])
    number = scheduled(book, asked([("2024-02-01", 1800), ("2024-06-01", 1800)]))
    run(book, "2024-02-01", post=True)
    detached(book, number, {"orderKey": "O-1", "subscriptionKey": "S2", "chargeNumbers": ["C2"]})
    others = [{"account_number": "A-2", "name": "Other", "currency": "USD", "bill_cycle_day": 1}]
    load(book, [f"accounts={write_rows(tmp_path / 'others.csv', others)}"])
    moved = {r["subscription_number"]: r for r in rows(book, "subscriptions")}["S2"] | {"account_number": "A-2"}
    told = {k: v for k, v in moved.items() if v is not None and k != "suspension"}
    load(book, [f"subscriptions={write_rows(tmp_path / 'moved.csv', [told])}"])
    receipt = run(book, "2024-06-01", accounts=("A-2",))
    assert receipt.documents.invoice_schedules.height == 0
    run(book, "2024-06-01")
    assert header(book, number)["status"] == "FullyProcessed"


def test_discounts_are_credited_in_the_order_in_which_they_were_given(book: Book, tmp_path: Path) -> None:
    """Every time: the items of the book come in no order of their own, and a run is to give the same bytes."""
    off = [discount(f"D{n}", 5 + n, *YEAR, "S1") for n in range(6)]
    stocked(book, tmp_path / "in", [fee("C1", 1200, *YEAR), *off])
    total = 1200 * (100 - sum(5 + n for n in range(6))) // 100
    scheduled(book, asked([("2024-02-01", total)]))
    run(book, "2024-02-01", post=True)
    load(
        book, [f"rate_plan_charges={write_rows(tmp_path / 'less.csv', [fee('C1', 1200, '2024-01-01', '2024-07-01')])}"]
    )
    for _ in range(5):
        credits_ = previewed(book, "2024-07-01").documents.credit_memo_items.filter(processing_type="Discount")
        assert credits_["charge_number"].to_list() == [f"D{n}" for n in range(6)]
