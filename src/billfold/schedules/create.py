"""`schedule create`: schedules for orders of the book, all of a file in one commit; and how schedules are looked up."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.book import Change, Commit, State
from billfold.errors import BillfoldError, ConflictError
from billfold.lines import Schedules
from billfold.orders.create import Answer
from billfold.orders.errors import OrderError, not_found, reason
from billfold.orders.numbers import Numbers
from billfold.orders.parsing import undisturbed
from billfold.receipt import Clock, Progress, now, silent
from billfold.rows import Only, collected
from billfold.schedules import answers
from billfold.schedules.choose import Scope, Shelf, chosen, named_orders, shelf, subscriptions_of
from billfold.schedules.consumption import SCHEDULE
from billfold.schedules.due import whole_schedules
from billfold.schedules.plan import TABLE_NAMES, Draft, Row, blank, planned
from billfold.schedules.view import View, view

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from billfold.book import Book
    from billfold.orders.parsing import Parsed
    from billfold.schedules.models import CreateSchedule, ScheduledSubscription, ScheduleItem, UpdateScheduleItem

    Asked = Parsed[CreateSchedule]

_LINE: Final = "line "
"""How a request is called whose schedule has no number yet."""

_TRIES: Final = 5
"""How often a file is done anew before another process's commits win."""


@dataclass(frozen=True)
class _Part:
    """Schedules that were made on top of a state, and what became of the other requests, by line."""

    schedules: Schedules
    numbers: Mapping[int, str] = field(default_factory=dict)
    repeats: Mapping[int, str] = field(default_factory=dict)
    refused: Mapping[int, OrderError] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)


def create(
    book: Book,
    asked: Sequence[Asked],
    *,
    all_or_nothing: bool = False,
    clock: Clock = now,
    progress: Progress = silent,
) -> list[Answer]:
    """Make schedules in the order of their lines; returns an answer for each. `clock` is not asked yet.

    With `all_or_nothing`, none is made if any can't be.

    Raises:
        ConflictError: other commits came first again and again.
        BillfoldError: the book can't be read or written.
    """
    del clock
    with undisturbed():
        tries = _TRIES
        while True:
            tries -= 1
            state = State.of(book)
            progress("planning", 0.1)
            part = _made(state, asked)
            failed = {o.line: answers.failure(o.reasons) for o in asked if o.request is None}
            failed |= {n: answers.failure([reason(e.category, str(e))]) for n, e in part.refused.items()}
            if all_or_nothing and failed:
                return _undone(asked, failed)
            progress("committing", 0.8)
            try:
                return _committed(book, state, asked, part, failed)
            except ConflictError:
                if not tries:
                    raise


def stored(state: State, key: str) -> tuple[Row, list[Row]]:
    """A schedule, called by its number or id, and its items in order, as rows of their tables.

    Raises:
        BillfoldError: there is no such schedule.
    """
    found = by_key(state, key)
    return found.headers.row(0, named=True), found.items.to_dicts()


def by_key(state: State, key: str) -> Schedules:
    """A schedule, called by its number or id, with its items and charges.

    Raises:
        BillfoldError: there is no such schedule.
    """
    either = (pl.col("number") == key) | (pl.col("schedule_id") == key)
    headers = collected(state.read("invoice_schedules").filter(either))
    if headers.is_empty():
        msg = f"There is no invoice schedule {key!r}: `billfold schedule list` lists them."
        raise BillfoldError(msg)
    return whole_schedules(state.read, headers)


def listed(state: State, account: str | None = None, status: str | None = None) -> pl.DataFrame:
    """Headers of schedules in the order of their numbers; of one account or in one status, if these are given."""
    rows = state.read("invoice_schedules").sort("number")
    rows = rows if account is None else rows.filter(account_number=account)
    return collected(rows if status is None else rows.filter(status=status))


def as_json(names: Iterable[str] | Iterable[ScheduledSubscription]) -> str:
    """A list of a request as a column keeps it."""
    told = [n if isinstance(n, str) else {**n.model_dump(), "chargeNumbers": list(n.chargeNumbers)} for n in names]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def item_row(item: ScheduleItem | UpdateScheduleItem, number: str, place: int, name: int) -> Row:
    """A new item of a schedule: `place` is its position, `name` the number in its id."""
    return {
        **blank("invoice_schedule_items"),
        **item.custom,
        "item_id": f"{number}-{name:04d}",
        SCHEDULE: number,
        "sequence_number": place,
        "name": item.name,
        "run_date": item.runDate,
        "amount": item.amount,
        "percentage": item.percentage,
        "target_date_for_additional_subscriptions": item.targetDateForAdditionalSubscriptions,
    }


def seen_by(state: State, scopes: Sequence[Scope], besides: str | None = None) -> tuple[View, Shelf]:
    """What requests can choose from, and what it would look like in a run."""
    orders, named = named_orders(scopes)
    _, of_orders = subscriptions_of(state, orders)
    subscriptions = sorted({s for found in of_orders.values() for s in found} | set(named))
    numbers = pl.Series("subscription_number", subscriptions, pl.String)
    seen = view(state, numbers)
    return seen, shelf(state, orders, numbers, seen, besides)


def _made(state: State, asked: Sequence[Asked]) -> _Part:
    """Make what can be made: what one request can't have may be another's, so that all are done again without it."""
    refused: dict[int, OrderError] = {}
    requests = {o.line: o for o in asked if o.request is not None}
    repeats, refused = _done_before(state, requests)
    accounts = _accounts(state, requests)
    scopes = {n: _scope(o.request) for n, o in requests.items() if o.request and n not in repeats | refused}
    if not scopes:
        return _Part(Schedules.none(), {}, repeats, refused)
    seen, books = seen_by(state, list(scopes.values()))
    while True:
        books.taken.clear()
        numbers = Numbers(state, {})
        drafts, now_refused = _drafts(requests, scopes, accounts, books, numbers, refused)
        schedules, faults = planned(state, list(drafts.values()), seen) if drafts else (Schedules.none(), {})
        lines = {draft.header["number"]: line for line, draft in drafts.items()}
        if not faults:
            given = {line: number for number, line in lines.items()}
            return _Part(schedules, given, repeats, refused | now_refused, numbers.after())
        refused |= {lines[number]: error for number, error in faults.items()}


def _drafts(  # noqa: PLR0913, PLR0917 - what all requests share
    requests: Mapping[int, Asked], scopes: Mapping[int, Scope], accounts: Mapping[str, str], books: Shelf,
    numbers: Numbers, refused: Mapping[int, OrderError],
) -> tuple[dict[int, Draft], dict[int, OrderError]]:  # fmt: skip
    drafts: dict[int, Draft] = {}
    now_refused: dict[int, OrderError] = {}
    for line, scope in scopes.items():
        if line in refused:
            continue
        try:
            _check_account(scope.account, accounts)
            links = chosen(books, scope, str(line))
        except OrderError as e:
            now_refused[line] = e
            continue
        number = numbers.new("schedule")
        for link in links:
            link[SCHEDULE] = number
            books.taken[link["charge_number"]] = (link["through_date"], number)
        drafts[line] = _draft(requests[line], number, links)
    return drafts, now_refused


def _draft(asked: Asked, number: str, links: list[Row]) -> Draft:
    request = asked.request
    assert request is not None  # noqa: S101 - those that can't be read have no scope
    digest = hashlib.sha256(f"invoice schedule {number}".encode()).hexdigest()
    header = {
        **blank("invoice_schedules"),
        **request.custom,
        "number": number,
        "schedule_id": digest[:32],
        "account_number": request.accountKey,
        "notes": request.notes,
        "orders": as_json(request.orders),
        "specific_subscriptions": as_json(request.specificSubscriptions),
        "additional_subscriptions_to_bill": as_json(request.additionalSubscriptionsToBill),
        "invoice_separately": request.invoiceSeparately is not False,
        "last_item": len(request.scheduleItems),
        "idempotency_key": request.idempotencyKey,
        "request": asked.raw,
    }
    return Draft(header, [item_row(i, number, n, n) for n, i in enumerate(request.scheduleItems, 1)], links)


def _scope(request: CreateSchedule) -> Scope:
    return Scope(request.accountKey, request.orders, request.specificSubscriptions)


def _accounts(state: State, requests: Mapping[int, Asked]) -> dict[str, str]:
    """Accounts that requests name, with their status."""
    names = sorted({o.request.accountKey for o in requests.values() if o.request})
    only = Only(among=pl.Series("account_number", names, pl.String))
    return dict(collected(state.read("accounts", only).select("account_number", "status")).iter_rows())


def _check_account(account: str, accounts: Mapping[str, str]) -> None:
    if account not in accounts:
        raise not_found("accountKey", "account", account)
    if accounts[account] != "Active":
        raise OrderError("accountKey", f"names the account {account!r}, which is {accounts[account]}.")


def _done_before(state: State, requests: Mapping[int, Asked]) -> tuple[dict[int, str], dict[int, OrderError]]:
    """Schedules that were made for these very requests, by their keys; a key of another request is refused."""
    keyed = {n: o for n, o in requests.items() if o.request and o.request.idempotencyKey}
    keys = {n: (o.request.idempotencyKey or "") if o.request else "" for n, o in keyed.items()}
    only = Only(among=pl.Series("idempotency_key", sorted(set(keys.values())), pl.String))
    columns = ("idempotency_key", "number", "request")
    rows = collected(state.read("invoice_schedules", only).select(columns)).iter_rows() if keys else iter(())
    there = {key: (number, raw) for key, number, raw in rows}
    repeats: dict[int, str] = {}
    refused: dict[int, OrderError] = {}
    for line, o in keyed.items():
        number, raw = there.setdefault(keys[line], (f"{_LINE}{line}", o.raw))
        if raw != o.raw:
            refused[line] = OrderError("idempotencyKey", f"{keys[line]!r} was given for {number} before.")
        elif number != f"{_LINE}{line}":
            repeats[line] = number
    return repeats, refused


def _committed(
    book: Book, state: State, asked: Sequence[Asked], part: _Part, failed: Mapping[int, dict[str, Any]]
) -> list[Answer]:
    """Write the schedules, and answer every request."""
    made = part.schedules
    if made.headers.height:
        frames = (made.headers, made.items, made.charges)
        changes = [Change(t, rows) for t, rows in zip(TABLE_NAMES, frames, strict=True)]
        book.commit(state.head, Commit("schedules", changes, part.counters))
    before = {line: n for line, n in part.repeats.items() if not n.startswith(_LINE)}
    bodies = _bodies(made) | _bodies_of(State.of(book), before.values())
    found = {line: Answer(line, bodies[number]) for line, number in part.numbers.items()}
    found |= {line: Answer(line, said) for line, said in failed.items()}
    found |= {line: Answer(line, bodies[number], repeated=True) for line, number in before.items()}
    for line in part.repeats.keys() - before.keys():
        first = found[int(part.repeats[line].removeprefix(_LINE))]
        found[line] = Answer(line, first.body, repeated=first.success)
    return [found[o.line] for o in asked]


def _bodies(schedules: Schedules) -> dict[str, dict[str, Any]]:
    items: dict[str, list[Row]] = defaultdict(list)
    for row in schedules.items.iter_rows(named=True):
        items[row[SCHEDULE]].append(row)
    return {row["number"]: answers.body(row, items[row["number"]]) for row in schedules.headers.iter_rows(named=True)}


def _bodies_of(state: State, numbers: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Answers to what was made before: schedules as they are now."""
    return {n: answers.body(*stored(state, n)) for n in set(numbers)}


def _undone(asked: Sequence[Asked], failed: Mapping[int, dict[str, Any]]) -> list[Answer]:
    """Answers when nothing is done, because of some requests."""
    why = f"Not done, since all were to be done or none, and the one in line {min(failed)} can't be."
    other = answers.failure([reason("30", why)])
    return [Answer(o.line, failed.get(o.line, other)) for o in asked]
