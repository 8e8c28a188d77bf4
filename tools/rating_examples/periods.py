"""Proration, periods and alignment."""

from __future__ import annotations

import re
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

from make_examples import said

from rating_examples.case import START, Book, Row, Stated, Step, Tables, Told, insist
from rating_examples.columns import BASES, common, proration
from rating_examples.tables import (
    account,
    after,
    charge,
    day,
    discount,
    item,
    months,
    months_later,
    outcome,
    period,
    subscription,
    tables,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def ratio(told: Told) -> list[Book]:
    """A share of a month becomes an amount: the price is such that every share of it is a whole number of hundreds."""
    first, last = told.inputs.take("service_start"), told.inputs.take("service_end_inclusive")
    shares = {name: tuple(map(int, text.split("/"))) for name, text in told.expected.of(*BASES).items()}
    price = 100 * lcm(*(whole for _, whole in shares.values()))
    sold = tables([charge(first, after(last), price=price)], subscription(first))
    return [
        Book(name, [Step(sold, first, outcome([
            {"charge_number": "CHARGE", **period(first, last), "amount": str(price * used // whole),
             "charge_name": "CHARGE Proration"}]))], {"month_basis": BASES[name]})
        for name, (used, whole) in shares.items()
    ]  # fmt: skip


def partial(told: Told) -> list[Book]:
    """Amounts of a first part of a period, and of the whole ones after it."""
    given, result = told.inputs, told.expected
    start, weeks, length = given.take("subscription_term_start"), given.take("term_weeks"), given.take("term_months")
    end = months_later(start, length) if length else None
    first, target = given.take("charge_effective_date", start), given.take("target_date")
    # A specific date and a day of the month are columns of the charge; a term of weeks ends too early (doc_issue).
    columns = {"trigger_event": given.take("trigger"), "bill_cycle_day": given.take("bill_cycle_day")}
    sold = charge(first, **common(given), **said(columns))
    of = subscription(start, **({"term_type": "TERMED", "term_end_date": end} if end and not weeks else {}))
    stated = [whole for part in result.take("items") for whole in whole_weeks(part, start, sold)]
    for part in stated:
        check_months(part, Decimal(sold["price"]) * Decimal(sold["quantity"]))
    check_total(stated, result.take("total"))
    items = [item(p, charge_name="CHARGE" if n else "CHARGE Proration") for n, p in enumerate(stated)]
    return [Book("book", [Step(tables([sold], of), target, outcome(items))], proration(told))]


def whole_weeks(part: Row, start: str, sold: Row) -> list[Row]:
    """`full_weeks` of a charge as items: the first begins on its weekday, on or after its start."""
    if "full_weeks" not in part:
        return [part]
    names = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    wait = (names.index(sold["weekly_bill_cycle_day"]) - date.fromisoformat(start).weekday()) % 7
    starts = [day(start, wait + 7 * n) for n in range(part["full_weeks"])]
    return [{"service_start": s, "service_end": day(s, 6), "amount": part["amount_each"]} for s in starts]


def check_months(part: Row, price: Decimal) -> None:
    """A stated number of months has to give the stated amount; it is on no item."""
    if (counted := part.get("months")) is not None:
        share = Fraction(counted) * Fraction(price)
        amount = (Decimal(share.numerator) / share.denominator).quantize(Decimal("0.01"), ROUND_HALF_UP)
        if amount != Decimal(part["amount"]):
            raise ValueError(f"{counted} months of {price} are {amount}, not {part['amount']}")


def check_total(parts: Iterable[Row], total: str | None) -> None:
    """A stated total has to be that of the stated items; an invoice's amount is what its items add up to."""
    if total is not None and sum(Decimal(part["amount"]) for part in parts) != Decimal(total):
        raise ValueError(f"the items do not add up to {total}")


def grid(told: Told) -> list[Book]:
    """Service periods of one or several charges, which end with the last period that the case states."""
    given = told.inputs
    start, ended = given.take("charge_start", given.take("charge_trigger")), given.take("charge_end_inclusive")
    first = given.take("subscription_start", given.take("original_term_start", start))
    weeks, term = given.take("term_weeks"), given.take("current_term_start", first)
    given.take("renewed_before_billing")  # the table holds the current term only
    ends = {"term_type": "TERMED", "term_end_date": day(first or START, 7 * weeks)} if weeks else {}
    charges = given.take("charges", [{"id": "CHARGE", "start": start or first}])
    found, complete = stated_periods(told)
    invoiced, target = given.take("invoice_date"), given.take("target_date")
    by, columns = account(bill_cycle_day=given.take("bill_cycle_day", 1)), common(given)
    sold = [
        charge(
            c["start"] or found[c["id"]][0]["service_start"],
            after(ended or (None if weeks or not complete else found[c["id"]][-1]["service_end"])),
            charge_number=c["id"], **columns,
        )
        for c in charges
    ]  # fmt: skip
    of = subscription(
        first or sold[0]["effective_start_date"], **{**ends, **({"term_start_date": term} if term else {})}
    )
    items = [item(p, number) for number, parts in found.items() for p in parts]
    until = target or max(p["service_start_date"] for p in items)
    asked = said({"invoice_date": invoiced})
    documents = [{"document": "invoice", **asked}]
    done = outcome(items, documents) if complete else {"includes": items, "documents": documents}
    steps = [Step(tables(sold, of, by), until, done, asked)]
    if columns.get("billing_timing") == "InArrears":
        early = day(until, -1)
        steps = [Step(steps[0].tables, early, outcome([])), Step({}, until, done)]
    return [Book("book", steps, proration(told))]


def stated_periods(told: Told) -> tuple[dict[str, list[Row]], bool]:
    """The periods that a case states, by charge, and whether they are all from the charge's start on."""
    result = told.expected
    names = [name for name in ("A", "A_first", "B", "B_first") if name in result.left]
    if names:
        return {name.removesuffix("_first"): result.take(name) for name in names}, True
    if anchor := result.take("anchor"):
        [first], weeks = result.take("first"), told.inputs.left["specific_billing_period"]
        return {"CHARGE": [first, {"service_start": anchor, "service_end": day(anchor, 7 * weeks - 1)}]}, False
    stub, full = result.take("stub"), result.take("first_full")
    if full:
        return {"CHARGE": [stub, full] if stub else [full]}, stub is not None
    if invoiced := result.take("invoice_date"):
        told.inputs.left["invoice_date"] = invoiced
    return {"CHARGE": result.take("periods")}, True


def until_due(told: Told) -> list[Book]:
    """Nothing is owed until the day on which the next period begins."""
    given, result = told.inputs, told.expected
    cycle, billed = given.take("bill_cycle_day"), given.take("billed_through")
    again = sorted(
        name.removeprefix("target_").replace("_", "-") for name in result.of("target_2011_03_01", "target_2011_03_15")
    )
    sold = tables([charge(billed, **common(given))], subscription(billed), account(bill_cycle_day=cycle))
    first, second = (period(start, day(months_later(start, 1), -1)) for start in (billed, months_later(billed, 1)))
    return [Book("book", [
        Step(sold, billed, outcome([{"charge_number": "CHARGE", **first}])),
        Step({}, again[0], outcome([])),
        Step({}, again[1], outcome([{"charge_number": "CHARGE", **second}])),
    ])]  # fmt: skip


def trigger_day(told: Told) -> list[Book]:
    """All segments of a charge begin their periods on the day of the first one."""
    cycle, segments = told.inputs.take("bill_cycle_type"), told.inputs.take("segments")
    first, second = segments
    insist(
        told.expected.take("bill_cycle_day_all_segments") == int(first["start"][-2:]) == 1,
        "the day of the first segment",
    )
    sold = [
        charge(s["start"], next_, segment=s["seg"], price=s["price"], bill_cycle_type=cycle)
        for s, next_ in ((first, second["start"]), (second, None))
    ]
    whole = [months_later(first["start"], n) for n in (1, 2)]
    items = [
        {"charge_number": "CHARGE", "segment": first["seg"], **period(first["start"], day(second["start"], -1))},
        {"charge_number": "CHARGE", "segment": second["seg"], **period(second["start"], day(whole[0], -1))},
        {
            "charge_number": "CHARGE",
            "segment": second["seg"],
            **period(whole[0], day(whole[1], -1)),
            "amount": second["price"],
        },
    ]
    return [Book("book", [Step(tables(sold, subscription(first["start"])), whole[0], outcome(items))])]


def fixed_ends(told: Told) -> list[Book]:
    """The earlier of the charge's end and the subscription's; a renewal moves the latter."""
    given = told.inputs
    start, cases = (
        given.take("trigger"),
        [re.findall(r"\d{4}-\d\d-\d\d", c) for c in given.take("subscription_end_cases")],
    )
    kind = given.of("end_date_condition", "up_to_periods_type")
    insist(list(kind.values()) == ["FixedPeriod", "Months"], "a fixed period of months")
    end = months_later(start, given.take("up_to_periods"))
    subs = [
        subscription(start, subscription_number=f"SUB-{n}", term_type="TERMED", term_end_date=after(e[0]))
        for n, e in enumerate(cases, 1)
    ]
    sold = [
        charge(start, end, charge_number=f"CHARGE-{n}", subscription_number=f"SUB-{n}")
        for n in range(1, len(cases) + 1)
    ]
    renewed = [{**s, "term_end_date": after(e[-1])} for s, e in zip(subs, cases, strict=True) if len(e) > 1]
    until, late = min(e[0] for e in cases), max(e[-1] for e in cases)
    items = [
        {"charge_number": f"CHARGE-{n}", **month}
        for n, last in enumerate(told.expected.take("charge_end_inclusive"), 1) for month in months(start, last)
    ]  # fmt: skip
    both = [[i for i in items if (i["service_start_date"] <= until) == early] for early in (True, False)]
    first: Tables = {"accounts": [account()], "subscriptions": subs, "rate_plan_charges": sold}
    return [Book("book", [
        Step(first, until, outcome(both[0])), Step({"subscriptions": renewed}, late, outcome(both[1])),
    ])]  # fmt: skip


def series(told: Told) -> list[Book]:
    """Years of one charge in two segments, with a discount."""
    sold, off = Stated(told.case.id, told.inputs.take("charge")), Stated(told.case.id, told.inputs.take("discount"))
    insist(off.take("model") == "Percentage", "a percentage")
    segments, cycle = sold.take("segments"), sold.take("bill_cycle_day")
    columns = common(sold)
    start = segments[0]["start"]
    charges = [
        charge(s["start"], after(s["end"]), segment=s["seg"], **{**columns, "price": s["price"]}) for s in segments
    ]
    discounts = [discount("DISCOUNT", off.take("pct"), start)]
    off.close()
    sold.close()
    stated = told.expected.take("items")
    items = [
        row
        for p in stated
        for row in (
            item(p, amount=p["regular"], segment=next(s["seg"] for s in segments if p["service_start"] <= s["end"])),
            item(p, "DISCOUNT", amount=p["discount"], processing_type="Discount"),
        )
    ]
    by, of = account(bill_cycle_day=cycle), subscription(start)
    step = Step(tables([*charges, *discounts], of, by), told.inputs.take("target_date"), outcome(items))
    return [Book("book", [step], proration(told))]


def never_billed(told: Told) -> list[Book]:
    """Every open month is an item of one invoice."""
    given, result = told.inputs, told.expected
    start, target, cycle = given.take("contract_effective"), given.take("target_date"), given.take("bill_cycle_day")
    insist(given.take("never_billed"), "a charge that was never billed")
    insist(result.take("catch_up_bill_run") == {"invoices": 0}, "a catch-up run to make nothing")
    stated, later = result.take("regular_bill_run"), result.take("next_period")
    items = [{"charge_number": "CHARGE", **month} for month in months(start, target)]
    ends = [{k: v for k, v in i.items() if k != "charge_number"} for i in (items[0], items[-1])]
    wanted = [period(p["service_start"], p["service_end"]) for p in (stated["first"], stated["last"])]
    found = (len(items), ends, 1)
    insist(found == (stated["invoice_items"], wanted, stated["invoices"]), "these months on one invoice")
    sold = charge(None, trigger_event="ContractEffective", **common(given))
    tabled = tables([sold], subscription(start), account(bill_cycle_day=cycle))
    return [Book("book", [
        Step(tabled, target, outcome(items)), Step({}, later["service_start"], outcome([item(later)])),
    ])]  # fmt: skip


def progress(told: Told) -> list[Book]:
    """How far a charge was billed, and the first day of its last billed period."""
    last = told.inputs.take("last_billed")
    query = (
        "SELECT max(i.service_start_date) AS processed_through_date, max(p.charged_through_date) AS "
        "charged_through_date FROM invoice_items i JOIN charge_progress p USING (charge_number, segment)"
    )
    done = outcome(
        [item(last)], query={"sql": query, "rows": [told.expected.of("processed_through_date", "charged_through_date")]}
    )
    sold = tables([charge(last["service_start"], **common(told.inputs))], subscription(last["service_start"]))
    return [Book("book", [Step(sold, last["service_start"], done)])]
