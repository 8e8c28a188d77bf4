"""Which charges a schedule gets: those of its orders' subscriptions that can be scheduled (docs/schedules.md)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.orders.errors import OrderError, not_found
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from billfold.book import State
    from billfold.schedules.models import ScheduledSubscription
    from billfold.schedules.view import View

Row = dict[str, Any]
_ACTIVE: Final = ("Active",)


@dataclass(frozen=True)
class Scope:
    """What a schedule is for: its account and orders, and the subscriptions and charges that it is limited to."""

    account: str
    orders: Sequence[str]
    specific: Sequence[ScheduledSubscription]


@dataclass
class Shelf:
    """What the book has of the orders that requests name. `taken` are charges that schedules of this file have got."""

    orders: Mapping[str, Row]
    subscriptions_of: Mapping[str, Sequence[str]]
    subscriptions: Mapping[str, Row]
    charges_of: Mapping[str, Sequence[Row]]
    taken: dict[str, tuple[date, str]] = field(default_factory=dict)


def subscriptions_of(state: State, orders: pl.Series) -> tuple[dict[str, Row], dict[str, list[str]]]:
    """Orders by number, and the subscriptions that each made or changed, in order.

    An order of which nothing is known stands for all subscriptions of its account that no order is known to have made.
    """
    named = Only(among=orders.alias("order_number"))
    columns = ("order_number", "account_number", "status")
    rows = collected(state.read("orders", named).select(columns)).to_dicts()
    found: dict[str, list[str]] = {r["order_number"]: [] for r in rows}
    actions = collected(
        state.read("order_actions", named).select("order_number", "sequence", "subscription_number")
    ).sort("order_number", "sequence")
    for order, number in actions.select("order_number", "subscription_number").iter_rows():
        if number not in found.setdefault(order, []):
            found[order].append(number)
    unknown = {r["account_number"] for r in rows if not found[r["order_number"]]}
    loaded = _loaded(state, unknown) if unknown else {}
    for row in rows:
        if not found[row["order_number"]]:
            found[row["order_number"]] = loaded.get(row["account_number"], [])
    return {r["order_number"]: r for r in rows}, found


def _loaded(state: State, accounts: set[str]) -> dict[str, list[str]]:
    """Subscriptions of some accounts that no order made."""
    only = Only(among=pl.Series("account_number", sorted(accounts)))
    made = state.read("order_actions").filter(type="CreateSubscription").select("subscription_number")
    rows = collected(
        state.read("subscriptions", only)
        .join(made, on="subscription_number", how="anti")
        .select("account_number", "subscription_number")
    ).sort("account_number", "subscription_number")
    found: dict[str, list[str]] = defaultdict(list)
    for account, number in rows.iter_rows():
        found[account].append(number)
    return found


def shelf(state: State, orders: pl.Series, subscriptions: pl.Series, seen: View, besides: str | None = None) -> Shelf:
    """Everything that requests may choose from. What the schedule `besides` has itself does not count as taken."""
    known, of_orders = subscriptions_of(state, orders)
    named = Only(among=subscriptions.alias("subscription_number"))
    columns = ("subscription_number", "account_number", "status", "term_type", "term_start_date", "term_end_date")
    rows = collected(state.read("subscriptions", named).select(columns)).to_dicts()
    return Shelf(
        known, of_orders, {r["subscription_number"]: r for r in rows}, _candidates(state, seen.charges, besides)
    )


def _candidates(state: State, charges: pl.DataFrame, besides: str | None) -> dict[str, list[Row]]:
    """Charges by subscription: when they serve, how far they are billed, and who else has them."""
    only = Only(among=charges["charge_number"].unique())
    billed = collected(state.read("charge_progress", only)).group_by("charge_number").agg(
        billed_through=pl.col("charged_through_date").max()
    )  # fmt: skip
    attached = state.read("invoice_schedule_charges", only).filter(~pl.col("is_detached"))
    others = collected(attached.filter(pl.col("invoice_schedule_number") != (besides or "")))
    latest = others.sort("through_date").group_by("charge_number", maintain_order=True).agg(
        scheduled_through=pl.col("through_date").last(), schedule=pl.col("invoice_schedule_number").last()
    )  # fmt: skip
    known = (
        charges.group_by("charge_number", "subscription_number", maintain_order=True)
        .agg(
            pl.col("charge_type", "charge_model").first(),
            pl.col("start").min(),
            pl.col("end").max(),
            elsewhere=pl.col("charged_through_date").max(),
            open=pl.col("end").is_null().any(),
        )
        .join(billed, on="charge_number", how="left")
        .join(latest, on="charge_number", how="left")
        .with_columns(size=pl.col("charge_number").str.len_chars())
        .sort("subscription_number", "size", "charge_number")
    )
    found: dict[str, list[Row]] = defaultdict(list)
    for row in known.iter_rows(named=True):
        found[row["subscription_number"]].append(row)
    return found


def chosen(shelf: Shelf, scope: Scope, name: str) -> list[Row]:
    """Rows of invoice_schedule_charges for a schedule called `name`, without amounts; the charges count as taken.

    Raises:
        OrderError: something that is named is not in the book, or can't be scheduled.
    """
    rows: list[Row] = []
    for place, order in enumerate(scope.orders):
        for number, wanted, path in _of_order(shelf, scope, place, order):
            _check_subscription(shelf, scope, number, path)
            rows += _of_subscription(shelf, number, wanted, path, order)
    unique = {r["charge_number"]: r for r in reversed(rows)}
    rows = [r for r in rows if unique[r["charge_number"]] is r]
    if not rows:
        said = "have no charge to schedule: one-time or recurring, not billed yet, and in no other schedule."
        raise OrderError("orders", said)
    for position, row in enumerate(rows, 1):
        row |= {"invoice_schedule_number": name, "position": position}
        shelf.taken[row["charge_number"]] = (row["through_date"], name)
    return rows


def _of_order(shelf: Shelf, scope: Scope, place: int, order: str) -> Iterator[tuple[str, Sequence[str], str]]:
    """The subscriptions that an order brings, with the charges that are named for each, and where."""
    path = f"orders[{place}]"
    row = shelf.orders.get(order)
    if row is None:
        raise not_found(path, "order", order)
    if row["status"] not in {"Completed", "Executing"}:
        raise OrderError(
            path, f"names the order {order!r}, which is {row['status']}: only activated orders are billed."
        )
    limited = [(n, s) for n, s in enumerate(scope.specific) if s.orderKey == order]
    if not limited:
        for number in shelf.subscriptions_of[order]:
            yield number, (), path
    for n, specific in limited:
        at = f"specificSubscriptions[{n}]"
        if specific.subscriptionKey not in shelf.subscriptions:
            raise not_found(f"{at}.subscriptionKey", "subscription", specific.subscriptionKey)
        if specific.subscriptionKey not in shelf.subscriptions_of[order]:
            said = f"names {specific.subscriptionKey!r}, which is no subscription of the order {order!r}."
            raise OrderError(f"{at}.subscriptionKey", said)
        yield specific.subscriptionKey, specific.chargeNumbers or (), at


def _check_subscription(shelf: Shelf, scope: Scope, number: str, path: str) -> None:
    row = shelf.subscriptions[number]
    owner = row["account_number"]
    said = ""
    if owner != scope.account:
        said = f"belongs to account {owner!r}, not to {scope.account!r}"
    elif row["status"] not in _ACTIVE:
        said = f"is {row['status']}: only active ones can be scheduled"
    elif row["term_type"] != "TERMED":
        said = "is evergreen: only termed ones can be scheduled"
    if said:
        raise OrderError(path, f"brings subscription {number!r}, which {said}.")


def _of_subscription(shelf: Shelf, number: str, wanted: Sequence[str], path: str, order: str) -> list[Row]:
    """The charges of a subscription: all that can be scheduled, or those that are named, if they can."""
    there = {c["charge_number"]: c for c in shelf.charges_of.get(number, ())}
    found = []
    for place, name in enumerate(wanted or there):
        if name not in there:
            raise OrderError(f"{path}.chargeNumbers[{place}]", f"names {name!r}, which is no charge of {number!r}.")
        span = _span(shelf, there[name])
        if isinstance(span, str):
            if wanted:
                raise OrderError(f"{path}.chargeNumbers[{place}]", f"names {name!r}, which {span}.")
            continue
        begin, end = span
        found.append({
            "charge_number": name, "subscription_number": number, "order_number": order, "from_date": begin,
            "through_date": end,
        })  # fmt: skip
    return found


def _span(shelf: Shelf, charge: Row) -> tuple[date, date] | str:
    """From when to when, exclusive, a schedule would cover a charge; or why it can't."""
    if said := _unfit(charge):
        return said
    start, end = charge["start"], charge["end"]
    through, name = shelf.taken.get(charge["charge_number"]) or (charge["scheduled_through"], charge["schedule"])
    billed = max((d for d in (charge["billed_through"], charge["elsewhere"]) if d), default=None)
    if charge["charge_type"] == "OneTime":
        return _once(shelf, charge, name, billed)
    begin = max(d for d in (start, through, billed) if d)
    renewed = shelf.subscriptions[charge["subscription_number"]]["term_start_date"]
    if begin >= end:
        return f"belongs to the schedule {name}" if name and through >= end else "is billed already"
    if begin not in {start, through, renewed}:
        return f"is billed in part, up to {begin}: only unbilled charges can be scheduled"
    return begin, end


def _unfit(charge: Row) -> str:
    """Why nobody could schedule a charge; empty if somebody could."""
    start, end = charge["start"], charge["end"]
    if charge["charge_type"] == "Usage":
        return "is for usage: schedules bill one-time and recurring charges"
    if charge["charge_model"].startswith("Discount"):
        return "is a discount: it comes along with the charges that it reduces"
    if start is None:
        return "has no start yet"
    if charge["open"] and charge["charge_type"] == "Recurring":
        return "has no end"
    return "was removed before it began" if end is not None and end <= start else ""


def _once(shelf: Shelf, charge: Row, name: str | None, billed: date | None) -> tuple[date, date] | str:
    start, end = charge["start"], charge["end"]
    if name:
        return f"belongs to the schedule {name}"
    if billed is not None:
        return "is billed already"
    last = end or shelf.subscriptions[charge["subscription_number"]]["term_end_date"] or start
    return start, max(last, start + timedelta(days=1))


def named_orders(scopes: Iterable[Scope]) -> tuple[pl.Series, pl.Series]:
    """Numbers of the orders and of the subscriptions that requests name."""
    orders, subscriptions = set(), set()
    for scope in scopes:
        orders |= set(scope.orders)
        subscriptions |= {s.subscriptionKey for s in scope.specific}
    return pl.Series("order_number", sorted(orders), pl.String), pl.Series(
        "subscription_number", sorted(subscriptions), pl.String
    )
