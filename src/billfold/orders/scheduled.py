"""What orders may do to charges that an invoice schedule bills (spec/schedules.md 5.7; docs/schedules.md, "Changes").

Each action is judged by what it did in the register: the days on which a scheduled charge served, and on what terms,
before it and after it. Days from the end of what the schedule covers on are free to change.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from billfold.orders.errors import OrderError
from billfold.orders.steps import start_of
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from billfold.book import State
    from billfold.orders.action_models import OrderAction, UpdateProduct
    from billfold.orders.register import Register, Row

_NO_TERMS: Final = {"segment", "effective_start_date", "effective_end_date", "charged_through_date"}
"""Columns of charges that say when, not what for how much."""

_DAY: Final = timedelta(days=1)
_SHOWN: Final = 3
"""How many subscriptions one sentence names."""


class Link(NamedTuple):
    """A charge that a schedule bills: from a day up to another, exclusive."""

    schedule: str
    charge: str
    subscription: str
    first: date
    end: date
    is_discount: bool = False
    """Whether it is a discount that comes along with a scheduled charge."""


class Span(NamedTuple):
    """Days on which a charge serves, the end exclusive; its terms, and its custom fields."""

    start: date
    end: date
    is_once: bool
    terms: tuple[Any, ...]
    labels: tuple[Any, ...]


Seen = dict[str, list[Span]]
"""When and how the scheduled charges of a subscription serve."""


@dataclass(frozen=True)
class Standing:
    """How far a schedule is, and the subscriptions whose charges it bills."""

    is_begun: bool
    is_done: bool
    unbilled: Decimal
    subscriptions: frozenset[str]


@dataclass(frozen=True)
class Scheduled:
    """Charges that schedules bill, by subscription; empty where nothing is scheduled."""

    links: Mapping[str, Sequence[Link]] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)
    stored: Mapping[str, Seen] = field(default_factory=dict)
    """The charges as the book has them, by subscription: orders of this register may have changed some since."""

    credits_once: bool = False

    @classmethod
    def of(cls, register: Register, subscriptions: Iterable[str]) -> Scheduled:
        """What schedules bill of some subscriptions, all of whose charges are in the register."""
        state = register.state
        touched = _links(state, "subscription_number", subscriptions)
        if not touched:
            return cls()
        links = _by(touched, "subscription")
        numbers = {link.schedule for link in touched}
        stored = {number: _seen(register, number, of) for number, of in links.items()}
        settings = dict(collected(state.read("settings").select("name", "value")).iter_rows())
        return cls(links, _standings(state, numbers), stored, settings.get("credit_one_time") == "yes")

    def is_settled(self, register: Register, schedule: str) -> bool:
        """Whether a schedule has billed everything, and no order of this register has changed what it is."""
        standing = self.standings[schedule]
        if standing.unbilled or not standing.is_done:
            return False
        for number, links in self.links.items():
            own = [link for link in links if link.schedule == schedule]
            before, now = self.stored[number], _seen(register, number, own)
            if any(_covered(before[link.charge], link) != _covered(now[link.charge], link) for link in own):
                return False
        return True


class Watch:
    """Looks at the scheduled charges of one subscription, while an order acts on it."""

    def __init__(self, register: Register, subscription: str) -> None:
        """Begin with how they are before the order."""
        self._register, self._subscription = register, subscription
        priced = register.scheduled.links.get(subscription, ())
        self._links = (*priced, *_discounts(register, priced))
        self._seen = self._look()
        self._parties = self._owner_and_payer()
        self._extended: list[tuple[str, Link, date]] = []
        self.moved: str | None = None
        """The path of the action that gave the subscription to another account, if one did."""

    def did(self, path: str, action: OrderAction, day: date | None) -> None:
        """Judge an action that has just been done, effective on a day.

        Raises:
            OrderError: a schedule forbids it.
        """
        if not self._links:
            return
        before, self._seen = self._seen, self._look()
        for link in self._links:
            where, was, now = _field(path, action, link), before[link.charge], self._seen[link.charge]
            if action.updateProduct:
                standing = self._register.scheduled.standings[link.schedule]
                _refuse_repriced(where, link, was, now, standing)
                _refuse_relabelled(where, link, was, now, standing, action.updateProduct, day)
            if link.is_discount:
                continue
            if action.type in {"Suspend", "Resume"}:
                _refuse_rest(where, link, day, action.type)
            if action.type == "TermsAndConditions":
                self._note_longer(where, link, was, now)
            self._refuse_lost(where, link, was, now)
        before_it, self._parties = self._parties, self._owner_and_payer()
        if self._parties != before_it:
            self.moved = f"{path}.ownerTransfer"

    def end(self) -> None:
        """Judge what later actions of the order could have taken back.

        Raises:
            OrderError: terms have moved the end of a scheduled recurring charge, and nothing has ended it after all.
        """
        for where, link, before in self._extended:
            if _end(self._seen[link.charge]) > before:
                said = f"would let {link.charge} go on after {before}, but {_named(link)} it"
                raise OrderError(where, f"{said}: recurring charges of a schedule can't be extended by terms.")

    def _look(self) -> Seen:
        return _seen(self._register, self._subscription, self._links) if self._links else {}

    def _owner_and_payer(self) -> tuple[str, str] | None:
        row = self._register["subscriptions"].get(self._subscription) if self._links else None
        return _parties(row) if row else None

    def _refuse_lost(self, where: str, link: Link, was: Sequence[Span], now: Sequence[Span]) -> None:
        """What was billed of a one-time charge would never be credited (spec/schedules.md 2.2)."""
        if was and not now and was[0].is_once and not self._register.scheduled.credits_once:
            said = f"would take away the one-time charge {link.charge}, which {_named(link)}"
            raise OrderError(where, f"{said}, and the setting credit_one_time is no.")

    def _note_longer(self, where: str, link: Link, was: Sequence[Span], now: Sequence[Span]) -> None:
        if was and _end(was) <= link.end and _end(now) > _end(was):
            self._extended.append((where, link, _end(was)))


def refuse_parted(register: Register, moved: Mapping[str, str]) -> None:
    """Subscriptions of a schedule belong to one account and have one payer, until all of it is billed.

    `moved` are those that an order gave to another account, with the path of the action.

    Raises:
        OrderError: some subscription of a schedule stays behind, or goes elsewhere.
    """
    scheduled = register.scheduled
    first: dict[str, Link] = {}
    for link in (link for number in moved for link in scheduled.links.get(number, ())):
        first.setdefault(link.schedule, link)
    for schedule, link in first.items():
        number, members = link.subscription, sorted(scheduled.standings[schedule].subscriptions)
        known = _all_parties(register, members)
        parted = [n for n in members if known.get(n) != known[number]]
        if parted and not scheduled.is_settled(register, schedule):
            others = ", ".join(parted[:_SHOWN]) + (f" and {len(parted) - _SHOWN} more" if parted[_SHOWN:] else "")
            said = f"would part {number} from {others}: {_named(link)} its charge {link.charge} together with theirs"
            raise OrderError(moved[number], f"{said}, and not everything is billed yet.")


def _links(state: State, column: str, values: Iterable[str]) -> list[Link]:
    """Attached charges of some subscriptions or schedules, in the order in which the schedules take them.

    A one-time charge is covered on its day, even where nothing is known to end behind it.
    """
    among = pl.Series(column, sorted(values), dtype=pl.String)
    if among.is_empty():
        return []
    rows = state.read("invoice_schedule_charges", Only(among=among)).filter(~pl.col("is_detached"))
    names = ("invoice_schedule_number", "charge_number", "subscription_number", "from_date", "through_date")
    ordered = rows.sort("invoice_schedule_number", "position", "charge_number").select(names)
    links = (Link(*row) for row in collected(ordered).iter_rows())
    return [link._replace(end=max(link.end, link.first + _DAY)) for link in links]


def _discounts(register: Register, links: Sequence[Link]) -> list[Link]:
    """Percentages that come along with scheduled charges of a subscription: what changes them changes a price."""
    rows = register.charges_of(links[0].subscription) if links else []
    charges = {row["charge_number"]: row for row in rows}
    found = (
        link._replace(charge=row["charge_number"], is_discount=True)
        for row in rows
        for link in links
        if row["charge_model"] == "DiscountPercentage" and _reaches(row, charges[link.charge])
    )
    return list(dict.fromkeys(found))


def _reaches(discount: Row, charge: Row) -> bool:
    """Whether a discount reduces a charge of its subscription (docs/rating.md, "Discounts")."""
    level, kinds = discount["discount_level"], discount["apply_discount_to"]
    if level == "account" or (level == "rateplan" and discount["rate_plan_name"] != charge["rate_plan_name"]):
        return False
    return kinds is None or charge["charge_type"].upper() in kinds


def _standings(state: State, numbers: Iterable[str]) -> dict[str, Standing]:
    """How far some schedules are: by their items, since a paused one is Paused whatever they are."""
    among = pl.Series(sorted(numbers), dtype=pl.String)
    rows = state.read("invoice_schedule_items", Only(among=among.alias("invoice_schedule_number")))
    is_pending = pl.col("status") == "Pending"
    items = rows.group_by("invoice_schedule_number").agg(begun=(~is_pending).any(), done=(~is_pending).all())
    progress = {number: (begun, done) for number, begun, done in collected(items).iter_rows()}
    open_ = state.read("invoice_schedules", Only(among=among.alias("number"))).select("number", "unbilled_amount")
    members = _by(_links(state, "invoice_schedule_number", among), "schedule")
    return {
        number: Standing(
            *progress.get(number, (False, False)),
            unbilled or Decimal(0),
            frozenset(link.subscription for link in members[number]),
        )
        for number, unbilled in collected(open_).iter_rows()
    }


def _by(links: Iterable[Link], name: str) -> dict[str, list[Link]]:
    found: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        found[getattr(link, name)].append(link)
    return dict(found)


def _parties(row: Row) -> tuple[str, str]:
    """Who owns a subscription, and who pays for it."""
    owner: str = row["account_number"]
    return owner, row["invoice_owner_account_number"] or owner


def _all_parties(register: Register, subscriptions: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The same of several subscriptions, also of those that no order of the register names."""
    rows = {n: row for n in subscriptions if (row := register["subscriptions"].get(n)) is not None}
    others = pl.Series("subscription_number", sorted(set(subscriptions) - rows.keys()), dtype=pl.String)
    if others.len():
        found = collected(register.state.read("subscriptions", Only(among=others)))
        rows |= {row["subscription_number"]: row for row in found.iter_rows(named=True)}
    return {number: _parties(row) for number, row in rows.items()}


def _seen(register: Register, subscription: str, links: Iterable[Link]) -> Seen:
    """The linked charges of a subscription as they are in the register."""
    seen: Seen = {link.charge: [] for link in links}
    row = register["subscriptions"].get(subscription)
    for charge in register.charges_of(subscription):
        own = seen.get(charge["charge_number"])
        span = None if row is None or own is None else _span(charge, row)
        if own is not None and span is not None:
            own.append(span)
    return seen


def _span(charge: Row, subscription: Row) -> Span | None:
    """The days of one segment, as rating has them (docs/rating.md, "When"); none if it serves nothing."""
    start = start_of(charge, subscription)
    term_end = subscription["term_end_date"] if subscription["term_type"] == "TERMED" else None
    ends = (charge["effective_end_date"], subscription["cancelled_date"], term_end)
    end = min((day for day in ends if day), default=date.max)
    if start is None or start >= end:
        return None
    is_once = charge["charge_type"] == "OneTime"
    said = sorted((name, value) for name, value in charge.items() if value is not None and name not in _NO_TERMS)
    terms = tuple(pair for pair in said if not pair[0].endswith("__c"))
    labels = tuple(pair for pair in said if pair[0].endswith("__c"))
    return Span(start, start + _DAY if is_once else end, is_once, terms, labels)


def _end(spans: Sequence[Span]) -> date:
    return max((span.end for span in spans), default=date.min)


def _first_change(was: Sequence[Span], now: Sequence[Span], link: Link, what: str) -> date | None:
    """The first covered day that a charge serves before and after, with other terms or labels."""
    days = [
        first
        for old in was
        for new in now
        if getattr(old, what) != getattr(new, what)
        and (first := max(old.start, new.start, link.first)) < min(old.end, new.end, link.end)
    ]
    return min(days, default=None)


def _covered(spans: Sequence[Span], link: Link) -> list[tuple[date, date, tuple[Any, ...]]]:
    """What a schedule bills of a charge: its days and terms, equal neighbours as one."""
    found: list[tuple[date, date, tuple[Any, ...]]] = []
    for start, end, terms in _clipped(spans, link):
        if found and found[-1][1:] == (start, terms):
            found[-1] = (found[-1][0], end, terms)
        else:
            found.append((start, end, terms))
    return found


def _clipped(spans: Sequence[Span], link: Link) -> Iterator[tuple[date, date, tuple[Any, ...]]]:
    for span in sorted(spans, key=lambda s: s.start):
        start, end = max(span.start, link.first), min(span.end, link.end)
        if start < end:
            yield start, end, span.terms


def _refuse_rest(where: str, link: Link, day: date | None, kind: str) -> None:
    """A suspension or its end concerns all days from a day on."""
    if day is None or day < link.end:
        said = f"can't be done on {day}: {_named(link)} {link.charge} up to {link.end}, and scheduled charges can't be"
        raise OrderError(where, f"{said} {'suspended' if kind == 'Suspend' else 'resumed'}.")


def _refuse_repriced(where: str, link: Link, was: Sequence[Span], now: Sequence[Span], standing: Standing) -> None:
    """Prices and quantities change from the first day on or not at all, and only while no item is processed."""
    changed = _first_change(was, now, link, "terms")
    if changed is None:
        return
    first = max(link.first, min(span.start for span in was))
    if changed > first:
        said = f"would change {link.charge} on {changed}, in the middle of what {_named(link)} of it"
        raise OrderError(where, f"{said}, which is from {first} up to {link.end}.")
    if standing.is_begun:
        raise OrderError(
            where, f"would change {link.charge}, but {_named(link)} it, and has processed an item already."
        )


def _refuse_relabelled(  # noqa: PLR0913, PLR0917 - the action, and what it did
    where: str,
    link: Link,
    was: Sequence[Span],
    now: Sequence[Span],
    standing: Standing,
    body: UpdateProduct,
    day: date | None,
) -> None:
    """Custom fields change while something is unbilled. Those of a rate plan count from the day of the action."""
    is_later = not body.chargeUpdates and day is not None and day >= link.end
    if standing.is_done and not is_later and _first_change(was, now, link, "labels") is not None:
        said = f"would change custom fields of {link.charge}, but {_named(link)} it, and has processed all its items."
        raise OrderError(where, said)


def _field(path: str, action: OrderAction, link: Link) -> str:
    """The field of an action that concerns a charge: its body, or what the body does to this charge by its number."""
    field_name = f"{path}.{action.type[0].lower()}{action.type[1:]}"
    for name in ("chargeUpdates", "chargeRemovals"):
        for place, change in enumerate(getattr(action.updateProduct, name, ())):
            if change.chargeNumber == link.charge:
                return f"{field_name}.{name}[{place}]"
    return field_name


def _named(link: Link) -> str:
    return f"the invoice schedule {link.schedule} bills"
