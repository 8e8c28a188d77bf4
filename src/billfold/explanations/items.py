"""Why an item has its amount: the line made again from what the run read, its steps, and whether the two agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from billfold.explanations.again import Again, Line, line_of, of_charge, of_order_line
from billfold.explanations.amounts import steps_of_discount, steps_of_order_line, steps_of_period
from billfold.explanations.credits import steps_of_credit, steps_of_discount_credit
from billfold.explanations.models import ItemWhy, Step
from billfold.explanations.shares import steps_of_share, steps_of_share_credit, steps_of_share_discount
from billfold.explanations.stored import header, item

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from billfold.book import State
    from billfold.explanations.past import Past

    Row = Mapping[str, Any]


def item_why(now: State, past: Past, row: Row) -> ItemWhy:
    """How the amount of an item came about; `row` is the stored item, `past` what its run read."""
    earlier = item(now.read, row["applied_to_item_id"])
    kind = kind_of(row, earlier)
    document = header(now.read, row["document_id"])
    again, line = (None, None) if past.unknown else remade(now, past, row, earlier)
    amount = line.row["amount"] if line else None
    return ItemWhy(
        item_id=row["item_id"],
        document_id=row["document_id"],
        document_number=document["document_number"],
        document_kind=row["kind"],
        kind=kind,
        what=what_of(row),
        currency=row["currency"],
        amount=row["owed"],
        recomputed=amount,
        agrees=None if past.unknown else amount == row["owed"],
        note=_note(past, line),
        run=past.facts,
        steps=tuple(_steps(past, again, line, kind, earlier)) if again and line else (),
    )


def kind_of(row: Row, earlier: Row | None) -> str:
    """What sort of line an item is: a charge, an order line, a share of a schedule, a discount, or credit of one."""
    schedule = "schedule " if row["source_type"] == "InvoiceSchedule" else ""
    if row["processing_type"] == "Discount":
        gives = earlier is not None and earlier["processing_type"] == "Charge"
        return f"{schedule}discount" if gives else f"{schedule}discount credit"
    if row["applied_to_item_id"]:
        return f"{schedule}credit"
    if schedule:
        return "schedule share"
    return "order line" if row["source_type"] == "OrderLineItem" else "charge"


def what_of(row: Row) -> str:
    """What an item bills, by name."""
    if row["order_number"]:
        return f"order line {row['order_number']}/{row['item_number']}"
    return f"charge {row['charge_number']} segment {row['segment']} of subscription {row['subscription_number']}"


def remade(now: State, past: Past, row: Row, earlier: Row | None) -> tuple[Again, Line | None]:
    """The line that an item stands for, made again, and what it was made of."""
    if row["source_type"] == "OrderLineItem":
        again = of_order_line(past, row["order_number"], row["item_number"])
        return again, line_of(again, row)
    reduced, given = _reduced(now, row, earlier)
    charge = (reduced or row)["charge_number"]
    is_scheduled = row["source_type"] == "InvoiceSchedule"
    again = of_charge(past, row["subscription_number"], charge, is_scheduled=is_scheduled)
    return again, line_of(again, row, reduced, given)


def _reduced(now: State, row: Row, earlier: Row | None) -> tuple[Row | None, Row | None]:
    """Of a discount: the item that it reduces and, if it takes a discount back, the item that gave that."""
    if row["processing_type"] != "Discount" or earlier is None:
        return None, None
    if earlier["processing_type"] == "Charge":
        return earlier, None
    return item(now.read, earlier["applied_to_item_id"]), earlier


def _note(past: Past, line: Line | None) -> str | None:
    if past.unknown:
        return f"The amount can't be made again: {past.unknown}."
    return None if line else "The run's inputs give no such line now: has billfold another version than the run had?"


def _steps(past: Past, again: Again, line: Line, kind: str, earlier: Row | None) -> Iterable[Step]:
    steps: Iterable[Step]
    match kind:
        case "order line":
            steps = steps_of_order_line(again, line)
        case "charge":
            steps = steps_of_period(again, line, past.state.read)
        case "credit":
            steps = steps_of_credit(again, line, earlier)
        case "discount":
            steps = steps_of_discount(again, line)
        case "discount credit" if earlier:
            steps = steps_of_discount_credit(line, earlier)
        case "schedule share":
            steps = steps_of_share(again, line)
        case "schedule discount":
            steps = steps_of_share_discount(again, line)
        case _:
            steps = steps_of_share_credit(again, line, earlier)
    return steps
