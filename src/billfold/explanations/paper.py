"""What `billfold explain` prints: a page for people, one JSON document for programs."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape

from billfold.console import console, money, print_json, show_records, table_of
from billfold.explanations.rows import tables_of
from billfold.explanations.texts import DOCUMENTS, counted, in_currency, number, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from billfold.explanations.models import CarrierWhy, DocumentWhy, Explanation, ItemLine, ItemWhy, RunFacts, Step

_ALL: Final = 20
"""So many items are all shown; of more, only the largest."""

_LARGEST: Final = 10
_SHOWN_ROWS: Final = 20
_COUNTS: Final = ("quantity", "units", "units_beyond", "above", "up_to", "percentage", "percent")
_SAME: Final = {"percent": "percentage"}
"""Columns that say nothing where they are as another one."""

_DOTS: Final = "  ·  "


def show(explanation: Explanation, *, rows: bool, as_json: bool) -> None:
    """An explanation; with `rows`, also the input rows that it rests on."""
    if as_json:
        print_json(settled(asdict(explanation)))
        return
    out = console()
    if explanation.document:
        _show_document(out, explanation.document)
    if explanation.item:
        _show_item(out, explanation.item)
    if explanation.carrier:
        _show_carrier(out, explanation.carrier)
    if rows:
        _show_rows(out, explanation)


def settled(value: Any) -> Any:  # noqa: ANN401 - any part of a document
    """A document without the parts that are not there, and decimals without idle zeros."""
    if isinstance(value, dict):
        return {k: settled(v) for k, v in value.items() if v is not None or k not in {"document", "item", "carrier"}}
    if isinstance(value, list | tuple):
        return [settled(v) for v in value]
    if isinstance(value, Decimal):
        whole, point, decimals = format(value, "f").partition(".")
        return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}" if point else whole
    return value


def _show_document(out: Console, why: DocumentWhy) -> None:
    kind = DOCUMENTS[why.kind]
    facts = [f"{kind.capitalize()} {why.document_number}", f"account {why.account_number}",
             in_currency(why.currency, why.amount), counted(why.item_count, "item"), why.status]  # fmt: skip
    out.print(_DOTS.join(map(escape, facts)), style="bold", soft_wrap=True)
    _show_run(out, why.run)
    others = why.nearest.others if why.nearest else 0
    near = f" (Of {others:,} other documents of the account in this run, that is the nearest.)" if others > 1 else ""
    out.print(f"\n{escape(why.rule)}{near}", soft_wrap=True)
    out.print(f"{escape(why.kind_reason)}\n", soft_wrap=True)
    table = table_of("component", "value", "where it comes from")
    for component in why.components:
        table.add_row(component.label, escape(component.value or ""), escape(component.said))
    out.print(table)
    _show_items(out, why)


def _show_run(out: Console, run: RunFacts) -> None:
    days = f"target date {run.target_date}, dated {run.invoice_date}"
    out.print(f"Made by {run.bill_run_number} ({run.status}), {days}, from snapshot {run.snapshot_id} of the book")


def _show_items(out: Console, why: DocumentWhy) -> None:
    shown = why.items
    title = f"{counted(len(why.items), 'item')}: {in_currency(why.currency, why.sum_of_items)}"
    title += ", as the document says" if why.adds_up else f", but the document says {money(why.amount)}"
    if len(why.items) > _ALL:
        shown = tuple(sorted(why.items, key=lambda i: (-abs(i.amount), i.item_id))[:_LARGEST])
        title += f"; the {_LARGEST} largest"
    table = table_of("item", "what", "name", "service", "quantity", "price", "amount", title=title,
                     right=["quantity", "price", "amount"])  # fmt: skip
    for line in shown:
        table.add_row(*map(escape, _cells(line)))
    out.print("", table, sep="\n")
    out.print(f"\nHow an amount came about: billfold explain {shown[0].item_id}", soft_wrap=True)


def _cells(line: ItemLine) -> list[str]:
    quantity = "" if line.quantity is None else number(line.quantity)
    price = "" if line.unit_price is None else money(line.unit_price)
    position = line.item_id.rsplit("-", 1)[1]
    service = span(line.service_start_date, line.service_end_date)
    return [position, line.what, line.name or "", service, quantity, price, money(line.amount)]


def _show_item(out: Console, why: ItemWhy) -> None:
    document = f"of {DOCUMENTS[why.document_kind]} {why.document_number}"
    facts = [f"Item {why.item_id} {document}", why.kind, in_currency(why.currency, why.amount)]
    out.print(_DOTS.join(map(escape, facts)), style="bold", soft_wrap=True)
    out.print(escape(why.what[:1].upper() + why.what[1:]), soft_wrap=True)
    _show_run(out, why.run)
    table = table_of("step", "how")
    for step in why.steps:
        table.add_row(step.name, escape(step.said))
    table.add_row("check", escape(_check(why)))
    out.print("", table, sep="\n")
    for step in why.steps:
        _show_step_rows(out, step)
    out.print(f"\nWhy it is on that document: billfold explain {why.document_id}", soft_wrap=True)


def _check(why: ItemWhy) -> str:
    if why.recomputed is None:
        return why.note or ""
    again = in_currency(why.currency, why.recomputed)
    verdict = "as the item says" if why.agrees else f"but the item says {in_currency(why.currency, why.amount)}"
    return f"Made again from what the run read: {again}, {verdict}."


def _show_step_rows(out: Console, step: Step) -> None:
    if not step.rows:
        return
    rows = step.rows[:_SHOWN_ROWS]
    names = [n for n in rows[0] if any(_says(row, n) for row in rows)]
    table = table_of(*(n.replace("_", " ") for n in names), title=step.name.capitalize(), right=_numeric(step, names))
    for row in rows:
        table.add_row(*(escape(_cell(n, row[n])) for n in names))
    out.print("", table, sep="\n")
    if len(step.rows) > _SHOWN_ROWS:
        out.print(f"… and {len(step.rows) - _SHOWN_ROWS:,} more; --json has all.")


def _says(row: Mapping[str, Any], name: str) -> bool:
    """Whether a value is there, and another than that of the column which it repeats."""
    return row[name] is not None and row[name] is not False and row[name] != row.get(_SAME.get(name, ""))


def _cell(name: str, value: Any) -> str:  # noqa: ANN401 - any value of a row
    """A value of a step's rows: money with two decimals at least, units and percentages without idle zeros."""
    if isinstance(value, Decimal):
        return number(value) if name in _COUNTS else money(value)
    return "" if value is None else str(value)


def _numeric(step: Step, names: Sequence[str]) -> list[str]:
    """Headings of the columns that hold numbers."""
    is_number = {n for n in names if any(isinstance(r[n], Decimal | int) and r[n] is not True for r in step.rows)}
    return [n.replace("_", " ") for n in names if n in is_number]


def _show_carrier(out: Console, why: CarrierWhy) -> None:
    owner = why.invoice_owner_account_number
    payer = [] if owner == why.account_number else [f"paid by {owner}"]
    facts = [why.what[:1].upper() + why.what[1:], f"account {why.account_number}", *payer]
    out.print(_DOTS.join(map(escape, facts)), style="bold", soft_wrap=True)
    for reason in why.reasons:
        out.print(escape(reason.said), soft_wrap=True)
    _show_segments(out, why)
    _show_billed(out, why)


def _show_segments(out: Console, why: CarrierWhy) -> None:
    if not why.segments:
        return
    table = table_of("segment", "name", "kind", "from", "up to", "billed up to", "next due", right=["segment"])
    for s in why.segments:
        days = (s.start, s.end, s.charged_through_date, s.next_due_date)
        cells = [
            str(s.segment),
            s.charge_name or "",
            f"{s.charge_type} {s.charge_model}",
            *("" if d is None else str(d) for d in days),
        ]
        table.add_row(*map(escape, cells))
    out.print("", table, "Days in “up to” are exclusive.", sep="\n")


def _show_billed(out: Console, why: CarrierWhy) -> None:
    canceled = f"{counted(why.canceled_items, 'item')} on canceled documents don't count."
    if not why.billed:
        out.print("\nNo document has billed it." + (f" {canceled}" if why.canceled_items else ""))
        return
    sums = ", ".join(in_currency(c, a) for c, a in why.billed_amounts.items())
    title = f"Billed: {sums} in {counted(len(why.billed), 'item')}"
    table = table_of("run", "document", "status", "item", "service", "what", "amount", title=title, right=["amount"])
    for b in why.billed[-_SHOWN_ROWS:]:
        days = span(b.service_start_date, b.service_end_date)
        position = b.item_id.rsplit("-", 1)[1]
        cells = [b.bill_run_number, b.document_number, b.status, position, days, b.processing_type]
        table.add_row(*map(escape, cells), in_currency(b.currency, b.amount))
    out.print("", table, sep="\n")
    if len(why.billed) > _SHOWN_ROWS:
        out.print(f"The latest {_SHOWN_ROWS} of {len(why.billed):,}; --json has all.")
    if why.canceled_items:
        out.print(canceled)
    out.print(f"\nHow an amount came about: billfold explain {why.billed[-1].item_id}", soft_wrap=True)


def _show_rows(out: Console, explanation: Explanation) -> None:
    """The input rows, a block a row."""
    out.print(f"\nInput rows at snapshot {explanation.snapshot_id}, without blanks\n", style="bold")
    for table, rows in tables_of(explanation.rows):
        out.print(table + (f" (the first {_SHOWN_ROWS} of {len(rows):,})" if len(rows) > _SHOWN_ROWS else ""),
                  style="bold")  # fmt: skip
        blocks: list[Mapping[str, Any]] = [row.values for row in rows[:_SHOWN_ROWS]]
        show_records(out, blocks)
