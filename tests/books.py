"""Small whole books as plain dicts of rows, made to collide, and how they get into a real book.

Few values, each in several spellings: blank in three ways, capitals, blanks at the ends, `_`, quotes, accents.
Many days at the ends of months. An account's dates mostly fall on its bill cycle day. What parks an account is rare,
since the others say more.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from charges import (
    CUSTOM,
    CYCLE_DAYS,
    EARLY,
    PRICES,
    QUANTITIES,
    Draw,
    Rows,
    day,
    discount,
    one,
    rarely,
    segments,
    usage_of,
)
from hypothesis import strategies as st

from billfold.book import Book, Change, Commit
from billfold.grouping import InvoiceGroup
from billfold.intake import load
from billfold.requests import RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


TABLES: Final = ("accounts", "subscriptions", "rate_plan_charges", "usage", "order_line_items", "sequence_sets")
ACCOUNTS: Final = ("A", "a", "A_B", 'Zoë "7"', "O'Hara; --", "0012")
CONTACTS: Final = (None, None, "", " ", "Ray", "ray", " Ray ", "Ray_", "O'Brien", 'Łucja "Q"')
TERMS: Final = (None, None, "Net 30", "Due Upon Receipt", " Net 30")
NUMBERS: Final = (None, None, None, "", " ", "PO #1", "po #1", "  PO #1 ", "É_1", "é_1")
CURRENCIES: Final = ("EUR", "EUR", "JPY", "KWD", "CHF")
TARGETS: Final = (
    date(2023, 12, 31), date(2024, 1, 31), date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 31),
    date(2024, 4, 30), date(2024, 5, 15), date(2024, 6, 30),
)  # fmt: skip

TERMS_END: Final = ("2024-05-31", "2024-09-15", "2025-03-31")

CHARGE_FIELDS: Final = (
    ("Subscription", "Region__c"), ("Subscription", "Unit__c"), ("Subscription", "Code__c"),
    ("Subscription", "AccountId"), ("Subscription", "Name"), ("Subscription", "SoldToContactId"),
    ("Subscription", "TermType"), ("RatePlanCharge", "Region__c"), ("RatePlanCharge", "ChargeType"),
    ("RatePlanCharge", "ChargeModel"), ("RatePlanCharge", "BillingPeriod"), ("RatePlanCharge", "BillingCycleDay"),
    ("RatePlanCharge", "ProductRatePlanChargeId"),
)  # fmt: skip
ORDER_FIELDS: Final = (
    ("OrderLineItem", "Region__c"), ("OrderLineItem", "Unit__c"), ("OrderLineItem", "Code__c"),
    ("OrderLineItem", "ItemName"), ("OrderLineItem", "ItemNumber"), ("OrderLineItem", "ItemType"),
    ("OrderLineItem", "OrderId"), ("OrderLineItem", "SoldToContactId"),
)  # fmt: skip

_STANDING: Final[Mapping[str, Rows]] = {
    "accounts": {"account_number": "standing", "currency": "EUR"},
    "subscriptions": {
        "subscription_number": "standing", "account_number": "standing", "contract_effective_date": "2024-01-01",
        "Region__c": "A", "Unit__c": "B", "Code__c": "1",
    },
    "rate_plan_charges": {
        "charge_number": "standing", "segment": 1, "subscription_number": "standing", "charge_type": "Recurring",
        "charge_model": "FlatFee", "price": "5", "billing_period": "Month", "Region__c": "A",
    },
    "usage": {"usage_id": "standing", "account_number": "standing", "quantity": "1", "start_date": "2024-01-01"},
    "order_line_items": {
        "order_number": "standing", "item_number": "1", "account_number": "standing", "amount_per_unit": "1",
        "item_state": "SentToBilling", "bill_target_date": "2024-01-01", "Region__c": "A", "Unit__c": "B", "Code__c": 1,
    },
}  # fmt: skip
"""An account that every book has, so that no table is empty and every custom field exists."""


@st.composite
def books(draw: Draw, most: int = len(ACCOUNTS)) -> dict[str, Any]:
    """A whole book: rows by table, settings and grouping configurations."""
    count = draw(st.integers(2, most))
    registered = draw(st.booleans())
    book: dict[str, Any] = {table: [dict(_STANDING[table])] for table in TABLES if table in _STANDING}
    book["sequence_sets"] = _sequence_sets() if registered else []
    sets = (None, None, "", "DEFAULT", "S1", "S2") if registered else (None, None, " ", "S1", "s1")
    for number in ACCOUNTS[:count]:
        book["accounts"].append(_account(draw, number, sets))
    for account in book["accounts"][1:]:
        _fill(draw, book, account, sets)
    return book | _rules(draw, ACCOUNTS[:count])


def _sequence_sets() -> list[Rows]:
    return [{"name": "S1"}, {"name": "S2", "invoice_prefix": "X-", "invoice_start": 7, "credit_memo_prefix": "Y"}]


def _account(draw: Draw, number: str, sets: Sequence[str | None]) -> Rows:
    return {
        "account_number": number,
        "currency": one(draw, CURRENCIES),
        "bill_cycle_day": one(draw, CYCLE_DAYS),
        "status": one(draw, (*["Active"] * 9, "Draft")),
        "sold_to_contact": one(draw, CONTACTS),
        **_attributes(draw, sets),
    }


def _attributes(draw: Draw, sets: Sequence[str | None]) -> Rows:
    """Billing attributes, mostly the same ones, so that lines meet."""
    if draw(st.booleans()):
        return {}
    return {
        "bill_to_contact": one(draw, CONTACTS),
        "payment_term": one(draw, TERMS),
        "invoice_template": one(draw, (None, None, "T1")),
        "sequence_set": one(draw, sets),
        "communication_profile": one(draw, (None, None, "P1")),
    }


def _fill(draw: Draw, book: dict[str, Any], account: Rows, sets: Sequence[str | None]) -> None:
    for _ in range(one(draw, (0, 1, 1, 2))):
        subscription = _subscription(draw, book, account, sets)
        book["subscriptions"].append(subscription)
        for _ in range(one(draw, (1, 2, 2, 3))):
            book["rate_plan_charges"] += segments(draw, book, account, subscription)
        for _ in range(one(draw, (0, 0, 1, 2, 3))):
            book["rate_plan_charges"].append(discount(draw, book, account, subscription))
    for _ in range(one(draw, (0, 1, 2, 4))):
        book["usage"] += usage_of(draw, book, account)
    for _ in range(draw(st.integers(0, 3))):
        book["order_line_items"].append(_order_line(draw, book, account, sets))


def _carrier(draw: Draw, book: dict[str, Any], account: Rows, sets: Sequence[str | None]) -> Rows:
    """What subscriptions and order lines have in common."""
    owner = one(draw, (*[account] * 5, *book["accounts"][1:]))
    same = owner["currency"] == account["currency"]
    return {
        "account_number": account["account_number"],
        "invoice_owner_account_number": None if owner is account else owner["account_number"],
        "currency": one(draw, (*([None] * 4 if same else []), "", "EUR") if same else ("EUR", owner["currency"])),
        "sold_to_contact": one(draw, CONTACTS),
        "invoice_group_number": one(draw, NUMBERS),
        "Region__c": one(draw, CUSTOM),
        "Unit__c": one(draw, CUSTOM),
        **_attributes(draw, sets),
    }


def _subscription(draw: Draw, book: dict[str, Any], account: Rows, sets: Sequence[str | None]) -> Rows:
    status = one(draw, (*["Active"] * 7, "Cancelled", "Draft", "Expired", "Suspended"))
    contract = day(draw, account, months=EARLY)
    return {
        **_carrier(draw, book, account, sets),
        "subscription_number": f"S-{len(book['subscriptions'])}",
        "Code__c": one(draw, (None, "1", "2")),
        "status": status,
        "term_type": one(draw, (None, "TERMED", "EVERGREEN")),
        "contract_effective_date": contract,
        "service_activation_date": rarely(draw, day(draw, account)),
        "customer_acceptance_date": rarely(draw, day(draw, account)),
        "subscription_start_date": rarely(draw, day(draw, account)),
        "term_start_date": rarely(draw, day(draw, account)),
        "term_end_date": one(draw, (None, None, day(draw, account), *TERMS_END)),
        "cancelled_date": day(draw, account) if status == "Cancelled" else None,
        "invoice_separately": rarely(draw, value=True),
    }


def _order_line(draw: Draw, book: dict[str, Any], account: Rows, sets: Sequence[str | None]) -> Rows:
    listed = draw(st.booleans())
    priced = (
        {"list_price_per_unit": one(draw, PRICES), **one(draw, _DISCOUNTS)}
        if listed
        else {"amount_per_unit": one(draw, PRICES)}
    )
    return {
        **_carrier(draw, book, account, sets),
        **priced,
        "order_number": one(draw, ("O1", "O2", "o_1")),
        "item_number": str(len(book["order_line_items"])),
        "item_name": one(draw, (None, "Bolt", "bolt", " ")),
        "item_type": one(draw, (None, "Fee")),
        "item_category": one(draw, (None, None, None, "Return")),
        "item_state": one(draw, (*["SentToBilling"] * 6, "Executing", "Booked", "Complete", "Canceled")),
        "quantity": one(draw, (None, *QUANTITIES, "-1")),
        "bill_target_date": day(draw, account),
        "transaction_date": rarely(draw, day(draw, account)),
        "Code__c": one(draw, (None, 1, 2)),
    }


_DISCOUNTS: Final[Sequence[Rows]] = (
    {},
    {"discount_type": "Percentage", "discount": "12.5"},
    {"discount_type": "FixedAmount", "discount": "0.005"},
    {"discount_type": "None", "discount": "7"},
)


def _rules(draw: Draw, accounts: Sequence[str]) -> dict[str, Any]:
    default, own = draw(st.none() | groupings("Default")), draw(st.none() | groupings("Own (1)"))
    owners = draw(st.sets(st.sampled_from(accounts), min_size=1)) if own else set()
    choices = {
        "ungrouped": ("auto", "auto", "separate", "pooled"),
        "consolidate_invoices": ("yes", "yes", "no"),
        "document_type_rule": ("net", "net", "net_by_charge", "negative_charges", "negative_and_zero_credits"),
        "rounding_mode": ("half_up", "half_up", "up", "down"),
        "month_basis": ("actual", "actual_360", "strict_30_360"),
        "long_period_proration": ("month_first", "by_day"),
        "rounding_increment.CHF": ("0.01", "0.05"),
        "rounding_increment.JPY": ("1", "1", "10"),
        "uom_decimals.GB": ("0", "2", "9"),
        "uom_rounding.GB": ("up", "down"),
        "usage_without_records": ("bill", "bill", "skip"),
        "credit_basis": ("used_part", "unused_part"),
        "credit_one_time": ("no", "yes"),
    }
    return {
        "settings": {name: one(draw, values) for name, values in choices.items()},
        "default_grouping": default,
        "own_groupings": [{**own, "accounts": sorted(owners)}] if own else [],
    }


@st.composite
def groupings(draw: Draw, name: str) -> dict[str, Any]:
    """A grouping configuration with at least one field on one side."""
    charges = draw(st.lists(st.sampled_from(CHARGE_FIELDS), max_size=2, unique=True))
    orders = draw(st.lists(st.sampled_from(ORDER_FIELDS), min_size=0 if charges else 1, max_size=2, unique=True))
    sides = {"subscriptionGroup": charges, "orderLineItemGroup": orders}
    meta = {side: [{"objectType": o, "field": f} for o, f in fields] for side, fields in sides.items() if fields}
    return {"name": name, "meta": meta}


# --- into a real book -------------------------------------------------------------------------------------------


class Shelf:
    """Real books from plain ones: copies of one empty book, since making one takes longest."""

    def __init__(self, folder: Path) -> None:
        """Make the empty book."""
        self._empty = folder / "empty"
        Book.create(self._empty).close()

    @contextmanager
    def holding(self, rows: Mapping[str, Any], *loads: Sequence[str]) -> Iterator[Book]:
        """A book with everything of `rows`, its tables loaded all at once or in the given order."""
        tables = {**rows, "accounts": _with_groupings(rows)}
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "book"
            shutil.copytree(self._empty, folder)
            with Book(folder) as book:
                _store_rules(book, rows)
                for number, names in enumerate(loads or (TABLES,)):
                    _load(book, Path(scratch) / f"load {number}", {t: tables.get(t, ()) for t in names})
                yield book


def load_more(book: Book, tables: Mapping[str, Sequence[Rows]]) -> None:
    """Load further or changed rows into a book."""
    with tempfile.TemporaryDirectory() as scratch:
        _load(book, Path(scratch) / "more", tables)


def _load(book: Book, folder: Path, tables: Mapping[str, Sequence[Rows]]) -> None:
    folder.mkdir()
    for table, rows in tables.items():
        if rows:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{table}.jsonl").write_text(text, encoding="utf-8")
    if any(tables.values()):
        load(book, [str(folder)])


def _store_rules(book: Book, rows: Mapping[str, Any]) -> None:
    """Settings and configurations in one commit; their own commands have tests of their own and take longer."""
    stored = pl.DataFrame(list(rows.get("settings", {}).items()), schema=["name", "value"], orient="row")
    groups = [_group_row(g, f"IG-{n}", n) for n, g in enumerate(_configurations(rows)) if g]
    changes = [Change("settings", stored.cast(pl.String)), Change("invoice_groups", pl.DataFrame(groups))]
    book.commit(book.head(), Commit("rules", changes))


def _configurations(rows: Mapping[str, Any]) -> list[Any]:
    return [rows.get("default_grouping"), *rows.get("own_groupings", ())]


def _group_row(configuration: Rows, number: str, place: int) -> Rows:
    """A row of `invoice_groups`; the first place is the default configuration's."""
    asked_for = {k: configuration[k] for k in ("name", "meta")}
    meta = InvoiceGroup.model_validate_json(json.dumps(asked_for)).meta.canonical()
    return {"number": number, "name": configuration["name"], "is_default": place == 0, "meta": meta}


def _with_groupings(rows: Mapping[str, Any]) -> list[Rows]:
    """Accounts with the number of their own configuration."""
    own = {a: f"IG-{n}" for n, g in enumerate(_configurations(rows)) if n for a in g["accounts"]}
    return [{**a, "invoice_group": own.get(a["account_number"])} for a in rows.get("accounts", ())]


def asked(target: date, **more: Any) -> RunRequest:  # noqa: ANN401 - any field of a request
    """A run request; the invoice date is the target date."""
    return RunRequest(target_date=target, invoice_date=target, **more)
