"""Requests about invoice schedules as the API takes them: create, update, execute, attach and detach.

What can be judged of a request alone is judged here; what needs the book comes later.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from billfold.contracts.base import CUSTOM_NAME
from billfold.orders.fields import (
    PLAIN,
    Amount,
    Day,
    Fault,
    Flag,
    Keyed,
    Many,
    Name,
    Ruled,
    Text,
    doubles,
    missing,
    words,
)

__all__ = [
    "AttachDetach", "CreateSchedule", "ExecuteSchedule", "ScheduleItem", "ScheduledSubscription", "UpdateSchedule",
    "UpdateScheduleItem", "day_faults", "kept_subscriptions", "size_faults",
]  # fmt: skip

_MOST_ITEMS: Final = 50
_MOST_ORDERS: Final = 10
_MOST_SUBSCRIPTIONS: Final = 300
_MOST_ADDITIONAL: Final = 600
_MOST_DETACHED: Final = 500
_HUNDRED: Final = 100
_MONEY: Final = Context(prec=18, traps=[Inexact, InvalidOperation])
_MINOR: Final = Decimal("1e-4")
"""Columns of amounts hold 14 digits before the point and 4 behind, as the smallest units of currencies need."""

_ITEMS: Final = "scheduleItems"
_SUBSCRIPTIONS: Final = "specificSubscriptions"


def _custom_name(key: str) -> str:
    """A key that is no field has to be a custom field's name."""
    if not CUSTOM_NAME.fullmatch(key):
        raise PydanticCustomError("extra_forbidden", "is not known here")
    return key


def _money(amount: Decimal) -> Decimal:
    """An amount that a column of amounts holds."""
    try:
        amount.quantize(_MINOR, context=_MONEY)
    except ArithmeticError as e:
        raise PydanticCustomError("number", "has at most 14 digits before the point and 4 behind") from e
    return amount


Money = Annotated[Amount, AfterValidator(_money)]


class _WithCustom(Ruled):
    """An object whose custom fields stand among the others, as the API has them for schedules and their items."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[Annotated[str, AfterValidator(_custom_name)], Any]

    @property
    def custom(self) -> dict[str, Any]:
        """The custom fields that were given, by name."""
        return dict(self.__pydantic_extra__)

    def faults(self) -> Iterator[Fault]:
        """Custom fields have values that a cell can hold."""
        for name, value in self.__pydantic_extra__.items():
            if not (value is None or isinstance(value, (str, int, Decimal))):
                yield Fault((name,), "must be a text, a number, true, false or null", "invalid")
            elif isinstance(value, str) and not re.fullmatch(PLAIN, value):
                yield Fault((name,), "must not contain control characters", "invalid")


class _Item(_WithCustom):
    """What can be said of an item when it is made and when it is changed."""

    amount: Money | None = None
    percentage: Amount | None = None
    name: Annotated[str, words(100)] | None = None
    runDate: Day | None = None
    targetDateForAdditionalSubscriptions: Day | None = None

    @property
    def size(self) -> tuple[Decimal | None, Decimal | None]:
        """Its amount and its percentage."""
        return self.amount, self.percentage

    def faults(self) -> Iterator[Fault]:
        """It has one size, and that bills something."""
        yield from super().faults()
        for name, size in (("amount", self.amount), ("percentage", self.percentage)):
            if size is not None and size <= 0:
                hint = "; an item that bills nothing is left out: 50, 0 and 50 are two items" if size == 0 else ""
                yield Fault((name,), f"must be more than 0, not {size:f}{hint}")
        if self.percentage is not None and self.percentage > _HUNDRED:
            yield Fault(("percentage",), f"must be at most 100, not {self.percentage:f}")
        if self.amount is not None and self.percentage is not None:
            yield Fault(("percentage",), "can't be given together with amount")


class ScheduleItem(_Item):
    """What a schedule is to bill on one date; without a date, the item waits for one."""

    def faults(self) -> Iterator[Fault]:
        """It says how much."""
        yield from super().faults()
        yield from _without_size(self)


class UpdateScheduleItem(_Item):
    """An item of a schedule that is there, or without id a new one.

    An item with an id keeps what is not given (see `model_fields_set`); a null takes a value away.
    """

    id: Name | None = None

    def faults(self) -> Iterator[Fault]:
        """A new item says how much."""
        yield from super().faults()
        if self.id is None:
            yield from _without_size(self)

    @property
    def says_when(self) -> bool:
        """Whether its run date is known from the request alone."""
        return self.id is None or "runDate" in self.model_fields_set


class ScheduledSubscription(Ruled):
    """A subscription of an order; of its charges those that are named, or all if none are."""

    orderKey: Name
    subscriptionKey: Name
    chargeNumbers: Many[Name] = ()


class CreateSchedule(Keyed, _WithCustom):
    """An invoice schedule."""

    accountKey: Name
    orders: Annotated[tuple[Name, ...], Field(min_length=1, max_length=_MOST_ORDERS)]
    specificSubscriptions: Annotated[Many[ScheduledSubscription], Field(max_length=_MOST_SUBSCRIPTIONS)] = ()
    additionalSubscriptionsToBill: Annotated[Many[Name], Field(max_length=_MOST_ADDITIONAL)] = ()
    invoiceSeparately: Flag | None = None
    """Null is true."""

    notes: Text | None = None
    scheduleItems: Annotated[tuple[ScheduleItem, ...], Field(min_length=1, max_length=_MOST_ITEMS)]

    def faults(self) -> Iterator[Fault]:
        """Names are given once, and the items are a plan."""
        yield from super().faults()
        yield from _list_faults(self.orders, self.additionalSubscriptionsToBill, self.specificSubscriptions)
        yield from _origin_faults(self.orders, self.specificSubscriptions)
        yield from size_faults([item.size for item in self.scheduleItems])
        yield from day_faults({n: item.runDate for n, item in enumerate(self.scheduleItems)})


class UpdateSchedule(_WithCustom):
    """Other values for a schedule.

    Only what was given changes (see `model_fields_set`). A null empties a list or a text; it makes `invoiceSeparately`
    true, and `nextRunDate` blank.
    """

    orders: Annotated[tuple[Name, ...], Field(min_length=1, max_length=_MOST_ORDERS)] = ()
    specificSubscriptions: Annotated[Many[ScheduledSubscription], Field(max_length=_MOST_SUBSCRIPTIONS)] = ()
    additionalSubscriptionsToBill: Annotated[Many[Name], Field(max_length=_MOST_ADDITIONAL)] = ()
    invoiceSeparately: Flag | None = None
    nextRunDate: Day | None = None
    notes: Text | None = None
    scheduleItems: Annotated[tuple[UpdateScheduleItem, ...], Field(min_length=1, max_length=_MOST_ITEMS)] = ()

    def faults(self) -> Iterator[Fault]:
        """Names are given once, and the items are a plan as far as they tell."""
        yield from super().faults()
        yield from _list_faults(self.orders, self.additionalSubscriptionsToBill, self.specificSubscriptions)
        if self.orders:
            yield from _origin_faults(self.orders, self.specificSubscriptions)
        yield from doubles([item.id for item in self.scheduleItems], lambda n: (_ITEMS, n, "id"))
        yield from size_faults([item.size for item in self.scheduleItems])
        yield from day_faults({n: item.runDate for n, item in enumerate(self.scheduleItems) if item.says_when})


class ExecuteSchedule(Ruled):
    """The wish to bill a schedule's next item now; the item may be named."""

    scheduleItemId: Name | None = None


class AttachDetach(Ruled):
    """Charges that a schedule gives back to bill runs, or takes back from them."""

    specificSubscriptions: Annotated[tuple[ScheduledSubscription, ...], Field(min_length=1, max_length=_MOST_DETACHED)]

    def faults(self) -> Iterator[Fault]:
        """Each is named once."""
        yield from _subscription_faults(self.specificSubscriptions)


_KEPT: Final = TypeAdapter(tuple[ScheduledSubscription, ...])


def kept_subscriptions(column: str) -> tuple[ScheduledSubscription, ...]:
    """The subscriptions of a schedule, as its row keeps them."""
    return _KEPT.validate_json(column)


def size_faults(sizes: Sequence[tuple[Decimal | None, Decimal | None]]) -> Iterator[Fault]:
    """The faults of a plan's amounts and percentages: one kind for all items, and percentages add up to 100.

    Items of which neither is known may have either.
    """
    first = next((n for n, size in enumerate(sizes) if size != (None, None)), None)
    if first is None:
        return
    by_amount = sizes[first][0] is not None
    kind, other = ("amount", "percentage") if by_amount else ("percentage", "amount")
    for n, (amount, percentage) in enumerate(sizes):
        if (percentage if by_amount else amount) is not None:
            said = f"can't be given beside the {kind} of {_ITEMS}[{first}]: one schedule is planned in one way"
            yield Fault((_ITEMS, n, other), said)
    shares = [percentage for _, percentage in sizes if percentage is not None]
    if len(shares) == len(sizes) and (total := sum(shares, Decimal(0))) != _HUNDRED:
        yield Fault((_ITEMS,), f"has percentages that add up to {_plain(total)}, not 100")


def day_faults(days: Mapping[int, date | None]) -> Iterator[Fault]:
    """The faults of a plan's run dates, by place: each comes after the one before, and blank ones come last."""
    before: date | None = None
    blank: int | None = None
    for n, day in sorted(days.items(), key=lambda known: known[0]):
        if day is None:
            blank = n if blank is None else blank
            continue
        if blank is not None:
            said = f"is {day}, but {_ITEMS}[{blank}] before it has none: items without a date come last"
            yield Fault((_ITEMS, n, "runDate"), said)
        elif before is not None and day <= before:
            yield Fault((_ITEMS, n, "runDate"), f"is {day}, which is not after {before}, the run date before it")
        before = day


def _without_size(item: _Item) -> Iterator[Fault]:
    if item.size == (None, None):
        yield missing("amount", "unless percentage is given")


def _list_faults(
    orders: Sequence[str], additional: Sequence[str], subscriptions: Sequence[ScheduledSubscription]
) -> Iterator[Fault]:
    """The faults of names that come twice."""
    yield from doubles(orders, lambda n: ("orders", n))
    yield from doubles(additional, lambda n: ("additionalSubscriptionsToBill", n))
    yield from _subscription_faults(subscriptions)


def _subscription_faults(subscriptions: Sequence[ScheduledSubscription]) -> Iterator[Fault]:
    """The faults of subscriptions or charges that come twice; two orders may name one subscription."""
    seen: set[tuple[str, str]] = set()
    for n, each in enumerate(subscriptions):
        named = each.orderKey, each.subscriptionKey
        if named in seen:
            said = f"comes twice: {each.subscriptionKey!r} of order {each.orderKey!r} was given before"
            yield Fault((_SUBSCRIPTIONS, n), said)
        seen.add(named)
    places = [(n, c) for n, each in enumerate(subscriptions) for c in range(len(each.chargeNumbers))]
    charges = [subscriptions[n].chargeNumbers[c] for n, c in places]
    yield from doubles(charges, lambda n: (_SUBSCRIPTIONS, places[n][0], "chargeNumbers", places[n][1]))


def _origin_faults(orders: Iterable[str], subscriptions: Sequence[ScheduledSubscription]) -> Iterator[Fault]:
    """The faults of subscriptions whose order is not one of the schedule's."""
    known = set(orders)
    for n, each in enumerate(subscriptions):
        if each.orderKey not in known:
            yield Fault((_SUBSCRIPTIONS, n, "orderKey"), f"names {each.orderKey!r}, which is not in orders")


def _plain(number: Decimal) -> str:
    """A number without idle zeros."""
    return f"{number.normalize():f}"
