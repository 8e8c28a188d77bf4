"""Orders that once went wrong: found by a stranger, or while they were built."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT, Command
from inputs import write_rows
from order_inputs import (
    Json,
    account,
    action,
    change,
    content,
    create_subscription,
    done,
    entry,
    line,
    made,
    order,
    stock,
)

from billfold import Book, RunRequest, bill, create_order, preview_order
from billfold.intake import load
from billfold.verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JANUARY = "2024-01-31"
SHOP = ROOT / "data" / "orders"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Book]:
    others = (account("A-3", status="Canceled"), account("A-4", status="Draft"))
    with Book.create(tmp_path / "book") as book:
        yield stock(book, tmp_path, [account(), account("A-2"), *others])
        assert [v.promise for v in verify(book) if not v.holds] == []


def refused(book: Book, *asked: Json) -> str:
    """Why the last of some orders can't be done."""
    body = made(book, *asked)[-1]
    assert body["success"] is False
    return str(body["reasons"][0]["message"])


def subscribed(book: Book, *plans: str | Json, bill: str | None = JANUARY) -> None:
    done(book, order(bill=bill, subscriptions=[entry("S-1", create_subscription(*plans))]))


def suspension(day: str) -> Json:
    return action("Suspend", suspendPolicy="SpecificDate", suspendSpecificDate=day)


def resumption(day: str, *, extends: bool = False) -> Json:
    return action("Resume", resumePolicy="SpecificDate", resumeSpecificDate=day, extendsTerm=extends)


def charged(book: Book, name: str) -> list[str]:
    rows = book.sql(f"SELECT amount FROM invoice_items WHERE charge_name = '{name}' ORDER BY invoice_item_id")  # noqa: S608
    return [f"{a:.2f}" for a in rows["amount"]]


def test_from_python_an_order_and_its_preview_are_functions(tmp_path: Path) -> None:
    asked = json.loads((SHOP / "hybrid.json").read_text(encoding="utf-8"))
    with Book.create(tmp_path / "book") as book:
        load(book, [str(SHOP / "start")])
        (invoice,) = preview_order(book, asked)["previewResult"]["invoices"]
        assert create_order(book, json.dumps(asked))["invoiceNumbers"] == ["INV00000001"]
        assert book.sql("SELECT amount FROM invoices").item() == invoice["amount"]


def test_cards_of_a_new_account_are_not_kept(shop: Book) -> None:
    card = {"cardNumber": "4111111111111111", "expirationMonth": 1}
    buyer = {"firstName": "Cyd", "lastName": "Ray"}
    new = {"name": "Cyd", "currency": "USD", "billCycleDay": 1, "billToContact": buyer, "creditCard": card}
    asked = order(newAccount=new, orderLineItems=[line()])
    del asked["existingAccountNumber"]
    done(shop, asked)
    kept = shop.sql("SELECT request FROM orders").item()
    assert "Cyd" in kept
    assert "4111" not in kept


def test_charges_can_change_although_their_subscription_does_not(shop: Book) -> None:
    subscribed(shop, "SEATS")
    priced = {"chargeNumber": "C-00000001", "pricing": {"recurringPerUnit": {"quantity": 9}}}
    (body,) = done(shop, change("S-1", action("UpdateProduct", "2024-02-01", chargeUpdates=[priced])))
    assert body["subscriptions"] == [{"subscriptionNumber": "S-1", "status": "Active"}]


def test_billed_usage_is_not_suspended_and_billed_again(shop: Book, tmp_path: Path) -> None:
    usage = {"productRatePlanId": "TRAFFIC", "chargeOverrides": [
        {"productRatePlanChargeId": "traffic", "billing": {"billingPeriod": "Month"}}]}  # fmt: skip
    subscribed(shop, usage, bill=None)
    used = {"usage_id": "u", "account_number": "A-1", "charge_number": "C-00000001", "uom": "GB", "quantity": 10}
    load(shop, [f"usage={write_rows(tmp_path / 'usage.csv', [used | {'start_date': '2024-01-25'}])}"])
    bill(shop, RunRequest(target_date=date(2024, 2, 1), invoice_date=date(2024, 2, 1)))
    assert charged(shop, "the traffic") == ["5.00"]
    assert "is billed up to 2024-02-01" in refused(shop, change("S-1", suspension("2024-01-15"), bill="2024-02-01"))


def test_a_billed_set_up_fee_is_not_owed_again_after_a_suspension(shop: Book) -> None:
    subscribed(shop, "BUNDLE")
    done(shop, change("S-1", suspension("2024-01-01"), bill=JANUARY))
    done(shop, change("S-1", resumption("2024-01-11"), bill=JANUARY))
    assert charged(shop, "the b-setup") == ["50.00"]


def test_a_subscription_that_is_canceled_from_its_first_day_keeps_its_set_up_fee_and_every_promise(shop: Book) -> None:
    subscribed(shop, "BUNDLE")
    at_once = action("CancelSubscription", cancellationPolicy="SpecificDate", cancellationEffectiveDate="2024-01-01")
    (body,) = done(shop, change("S-1", at_once, bill=JANUARY))
    assert body["creditMemoNumbers"] == ["CM00000001"]
    assert shop.sql("SELECT sum(amount) AS amount FROM credit_memos").item() == 30


def test_a_suspension_ends_within_the_term(shop: Book) -> None:
    subscribed(shop, "FEE")
    done(shop, change("S-1", suspension("2024-06-01")))
    assert "the term ends on 2025-01-01" in refused(shop, change("S-1", resumption("2025-02-01")))
    done(shop, change("S-1", resumption("2025-02-01", extends=True)))
    assert str(shop.sql("SELECT term_end_date FROM subscriptions").item()) == "2025-09-03"


@pytest.mark.parametrize("number", [10**30, 2**63, "1.1234567891e0", "1e25", "1e40", "-1e-300"])
def test_numbers_that_no_column_holds_are_refused_alone(shop: Book, number: int | str) -> None:
    orders = (order(orderLineItems=[line(customFields={"po__c": n})]) for n in (7, "@"))
    lines = [json.dumps(o).replace('"@"', str(number)) for o in orders]
    first, second = [create_order(shop, each) for each in lines]
    assert (first["success"], second["success"]) == (True, False)
    assert "write it as text" in second["reasons"][0]["message"]


@pytest.mark.parametrize(
    ("buyer", "fields", "said"),
    [
        ("A-2", {}, "account 'A-1' was billed for"),
        ("A-1", {"currency": "EUR"}, "the sale was in USD"),
        ("A-1", {"amountPerUnit": -5}, "must not be negative in a return"),
        ("A-1", {"quantity": 4}, "only 3 of W/1 can be given back"),
    ],
)
def test_returns_fit_their_sale(shop: Book, buyer: str, fields: Json, said: str) -> None:
    done(shop, order(orderNumber="W", orderLineItems=[line(quantity=3)]))
    back = {"itemCategory": "Return", "originalOrderNumber": "W", "originalOrderLineItemNumber": "1", **fields}
    assert said in refused(shop, order(buyer, category="Return", orderLineItems=[line(**back)]))


@pytest.mark.parametrize("payer", ["A-3", "A-4"])
def test_an_order_whose_bill_nobody_would_get_is_refused(shop: Book, payer: str) -> None:
    sold = create_subscription("FEE", invoiceOwnerAccountNumber=payer)
    said = refused(shop, order(bill=JANUARY, subscriptions=[entry("S-1", sold)]))
    assert "is Draft" in said or "is canceled" in said


def test_an_override_counts_once(shop: Book) -> None:
    override = {"productRatePlanChargeId": "seats", "pricing": {"recurringPerUnit": {"quantity": 100}}}
    plan = {"productRatePlanId": "SEATS", "chargeOverrides": [override, override]}
    assert "comes twice" in refused(shop, order(subscriptions=[entry("S-1", create_subscription(plan))]))


def test_one_of_two_equal_rate_plans_is_removed_by_its_number(shop: Book) -> None:
    subscribed(shop, "FEE", "FEE")
    by_product = action("RemoveProduct", "2024-03-01", productRatePlanId="FEE")
    assert "RP-00000001, RP-00000002" in refused(shop, change("S-1", by_product))
    done(shop, change("S-1", action("RemoveProduct", "2024-03-01", ratePlanId="RP-00000002")))


def test_accounts_change_only_what_they_own_or_pay_for(shop: Book) -> None:
    subscribed(shop, "FEE")
    said = refused(shop, change("S-1", action("RenewSubscription"), account_number="A-2"))
    assert "neither owns nor pays for" in said


def test_nothing_is_done_whose_answer_can_not_be_saved(shop: Book, quick: Command, tmp_path: Path) -> None:
    (tmp_path / "order.json").write_bytes(content(order(orderLineItems=[line()])))
    outcome = quick("order", "create", "order.json", "--out", "nowhere/answers.jsonl")
    assert (outcome.code, outcome.out) == (1, "")
    assert "can't be written, so nothing was done" in outcome.err
    assert shop.sql("SELECT count(*) AS orders FROM orders").item() == 0
