"""What schedules bill, worked out slowly by docs/schedules.md. Nothing here is billfold's. Ends are exclusive."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DAY: Final = timedelta(days=1)
THIRTY: Final = 30
Told = tuple[str, date, date, Fraction]
"""What an item bills: charge, first and last day (inclusive), amount."""


# --- days and amounts -------------------------------------------------------------------------------------------


def months_on(day: date, months: int) -> date:
    """The same day some months later, or the last one of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def months_between(start: date, end: date, basis: str) -> Fraction:
    """Months from a day up to another: whole ones, and days of the month that comes next."""
    whole = 0
    while months_on(start, whole + 1) <= end:
        whole += 1
    rest = (end - months_on(start, whole)).days
    length = (months_on(start, whole + 1) - months_on(start, whole)).days if basis == "actual" else THIRTY
    return whole + min(Fraction(rest, length), Fraction(1))


def rounded(amount: Fraction, step: Fraction, mode: str = "half_up") -> Fraction:
    """An amount in whole steps; signs do not matter."""
    steps = abs(amount) / step
    whole = {"half_up": floor(steps + Fraction(1, 2)), "up": ceil(steps), "down": floor(steps)}[mode]
    return step * whole * (-1 if amount < 0 else 1)


# --- what is scheduled ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Segment:
    """A charge at one price, for a span of so many months."""

    start: date
    end: date
    price: Fraction
    base: int = 12


@dataclass
class Charge:
    """What is sold: a one-time charge has one segment, whose end says nothing."""

    number: str
    segments: Sequence[Segment]
    once: bool = False
    off: Sequence[Fraction] = ()
    """Percentages of its discounts."""

    cut: date | None = None
    """From here on it is not served any more."""

    def units(self, basis: str) -> list[Unit]:
        """Consecutive segments at one price, as far as they are served."""
        if self.once:
            (only,) = self.segments
            return [Unit(self, only.start, only.start + DAY, Fraction(0), only.price * self.kept)]
        spans: list[list[Segment]] = []
        for segment in self.segments:
            last = spans[-1][-1] if spans else None
            if last and (last.price, last.base, last.end) == (segment.price, segment.base, segment.start):
                spans[-1].append(segment)
            else:
                spans.append([segment])
        return [self._unit(span[0], span[-1].end, basis) for span in spans]

    def _unit(self, first: Segment, end: date, basis: str) -> Unit:
        stop = max(min(end, self.cut or end), first.start)
        months = months_between(first.start, stop, basis)
        return Unit(self, first.start, stop, months, first.price * months / first.base * self.kept)

    @property
    def kept(self) -> Fraction:
        """What its discounts leave of it: their percentages add up."""
        return 1 - sum(self.off, Fraction(0)) / 100


@dataclass
class Unit:
    """What is consumed together: a charge at one price."""

    charge: Charge
    first: date
    stop: date
    months: Fraction
    exact: Fraction
    total: Fraction = Fraction(0)
    billed: Fraction = Fraction(0)

    @property
    def last(self) -> date:
        return self.stop - DAY

    @property
    def left(self) -> Fraction:
        return self.total - self.billed


@dataclass(frozen=True)
class Rules:
    """Settings, and the smallest step of the currency."""

    step: Fraction = Fraction(1, 100)
    consumption: str = "union_term"
    basis: str = "actual"
    rounding: str = "half_up"


# --- groups and shares ------------------------------------------------------------------------------------------


def groups(units: Sequence[Unit], consumption: str) -> list[list[Unit]]:
    """Units that are consumed together, in the order of their groups; of the others there is nothing to consume."""
    found = [[u] for u in units if u.total]
    while (pair := _joined(found, consumption)) is not None:
        one, other = pair
        found[one] += found[other]
        del found[other]
    return sorted(found, key=lambda g: min(u.first for u in g))


def _joined(found: Sequence[Sequence[Unit]], consumption: str) -> tuple[int, int] | None:
    for one, group in enumerate(found):
        for other, candidates in enumerate(found):
            if one != other and _belong(group, candidates, consumption):
                return one, other
    return None


def _belong(group: Sequence[Unit], others: Sequence[Unit], consumption: str) -> bool:
    """Whether some unit of the others shares a first or a last day with the group, or lies inside its span."""
    if consumption == "start_date":
        return group[0].first == others[0].first
    first, last = min(u.first for u in group), max(u.last for u in group)
    ends = {u.first for u in group}, {u.last for u in group}
    return any(u.first in ends[0] or u.last in ends[1] or (first <= u.first and u.last <= last) for u in others)


def shares(amount: Fraction, group: Sequence[Unit], order: Sequence[str], rules: Rules) -> dict[str, Fraction]:
    """An amount shared by what is left of each charge of a group."""
    left: dict[str, Fraction] = {}
    for unit in sorted(group, key=lambda u: order.index(u.charge.number)):
        left[unit.charge.number] = left.get(unit.charge.number, Fraction(0)) + max(unit.left, Fraction(0))
    whole = sum(left.values())
    if amount == whole:
        return left
    found = {c: rounded(amount * own / whole, rules.step, rules.rounding) for c, own in left.items()}
    rest = amount - sum(found.values())
    for charge in _takers(group, list(left)):
        room = left[charge] - found[charge] if rest > 0 else -found[charge]
        taken = min(room, rest) if rest > 0 else max(room, rest)
        found[charge] += taken
        rest -= taken
    assert not rest
    return found


def _takers(group: Sequence[Unit], order: Sequence[str]) -> list[str]:
    """Who takes the cents that are left over: of what is left, the last charge that begins first, then the others."""
    begins = min(u.first for u in group if u.left > 0)
    first = max((u.charge.number for u in group if u.left > 0 and u.first == begins), key=order.index)
    return [first, *(c for c in order if c != first)]


# --- days of service --------------------------------------------------------------------------------------------


def served(unit: Unit, before: Fraction, after: Fraction, basis: str) -> tuple[date, date]:
    """First and last day of what is billed of a unit between two sums."""
    if unit.charge.once:
        return unit.first, unit.first
    end, in_part = _used(unit, before, basis)
    start = end - DAY if in_part else end
    if after == unit.total:
        return min(start, unit.last), unit.last
    last = _used(unit, after, basis)[0] - DAY
    return min(start, last), last


def _used(unit: Unit, billed: Fraction, basis: str) -> tuple[date, bool]:
    """Up to which day a sum reaches, exclusive, and whether the day before is used in part only."""
    months = billed / unit.total * unit.months
    begun, next_month = months_on(unit.first, floor(months)), months_on(unit.first, floor(months) + 1)
    days = (months - floor(months)) * ((next_month - begun).days if basis == "actual" else THIRTY)
    return min(begun + ceil(days) * DAY, next_month, unit.stop), days.denominator != 1


# --- schedules --------------------------------------------------------------------------------------------------


@dataclass
class Bill:
    """What an item billed of a unit: its days, and what credits have left of its amount."""

    unit: Unit
    first: date
    last: date
    amount: Fraction
    left: Fraction

    @property
    def told(self) -> Told:
        return self.unit.charge.number, self.first, self.last, self.amount


@dataclass
class Item:
    """What is planned for one date, and what became of it."""

    planned: Fraction
    percentage: Fraction | None = None
    takes: Fraction = Fraction(0)
    """What it takes if it is not the last one and enough is left."""

    actual: Fraction | None = None
    """What it billed; none before it is processed."""

    bills: list[Bill] = field(default_factory=list)
    credits: list[tuple[Bill, Fraction]] = field(default_factory=list)
    """Earlier bills that it credits, and how much of each."""

    free: list[Told] = field(default_factory=list)
    """Lines of 0."""

    @property
    def lines(self) -> list[Told]:
        return sorted([*(b.told for b in self.bills), *self.free])


class Schedule:
    """Charges in the order of the request, and items in the order of their dates."""

    def __init__(
        self,
        charges: Sequence[Charge],
        rules: Rules,
        *,
        amounts: Sequence[Fraction] = (),
        percentages: Sequence[Fraction] = (),
    ) -> None:
        self.charges, self.rules = charges, rules
        self.order = [c.number for c in charges]
        self.units = [u for c in charges for u in c.units(rules.basis)]
        self.total = self._weigh()
        self.items = [Item(a, None, a) for a in amounts] + [Item(Fraction(0), p) for p in percentages]
        for item, amount in zip(self.items, self._shared(), strict=False):
            item.planned = amount

    # What there is to bill.

    def _weigh(self) -> Fraction:
        """Give each unit its total; returns that of the schedule, whose cents the last priced unit takes."""
        step, mode = self.rules.step, self.rules.rounding
        for unit in self.units:
            unit.total = rounded(unit.exact, step, mode)
        whole = rounded(sum((u.exact for u in self.units), Fraction(0)), step, mode)
        priced = [u for u in self.units if u.exact]
        if priced:
            priced[-1].total += whole - self.actual
        return whole

    def of(self, charge: str) -> list[Unit]:
        """The units of a charge in order of time."""
        return [u for u in self.units if u.charge.number == charge]

    def cut(self, charge: str, day: date) -> None:
        """An order ends a charge: what it is to bill follows, what was planned stays."""
        (found,) = [c for c in self.charges if c.number == charge]
        found.cut = day
        for unit in self.of(charge):
            now = next(u for u in found.units(self.rules.basis) if u.first == unit.first)
            unit.stop, unit.months, unit.exact = now.stop, now.months, now.exact
        self._weigh()

    @property
    def is_even(self) -> bool:
        """Whether no cent had to be moved for the units to add up to the schedule."""
        step, mode = self.rules.step, self.rules.rounding
        return all(u.total == rounded(u.exact, step, mode) for u in self.units)

    @property
    def actual(self) -> Fraction:
        return sum((u.total for u in self.units), Fraction(0))

    @property
    def billed(self) -> Fraction:
        return sum((u.billed for u in self.units), Fraction(0))

    def of_charge(self, charge: str) -> tuple[Fraction, Fraction]:
        """What is to be billed of a charge in all, and what was."""
        units = self.of(charge)
        return sum((u.total for u in units), Fraction(0)), sum((u.billed for u in units), Fraction(0))

    # What items bill.

    def expected(self) -> list[Fraction]:
        """What each item billed or is going to bill: in order, the last one whatever is left."""
        pending = [i for i in self.items if i.actual is None]
        if len(pending) == len(self.items) and pending[0].percentage is not None:
            return self._shared()
        left, found = self.actual - self.billed, []
        for item in pending:
            found.append(left if item is pending[-1] else min(item.takes, left))
            left -= found[-1]
        return [i.actual for i in self.items if i.actual is not None] + found

    def _shared(self) -> list[Fraction]:
        """The percentages of what is to be billed, each rounded; the last one takes the rest."""
        *some, _ = shared = [i.percentage for i in self.items if i.percentage is not None] or [Fraction(0)]
        if len(shared) != len(self.items):
            return []
        found = [rounded(self.actual * p / 100, self.rules.step, self.rules.rounding) for p in some]
        return [*found, self.actual - sum(found)]

    def bill(self) -> Item:
        """Process the next pending item."""
        expected = self.expected()
        if all(i.actual is None for i in self.items):
            for item, amount in zip(self.items, expected, strict=True):
                item.takes = item.takes if item.percentage is None else amount
        place = next(n for n, i in enumerate(self.items) if i.actual is None)
        item = self.items[place]
        item.actual = expected[place]
        self._credit(item)
        self._consume(item, item.actual + sum((amount for _, amount in item.credits), Fraction(0)))
        item.free = self._free(item)
        return item

    def settle(self) -> Item:
        """What is credited when no item is pending; it counts for the last one."""
        item, last = Item(Fraction(0)), self.items[-1]
        self._credit(item)
        last.actual = (last.actual or Fraction(0)) - sum(amount for _, amount in item.credits)
        return item

    def _credit(self, item: Item) -> None:
        """What was billed of a charge beyond its total, newest bills first, none beyond its amount."""
        earlier = [b for i in self.items if i is not item for b in i.bills]
        for charge in self.order:
            due = -sum((u.left for u in self.of(charge)), Fraction(0))
            for bill in reversed([b for b in earlier if b.unit.charge.number == charge]):
                amount = min(bill.left, max(due, Fraction(0)))
                if amount:
                    bill.left -= amount
                    bill.unit.billed -= amount
                    due -= amount
                    item.credits.append((bill, amount))

    def _consume(self, item: Item, amount: Fraction) -> None:
        """Group by group; within one, each charge fills its units in order of time."""
        for group in groups(self.units, self.rules.consumption):
            takes = min(amount, sum((max(u.left, Fraction(0)) for u in group), Fraction(0)))
            amount -= takes
            for charge, share in (shares(takes, group, self.order, self.rules) if takes else {}).items():
                item.bills += self._filled(sorted((u for u in group if u.charge.number == charge), key=_first), share)

    def _filled(self, units: Iterable[Unit], share: Fraction) -> Iterable[Bill]:
        for unit in units:
            takes = min(share, max(unit.left, Fraction(0)))
            if takes:
                days = served(unit, unit.billed, unit.billed + takes, self.rules.basis)
                unit.billed += takes
                yield Bill(unit, *days, takes, takes)
            share -= takes

    def _free(self, item: Item) -> list[Told]:
        """Units without a price serve the days of the others, as far as these are their own."""
        if not item.bills:
            return []
        first, last = min(b.first for b in item.bills), max(b.last for b in item.bills)
        found = []
        for unit in (u for u in self.units if not u.total):
            days = max(first, unit.first), min(last, unit.last)
            if days[0] <= days[1]:
                found.append((unit.charge.number, *days, Fraction(0)))
        return found


def _first(unit: Unit) -> date:
    return unit.first
