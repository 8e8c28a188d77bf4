"""What the schedule commands print: tables for people, the API's JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.markup import escape

from billfold.console import console, money, show_records, table_of
from billfold.orders.paper import plain, print_body, show_failed, show_reasons
from billfold.schedules import answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    import polars as pl
    from rich.console import Console

    from billfold.orders.create import Answer
    from billfold.receipt import Receipt

_SHOWN: Final = 20
_FOLDED: Final = 10
"""How narrow a column of words may get before a table gives way to blocks."""

_GAP: Final = 2


def show_created(given: Sequence[Answer], *, several: bool, as_json: bool) -> None:
    """What became of the schedules of a file."""
    if as_json:
        print_body(_of_file(given) if several else given[0].body)
        return
    done, failed = [a for a in given if a.success], [a for a in given if not a.success]
    if done:
        _show_done(done)
    if failed:
        show_failed(failed, several=several)
    if several:
        repeated = sum(a.repeated for a in done)
        again = f" ({repeated:,} of them before)" if repeated else ""
        console().print(f"{len(done):,} schedules made{again}, {len(failed):,} refused.")


def _of_file(given: Sequence[Answer]) -> dict[str, Any]:
    """One document for a file of schedules."""
    return {
        "success": all(a.success for a in given),
        "created": sum(a.success and not a.repeated for a in given),
        "repeated": sum(a.repeated for a in given),
        "failed": sum(not a.success for a in given),
        "invoiceSchedules": [{"line": a.line, **a.body} for a in given],
    }


def _show_done(done: Sequence[Answer]) -> None:
    rows = [
        {
            "schedule": answer.body["number"] + (" (made before)" if answer.repeated else ""),
            "account": answer.body["accountId"],
            "items": f"{len(answer.body['scheduleItems']):,}",
            "total": _sum(answer.body, "totalAmount"),
            "next run": _day(answer.body["nextRunDate"]),
            "notes": answer.body["notes"] or "",
        }
        for answer in done[:_SHOWN]
    ]
    out = console()
    _show(out, rows, right=("items", "total"), folding="notes")
    if len(done) > _SHOWN:
        out.print(f"… and {len(done) - _SHOWN:,} more; --out FILE saves all answers.")


def show_schedule(body: Mapping[str, Any], *, as_json: bool) -> None:
    """A schedule and its items as they are now, or why nothing became of a request."""
    if as_json:
        print_body(body)
        return
    if not body["success"]:
        show_reasons(body)
        return
    out = console()
    _show_header(out, body)
    rows = [
        {
            "item": item["id"],
            "name": item["name"] or "",
            "run date": _day(item["runDate"]),
            "amount": _amount(item["amount"]) + _share(item["percentage"]),
            "actual": _amount(item["actualAmount"]),
            "status": item["status"],
            "documents": ", ".join(d for d in (item["invoiceId"], item["creditMemoId"]) if d),
        }
        for item in body["scheduleItems"]
    ]
    _show(out, rows, right=("amount", "actual"), folding="name")


def _show_header(out: Console, body: Mapping[str, Any]) -> None:
    """Two lines: what it is, and where its money stands."""
    due = f"next run {body['nextRunDate']}" if body["nextRunDate"] else None
    alone = "invoiced separately" if body["invoiceSeparately"] else None
    facts = [body["number"], body["accountId"], body["status"], due, ", ".join(body["orders"]), alone, body["notes"]]
    out.print("  ·  ".join(escape(f) for f in facts if f), style="bold", soft_wrap=True)
    sums = (("total", "totalAmount"), ("actual", "actualAmount"), ("billed", "billedAmount"))
    told = (f"{label} {_amount(body[name])}" for label, name in (*sums, ("unbilled", "unbilledAmount")))
    out.print(f"{body['currency']}: {', '.join(told)}\n", soft_wrap=True)


def show_listed(schedules: pl.DataFrame, *, as_json: bool) -> None:
    """A line a schedule."""
    headers = [answers.header(row) for row in schedules.iter_rows(named=True)]
    if as_json:
        print_body(headers)
        return
    if not headers:
        console().print("There are no such invoice schedules.")
        return
    rows = [
        {
            "schedule": each["number"],
            "account": each["accountId"],
            "status": each["status"],
            "next run": _day(each["nextRunDate"]),
            "total": _sum(each, "totalAmount"),
            "billed": _amount(each["billedAmount"]),
            "unbilled": _amount(each["unbilledAmount"]),
            "notes": each["notes"] or "",
        }
        for each in headers
    ]
    _show(console(), rows, right=("total", "billed", "unbilled"), folding="notes")


def show_executed(body: Mapping[str, Any], receipt: Receipt | None, *, as_json: bool) -> None:
    """The documents that an execution made."""
    if as_json:
        print_body(body)
        return
    if not body["success"]:
        show_reasons(body)
        return
    out = console()
    if body["billRunNumber"]:
        dates = f"target date {body['targetDate']}  ·  invoice date {body['invoiceDate']}"
        out.print(f"[bold]{body['billRunNumber']}[/bold]  {body['status']}  ·  {dates}")
    else:
        out.print("Nothing was billed, and nothing was written.")
    if receipt:
        _show_documents(out, receipt)


def _show_documents(out: Console, receipt: Receipt) -> None:
    """The documents of a run, or why it made none."""
    for kind, title in (("invoice", "Invoice"), ("credit_memo", "Credit memo")):
        made = getattr(receipt.documents, f"{kind}s").sort(f"{kind}_id")
        for number, currency, amount in made.select(f"{kind}_number", "currency", "amount").iter_rows():
            out.print(f"{title} {escape(number)}: {currency} {money(amount)}")
    for account, reason in receipt.documents.parked_accounts.select("account_number", "reason").iter_rows():
        out.print(f"Account {escape(account)} is parked: {escape(reason)}.", soft_wrap=True)


def show_done(body: Mapping[str, Any], said: str, *, as_json: bool) -> None:
    """That something was done with a schedule, or why not."""
    if as_json:
        print_body(body)
    elif body["success"]:
        console().print(escape(said), soft_wrap=True)
    else:
        show_reasons(body)


def show_checked(found: pl.DataFrame, *, as_json: bool) -> None:
    """Schedules that can't be billed as they are, and why."""
    if as_json:
        print_body({"success": found.is_empty(), "invoiceSchedules": found.to_dicts()})
        return
    if found.is_empty():
        console().print("The charges of every open schedule agree: all can be billed.")
        return
    rows = [
        {
            "schedule": row["invoice_schedule_number"],
            "account": row["account_number"],
            "next run": _day(row["next_run_date"]),
            "field": row["field"],
            "what differs": row["said"],
        }
        for row in found.iter_rows(named=True)
    ]
    _show(console(), rows, folding="what differs")


def _show(out: Console, rows: Sequence[Mapping[str, str]], *, right: Sequence[str] = (), folding: str) -> None:
    """Rows as a table of which one column folds where it is too wide; where even that doesn't fit, as blocks."""
    if not rows:
        return
    table = table_of(*rows[0], right=right)
    for column in table.columns:
        column.no_wrap = column.header != folding
    for row in rows:
        table.add_row(*map(escape, row.values()))
    widths = {name: max(cell_len(name), *(cell_len(row[name]) for row in rows)) for name in rows[0]}
    widths[folding] = min(widths[folding], _FOLDED)
    if sum(widths.values()) + _GAP * len(widths) > out.width:
        show_records(out, rows)
    else:
        out.print(table)


def _sum(body: Mapping[str, Any], name: str) -> str:
    return f"{body['currency']} {_amount(body[name])}"


def _amount(amount: Decimal | None) -> str:
    return "" if amount is None else money(amount)


def _share(percentage: Decimal | None) -> str:
    return "" if percentage is None else f" ({plain(percentage)} %)"


def _day(day: object) -> str:
    """A day; a blank one waits."""
    return "" if day is None else str(day)
