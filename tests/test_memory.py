"""What a run remembers, where it once forgot: cases that random lives of books have found."""

from __future__ import annotations

from datetime import date, time
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from books import Shelf, asked, load_more

from billfold.configure import configure
from billfold.grouping import InvoiceGroup
from billfold.intake import load
from billfold.lifecycle import cancel
from billfold.run import bill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from billfold.book import Book


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


def rows(charges: Sequence[dict[str, Any]], accounts: str = "AB") -> dict[str, Any]:
    """Accounts with an evergreen subscription each, S-A and so on."""
    start = {"contract_effective_date": "2024-01-01", "term_type": "EVERGREEN"}
    return {
        "accounts": [{"account_number": a, "currency": "EUR"} for a in accounts],
        "subscriptions": [{"subscription_number": f"S-{a}", "account_number": a, **start} for a in accounts],
        "rate_plan_charges": [{"segment": 1, **c} for c in charges],
    }


def fee(number: str, subscription: str, price: str, period: str = "Month") -> dict[str, Any]:
    recurring = {"charge_type": "Recurring", "charge_model": "FlatFee", "billing_period": period}
    return {"charge_number": number, "subscription_number": subscription, "price": price, **recurring}


def billed(book: Book, day: date, *accounts: str) -> list[tuple[str, date]]:
    items = bill(book, asked(day, accounts=accounts), post=True).documents.invoice_items
    return items.select("charge_number", "service_start_date").sort("charge_number").rows()


def test_charges_that_are_not_due_are_not_taken_for_new_ones(shelf: Shelf) -> None:
    """Most charges are due, one is not; a run of one account has rewritten progress in between."""
    monthly = [fee(f"M{n}", "S-A", "10") for n in (1, 2, 3)]
    with shelf.holding(rows([*monthly, fee("Y", "S-A", "1000", "Annual"), fee("B", "S-B", "10")])) as book:
        january, february = date(2024, 1, 5), date(2024, 2, 5)
        assert [c for c, _ in billed(book, january)] == ["B", "M1", "M2", "M3", "Y"]
        assert billed(book, february, "B") == [("B", date(2024, 2, 1))]
        assert billed(book, february) == [(f"M{n}", date(2024, 2, 1)) for n in (1, 2, 3)]


@pytest.mark.parametrize(("elsewhere", "units"), [(None, 4), ("2024-02-01", None)], ids=["never", "elsewhere"])
def test_usage_is_not_late_any_more_once_the_run_that_billed_its_period_is_canceled(
    shelf: Shelf, elsewhere: str | None, units: int | None
) -> None:
    """Canceling gives back a charge that nobody had billed; a period that was billed elsewhere stays closed."""
    usage = {"charge_type": "Usage", "charge_model": "PerUnit", "price": "2", "billing_period": "Month"}
    charge = {"charge_number": "U", "subscription_number": "S-A", "charged_through_date": elsewhere, **usage}
    record = {"usage_id": "u", "account_number": "A", "charge_number": "U", "quantity": "4", "start_date": "2024-01-10"}
    with shelf.holding(rows([charge], "A")) as book:
        first = bill(book, asked(date(2024, 3, 5)))
        load_more(book, {"usage": [record]})
        cancel(book, str(first.bill_run_number))
        again = bill(book, asked(date(2024, 3, 5)))
        january = again.documents.invoice_items.filter(service_start_date=date(2024, 1, 1))
        assert january["quantity"].to_list() == ([] if units is None else [units])
        assert again.late_usage == (1 if units is None else 0)


def test_times_of_day_that_differ_by_less_than_a_second_are_different_values(book: Book, tmp_path: Path) -> None:
    times = [time(10), time(10, 0, 0, 500), time(10)]
    pl.DataFrame({"account_number": ["A"], "currency": ["EUR"]}).write_parquet(tmp_path / "accounts.parquet")
    pl.DataFrame(
        {"order_number": "O", "item_number": ["1", "2", "3"], "account_number": "A", "amount_per_unit": "1"}
        | {"item_state": "SentToBilling", "bill_target_date": "2024-01-01", "At__c": times}
    ).write_parquet(tmp_path / "order_line_items.parquet")
    load(book, [str(tmp_path)])
    field = {"objectType": "OrderLineItem", "field": "At__c"}
    configure(book, InvoiceGroup.model_validate({"name": "At", "meta": {"orderLineItemGroup": [field]}}))
    invoices = bill(book, asked(date(2024, 1, 1))).documents.invoices
    assert invoices.select("invoice_group_value", "item_count").rows() == [("10:00:00", 2), ("10:00:00.0005", 1)]
