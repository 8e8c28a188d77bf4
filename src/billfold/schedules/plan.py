"""A schedule as it is planned: its charges, items and amounts, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.contracts import TABLES, columns
from billfold.lines import Schedules
from billfold.money import AMOUNT
from billfold.orders.errors import OrderError
from billfold.orders.frames import conformed, customs
from billfold.schedules.consumption import SCHEDULE
from billfold.schedules.lines import with_actual
from billfold.schedules.permitted import refusals
from billfold.schedules.standing import stand, with_next_dates
from billfold.schedules.units import ten_thousandths, units_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from billfold.book import State
    from billfold.rating.amounts import Money
    from billfold.schedules.view import View

Row = dict[str, Any]
TABLE_NAMES: Final = ("invoice_schedules", "invoice_schedule_items", "invoice_schedule_charges")


@dataclass(frozen=True)
class Draft:
    """Rows of a schedule, before its amounts are known."""

    header: Row
    items: Sequence[Row]
    links: Sequence[Row]
    keeps_total: bool = False
    """Whether the total stays as it is: the items may then add up to it, or to what is really to be billed."""

    replans: bool = True
    """Whether its items are others than before."""


def blank(table: str) -> Row:
    """A row of a table that says nothing yet."""
    return {c.name: c.default for c in columns(TABLES[table]).values()}


def planned(state: State, drafts: Sequence[Draft], seen: View) -> tuple[Schedules, dict[str, OrderError]]:
    """Schedules with their amounts and where they stand, and what is wrong with some, by number."""
    found: dict[str, OrderError] = {}
    links = pl.DataFrame(
        [{**blank("invoice_schedule_charges"), **link} for d in drafts for link in d.links],
        schema=_schema("invoice_schedule_charges"),
    ).with_columns(pl.col("total_amount", "actual_amount", "billed_amount").fill_null(0).cast(AMOUNT))
    attached = links.filter(~pl.col("is_detached"))
    units = units_of(attached, seen.charges, seen.discounts, seen.money)
    said = refusals(attached, units, seen.charges, seen.discounts)
    found |= {number: _error(reason) for number, reason in said.items()}
    with_totals = with_actual(links, units.units)
    fresh = [d.header["number"] for d in drafts if not d.keeps_total]
    is_fresh = pl.col(SCHEDULE).is_in(fresh)
    with_totals = with_totals.with_columns(
        total_amount=pl.when(is_fresh).then("actual_amount").otherwise("total_amount")
    )
    headers = _headers(state, drafts, with_totals, seen, found)
    items = _items(state, drafts, found)
    if found:
        good = headers.filter(~pl.col("number").is_in(list(found)))["number"]
        whole = Schedules(headers, items, with_totals).among(good)
        headers, items, with_totals = whole.headers, whole.items, whole.charges
    replanned = [d.header["number"] for d in drafts if d.replans]
    headers, items = stand(headers, items, with_totals, seen.money, replanned)
    found |= _sums(headers, items, {d.header["number"] for d in drafts if d.keeps_total})
    found |= _steps(headers, items.filter(pl.col("percentage").is_null()), seen.money)
    return Schedules(with_next_dates(headers, items), items, with_totals), found


def _schema(table: str) -> dict[str, pl.DataType]:
    return {c.name: c.dtype for c in columns(TABLES[table]).values()}


def _error(said: str) -> OrderError:
    path, _, rest = said.partition(": ")
    return OrderError(path, rest)


def _headers(
    state: State, drafts: Sequence[Draft], links: pl.DataFrame, seen: View, found: dict[str, OrderError]
) -> pl.DataFrame:
    """Headers with totals and currency."""
    rows = _conformed(
        state, "invoice_schedules", [d.header for d in drafts], [d.header["number"] for d in drafts], found
    )
    currencies = seen.charges.select("charge_number", known="currency").unique("charge_number", maintain_order=True)
    sums = (
        links.join(currencies, on="charge_number", how="left", maintain_order="left")
        .group_by(number=SCHEDULE, maintain_order=True)
        .agg(pl.col("known").drop_nulls().first(), total=pl.col("total_amount").sum())
    )
    fresh = pl.col("number").is_in([d.header["number"] for d in drafts if not d.keeps_total])
    joined = rows.join(sums, on="number", how="left", maintain_order="left").with_columns(
        currency=pl.coalesce("currency", "known"),
        total_amount=pl.when(fresh).then("total").otherwise("total_amount").cast(rows.schema["total_amount"]),
    )
    return joined.select(rows.columns)


def _items(state: State, drafts: Sequence[Draft], found: dict[str, OrderError]) -> pl.DataFrame:
    rows = [item for d in drafts for item in d.items]
    return _conformed(state, "invoice_schedule_items", rows, [r[SCHEDULE] for r in rows], found)


def _conformed(
    state: State, table: str, rows: Sequence[Row], numbers: Sequence[str], found: dict[str, OrderError]
) -> pl.DataFrame:
    """Rows as the contract has them; what is wrong with a row is wrong with its schedule."""
    known = conformed(table, rows, customs(state, table))
    for fault in known.faults.iter_rows(named=True):
        path = fault["column"] or ""
        found.setdefault(
            numbers[fault["row"] - 1], OrderError(path, f"{fault['value']!r} can't be kept: {fault['rule']}.")
        )
    return known.rows


def _sums(headers: pl.DataFrame, items: pl.DataFrame, keeping: set[str]) -> dict[str, OrderError]:
    """Items planned by amounts add up to the total, or to what orders left of it; no schedule is for nothing."""
    by_amounts = items.filter(pl.col("percentage").is_null())
    bills = pl.when(status="Processed").then("actual_amount").otherwise("amount")
    sums = by_amounts.group_by(number=SCHEDULE).agg(planned=pl.col("amount").sum(), bills=bills.sum())
    both = headers.join(sums, on="number", how="left", maintain_order="left")
    told = "number", "total_amount", "actual_amount", "planned", "bills", "currency"
    found: dict[str, OrderError] = {}
    for number, total, actual, plan, bills_, currency in both.select(told).iter_rows():
        if total <= 0:
            said = f"have charges for {_plain(total)} {currency} in all: there is nothing to plan."
            found[number] = OrderError("orders", said)
        elif plan is not None and plan != total and not (number in keeping and bills_ == actual):
            said = f"add up to {_plain(plan)}, but the charges are {_plain(total)} {currency}."
            found[number] = OrderError("scheduleItems", said)
    return found


def _plain(amount: Decimal) -> str:
    """An amount without idle zeros."""
    return f"{amount.normalize():f}"


def _steps(headers: pl.DataFrame, items: pl.DataFrame, money: Money) -> dict[str, OrderError]:
    """Amounts that the currency does not have."""
    step = pl.col("currency").replace_strict(money.steps(), return_dtype=pl.Int128)
    told = items.join(
        headers.select("currency", number_="number"), left_on=SCHEDULE, right_on="number_", maintain_order="left"
    )
    odd = told.filter(pl.col("status") != "Processed", ten_thousandths(pl.col("amount")) % step != 0)
    return {
        number: OrderError(
            f"scheduleItems[{place - 1}].amount",
            f"is {_plain(amount)}, which is no whole number of the smallest amounts of {currency}.",
        )
        for number, place, amount, currency in odd.select(
            SCHEDULE, "sequence_number", "amount", "currency"
        ).unique(SCHEDULE, keep="first", maintain_order=True).iter_rows()
    }  # fmt: skip
