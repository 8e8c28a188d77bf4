"""A charge or an order line rated again: the steps of the run, on what it read, narrowed to what bears on the line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.lines import IDENTITY
from billfold.rating.amounts import Money
from billfold.rows import Only, collected
from billfold.schedules.lines import sharing
from billfold.steps.load import load
from billfold.steps.rate import workings
from billfold.steps.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from billfold.explanations.past import Past
    from billfold.lines import Carriers
    from billfold.schedules.lines import Sharing
    from billfold.steps.rate import Working

    Read = Callable[..., pl.LazyFrame]
    Row = Mapping[str, Any]

_CANCELED: Final = {t: pl.Series("status", ["Canceled"]) for t in ("invoices", "credit_memos")}
"""Of documents, rating asks only which are canceled."""

_OF_CHARGES: Final = ("charge_progress", "charges_to_review", "late_usage")
_OF_ORDERS: Final = ("order_line_items", "invoice_items", "credit_memo_items")
_OF_SUBSCRIPTIONS: Final = ("subscriptions", "rate_plan_charges", "invoice_items", "credit_memo_items")


@dataclass(frozen=True)
class Again:
    """What is made again: all lines of one charge or order line, or of its account's schedules, and how they come."""

    carriers: Carriers
    money: Money
    workings: tuple[Working, ...]
    sharing: Sharing | None


@dataclass(frozen=True)
class Line:
    """A line made again: its place among the lines of its working, and the line of it that a discount reduces."""

    row: Row
    place: int
    working: Working | None
    reduced: Line | None = None


def of_charge(past: Past, subscription_number: str, charge_number: str, *, is_scheduled: bool) -> Again:
    """A charge's lines or, with `is_scheduled`, all lines of its account's schedules that were due."""
    read = _of_subscriber(past.state.read, subscription_number)
    request = past.request.for_accounts(()).model_copy(update={"ceilings": False})
    inputs = load(read, past.settings, request)
    money = Money(past.settings, inputs.currencies)
    carriers = resolve(inputs)
    if is_scheduled:
        target = None if request.schedules else request.target_date
        return Again(carriers, money, (), sharing(carriers, target, money))
    alone = carriers.with_charge(charge_number)
    return Again(alone, money, tuple(workings(alone, request, money)), None)


def of_order_line(past: Past, order_number: str, item_number: str) -> Again:
    """An order line's line."""
    orders = pl.Series("order_number", [order_number])
    read = _narrowed(past.state.read, dict.fromkeys(_OF_ORDERS, orders) | {
        "subscriptions": pl.Series("subscription_number", [], pl.String),
        "rate_plan_charges": pl.Series("subscription_number", [], pl.String),
        "charge_progress": pl.Series("charge_number", [], pl.String),
        "charges_to_review": pl.Series("charge_number", [], pl.String),
        "invoice_schedules": pl.Series("number", [], pl.String),
        **_CANCELED,
    })  # fmt: skip
    request = past.request.for_accounts(()).model_copy(update={"ceilings": False})
    inputs = load(read, past.settings, request)
    money = Money(past.settings, inputs.currencies)
    carriers = resolve(inputs)
    alone = replace(carriers, order_lines=carriers.order_lines.filter(item_number=item_number))
    return Again(alone, money, tuple(workings(alone, request, money)), None)


def _of_subscriber(read: Read, subscription_number: str) -> Read:
    """Reads of what bears on a subscription's charges: everything of its account, whoever pays."""
    own = Only(among=pl.Series("subscription_number", [subscription_number]))
    account = collected(read("subscriptions", only=own).select("account_number"))["account_number"]
    theirs = collected(read("subscriptions", only=Only(among=account)).select("subscription_number")).to_series()
    charges = collected(read("rate_plan_charges", only=Only(among=theirs)).select("charge_number")).to_series().unique()
    of_charge = pl.col("charge_number").is_in(charges.implode())
    return _narrowed(read, dict.fromkeys(_OF_SUBSCRIPTIONS, theirs) | dict.fromkeys(_OF_CHARGES, charges) | {
        "usage": of_charge | pl.col("account_number").is_in(account.implode()),
        "order_line_items": pl.Series("order_number", [], pl.String),
        "invoice_schedules": account,
        **_CANCELED,
    })  # fmt: skip


def _narrowed(read: Read, scope: Mapping[str, pl.Series | pl.Expr]) -> Read:
    """Reads of the rows with some values in a column, or for which something holds, in some tables."""

    def narrow(table: str, only: Only | None = None) -> pl.LazyFrame:
        wanted = scope.get(table)
        if isinstance(wanted, pl.Series):
            if only is None or only.among is None:
                return read(table, only=replace(only or Only(), among=wanted))
            return Only(among=wanted).of(read(table, only=only))
        rows = read(table, only=only)
        return rows if wanted is None else rows.filter(wanted)

    return narrow


def line_of(again: Again, item: Row, reduced: Row | None = None, given: Row | None = None) -> Line | None:
    """The line that an item stands for.

    Of a discount, `reduced` is the item that it reduces; when it takes a discount back, that of the discount `given`,
    whose credit it belongs to.
    """
    for working in again.workings or (None,):
        lines = working.lines if working else again.sharing.lines if again.sharing else None
        if lines is not None and (found := _among(lines, item, reduced, given, working)):
            return found
    return None


def _among(
    lines: pl.DataFrame, item: Row, reduced: Row | None, given: Row | None, working: Working | None
) -> Line | None:
    numbered = lines.with_row_index("place")
    if reduced is None:
        return _one(_like(numbered, item, "Charge", item["applied_to_item_id"]), working)
    credit_of = reduced["item_id"] if given else None
    bases = (
        numbered.filter(processing_type="Charge", charge_number=reduced["charge_number"], applied_to_item_id=credit_of)
        if given
        else _like(numbered, reduced, "Charge", reduced["applied_to_item_id"])
    )
    own = numbered.filter(
        pl.col("applied_line").is_in(bases["place"].implode()), pl.col("charge_number") == item["charge_number"],
        pl.col("segment") == item["segment"],
        pl.col("applied_to_item_id").eq_missing(pl.lit(given["item_id"] if given else None, dtype=pl.String)),
    )  # fmt: skip
    found = _one(own, working)
    if found is None:
        return None
    base = bases.filter(place=found.row["applied_line"])
    return replace(found, reduced=_one(base, working))


def _like(lines: pl.DataFrame, item: Row, processing_type: str, applied_to: str | None) -> pl.DataFrame:
    """Lines that stand for what an item stands for."""
    same = [pl.col(c).eq_missing(pl.lit(item[c], dtype=t)) for c, t in IDENTITY.items()]
    applied = pl.col("applied_to_item_id").eq_missing(pl.lit(applied_to, dtype=pl.String))
    return lines.filter(*same, applied, pl.col("processing_type") == processing_type)


def _one(lines: pl.DataFrame, working: Working | None) -> Line | None:
    if lines.height != 1:
        return None
    row = lines.row(0, named=True)
    return Line(row, row["place"], working)
