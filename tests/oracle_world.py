"""A book as plain rows, what was billed from it before, and which days a charge segment serves."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from oracle_money import first_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oracle_money import Row

Segment: TypeAlias = tuple[str, int]
"""A charge number and a segment."""

MONTHS: Final = {
    "Month": 1, "Quarter": 3, "Semi_Annual": 6, "Annual": 12, "Eighteen_Months": 18, "Two_Years": 24,
    "Three_Years": 36, "Five_Years": 60,
}  # fmt: skip
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ONE_DAY: Final = timedelta(days=1)

DEFAULTS: Final[Mapping[str, Row]] = {
    "accounts": {"bill_cycle_day": 1, "status": "Active"},
    "subscriptions": {"status": "Active", "term_type": "TERMED", "invoice_separately": False},
    "rate_plan_charges": {
        "segment": 1, "billing_timing": "IN_ADVANCE", "bill_cycle_type": "DefaultFromCustomer",
        "billing_period_alignment": "AlignToCharge", "list_price_base": "Per_Billing_Period",
        "trigger_event": "ContractEffective", "is_stacked_discount": False,
    },
    "usage": {},
    "order_line_items": {"item_category": "Sales", "item_state": "Executing", "item_type": "Product"},
}  # fmt: skip
"""What stands in for a blank (docs/tables.md)."""


class Item(NamedTuple):
    """One line of a document: what was billed, and for how much; `applied_to` is a charge, segment and first day."""

    source: tuple[str, ...]
    first_day: date
    last_day: date
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Decimal
    sold_to: str | None
    applied_to: tuple[str, int, date] | None = None


@dataclass
class Billed:
    """An item of an earlier run: its days [first, end), those not credited yet, and what is left of its amount."""

    first: date
    end: date
    kept_from: date
    kept_to: date
    amount: Decimal
    left: Decimal
    given: dict[Segment, Decimal] = field(default_factory=dict)
    """What each discount took off so far."""


@dataclass
class Progress:
    """How far a charge segment was billed, and on what."""

    items: list[Billed] = field(default_factory=list)
    through: date | None = None
    terms: tuple[Any, ...] | None = None


@dataclass
class State:
    """What a book remembers between runs; a new one has billed nothing."""

    segments: dict[Segment, Progress] = field(default_factory=dict)
    order_lines: set[tuple[str, str]] = field(default_factory=set)
    usage: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)

    def commit(self, outcome: Any) -> None:  # noqa: ANN401 - an outcome holds a state
        """Remember what a run billed."""
        after = outcome.after
        self.segments, self.order_lines, self.usage, self.late = (
            after.segments, after.order_lines, after.usage, after.late,
        )  # fmt: skip


@dataclass
class Line:
    """One amount owed: `row` is the charge (of a discount: the one that it reduces) or the order line."""

    owner: str
    item: Item
    row: Row
    carrier: Row
    currency: str
    lead: Decimal = Decimal(0)
    """The amount that decides on its document: its own, or that of the line that it reduces."""
    billed: Billed | None = None
    unused: Decimal | None = None
    """Of a credit: the amount that was not used."""
    is_credit: bool = False
    key: tuple[Any, ...] = ()
    spelling: str | None = None
    value: str | None = None

    @property
    def is_order(self) -> bool:
        """Whether it is an order line's."""
        return "charge_number" not in self.row

    @property
    def is_return(self) -> bool:
        """Whether it gives back what was sold."""
        return self.row.get("item_category") == "Return"


@dataclass
class World:
    """A book as dicts of rows, with blanks filled and rows found by key."""

    accounts: dict[str, dict[str, Any]]
    subscriptions: dict[str, dict[str, Any]]
    charges: list[dict[str, Any]]
    usage: list[dict[str, Any]]
    order_lines: list[dict[str, Any]]
    settings: dict[str, str]
    default_grouping: Mapping[str, Any] | None
    own_grouping: dict[str, Mapping[str, Any]]
    state: State
    troubles: set[str] = field(default_factory=set)
    used: dict[Segment, list[dict[str, Any]]] = field(default_factory=dict)
    """Usage that waits for its segment's period."""
    late: set[str] = field(default_factory=set)
    processed: dict[str, str] = field(default_factory=dict)
    """Usage that this run bills, and whom."""

    def subscription(self, row: Row) -> dict[str, Any]:
        """The subscription of a charge."""
        return self.subscriptions[row["subscription_number"]]


def world_of(book: Mapping[str, Any], state: State) -> World:
    """The book with what it remembers."""
    groupings = {a: g["meta"] for g in book.get("own_groupings", ()) for a in g["accounts"]}
    default = book.get("default_grouping")
    return World(
        accounts={a["account_number"]: a for a in _filled(book, "accounts")},
        subscriptions={s["subscription_number"]: s for s in _filled(book, "subscriptions")},
        charges=_filled(book, "rate_plan_charges"),
        usage=_filled(book, "usage"),
        order_lines=_filled(book, "order_line_items"),
        settings=dict(book.get("settings", {})),
        default_grouping=default["meta"] if default else None,
        own_grouping=groupings,
        state=state,
    )


def _filled(book: Mapping[str, Any], table: str) -> list[dict[str, Any]]:
    """Rows with an empty text as a blank, except in custom fields, and with defaults for blanks."""
    rows = []
    for given in book.get(table, ()):
        row = {k: None if v == "" and not k.endswith("__c") else v for k, v in given.items()}
        rows.append({**row, **{k: v for k, v in DEFAULTS[table].items() if row.get(k) is None}})
    return rows


def segment_of(row: Row) -> Segment:
    """A charge segment's key."""
    return row["charge_number"], row["segment"]


# --- whom and when ----------------------------------------------------------------------------------------------


def owner_of(carrier: Row) -> str:
    """The account that gets the documents."""
    return str(carrier.get("invoice_owner_account_number") or carrier["account_number"])


def active_owner(world: World, carrier: Row) -> str | None:
    """That account, if it is billed at all."""
    owner = owner_of(carrier)
    return owner if world.accounts[owner]["status"] == "Active" else None


def payer(world: World, row: Row) -> str | None:
    """Who pays for a charge; None where its subscription can't be billed (B23)."""
    subscription = world.subscription(row)
    return None if subscription["status"] in {"Draft", "Expired"} else active_owner(world, subscription)


def start_of(world: World, row: Row) -> date | None:
    """Its own date, else that of the triggering event; unused events default to the earlier one (C5)."""
    events = ["contract_effective_date", "service_activation_date", "customer_acceptance_date"]
    known = {"ContractEffective": 1, "ServiceActivation": 2, "CustomerAcceptance": 3}.get(row["trigger_event"], 0)
    return first_of(row, "effective_start_date") or first_of(world.subscription(row), *reversed(events[:known]))


def stop_of(world: World, row: Row) -> date:
    """When the charge was ended or its subscription canceled, exclusive."""
    ends = (first_of(row, "effective_end_date"), first_of(world.subscription(row), "cancelled_date"))
    return min((e for e in ends if e is not None), default=date.max)


def end_of(world: World, row: Row) -> date:
    """When it stops to serve, exclusive (C7, C8)."""
    subscription = world.subscription(row)
    term = first_of(subscription, "term_end_date") if subscription["term_type"] == "TERMED" else None
    return min(stop_of(world, row), term or date.max)


def serves_on(world: World, row: Row, when: date) -> bool:
    """Whether a segment serves on a day."""
    start = start_of(world, row)
    return start is not None and start <= when < end_of(world, row)


# --- billing periods --------------------------------------------------------------------------------------------


class Grid(NamedTuple):
    """Periods are anchor + k lengths: months from the year 0 on a day of the month, or days (C24)."""

    anchor: int
    length: int
    day: int | None

    def period(self, number: int) -> tuple[date, date]:
        """The first day of a period and that of the next one."""
        return self.boundary(number), self.boundary(number + 1)

    def boundary(self, number: int) -> date:
        """The first day of a period."""
        place = self.anchor + number * self.length
        return date.fromordinal(place) if self.day is None else on(place, self.day)

    def holding(self, when: date) -> int:
        """The number of the period that holds a day."""
        place = when.toordinal() if self.day is None else when.year * 12 + when.month - 1
        number = (place - self.anchor) // self.length
        return number if self.boundary(number) <= when else number - 1


def on(month: int, day: int) -> date:
    """That day of a month counted from the year 0, or its last day if it is shorter; 31 is the last (C18)."""
    year, index = divmod(month, 12)
    return date(year, index + 1, min(day, calendar.monthrange(year, index + 1)[1]))


def grid_of(world: World, row: Row, owner: str) -> Grid | None:
    """The charge's grid; None where its periods can't be reckoned (C17 to C26)."""
    period, specific = row.get("billing_period"), row.get("specific_billing_period") or 0
    months = specific if period == "Specific_Months" else MONTHS.get(period or "", 0)
    days = {"Week": 7, "Specific_Weeks": 7 * specific, "Specific_Days": specific}.get(period or "", 0)
    base, listed = _base(world, row), row["list_price_base"]
    if base is None:
        return None
    if months and listed in {"Per_Billing_Period", "Per_Month"}:
        return _monthly(base, months, _cycle_day(world, row, owner))
    weekly = listed == "Per_Week" and period != "Specific_Days"
    if days and (listed == "Per_Billing_Period" or weekly):
        return _daily(base, days, base.weekday() if period == "Specific_Days" else _weekday(world, row, base))
    return None


def _monthly(base: date, months: int, day: int | None) -> Grid | None:
    if day is None:
        return None
    month = base.year * 12 + base.month - 1
    return Grid(month if on(month, day) >= base else month + 1, months, day)


def _daily(base: date, days: int, weekday: int | None) -> Grid | None:
    if weekday is None:
        return None
    anchor = next(d for d in range(base.toordinal(), base.toordinal() + 7) if date.fromordinal(d).weekday() == weekday)
    return Grid(anchor, days, None)


def _cycle_day(world: World, row: Row, owner: str) -> int | None:
    """From the charge, the invoice owner, or one of the dates that a day can be taken from (C17, C19)."""
    match row["bill_cycle_type"]:
        case "SpecificDayofMonth":
            return int(row["bill_cycle_day"])
        case "DefaultFromCustomer":
            return int(world.accounts[owner]["bill_cycle_day"])
        case _:
            named = _named_date(world, row)
            return named.day if named else None


def _weekday(world: World, row: Row, base: date) -> int | None:
    """The day that weeks begin on, Monday is 0."""
    match row["bill_cycle_type"]:
        case "SpecificDayofWeek":
            return WEEKDAYS.index(row["weekly_bill_cycle_day"])
        case "DefaultFromCustomer":
            return base.weekday()
        case _:
            named = _named_date(world, row)
            return named.weekday() if named else None


def _named_date(world: World, row: Row) -> date | None:
    """The date that a bill cycle type names; the end of the term is the first day after it."""
    match row["bill_cycle_type"]:
        case "SubscriptionStartDay":
            return _subscription_start(world, row)
        case "ChargeTriggerDay":
            return _triggered(world, row)
        case "TermStartDay":
            return _term_start(world, row)
        case "TermEndDay":
            return first_of(world.subscription(row), "term_end_date")
        case _:
            return None


def _base(world: World, row: Row) -> date | None:
    """Where the grid is anchored (C23)."""
    match row["billing_period_alignment"]:
        case "AlignToSubscriptionStart":
            return _subscription_start(world, row)
        case "AlignToTermStart":
            return _term_start(world, row)
        case "AlignToTermEnd":
            return first_of(world.subscription(row), "term_end_date")
        case _:
            return _triggered(world, row)


def _term_start(world: World, row: Row) -> date:
    return first_of(world.subscription(row), "term_start_date") or _subscription_start(world, row)


def _subscription_start(world: World, row: Row) -> date:
    known = first_of(world.subscription(row), "subscription_start_date", "contract_effective_date")
    return known or _triggered(world, row)


def _triggered(world: World, row: Row) -> date:
    """Start of the charge's first segment, which all of its segments share (C19)."""
    starts = (start_of(world, c) for c in world.charges if c["charge_number"] == row["charge_number"])
    return min(s for s in starts if s is not None)


# --- parts of periods -------------------------------------------------------------------------------------------


def share(world: World, grid: Grid, period: tuple[date, date], served: tuple[date, date]) -> Fraction:
    """What share of a period the served part of it is (P1 to P8)."""
    basis = world.settings.get("month_basis", "actual")
    if period == served:
        return Fraction(1)
    if grid.day is None:
        return Fraction((served[1] - served[0]).days, grid.length)
    if grid.length > 1 and world.settings.get("long_period_proration") == "by_day":
        whole = (period[1] - period[0]).days if basis == "actual" else 30 * grid.length
        return min(Fraction((served[1] - served[0]).days, whole), Fraction(1))
    first = period[0].year * 12 + period[0].month - 1
    months = [(on(m, grid.day), on(m + 1, grid.day)) for m in range(first, first + grid.length)]
    return sum((_of_month(basis, m, served) for m in months), Fraction(0)) / grid.length


def _of_month(basis: str, month: tuple[date, date], served: tuple[date, date]) -> Fraction:
    """What share of one month of the grid was served."""
    start, end = max(month[0], served[0]), min(month[1], served[1])
    if start >= end:
        return Fraction(0)
    if (start, end) == month:
        return Fraction(1)
    if basis == "actual":
        return Fraction((end - start).days, (month[1] - month[0]).days)
    last = end - ONE_DAY
    if basis == "actual_360":
        used = (end - start).days
    else:
        to_day = 30 if end.day == 1 else min(last.day, 30)
        used = (last.year * 12 + last.month - start.year * 12 - start.month) * 30 + to_day - min(start.day, 30) + 1
    return min(Fraction(used, 30), Fraction(1))
