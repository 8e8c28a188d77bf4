"""A small book for reports: three currencies, four months, and names that would break a page if they could."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from billfold import Book, bill
from billfold.intake import load
from billfold.requests import RunRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCRIPT: Final = "<script>alert(1)</script>"
IMAGE: Final = "\"'><img src=x onerror=alert(2)>&amp;"
LONG: Final = "Ünverhältnismäßig" * 12
MONTHS: Final = tuple(date(2024, month, 1) for month in (1, 2, 3, 4))
LAST: Final = "BR-00000004"

_REGULAR: Final = tuple(f"A-{n:02}" for n in range(1, 25))
_NAMES: Final = {"A-01": SCRIPT, "A-02": IMAGE, "A-03": LONG, "A-04": "\u202egnp.exe"}
_OTHERS: Final = {"japan": "JPY", "kuwait": "KWD", SCRIPT: "EUR", "gone": "EUR", "new": "EUR", "parked": "EUR"}


def make(folder: Path) -> None:
    """Four monthly runs. In the last one `A-05` pays tenfold, `gone` is gone, `new` is new, and one is parked."""
    Book.create(folder).close()
    with Book(folder) as book:
        _load(book, folder.parent / "first", _accounts(), _subscriptions(), _charges(), [])
        for month in MONTHS[:3]:
            bill(book, RunRequest(target_date=month, invoice_date=month), post=True)
        _load(book, folder.parent / "last", [], *_new(), _order_lines())
        bill(book, RunRequest(target_date=MONTHS[3], invoice_date=MONTHS[3]))


def _load(book: Book, folder: Path, *tables: Sequence[dict[str, Any]]) -> None:
    folder.mkdir()
    names = ("accounts", "subscriptions", "rate_plan_charges", "order_line_items")
    for name, rows in zip(names, tables, strict=True):
        if rows:
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    load(book, [str(folder)])


def _accounts() -> list[dict[str, Any]]:
    currency = {**dict.fromkeys(_REGULAR, "EUR"), **_OTHERS}
    return [{"account_number": a, "currency": c, "name": _NAMES.get(a, f"Account {a}")} for a, c in currency.items()]


def _subscriptions() -> list[dict[str, Any]]:
    number = {"A-06": f"</svg>{SCRIPT}"}
    ends: dict[str, dict[str, Any]] = {"gone": {"term_end_date": "2024-04-01", "term_type": "TERMED"}}
    return [
        {"subscription_number": f"S-{a}", "account_number": a, "contract_effective_date": "2024-01-01",
         "invoice_group_number": number.get(a), **ends.get(a, {})}
        for a in (*_REGULAR, *_OTHERS) if a not in {"new", "parked"}
    ]  # fmt: skip


def _charges() -> list[dict[str, Any]]:
    prices = {"japan": "1500", "kuwait": "12.345", "A-07": "0"}
    owners = (*_REGULAR, *_OTHERS)
    charges = [_monthly(a, prices.get(a, "100")) for a in owners if a not in {"new", "parked"}]
    discount = {"charge_number": "D-08", "segment": 1, "subscription_number": "S-A-08", "charge_type": "Recurring",
                "charge_model": "DiscountPercentage", "discount_percentage": "10", "billing_period": "Month",
                "apply_discount_to": "ONETIMERECURRINGUSAGE", "discount_level": "subscription"}  # fmt: skip
    return [*charges, discount]


def _monthly(account: str, price: str, segment: int = 1, **more: str) -> dict[str, Any]:
    return {"charge_number": f"C-{account}", "segment": segment, "subscription_number": f"S-{account}", "price": price,
            "charge_name": f"Fee {SCRIPT}", "charge_type": "Recurring", "charge_model": "FlatFee",
            "billing_period": "Month", "bill_cycle_type": "DefaultFromCustomer", **more}  # fmt: skip


def _new() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the fourth month brings: a price tenfold from then on, and a new subscription."""
    april = "2024-04-01"
    subscription = {"subscription_number": "S-new", "account_number": "new", "contract_effective_date": april}
    tenfold = [
        _monthly("A-05", "100", effective_end_date=april),
        _monthly("A-05", "1000", 2, effective_start_date=april),
    ]
    return [subscription], [_monthly("new", "70"), *tenfold]


def _order_lines() -> list[dict[str, Any]]:
    """A return of `A-09`, and a sale that nets negative, which parks its account."""
    common = {"quantity": "1", "item_state": "SentToBilling", "bill_target_date": "2024-04-01"}
    return [
        {"order_number": "O-1", "item_number": "1", "account_number": "A-09", "item_category": "Return",
         "amount_per_unit": "30", **common},
        {"order_number": "O-2", "item_number": "1", "account_number": "parked", "amount_per_unit": "-50", **common},
    ]  # fmt: skip
