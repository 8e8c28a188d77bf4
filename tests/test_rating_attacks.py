"""Sequences of loads and runs that once billed a wrong amount, lost an item, billed one twice, or failed for everyone.

Every test is one account with the monthly charge C of 10 from 1 January 2024 on, changed as given.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest
from books import Shelf, asked, load_more

from billfold.run import bill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.book import Book
    from billfold.lines import Documents

Rows: TypeAlias = dict[str, Any]

NOTHING: Final = Decimal(0)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


# --- rows -------------------------------------------------------------------------------------------------------


def charge(**changed: Any) -> Rows:  # noqa: ANN401 - any column
    row = {"charge_number": "C", "segment": 1, "subscription_number": "S", "charge_type": "Recurring"}
    row |= {"charge_model": "FlatFee", "price": "10", "billing_period": "Month", "effective_start_date": "2024-01-01"}
    return {**row, **changed}


def metered(**changed: Any) -> Rows:  # noqa: ANN401 - any column
    return charge(**{"charge_type": "Usage", "charge_model": "PerUnit", "price": "1", "uom": "GB", **changed})


def once(**changed: Any) -> Rows:  # noqa: ANN401 - any column
    return charge(charge_type="OneTime", billing_period=None, **changed)


def discount(**changed: Any) -> Rows:  # noqa: ANN401 - any column
    return charge(charge_model="DiscountPercentage", price=None, **changed)


def canceled(day: str | None, number: str = "S") -> Rows:
    subscription = {"subscription_number": number, "account_number": "A", "term_type": "EVERGREEN"}
    return {"subscriptions": [{**subscription, "contract_effective_date": "2024-01-01", "cancelled_date": day}]}


def used(day: str, quantity: str = "5", number: str = "u", **changed: Any) -> Rows:  # noqa: ANN401 - any column
    row = {"usage_id": number, "account_number": "A", "charge_number": "C", "quantity": quantity, "start_date": day}
    return {**row, **changed}


def book_of(*charges: Rows, usage: Sequence[Rows] = ()) -> Rows:
    owner = {"accounts": [{"account_number": "A", "currency": "EUR"}]}
    return {**owner, **canceled(None), "rate_plan_charges": list(charges), "usage": list(usage)}


# --- runs -------------------------------------------------------------------------------------------------------


def run(book: Book, target: str) -> Documents:
    return bill(book, asked(date.fromisoformat(target))).documents


def after(book: Book, target: str, **tables: Sequence[Rows]) -> Documents:
    load_more(book, tables)
    return run(book, target)


def owed(documents: Documents) -> Decimal:
    return sum(documents.invoices["amount"], NOTHING) - sum(documents.credit_memos["amount"], NOTHING)


# --- what was given back stays given back -----------------------------------------------------------------------


def test_a_period_that_was_given_back_and_billed_again_is_credited_once(shelf: Shelf) -> None:
    with shelf.holding(book_of(charge())) as book:
        assert owed(run(book, "2024-02-01")) == 20
        assert owed(after(book, "2024-02-01", **canceled("2024-02-01"))) == -10
        assert owed(after(book, "2024-02-01", **canceled(None))) == 10
        assert owed(after(book, "2024-02-15", **canceled("2024-02-15"))) == Decimal("-5.17")


@pytest.mark.parametrize("make", [charge, once])
def test_a_period_that_was_given_back_and_billed_again_is_repriced_once(shelf: Shelf, make: Any) -> None:  # noqa: ANN401
    rows = {**book_of(make()), "settings": {"credit_one_time": "yes"}}
    with shelf.holding(rows) as book:
        run(book, "2024-01-01")
        assert owed(after(book, "2024-01-01", **canceled("2024-01-01"))) == -10
        assert owed(after(book, "2024-01-01", **canceled(None))) == 10
        assert owed(after(book, "2024-01-01", rate_plan_charges=[make(price="20")])) == 10


@pytest.mark.parametrize(("reactivated", "expected"), [(True, "-5.17"), (False, "0")])
def test_a_credit_of_what_was_billed_elsewhere_is_no_item_that_can_be_credited(
    shelf: Shelf, reactivated: bool, expected: str  # noqa: FBT001
) -> None:  # fmt: skip
    with shelf.holding(book_of(charge(charged_through_date="2024-03-01"))) as book:
        assert owed(after(book, "2024-02-01", **canceled("2024-02-01"))) == -10
        if reactivated:
            assert owed(after(book, "2024-02-01", **canceled(None))) == 10
            found = after(book, "2024-02-15", **canceled("2024-02-15"))
        else:
            found = after(book, "2024-02-15", rate_plan_charges=[charge(price="20", charged_through_date="2024-03-01")])
        assert owed(found) == Decimal(expected)


def test_a_further_amount_is_for_the_days_that_are_left_of_its_item(shelf: Shelf) -> None:
    moved = {"price": "31", "effective_start_date": "2024-01-11"}
    with shelf.holding(book_of(charge(price="31"))) as book:
        run(book, "2024-01-01")
        after(book, "2024-01-15", rate_plan_charges=[charge(**moved)])
        after(book, "2024-02-01", **canceled("2024-01-21"))
        items = after(book, "2024-02-01", rate_plan_charges=[charge(**moved | {"price": "62"})]).invoice_items
        days = items.select("service_start_date", "service_end_date", "amount").row(0)
        assert days == (date(2024, 1, 11), date(2024, 1, 20), 10)


# --- nothing is billed twice, nothing is lost ---------------------------------------------------------------------


def test_a_one_time_charge_whose_start_moves_is_still_owed_once(shelf: Shelf) -> None:
    with shelf.holding(book_of(once(effective_start_date="2024-01-15"))) as book:
        assert owed(run(book, "2024-01-20")) == 10
        assert owed(after(book, "2024-02-01", rate_plan_charges=[once(effective_start_date="2024-02-01")])) == 0


def test_usage_that_was_billed_is_not_billed_again_when_its_day_changes(shelf: Shelf) -> None:
    with shelf.holding(book_of(metered(), usage=[used("2024-01-10")])) as book:
        assert owed(run(book, "2024-02-01")) == 5
        assert owed(after(book, "2024-03-01", usage=[used("2024-02-10")])) == 0


def test_usage_that_fits_several_charges_is_not_lost_when_their_period_is_billed(shelf: Shelf) -> None:
    with shelf.holding(book_of(metered(), metered(charge_number="V"))) as book:
        run(book, "2024-02-01")
        record = used("2024-01-10", charge_number=None, uom="GB")
        found = after(book, "2024-03-01", usage=[record])
        assert found.parked_accounts.height or book.read("late_usage").collect().height


def test_usage_belongs_to_the_segment_that_holds_its_day_though_another_began_later(shelf: Shelf) -> None:
    inner = metered(segment=2, effective_start_date="2024-01-15", effective_end_date="2024-01-25")
    with shelf.holding(book_of(metered(), inner, usage=[used("2024-01-28")])) as book:
        assert owed(run(book, "2024-02-01")) == 5


@pytest.mark.parametrize(
    "make",
    [
        pytest.param({"billing_period": "Subscription_Term"}, id="term"),
        pytest.param({"charge_type": "Usage", "billing_period": None}, id="usage without a period"),
        pytest.param({"charge_model": "DiscountFixedAmount", "billing_period": None}, id="fixed discount"),
    ],
)
def test_a_charge_without_rules_parks_its_account_though_a_run_before_its_start_saw_it(
    shelf: Shelf, make: Rows
) -> None:
    later = charge(charge_number="L", effective_start_date="2024-03-01", **make)
    with shelf.holding(book_of(charge(), later)) as book:
        assert run(book, "2024-01-01").parked_accounts.height == 0
        assert run(book, "2024-05-01").parked_accounts["account_number"].to_list() == ["A"]


# --- large and late ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "quantity", "expected"),
    [
        ({"charge_model": "Overage", "included_units": "2e14", "overage_price": "0.000000001"}, "1000000000000", "0"),
        ({"charge_model": "PerUnit", "price": "0.000000001"}, "200000000000000", "200000"),
    ],
)
def test_many_small_units_are_rated(shelf: Shelf, make: Rows, quantity: str, expected: str) -> None:
    row = {c: v.replace("2e14", "2" + "0" * 14) for c, v in make.items()}
    with shelf.holding(book_of(metered(**row), usage=[used("2024-01-10", quantity)])) as book:
        found = run(book, "2024-02-01")
        assert (found.parked_accounts.height, found.invoices["amount"].to_list()) == (0, [Decimal(expected)])


def test_a_discount_that_adds_too_much_parks_its_account_and_no_other(shelf: Shelf) -> None:
    adding = [discount(charge_number=f"D{n}", discount_percentage="-99") for n in range(4)]
    rows = book_of(charge(price="90000000000000"), *adding)
    other = {"subscription_number": "T", "account_number": "B", "contract_effective_date": "2024-01-01"}
    rows["accounts"].append({"account_number": "B", "currency": "EUR"})
    rows["subscriptions"].append(other)
    rows["rate_plan_charges"].append(charge(charge_number="K", subscription_number="T"))
    with shelf.holding(rows) as book:
        found = run(book, "2024-01-01")
        assert found.parked_accounts["account_number"].to_list() == ["A"]
        assert found.invoices["account_number"].to_list() == ["B"]


def test_a_start_on_the_last_day_of_all_can_be_read_back(shelf: Shelf) -> None:
    never = charge(charge_number="N", effective_start_date="9999-12-31", billing_timing="IN_ARREARS")
    with shelf.holding(book_of(charge(), never)) as book:
        run(book, "2024-01-01")
        assert book.read("charge_progress").collect().sort("charge_number").rows()
