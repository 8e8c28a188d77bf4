"""`verify` finds nothing in books that orders made, and names the promise that is broken on purpose.

Runs that were committed with their orders read the book as these orders left it, and bill nothing else.
"""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, Final

import polars as pl
import pytest
from inputs import write_rows
from order_inputs import account, action, change, create_subscription, done, entry, line, order, stock, updated

from billfold import Book, bill, lifecycle, post
from billfold.book import lake
from billfold.contracts import TABLES
from billfold.intake import load
from billfold.requests import RunRequest
from billfold.steps import load as step_load
from billfold.steps import rate, resolve
from billfold.verify import Verdict, verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from order_inputs import Json

JAN: Final = "2024-01-31"
FEB: Final = "2024-02-29"
ROWS: Final = "unchanged: rows"
CHAINS: Final = "unchanged: chains"
HISTORY: Final = "orders: history"
RETURNS: Final = "orders: returns"
ANSWERS: Final = "orders: answers"
NUMBERS: Final = "orders: numbers"


# --- books ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ordered(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several orders in one run, a return, updates, drafts, a cancelation, and a run of everything else."""
    folder = tmp_path_factory.mktemp("ordered")
    with Book(shutil.copytree(empty_book, folder / "book")) as book:
        stock(book, folder / "in", [account(), account("A-2", bill_to_contact=" Ray "), account("A-3", currency="EUR")])
        done(book, *several())
        numbered = line(11, quantity=2, invoiceGroupNumber="G")
        done(book, order(orderNumber="O-2", orderLineItems=[numbered], subscriptions=[entry("S-9", unbilled())]))
        found = "SELECT rate_plan_number, charge_number FROM rate_plan_charges WHERE uom = 'Seat'"
        plan, seats = book.sql(f"{found} AND subscription_number = 'S-1'").row(0)
        more = {"chargeNumber": seats, "pricing": {"recurringPerUnit": {"quantity": 5}}}
        raised = action("UpdateProduct", "2024-01-15", ratePlanId=plan, chargeUpdates=[more])
        done(book, change("S-1", raised, bill=JAN, orderNumber="O-3", category="Return", orderLineItems=[back(2)]))
        assert updated(book, {"id": "O-1/2", "itemState": "SentToBilling"}, bill=JAN)["success"]
        drafts = {"runBilling": True, "billingOptions": {"targetDate": FEB, "generateDraftInvoice": True}}
        for number, posted in (("O-4", True), ("O-5", False)):
            added = action("AddProduct", "2024-02-10", productRatePlanId="BUNDLE")
            done(book, change("S-1", added, orderNumber=number, processingOptions=drafts))
            run = str(book.sql("SELECT max(bill_run_number) FROM bill_runs").item())
            post(book, run) if posted else lifecycle.cancel(book, run)
        ended = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2024-02-20"}
        done(book, change("S-1", action("CancelSubscription", "2024-02-20", **ended), bill=FEB, orderNumber="O-6"))
        bill(book, RunRequest(target_date=date(2024, 3, 1), invoice_date=date(2024, 3, 1)))
    return folder / "book"


def several() -> Sequence[Json]:
    """Orders of three accounts, one of which is new, with numbers of their own and without."""
    sold = create_subscription("FEE", "SEATS", "SETUP")
    owned = {"subscriptionOwnerAccountNumber": "A-1", "invoiceGroupNumber": "PO"}
    named = {"firstName": "Ann", "lastName": "Lee"}
    new = {"name": "New", "currency": "JPY", "billCycleDay": 1, "billToContact": named}
    without = {k: v for k, v in order(bill=JAN).items() if k != "existingAccountNumber"}
    return [
        order(bill=JAN, orderNumber="O-1", subscriptions=[entry("S-1", sold)],
              orderLineItems=[line(10, quantity=5), line(3, itemState="Executing")]),
        order("A-2", bill=JAN, subscriptions=[entry(None, create_subscription("BUNDLE", **owned))]),
        {**without, "newAccount": new, "subscriptions": [entry(None, create_subscription("FEE"))]},
        order("A-3", bill=JAN, orderLineItems=[line("3.335", quantity=3)]),
    ]  # fmt: skip


def unbilled() -> Json:
    return create_subscription("SEATS", invoiceOwnerAccountNumber="A-2")


def back(quantity: int) -> Json:
    """A return of O-1's cups."""
    sale = {"originalOrderNumber": "O-1", "originalOrderLineItemNumber": "1"}
    return line(10, quantity=quantity, itemCategory="Return", **sale)


@pytest.fixture
def copy(ordered: Path, tmp_path: Path) -> Path:
    return shutil.copytree(ordered, tmp_path / "book")


def verdicts(folder: Path) -> dict[str, Verdict]:
    with Book(folder, read_only=True) as book:
        return {v.promise: v for v in verify(book)}


def broken(folder: Path) -> dict[str, str]:
    """The promises that do not hold, with the first sentence about each."""
    return {name: v.broken["broken"][0] for name, v in verdicts(folder).items() if not v.holds}


def tamper(folder: Path, *statements: str) -> None:
    """SQL on the book past billfold."""
    with closing(lake.attach(folder)) as connection:
        for statement in statements:
            connection.execute(statement)


# --- books that orders made -------------------------------------------------------------------------------------------


def test_a_book_of_every_kind_of_order_keeps_every_promise(ordered: Path) -> None:
    with Book(ordered, read_only=True) as book:
        runs = book.sql(
            "SELECT status, json_array_length(request, '$.orders') AS orders FROM bill_runs ORDER BY bill_run_number"
        )
        counts = book.sql("SELECT * FROM (SELECT count(*) FROM credit_memos), (SELECT max(segment) - 1 FROM "
                          "rate_plan_charges), (SELECT count(*) FROM order_actions), (SELECT count(*) FROM "
                          "billfold.counters WHERE name LIKE 'number.%' AND name <> 'number.rate_plan' HAVING "
                          "count(*) = 4)").row(0)  # fmt: skip
    assert runs["status"].to_list() == [*["Posted"] * 5, "Canceled", "Posted", "Completed"]
    assert runs["orders"].to_list() == [3, 1, 1, 1, 1, 1, 1, 0]
    assert all(counts)
    assert broken(ordered) == {}


def test_what_is_loaded_over_orders_later_is_no_fault_of_theirs(copy: Path) -> None:
    """A sale is cut below what was given back of it, and a segment is laid over another one."""
    with Book(copy) as book:
        number = book.sql("SELECT charge_number FROM rate_plan_charges WHERE segment = 2").item()
        sold = {"order_number": "O-1", "item_number": "1", "account_number": "A-1", "amount_per_unit": 10}
        over = {"charge_number": number, "segment": 3, "effective_start_date": "2024-02-01"}
        fee = {"charge_type": "Recurring", "charge_model": "FlatFee", "price": 1, "billing_period": "Month"}
        write_rows(copy.parent / "more" / "order_line_items.csv", [{**sold, "quantity": 1}])
        write_rows(copy.parent / "more" / "rate_plan_charges.csv", [{**over, **fee, "subscription_number": "S-1"}])
        load(book, [str(copy.parent / "more")])
    assert broken(copy) == {}


def test_a_run_that_knows_of_no_orders_was_for_all(copy: Path) -> None:
    """Requests of older versions say nothing about orders."""
    tamper(
        copy,
        """UPDATE bill_runs SET request = replace(request, '"orders":[],"orders_sha256":"",', '')
        WHERE bill_run_number = 'BR-00000008'""",
    )
    assert set(broken(copy)) == {CHAINS, ROWS}


# --- changes past billfold --------------------------------------------------------------------------------------------

CASES: Final[Sequence[tuple[str, Sequence[str], set[str]]]] = (
    (
        "more is given back than was sold",
        ("UPDATE order_line_items SET quantity = 6 WHERE item_category = 'Return'",),
        {RETURNS},
    ),
    (
        "the sale of a return is gone",
        ("DELETE FROM order_line_items WHERE order_number = 'O-1' AND item_number = '1'",),
        {RETURNS},
    ),
    (
        "two segments serve on one day",
        ("UPDATE rate_plan_charges SET effective_start_date = effective_start_date - 1 WHERE segment = 2",),
        {HISTORY},
    ),
    (
        "an order is gone that did something",
        ("DELETE FROM orders WHERE order_number = 'O-2'",),
        {HISTORY},
    ),
    (
        "a subscription is gone to which an order did something",
        ("DELETE FROM subscriptions WHERE subscription_number = 'S-9'",),
        {HISTORY},
    ),
    (
        "an action is gone and another one is numbered twice",
        (
            "UPDATE order_actions SET sequence = 2 WHERE order_number = 'O-6'",
            "INSERT INTO order_actions SELECT * FROM order_actions WHERE order_number = 'O-2'",
        ),
        {HISTORY, "once: ids"},
    ),
    (
        "an action is about another subscription",
        ("UPDATE order_actions SET subscription_number = 'S-9' WHERE order_number = 'O-4'",),
        {"partition: charges"},
    ),
    (
        "an answer names an invoice that is another run's",
        ("UPDATE orders SET response = replace(response, 'INV00000001', 'INV00000005') WHERE order_number = 'O-1'",),
        {ANSWERS},
    ),
    (
        "an answer names no credit memo",
        ("UPDATE orders SET response = replace(response, 'creditMemoNumbers', 'x') WHERE order_number = 'O-3'",),
        {ANSWERS},
    ),
    (
        "an order says that nobody billed it",
        ("UPDATE orders SET bill_run_number = NULL WHERE order_number = 'O-6'",),
        {ANSWERS},
    ),
    (
        "a number was given to nobody",
        ("UPDATE billfold.counters SET value = value + 1 WHERE name = 'number.charge'",),
        {NUMBERS},
    ),
)
"""What is changed, how, and what breaks besides the record of the table."""


@pytest.mark.parametrize("nth", range(3))
def test_changes_past_billfold_break_what_they_touch_and_nothing_else(nth: int, copy: Path) -> None:
    """Several at once, for speed. A changed table no longer is what its history says, either."""
    cases = CASES[nth::3]
    statements = [sql for _, several_, _ in cases for sql in several_]
    tamper(copy, *statements)
    changed = {t for s in statements for t in re.findall(r"\b(?:UPDATE|INSERT INTO|DELETE FROM) (\w+)\b(?!\.)", s)}
    expected = {promise for _, _, promises in cases for promise in promises}
    assert set(broken(copy)) == expected | ({ROWS} if changed & set(TABLES) else set())


# --- a line that errs -------------------------------------------------------------------------------------------------


def billed(copy: Path, more: Sequence[Json] = ()) -> dict[str, str]:
    """What a further order with a cup and a fee breaks. Another one has the same, and nobody asks for its bill."""
    with Book(copy) as book:
        for number, bill_until in (("8", None), ("7", FEB)):
            sold = [entry(f"S-{number}", create_subscription("FEE", day="2024-02-01"))]
            items = [line(4, itemNumber="1"), *(more if bill_until else ())]
            done(book, order(bill=bill_until, orderNumber=f"O-{number}", orderLineItems=items, subscriptions=sold))
    return broken(copy)


def test_an_order_that_is_billed_as_it_should_be_breaks_nothing(copy: Path) -> None:
    assert billed(copy) == {}


def test_what_belongs_to_orders_that_a_run_was_not_for_is_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "_asked", lambda lines, _: lines)
    every = "charge_number"
    monkeypatch.setattr(step_load, "_of_orders", lambda read, _orders: read("rate_plan_charges").collect()[every])
    found = billed(copy)
    assert set(found) == {"partition: charges", "partition: order lines"}
    assert "is on an item and was not among what the run bills" in found["partition: charges"]
    assert found["partition: order lines"] == "order line O-8 1 is billed to A-1 by BR-00000009 and was not due"


def test_what_the_run_of_an_order_forgets_is_missed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was committed together with the run, so that the book as it was before knows nothing of it."""
    lines, due = rate._order_lines, vars(rate)["due"]
    monkeypatch.setattr(rate, "_order_lines", lambda *args: lines(*args).filter(pl.col("item_number") != "1"))
    monkeypatch.setattr(rate, "due", lambda *args: due(*args).filter(pl.col("charge_model") != "FlatFee"))
    found = billed(copy, [line(5, itemNumber="2")])
    assert set(found) == {"partition: charges", "partition: nothing left", "partition: order lines"}
    assert found["partition: order lines"] == "order line O-7 1 of A-1 was due and is not on BR-00000009"


def test_a_run_that_says_that_orders_came_with_it_though_none_did_is_found(copy: Path) -> None:
    with Book(copy) as book:
        day = date(2024, 4, 1)
        bill(book, RunRequest(target_date=day, invoice_date=day, orders_sha256="0"))
    assert broken(copy) == {CHAINS: 'BR-00000009 was committed as "run BR-00000009" and says otherwise'}
