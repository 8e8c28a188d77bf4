"""Credits and discounts."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from rating_examples.case import START, Book, Row, Stated, Step, Tables, Told, insist
from rating_examples.columns import BASES, common, proration
from rating_examples.tables import account, after, charge, day, discount, item, once, outcome, subscription, tables

# Credits


def credit(told: Told) -> list[Book]:
    """A period that was billed in advance is canceled, or its charge removed, within it."""
    given, result = told.inputs, told.expected
    billed = given.take("already_billed") or given.of(
        "billed_service_start", "billed_service_end", "billed_service_end_exclusive"
    )
    start: str = billed.get("service_start", billed.get("billed_service_start", ""))
    exclusive = billed.get("billed_service_end_exclusive")
    last: str = day(exclusive, -1) if exclusive else billed.get("service_end", billed.get("billed_service_end", ""))
    canceled, removed = given.take("cancel_effective"), given.take("removed_effective")
    until = canceled or removed
    insist(given.take("charge_start", start) == start, "the first period to be the billed one")
    check_days(given, start, until, last)
    columns, by = common(given), account(bill_cycle_day=given.take("account_bill_cycle_day", 1))
    price, percentage = (
        given.take("price_per_billing_period", given.take("regular_charge", "90")),
        given.take("discount_pct"),
    )
    row = {"billing_period": "Annual", **columns, "price": price}
    first, back = credited(result, start, until, last, price)
    of = subscription(start)
    charges = [charge(start, **row), *([discount("DISCOUNT", percentage, start)] if percentage else [])]
    later: Tables = (
        {"subscriptions": [{**of, "status": "Cancelled", "cancelled_date": canceled}]}
        if canceled
        else {"rate_plan_charges": [{**c, "effective_end_date": removed} for c in charges]}
    )
    memo = [{"document": "credit_memo"}]
    steps = [Step(tables(charges, of, by), start, outcome(first)), Step(later, until, outcome(back, memo))]
    return [Book("book", steps, proration(told))]


def check_days(given: Stated, start: str, until: str, last: str) -> None:
    """Stated numbers of days have to be those of the stated dates."""
    counted = given.of("used_days", "period_days")
    ends = {"used_days": until, "period_days": day(last, 1)}
    for name, days in counted.items():
        if (date.fromisoformat(ends[name]) - date.fromisoformat(start)).days != days:
            raise ValueError(f"{name} are not {days}")


def credited(result: Stated, start: str, until: str, last: str, price: str) -> tuple[list[Row], list[Row]]:
    """Items of the first run, and those of the run after the cancellation."""
    whole, rest = {"service_start": start, "service_end": last}, {"service_start": until, "service_end": last}
    name = {"charge_name": "CHARGE Proration Credit"}
    if periods := result.take("credit_periods"):
        return [item({**whole, "amount": price})], [item(p, **name) for p in periods]
    amount: Any = result.take("credit")
    if isinstance(amount, str):
        kept = result.take("charged_portion")
        insist(
            kept is None or Decimal(kept) == Decimal(price) + Decimal(amount),
            "the charge less the credit to be the charged portion",
        )
        return [item({**whole, "amount": price})], [item({**rest, "amount": amount}, **name)]
    invoice = result.take("first_invoice")
    both = [(whole, [invoice], {}), *((p, [p], name) for p in amount)]
    rows = [
        [
            item({**dates, "amount": p["regular"]}, **named),
            item({**dates, "amount": p["discount"]}, "DISCOUNT", processing_type="Discount"),
        ]
        for dates, [p], named in both
    ]
    return rows[0], rows[1]


# Discounts


def discounts(told: Told) -> list[Book]:
    """Several discounts on a one-time fee; charge numbers run against the order of the levels."""
    given, result = told.inputs, told.expected
    price, given_as_is, stacked = given.take("regular"), given.take("discounts"), given.take("stacked", default=False)
    levels = given_as_is or [{"pct": pct} for pct in given.take("discounts_pct")]
    ways = {"book": (stacked, result.of("discount_items", "discount_total", "net"))} if "net" in result.left else {
        name: (name == "stacked", stated) for name, stated in result.of("stacked", "non_stacked").items()
    }  # fmt: skip
    return [Book(name, [discounted(price, levels, stated, stacked=how)]) for name, (how, stated) in ways.items()]


def discounted(price: str, levels: list[Row], stated: Row, *, stacked: bool) -> Step:
    """One charge with its discounts."""
    count = len(levels)
    numbers = [f"D-{count - n}" if "level" in levels[0] else f"D-{n + 1}" for n in range(count)]
    rows = [
        discount(number, d["pct"], START, discount_level=d.get("level", "subscription").lower(), rate_plan_name="PLAN",
                 discount_class=d.get("class"), is_stacked_discount="true" if stacked else None)
        for number, d in zip(numbers, levels, strict=True)
    ]  # fmt: skip
    amounts = stated.get("discount_items") or shares_of(price, levels, stacked=stacked)
    total = stated.get("discount_total", stated.get("discount"))
    insist(total in {None, str(sum(map(Decimal, amounts)))}, "the items to add up")
    at = {"service_start": START, "service_end": START}
    items = [item({**at, "amount": price}, processing_type="Charge")]
    items += [
        item({**at, "amount": amount}, number, processing_type="Discount")
        for number, amount in zip(numbers, amounts, strict=True)
    ]
    documents = [{"document": "invoice", "amount": stated["net"]}]
    return Step(tables([once(price=price, rate_plan_name="PLAN"), *rows]), START, outcome(items, documents))


def shares_of(price: str, levels: list[Row], *, stacked: bool) -> list[str]:
    """Items of discounts of which only the total is stated; their amounts are whole cents."""
    left, amounts = Decimal(price), []
    for one in levels:
        amounts.append(((Decimal(price) if stacked else left) * one["pct"] / 100).quantize(Decimal("0.01")))
        left -= amounts[-1]
    return [str(-amount) for amount in amounts]


def rounded_discount(told: Told) -> list[Book]:
    """A discount is taken from the rounded amount of a part of a month."""
    given, result = told.inputs, told.expected
    start, last, cycle = given.take("charge_start"), given.take("service_end"), given.take("bill_cycle_day")
    result.take("discount_if_unrounded_option")  # an option of the vendor's support that billfold does not have
    amounts = (result.take("regular"), result.take("discount_default_on_rounded_regular"))
    at = {"service_start": start, "service_end": last}
    items = [
        item({**at, "amount": amounts[0]}, charge_name="CHARGE Proration"),
        item({**at, "amount": amounts[1]}, "DISCOUNT", processing_type="Discount"),
    ]
    charges = [
        charge(start, after(last), price=given.take("regular_monthly_price")),
        discount("DISCOUNT", given.take("discount_pct"), start),
    ]
    insist(told.settings.take("month_basis") == "actual or 30 (June)", "both bases")
    step = Step(tables(charges, subscription(start), account(bill_cycle_day=cycle)), start, outcome(items))
    return [Book(name, [step], {"month_basis": BASES[name]}) for name in ("actual", "30_actual")]
