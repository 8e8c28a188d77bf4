"""The documented cases in which charges are detached from a schedule and credited by other runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from order_inputs import account, action, done, made, order
from schedule_books import (
    CATALOG,
    IS1,
    annual,
    asked,
    attached,
    billed,
    charges,
    detached,
    documents,
    early,
    executed,
    figures,
    header,
    items,
    of_item,
    only,
    printed,
    run,
    scheduled,
    state_of,
    stocked,
)

from billfold.errors import BillfoldError
from billfold.lifecycle import post

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from billfold import Book

    Json = dict[str, Any]

IN_2025: Final = ("2025-01-01", "2026-01-01")


def detachable(book: Book, folder: Path, number: int, price: int, plan_of: Sequence[tuple[str, int]]) -> Book:
    """Subscriptions of 2025 with one charge each, in a schedule whose first item is billed and posted."""
    sold = [annual(f"C{n}", price, *IN_2025) for n in range(1, number + 1)]
    stocked(book, folder, sold, accounts=[account(), account("A-2")], **CATALOG)
    scheduled(book, asked(plan_of))
    run(book, plan_of[0][0], post=True)
    return book


def test_a_detached_charge_is_credited_by_the_next_run(book: Book, tmp_path: Path) -> None:
    """UC-DETACH-STANDARD: an early renewal, then the detachment."""
    detachable(book, tmp_path / "in", 2, 12000, [("2025-01-10", 20000), ("2025-10-05", 4000)])
    assert of_item(book, IS1, 1) == printed(*((c, "2025-01-01", "2025-10-31", "10000") for c in ("C1", "C2")))
    done(book, order(subscriptions=[early("S2", "2025-06-01", "C3", 12000, 17)]))
    assert figures(book, IS1) == (24000, 17000, 20000, -3000)
    assert [(i["amount"], i["actual_amount"]) for i in items(book, IS1)] == [(20000, 20000), (4000, -3000)]
    assert detached(book, IS1, *only("C2"))["success"]
    assert figures(book, IS1) == (24000, 22000, 20000, 2000)
    assert [(i["amount"], i["actual_amount"]) for i in items(book, IS1)] == [(20000, 20000), (4000, 2000)]
    run(book, "2025-06-01")
    assert billed(book, charge_number="C2")[1:] == printed(("C2", "2025-06-01", "2025-10-31", "-5000"))
    assert billed(book, charge_number="C3") == printed(("C3", "2025-06-01", "2026-05-31", "12000"))
    run(book, "2025-10-05")
    assert of_item(book, IS1, 2) == printed(("C1", "2025-11-01", "2025-12-31", "2000"))
    assert figures(book, IS1) == (24000, 22000, 22000, 0)


def test_a_detached_charge_drops_its_credit(book: Book, tmp_path: Path) -> None:
    """UC-DET1: 45,000 are 36,250 after the removal, and 40,000 once the charge is detached."""
    detachable(book, tmp_path / "in", 3, 15000, [("2025-01-10", 30000), ("2025-10-05", 15000)])
    done(book, order(subscriptions=[early("S3", "2025-06-01", "C4", 15000, 17)]))
    assert figures(book, IS1) == (45000, 36250, 30000, 6250)
    detached(book, IS1, *only("C3"))
    assert figures(book, IS1) == (45000, 40000, 30000, 10000)


def test_charges_can_be_detached_in_several_batches(book: Book, tmp_path: Path) -> None:
    """UC-DET3: 72,000 with six charges."""
    detachable(book, tmp_path / "in", 6, 12000, [("2025-01-10", 48000), ("2025-10-05", 24000)])
    detached(book, IS1, *only("C5", "C6"))
    assert figures(book, IS1) == (72000, 64000, 48000, 16000)
    detached(book, IS1, *only("C3", "C4"))
    assert figures(book, IS1) == (72000, 56000, 48000, 8000)


def test_a_detached_charge_can_go_to_another_owner(book: Book, tmp_path: Path) -> None:
    """UC-DETACH-OWNER: without detaching it first, the transfer is refused."""
    detachable(book, tmp_path / "in", 3, 12000, [("2025-01-10", 24000), ("2025-10-05", 12000)])
    moved = early("S3", "2025-06-01", "C4", 12000, 17)
    transfer = {"destinationAccountNumber": "A-2", "destinationInvoiceAccountNumber": "A-2"}
    moved["orderActions"].insert(0, action("OwnerTransfer", "2025-06-01", **transfer))
    (body,) = made(book, order(subscriptions=[moved]))
    assert not body["success"]
    detached(book, IS1, *only("C3"))
    assert figures(book, IS1) == (36000, 32000, 24000, 8000)
    assert [(i["amount"], i["actual_amount"]) for i in items(book, IS1)] == [(24000, 24000), (12000, 8000)]
    done(book, order(orderNumber="O-2", subscriptions=[moved]))
    assert figures(book, IS1) == (36000, 32000, 24000, 8000)
    chosen = [{"orderKey": "O-2", "subscriptionKey": "S3", "chargeNumbers": ["C4"]}]
    of_new = {"accountKey": "A-2", "orders": ["O-2"], "specificSubscriptions": chosen}
    request = asked([("2025-05-17", 8000), ("2025-12-05", 4000)], additionalSubscriptionsToBill=["S3"], **of_new)
    request["scheduleItems"][0]["targetDateForAdditionalSubscriptions"] = "2025-06-01"
    number = scheduled(book, request)
    run(book, "2025-05-17")
    invoice, memo = documents(book)[-2:]
    assert (invoice["account_number"], invoice["amount"]) == ("A-2", 8000)
    assert of_item(book, number, 1) == printed(("C4", "2025-06-01", "2026-01-31", "8000"))
    assert (memo["account_number"], memo["amount"]) == ("A-2", -3000)
    assert billed(book, document=memo["id"]) == printed(("C3", "2025-06-01", "2025-08-31", "-3000"))


def test_a_charge_can_be_detached_and_attached_again(book: Book, tmp_path: Path) -> None:
    """API-DETACH-ATTACH."""
    detachable(book, tmp_path / "in", 2, 12000, [("2025-01-10", 20000), ("2025-10-05", 4000)])
    before = state_of(book)
    assert detached(book, IS1, *only("C2"))["success"]
    assert charges(book, IS1)["C2"]["is_detached"]
    assert attached(book, IS1, *only("C2"))["success"]
    assert state_of(book) == before


def test_a_schedule_whose_charges_are_all_detached_waits_for_one(book: Book, tmp_path: Path) -> None:
    """Runs pass it over, executing it is refused, and with a charge attached again it bills what it planned."""
    detachable(book, tmp_path / "in", 2, 12000, [("2025-01-10", 20000), ("2025-10-05", 4000)])
    detached(book, IS1, *only("C1", "C2"))
    assert [i["status"] for i in items(book, IS1)] == ["Processed", "Pending"]
    with pytest.raises(
        BillfoldError, match="All charges of IS-00000001 are detached: `billfold schedule attach IS-0000"
    ):
        executed(book, IS1)
    attached(book, IS1, *only("C1"))
    assert executed(book, IS1).receipt.committed
    assert header(book, IS1)["status"] == "FullyProcessed"


def test_drafts_forbid_to_detach(book: Book, tmp_path: Path) -> None:
    """API-DETACH-ATTACH: an item must be processed, and all documents of the schedule posted."""
    stocked(book, tmp_path / "in", [annual(c, 12000, *IN_2025) for c in ("C1", "C2")])
    number = scheduled(book, asked([("2025-01-10", 20000), ("2025-10-05", 4000)]))
    before = state_of(book)
    for status in ("Pending", "PartiallyProcessed"):
        assert header(book, number)["status"] == status
        assert not detached(book, number, *only("C2"))["success"]
        assert state_of(book) == before
        run(book, "2025-01-10")
        before = state_of(book)
    post(book, "BR-00000001")
    assert detached(book, number, *only("C2"))["success"]
