"""What a charge or order line owes, and from when: readable examples of periods, triggers, ends and targets.

All examples live in one book, each as an account of its own, and are billed account by account from it.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl
import pytest
from books import Shelf, asked, load_more
from hypothesis import given, settings
from hypothesis import strategies as st

from billfold.errors import InputError
from billfold.periods import anchor_month, boundary, period_of
from billfold.run import bill, preview

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from billfold.book import Book

Days: TypeAlias = list[tuple[str, str]]
Rows: TypeAlias = dict[str, Any]

Billed = Callable[..., Days]
"""`billed(example, target)`: first and last days of service of the items that a run up to the target makes."""


# --- the examples -----------------------------------------------------------------------------------------------


def monthly(**charge: Any) -> Rows:  # noqa: ANN401 - any column
    """A recurring flat fee of 10 a month from 1 January 2024 on, changed as given."""
    of_account: Rows = {k: charge.pop(k) for k in ("account", "subscription") if k in charge}
    row = {"charge_type": "Recurring", "charge_model": "FlatFee", "price": "10", "billing_period": "Month"}
    return {**of_account, "charges": [{**row, "effective_start_date": "2024-01-01", **charge}]}


def quarterly(**charge: Any) -> Rows:  # noqa: ANN401 - any column
    return monthly(billing_period="Quarter", **charge)


def once(**charge: Any) -> Rows:  # noqa: ANN401 - any column
    return monthly(**{"charge_type": "OneTime", "billing_period": None, **charge})


def sold(**line: Any) -> Rows:  # noqa: ANN401 - any column
    """An order line of 10, to be billed from 15 January 2024 on."""
    sent = {"item_state": "SentToBilling", "amount_per_unit": "10", "bill_target_date": "2024-01-15"}
    return {"order_line": {**sent, **line}}


TRIGGER: Final = {"bill_cycle_type": "ChargeTriggerDay"}
EVENTS: Final = {
    "contract_effective_date": "2024-01-01",
    "service_activation_date": "2024-02-01",
    "customer_acceptance_date": "2024-03-01",
}
ACME: Final = {"subscription": {"subscription_start_date": "2018-02-06", "term_start_date": "2018-04-10"}}

EXAMPLES: Final[dict[str, Rows]] = {
    "month": monthly(),
    "arrears": monthly(billing_timing="IN_ARREARS"),
    "quarter": quarterly(),
    "quarter in arrears": quarterly(billing_timing="IN_ARREARS"),
    "from 31 January": monthly(effective_start_date="2023-01-31", **TRIGGER),
    "from 29 February": monthly(effective_start_date="2024-02-29", billing_period="Annual", **TRIGGER),
    "from 30 January": monthly(effective_start_date="2024-01-30", **TRIGGER),
    "month ends": monthly(account={"bill_cycle_day": 31}, effective_start_date="2023-11-30"),
    "month ends by charge": monthly(
        bill_cycle_type="SpecificDayofMonth", bill_cycle_day=31, effective_start_date="2024-02-29"
    ),
    "subscription start day": monthly(
        subscription={"subscription_start_date": "2023-12-17"}, bill_cycle_type="SubscriptionStartDay",
        effective_start_date="2024-01-17",
    ),
    "account day": monthly(account={"bill_cycle_day": 15}, effective_start_date="2024-01-15"),
    "account day, off": monthly(account={"bill_cycle_day": 15}),
    "every two months": monthly(billing_period="Specific_Months", specific_billing_period=2),
    "76 months": monthly(effective_start_date="2017-03-01"),
    "to charge": quarterly(effective_start_date="2023-11-01"),
    "to charge, cut": quarterly(effective_start_date="2023-10-20"),
    "to subscription": quarterly(
        subscription={"subscription_start_date": "2011-06-15"}, effective_start_date="2011-10-01",
        billing_period_alignment="AlignToSubscriptionStart",
    ),
    "to subscription, cut": quarterly(
        subscription={"subscription_start_date": "2011-06-15"}, effective_start_date="2011-10-20",
        billing_period_alignment="AlignToSubscriptionStart",
    ),
    "to term, before it": quarterly(
        subscription={"subscription_start_date": "2018-01-01", "term_start_date": "2018-11-01"},
        bill_cycle_type="SubscriptionStartDay", billing_period_alignment="AlignToTermStart",
        effective_start_date="2018-02-01",
    ),
    "to term, community case": quarterly(
        **ACME, account={"bill_cycle_day": 6}, billing_period_alignment="AlignToTermStart",
        effective_start_date="2018-05-06",
    ),
    "to term, community case, cut": quarterly(
        **ACME, account={"bill_cycle_day": 6}, billing_period_alignment="AlignToTermStart",
        effective_start_date="2018-03-06",
    ),
    "ends": monthly(effective_end_date="2024-03-01"),
    "ends within a month": monthly(effective_end_date="2024-02-16"),
    "ends within a month in arrears": monthly(effective_end_date="2024-02-16", billing_timing="IN_ARREARS"),
    "canceled": monthly(subscription={"status": "Cancelled", "cancelled_date": "2024-03-01"}),
    "canceled at once": monthly(subscription={"status": "Cancelled", "cancelled_date": "2024-01-01"}),
    "term ends": monthly(subscription={"term_type": "TERMED", "term_end_date": "2024-03-01"}),
    "evergreen": monthly(subscription={"term_type": "EVERGREEN", "term_end_date": "2024-03-01"}),
    "draft": monthly(subscription={"status": "Draft"}),
    "expired": monthly(subscription={"status": "Expired"}),
    "inactive account": monthly(account={"status": "Canceled"}),
    "charged before": monthly(charged_through_date="2024-03-01"),
    "contract": monthly(subscription=EVENTS, effective_start_date=None),
    "activation": monthly(subscription=EVENTS, effective_start_date=None, trigger_event="ServiceActivation"),
    "acceptance": monthly(subscription=EVENTS, effective_start_date=None, trigger_event="CustomerAcceptance"),
    "acceptance by activation": monthly(
        subscription={**EVENTS, "customer_acceptance_date": None}, effective_start_date=None,
        trigger_event="CustomerAcceptance",
    ),
    "no date yet": monthly(subscription=EVENTS, effective_start_date=None, trigger_event="SpecificDate"),
    "once": once(effective_start_date="2024-01-15"),
    "once, canceled that day": once(
        effective_start_date="2024-01-15", subscription={"status": "Cancelled", "cancelled_date": "2024-01-15"}
    ),
    "once, canceled a day later": once(
        effective_start_date="2024-01-15", subscription={"status": "Cancelled", "cancelled_date": "2024-01-16"}
    ),
    "flat usage": monthly(charge_type="Usage"),
    "per unit": monthly(charge_model="PerUnit", quantity="2.5", price="0.33"),
    "per month": quarterly(list_price_base="Per_Month", price="100"),
    "per period": quarterly(price="100"),
    "tiers": monthly(charge_model="DiscountFixedAmount"),
    "order line": sold(),
    "order line, list price": sold(
        amount_per_unit=None, list_price_per_unit="80", discount_type="Percentage", discount="12.5", quantity="3"
    ),
    "order line, price and discount": sold(amount_per_unit="7", list_price_per_unit="9", discount="1", quantity="0"),
    "order line, booked": sold(item_state="Booked"),
    "order line with dates": sold(transaction_start_date="2023-12-01", transaction_end_date="2023-12-31"),
    "order line with a date": sold(transaction_date="2023-12-24"),
}  # fmt: skip


def segments() -> Rows:
    """A charge triggered on the 1st whose price changes on 15 February: the change keeps the first segment's day."""
    (first,) = monthly(**TRIGGER)["charges"]
    change = {"segment": 2, "effective_start_date": "2024-02-15", "price": "20"}
    return {"charges": [{**first, "effective_end_date": "2024-02-15"}, {**first, **change}]}


def aligned_segments() -> Rows:
    """The same with a change on 1 February, so that no period is cut."""
    (first,) = monthly(**TRIGGER)["charges"]
    change = {"segment": 2, "effective_start_date": "2024-02-01", "price": "20"}
    return {"charges": [{**first, "effective_end_date": "2024-02-01"}, {**first, **change}]}


EXAMPLES["segments"] = segments()
EXAMPLES["aligned segments"] = aligned_segments()


def tables(examples: Mapping[str, Rows]) -> dict[str, list[Rows]]:
    """Examples as rows of a book's tables."""
    book: dict[str, list[Rows]] = {
        t: [] for t in ("accounts", "subscriptions", "rate_plan_charges", "order_line_items")
    }
    for name, example in examples.items():
        book["accounts"].append({"account_number": name, "currency": "EUR", **example.get("account", {})})
        subscription = {"contract_effective_date": "2024-01-01", **example.get("subscription", {})}
        book["subscriptions"].append({"subscription_number": name, "account_number": name, **subscription})
        for charge in example.get("charges", ()):
            book["rate_plan_charges"].append(
                {"charge_number": name, "segment": 1, "subscription_number": name, **charge}
            )
        for line in [example["order_line"]] if "order_line" in example else []:
            book["order_line_items"].append({"order_number": name, "item_number": "1", "account_number": name, **line})
    return book


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    with Shelf(tmp_path_factory.mktemp("shelf")).holding(tables(EXAMPLES)) as book:
        yield book


@pytest.fixture(scope="module")
def items(book: Book) -> Callable[[date], pl.DataFrame]:
    @cache
    def at(target: date) -> pl.DataFrame:
        return preview(book, asked(target)).documents.invoice_items

    return at


@pytest.fixture(scope="module")
def parked(book: Book) -> Callable[[date], dict[str, str]]:
    @cache
    def at(target: date) -> dict[str, str]:
        rows = preview(book, asked(target)).documents.parked_accounts
        return dict(rows.select("account_number", "reason").iter_rows())

    return at


@pytest.fixture(scope="module")
def billed(items: Callable[[date], pl.DataFrame]) -> Billed:
    def days(example: str, target: str) -> Days:
        assert example in EXAMPLES
        rows = items(date.fromisoformat(target)).filter(account_number=example)
        return [(str(a), str(b)) for a, b in rows.select("service_start_date", "service_end_date").iter_rows()]

    return days


@pytest.fixture(scope="module")
def starts(billed: Billed) -> Callable[[str, str], list[str]]:
    return lambda example, target: [first for first, _ in billed(example, target)]


JANUARY: Final = ("2024-01-01", "2024-01-31")
FEBRUARY: Final = ("2024-02-01", "2024-02-29")
MARCH: Final = ("2024-03-01", "2024-03-31")
FIRST_QUARTER: Final = ("2024-01-01", "2024-03-31")
SECOND_QUARTER: Final = ("2024-04-01", "2024-06-30")


# --- when it is due ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "target", "expected"),
    [
        ("month", "2023-12-31", []),
        ("month", "2024-01-01", [JANUARY]),
        ("month", "2024-01-31", [JANUARY]),
        ("month", "2024-02-01", [JANUARY, FEBRUARY]),
        ("arrears", "2024-01-31", []),
        ("arrears", "2024-02-01", [JANUARY]),
        ("arrears", "2024-02-29", [JANUARY]),
        ("arrears", "2024-03-01", [JANUARY, FEBRUARY]),
        ("quarter", "2024-03-31", [FIRST_QUARTER]),
        ("quarter", "2024-04-01", [FIRST_QUARTER, SECOND_QUARTER]),
        ("quarter in arrears", "2024-03-31", []),
        ("quarter in arrears", "2024-04-01", [FIRST_QUARTER]),
        ("flat usage", "2024-01-31", []),
        ("flat usage", "2024-02-01", [JANUARY]),
    ],
)
def test_a_period_is_due_at_its_start_or_in_arrears_at_its_end(
    billed: Billed, example: str, target: str, expected: Days
) -> None:
    assert billed(example, target) == expected


def test_every_open_period_is_billed_on_one_invoice(book: Book) -> None:
    made = preview(book, asked(date(2023, 6, 30), accounts=("76 months",))).documents
    assert made.invoices["item_count"].to_list() == [76]
    assert made.invoices["amount"].to_list() == [Decimal(760)]
    days = made.invoice_items.select("service_start_date", "service_end_date").sort("service_start_date").rows()
    assert days[0] == (date(2017, 3, 1), date(2017, 3, 31))
    assert days[-1] == (date(2023, 6, 1), date(2023, 6, 30))
    assert all(following[0] == day[1] + timedelta(days=1) for day, following in pairwise(days))


def test_what_was_billed_elsewhere_is_not_billed_again(billed: Billed) -> None:
    assert billed("charged before", "2024-02-29") == []
    assert billed("charged before", "2024-03-31") == [MARCH]


@pytest.mark.parametrize(
    ("example", "day_before", "day", "service"),
    [
        ("once", "2024-01-14", "2024-01-15", ("2024-01-15", "2024-01-15")),
        ("order line", "2024-01-14", "2024-01-15", ("2024-01-15", "2024-01-15")),
        ("order line with a date", "2024-01-14", "2024-01-15", ("2023-12-24", "2023-12-24")),
        ("order line with dates", "2024-01-14", "2024-01-15", ("2023-12-01", "2023-12-31")),
    ],
)
def test_what_is_owed_once_is_due_on_its_day_and_never_again(
    billed: Billed, example: str, day_before: str, day: str, service: tuple[str, str]
) -> None:
    assert billed(example, day_before) == []
    assert billed(example, day) == [service]
    assert billed(example, "2024-04-01") == [service]


def test_an_order_line_that_was_not_sent_to_billing_is_not_billed(billed: Billed) -> None:
    assert billed("order line, booked", "2024-04-01") == []


# --- the grid ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "target", "expected"),
    [
        ("from 31 January", "2023-06-30", "2023-01-31 2023-02-28 2023-03-31 2023-04-30 2023-05-31 2023-06-30"),
        ("from 30 January", "2024-04-01", "2024-01-30 2024-02-29 2024-03-30"),
        ("from 29 February", "2028-02-29", "2024-02-29 2025-02-28 2026-02-28 2027-02-28 2028-02-29"),
        ("from 29 February", "2028-02-28", "2024-02-29 2025-02-28 2026-02-28 2027-02-28"),
        ("month ends", "2024-03-31", "2023-11-30 2023-12-31 2024-01-31 2024-02-29 2024-03-31"),
        ("month ends by charge", "2024-04-30", "2024-02-29 2024-03-31 2024-04-30"),
        ("subscription start day", "2024-03-31", "2024-01-17 2024-02-17 2024-03-17"),
        ("account day", "2024-03-01", "2024-01-15 2024-02-15"),
        ("account day", "2024-03-15", "2024-01-15 2024-02-15 2024-03-15"),
        ("every two months", "2024-04-30", "2024-01-01 2024-03-01"),
        ("to charge", "2024-04-30", "2023-11-01 2024-02-01"),
        ("to subscription", "2012-01-01", "2011-10-01 2012-01-01"),
        ("to term, before it", "2018-08-06", "2018-02-01 2018-05-01 2018-08-01"),
        ("to term, community case", "2018-08-06", "2018-05-06 2018-08-06"),
    ],
)
def test_periods_are_counted_from_the_first_cycle_day_on_or_after_the_base_date(
    starts: Callable[[str, str], list[str]], example: str, target: str, expected: str
) -> None:
    assert starts(example, target) == expected.split()


def test_a_period_ends_the_day_before_the_next_begins(billed: Billed) -> None:
    found = billed("month ends", "2024-03-01")
    assert found == [
        ("2023-11-30", "2023-12-30"),
        ("2023-12-31", "2024-01-30"),
        ("2024-01-31", "2024-02-28"),
        ("2024-02-29", "2024-03-30"),
    ]


def test_later_segments_keep_the_cycle_day_of_the_first(items: Callable[[date], pl.DataFrame], billed: Billed) -> None:
    """With a day of its own, the 15th, the second segment would have begun a whole period."""
    amounts = items(date(2024, 3, 31)).filter(account_number="aligned segments")["amount"].to_list()
    assert amounts == [Decimal(10), Decimal(20), Decimal(20)]
    cut = [days for days in billed("segments", "2024-03-31") if "-15" in days[0] or "-14" in days[1]]
    assert len(cut) == 2
    assert cut[0][1][:7] == cut[1][0][:7]


@pytest.mark.parametrize(
    ("example", "target", "part"),
    [
        ("account day, off", date(2024, 1, 1), ("2024-01-01", "2024-01-14")),
        ("to charge, cut", date(2024, 1, 1), ("2023-10-20", "2023-10-31")),
        ("to subscription, cut", date(2012, 1, 1), ("2011-10-20", "2011-12-31")),
        ("to term, community case, cut", date(2018, 8, 6), ("2018-03-06", "2018-05-05")),
        ("ends within a month", date(2024, 2, 1), ("2024-02-01", "2024-02-15")),
        ("ends within a month in arrears", date(2024, 2, 16), ("2024-02-01", "2024-02-15")),
    ],
)
def test_a_part_of_a_period_is_billed_under_a_name_that_says_so(
    items: Callable[[date], pl.DataFrame], example: str, target: date, part: tuple[str, str]
) -> None:
    names = {
        (str(first), str(last)): name
        for first, last, name in items(target)
        .filter(account_number=example)
        .select("service_start_date", "service_end_date", "charge_name")
        .iter_rows()
    }
    assert names[part].endswith(" Proration")
    assert [days for days, name in names.items() if name.endswith("Proration")] == [part]


@pytest.mark.parametrize(
    ("example", "target"),
    [("ends within a month", "2024-01-31"), ("ends within a month in arrears", "2024-02-15")],
)
def test_a_part_of_a_period_that_is_not_due_parks_nobody(
    billed: Billed, parked: Callable[[date], dict[str, str]], example: str, target: str
) -> None:
    assert example not in parked(date.fromisoformat(target))
    assert billed(example, target) == [JANUARY]


# --- when it begins and ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ("contract", [JANUARY, FEBRUARY, MARCH]),
        ("activation", [FEBRUARY, MARCH]),
        ("acceptance", [MARCH]),
        ("acceptance by activation", [FEBRUARY, MARCH]),
        ("no date yet", []),
    ],
)
def test_a_charge_begins_with_its_event(
    billed: Billed, parked: Callable[[date], dict[str, str]], example: str, expected: Days
) -> None:
    assert billed(example, "2024-03-31") == expected
    assert example not in parked(date(2024, 3, 31))


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ("ends", [JANUARY, FEBRUARY]),
        ("canceled", [JANUARY, FEBRUARY]),
        ("canceled at once", []),
        ("term ends", [JANUARY, FEBRUARY]),
        ("evergreen", [JANUARY, FEBRUARY, MARCH]),
        ("once, canceled that day", []),
        ("once, canceled a day later", [("2024-01-15", "2024-01-15")]),
        ("draft", []),
        ("expired", []),
        ("inactive account", []),
    ],
)
def test_ends_are_exclusive_and_nothing_is_billed_after_them(
    billed: Billed, parked: Callable[[date], dict[str, str]], example: str, expected: Days
) -> None:
    assert billed(example, "2024-03-31") == expected
    assert example not in parked(date(2024, 3, 31))


# --- how much ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "quantity", "unit_price", "amount"),
    [
        ("month", "1", "10", "10"),
        ("per unit", "2.5", "0.33", "0.83"),
        ("per period", "1", "100", "100"),
        ("per month", "1", "300", "300"),
        ("order line, list price", "3", "70", "210"),
        ("order line, price and discount", "0", "7", "0"),
    ],
)
def test_an_amount_is_quantity_times_price_rounded_once(
    items: Callable[[date], pl.DataFrame], example: str, quantity: str, unit_price: str, amount: str
) -> None:
    first = items(date(2024, 1, 31)).filter(account_number=example).row(0, named=True)
    assert (first["quantity"], first["unit_price"]) == (Decimal(quantity), Decimal(unit_price))
    assert first["amount"] == Decimal(amount)


def test_a_charge_model_that_is_not_rated_yet_parks_its_account_alone(
    billed: Billed, parked: Callable[[date], dict[str, str]]
) -> None:
    assert "not rated yet" in parked(date(2024, 1, 31))["tiers"]
    assert billed("tiers", "2024-01-31") == []
    assert billed("month", "2024-01-31") == [JANUARY]


# --- data that one account has, and all would suffer from -------------------------------------------------------


HUGE: Final = "9999999999999999999"
TOO_LARGE: Final = {
    "rounds too far": {"account": {"currency": "JPY"}, **sold(amount_per_unit="99999999999999.6")},
    "months times price": monthly(price=HUGE, billing_period="Five_Years", list_price_base="Per_Month"),
    "quantity times price": sold(amount_per_unit=HUGE, quantity=HUGE),
    "list price times discount": sold(
        amount_per_unit=None, list_price_per_unit=HUGE, discount_type="Percentage", discount=f"-{HUGE}"
    ),
    "both just below the limit": sold(
        amount_per_unit=None,
        list_price_per_unit="99999999999999",
        discount_type="Percentage",
        discount="99999999999999",
    ),
}


def test_an_amount_that_does_not_fit_parks_its_account_alone(tmp_path: Path) -> None:
    with Shelf(tmp_path).holding(tables({"month": EXAMPLES["month"], **TOO_LARGE})) as book:
        made = preview(book, asked(date(2024, 1, 31))).documents
    assert set(made.parked_accounts["account_number"]) == set(TOO_LARGE)
    assert made.invoices["account_number"].to_list() == ["month"]


@pytest.mark.parametrize(
    ("end", "name", "amount"),
    [("2024-01-16", "month Proration Credit", "-16"), ("2024-01-01", "month Credit", "-31")],
    ids=["in the month", "at its very start"],
)
def test_what_was_billed_elsewhere_beyond_the_end_is_credited(tmp_path: Path, end: str, name: str, amount: str) -> None:
    """No item of this book says what was billed there, so the price says it."""
    charge = {**EXAMPLES["month"]["charges"][0], "price": "31", "charge_name": "month"}
    ended = {"charges": [{**charge, "effective_end_date": end, "charged_through_date": "2024-02-01"}]}
    paid = {"charges": [{**charge, "charged_through_date": "2024-02-01"}]}
    with Shelf(tmp_path).holding(tables({"ended": ended, "paid": paid})) as book:
        made = preview(book, asked(date(2024, 1, 31))).documents
    credit = made.credit_memo_items.row(0, named=True)
    assert made.credit_memos["account_number"].to_list() == ["ended"]
    assert (credit["charge_name"], credit["amount"]) == (name, -Decimal(amount))
    assert (credit["service_start_date"], credit["service_end_date"]) == (date.fromisoformat(end), date(2024, 1, 31))
    assert made.invoices.is_empty()


def test_a_credit_after_a_change_of_the_invoice_owner_goes_to_the_new_one(tmp_path: Path) -> None:
    """The vendor's owner-transfer-later-credit: half a year of 1,200, and the item of the old owner is named."""
    rows = tables({"A-002": monthly(price="1200", billing_period="Annual", effective_start_date="2021-01-01")})
    rows["accounts"].append({**rows["accounts"][0], "account_number": "A-001"})
    (subscription,) = rows["subscriptions"]
    (charge,) = rows["rate_plan_charges"]
    subscription["invoice_owner_account_number"] = "A-001"
    with Shelf(tmp_path).holding(rows) as book:
        first = bill(book, asked(date(2021, 1, 1)), post=True).documents
        subscription["invoice_owner_account_number"] = "A-002"
        changed = {
            "subscriptions": [subscription],
            "rate_plan_charges": [{**charge, "effective_end_date": "2021-07-01"}],
        }
        load_more(book, changed)
        second = bill(book, asked(date(2021, 7, 1))).documents
    assert first.invoices["account_number"].to_list() == ["A-001"]
    assert second.credit_memos.select("account_number", "amount").rows() == [("A-002", Decimal(600))]
    assert second.credit_memo_items["applied_to_item_id"].to_list() == first.invoice_items["invoice_item_id"].to_list()


def test_a_period_of_absurd_length_is_refused_or_parks_its_account_alone(tmp_path: Path) -> None:
    absurd = monthly(billing_period="Specific_Months", specific_billing_period=3_000_000_000)
    examples = {"month": EXAMPLES["month"], "absurd": absurd}
    refused: pl.DataFrame | None = None
    try:
        with Shelf(tmp_path).holding(tables(examples)) as book:
            made = preview(book, asked(date(2024, 1, 31))).documents
    except InputError as e:
        refused = e.failures
    if refused is not None:
        assert refused["column"].to_list() == ["specific_billing_period"]
        return
    assert made.parked_accounts["account_number"].to_list() == ["absurd"]
    assert made.invoices["account_number"].to_list() == ["month"]


# --- periods, by themselves -------------------------------------------------------------------------------------

days = st.dates(date(1999, 1, 1), date(2032, 12, 31)) | st.sampled_from(
    [date(2024, 2, 29), date(2023, 2, 28), date(2000, 2, 29), date(2024, 12, 31), date(2024, 1, 31), date(2024, 3, 1)]
)


def on(month: int, day: int) -> date:
    """Slowly: the day of a month, or its last."""
    year, index = divmod(month, 12)
    return date(year, index + 1, min(day, calendar.monthrange(year, index + 1)[1]))


def grid(base: date, day: date, cycle_day: int, length: int) -> dict[str, Any]:
    """What the expressions say about one date on one grid."""
    frame = pl.DataFrame({"base": [base], "date": [day], "day": [cycle_day], "length": [length]})
    anchored = frame.with_columns(anchor=anchor_month(pl.col("base"), pl.col("day")))
    numbered = anchored.with_columns(n=period_of(pl.col("date"), pl.col("anchor"), pl.col("day"), pl.col("length")))
    first = pl.col("anchor") + pl.col("n") * pl.col("length")
    shown = numbered.select(
        "anchor", "n",
        anchored=boundary(pl.col("anchor"), pl.col("day")),
        start=boundary(first, pl.col("day")),
        end=boundary(first + pl.col("length"), pl.col("day")),
    )  # fmt: skip
    return shown.row(0, named=True)


@settings(deadline=None, max_examples=150)
@given(base=days, day=days, cycle_day=st.integers(1, 31), length=st.sampled_from([1, 2, 3, 6, 12, 18, 24, 36, 60]))
def test_every_day_is_in_exactly_one_period_of_a_grid(base: date, day: date, cycle_day: int, length: int) -> None:
    found = grid(base, day, cycle_day, length)
    first = found["anchor"] + found["n"] * length
    assert found["start"] == on(first, cycle_day)
    assert found["end"] == on(first + length, cycle_day)
    assert found["start"] <= day < found["end"]


@settings(deadline=None, max_examples=100)
@given(base=days, cycle_day=st.integers(1, 31))
def test_the_anchor_is_the_first_cycle_day_on_or_after_the_base(base: date, cycle_day: int) -> None:
    anchor = grid(base, base, cycle_day, 1)["anchored"]
    candidate = base
    while candidate.day != min(cycle_day, calendar.monthrange(candidate.year, candidate.month)[1]):
        candidate += timedelta(days=1)
    assert anchor == candidate
