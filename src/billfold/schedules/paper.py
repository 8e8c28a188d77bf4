"""What the schedule commands print: tables for people, the API's JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape

from billfold.console import console, money, print_text, table_of
from billfold.orders.paper import _plain, _show_failed, _show_reasons
from billfold.schedules import answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    import polars as pl
    from rich.console import Console

    from billfold.orders.create import Answer
    from billfold.receipt import Receipt

_SHOWN: Final = 20


def show_created(given: Sequence[Answer], *, several: bool, as_json: bool) -> None:
    """What became of the schedules of a file."""
    if as_json:
        _print_json(_of_file(given) if several else given[0].body)
        return
    done, failed = [a for a in given if a.success], [a for a in given if not a.success]
    if done:
        _show_done(done)
    if failed:
        _show_failed(failed, several=several)
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
    table = table_of("schedule", "account", "items", "total", "next run", "notes", right=["items", "total"])
    for answer in done[:_SHOWN]:
        body = answer.body
        number = body["number"] + (" (made before)" if answer.repeated else "")
        items = f"{len(body['scheduleItems']):,}"
        table.add_row(
            escape(number), escape(body["accountId"]), items, _sum(body, "totalAmount"), _day(body["nextRunDate"]),
            escape(body["notes"] or ""),
        )  # fmt: skip
    out = console()
    out.print(table)
    if len(done) > _SHOWN:
        out.print(f"… and {len(done) - _SHOWN:,} more; --out FILE saves all answers.")


def show_schedule(body: Mapping[str, Any], *, as_json: bool) -> None:
    """A schedule and its items as they are now, or why nothing became of a request."""
    if as_json:
        _print_json(body)
        return
    if not body["success"]:
        _show_reasons(body)
        return
    out = console()
    _show_header(out, body)
    table = table_of("item", "name", "run date", "amount", "actual", "status", "documents", right=["amount", "actual"])
    for item in body["scheduleItems"]:
        documents = ", ".join(d for d in (item["invoiceId"], item["creditMemoId"]) if d)
        share = "" if item["percentage"] is None else f" ({_plain(item['percentage'])} %)"
        table.add_row(
            escape(item["id"]), escape(item["name"] or ""), _day(item["runDate"]), f"{_amount(item['amount'])}{share}",
            _amount(item["actualAmount"]), item["status"], escape(documents),
        )  # fmt: skip
    out.print(table)


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
        _print_json(headers)
        return
    if not headers:
        console().print("There are no such invoice schedules.")
        return
    sums = ("total", "actual", "billed", "unbilled")
    table = table_of("schedule", "account", "status", "next run", *sums, "notes", right=sums)
    for each in headers:
        amounts = [_amount(each[f"{name}Amount"]) for name in sums[1:]]
        table.add_row(
            escape(each["number"]), escape(each["accountId"]), each["status"], _day(each["nextRunDate"]),
            _sum(each, "totalAmount"), *amounts, escape(each["notes"] or ""),
        )  # fmt: skip
    console().print(table)


def show_executed(body: Mapping[str, Any], receipt: Receipt | None, *, as_json: bool) -> None:
    """The documents that an execution made."""
    if as_json:
        _print_json(body)
        return
    if not body["success"]:
        _show_reasons(body)
        return
    out = console()
    if receipt is None or body["billRunNumber"] is None:
        out.print("Nothing was to be billed; nothing was written.")
        return
    dates = f"target date {body['targetDate']}  ·  invoice date {body['invoiceDate']}"
    out.print(f"[bold]{body['billRunNumber']}[/bold]  {body['status']}  ·  {dates}")
    _show_documents(out, receipt)
    for account, reason in receipt.documents.parked_accounts.select("account_number", "reason").iter_rows():
        out.print(f"Account {escape(account)} is parked: {escape(reason)}.", soft_wrap=True)


def _show_documents(out: Console, receipt: Receipt) -> None:
    for kind, title in (("invoice", "Invoice"), ("credit_memo", "Credit memo")):
        made = getattr(receipt.documents, f"{kind}s").sort(f"{kind}_id")
        for number, currency, amount in made.select(f"{kind}_number", "currency", "amount").iter_rows():
            out.print(f"{title} {escape(number)}: {currency} {money(amount)}")


def show_done(body: Mapping[str, Any], said: str, *, as_json: bool) -> None:
    """That something was done with a schedule, or why not."""
    if as_json:
        _print_json(body)
    elif body["success"]:
        console().print(escape(said), soft_wrap=True)
    else:
        _show_reasons(body)


def show_checked(found: pl.DataFrame, *, as_json: bool) -> None:
    """Schedules that can't be billed as they are, and why."""
    if as_json:
        _print_json({"success": found.is_empty(), "invoiceSchedules": found.to_dicts()})
        return
    if found.is_empty():
        console().print("The charges of every open schedule agree: all can be billed.")
        return
    table = table_of("schedule", "account", "next run", "field", "what differs")
    for row in found.iter_rows(named=True):
        table.add_row(
            escape(row["invoice_schedule_number"]), escape(row["account_number"]), _day(row["next_run_date"]),
            escape(row["field"]), escape(row["said"]),
        )  # fmt: skip
    console().print(table)


def _sum(body: Mapping[str, Any], name: str) -> str:
    return f"{body['currency']} {_amount(body[name])}"


def _amount(amount: Decimal | None) -> str:
    return "" if amount is None else money(amount)


def _day(day: object) -> str:
    """A day; a blank one waits."""
    return "" if day is None else str(day)


def _print_json(body: object) -> None:
    """One JSON document in which decimals are numbers, as in the API."""
    print_text(answers.text(body, indent=2))
