"""How amounts of billing periods and order lines come about, step by step, as the rating itself has it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.explanations.models import Step
from billfold.explanations.texts import counted, exactly, in_currency, mixed, number, span
from billfold.money import increment
from billfold.rating.amounts import shared
from billfold.rating.discounts import discount_steps
from billfold.rating.grids import GRIDS, Days
from billfold.rating.models import TIERED, tier_parts
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    from billfold.explanations.again import Again, Line
    from billfold.steps.rate import Working

    Read = Callable[..., pl.LazyFrame]
    Row = Mapping[str, Any]

_MODES: Final = {"half_up": "half away from zero", "up": "away from zero", "down": "towards zero"}
_UNIT_OF: Final = {"Per_Month": "a month", "Per_Week": "a week"}


def steps_of_period(again: Again, line: Line, read: Read) -> Iterator[Step]:
    """The steps of a charge's line for a period or once."""
    working = line.working
    assert working is not None  # noqa: S101 - lines of charges have one
    of = pl.col("charge_number").eq(line.row["charge_number"]) & pl.col("segment").eq(line.row["segment"])
    periods = working.periods.filter(of, service_start=line.row["service_start_date"])
    charges = working.charges.filter(row=periods["row"][0])
    period, charge = periods.row(0, named=True), charges.row(0, named=True)
    if charge["charge_type"] == "Usage" and charge["charge_model"] != "FlatFee":
        yield _usage(working, period, read)
    if charge["charge_model"] in TIERED and period["records"] != 0:
        yield _tiers(periods, charge)
    yield _price(period, charge)
    if charge["charge_type"] != "OneTime":
        yield _billing_period(charges, line.row["service_start_date"])
    if period["is_part"]:
        yield _proration(again.money.settings, charges, period)
    exact = periods.select(exact=shared(pl.col("whole"), pl.col("numerator"), pl.col("denominator"))).item()
    yield rounding(again, line, exact)
    yield from taken_off(again, line)


def _usage(working: Working, period: Row, read: Read) -> Step:
    """The records of the period."""
    processed = working.used.processed.filter(
        charge_number=period["charge_number"], segment=period["segment"], service_start_date=period["service_start"]
    )["usage_id"]
    rows = collected(read("usage", only=Only(among=processed)).sort("start_date", "usage_id"))
    units, uom = period["units"], period["uom"] or "units"
    said = f"{counted(rows.height, 'usage record')} from {period['service_start']} on: {number(units)} {uom}"
    told = rows.select("usage_id", "start_date", "quantity", "uom", "unit_rate", "total").to_dicts()
    summed = sum(rows["quantity"], Decimal(0))
    if rows.height and summed != units:
        said += f", rounded from {number(summed)} (settings uom_decimals and uom_rounding of {uom})"
    return Step("usage", f"{said}.", {"records": rows.height, "quantity": summed, "units": units}, tuple(told))


def _tiers(periods: pl.DataFrame, charge: Row) -> Step:
    """Tier by tier what the units cost."""
    parts = tier_parts(periods.with_row_index("of_row")).sort("lower")
    rows = [_tier(n, row) for n, row in enumerate(parts.iter_rows(named=True), 1)]
    how = {
        "Volume": "the tier that holds all units prices them all",
        "Tiered": "each tier prices the units within it",
        "TieredWithOverage": "each tier prices the units within it, and units beyond the last cost the overage price",
    }[charge["charge_model"]]
    units, whole = periods["units"][0], sum(parts["part"], Decimal(0))
    said = f"{number(units)} {charge['uom'] or 'units'} by tiers ({charge['charge_model']}: {how}): {exactly(whole)}."
    return Step("tiers", said, {"units": units, "overage_price": charge["overage_price"], "amount": whole}, tuple(rows))


def _tier(place: int, row: Row) -> Row:
    """One tier: above `lower` up to `upper`, inclusive."""
    flat, counts = row["is_flat"], row["counts"] or row["over"]
    return {
        "tier": place,
        "above": row["lower"],
        "up_to": row["upper"],
        "price": row["price"],
        "price_format": "FlatFee" if flat else "PerUnit",
        "units": row["priced"] if counts else None,
        "units_beyond": row["units"] - row["upper"] if row["over"] else None,
        "amount": row["part"],
    }


def _price(period: Row, charge: Row) -> Step:
    """What a whole period costs, by the charge's model."""
    multiplier, whole = int(period["multiplier"]), period["whole"]
    names = ("charge_model", "price", "quantity", "uom", "included_units", "overage_price", "list_price_base")
    values = {n: charge[n] for n in names} | {
        "units": period["units"], "unit_price": period["unit_price"], "multiplier": multiplier, "whole_amount": whole,
    }  # fmt: skip
    said = _priced(period, charge)
    if multiplier != 1:
        said += f" times {multiplier} ({_UNIT_OF.get(charge['list_price_base'], 'each')}, {multiplier} a period)"
    return Step("price", f"{said} = {exactly(whole)} for {_whole_of(charge)}.", values)


def _priced(period: Row, charge: Row) -> str:
    units, uom, model = period["units"], charge["uom"] or "units", charge["charge_model"]
    if period["records"] == 0 and model != "FlatFee":
        return "No usage"
    match model:
        case "FlatFee":
            return f"Flat fee of {exactly(charge['price'])}"
        case "PerUnit":
            return f"{number(units)} {uom} at {exactly(charge['price'])}"
        case "Overage":
            included = charge["included_units"] or 0
            beyond = max(units - included, 0)
            said = f"{number(units)} {uom} less {number(included)} included leaves {number(beyond)}"
            return f"{said}; {number(beyond)} at {exactly(charge['overage_price'])}"
        case "PreratedPerUnit" | "PreratedPricing":
            return f"The {counted(period['records'], 'record')} bring their own prices"
        case _:
            return f"{number(units)} {uom} by tiers"


def _whole_of(charge: Row) -> str:
    if charge["charge_type"] == "OneTime":
        return "the one-time charge"
    several = f" of {charge['specific_billing_period']}" if charge["specific_billing_period"] else ""
    return f"a whole billing period ({charge['billing_period']}{several})"


def period_of(charges: pl.DataFrame, day: date) -> tuple[date, date] | None:
    """The billing period [start, end) of a charge that holds a day; None where it has no grid."""
    for grid in GRIDS:
        gridded = grid.of(charges.filter(grid.holds()))
        if gridded.height:
            n = grid.number_of(pl.lit(day))
            return gridded.select(start=grid.start_of(n), end=grid.start_of(n + 1)).row(0)
    return None


def _billing_period(charges: pl.DataFrame, day: date) -> Step:
    charge = charges.row(0, named=True)
    period = period_of(charges, day)
    start, end = period or (day, day)
    arrears = charge["billing_timing"] == "IN_ARREARS" or charge["charge_type"] == "Usage"
    when = "in arrears, when it is over" if arrears else "in advance, when it begins"
    anchor = f"{charge['bill_cycle_type']}, {charge['billing_period_alignment']}"
    said = f"Billing period from {start}, up to {end} exclusive, billed {when} ({anchor})."
    values = {"period_start": start, "period_end": end, "billing_period": charge["billing_period"],
              "billing_timing": "IN_ARREARS" if arrears else charge["billing_timing"], "charge_start": charge["start"],
              "charge_end": charge["end"]}  # fmt: skip
    return Step("period", said, values)


def _proration(settings: Mapping[str, str], charges: pl.DataFrame, period: Row) -> Step:
    """Which part of the period is owed: days, or months, of how many."""
    part = fraction_of(settings, charges, period["numerator"], period["denominator"])
    service = span(period["service_start"], _day_before(period["service_end"]))
    said = f"Only {service} is owed: {part} of the period (setting month_basis {settings['month_basis']})."
    values = {"numerator": period["numerator"], "denominator": period["denominator"], "part": part,
              "service_start": period["service_start"], "service_end": period["service_end"],
              "month_basis": settings["month_basis"],
              "long_period_proration": settings["long_period_proration"]}  # fmt: skip
    return Step("proration", said, values)


def fraction_of(settings: Mapping[str, str], charges: pl.DataFrame, numerator: int, denominator: int) -> str:
    """A share of a charge's billing period in words: `15 of 29 days`, `2 10/31 of 3 months`."""
    grid = next(g for g in GRIDS if charges.filter(g.holds()).height)
    length = int(grid.of(charges)["length"][0])
    if grid is Days or length == 1 or settings["long_period_proration"] == "by_day":
        return f"{number(numerator)} of {number(denominator)} days"
    return f"{mixed(Fraction(numerator, denominator) * length)} of {length} months"


def rounding(again: Again, line: Line, exact: Decimal) -> Step:
    """The one rounding of an amount."""
    currency, amount, settings = line.row["currency"], line.row["amount"], again.money.settings
    step, mode = increment(currency, settings), settings["rounding_mode"]
    values = {"exact": exact, "amount": amount, "increment": step, "rounding_mode": mode}
    if exact == amount:
        return Step("rounding", f"{in_currency(currency, amount)} needs no rounding to {number(step)}.", values)
    said = f"{exactly(exact)} is rounded to {in_currency(currency, amount)}, {_MODES[mode]} to {number(step)}."
    return Step("rounding", said, values)


def steps_of_order_line(again: Again, line: Line) -> Iterator[Step]:
    """The steps of an order line."""
    working = line.working
    assert working is not None  # noqa: S101 - order lines have one
    key = {c: line.row[c] for c in ("order_number", "item_number")}
    row = working.ordered.filter(**key).row(0, named=True)
    carried = again.carriers.order_lines.filter(**key).row(0, named=True)
    names = ("quantity", "uom", "amount_per_unit", "list_price_per_unit", "discount_type", "discount", "item_category")
    values = {n: carried[n] for n in names} | {"unit_price": row["unit_price"], "exact": row["exact"]}
    said = f"{number(row['quantity'])} {row['uom'] or 'units'} at {exactly(row['unit_price'])}"
    if carried["amount_per_unit"] is None:
        said += f" (list price {exactly(carried['list_price_per_unit'])}{_off(carried)})"
    if row["is_return"]:
        said += ", a return, so what it gives back has a minus"
    yield Step("price", f"{said} = {exactly(row['exact'])}.", values)
    yield rounding(again, line, row["exact"])


def _off(carried: Row) -> str:
    match carried["discount_type"]:
        case "Percentage":
            return f" less {number(carried['discount'] or 0)} %"
        case "FixedAmount":
            return f" less {exactly(carried['discount'])}" if carried["discount"] else ""
        case _:
            return ""


def taken_off(again: Again, line: Line) -> Iterator[Step]:
    """Which discounts are taken off a new line; each has an item of its own."""
    working = line.working
    if working is None or again.carriers.discounts.is_empty():
        return
    own = working.lines.with_row_index("line").filter(line=line.place)
    found = discount_steps(own, again.carriers.discounts, again.money)
    if found.height:
        rows = tuple(discount_row(row) for row in found.iter_rows(named=True))
        off = -sum(found["off"], Decimal(0))
        said = f"{counted(found.height, 'discount')}, on {'an item of its' if len(rows) == 1 else 'items of their'} own"
        net = line.row["amount"] + off
        text = f"{said}: {exactly(off)}, which leaves {in_currency(line.row['currency'], net)}."
        yield Step("discounts", text, {"off": off, "net": net}, rows)


def steps_of_discount(again: Again, line: Line) -> Iterator[Step]:
    """The steps of a discount on a new line."""
    working, reduced = line.working, line.reduced
    assert working is not None  # noqa: S101 - discounts of charges have one
    assert reduced is not None  # noqa: S101 - so has what they reduce
    own = working.lines.with_row_index("line").filter(line=reduced.place)
    every = discount_steps(own, again.carriers.discounts, again.money)
    row = every.filter(charge_number=line.row["charge_number"], segment=line.row["segment"]).row(0, named=True)
    percent, base = number(row["percentage"]), exactly(row["off_of"])
    of = f"{reduced.row['charge_name']} ({in_currency(reduced.row['currency'], reduced.row['amount'])})"
    if row["is_stacked"] and row["percent"] != row["percentage"]:
        together = f"{number(row['percent'])} % together with the stacked discounts before it"
        said = f"{percent} % off {of}: {together}, of {base}, less what those took."
    else:
        left = "" if row["off_of"] == reduced.row["amount"] else f", of the {base} that earlier discounts left"
        said = f"{percent} % off {of}{left} = {exactly(row['wide'])}."
    yield Step("discount", said, discount_row(row))
    if not row["is_stacked"]:
        yield rounding(again, line, -row["wide"])


def discount_row(row: Row) -> Row:
    """A discount: its charge, its percent, what it is taken of, and what it takes."""
    names = ("charge_number", "segment", "charge_name", "percentage", "is_stacked", "off_of", "percent", "off")
    return {**{n: row[n] for n in names}, "exact": row["wide"]}


def _day_before(day: date) -> date:
    return day.fromordinal(day.toordinal() - 1)
