"""Why an item has its amount: the line made again from what the run read, its steps, and whether the two agree."""

from __future__ import annotations

from dataclasses import dataclass
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
    reduced, given = _reduced(now, row, earlier)
    again = None if past.unknown else _again(past, row, reduced or row)
    return _why(now, past, row, _Way(again, earlier, reduced, given))


@dataclass(frozen=True)
class _Way:
    """What an item's line is found by: lines made again, and the items that its own depends on, if any."""

    again: Again | None
    earlier: Row | None
    reduced: Row | None
    given: Row | None

    def line(self, row: Row) -> Line | None:
        return line_of(self.again, row, self.reduced, self.given) if self.again else None


def _why(now: State, past: Past, row: Row, way: _Way) -> ItemWhy:
    document, line = header(now.read, row["document_id"]), way.line(row)
    amount, kind = line.row["amount"] if line else None, kind_of(row, way.earlier)
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
        steps=tuple(_steps(past, way.again, line, kind, way.earlier)) if way.again and line else (),
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


def _again(past: Past, row: Row, regular: Row) -> Again:
    """The lines that an item is among, made again; `regular` is the item itself or, of a discount, what it reduces."""
    if row["source_type"] == "OrderLineItem":
        return of_order_line(past, row["order_number"], row["item_number"])
    is_scheduled = row["source_type"] == "InvoiceSchedule"
    return of_charge(past, row["subscription_number"], regular["charge_number"], is_scheduled=is_scheduled)


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
