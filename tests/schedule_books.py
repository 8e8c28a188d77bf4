"""Small books with invoice schedules for tests: what is sold, how it is scheduled and billed, and what was billed.

A charge belongs to a subscription and a rate plan that are called like it (C1 is of S1 and P1), unless it is said.
Ends are exclusive, as in the tables; in items they are inclusive, as on documents.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from inputs import write_rows
from order_inputs import account, action, as_json, content, entry
from order_inputs import charge as catalog_charge

from billfold.intake import load
from billfold.orders.parsing import parsed
from billfold.requests import RunRequest
from billfold.run import bill, preview
from billfold.schedules import attach as links
from billfold.schedules.create import create
from billfold.schedules.execute import execute
from billfold.schedules.models import AttachDetach, CreateSchedule, UpdateSchedule
from billfold.schedules.update import update

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from billfold import Book
    from billfold.orders.parsing import Parsed
    from billfold.receipt import Receipt
    from billfold.schedules.execute import Executed

    T = TypeVar("T", bound=BaseModel)

Json = dict[str, Any]
Day = date | str
Plan = tuple[Day | None, object]

IS1: Final = "IS-00000001"
"""The first schedule of a book."""

ORDER: Final = "O-1"
"""A loaded order: the book doesn't know what it did, so it stands for every subscription of its account."""

TABLES: Final = ("invoice_schedules", "invoice_schedule_items", "invoice_schedule_charges")
_KINDS: Final = (("invoice", 1), ("credit_memo", -1))


class Line(NamedTuple):
    """What one charge was billed by one item: its days, both inclusive, and the amount, negative in credit memos."""

    charge: str
    start: date
    end: date
    amount: Decimal


# --- what is sold -----------------------------------------------------------------------------------------------


def fee(number: str, price: object, start: Day, end: Day, **columns: Any) -> Json:  # noqa: ANN401 - any value
    """A recurring flat fee of so much a year, with a billing period that is long enough for any term."""
    priced = {"charge_type": "Recurring", "charge_model": "FlatFee", "price": price, "list_price_base": "Per_Year"}
    period = {
        "billing_period": "Specific_Months",
        "specific_billing_period": 120,
        "bill_cycle_type": "ChargeTriggerDay",
    }
    span = {"effective_start_date": str(start), "effective_end_date": str(end)}
    return {**_named(number), **priced, **period, **span, **columns}


def annual(number: str, price: object, start: Day, end: Day, **columns: Any) -> Json:  # noqa: ANN401 - any value
    """A recurring flat fee for a period of a year, which runs without schedules can bill too."""
    year = {"billing_period": "Annual", "specific_billing_period": None, "list_price_base": "Per_Billing_Period"}
    return fee(number, price, start, end, **{**year, **columns})


def once(number: str, price: object, start: Day, **columns: object) -> Json:
    """A one-time flat fee."""
    priced = {"charge_type": "OneTime", "charge_model": "FlatFee", "price": price}
    return {**_named(number), **priced, "effective_start_date": str(start), **columns}


def discount(number: str, percent: object, start: Day, end: Day, subscription: str, **columns: object) -> Json:
    """A percentage taken off everything of a subscription."""
    model = {"charge_type": "Recurring", "charge_model": "DiscountPercentage", "discount_percentage": percent}
    span = {"effective_start_date": str(start), "effective_end_date": str(end), "billing_period": "Annual"}
    of = {"subscription_number": subscription, "discount_level": "subscription"}
    return {**_named(number), **model, **span, **of, **columns}


def _named(number: str) -> Json:
    rest = number.removeprefix("C")
    return {
        "charge_number": number,
        "charge_name": f"the {number}",
        "subscription_number": f"S{rest}",
        "rate_plan_number": f"P{rest}",
        "rate_plan_name": f"Plan {rest}",
    }


def subscription(number: str, start: Day, end: Day, **columns: object) -> Json:
    """A termed subscription of the account A-1."""
    dates = {"contract_effective_date": str(start), "term_start_date": str(start), "term_end_date": str(end)}
    return {"subscription_number": number, "account_number": "A-1", **dates, **columns}


def stocked(book: Book, folder: Path, charges: Sequence[Json], **tables: Sequence[Json]) -> Book:
    """The book with charges, and with what they need and is not given: subscriptions, the account A-1, the order O-1.

    A subscription's term goes from the first start to the last end of its charges, each of which lasts a year at least
    if its end is not said.
    """
    given = {s["subscription_number"] for s in tables.get("subscriptions", ())}
    made = [s for s in _subscriptions(charges) if s["subscription_number"] not in given]
    needed: Mapping[str, Sequence[Json]] = {
        "accounts": [account()],
        "orders": [{"order_number": ORDER, "account_number": "A-1"}],
        **tables,
        "subscriptions": [*tables.get("subscriptions", ()), *made],
        "rate_plan_charges": charges,
    }
    order = ("accounts", "sequence_sets", "subscriptions", "product_rate_plan_charges", "rate_plan_charges", "orders")
    files = {t: needed[t] for t in (*order, "order_line_items") if needed.get(t)}
    folder.mkdir(parents=True, exist_ok=True)
    load(book, [f"{t}={write_rows(folder / f'{t}.csv', rows)}" for t, rows in files.items()])
    return book


def _subscriptions(charges: Sequence[Json]) -> Iterable[Json]:
    for number in dict.fromkeys(c["subscription_number"] for c in charges):
        own = [c for c in charges if c["subscription_number"] == number]
        starts = [c["effective_start_date"] for c in own]
        ends = [c.get("effective_end_date") or _year_after(c["effective_start_date"]) for c in own]
        yield subscription(number, min(starts), max(ends))


YEARLY: Final = catalog_charge(
    "year", "YEAR", charge_type="Recurring", charge_model="FlatFee", price=1, billing_period="Annual",
    bill_cycle_type="ChargeTriggerDay",
)  # fmt: skip
"""A charge of the catalog for orders: a flat fee for a period of a year."""


def plan(number: str, price: object, period: str = "Annual", **override: object) -> Json:
    """A rate plan that an order adds: its one charge costs so much a year."""
    base = {"listPriceBase": "Per_Billing_Period" if period == "Annual" else "Per_Year"}
    fees = {"pricing": {"recurringFlatFee": {"listPrice": price, **base}}, "billing": {"billingPeriod": period}}
    own = {"productRatePlanChargeId": "year", "chargeNumber": number, **fees, **override}
    named = {"productRatePlanId": "YEAR", "subscriptionRatePlanNumber": f"P{number.removeprefix('C')}"}
    return {**named, "chargeOverrides": [own]}


CATALOG: Final = {"product_rate_plan_charges": [YEARLY]}

YEAR: Final = ("2023-01-01", "2024-01-01")
SAME_TERM: Final = [
    fee("C1", 36900, *YEAR), fee("C2", 21500, *YEAR), fee("C3", 11000, *YEAR), fee("C4", 800, *YEAR),
]  # fmt: skip
SAME_PLAN: Final = [("2023-02-04", 50000), ("2023-05-01", 14000), ("2023-09-16", 6200)]
"""The vendor's main example: four subscriptions of one term, and what is billed of them when (UC-SAME-TERM)."""


def early(number: str, day: str, new: str, price: int, months: int) -> Json:
    """What an early renewal does to a subscription: a product goes, another one comes, the term ends later."""
    return entry(
        number,
        action("RemoveProduct", day, ratePlanId=number.replace("S", "P")),
        action("TermsAndConditions", day, lastTerm={"period": months, "periodType": "Month", "termType": "TERMED"}),
        action("AddProduct", day, **plan(new, price)),
    )


def kept(book: Book, number: str) -> list[Json]:
    """A schedule's items as an update sends them when it changes nothing."""
    return [
        {"id": i["item_id"], "runDate": i["run_date"] and str(i["run_date"]), "amount": i["amount"]}
        for i in items(book, number)
    ]


def _year_after(day: str) -> str:
    return str(date.fromisoformat(day).replace(year=int(day[:4]) + 1))


# --- what is asked ----------------------------------------------------------------------------------------------


def asked(plan: Sequence[Plan], **fields: object) -> Json:
    """A request for a schedule of the order O-1 with items on some dates, for some amounts."""
    items = [{"runDate": None if day is None else str(day), "amount": amount} for day, amount in plan]
    return {"accountKey": "A-1", "orders": [ORDER], "scheduleItems": items, **fields}


def shares(plan: Sequence[Plan], **fields: object) -> Json:
    """The same with percentages."""
    items = [{"runDate": None if day is None else str(day), "percentage": percent} for day, percent in plan]
    return asked((), **{"scheduleItems": items, **fields})


def only(*charges: str, order: str = ORDER) -> list[Json]:
    """The part of a request that limits it to some charges, each of the subscription that is called like it."""
    of = [(f"S{c.removeprefix('C')}", c) for c in charges]
    return [{"orderKey": order, "subscriptionKey": s, "chargeNumbers": [c]} for s, c in of]


def answers(book: Book, *requests: Json) -> list[Json]:
    """What the book answers to requests for schedules."""
    return [as_json(a.body) for a in create(book, parsed(content(*requests), CreateSchedule)[0])]


def scheduled(book: Book, request: Json) -> str:
    """The number of a new schedule, which must not be refused."""
    (body,) = answers(book, request)
    assert body["success"], body
    return str(body["number"])


def refusal(book: Book, request: Json) -> str:
    """Why a schedule is refused."""
    (body,) = answers(book, request)
    assert not body["success"], body
    return " ".join(str(r["message"]) for r in body["reasons"])


def updated(book: Book, number: str, **fields: object) -> Json:
    """The answer to an update of a schedule."""
    return as_json(update(book, number, _read(UpdateSchedule, fields)))


def attached(book: Book, number: str, *subscriptions: Json) -> Json:
    return as_json(links.attach(book, number, _read(AttachDetach, {"specificSubscriptions": list(subscriptions)})))


def detached(book: Book, number: str, *subscriptions: Json) -> Json:
    return as_json(links.detach(book, number, _read(AttachDetach, {"specificSubscriptions": list(subscriptions)})))


def _read(model: type[T], fields: Mapping[str, object]) -> Parsed[T]:
    return parsed(content(dict(fields)), model)[0][0]


def executed(book: Book, number: str, item: str | None = None, *, post: bool = False) -> Executed:
    return execute(book, number, item, post=post)


def run(book: Book, day: Day, *, post: bool = False, **fields: Any) -> Receipt:  # noqa: ANN401 - any field of a request
    """A bill run up to a day, dated on it."""
    return bill(book, run_request(day, **fields), post=post)


def previewed(book: Book, day: Day, **fields: Any) -> Receipt:  # noqa: ANN401 - as above
    return preview(book, run_request(day, **fields))


def run_request(day: Day, **fields: Any) -> RunRequest:  # noqa: ANN401 - as above
    of = date.fromisoformat(str(day))
    return RunRequest(**{"target_date": of, "invoice_date": of, **fields})


# --- what the book holds ----------------------------------------------------------------------------------------


def rows(book: Book, table: str, **wanted: object) -> list[Json]:
    return book.read(table).filter(**wanted).collect().to_dicts()


def header(book: Book, number: str) -> Json:
    (found,) = rows(book, "invoice_schedules", number=number)
    return found


def items(book: Book, number: str) -> list[Json]:
    """A schedule's items in their order."""
    found = rows(book, "invoice_schedule_items", invoice_schedule_number=number)
    return sorted(found, key=lambda r: r["sequence_number"])


def charges(book: Book, number: str) -> dict[str, Json]:
    """A schedule's charges by number, in the order in which it takes them."""
    found = rows(book, "invoice_schedule_charges", invoice_schedule_number=number)
    return {r["charge_number"]: r for r in sorted(found, key=lambda r: r["position"])}


def figures(book: Book, number: str) -> tuple[Any, ...]:
    """Total, actual, billed and unbilled amount of a schedule."""
    found = header(book, number)
    return found["total_amount"], found["actual_amount"], found["billed_amount"], found["unbilled_amount"]


def statuses(book: Book, number: str) -> tuple[Any, ...]:
    """A schedule's status, those of its items, and when it bills next."""
    found = header(book, number)
    return found["status"], [i["status"] for i in items(book, number)], found["next_run_date"]


def documents(book: Book) -> list[Json]:
    """Documents that count, run by run, invoices first; amounts of credit memos are negative."""
    found = [
        {**row, "kind": kind, "id": row[f"{kind}_id"], "amount": sign * row["amount"], "day": row[f"{kind}_date"]}
        for kind, sign in _KINDS
        for row in rows(book, f"{kind}s")
        if row["status"] != "Canceled"
    ]
    return sorted(found, key=lambda r: (r["bill_run_number"], r["kind"] != "invoice", r["id"]))


def details(book: Book) -> list[Json]:
    """All items of documents that count, in the order of their documents; amounts of credit memos are negative."""
    of = {d["id"]: d for d in documents(book)}
    found = [
        {
            **row,
            "kind": kind,
            "document": row[f"{kind}_id"],
            "item": row[f"{kind}_item_id"],
            "amount": sign * row["amount"],
        }
        for kind, sign in _KINDS
        for row in rows(book, f"{kind}_items")
        if row[f"{kind}_id"] in of
    ]
    for row in found:
        row["reduces"] = _reduced(row, found)
    return sorted(found, key=lambda r: (str(r["document"]), str(r["item"])))


def _reduced(row: Json, found: Sequence[Json]) -> str | None:
    """The item that a discount's item belongs to: the one that it names or, if it credits a discount, its credit."""
    if row["processing_type"] != "Discount":
        return None
    (named,) = (r for r in found if r["item"] == row["applied_to_item_id"])
    if named["processing_type"] != "Discount":
        return str(named["item"])
    beside = (r for r in found if r["document"] == row["document"] and r["processing_type"] != "Discount")
    return str(next(r["item"] for r in beside if r["applied_to_item_id"] == named["applied_to_item_id"]))


def lines(found: Iterable[Json]) -> list[Line]:
    """What charges were billed, net of discounts, in the order of charges and days."""
    net = (Line(r["charge_number"], r["service_start_date"], r["service_end_date"], r["amount"]) for r in nets(found))
    return sorted(net)


def nets(found: Iterable[Json]) -> list[Json]:
    """Items of documents with what their discounts leave of them."""
    every = list(found)
    net = {r["item"]: {**r} for r in every if r["processing_type"] != "Discount"}
    for row in every:
        if row["processing_type"] == "Discount":
            net[row["reduces"]]["amount"] += row["amount"]
    return list(net.values())


def billed(book: Book, **wanted: object) -> list[Line]:
    """What charges were billed; some columns of their items may be given."""
    return lines(r for r in details(book) if all(r[c] == v for c, v in wanted.items()))


def of_item(book: Book, number: str, sequence: int) -> list[Line]:
    """What the item of a schedule at a position billed."""
    (found,) = [i["item_id"] for i in items(book, number) if i["sequence_number"] == sequence]
    return billed(book, invoice_schedule_number=number, invoice_schedule_item_id=found)


def printed(*told: tuple[str, str, str, str]) -> list[Line]:
    """Lines as documentation prints them: charge, first and last day, amount."""
    return [Line(c, date.fromisoformat(s), date.fromisoformat(e), Decimal(a)) for c, s, e, a in told]


def state_of(book: Book) -> dict[str, list[Json]]:
    """Every field of everything that is known of schedules."""
    return {t: sorted(rows(book, t), key=lambda r: tuple(str(v) for v in r.values())) for t in TABLES}
