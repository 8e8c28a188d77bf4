"""How lines of invoice schedules come about: which share of an item's amount a charge takes, and what is credited."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from billfold.explanations.models import Step
from billfold.explanations.texts import exactly, in_currency, mixed, number, span
from billfold.schedules.units import SCALE, UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from billfold.explanations.again import Again, Line
    from billfold.schedules.lines import Sharing

    Row = Mapping[str, Any]


def steps_of_share(again: Again, line: Line) -> Iterator[Step]:
    """The steps of what an item of a schedule bills of a charge."""
    sharing = _sharing(again)
    yield _item(sharing, line.row)
    part = _part(sharing, line.row)
    unit = sharing.units.units.filter(**{c: part[c] for c in UNIT}).row(0, named=True)
    yield _unit(unit)
    yield _taken(line.row, part, unit, again.money.settings["schedule_consumption"])


def steps_of_share_discount(again: Again, line: Line) -> Iterator[Step]:
    """The steps of a discount on what an item of a schedule bills."""
    sharing, reduced = _sharing(again), line.reduced
    assert reduced is not None  # noqa: S101 - discounts have what they reduce
    yield _item(sharing, line.row)
    part = _part(sharing, reduced.row)
    units = sharing.units
    unit = units.units.filter(**{c: part[c] for c in UNIT}).row(0, named=True)
    own = units.discounts.filter(
        **{c: part[c] for c in UNIT},
        discount_charge=line.row["charge_number"],
        discount_segment=line.row["segment"],
    ).row(0, named=True)
    off, currency = _money(unit["gross"] - unit["net"]), line.row["currency"]
    said = f"{number(own['percentage'])} % off {reduced.row['charge_name']}: all discounts on it are"
    values = {"percentage": own["percentage"], "discounts_in_all": off, "amount": line.row["amount"],
              "reduced": reduced.row["amount"]}  # fmt: skip
    text = f"{said} {in_currency(currency, off)} over the whole schedule, of which this item takes its share"
    yield Step("discount", f"{text}: {in_currency(currency, line.row['amount'])}.", values)


def steps_of_share_credit(again: Again, line: Line, earlier: Row | None) -> Iterator[Step]:
    """The steps of what an item of a schedule gives back of a charge, or of a discount on it."""
    sharing, row = _sharing(again), line.row
    yield _item(sharing, row)
    amount, currency = in_currency(row["currency"], abs(row["amount"])), row["currency"]
    if earlier:
        values = {"item_id": earlier["item_id"], "billed": earlier["owed"], "document_id": earlier["document_id"]}
        days = span(earlier["service_start_date"], earlier["service_end_date"])
        said = f"Item {earlier['item_id']} is of {in_currency(currency, earlier['owed'])} for {days}."
        yield Step("earlier", said, values)
    back = sharing.taken.credits.filter(charge_number=row["charge_number"], item_id=row["invoice_schedule_item_id"])
    if back.height:
        credit = _money(back["credit"][0])
        said = f"The schedule billed {in_currency(currency, credit)}, net of discounts, of this charge too much"
        text = f"{said}; of this item {amount} is given back (the newest items come first)."
        yield Step("credit", text, {"credit": credit, "amount": row["amount"]})
    else:
        text = f"The item that it reduces is given back, and with it {amount} of the discount."
        yield Step("credit", text, {"amount": row["amount"]})


def _sharing(again: Again) -> Sharing:
    assert again.sharing is not None  # noqa: S101 - lines of schedules have one
    return again.sharing


def _item(sharing: Sharing, row: Row) -> Step:
    """The item that bills."""
    chosen = sharing.chosen.filter(item_id=row["invoice_schedule_item_id"]).row(0, named=True)
    item = sharing.now.items.filter(item_id=row["invoice_schedule_item_id"]).row(0, named=True)
    amount = _money(chosen["amount"])
    due = f"due on {item['run_date']}" if item["run_date"] else "without a date"
    said = f"Invoice schedule {row['invoice_schedule_number']}, item {item['sequence_number']}, {due}, bills"
    values = {n: item[n] for n in ("item_id", "sequence_number", "run_date", "percentage")} | {"amount": amount}
    return Step("schedule", f"{said} {in_currency(row['currency'], amount)} in all.", values)


def _part(sharing: Sharing, row: Row) -> Row:
    """What the item takes of the unit that a line is for."""
    return sharing.parts.filter(
        item_id=row["invoice_schedule_item_id"],
        charge_number=row["charge_number"],
        service_start_date=row["service_start_date"],
        service_end_date=row["service_end_date"],
    ).row(0, named=True)


def _unit(unit: Row) -> Step:
    """What the charge, or those segments of it that have one price, costs over the schedule."""
    net, gross = _money(unit["net"]), _money(unit["gross"])
    until = unit["until"].fromordinal(unit["until"].toordinal() - 1)
    said = f"The charge costs {in_currency(unit['currency'], gross)} for {span(unit['first'], until)}"
    said += "" if net == gross else f", {in_currency(unit['currency'], net)} after discounts"
    values = {"gross": gross, "net": net, "exact": unit["exact"], "first": unit["first"], "until": unit["until"],
              "months": unit["months"], "of_months": unit["of_months"]}  # fmt: skip
    if not unit["is_once"]:
        said += f" ({_months(unit)} months)"
    return Step("price", f"{said}, exactly {exactly(unit['exact'])}.", values)


def _months(unit: Row) -> str:
    return mixed(Fraction(unit["months"], unit["of_months"]))


def _taken(row: Row, part: Row, unit: Row, consumption: str) -> Step:
    """The share of this line."""
    taken, before, left = _money(part["taken"]), _money(part["before"]), _money(unit["net"] - part["before"])
    currency = row["currency"]
    values = {"taken": taken, "before": before, "left": left, "amount": row["amount"],
              "schedule_consumption": consumption}  # fmt: skip
    said = f"{in_currency(currency, before)} of it was billed before; of the {in_currency(currency, left)} left"
    said += f", the item takes {in_currency(currency, taken)} (setting schedule_consumption {consumption})"
    more = "" if taken == row["amount"] else f", which is {in_currency(currency, row['amount'])} before discounts"
    return Step("share", f"{said}{more}: {span(row['service_start_date'], row['service_end_date'])}.", values)


def _money(number_: int) -> Decimal:
    """A whole number of 1/10,000 as an amount."""
    return Decimal(number_) / SCALE
