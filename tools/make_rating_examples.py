"""Make data/rating_examples, the vendor's documented rating cases as small tables that can be billed step by step.

    python tools/make_rating_examples.py SPEC_CASES_FOLDER [OUT_FOLDER]

SPEC_CASES_FOLDER holds rating.json. data/rating_examples/extra_cases.json, in the same format, adds to it.
The same cases give the same bytes.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from make_examples import said, write_csv, write_json
from pydantic import BaseModel, ConfigDict, TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

EXAMPLES: Final = Path(__file__).parents[1] / "data" / "rating_examples"

START: Final = "2024-01-01"
"""When everything begins, unless the case names a date."""

BASES: Final = {
    "use_actual_days": "actual",
    "assume_30_actual_360": "actual_360",
    "assume_30_strict_30_360": "strict_30_360",
    "actual": "actual",
    "30_actual": "actual_360",
    "30_strict": "strict_30_360",
}
"""Month bases, as cases and as settings spell them."""

UNITS: Final = {"MonthFirst": "month_first", "Day": "by_day"}
MODES: Final = {"Up": "up", "Down": "down", "HalfUp": "half_up"}
RULES: Final = {
    "NetNegativeWithoutGrouping (default)": "net",
    "NetNegativeWithGrouping": "net_by_charge",
    "AllNegativeOnCreditMemo": "negative_charges",
}
"""Values of settings, as cases spell them."""

FOR_USAGE: Final = {"Overage", "TieredWithOverage", "PreRatedPerUnit", "PreRated"}

WAITS_FOR: Final = {
    "CREDIT-FIXED-DISC": "fixed-amount discounts: a charge of that model parks its account",
    "DISC-FIXED": "fixed-amount discounts: a charge of that model parks its account",
    "CM-VOLUME-USAGE-IND": "rating of single usage records: usage is summed per charge and billing period",
    "USAGE-GROUP-ByUsageStartDate": "rating groups: usage is summed per charge and billing period",
    "USAGE-GROUP-ByUsageUpload": "rating groups: usage is summed per charge and billing period",
    "USAGE-GROUP-ByGroupId": "rating groups: usage is summed per charge and billing period",
    "USAGE-ONDEMAND": "rating on demand: usage is owed when its billing period has ended",
    "CM-MINCOMMIT": "minimum commitments",
    "CM-ROLLWINDOW": "overage smoothing",
    "DUE-PROX": "payment terms with a cutoff day: their documents have no due date",
}
"""What has to exist before the cases whose ids begin so can be billed."""

OUT_OF_SCOPE: Final = {
    "PER-MONTH-PARTIAL-NO": "billfold always bills parts of months, and what a charge does not serve it never bills",
    "PER-QTR-C": "billfold always bills and prorates parts of periods",
    "CREDIT-PERIOD-B": "billfold always credits parts of months",
    "USAGE-TIMEBASED": "billfold never prorates what was used",
    "TAX-": "billfold reckons no taxes",
    "SCHED-": "billfold has no calendar of runs: whoever starts a run gives its dates",
    "OLI-RETURN-FULFILL": "billfold has no fulfillments",
}
"""Why the cases whose ids begin so will not be billed."""

Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = dict[str, list[Row]]


class Case(BaseModel):
    """One documented case. `settings`, `inputs` and `expected` differ from case to case: see `Stated`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    area: str
    tier: Literal["CORE", "LATER"]
    kind: str
    source_url: str
    origin: Literal["documented", "derived"] = "documented"
    settings: Row = {}
    inputs: Row
    expected: Row
    assumed: list[str] = []
    note: str = ""
    doc_issue: str = ""
    periods_recomputed: bool = False


class Stated:
    """What a case states under one heading. Whoever encodes it takes it key by key; what is left over is an error."""

    def __init__(self, place: str, facts: Row) -> None:
        """Keep the facts until they are taken."""
        self.place, self.left = place, dict(facts)

    def take(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - JSON is anything
        """A fact, or the default where the case does not state it."""
        return self.left.pop(name, default)

    def of(self, *names: str) -> Row:
        """The facts of these names that the case states."""
        return {name: self.left.pop(name) for name in names if name in self.left}

    def close(self) -> None:
        """Refuse to lose a fact."""
        if self.left:
            raise ValueError(f"{self.place} states {', '.join(self.left)}, which nobody has read")


@dataclass(frozen=True)
class Step:
    """Load tables, run up to a target date, compare."""

    tables: Tables
    target: str
    outcome: Row
    asked: Row = field(default_factory=dict)


@dataclass(frozen=True)
class Book:
    """An empty book with settings, and what is done to it."""

    name: str
    steps: list[Step]
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """A case under its three headings, each fact of which has to be taken."""

    case: Case
    inputs: Stated
    expected: Stated
    settings: Stated


def insist(holds: object, what: str) -> None:
    """What a case states beside its items has to agree with what its tables say; it is nowhere else."""
    if not holds:
        raise ValueError(f"the case was expected to state {what}")


# Dates


def day(text: str, days: int = 0) -> str:
    """A date some days later."""
    return str(date.fromisoformat(text) + timedelta(days))


def after(text: str | None) -> str | None:
    """The day after: an inclusive end made exclusive."""
    return None if text is None else day(text, 1)


def months_later(text: str, months: int) -> str:
    """A date, not later than the 28th, some months later."""
    then = date.fromisoformat(text)
    month = then.month - 1 + months
    return str(then.replace(year=then.year + month // 12, month=month % 12 + 1))


def months(first: str, last: str) -> list[Row]:
    """Service dates of the months from a first to a last day."""
    starts = [first]
    while months_later(starts[-1], 1) <= last:
        starts.append(months_later(starts[-1], 1))
    return [period(start, day(months_later(start, 1), -1)) for start in starts]


# The input tables


def account(**columns: Any) -> Row:  # noqa: ANN401 - any column
    """The account ACC, unless another number is given."""
    return {"account_number": "ACC", "currency": "USD", "bill_cycle_day": 1, **columns}


def subscription(start: str = START, **columns: Any) -> Row:  # noqa: ANN401 - any column
    """The subscription SUB of ACC, without an end of its own."""
    row = {"subscription_number": "SUB", "account_number": "ACC", "status": "Active", "term_type": "EVERGREEN"}
    dates = {"contract_effective_date": start, "subscription_start_date": start, "term_start_date": start}
    return {**row, **dates, **columns}


def charge(start: str | None = START, end: str | None = None, **columns: Any) -> Row:  # noqa: ANN401 - any column
    """The charge CHARGE of SUB: a flat fee of 100 a month in advance; `end` is exclusive."""
    row = {
        "charge_number": "CHARGE", "subscription_number": "SUB", "charge_type": "Recurring", "charge_model": "FlatFee",
        "price": "100", "billing_period": "Month", "effective_start_date": start, "effective_end_date": end,
    }  # fmt: skip
    return {**row, **columns}


def once(**columns: Any) -> Row:  # noqa: ANN401 - any column
    """A one-time flat fee."""
    return charge(**{"charge_type": "OneTime", "billing_period": None, **columns})


def discount(number: str, percentage: Any, start: str, **columns: Any) -> Row:  # noqa: ANN401 - a number; any column
    """A discount of a percentage on charges of its subscription, unless it has another level."""
    row = {
        "charge_number": number, "charge_model": "DiscountPercentage", "price": None, "billing_period": None,
        "discount_percentage": percentage,
    }  # fmt: skip
    return charge(start, **{**row, **columns})


def line(number: str = "1", **columns: Any) -> Row:  # noqa: ANN401 - any column
    """A line of the order O-1 that may be billed from START on."""
    row = {"order_number": "O-1", "item_number": number, "account_number": "ACC", "item_state": "SentToBilling"}
    return {**row, "bill_target_date": START, "transaction_date": START, **columns}


def tables(charges: list[Row], of: Row | None = None, by: Row | None = None, **others: list[Row]) -> Tables:
    """Charges with their one subscription `of` and its account `by`."""
    sold = {"subscriptions": [of or subscription()], "rate_plan_charges": charges} if charges else {}
    return {"accounts": [by or account()], **sold, **others}


def tiers(stated: list[Row]) -> str:
    """Tiers as the table has them."""
    names = {"from_": "startingUnit", "to": "endingUnit", "price": "price", "format": "priceFormat"}
    ordered = sorted(stated, key=lambda tier: tier["tier"])
    return json.dumps([{names[k]: v for k, v in tier.items() if k != "tier"} for tier in ordered])


# What the run must give


def period(start: str, end: str) -> Row:
    """Service dates, both inclusive."""
    return {"service_start_date": start, "service_end_date": end}


def item(stated: Row, number: str = "CHARGE", **columns: Any) -> Row:  # noqa: ANN401 - any column
    """An item that is owed, for a period {service_start, service_end, amount, quantity} as cases spell it."""
    dates = period(stated["service_start"], stated["service_end"])
    sums = said({name: stated.get(name) for name in ("amount", "quantity")})
    return {"charge_number": number, **dates, **sums, **columns}


def outcome(items: list[Row], documents: list[Row] | None = None, **more: Any) -> Row:  # noqa: ANN401 - what a step checks
    """All items and documents of a run. Unless they are given, it is one: an invoice, or a memo if that is negative."""
    if documents is None:
        net = sum((Decimal(i.get("amount", 0)) for i in items), Decimal(0))
        documents = [{"document": "credit_memo" if net < 0 else "invoice"}] if items else []
    return {"items": items, "documents": documents, **more}


def proration(told: Told) -> dict[str, str]:
    """Settings of proration and credits. Those of parts of periods have to be yes, which is all that billfold does."""
    stated = told.settings
    switches = stated.of("bill_partial_month", "prorate_partial_period", "bill_partial_week")
    if not all(switches.values()):
        raise ValueError(f"{told.case.id} states {switches}, but parts of periods are always billed")
    basis, unit, credit = stated.take("month_basis"), stated.take("proration_unit"), stated.take("credit_basis")
    used = None if credit is None else "used_part" if credit.startswith("TotalPeriod") else "unused_part"
    choices = {"month_basis": basis and BASES[basis], "long_period_proration": unit and UNITS[unit]}
    return said({**choices, "credit_basis": used, **rounding(told.inputs)})


def rounding(stated: Stated) -> dict[str, str]:
    """Settings of rounding."""
    increment, mode = stated.take("rounding_increment"), stated.take("rounding_mode")
    return said({"rounding_increment.USD": increment, "rounding_mode": mode and MODES[mode]})


def common(stated: Stated) -> Row:
    """Columns of a charge that cases name alike."""
    base, tiered = stated.take("list_price_base"), stated.take("tiers")
    same = stated.of(
        "charge_model", "charge_type", "quantity", "billing_period", "specific_billing_period", "bill_cycle_type",
        "weekly_bill_cycle_day", "billing_period_alignment", "billing_timing", "included_units", "overage_price",
    )  # fmt: skip
    price = stated.of("list_price")
    if tiered or same.get("charge_model") in FOR_USAGE:
        price = {"list_price": None}
    if "weekly_bill_cycle_day" in same:
        same.setdefault("bill_cycle_type", "SpecificDayofWeek")
    return {
        **same,
        **({"price": price["list_price"]} if price else {}),
        **({"list_price_base": f"Per_{base}"} if base else {}),
        **({"tiers": tiers(tiered)} if tiered else {}),
    }


# Proration, periods and alignment


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


# Charge models and usage


def model(told: Told) -> list[Book]:
    """A quantity at a price: bought once or for a month, or used within one."""
    given, result = told.inputs, told.expected
    unit, used, quantity = given.take("unit"), given.take("usage"), given.left.get("quantity")
    insist(not told.settings.take("rate_records_individually"), "records rated together")
    given.take("rating_group")  # a single day: all its records are one group
    columns = common(given)
    if columns["charge_model"] in FOR_USAGE or columns.get("charge_type") == "Usage":
        return [Book("book", [used_in_january(columns, used or [{"quantity": quantity}], result)])]
    month = "billing_period" in columns or unit == "user/month"
    sold = charge(START, "2024-02-01", **columns, uom=unit) if month else once(**columns)
    # An overage price is not part of the model as such; the same charge for usage has it.
    beyond = sold.pop("overage_price", None)
    amount, flat = result.take("amount"), sold["charge_model"] == "FlatFee"
    dates = {"service_start": START, "service_end": "2024-01-31" if month else START}
    item_ = item({**dates, "amount": amount, "quantity": sold.get("quantity")})
    steps = [Step(tables([sold]), START, outcome([item_]))]
    if beyond or flat:
        again = {**columns, "charge_model": "FlatFee" if flat else "TieredWithOverage", "charge_number": "USED"}
        steps.append(used_in_january(again, [] if flat else [{"quantity": quantity}], Stated("", {"amount": amount})))
    return [Book("book", steps)]


def used_in_january(columns: Row, records: list[Row], result: Stated) -> Step:
    """A monthly usage charge with records, billed when the month of the first of them has ended."""
    number = columns.get("charge_number", "CHARGE")
    start = min((r["start"] for r in records if "start" in r), default=START)
    sold = charge(
        start, **{**columns, "charge_type": "Usage", "quantity": None, "billing_period": "Month", "uom": "Each"}
    )
    rows = [usage(n, {"start": start, **r}, number) for n, r in enumerate(records, 1)]
    whole = {"amount": result.take("amount"), "quantity": result.take("quantity")}
    end = months_later(start, 1)
    done = item({"service_start": start, "service_end": day(end, -1), **whole}, number, charge_type="Usage")
    tabled = tables([sold], subscription(start), usage=rows)
    return Step(tabled if rows else {"rate_plan_charges": [sold]}, end, outcome([done]))


def usage(n: int, record: Row, number: str | None = "CHARGE") -> Row:
    """A usage record; file, group and day of upload are custom fields."""
    known = {"start": "start_date", "quantity": "quantity", "uom": "uom", "unit_rate": "unit_rate", "total": "total"}
    others = {"file": "file__c", "group_id": "group_id__c", "uploaded": "uploaded__c"}
    row = {(known | others)[name]: value for name, value in record.items()}
    return {
        "usage_id": f"U-{n}",
        "account_number": "ACC",
        "charge_number": number,
        "uom": "Each",
        "quantity": "1",
        **row,
    }


def usage_by_period(told: Told) -> list[Book]:
    """Records of several files, summed per month; each is found by its unit of measure."""
    given = told.inputs
    insist(given.take("rating_group") == "ByBillingPeriod", "records grouped by period")
    start, records = given.take("subscription_start"), given.take("usage")
    sold = charge(start, uom=records[0]["uom"], **common(given))
    rows = [usage(n, r, None) for n, r in enumerate(records, 1)]
    items = [item(p) for p in told.expected.take("items")]
    tabled = tables([sold], subscription(start), usage=rows)
    return [Book("book", [Step(tabled, day(items[-1]["service_end_date"], 1), outcome(items))])]


def late_usage(told: Told) -> list[Book]:
    """A record of a period that is already billed is late: it waits, and is billed by no later run either."""
    given, result = told.inputs, told.expected
    target, records, ran = given.take("target_date"), given.take("usage"), given.take("bill_run_date")
    start = months_later(target, -1)
    insist(result.of("rated", "usage_status") == {"rated": False, "usage_status": "Pending"}, "the record to wait")
    columns = {**common(given), "charge_model": "PerUnit", "uom": "Each"}
    tabled = tables(
        [charge(start, **columns)], subscription(start), account(bill_cycle_day=given.take("bill_cycle_day"))
    )
    none = [
        item({"service_start": s, "service_end": day(months_later(s, 1), -1), "amount": "0", "quantity": "0"})
        for s in (start, target)
    ]
    rows, asked = [usage(n, r) for n, r in enumerate(records, 1)], {"invoice_date": ran}
    ids, end = [r["usage_id"] for r in rows], months_later(target, 1)
    return [Book("book", [
        Step(tabled, target, outcome(none[:1], late=[]), asked),
        Step({"usage": rows}, day(end, -1), outcome([], late=ids)),
        Step({}, end, outcome(none[1:], late=ids)),
    ])]  # fmt: skip


def usage_on_target(told: Told) -> list[Book]:
    """Usage dated on the target date is not billed by that run, but a month later."""
    given = told.inputs
    records, target = given.take("usage"), given.take("target_date")
    start, end = records[0]["start"], months_later(records[0]["start"], 1)
    tabled = tables(
        [charge(start, **common(given), charge_model="PerUnit", uom="Each")], subscription(start),
        usage=[usage(n, r) for n, r in enumerate(records, 1)],
    )  # fmt: skip
    done = item({"service_start": start, "service_end": day(end, -1), "amount": "100", "quantity": "1"})
    return [Book("book", [Step(tabled, target, outcome(told.expected.take("items"))), Step({}, end, outcome([done]))])]


# Documents, order lines, numbers, days


def negative(told: Told) -> list[Book]:
    """Negative charges and the rule that decides about documents."""
    rule, rows = told.inputs.take("rule"), told.inputs.take("charges")
    result, charges, items = told.expected, [], []
    for row in rows:
        # Of a text such as `200 tax-inclusive, 20 tax`, the first number is what billfold, which has no taxes, bills.
        price, count = row.get("monthly", row.get("amount", "").split(" ")[0]), row.get("months")
        spans = months(START, day(months_later(START, count), -1)) if count else [period(START, START)]
        end = months_later(START, count) if count else None
        own = {"charge_number": row["charge"], "price": price}
        charges.append(charge(START, end, **own) if count else once(**own))
        items += [{"charge_number": row["charge"], **span, "amount": price} for span in spans]
    net = sum((Decimal(i["amount"]) for i in items), Decimal(0))
    insist(Decimal(result.take("total", net)) == net, "the items to add up")
    documents = []
    for kind, document in result.of("invoice", "credit_memo").items():
        # A memo's items have the other sign (I16); here, amounts are what is owed.
        owed = {p["charge"]: -Decimal(p["amount"]) for p in document.get("items", [])}
        insist(
            all(Decimal(i["amount"]) == owed[i["charge_number"]] for i in items if owed),
            "items of a memo to be the charges negated",
        )
        numbers = document.get("charges") or list(owed)
        documents.append({"document": kind, "charges": numbers, "amount": document["amount"]})
    step = Step(tables(charges), months_later(START, 2), outcome(items, documents))
    return [Book("book", [step], {"document_type_rule": RULES[rule]})]


def negative_sales(told: Told) -> list[Book]:
    """Sales order lines that net negative are rejected: their account is parked."""
    given = told.inputs
    insist(given.take("invoice_settlement"), "credit memos")
    ours, theirs = given.take("sales_oli_total"), given.take("subscription_total")
    sold = tables([once(price=theirs)] if theirs else [], order_line_items=[line(quantity="1", amount_per_unit=ours)])
    rows = [{"order_number": "O-1", "item_number": "1", "amount": ours}]
    rows += [{"charge_number": "CHARGE", "amount": theirs}] if theirs else []
    books = []
    for answer in ("yes", "no"):
        text = told.expected.take(f"consolidate_{answer}")
        items = [] if text == "rejected" else rows[1:] if "OLI rejected" in text else rows
        documents = [
            {"document": kind.replace(" ", "_"), "amount": amount}
            for amount, kind in re.findall(r"(\d+) (invoice|credit memo)", text)
        ]
        done = outcome(items, documents, parked=["ACC"] if "rejected" in text else [])
        books.append(Book(f"consolidate_{answer}", [Step(sold, START, done)], {"consolidate_invoices": answer}))
    return books


def returned(told: Told) -> list[Book]:
    """A return is credited when it was sent to billing; what is available goes down in every later state."""
    given, result = told.inputs, told.expected
    sold, back, states = (
        given.take("sales_quantity"),
        given.take("return_quantity"),
        given.take("return_state").split("|"),
    )
    query = (
        "SELECT sum(CASE item_category WHEN 'Sales' THEN quantity ELSE -quantity END) AS quantity_available_for_return "
        "FROM order_line_items WHERE item_state IN ('Booked', 'SentToBilling', 'Complete')"
    )
    free = {"sql": query, "rows": [{"quantity_available_for_return": result.take("quantity_available_for_return")}]}
    # Without fulfillments, all of a return is fulfilled at once, and nothing of it is pending.
    insist(result.take("return_quantity_fulfilled") == back, "all of the return to be fulfilled")
    insist(result.take("return_quantity_pending") == 0, "nothing to be pending")
    sale = tables([], order_line_items=[line(quantity=sold, amount_per_unit="1")])
    bought = outcome([{"order_number": "O-1", "item_number": "1", "quantity": sold, "amount": sold}])
    books = []
    for state in states:
        row = {"item_category": "Return", "quantity": back, "amount_per_unit": "1", "item_state": state}
        of = {"original_order_number": "O-1", "original_item_number": "1"}
        items = [{"order_number": "O-1", "item_number": "2", "amount": -back}] if state == "SentToBilling" else []
        steps = [
            Step(sale, START, bought),
            Step({"order_line_items": [line("2", **row, **of)]}, START, outcome(items, query=free)),
        ]
        books.append(Book(state, steps))
    return books


def due(told: Told) -> list[Book]:
    """The invoice date plus the days of the term."""
    term = f"Net {told.inputs.take('net_days')}"
    asked = told.inputs.of("invoice_date")
    documents = [{"document": "invoice", **asked, **told.expected.of("due_date")}]
    items = [{"charge_number": "CHARGE", "amount": "100"}]
    return [
        Book("book", [Step(tables([once()], by=account(payment_term=term)), START, outcome(items, documents), asked)])
    ]


def rounded_values(told: Told) -> list[Book]:
    """Prices that have more decimals than the currency's increment allows."""
    both = enumerate(zip(told.inputs.take("values"), told.expected.take("values"), strict=True), 1)
    sold = [
        (once(charge_number=f"CHARGE-{n}", price=p), {"charge_number": f"CHARGE-{n}", "amount": a})
        for n, (p, a) in both
    ]
    step = Step(tables([s for s, _ in sold]), START, outcome([i for _, i in sold]))
    return [Book("book", [step], rounding(told.inputs))]


def numbers(told: Told) -> list[Book]:
    """The next number of the default sequence set; a book for each."""
    prefix = told.inputs.take("prefix")
    pairs = zip(told.inputs.take("sequence"), told.expected.take("numbers"), strict=True)
    sets = [({"name": "DEFAULT", "invoice_prefix": prefix, "invoice_start": n}, number) for n, number in pairs]
    return [
        Book(number, [Step(
            tables([once()], sequence_sets=[row]), START,
            outcome([{"charge_number": "CHARGE"}], [{"document": "invoice", "number": number}]),
        )])
        for row, number in sets
    ]  # fmt: skip


def run_day(told: Told) -> list[Book]:
    """Accounts whose bill cycle day is that of the run; the test sets the clock, which the command reads."""
    today = told.inputs.take("executed_on")
    days = list(map(int, told.expected.take("as_run_day").split(",")))
    names = {n: f"ACC-{n:02}" for n in range(1, 32)}
    sold: Tables = {
        "accounts": [account(account_number=name, bill_cycle_day=n) for n, name in names.items()],
        "subscriptions": [subscription(account_number=a, subscription_number=f"SUB-{n}") for n, a in names.items()],
        "rate_plan_charges": [once(charge_number=f"CHARGE-{n}", subscription_number=f"SUB-{n}") for n in names],
    }
    sold["rate_plan_charges"] = [{**row, "effective_start_date": today} for row in sold["rate_plan_charges"]]
    items = [{"charge_number": f"CHARGE-{n}"} for n in days]
    documents = [{"document": "invoice", "account_number": names[n]} for n in days]
    return [
        Book("book", [Step(sold, today, outcome(items, documents), {"bill_cycle_day": "AsRunDay", "today": today})])
    ]


def groups(told: Told) -> list[Book]:
    """Subscriptions with group numbers and billing attributes."""
    stated, subs = told.inputs.take("account"), told.inputs.take("subscriptions")
    by = account(bill_to_contact=stated["bill_to"], payment_term=stated["payment_term"])
    terms = {"bill_to": "bill_to_contact", "term": "payment_term", "group": "invoice_group_number"}
    rows = [subscription(subscription_number=s["no"], **{terms[k]: s[k] for k in terms}) for s in subs]
    sold = [once(charge_number=s["no"], subscription_number=s["no"]) for s in subs]
    last = told.expected.take("s006")
    documents = [
        {"document": "invoice", "charges": names, **(
            {"bill_to_contact": last["bill_to"], "payment_term": last["payment_term"]} if names == ["S006"] else {}
        )}
        for names in told.expected.take("invoices")
    ]  # fmt: skip
    first: Tables = {"accounts": [by], "subscriptions": rows, "rate_plan_charges": sold}
    done = outcome([{"charge_number": s["no"]} for s in subs], documents)
    return [Book("book", [Step(first, START, done)])]


def as_tables(told: Told) -> list[Book]:
    """A derived case whose inputs are rows already: what the columns here say is changed, step by step."""
    first = told.inputs.take("start", START)
    by, of = account(**told.inputs.take("account", {})), subscription(first, **told.inputs.take("subscription", {}))
    known: dict[tuple[str, int], Row] = {}
    steps, results = [], told.expected.take("steps")
    for n, (given, result) in enumerate(zip(told.inputs.take("steps"), results, strict=True)):
        stated = Stated(f"{told.case.id}, step {n + 1}", given)
        of = of | stated.take("subscription", {})
        rows = [row_of(known, row, first) for row in stated.take("charges", [])]
        loaded = {"accounts": [] if n else [by], "subscriptions": [of], "rate_plan_charges": rows}
        used = [{"account_number": "ACC", **r} for r in stated.take("usage", [])]
        done = {k: v for k, v in result.items() if k not in {"items", "documents"}}
        whole = outcome(result["items"], result.get("documents"), **done) if "items" in result else result
        steps.append(Step({**loaded, "usage": used}, stated.take("target_date"), whole, stated.of("invoice_date")))
        stated.close()
    settings, told.settings.left = told.settings.left, {}
    return [Book("book", steps, settings)]


def row_of(known: dict[tuple[str, int], Row], stated: Row, start: str) -> Row:
    """A charge's row: a new one, or the one before with changes."""
    changed = {name: json.dumps(value) if name == "tiers" else value for name, value in stated.items()}
    key = (stated.get("charge_number", "CHARGE"), stated.get("segment", 1))
    new = discount("", None, start) if "discount_percentage" in stated else charge(start)
    known[key] = known.get(key, new) | changed
    return known[key]


ENCODERS: Final[dict[str, Callable[[Told], list[Book]]]] = {
    "PRO-RATIO": ratio,
    "PRO-": partial,
    **dict.fromkeys(("PER-", "ALIGN-", "TIMING-"), grid),
    "TARGET-BCD": until_due,
    "TRIGGER-DAY-SEGMENTS": trigger_day,
    "END-DATE-FIXED": fixed_ends,
    "SERIES-SEMI": series,
    "SERIES-76": never_billed,
    "PTD-": progress,
    "CREDIT-": credit,
    "DISC-": discounts,
    "DISC-PCT-ROUNDING": rounded_discount,
    "CM-": model,
    "USAGE-GROUP-": usage_by_period,
    "USAGE-CLOSED": late_usage,
    "USAGE-ARREARS": usage_on_target,
    "DOC-NEG-": negative,
    "OLI-NEG-": negative_sales,
    "OLI-RETURN": returned,
    "DUE-NET": due,
    "ROUND-HALFUP": rounded_values,
    "NUMBER-PAD": numbers,
    "ASRUNDAY-": run_day,
    "GROUP-SUB": groups,
    "X-": as_tables,
}
"""How cases become tables, by what their ids begin with; the longest one counts."""

ENCODED: Final = {
    "PRO-RATIO": "The ratio is shown as an amount: the price is 100 times the least multiple of all denominators.",
    "PRO-WEEK": "The subscription is evergreen: a term of five weeks would end within the fifth full week (doc_issue).",
    "ALIGN-": "A charge ends with the last period that the case states, unless the first period is not stated.",
    "TARGET-BCD": "The text's 15 February is read as the target date up to which a first run has billed.",
    "TIMING-ARREARS": "A run up to the day before bills nothing, as the case's note says.",
    "END-DATE-FIXED": "Three subscriptions, monthly in advance; the third is renewed between two runs.",
    "SERIES-76": "The following period is a second run; there are no catch-up runs.",
    "PTD-": "The processed-through date is the first day of the last item; it is not stored.",
    "CREDIT-PERIOD": "The case states no price; it is 90 a quarter, and the credit's amount is not compared.",
    "CREDIT-PCT-DISCOUNT": "An annual charge; charge and discount both end with their removal.",
    "DISC-SEQ": "A one-time charge; the numbers of the discounts run against the order of their levels.",
    "DISC-STACK": "A one-time charge and discounts of its subscription; items of a stated total follow docs/rating.md.",
    "DISC-PCT-ROUNDING": "The option to take discounts from unrounded amounts does not exist.",
    "CM-FLAT": "One month; then a usage charge without usage, as the note says.",
    "CM-TIERED-FLAT": "A one-time Tiered charge; then usage that is TieredWithOverage, which has the overage price.",
    "CM-": "Bought once unless a period is stated; used within January 2024 unless a day is stated.",
    "USAGE-GROUP": "Records are found by their unit of measure; file and group are custom fields.",
    "USAGE-CLOSED": "Per unit; the record is loaded after the run and stays late.",
    "USAGE-ARREARS": "Per unit at 100; a run a month later bills the record.",
    "DOC-NEG-NOGROUP": "The amounts that include tax are billed, since there are no taxes.",
    "OLI-RETURN": "What is available for return is a query over the order lines; nothing fulfills in parts.",
    "ASRUNDAY": "One account for each bill cycle day. The command reads the clock, which the test sets.",
}
"""What the tables say that cases don't, by what ids begin with; the longest one counts."""


def beginning(case: Case, texts: Iterable[str]) -> str | None:
    """The longest of the texts with which a case's id begins."""
    return max((text for text in texts if case.id.startswith(text)), key=len, default=None)


def encode(case: Case) -> list[Book]:
    """The case as books; a fact that is stated and not used is an error."""
    told = Told(case, *(Stated(f"{case.id}, {n}", getattr(case, n)) for n in ("inputs", "expected", "settings")))
    name = beginning(case, ENCODERS)
    if name is None:
        raise ValueError(f"{case.id}: there is no rule for such a case")
    books = ENCODERS[name](told)
    for part in (told.inputs, told.expected, told.settings):
        part.close()
    return books


# The files


def status(case: Case) -> tuple[str, str | None]:
    """Whether a case can be billed now, later or not, and why not."""
    for name, reasons in (("waiting", WAITS_FOR), ("out_of_scope", OUT_OF_SCOPE)):
        if (key := beginning(case, reasons)) is not None:
            return name, reasons[key]
    return "runnable", None


def about(case: Case) -> Row:
    """Where a case comes from."""
    return {
        "id": case.id,
        "area": case.area,
        "kind": case.kind,
        "tier": case.tier,
        "origin": case.origin,
        "source_url": case.source_url,
    }


def encoded(case: Case, state: str = "runnable") -> str | None:
    """What the tables of a case that is billed say and the case doesn't."""
    name = beginning(case, ENCODED)
    return ENCODED[name] if name is not None and state == "runnable" else None


def write_case(case: Case, folder: Path) -> None:
    """Write the tables of every step once, and what is set, run and expected."""
    loaded: list[Tables] = []
    books = [book_of(book, loaded) for book in encode(case)]
    for n, one in enumerate(loaded):
        place = folder / folder_of(n, loaded)
        place.mkdir(parents=True, exist_ok=True)
        for table, rows in one.items():
            write_csv(rows, place / f"{table}.csv")
    for book in books:
        for step in book["steps"]:
            if "load" in step:
                step["load"] = folder_of(step["load"], loaded)
    remarks = {"assumed": case.assumed or None, "encoded": encoded(case)}
    notes = {"note": case.note or None, "doc_issue": case.doc_issue or None}
    flags = {"periods_recomputed": case.periods_recomputed or None}
    write_json(about(case) | {"books": books} | said(remarks | notes | flags), folder / "expected.json")


def folder_of(n: int, loaded: Sequence[Tables]) -> str:
    """A case with one set of tables has them beside its expected.json; others number them."""
    return "." if len(loaded) == 1 else str(n + 1)


def book_of(book: Book, loaded: list[Tables]) -> Row:
    """A book with its steps; `load` is the number of a set of tables."""
    steps = []
    for step in book.steps:
        rows = {name: table for name, table in step.tables.items() if table}
        if rows and rows not in loaded:
            loaded.append(rows)
        asked = {"target_date": step.target, "invoice_date": step.target, **step.asked}
        steps.append(({"load": loaded.index(rows)} if rows else {}) | {"run": asked} | step.outcome)
    return {"name": book.name} | ({"settings": book.settings} if book.settings else {}) | {"steps": steps}


def main(source: Path, out: Path = EXAMPLES) -> None:
    """Write a folder for every case that is or will be billed, and the list of all."""
    adapter, index = TypeAdapter(list[Case]), []
    for file in (source / "rating.json", EXAMPLES / "extra_cases.json"):
        for case in adapter.validate_json(file.read_bytes()):
            state, reason = status(case)
            index.append(said({**about(case), "status": state, "reason": reason, "encoded": encoded(case, state)}))
            folder = out / case.id
            shutil.rmtree(folder, ignore_errors=True)
            if state == "runnable":
                write_case(case, folder)
            elif state == "waiting":
                folder.mkdir(parents=True, exist_ok=True)
                write_json(
                    case.model_dump(mode="json", exclude_defaults=True) | {"waits_for": reason}, folder / "case.json"
                )
    write_json(index, out / "index.json")


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
