"""What orders may do to scheduled charges: each row of the vendor's table (spec/schedules.md 5.7), and its limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from order_inputs import (
    TODAY,
    Json,
    account,
    action,
    change,
    charge,
    content,
    create_subscription,
    done,
    entry,
    made,
    order,
    previewed,
    stock,
)

from billfold import Book
from billfold.book import Change, Commit, State
from billfold.contracts import TABLES, columns
from billfold.orders.errors import OrderError
from billfold.orders.models import CreateOrder
from billfold.orders.parsing import parsed
from billfold.orders.place import place
from billfold.orders.register import Register, Wanted
from billfold.orders.scheduled import Scheduled
from billfold.orders.wanted import wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

STATUSES: Final = {"Pending": 0, "PartiallyProcessed": 1, "FullyProcessed": 2}
"""Items that are processed, of two."""

SOLD: Final = {
    "S-1": ("YEAR", "OFF", "OFF-ONCE", "OFF-PLAN", "OFF-ALL"),
    "S-2": ("YEAR",),
    "S-3": ("YEAR", "ONCE"),
    "S-4": ("YEAR",),
}
LINKS: Final = (
    ("IS-1", "S-1-YEAR", "S-1"),
    ("IS-1", "S-2-YEAR", "S-2"),
    ("IS-2", "S-3-ONCE", "S-3"),
    ("IS-3", "S-4-YEAR", "S-4"),
)
"""Schedules, charges, subscriptions. All are for 2024; the year of S-3 is not scheduled, and S-4 is suspended."""

_TERM: Final = {"from_date": date(2024, 1, 1), "through_date": date(2025, 1, 1)}
_ANNUAL: Final = {"charge_type": "Recurring", "billing_period": "Annual", "bill_cycle_type": "ChargeTriggerDay"}
_OFF: Final = {"charge_type": "Recurring", "charge_model": "DiscountPercentage", "discount_percentage": 10}
CATALOG: Final = (
    charge("year", "YEAR", charge_model="PerUnit", price=100, quantity=12, uom="Seat", **_ANNUAL),
    charge("once", "ONCE", charge_type="OneTime", charge_model="FlatFee", price=1200),
    charge("off", "OFF", **_OFF, discount_level="subscription"),
    charge("off-once", "OFF-ONCE", **_OFF, discount_level="subscription", apply_discount_to="ONETIMEUSAGE"),
    charge("off-plan", "OFF-PLAN", **_OFF, discount_level="rateplan"),
    charge("off-all", "OFF-ALL", **_OFF, discount_level="account"),
)


def _plan(subscription: str, plan: str) -> Json:
    """A rate plan whose number and whose charge's number tell which it is."""
    name = f"{subscription}-{plan}"
    overrides = [{"productRatePlanChargeId": plan.lower(), "chargeNumber": name}]
    return {"productRatePlanId": plan, "subscriptionRatePlanNumber": f"P-{name}", "chargeOverrides": overrides}


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """A book in which four subscriptions of a year were sold, and the last was suspended."""
    folder = tmp_path_factory.mktemp("sold")
    with Book.create(folder / "book") as book:
        stock(book, folder, [account(), account("A-2"), account("A-3")], CATALOG)
        plans = {number: [_plan(number, plan) for plan in named] for number, named in SOLD.items()}
        done(book, *(order(subscriptions=[entry(n, create_subscription(*each))]) for n, each in plans.items()))
        done(book, change("S-4", suspension("2024-04-01")))
        yield book


class Shop:
    """The book with schedules that are not written down; orders are tried on top of it, so that it serves all tests."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.changes: list[Change] = []

    def schedule(self, status: str, unbilled: str | None = None, *, is_detached: bool = False) -> None:
        """Two items a schedule, 600 each, of which some are processed; all charges cost 1,200."""
        processed = STATUSES[status]
        open_ = Decimal(unbilled or 1200 - 600 * processed)
        amounts: Json = {"total": Decimal(1200), "billed": Decimal(600 * processed), "unbilled": open_}
        amounts["actual"] = amounts["billed"] + open_
        header = {"account_number": "A-1", "status": status, "currency": "USD"}
        header |= {f"{name}_amount": value for name, value in amounts.items()}
        items: list[Json] = [
            {"sequence_number": n, "run_date": date(2024, 3 * n, 1), "amount": Decimal(600)}
            | {"status": "Processed" if n <= processed else "Pending"}
            for n in (1, 2)
        ]
        numbers = list(dict.fromkeys(number for number, _, _ in LINKS))
        charges = [
            {"invoice_schedule_number": number, "charge_number": name, "subscription_number": subscription}
            | {"order_number": "O-00000001", "position": place, "is_detached": is_detached, **_TERM}
            for place, (number, name, subscription) in enumerate(LINKS, 1)
        ]
        self.changes = [
            _change("invoice_schedules", [{"number": n, "schedule_id": n, **header} for n in numbers]),
            _change(
                "invoice_schedule_items",
                [{"item_id": f"{n}-{i['sequence_number']}", "invoice_schedule_number": n, **i}
                 for n in numbers for i in items],
            ),
            _change("invoice_schedule_charges", charges),
        ]  # fmt: skip

    def said(self, *orders: Json) -> str | None:
        """Why the last of some orders in one file is refused; nothing if it is done."""
        *earlier, last = self.refusals(*orders)
        assert set(earlier) <= {None}
        return last

    def refusals(self, *orders: Json) -> list[str | None]:
        """The same of each order of a file."""
        asked = [(p.line, p.request) for p in parsed(content(*orders), CreateOrder)[0] if p.request is not None]
        assert len(asked) == len(orders)
        register = Register(State.of(self.book).after(self.changes), wanted(request for _, request in asked))
        return [_refusal(register, line, request) for line, request in asked]


def _refusal(register: Register, line: int, request: CreateOrder) -> str | None:
    try:
        place(register, line, request, TODAY)
    except OrderError as e:
        register.drop()
        return str(e)
    register.keep(line)
    return None


def _change(table: str, rows: Sequence[Json]) -> Change:
    """Rows of a table, whose other columns say nothing."""
    declared = columns(TABLES[table]).values()
    full = [{c.name: row.get(c.name, c.default) for c in declared} for row in rows]
    return Change(table, pl.DataFrame(full, schema={c.name: c.dtype for c in declared}))


@pytest.fixture
def shop(sold: Book) -> Shop:
    return Shop(sold)


def suspension(day: str) -> Json:
    return action("Suspend", suspendPolicy="SpecificDate", suspendSpecificDate=day)


def resumption(day: str) -> Json:
    return action("Resume", resumePolicy="SpecificDate", resumeSpecificDate=day)


def removal(day: str, name: str = "S-1-YEAR") -> Json:
    return action("RemoveProduct", day, ratePlanId=f"P-{name}")


def cancellation(day: str) -> Json:
    return action("CancelSubscription", cancellationPolicy="SpecificDate", cancellationEffectiveDate=day)


def renewal() -> Json:
    return action("RenewSubscription", "2025-01-01")


def terms(**fields: object) -> Json:
    return action("TermsAndConditions", "2024-07-01", **fields)


def longer(end: str = "2025-07-01") -> Json:
    return terms(lastTerm={"termType": "TERMED", "endDate": end})


def update(day: str, name: str = "S-1-YEAR", **fields: object) -> Json:
    return action("UpdateProduct", day, ratePlanId=f"P-{name}", chargeUpdates=[{"chargeNumber": name, **fields}])


def priced(day: str, **price: object) -> Json:
    return update(day, pricing={"recurringPerUnit": price})


def reduced(day: str, name: str = "S-1-OFF") -> Json:
    return update(day, name, pricing={"discount": {"discountPercentage": 50}})


def labelled(day: str, name: str = "S-1-YEAR") -> Json:
    return update(day, name, customFields={"PO__c": "PO-002"})


def transfer(to: str = "A-2") -> Json:
    return action("OwnerTransfer", destinationAccountNumber=to, destinationInvoiceAccountNumber=to)


def moved(*subscriptions: str, to: str = "A-2") -> Json:
    return order(subscriptions=[entry(number, transfer(to)) for number in subscriptions])


def _early_renewal(*, terms_first: bool = False) -> Json:
    """What an early renewal is made of: the old product goes, a new one comes, the term begins anew."""
    renewed = terms(lastTerm={"termType": "TERMED", "startDate": "2024-07-01", "period": 12, "periodType": "Month"})
    added = action("AddProduct", "2024-07-01", productRatePlanId="YEAR")
    removed = removal("2024-07-01")
    return change("S-1", *((renewed, removed, added) if terms_first else (removed, added, renewed)))


_PAUSED: Final = "can't be suspended"
_RESUMED: Final = "can't be resumed"
_LONGER: Final = "can't be extended by terms"
_PARTED: Final = "would part S-1 from S-2"
_BEGUN: Final = "has processed an item already"
_MIDDLE: Final = "would change S-1-YEAR on 2024-07-01, in the middle of what the invoice schedule IS-1 bills of it"
_LESS: Final = "would change S-1-OFF on 2024-07-01, in the middle"
_DONE: Final = (None, None, None)
_ALL: Final = "has processed all its items"

Rows = dict[str, tuple["Callable[[], Json]", tuple[str | None, str | None, str | None]]]

TABLE: Final[Rows] = {
    "create subscription": (
        lambda: order(subscriptions=[entry("S-9", create_subscription("YEAR"))]),
        _DONE,
    ),
    "add product": (
        lambda: change("S-1", action("AddProduct", "2024-07-01", productRatePlanId="YEAR")),
        _DONE,
    ),
    "remove product": (lambda: change("S-1", removal("2024-07-01")), _DONE),
    "remove product from its first day": (lambda: change("S-1", removal("2024-01-01")), _DONE),
    "cancel": (lambda: change("S-1", cancellation("2024-07-01")), _DONE),
    "renew": (lambda: change("S-1", renewal()), _DONE),
    "early renewal": (_early_renewal, _DONE),
    "early renewal, terms first": (lambda: _early_renewal(terms_first=True), _DONE),
    "other terms": (lambda: change("S-1", terms(autoRenew=True, paymentTerm="Net 60")), _DONE),
    "a shorter term": (lambda: change("S-1", longer("2024-09-01")), _DONE),
    "change owner together": (lambda: moved("S-1", "S-2"), _DONE),
    "change owner of one": (lambda: moved("S-1"), (_PARTED, _PARTED, None)),
    "new quantity from the start": (lambda: change("S-1", priced("2024-01-01", quantity=20)), (None, _BEGUN, _BEGUN)),
    "new price from the start": (lambda: change("S-1", priced("2024-01-01", listPrice=7)), (None, _BEGUN, _BEGUN)),
    "new quantity from the middle": (
        lambda: change("S-1", priced("2024-07-01", quantity=20)),
        (_MIDDLE, _MIDDLE, _MIDDLE),
    ),
    "new price from the middle": (
        lambda: change("S-1", priced("2024-07-01", listPrice=7)),
        (_MIDDLE, _MIDDLE, _MIDDLE),
    ),
    "another discount from the start": (lambda: change("S-1", reduced("2024-01-01")), (None, _BEGUN, _BEGUN)),
    "another discount from the middle": (lambda: change("S-1", reduced("2024-07-01")), (_LESS, _LESS, _LESS)),
    "another discount on other types": (lambda: change("S-1", reduced("2024-07-01", "S-1-OFF-ONCE")), _DONE),
    "another discount on another rate plan": (lambda: change("S-1", reduced("2024-07-01", "S-1-OFF-PLAN")), _DONE),
    "another discount on the account": (lambda: change("S-1", reduced("2024-07-01", "S-1-OFF-ALL")), _DONE),
    "no discount any more": (lambda: change("S-1", removal("2024-07-01", "S-1-OFF")), _DONE),
    "the same quantity from the middle": (lambda: change("S-1", priced("2024-07-01", quantity=12)), _DONE),
    "custom fields from the middle": (lambda: change("S-1", labelled("2024-07-01")), (None, None, _ALL)),
    "custom fields of the rate plan": (
        lambda: change(
            "S-1", action("UpdateProduct", "2024-07-01", ratePlanId="P-S-1-YEAR", customFields={"PO__c": "PO-002"})
        ),
        (None, None, _ALL),
    ),
    "longer by terms": (lambda: change("S-1", longer()), (_LONGER, _LONGER, _LONGER)),
    "without end by terms": (
        lambda: change("S-1", terms(lastTerm={"termType": "EVERGREEN"})),
        (_LONGER, _LONGER, _LONGER),
    ),
    "longer by terms and a renewal": (lambda: change("S-1", longer(), renewal()), (_LONGER, _LONGER, _LONGER)),
    "suspend": (lambda: change("S-1", suspension("2024-07-01")), (_PAUSED, _PAUSED, _PAUSED)),
    "resume": (lambda: change("S-4", resumption("2024-07-01")), (_RESUMED, _RESUMED, _RESUMED)),
    "new price of a one-time charge": (
        lambda: change("S-3", update("2024-01-01", "S-3-ONCE", pricing={"oneTimeFlatFee": {"listPrice": 7}})),
        (None, _BEGUN, _BEGUN),
    ),
    "custom fields of a one-time charge": (
        lambda: change("S-3", labelled("2024-07-01", "S-3-ONCE")),
        (None, None, _ALL),
    ),
    "longer by terms, where only a one-time charge is scheduled": (
        lambda: change("S-3", longer()),
        _DONE,
    ),
}
"""Rows of the table: an order, and why it is refused while the schedule is Pending, Partially and FullyProcessed."""

REMOVED: Final[Rows] = {
    "remove": (lambda: change("S-1", removal("2024-07-01")), _DONE),
    "cancel": (lambda: change("S-1", cancellation("2024-07-01")), _DONE),
    "new quantity from the start": (lambda: change("S-1", priced("2024-01-01", quantity=20)), (None, _BEGUN, _BEGUN)),
    "new quantity from the middle": (
        lambda: change("S-1", priced("2024-07-01", quantity=20)),
        (_MIDDLE, _MIDDLE, _MIDDLE),
    ),
    "custom fields from the middle": (lambda: change("S-1", labelled("2024-07-01")), (None, None, _ALL)),
    "terms": (lambda: change("S-1", longer()), _DONE),
}
"""The same, before a removal on 2024-10-01 that an earlier order made."""

RENEWED: Final[dict[str, Callable[[], Json]]] = {
    "new price": lambda: change("S-1", priced("2025-01-01", listPrice=7)),
    "new quantity from the middle": lambda: change("S-1", priced("2025-07-01", quantity=20)),
    "custom fields": lambda: change("S-1", labelled("2025-01-01")),
    "custom fields of the rate plan": lambda: change(
        "S-1", action("UpdateProduct", "2025-01-01", ratePlanId="P-S-1-YEAR", customFields={"PO__c": "PO-002"})
    ),
    "longer by terms": lambda: change("S-1", longer("2026-07-01")),
    "suspend": lambda: change("S-1", suspension("2025-01-01")),
    "suspend and resume": lambda: change("S-1", suspension("2025-02-01"), resumption("2025-03-01")),
    "remove": lambda: change("S-1", removal("2025-02-01")),
}
"""Changes of days behind those that the schedule covers."""


def _cases(table: Rows) -> list[Any]:
    return [
        pytest.param(status, build, expected, id=f"{name}, {status}")
        for name, (build, outcomes) in table.items()
        for status, expected in zip(STATUSES, outcomes, strict=True)
    ]


def _agree(said: str | None, expected: str | None) -> bool:
    return said is None if expected is None else said is not None and expected in said


@pytest.mark.parametrize(("status", "build", "expected"), _cases(TABLE))
def test_actions_are_done_or_refused_by_the_schedule_s_status(
    shop: Shop, status: str, build: Callable[[], Json], expected: str | None
) -> None:
    shop.schedule(status)
    said = shop.said(build())
    assert _agree(said, expected), said


@pytest.mark.parametrize(("status", "build", "expected"), _cases(REMOVED))
def test_before_a_removal_to_come_the_same_can_be_done(
    shop: Shop, status: str, build: Callable[[], Json], expected: str | None
) -> None:
    shop.schedule(status)
    said = shop.said(change("S-1", removal("2024-10-01")), build())
    assert _agree(said, expected), said


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("build", RENEWED.values(), ids=RENEWED)
def test_a_renewed_term_that_the_schedule_does_not_cover_is_free(
    shop: Shop, status: str, build: Callable[[], Json]
) -> None:
    shop.schedule(status)
    assert shop.said(change("S-1", renewal()), build()) is None


def test_terms_can_follow_a_renewal_in_one_order(shop: Shop) -> None:
    shop.schedule("PartiallyProcessed")
    assert shop.said(change("S-1", renewal(), longer("2026-07-01"))) is None


def test_custom_fields_count_from_the_day_of_the_charge_s_own_update(shop: Shop) -> None:
    shop.schedule("FullyProcessed")
    asked = labelled("2025-01-01")
    (own,) = asked["updateProduct"]["chargeUpdates"]
    own["effectiveDate"] = {"triggerEvent": "SpecificDate", "specificTriggerDate": "2024-07-01"}
    assert _ALL in str(shop.said(change("S-1", renewal()), change("S-1", asked)))


@pytest.mark.parametrize("name", [name for name, (_, outcomes) in TABLE.items() if outcomes[2]])
def test_detached_charges_are_free(shop: Shop, name: str) -> None:
    shop.schedule("FullyProcessed", is_detached=True)
    assert shop.said(TABLE[name][0]()) is None


@pytest.mark.parametrize(("status", "expected"), [("Pending", None), ("PartiallyProcessed", _BEGUN)])
def test_a_paused_schedule_is_as_far_as_its_items(shop: Shop, status: str, expected: str | None) -> None:
    shop.schedule(status)
    shop.changes[0] = replace(shop.changes[0], rows=shop.changes[0].rows.with_columns(status=pl.lit("Paused")))
    said = shop.said(change("S-1", priced("2024-01-01", quantity=20)))
    assert _agree(said, expected), said


def test_the_refusal_names_field_charge_and_schedule(shop: Shop) -> None:
    shop.schedule("Pending")
    two = [{"chargeNumber": "S-1-YEAR", "pricing": {"recurringPerUnit": {"quantity": n}}} for n in (12, 20)]
    updates = [action("UpdateProduct", day, ratePlanId="P-S-1-YEAR", chargeUpdates=[u]) for u, day in zip(
        two, ("2024-01-01", "2024-07-01"), strict=True)]  # fmt: skip
    asked = change("S-1", *updates)
    assert shop.said(asked) == (
        "'subscriptions[0].orderActions[1].updateProduct.chargeUpdates[0]' would change S-1-YEAR on 2024-07-01, in the "
        "middle of what the invoice schedule IS-1 bills of it, which is from 2024-01-01 up to 2025-01-01."
    )


def test_commands_refuse_it_and_keep_nothing(book: Book, tmp_path: Path) -> None:
    stock(book, tmp_path, [account()], CATALOG)
    done(book, order(subscriptions=[entry("S-1", create_subscription(_plan("S-1", "YEAR")))]))
    shop = Shop(book)
    shop.schedule("Pending")
    book.commit(book.head(), Commit("schedules", shop.changes))
    before = book.head().digest
    asked, options = change("S-1", suspension("2024-07-01")), {"previewThruType": "TermEnd"}
    (created,), shown = made(book, asked), previewed(book, {**asked, "previewOptions": options})
    assert created == shown
    assert book.head().digest == before
    assert created["reasons"][0]["message"] == (
        "'subscriptions[0].orderActions[0].suspend' can't be done on 2024-07-01: the invoice schedule IS-1 bills "
        "S-1-YEAR up to 2025-01-01, and scheduled charges can't be suspended."
    )


def _without_once() -> dict[str, Json]:
    removed = [{"chargeNumber": "S-3-ONCE"}]
    return {
        "remove product": change("S-3", removal("2024-01-01", "S-3-ONCE")),
        "remove charge": change(
            "S-3", action("UpdateProduct", ratePlanId="P-S-3-ONCE", chargeRemovals=removed)
        ),
        "cancel": change("S-3", cancellation("2024-01-01")),
    }  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", _without_once())
def test_scheduled_one_time_charges_go_only_if_they_would_be_credited(shop: Shop, status: str, name: str) -> None:
    shop.schedule(status)
    asked = _without_once()[name]
    assert "the one-time charge S-3-ONCE, which the invoice schedule IS-2 bills" in str(shop.said(asked))
    shop.changes.append(_change("settings", [{"name": "credit_one_time", "value": "yes"}]))
    assert shop.said(asked) is None


def test_a_one_time_charge_is_covered_though_nothing_ends_behind_it(shop: Shop) -> None:
    shop.schedule("PartiallyProcessed")
    links = shop.changes[2].rows.with_columns(through_date="from_date")
    shop.changes[2] = replace(shop.changes[2], rows=links)
    asked = change("S-3", update("2024-01-01", "S-3-ONCE", pricing={"oneTimeFlatFee": {"listPrice": 7}}))
    assert "would change S-3-ONCE, but the invoice schedule IS-2 bills it" in str(shop.said(asked))


def test_a_one_time_charge_that_has_served_stays_when_its_subscription_ends(shop: Shop) -> None:
    shop.schedule("PartiallyProcessed")
    assert shop.said(change("S-3", cancellation("2024-07-01"))) is None


@pytest.mark.parametrize(("unbilled", "expected"), [("0", None), ("-100", _PARTED), ("0.01", _PARTED)])
def test_one_subscription_moves_alone_once_nothing_is_open(shop: Shop, unbilled: str, expected: str | None) -> None:
    shop.schedule("FullyProcessed", unbilled=unbilled)
    said = shop.said(moved("S-1"))
    assert _agree(said, expected), said


def test_items_to_come_keep_a_schedule_together_even_if_they_have_nothing_to_bill(shop: Shop) -> None:
    shop.schedule("PartiallyProcessed", unbilled="0")
    assert _PARTED in str(shop.said(moved("S-1")))


@pytest.mark.parametrize("status", ["Pending", "PartiallyProcessed"])
def test_subscriptions_of_a_schedule_move_to_one_account(shop: Shop, status: str) -> None:
    shop.schedule(status)
    apart = order(subscriptions=[entry("S-1", transfer()), entry("S-2", transfer("A-3"))])
    payer = action("OwnerTransfer", destinationInvoiceAccountNumber="A-2")
    assert shop.said(apart) == (
        "'subscriptions[0].orderActions[0].ownerTransfer' would part S-1 from S-2: the invoice schedule IS-1 bills its "
        "charge S-1-YEAR together with theirs, and not everything is billed yet."
    )
    assert _PARTED in str(shop.said(change("S-1", payer)))
    assert shop.said(order(subscriptions=[entry("S-1", payer), entry("S-2", payer)])) is None


def test_a_subscription_can_follow_the_others(shop: Shop) -> None:
    shop.schedule("PartiallyProcessed")
    rows = shop.book.read("subscriptions").filter(subscription_number="S-2").collect()
    gone = rows.with_columns(account_number=pl.lit("A-2"), invoice_owner_account_number=pl.lit(None, pl.String))
    shop.changes.append(Change("subscriptions", gone, replace=True))
    assert shop.said(moved("S-1")) is None
    assert "would part S-1 from S-2" in str(shop.said(moved("S-1", to="A-3")))


def test_two_orders_of_one_file_do_not_move_a_schedule_together(shop: Shop) -> None:
    shop.schedule("Pending")
    one, two = shop.refusals(moved("S-1"), moved("S-2"))
    assert _PARTED in str(one)
    assert "would part S-2 from S-1" in str(two)


def test_a_transfer_to_the_same_account_moves_nothing(shop: Shop) -> None:
    shop.schedule("Pending")
    assert shop.said(moved("S-1", to="A-1")) is None


@pytest.mark.parametrize("orders", [1, 2])
def test_what_an_order_has_just_taken_away_is_open(shop: Shop, orders: int) -> None:
    shop.schedule("FullyProcessed")
    file = [change("S-2", removal("2024-07-01", "S-2-YEAR")), moved("S-1")]
    if orders == 1:
        file = [order(subscriptions=[e for o in file for e in o["subscriptions"]])]
    assert _PARTED in str(shop.said(*file))


def test_what_changes_nothing_of_a_billed_schedule_leaves_it_settled(shop: Shop) -> None:
    shop.schedule("FullyProcessed")
    same = update("2024-07-01", "S-2-YEAR", pricing={"recurringPerUnit": {"quantity": 12}})
    assert shop.said(change("S-2", renewal()), change("S-2", same), moved("S-1")) is None


def test_in_a_book_without_schedules_nothing_is_watched(shop: Shop) -> None:
    register = Register(State.of(shop.book), Wanted(subscriptions=set(SOLD)))
    assert register.scheduled == Scheduled()
