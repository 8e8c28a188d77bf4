"""Invoice group numbers that orders set, change and clear decide which lines the next run puts on one invoice.

The rules are those of grouping facts, section 2; an invoice is written here as `NUMBER: what is on it`.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from inputs import state
from order_inputs import (
    account,
    action,
    change,
    create_subscription,
    done,
    entry,
    line,
    made,
    order,
    previewed,
    stock,
    subscribe,
    termed,
    updated,
)

from billfold import Book, RunRequest, bill
from billfold.settings import change as set_

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from billfold.lines import Documents

Json = dict[str, Any]


@pytest.fixture(scope="module")
def stocked(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book with two accounts and a catalog, to be copied."""
    folder = tmp_path_factory.mktemp("grouping")
    with Book(shutil.copytree(empty_book, folder / "book")) as book:
        stock(book, folder)
    return folder / "book"


@pytest.fixture
def shop(stocked: Path, tmp_path: Path) -> Iterator[Book]:
    with Book(shutil.copytree(stocked, tmp_path / "book")) as book:
        yield book


def told(documents: Documents) -> list[str]:
    """What each invoice holds: subscriptions, and order lines by their ids."""
    found = defaultdict(set)
    for item in documents.invoice_items.iter_rows(named=True):
        name = item["subscription_number"] or f"{item['order_number']}/{item['item_number']}"
        found[item["invoice_id"]].add(name)
    numbers = dict(documents.invoices.select("invoice_id", "invoice_group_number").iter_rows())
    return sorted(f"{numbers[i] or '-'}: {' '.join(sorted(names))}" for i, names in found.items())


def run(book: Book, day: str = "2024-01-31") -> list[str]:
    """What the invoices of the next run hold."""
    target = date.fromisoformat(day)
    return told(bill(book, RunRequest(target_date=target, invoice_date=target)).documents)


def sold(number: str, *lines: Json, to: str = "A-1", **fields: Any) -> Json:  # noqa: ANN401 - JSON
    """An order for lines only."""
    return order(to, orderNumber=number, orderLineItems=list(lines), **fields)


def terms(number: str, day: str = "2024-02-01", **body: Any) -> Json:  # noqa: ANN401 - JSON
    """An order that changes the terms of a subscription."""
    return change(number, action("TermsAndConditions", day, **body))


# ------------------------------------------------------------------ set when things are made


def test_equal_numbers_of_one_account_share_an_invoice_whether_subscription_or_line(shop: Book) -> None:
    done(
        shop,
        subscribe(number="S-1", invoiceGroupNumber="PO-1"),
        subscribe(number="S-2", invoiceGroupNumber="PO-1"),
        subscribe(number="S-3", invoiceGroupNumber="PO-2"),
        subscribe(number="S-4"),
        subscribe(number="S-5"),
        sold("X", line(invoiceGroupNumber="PO-1"), line(invoiceGroupNumber="PO-2"), line()),
        subscribe(number="T-1", invoiceGroupNumber="PO-1") | {"existingAccountNumber": "A-2"},
    )
    assert run(shop) == ["-: S-4", "-: S-5", "-: X/3", "PO-1: S-1 S-2 X/1", "PO-1: T-1", "PO-2: S-3 X/2"]


def test_numbers_that_differ_in_case_or_outer_blanks_only_are_one(shop: Book) -> None:
    done(
        shop,
        subscribe(number="S-1", invoiceGroupNumber="po#1"),
        subscribe(number="S-2", invoiceGroupNumber="PO#1"),
        sold("X", line(invoiceGroupNumber=" Po#1 ")),
    )
    (invoice,) = run(shop)
    number, _, lines = invoice.partition(": ")
    assert (number.lower(), lines) == ("po#1", "S-1 S-2 X/1")


@pytest.mark.parametrize(
    ("of_subscription", "of_line"),
    [
        ({"billToContactId": "Ann"}, {"billTo": "Ann"}),
        ({"paymentTerm": "Net 60"}, {"paymentTerm": "Net 60"}),
        ({"invoiceTemplateId": "blue"}, {"invoiceTemplateId": "blue"}),
    ],
)
def test_other_attributes_split_what_has_one_number(shop: Book, of_subscription: Json, of_line: Json) -> None:
    number = {"invoiceGroupNumber": "PO-1"}
    done(
        shop,
        subscribe(number="S-1", **number),
        subscribe(number="S-2", **number, **of_subscription),
        sold("X", line(**number), line(**number, **of_line)),
    )
    assert run(shop) == ["PO-1: S-1 X/1", "PO-1: S-2 X/2"]


def test_other_sold_to_contacts_do_not_split_what_has_one_number(shop: Book) -> None:
    number = {"invoiceGroupNumber": "PO-1"}
    done(shop, subscribe(number="S-1", soldToContactId="Ann", **number), sold("X", line(soldTo="Bob", **number)))
    assert run(shop) == ["PO-1: S-1 X/1"]


def test_an_invoice_of_its_own_goes_before_the_number(shop: Book) -> None:
    number = {"invoiceGroupNumber": "PO-1"}
    done(
        shop,
        subscribe(number="S-1", **number),
        subscribe(number="S-2", invoiceSeparately=True, **number),
        sold("X", line(**number)),
    )
    assert run(shop) == ["PO-1: S-1 X/1", "PO-1: S-2"]
    done(shop, terms("S-2", invoiceSeparately=False))
    assert run(shop, "2024-02-01") == ["PO-1: S-1 S-2"]


def test_without_consolidation_a_number_joins_subscriptions_and_lines_apart(shop: Book) -> None:
    set_(shop, {"consolidate_invoices": "no"})
    number = {"invoiceGroupNumber": "PO-1"}
    done(
        shop,
        *(subscribe(number=f"S-{n}", **number) for n in (1, 2)),
        sold("X", line(**number), line(**number)),
    )
    assert run(shop) == ["PO-1: S-1 S-2", "PO-1: X/1 X/2"]


def test_an_order_that_is_billed_at_once_has_one_invoice_for_each_number(shop: Book) -> None:
    """Its preview says the same; what else has the number waits for its own run."""
    done(shop, subscribe(number="S-0", invoiceGroupNumber="PO-1"))
    new = [entry(f"S-{n}", create_subscription(invoiceGroupNumber=f"PO-{n}")) for n in (1, 2)]
    asked = order(subscriptions=new, orderLineItems=[line(invoiceGroupNumber="po-2")], bill="2024-01-31")
    shared = [len(i["invoiceItems"]) for i in previewed(shop, asked)["previewResult"]["invoices"]]
    (body,) = done(shop, asked)
    found = shop.sql("SELECT invoice_number, invoice_group_number FROM invoices ORDER BY 1").rows()
    assert [(name, number.upper()) for name, number in found] == list(
        zip(body["invoiceNumbers"], ("PO-1", "PO-2"), strict=True)
    )
    assert sorted(shared) == [1, 2]
    assert run(shop) == ["PO-1: S-0"]


@pytest.mark.parametrize(
    ("number", "code"),
    [("x" * 255, None), ("PO #1", None), ("x" * 256, "53100020"), ("", "53100020"), (7, "53100020")],
)
def test_a_number_is_a_text_of_up_to_255_characters(shop: Book, number: object, code: str | None) -> None:
    before = state(shop)
    for asked in (subscribe(invoiceGroupNumber=number), sold("X", line(invoiceGroupNumber=number))):
        (body,) = made(shop, asked)
        assert [reason["code"] for reason in body.get("reasons", [])] == [code] * (code is not None)
    if code:
        assert state(shop) == before
    else:
        assert run(shop) == [f"{number}: A-S00000001 X/1"]


# ------------------------------------------------------------------ changed and cleared between runs


def test_terms_and_conditions_move_a_subscription_to_another_number_from_the_next_run_on(shop: Book) -> None:
    done(shop, subscribe(number="S-1", invoiceGroupNumber="PO-1"), subscribe(number="S-2"))
    assert run(shop) == ["-: S-2", "PO-1: S-1"]
    done(shop, terms("S-2", invoiceGroupNumber="PO-1"))
    assert run(shop, "2024-02-01") == ["PO-1: S-1 S-2"]
    done(shop, terms("S-1", invoiceGroupNumber="PO-2"))
    assert run(shop, "2024-03-01") == ["PO-1: S-2", "PO-2: S-1"]


def test_other_terms_leave_the_number_alone(shop: Book) -> None:
    done(shop, *(subscribe(number=f"S-{n}", invoiceGroupNumber="PO-1") for n in (1, 2)))
    done(shop, terms("S-1", autoRenew=True, clearingExistingInvoiceGroupNumber=False))
    assert run(shop) == ["PO-1: S-1 S-2"]


@pytest.mark.parametrize(
    ("policy", "others", "expected"),
    [
        ("auto", "PO-2", ["-: S-1", "-: S-2", "PO-2: S-3"]),
        ("auto", None, ["-: S-1 S-2 S-3"]),
        ("separate", None, ["-: S-1", "-: S-2", "-: S-3"]),
        ("pooled", "PO-2", ["-: S-1 S-2", "PO-2: S-3"]),
    ],
)
@pytest.mark.parametrize("by", ["TermsAndConditions", "RenewSubscription"])
def test_a_cleared_number_leaves_the_policy_for_blank_ones(
    shop: Book, by: str, policy: str, others: str | None, expected: list[str]
) -> None:
    """By `auto`, blank ones stand alone as long as anything of the account has a number."""
    set_(shop, {"ungrouped": policy})
    numbers = {"S-1": "PO-1", "S-2": None, "S-3": others}
    done(shop, *(subscribe(number=s, **({"invoiceGroupNumber": n} if n else {})) for s, n in numbers.items()))
    assert "PO-1: S-1" in run(shop)
    done(shop, change("S-1", action(by, "2024-02-01", clearingExistingInvoiceGroupNumber=True)))
    assert run(shop, "2024-02-01") == expected


def test_a_renewal_may_bring_a_number_and_keeps_the_one_that_is_there(shop: Book) -> None:
    done(
        shop,
        subscribe(number="S-1", terms=termed(1), invoiceGroupNumber="PO-1"),
        subscribe(number="S-2", terms=termed(1), invoiceGroupNumber="PO-1"),
    )
    assert run(shop) == ["PO-1: S-1 S-2"]
    done(
        shop,
        change("S-1", action("RenewSubscription", "2024-02-01", invoiceGroupNumber="PO-9")),
        change("S-2", {"type": "RenewSubscription", "triggerDates": []}),
    )
    assert run(shop, "2024-02-01") == ["PO-1: S-2", "PO-9: S-1"]


@pytest.mark.parametrize("by", ["TermsAndConditions", "RenewSubscription"])
def test_a_number_is_not_set_and_cleared_at_once(shop: Book, by: str) -> None:
    done(shop, subscribe(number="S-1", invoiceGroupNumber="PO-1"))
    before = state(shop)
    both = {"invoiceGroupNumber": "PO-2", "clearingExistingInvoiceGroupNumber": True}
    (body,) = made(shop, change("S-1", action(by, "2024-02-01", **both)))
    (reason,) = body["reasons"]
    field = f"subscriptions[0].orderActions[0].{by[0].lower()}{by[1:]}"
    assert reason["message"].startswith(f"'{field}.")
    assert "clearingExistingInvoiceGroupNumber" in reason["message"]
    assert state(shop) == before


def test_an_update_of_a_line_moves_it_to_another_number(shop: Book) -> None:
    done(
        shop,
        subscribe(number="S-1", invoiceGroupNumber="PO-1"),
        sold("X", line(itemState="Executing"), line(itemState="Booked", invoiceGroupNumber="PO-2"), line()),
    )
    sent = {"itemState": "SentToBilling"}
    body = updated(
        shop,
        {"id": "X/1", "invoiceGroupNumber": "po-1", **sent},
        {"id": "X/2", "invoiceGroupNumber": "PO-1", **sent},
        {"id": "X/3", "invoiceGroupNumber": "PO-3"},
    )
    assert [i["invoiceGroupNumber"] for i in body["orderLineItems"]] == ["po-1", "PO-1", "PO-3"]
    (first, second) = run(shop)
    assert (first.upper(), second) == ("PO-1: S-1 X/1 X/2", "PO-3: X/3")


def test_an_update_that_bills_puts_lines_of_one_number_on_one_invoice(shop: Book) -> None:
    """Subscriptions with that number wait for the next run."""
    done(
        shop,
        subscribe(number="S-1", invoiceGroupNumber="PO-1"),
        *(sold(name, line(itemState="Executing")) for name in ("X", "Y", "Z")),
    )
    sent = {"itemState": "SentToBilling"}
    lines = [
        {"id": f"{name}/1", "invoiceGroupNumber": number, **sent} for name, number in (("X", "PO-1"), ("Y", "po-1"))
    ]
    body = updated(shop, *lines, {"id": "Z/1", **sent}, bill="2024-01-01")
    assert sorted(i["amount"] for i in body["invoices"]) == [10, 20]
    assert run(shop) == ["PO-1: S-1"]


@pytest.mark.parametrize("last", ["Complete", "Canceled"])
def test_a_line_that_is_done_with_no_longer_tells_blank_ones_apart(shop: Book, last: str) -> None:
    """Only what can still be billed counts: an open line, not one that is complete or canceled."""
    done(
        shop,
        *(subscribe(number=f"S-{n}") for n in (1, 2)),
        sold("X", line(itemState="Executing", invoiceGroupNumber="PO-1")),
    )
    assert run(shop) == ["-: S-1", "-: S-2"]
    assert updated(shop, {"id": "X/1", "itemState": last})["success"]
    assert run(shop, "2024-02-01") == ["-: S-1 S-2"]


def test_a_canceled_subscription_no_longer_tells_blank_ones_apart(shop: Book) -> None:
    done(shop, *(subscribe(number=f"S-{n}") for n in (1, 2)), subscribe(number="S-3", invoiceGroupNumber="PO-1"))
    assert run(shop) == ["-: S-1", "-: S-2", "PO-1: S-3"]
    end = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2024-02-01"}
    done(shop, change("S-3", action("CancelSubscription", "2024-02-01", **end)))
    assert run(shop, "2024-02-01") == ["-: S-1 S-2"]


def test_an_order_that_is_billed_at_once_looks_at_the_numbers_of_the_whole_account(shop: Book) -> None:
    """Blank ones stand alone because of a subscription that is not in the order."""
    asked = order(subscriptions=[entry(f"S-{n}", create_subscription()) for n in (1, 2)], bill="2024-01-31")
    (body,) = done(shop, asked)
    assert len(body["invoiceNumbers"]) == 1
    later = order(subscriptions=[entry(f"S-{n}", create_subscription()) for n in (4, 5)], bill="2024-01-31")
    done(shop, subscribe(number="S-3", invoiceGroupNumber="PO-1"))
    (body,) = done(shop, later)
    assert len(body["invoiceNumbers"]) == 2


def test_a_number_goes_with_its_subscription_to_another_account(shop: Book) -> None:
    done(
        shop,
        subscribe(number="S-1", invoiceGroupNumber="PO-1"),
        subscribe(number="S-2", invoiceGroupNumber="PO-1"),
        subscribe(number="T-1", invoiceGroupNumber="PO-1") | {"existingAccountNumber": "A-2"},
    )
    assert run(shop) == ["PO-1: S-1 S-2", "PO-1: T-1"]
    done(shop, change("S-2", action("OwnerTransfer", "2024-02-01", destinationInvoiceAccountNumber="A-2")))
    assert run(shop, "2024-02-01") == ["PO-1: S-1", "PO-1: S-2 T-1"]


def test_the_last_number_of_several_actions_of_one_order_counts(shop: Book) -> None:
    done(shop, subscribe(number="S-1", invoiceGroupNumber="PO-1"))
    asked = change(
        "S-1",
        action("TermsAndConditions", "2024-01-01", invoiceGroupNumber="PO-2"),
        action("RenewSubscription", "2024-01-01", invoiceGroupNumber="PO-3"),
        bill="2024-01-31",
    )
    done(shop, asked)
    assert shop.sql("SELECT invoice_group_number FROM invoices").rows() == [("PO-3",)]


def test_a_new_account_may_have_numbers_from_its_first_order_on(shop: Book, tmp_path: Path) -> None:
    stock(shop, tmp_path, [account("A-3")], [])
    new = {"name": "Cyd", "currency": "USD", "billCycleDay": 1, "billToContact": {"firstName": "C", "lastName": "D"}}
    subscriptions = [entry(f"S-{n}", create_subscription(invoiceGroupNumber=f"PO-{n % 2}")) for n in range(3)]
    asked = order(newAccount=new, subscriptions=subscriptions, orderLineItems=[line(invoiceGroupNumber="PO-1")])
    del asked["existingAccountNumber"]
    (body,) = done(shop, asked)
    assert run(shop) == ["PO-0: S-0 S-2", f"PO-1: {body['orderNumber']}/1 S-1"]
