"""A small book with a document of every kind, and what its PDF files say."""

from __future__ import annotations

from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from inputs import write_rows
from pypdf import PdfReader

from billfold import Book
from billfold.intake import load
from billfold.requests import RunRequest
from billfold.run import bill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MARKUP: Final = '#panic() *bold* $x$ _it_ \\ [x] @ref <lab> "q" // no `raw` = head'
LONG: Final = "A service that goes on and on, for the whole of the north-western region, with three years of support. "
UNBROKEN: Final = "L" + "o" * 150 + "ng"
MANY: Final = 90


def _charge(number: str, subscription: str, **changes: object) -> dict[str, Any]:
    flat = {"charge_type": "Recurring", "charge_model": "FlatFee", "billing_period": "Month"}
    return {"charge_number": number, "segment": 1, "subscription_number": subscription, **flat, **changes}


def _subscription(number: str, account: str, **changes: object) -> dict[str, Any]:
    row = {"subscription_number": number, "account_number": account, "contract_effective_date": "2024-01-01"}
    return {**row, **changes}


def _line(order: str, item: int, account: str, **changes: object) -> dict[str, Any]:
    row = {"order_number": order, "item_number": f"{item}", "account_number": account, "amount_per_unit": "1.25"}
    return {**row, "item_state": "SentToBilling", "bill_target_date": "2024-01-10", **changes}


_DISCOUNT: Final = {
    "charge_model": "DiscountPercentage", "discount_percentage": "10", "discount_level": "subscription",
    "apply_discount_to": "ONETIMERECURRINGUSAGE",
}  # fmt: skip

ROWS: Final[Mapping[str, Sequence[dict[str, Any]]]] = {
    "accounts": [
        {"account_number": "A-1", "name": "Hooli Ltd", "currency": "GBP", "bill_to_contact": "Gavin",
         "sold_to_contact": "Site", "payment_term": "Net 30"},
        {"account_number": "A-2", "name": "Nihon", "currency": "JPY", "bill_to_contact": "Taro"},
        {"account_number": "A-3", "name": MARKUP, "currency": "KWD", "bill_to_contact": "*Ray*",
         "invoice_template": "../../secret"},
        {"account_number": "A-4", "name": f"{UNBROKEN} {LONG}", "currency": "EUR", "invoice_template": "Fancy / 1"},
        {"account_number": "A-5", "currency": "USD"},
        {"account_number": "A-6", "name": "日本", "currency": "USD"},
    ],
    "contacts": [
        {"contact": "Gavin", "first_name": "Gavin", "last_name": "Belson", "address1": "1 Hooli Way", "city": "London",
         "postal_code": "SW1A 1AA", "country": "United Kingdom", "work_email": "ap@hooli.example", "tax_id": "GB 123",
         "Floor__c": "7"},
        {"contact": "Site", "company": "Hooli XYZ", "address1": "2 Lab Road", "city": "Palo Alto", "state": "CA",
         "postal_code": "94301", "country": "United States", "Floor__c": None},
        {"contact": "Taro", "company": "Nihon KK", "city": "Tokyo", "postal_code": "100-0005", "Floor__c": None},
    ],
    "subscriptions": [
        _subscription("S-1", "A-1"), _subscription("S-2", "A-1"), _subscription("S-3", "A-2"),
        _subscription("S-4", "A-3", invoice_group_number="PO #12 *b*"), _subscription("S-6", "A-6"),
    ],
    "rate_plan_charges": [
        _charge("C-1", "S-1", charge_name="Platform fee", price="1234.5"),
        _charge("C-2", "S-1", charge_name="Seats", charge_model="PerUnit", price="7.25", quantity="12", uom="Seat"),
        _charge("C-3", "S-1", charge_name="Loyalty discount", **_DISCOUNT),
        _charge("C-4", "S-2", charge_name="Add-on", price="99"),
        _charge("C-6", "S-3", charge_name="Monthly fee", price="123456"),
        _charge("C-7", "S-4", charge_name=MARKUP, price="1234.5678"),
        _charge("C-8", "S-6", charge_name="Fee", price="5"),
    ],
    "order_line_items": [
        *(_line("O-1", n, "A-4", item_name=f"{n}: {LONG if n % 7 == 1 else 'Bolt'}", quantity=f"{n}", uom="Piece")
          for n in range(1, MANY + 1)),
        _line("O-2", 1, "A-5", item_name="Router", amount_per_unit="80", quantity="2", item_category="Return"),
        _line("O-3", 1, "A-5", item_name="Cable", sold_to_contact="Gavin"),
        _line("O-3", 2, "A-5", sold_to_contact="Berlin"),
    ],
}  # fmt: skip
"""January: sections and discounts, yen, dinars and markup, many items, a return, two places, letters not in fonts."""


def asked(day: date) -> RunRequest:
    """Everything up to a day, with that date on the documents."""
    return RunRequest(target_date=day, invoice_date=day)


def make(folder: Path) -> Path:
    """The book: January is posted; in February S-1 ended in January, which makes drafts with a credit."""
    source, book = folder / "rows", folder / "book"
    for table, rows in ROWS.items():
        write_rows(source / f"{table}.jsonl", rows)
    ended = _subscription("S-1", "A-1", status="Cancelled", cancelled_date="2024-01-16")
    with Book.create(book) as opened:
        load(opened, [str(source)])
        bill(opened, asked(date(2024, 1, 31)), post=True)
        load(opened, [f"subscriptions={write_rows(folder / 'ended.csv', [ended])}"])
        bill(opened, asked(date(2024, 2, 29)))
    return book


def pages(file: Path) -> list[str]:
    """The text of each page, its lines and blanks as one blank each, and dashes as hyphens."""
    reader = PdfReader(BytesIO(file.read_bytes()))
    return [" ".join(page.extract_text().replace("\N{EN DASH}", "-").split()) for page in reader.pages]


def text(file: Path) -> str:
    """The text of all pages."""
    return " ".join(pages(file))
