"""A file of orders and the book that they come to: the same arguments give the same bytes, on any machine.

The book is the one of `benchmarks.generate`, with a catalog. Nine of ten orders make a subscription, half with other
prices than the catalog's, three of ten with an order line, one of twenty for a new customer; each tenth order changes
the price of an earlier order's subscription, renews it or cancels it.
"""

from __future__ import annotations

import argparse
import json
import zlib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from benchmarks.generate import tables, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

PLANS: Final = 200
"""Rate plans of the catalog; they have one, two or three charges each, in turn."""

_ORDERED: Final = date(2025, 6, 1)
TARGET: Final = date(2025, 6, 30)
_CHANGED: Final = 9
"""The orders whose number ends in this digit change a subscription of an earlier one; all others make one."""

_UPDATED: Final = 100
"""Order lines that one update changes: as many as the API takes."""


@dataclass(frozen=True)
class Customer:
    """An account of the book that can order."""

    number: str
    currency: str


@dataclass(frozen=True)
class Writer:
    """Writes orders by their numbers: the same customers and seed give the same orders, on any machine."""

    customers: Sequence[Customer]
    seed: int
    billed: bool = False
    """Whether orders are billed as they are made."""

    prefix: str = "B"
    """What numbers begin with, so that two files are about different orders."""

    def roll(self, n: int, what: str, sides: int) -> int:
        """A number from 0 to `sides` - 1, made from the order's number and what it is for."""
        return zlib.crc32(f"{self.seed} {what} {n}".encode()) % sides

    def chance(self, n: int, what: str, percent: int) -> bool:
        """Whether something is so for an order."""
        return self.roll(n, what, 100) < percent

    def order(self, n: int) -> dict[str, Any]:
        """One request."""
        return self._change(n) if n % 10 == _CHANGED else self._sale(n)

    def _sale(self, n: int) -> dict[str, Any]:
        """A new subscription, of a new customer in one of twenty, and perhaps an order line."""
        day = _ORDERED + timedelta(days=self.roll(n, "day", 15))
        subscription: dict[str, Any] = {
            "subscriptionNumber": f"{self.prefix}S-{n:08d}",
            "orderActions": [self._create(n, day)],
        }
        if self.chance(n, "region", 40):
            subscription["customFields"] = {"Region__c": ("Americas", "EMEA", "APAC")[self.roll(n, "which region", 3)]}
        said = self._head(n, day) | self._account(n) | {"subscriptions": [subscription]}
        if self.chance(n, "line", 30):
            said["orderLineItems"] = [self._line(n, day)]
        return said

    def _head(self, n: int, day: date) -> dict[str, Any]:
        said: dict[str, Any] = {"orderDate": f"{day}", "orderNumber": f"{self.prefix}-{n:08d}"}
        if self.chance(n, "description", 25):
            said["description"] = f"Agreed by telephone on {day}, reference {self.roll(n, 'reference', 10**6)}"
        if self.billed:
            billing = {"targetDate": f"{TARGET}", "documentDate": f"{TARGET}"}
            said["processingOptions"] = {"runBilling": True, "billingOptions": billing}
        return said

    def _account(self, n: int) -> dict[str, Any]:
        if not self.chance(n, "new account", 5):
            return {"existingAccountNumber": self._customer(n).number}
        contact = {"firstName": "Ada", "lastName": f"Customer {n}", "country": "United Kingdom", "postalCode": "N1 9GU"}
        new = {"accountNumber": f"{self.prefix}A-{n:08d}", "name": f"New customer {n}", "billToContact": contact}
        more = {"billCycleDay": self.roll(n, "cycle day", 28) + 1, "paymentTerm": "Net 30"}
        return {"newAccount": new | more | {"currency": ("USD", "GBP")[self.roll(n, "currency", 2)]}}

    def _customer(self, n: int) -> Customer:
        """Everyone orders once before anyone does again."""
        return self.customers[n * 7_919 % len(self.customers)]

    def _create(self, n: int, day: date) -> dict[str, Any]:
        term = {"termType": "TERMED", "period": 12, "periodType": "Month"}
        renewal = {
            "renewalSetting": "RENEW_WITH_SPECIFIC_TERM",
            "renewalTerms": [{"period": 12, "periodType": "Month"}],
        }
        body: dict[str, Any] = {
            "terms": {"autoRenew": self.chance(n, "renews", 50), "initialTerm": term, **renewal},
            "subscribeToRatePlans": [self._plan(n)],
        }
        if self.chance(n, "group", 10):
            body["invoiceGroupNumber"] = f"PO-{self.roll(n, 'group number', 3)}"
        return {"type": "CreateSubscription", "triggerDates": _events(day), "createSubscription": body}

    def _plan_of(self, n: int) -> int:
        return self.roll(n, "plan", PLANS)

    def _plan(self, n: int) -> dict[str, Any]:
        plan = self._plan_of(n)
        said: dict[str, Any] = {"productRatePlanId": f"plan-{plan:03d}"}
        if self.chance(n, "override", 50):
            said["chargeOverrides"] = [self._override(n, plan)]
        return said

    def _override(self, n: int, plan: int) -> dict[str, Any]:
        said: dict[str, Any] = {
            "productRatePlanChargeId": f"plan-{plan:03d}-0",
            "pricing": self._price(n, plan, "price"),
        }
        if self.chance(n, "cost center", 40):
            said["customFields"] = {"CostCenter__c": f"{self.roll(n, 'which cost center', 1_000):04d}"}
        return said

    def _price(self, n: int, plan: int, what: str) -> dict[str, Any]:
        """A price of a plan's first charge, which is always recurring."""
        price, units = (self.roll(n, what, 100_000) + 100) / 100, self.roll(n, "units", 50) + 1
        match _model(plan):
            case "FlatFee":
                return {"recurringFlatFee": {"listPrice": price}}
            case "PerUnit":
                return {"recurringPerUnit": {"listPrice": price, "quantity": units}}
            case _:
                return {"recurringVolume": {"tiers": _tiers(price, "tier"), "quantity": units}}

    def _line(self, n: int, day: date) -> dict[str, Any]:
        """Goods that are sent to billing at once, but one in ten, which an update sends later."""
        said: dict[str, Any] = {
            "itemNumber": "1",
            "itemName": ("Router", "Cable", "Installation")[self.roll(n, "item", 3)],
            "itemType": ("Product", "Product", "Services")[self.roll(n, "item", 3)],
            "quantity": self.roll(n, "items", 5) + 1,
            "UOM": "Each",
            "listPricePerUnit": (self.roll(n, "item price", 30_000) + 500) / 100,
            "itemState": "Executing" if self.waits(n) else "SentToBilling",
            "billTargetDate": f"{day}",
            "transactionDate": f"{day}",
        }
        if self.chance(n, "discount", 30):
            said |= {"inlineDiscountType": "Percentage", "inlineDiscountPerUnit": self.roll(n, "off", 30)}
        if self.chance(n, "line region", 20):
            said["customFields"] = {"Region__c": "EMEA"}
        return said

    def waits(self, n: int) -> bool:
        """Whether an order's line is not yet sent to billing."""
        return self.chance(n, "waits", 10)

    def _change(self, n: int) -> dict[str, Any]:
        """A change of a subscription that an order halfway back made; each is changed once at most."""
        k = n // 10
        other = k // 2 * 10 + k % 2
        day = _ORDERED + timedelta(days=20)
        entry = {"subscriptionNumber": f"{self.prefix}S-{other:08d}", "orderActions": [self._act(n, other, day)]}
        account = self._account(other)
        number = account.get("existingAccountNumber") or account["newAccount"]["accountNumber"]
        return self._head(n, day) | {"existingAccountNumber": number, "subscriptions": [entry]}

    def _act(self, n: int, other: int, day: date) -> dict[str, Any]:
        body: dict[str, Any]
        match self.roll(n, "action", 3):
            case 0:
                plan = self._plan_of(other)
                charge = {"productRatePlanChargeId": f"plan-{plan:03d}-0", "pricing": self._price(n, plan, "new price")}
                kind, body = "UpdateProduct", {"updateProduct": {"chargeUpdates": [charge]}}
            case 1:
                kind, body = "RenewSubscription", {"renewSubscription": {}}
            case _:
                policy = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": f"{day}"}
                kind, body = "CancelSubscription", {"cancelSubscription": policy}
        return {"type": kind, "triggerDates": _events(day), **body}

    def hybrid(self) -> dict[str, Any]:
        """An order of both a subscription and a line, for an account of the book."""
        return next(o for o in map(self.order, count()) if "orderLineItems" in o and "existingAccountNumber" in o)

    def update(self, orders: int) -> dict[str, Any]:
        """A change of lines that wait: they are sent to billing and billed."""
        waiting = (n for n in range(orders) if n % 10 != _CHANGED and self.chance(n, "line", 30) and self.waits(n))
        ids = [f"{self.prefix}-{n:08d}/1" for n, _ in zip(waiting, range(_UPDATED), strict=False)]
        lines = [{"id": each, "itemState": "SentToBilling", "paymentTerm": "Net 60"} for each in ids]
        options = {"runBilling": True, "billingOptions": {"targetDate": f"{TARGET}"}}
        return {"orderLineItems": lines, "processingOptions": options}


def _events(day: date) -> list[dict[str, Any]]:
    return [
        {"name": n, "triggerDate": f"{day}"} for n in ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
    ]


def _model(plan: int) -> str:
    return ("FlatFee", "PerUnit", "PerUnit", "Volume")[plan % 4]


def _tiers(price: float, *number: str) -> list[dict[str, Any]]:
    """Two tiers; requests number them, the catalog need not."""
    spans = ((0, 10, price), (11, None, round(price * 0.8, 2)))
    rows = [{"startingUnit": a, "endingUnit": b, "price": p, "priceFormat": "PerUnit"} for a, b, p in spans]
    return [dict.fromkeys(number, place) | row for place, row in enumerate(rows, 1)]


def _catalog() -> Iterator[dict[str, Any]]:
    """Every charge of every plan: a recurring one, in some a setup fee, in some a monthly fee too."""
    for plan in range(PLANS):
        model, price = _model(plan), plan * 1.25 + 9.5
        first = {
            "charge_type": "Recurring",
            "charge_model": model,
            "billing_period": ("Month", "Quarter")[plan % 7 == 0],
        }
        if model == "Volume":
            first["tiers"] = json.dumps(_tiers(price))
        charges: list[dict[str, Any]] = [
            first
            | ({"price": price} if model != "Volume" else {})
            | ({"quantity": 5, "uom": "Seat"} if model != "FlatFee" else {}),
            {"charge_type": "OneTime", "charge_model": "FlatFee", "price": 99},
            {"charge_type": "Recurring", "charge_model": "FlatFee", "price": 20, "billing_period": "Month"},
        ]
        for place, charge in enumerate(charges[: plan % 3 + 1]):
            names = {
                "product_rate_plan_charge_id": f"plan-{plan:03d}-{place}",
                "product_rate_plan_id": f"plan-{plan:03d}",
            }
            yield (
                names | {"charge_name": ("Seats", "Setup", "Support")[place], "rate_plan_name": f"Plan {plan}"} | charge
            )


def _customers(accounts: pl.DataFrame) -> list[Customer]:
    """Those of the book that can still order."""
    active = accounts.filter(pl.col("status") == "Active")
    return [Customer(number, currency) for number, currency in active.select("account_number", "currency").iter_rows()]


def _save(path: Path, requests: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(request, separators=(',', ':'))}\n" for request in requests)


def main() -> None:
    """Write the book's tables into a folder `book`, and beside it the files of requests."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder, orders = arguments.folder, range(arguments.orders)
    made = tables(arguments.accounts, arguments.seed)
    write(folder / "book", made)
    pl.DataFrame(list(_catalog()), infer_schema_length=None).write_parquet(
        folder / "book" / "product_rate_plan_charges.parquet"
    )
    customers = _customers(made["accounts"].frame())
    plain, billed = (Writer(customers, arguments.seed, billed=billed) for billed in (False, True))
    _save(folder / "orders.jsonl", map(plain.order, orders))
    _save(folder / "billed.jsonl", map(billed.order, orders))
    _save(folder / "update.json", [plain.update(arguments.orders)])
    _save(folder / "one.json", [replace(plain, prefix="N").hybrid()])
    _save(folder / "one_billed.json", [replace(billed, prefix="M").hybrid()])
    through = {
        "previewThruType": "SpecificDate",
        "specificPreviewThruDate": f"{TARGET}",
        "previewTypes": ["BillingDocs"],
    }
    _save(folder / "preview.json", [replace(plain, prefix="P").hybrid() | {"previewOptions": through}])


if __name__ == "__main__":
    main()
