"""What a bill run must produce, worked out slowly: one row at a time, in plain Python.

Written from the rules (design sections 4, 5 and 7, and the vendor's facts that it cites), not from the code.
It shares nothing with billfold, so that a fault would have to be made twice to stay unseen.
"""

from __future__ import annotations

import calendar
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Row: TypeAlias = "Mapping[str, Any]"

INVOICE: Final = "invoice"
MEMO: Final = "credit memo"
ATTRIBUTES: Final = ("bill_to_contact", "payment_term", "invoice_template", "sequence_set", "communication_profile")
MONTHS: Final = {
    "Month": 1, "Quarter": 3, "Semi_Annual": 6, "Annual": 12, "Eighteen_Months": 18, "Two_Years": 24,
    "Three_Years": 36, "Five_Years": 60,
}  # fmt: skip
MINOR_UNITS: Final = {"JPY": 0, "KWD": 3, "CLF": 4}
"""Decimals of the currencies that the tests use and that have not two."""

MODES: Final = {"half_up": ROUND_HALF_UP, "up": ROUND_UP, "down": ROUND_DOWN}
LIMIT: Final = Decimal(10) ** 14
WHOLE: Final = Fraction(1)
FIELDS: Final = {
    ("Subscription", "AccountId"): "account_number",
    ("Subscription", "Name"): "subscription_number",
    ("Subscription", "SoldToContactId"): "sold_to_contact",
    ("Subscription", "TermType"): "term_type",
    ("RatePlanCharge", "ProductRatePlanChargeId"): "product_rate_plan_charge_id",
    ("RatePlanCharge", "BillingCycleDay"): "bill_cycle_day",
    ("RatePlanCharge", "BillingPeriod"): "billing_period",
    ("RatePlanCharge", "ChargeModel"): "charge_model",
    ("RatePlanCharge", "ChargeType"): "charge_type",
    ("OrderLineItem", "ItemName"): "item_name",
    ("OrderLineItem", "ItemNumber"): "item_number",
    ("OrderLineItem", "ItemType"): "item_type",
    ("OrderLineItem", "OrderId"): "order_number",
    ("OrderLineItem", "SoldToContactId"): "sold_to_contact",
}
"""Standard fields of configurable grouping (spec/grouping.md 1.3)."""

DEFAULTS: Final[Mapping[str, Row]] = {
    "accounts": {"bill_cycle_day": 1, "status": "Active"},
    "subscriptions": {"status": "Active", "term_type": "TERMED", "invoice_separately": False},
    "rate_plan_charges": {
        "segment": 1, "billing_timing": "IN_ADVANCE", "bill_cycle_type": "DefaultFromCustomer",
        "billing_period_alignment": "AlignToCharge", "list_price_base": "Per_Billing_Period",
        "trigger_event": "ContractEffective",
    },
    "order_line_items": {"item_category": "Sales", "item_state": "Executing", "item_type": "Product"},
}  # fmt: skip
"""What stands in for a blank (docs/tables.md)."""


class Item(NamedTuple):
    """One line of a document: what was billed, and for how much."""

    source: tuple[str, ...]
    first_day: date
    last_day: date
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    sold_to: str | None


class Document(NamedTuple):
    """One invoice or credit memo, without the names that a run gives it."""

    kind: str
    account: str
    currency: str
    attributes: tuple[str | None, ...]
    group_number: str | None
    group_value: str | None
    amount: Decimal
    items: frozenset[Item]


@dataclass(frozen=True)
class Outcome:
    """What a run makes: documents, and the accounts that it sets aside, wholly or in part."""

    documents: Counter[Document]
    parked: frozenset[str]


@dataclass
class Line:
    """One amount owed."""

    owner: str
    item: Item
    is_order: bool
    is_return: bool
    key: tuple[Any, ...] = ()
    spelling: str | None = None
    value: str | None = None
    charge: str = ""


@dataclass
class World:
    """A book as dicts of rows, with blanks filled and rows found by key."""

    accounts: dict[str, dict[str, Any]]
    subscriptions: dict[str, dict[str, Any]]
    charges: list[dict[str, Any]]
    order_lines: list[dict[str, Any]]
    settings: dict[str, str]
    default_grouping: Mapping[str, Any] | None
    own_grouping: dict[str, Mapping[str, Any]]
    troubles: set[str] = field(default_factory=set)


def run(book: Mapping[str, Any], target: date) -> Outcome:
    """The outcome of the first bill run of a book up to a target date."""
    world = _world(book)
    lines = [*_order_lines(world, target), *_charges(world, target)]
    lines = [line for line in lines if line.owner not in world.troubles]
    lines, parked = _without_negative_sales(lines, world.settings)
    documents = Counter(
        _document(kind, group) for group in _grouped(lines).values() for kind, group in _kinds(group, world.settings)
    )
    return Outcome(documents, frozenset(world.troubles | parked))


def _world(book: Mapping[str, Any]) -> World:
    own = {a: g["meta"] for g in book.get("own_groupings", ()) for a in g["accounts"]}
    default = book.get("default_grouping")
    return World(
        accounts={a["account_number"]: a for a in _filled(book, "accounts")},
        subscriptions={s["subscription_number"]: s for s in _filled(book, "subscriptions")},
        charges=_filled(book, "rate_plan_charges"),
        order_lines=_filled(book, "order_line_items"),
        settings=dict(book.get("settings", {})),
        default_grouping=default["meta"] if default else None,
        own_grouping=own,
    )


def _filled(book: Mapping[str, Any], table: str) -> list[dict[str, Any]]:
    """Rows with an empty text as a blank, except in custom fields, and with defaults for blanks."""
    rows = []
    for given in book.get(table, ()):
        row = {k: None if v == "" and not k.endswith("__c") else v for k, v in given.items()}
        rows.append({**row, **{k: v for k, v in DEFAULTS[table].items() if row.get(k) is None}})
    return rows


# --- what is owed -----------------------------------------------------------------------------------------------


def _order_lines(world: World, target: date) -> Iterable[Line]:
    """Sent to billing, and the target date has come (O3)."""
    for row in world.order_lines:
        owner = _active_owner(world, row)
        due = row["item_state"] == "SentToBilling" and _day(row, "bill_target_date") <= target
        if owner is None or not due:
            continue
        first = _first_of(row, "transaction_start_date", "transaction_date", "bill_target_date")
        last = _first_of(row, "transaction_end_date") or first
        assert first is not None
        assert last is not None
        quantity = Decimal(1) if row.get("quantity") is None else Decimal(row["quantity"])
        price = _unit_price(row)
        is_return = row["item_category"] == "Return"
        exact = quantity * price * (-1 if is_return else 1)
        source = ("order line", row["order_number"], row["item_number"])
        yield from _line(world, row, owner, (source, first, last, quantity, price, exact), is_return=is_return)


def _unit_price(row: Row) -> Decimal:
    """Its own, else the list price less the discount, in the nine decimals that an amount per unit has (O6)."""
    if row.get("amount_per_unit") is not None:
        return Decimal(row["amount_per_unit"])
    listed, discount = Decimal(row["list_price_per_unit"]), Decimal(row.get("discount") or 0)
    off = {"Percentage": listed * discount / 100, "FixedAmount": discount}.get(row.get("discount_type") or "")
    return (listed - (off or Decimal(0))).quantize(Decimal("1e-9"), ROUND_HALF_UP)


def _charges(world: World, target: date) -> Iterable[Line]:
    for row in world.charges:
        subscription = world.subscriptions[row["subscription_number"]]
        owner = _active_owner(world, subscription)
        if owner is None or subscription["status"] in {"Draft", "Expired"}:
            continue
        span = _span(row, subscription)
        if span is None or span[0] > target:
            continue
        if row["charge_type"] == "OneTime":
            yield from _one_time(world, row, owner, span[0])
        else:
            yield from _recurring(world, row, owner, span, target)


def _span(row: Row, subscription: Row) -> tuple[date, date] | None:
    """A segment's days, half-open; None when it has not been triggered or has no days (C5 to C8)."""
    start = _start(row, subscription)
    ends = [_first_of(row, "effective_end_date"), _first_of(subscription, "cancelled_date")]
    if subscription["term_type"] == "TERMED":
        ends.append(_first_of(subscription, "term_end_date"))
    end = min((e for e in ends if e is not None), default=date.max)
    return None if start is None or start >= end else (start, end)


def _start(row: Row, subscription: Row) -> date | None:
    """Its own date, else that of the triggering event; unused events default to the earlier one."""
    events = ["contract_effective_date", "service_activation_date", "customer_acceptance_date"]
    known = {"ContractEffective": 1, "ServiceActivation": 2, "CustomerAcceptance": 3}.get(row["trigger_event"], 0)
    return _first_of(row, "effective_start_date") or _first_of(subscription, *reversed(events[:known]))


def _one_time(world: World, row: Row, owner: str, day: date) -> Iterable[Line]:
    """Owed once, on the day that it is triggered (C14)."""
    if row.get("charged_through_date") is not None:
        return
    if row["charge_model"] not in {"FlatFee", "PerUnit"}:
        world.troubles.add(owner)
        return
    yield from _charge_line(world, row, owner, (day, day), Decimal(row["price"]))


def _recurring(world: World, row: Row, owner: str, span: tuple[date, date], target: date) -> Iterable[Line]:
    """Every period of the grid that is due and not billed; of a part of one its share (C11 to C15, C24)."""
    start, end = span
    if row.get("charged_through_date") is not None:
        start = max(start, _day(row, "charged_through_date"))
    if start >= end:
        return
    length = MONTHS.get(row.get("billing_period") or "", row.get("specific_billing_period") or 0)
    flat_usage = row["charge_type"] != "Usage" or row["charge_model"] == "FlatFee"
    if row["charge_model"] not in {"FlatFee", "PerUnit"} or not flat_usage or not length:
        world.troubles.add(owner)
        return
    in_arrears = row["charge_type"] == "Usage" or row["billing_timing"] == "IN_ARREARS"
    months = length if row["list_price_base"] == "Per_Month" else 1
    for first, following in _grid(world, row, owner, length, start):
        served = max(first, start), min(following, end)
        if served[0] >= end or (served[1] if in_arrears else served[0]) > target:
            return
        days = (served[0], served[1] - timedelta(days=1))
        part = _share(world, _cycle_day(world, row, owner), length, (first, following), served)
        yield from _charge_line(world, row, owner, days, Decimal(row["price"]) * months, part)


def _share(world: World, day: int, length: int, period: tuple[date, date], served: tuple[date, date]) -> Fraction:
    """What share of a period the served part of it is (P1 to P8)."""
    basis = world.settings.get("month_basis", "actual")
    if period == served:
        return Fraction(1)
    if length > 1 and world.settings.get("long_period_proration") == "by_day":
        whole = (period[1] - period[0]).days if basis == "actual" else 30 * length
        return min(Fraction((served[1] - served[0]).days, whole), Fraction(1))
    first = period[0].year * 12 + period[0].month - 1
    months = [(_on(m, day), _on(m + 1, day)) for m in range(first, first + length)]
    return sum((_of_month(basis, m, served) for m in months), Fraction(0)) / length


def _of_month(basis: str, month: tuple[date, date], served: tuple[date, date]) -> Fraction:
    """What share of one month of the grid was served."""
    start, end = max(month[0], served[0]), min(month[1], served[1])
    if start >= end:
        return Fraction(0)
    if (start, end) == month:
        return Fraction(1)
    if basis == "actual":
        return Fraction((end - start).days, (month[1] - month[0]).days)
    last = end - timedelta(days=1)
    if basis == "actual_360":
        used = (end - start).days
    else:
        to_day = 30 if end.day == 1 else min(last.day, 30)
        used = (last.year * 12 + last.month - start.year * 12 - start.month) * 30 + to_day - min(start.day, 30) + 1
    return min(Fraction(used, 30), Fraction(1))


def _grid(world: World, row: Row, owner: str, length: int, start: date) -> Iterable[tuple[date, date]]:
    """Billing periods from the one that holds `start`: anchor + k x length months, for k below zero too (C24)."""
    day, base = _cycle_day(world, row, owner), _base(world, row)
    month = base.year * 12 + base.month - 1
    if _on(month, day) < base:
        month += 1
    while _on(month, day) > start:
        month -= length
    while True:
        if _on(month + length, day) > start:
            yield _on(month, day), _on(month + length, day)
        month += length


def _on(month: int, day: int) -> date:
    """That day of a month counted from the year 0, or its last day if it is shorter; 31 is the last (C18)."""
    year, index = divmod(month, 12)
    return date(year, index + 1, min(day, calendar.monthrange(year, index + 1)[1]))


def _cycle_day(world: World, row: Row, owner: str) -> int:
    """From the charge, the subscription's start, the charge's trigger, or the invoice owner (C17, C19)."""
    days = {
        "SpecificDayofMonth": row.get("bill_cycle_day"),
        "SubscriptionStartDay": _subscription_start(world, row).day,
        "ChargeTriggerDay": _triggered(world, row).day,
    }
    return int(days.get(row["bill_cycle_type"]) or world.accounts[owner]["bill_cycle_day"])


def _base(world: World, row: Row) -> date:
    """Where the grid is anchored (C23)."""
    match row["billing_period_alignment"]:
        case "AlignToSubscriptionStart":
            return _subscription_start(world, row)
        case "AlignToTermStart":
            subscription = world.subscriptions[row["subscription_number"]]
            return _first_of(subscription, "term_start_date") or _subscription_start(world, row)
        case _:
            return _triggered(world, row)


def _subscription_start(world: World, row: Row) -> date:
    subscription = world.subscriptions[row["subscription_number"]]
    known = _first_of(subscription, "subscription_start_date", "contract_effective_date")
    return known or _triggered(world, row)


def _triggered(world: World, row: Row) -> date:
    """Start of the charge's first segment, which all of its segments share (C19)."""
    subscription = world.subscriptions[row["subscription_number"]]
    segments = (c for c in world.charges if c["charge_number"] == row["charge_number"])
    starts = (_start(c, subscription) for c in segments)
    return min(s for s in starts if s is not None)


def _charge_line(  # noqa: PLR0913, PLR0917 - one argument for each thing that is known of it
    world: World, row: Row, owner: str, days: tuple[date, date], price: Decimal, part: Fraction = WHOLE
) -> Iterable[Line]:
    quantity = Decimal(row["quantity"]) if row["charge_model"] == "PerUnit" else Decimal(1)
    source = ("charge", row["subscription_number"], row["charge_number"], str(row["segment"]))
    if abs(quantity * price) >= LIMIT:
        world.troubles.add(owner)
        return
    with localcontext(prec=80):
        exact = quantity * price * part.numerator / part.denominator
    yield from _line(world, row, owner, (source, *days, quantity, price, exact), is_return=False)


def _line(
    world: World,
    row: Row,
    owner: str,
    owed: tuple[tuple[str, ...], date, date, Decimal, Decimal, Decimal],
    *,
    is_return: bool,
) -> Iterable[Line]:
    """The line with its rounded amount and its group; one that is too large parks its account."""
    source, first, last, quantity, price, exact = owed
    carrier = world.subscriptions[row["subscription_number"]] if "charge_number" in row else row
    currency = carrier.get("currency") or world.accounts[owner]["currency"]
    if abs(exact) >= LIMIT:
        world.troubles.add(owner)
        return
    sold_to = _own(carrier, "sold_to_contact") or _own(world.accounts[carrier["account_number"]], "sold_to_contact")
    item = Item(source, first, last, quantity, price, rounded(exact, currency, world.settings), sold_to)
    line = Line(owner, item, "charge_number" not in row, is_return, charge=row.get("charge_number", ""))
    _put_key(world, row, carrier, line, currency)
    yield line


def rounded(amount: Decimal, currency: str, settings: Mapping[str, str]) -> Decimal:
    """To the currency's increment, once; half away from zero unless the mode says up or down (P14)."""
    unit = Decimal(1).scaleb(-MINOR_UNITS.get(currency, 2))
    increment = Decimal(settings.get(f"rounding_increment.{currency}", unit))
    with localcontext(prec=80):
        mode = MODES[settings.get("rounding_mode", "half_up")]
        return (amount / increment).to_integral_value(mode) * increment


# --- which lines share a document -------------------------------------------------------------------------------


def _put_key(world: World, row: Row, carrier: Row, line: Line, currency: str) -> None:
    """Every component of design section 4, by name of the rule."""
    account = world.accounts[line.owner]
    attributes = tuple(_own(carrier, a) or _own(account, a) or _builtin(a) for a in ATTRIBUTES)
    configuration = world.own_grouping.get(line.owner, world.default_grouping)
    values = _values(configuration, row, carrier)
    alone = bool(carrier.get("invoice_separately"))
    line.spelling = _own(carrier, "invoice_group_number")
    number = line.spelling.casefold() if line.spelling else None
    identity = line.item.source[:3] if line.is_order else line.item.source[:2]
    origin = "order" if line.is_order else "subscription"
    line.key = (
        line.owner,
        currency,
        attributes,
        identity if alone else None,
        None if alone else number,
        identity if not alone and not number and _separate(world, line.owner, configuration) else None,
        origin if not alone and world.settings.get("consolidate_invoices") == "no" else None,
        values,
    )
    shown = [v or "" for v in values or ()]
    line.value = None if values is None or all(v is None for v in values) else "_".join(shown)


def _builtin(attribute: str) -> str | None:
    return "DEFAULT" if attribute == "sequence_set" else None


def _values(configuration: Mapping[str, Any] | None, row: Row, carrier: Row) -> tuple[str | None, ...] | None:
    """The configured fields' values by position; None for a side without fields."""
    side = "subscriptionGroup" if "charge_number" in row else "orderLineItemGroup"
    entries = (configuration or {}).get(side) or []
    found = [(row if e["objectType"] == "RatePlanCharge" else carrier).get(_column(e)) for e in entries]
    return tuple(None if v is None else _text(v) for v in found) if entries else None


def _column(entry: Mapping[str, str]) -> str:
    return FIELDS.get((entry["objectType"], entry["field"]), entry["field"])


def _text(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _separate(world: World, owner: str, configuration: object) -> bool:
    """Whether lines without a group number stay alone (design section 4.4)."""
    policy = world.settings.get("ungrouped", "auto")
    if policy == "auto":
        return configuration is None and _has_numbers(world, owner)
    return policy == "separate"


def _has_numbers(world: World, owner: str) -> bool:
    active = [s for s in world.subscriptions.values() if s["status"] == "Active"]
    unbilled = [o for o in world.order_lines if o["item_state"] in {"Executing", "Booked", "SentToBilling"}]
    return any(_owner(c) == owner and _own(c, "invoice_group_number") for c in [*active, *unbilled])


def _grouped(lines: Sequence[Line]) -> dict[tuple[Any, ...], list[Line]]:
    groups: dict[tuple[Any, ...], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.key].append(line)
    return groups


# --- which document they make -----------------------------------------------------------------------------------


def _kinds(group: Sequence[Line], settings: Mapping[str, str]) -> Iterable[tuple[str, list[Line]]]:
    """The group's lines as its invoice and its credit memo, whichever of them there are."""
    for kind in (INVOICE, MEMO):
        lines = [line for line in group if _kind(line, group, settings) == kind]
        if lines:
            yield kind, lines


def _kind(line: Line, group: Sequence[Line], settings: Mapping[str, str]) -> str:
    """Returns are credited, sales invoiced; the rule decides about charges (I14, O7 to O9)."""
    if line.is_return or line.is_order:
        return MEMO if line.is_return else INVOICE
    rule = settings.get("document_type_rule", "net")
    if rule in {"negative_charges", "negative_and_zero_credits"}:
        return MEMO if line.item.amount < 0 else INVOICE
    others = [other for other in group if not other.is_return]
    with_sales = any(other.is_order for other in others)
    if with_sales or _sum(others) >= 0:
        return INVOICE
    of_charge = [other for other in others if other.charge == line.charge]
    return MEMO if rule == "net" or _sum(of_charge) < 0 else INVOICE


def _without_negative_sales(lines: Sequence[Line], settings: Mapping[str, str]) -> tuple[list[Line], set[str]]:
    """An invoice with sales that nets negative parks its account or, without consolidation, its order lines (O8)."""
    parked = set()
    for group in _grouped(lines).values():
        invoice = [line for line in group if _kind(line, group, settings) == INVOICE]
        if any(line.is_order for line in invoice) and _sum(invoice) < 0:
            parked.add(group[0].owner)
    only_orders = settings.get("consolidate_invoices") == "no"
    return [line for line in lines if line.owner not in parked or (only_orders and not line.is_order)], parked


def _document(kind: str, lines: Sequence[Line]) -> Document:
    sign = 1 if kind == INVOICE else -1
    items = frozenset(line.item._replace(amount=sign * line.item.amount) for line in lines)
    owner, currency, attributes, *_ = lines[0].key
    ordered = sorted(lines, key=_place)
    number = next((line.spelling for line in ordered if line.spelling), None)
    return Document(kind, owner, currency, attributes, number, lines[0].value, sign * _sum(lines), items)


def _place(line: Line) -> tuple[Any, ...]:
    """Charges before order lines (spec/grouping.md UC3), then by name and date; line 10 after line 9."""
    source = line.item.source
    if line.is_order:
        return (1, source[1], len(source[2]), source[2])
    return (0, *source[1:3], int(source[3]), line.item.first_day)


def _sum(lines: Iterable[Line]) -> Decimal:
    return sum((line.item.amount for line in lines), Decimal(0))


# --- small things -----------------------------------------------------------------------------------------------


def _owner(carrier: Row) -> str:
    return str(carrier.get("invoice_owner_account_number") or carrier["account_number"])


def _active_owner(world: World, carrier: Row) -> str | None:
    owner = _owner(carrier)
    return owner if world.accounts[owner]["status"] == "Active" else None


def _own(row: Row, column: str) -> str | None:
    return (row.get(column) or "").strip() or None


def _first_of(row: Row, *names: str) -> date | None:
    return next((date.fromisoformat(row[n]) for n in names if row.get(n) is not None), None)


def _day(row: Row, name: str) -> date:
    return date.fromisoformat(row[name])
