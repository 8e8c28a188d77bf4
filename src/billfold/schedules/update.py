"""`schedule update`, `pause`, `resume` and `delete`: what an owner changes (spec/schedules.md 5.1, 5.2, 5.5)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.book import Change, Commit, State
from billfold.errors import BillfoldError
from billfold.orders.errors import INVALID, OrderError, reason
from billfold.rows import collected
from billfold.schedules import answers
from billfold.schedules.choose import Scope, chosen
from billfold.schedules.consumption import SCHEDULE
from billfold.schedules.create import as_json, by_key, item_row, seen_by, stored
from billfold.schedules.models import day_faults, kept_subscriptions, size_faults
from billfold.schedules.plan import TABLE_NAMES, Draft, planned
from billfold.schedules.standing import stand, with_next_dates
from billfold.schedules.view import view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.book import Book
    from billfold.lines import Schedules
    from billfold.orders.parsing import Parsed
    from billfold.schedules.models import UpdateSchedule, UpdateScheduleItem
    from billfold.schedules.plan import Row

_OPEN: Final = ("Pending", "PartiallyProcessed")


def update(book: Book, key: str, asked: Parsed[UpdateSchedule]) -> dict[str, Any]:
    """Change a schedule; returns it, or an error body.

    Raises:
        BillfoldError: there is no such schedule, or the book can't be written.
        ConflictError: another commit came first.
    """
    if asked.request is None:
        return answers.failure(asked.reasons)
    state = State.of(book)
    was = by_key(state, key)
    try:
        after = _updated(state, was, asked.request)
    except OrderError as e:
        return answers.failure([reason(e.category, str(e))])
    number = was.headers["number"][0]
    if any(not getattr(was, c).equals(getattr(after, c)) for c in ("headers", "items", "charges")):
        book.commit(state.head, Commit(f"schedule {number}", _changes(state, was, after)))
    return answers.body(*stored(State.of(book), number))


def pause(book: Book, key: str) -> dict[str, Any]:
    """Stop a schedule from being executed, until it is resumed. A paused one stays so.

    Raises:
        BillfoldError: there is no such schedule, or the book can't be written.
    """
    return _with_status(book, key, "Paused")


def resume(book: Book, key: str) -> dict[str, Any]:
    """Let a paused schedule be executed again.

    Raises:
        BillfoldError: there is no such schedule, it is not paused, or the book can't be written.
    """
    return _with_status(book, key, "Pending")


def delete(book: Book, key: str) -> dict[str, Any]:
    """Delete a schedule of which nothing was billed; its charges are billed by period again.

    Raises:
        BillfoldError: there is no such schedule, it is not Pending, or the book can't be written.
    """
    state = State.of(book)
    was = by_key(state, key)
    header = was.headers.row(0, named=True)
    if header["status"] != "Pending":
        msg = f"{header['number']} is {header['status']}: only Pending schedules can be deleted; cancel its runs first."
        raise BillfoldError(msg)
    changes = [_without(state, t, pl.col(_key(t)) == header["number"]) for t in TABLE_NAMES]
    book.commit(state.head, Commit(f"schedule {header['number']} deleted", [*changes, *reviewed(state, was.charges)]))
    return {"success": True}


def reviewed(state: State, links: pl.DataFrame) -> list[Change]:
    """Charges that runs have to look at again, as another one bills them now."""
    numbers = links["charge_number"].unique().implode()
    rows = collected(
        state.read("rate_plan_charges")
        .filter(pl.col("charge_number").is_in(numbers))
        .select("charge_number", "segment")
        .sort("charge_number", "segment")
    )
    return [Change("charges_to_review", rows, replace=True)] if rows.height else []


def _key(table: str) -> str:
    return "number" if table == "invoice_schedules" else SCHEDULE


def _without(state: State, table: str, gone: pl.Expr) -> Change:
    """A table without some rows: it is written anew, as rows are seldom deleted."""
    return Change(table, collected(state.read(table).filter(~gone)), whole=True)


def _with_status(book: Book, key: str, status: str) -> dict[str, Any]:
    state = State.of(book)
    was = by_key(state, key)
    header = was.headers.row(0, named=True)
    if status != "Paused" and header["status"] != "Paused":
        msg = f"{header['number']} is {header['status']}, not Paused: there is nothing to resume."
        raise BillfoldError(msg)
    seen = view(state, was.charges["subscription_number"])
    headers, _ = stand(was.headers.with_columns(status=pl.lit(status)), was.items, was.charges, seen.money)
    if headers["status"][0] != header["status"]:
        done = "paused" if status == "Paused" else "resumed"
        change = Change("invoice_schedules", headers, replace=True)
        book.commit(state.head, Commit(f"schedule {header['number']} {done}", [change]))
    return answers.body(*stored(State.of(book), header["number"]))


def _updated(state: State, was: Schedules, request: UpdateSchedule) -> Schedules:
    """The schedule as it is to be.

    Raises:
        OrderError: it can't be so.
    """
    header, given = was.headers.row(0, named=True), request.model_fields_set
    if header["status"] not in _OPEN:
        raise OrderError(
            "", f"{header['number']} is {header['status']}: only Pending or PartiallyProcessed ones change."
        )
    changed = header | _simple(request, given)
    scope = _scope(header, request, given)
    moved = _moved(header, scope)
    if moved and header["status"] != "Pending":
        raise OrderError("orders", f"can't change any more, since {header['number']} is {header['status']}.")
    changed |= {"orders": as_json(scope.orders), "specific_subscriptions": as_json(scope.specific)}
    fresh = header["status"] == "Pending" and (moved or "orders" in given)
    items = _items(changed, was, request) if "scheduleItems" in given else was.items.to_dicts()
    if fresh:
        seen, books = seen_by(state, [scope], header["number"])
        links = chosen(books, scope, header["number"])
    else:
        seen, links = view(state, was.charges["subscription_number"]), was.charges.to_dicts()
    draft = Draft(changed, items, links, keeps_total=not fresh, replans="scheduleItems" in given)
    after, faults = planned(state, [draft], seen)
    for fault in faults.values():
        raise fault
    return replace(after, headers=_with_day(was, after, request, given))


def _simple(request: UpdateSchedule, given: set[str]) -> Row:
    """Fields that are taken as they come."""
    row: Row = dict(request.custom)
    if "notes" in given:
        row["notes"] = request.notes
    if "invoiceSeparately" in given:
        row["invoice_separately"] = request.invoiceSeparately is not False
    if "additionalSubscriptionsToBill" in given:
        row["additional_subscriptions_to_bill"] = as_json(request.additionalSubscriptionsToBill)
    return row


def _scope(header: Row, request: UpdateSchedule, given: set[str]) -> Scope:
    """What the schedule is for: lists that are given replace those that were. Orders alone mean all of them."""
    orders, specific = json.loads(header["orders"]), list(kept_subscriptions(header["specific_subscriptions"]))
    if "orders" in given:
        specific = list(request.specificSubscriptions) if header["status"] == "Pending" else specific
        orders = list(request.orders)
    if "specificSubscriptions" in given:
        specific = list(request.specificSubscriptions)
    return Scope(header["account_number"], orders, specific)


def _moved(header: Row, scope: Scope) -> bool:
    """Whether the schedule is for something else than it was."""
    orders = sorted(json.loads(header["orders"])) != sorted(scope.orders)
    return orders or header["specific_subscriptions"] != as_json(scope.specific)


def _items(header: Row, was: Schedules, request: UpdateSchedule) -> list[Row]:
    """The items that the request lists: those with ids as they were but for what is given, the others new.

    Raises:
        OrderError: an item is unknown, or one that is processed would change or go.
    """
    known = {i["item_id"]: i for i in was.items.iter_rows(named=True)}
    rows: list[Row] = []
    for n, item in enumerate(request.scheduleItems):
        if item.id is None:
            header["last_item"] = (header["last_item"] or 0) + 1
            rows.append(item_row(item, header["number"], n + 1, header["last_item"]))
        elif item.id not in known:
            raise OrderError(f"scheduleItems[{n}].id", f"names {item.id!r}, which is no item of {header['number']}.")
        else:
            rows.append(_changed(known[item.id], item, n))
    gone = [i for i, row in known.items() if row["status"] == "Processed" and i not in {r["item_id"] for r in rows}]
    if gone:
        raise OrderError("scheduleItems", f"lack {gone[0]!r}, which is processed: it has to be listed as it is.")
    _check_plan(rows)
    return rows


def _changed(row: Row, item: UpdateScheduleItem, place: int) -> Row:
    """An item with what is given of it."""
    columns = {
        "amount": "amount", "percentage": "percentage", "name": "name", "runDate": "run_date",
        "targetDateForAdditionalSubscriptions": "target_date_for_additional_subscriptions",
    }  # fmt: skip
    said = {c: getattr(item, f) for f, c in columns.items() if f in item.model_fields_set} | item.custom
    if row["percentage"] is not None and said.get("amount") is not None:
        raise OrderError(f"scheduleItems[{place}].amount", "can't be set: the schedule is planned by percentages.")
    if row["percentage"] is None and said.get("percentage") is not None:
        raise OrderError(f"scheduleItems[{place}].percentage", "can't be set: the schedule is planned by amounts.")
    if said.get("amount", 0) is None:
        said.pop("amount")
    after = row | said | {"sequence_number": place + 1}
    if row["status"] == "Processed" and after != row:
        column = next(c for c in after if after[c] != row[c])
        field = {c: f for f, c in columns.items()}.get(column, "place" if column == "sequence_number" else column)
        raise OrderError(f"scheduleItems[{place}]", f"is processed: its {field} can't change any more.")
    return after


def _check_plan(rows: Sequence[Row]) -> None:
    """What requests are checked for alone, now that all items are known."""
    faults = [
        *size_faults([(None if r["percentage"] is not None else r["amount"], r["percentage"]) for r in rows]),
        *day_faults({n: r["run_date"] for n, r in enumerate(rows)}),
    ]
    for fault in faults:
        at = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in fault.at).removeprefix(".")
        raise OrderError(at, f"{fault.said}.")


def _with_day(was: Schedules, after: Schedules, request: UpdateSchedule, given: set[str]) -> pl.DataFrame:
    """Headers with their next run date: as it is asked for, anew where items moved, else as it was."""
    if "nextRunDate" in given:
        header = after.headers.row(0, named=True)
        if header["status"] == "FullyProcessed" and header["unbilled_amount"] == 0:
            raise OrderError("nextRunDate", "can't be set: nothing is left to bill.", INVALID)
        return after.headers.with_columns(next_run_date=pl.lit(request.nextRunDate, dtype=pl.Date))
    days = ["item_id", "run_date", "status"]
    if "scheduleItems" in given and not was.items.select(days).equals(after.items.select(days)):
        return with_next_dates(after.headers, after.items)
    return after.headers.with_columns(next_run_date=was.headers["next_run_date"])


def _changes(state: State, was: Schedules, after: Schedules) -> list[Change]:
    """What the commit of an update holds."""
    changes = []
    frames = {"invoice_schedules": after.headers, "invoice_schedule_items": after.items,
              "invoice_schedule_charges": after.charges}  # fmt: skip
    keys = {"invoice_schedule_items": "item_id", "invoice_schedule_charges": "charge_number"}
    before = {"invoice_schedule_items": was.items, "invoice_schedule_charges": was.charges}
    for table, rows in frames.items():
        gone = before[table].join(rows, on=keys[table], how="anti") if table in keys else None
        if gone is None or gone.is_empty():
            changes.append(Change(table, rows, replace=True))
            continue
        others = collected(state.read(table).filter(pl.col(_key(table)) != after.headers["number"][0]))
        changes.append(Change(table, pl.concat([others, rows], how="diagonal"), whole=True))
    lost = was.charges.join(after.charges, on="charge_number", how="anti")
    found = was.charges.join(after.charges, on="charge_number", how="semi")
    return [*changes, *(reviewed(state, lost) if lost.height and found is not None else [])]
