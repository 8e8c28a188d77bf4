"""`schedule execute`: a bill run for one schedule, ahead of its date if need be (spec/schedules.md 4.1)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.book import State
from billfold.errors import BillfoldError
from billfold.receipt import Clock, Progress, Receipt, now, silent
from billfold.requests import RunRequest
from billfold.rows import Only, collected
from billfold.run import bill
from billfold.schedules import answers
from billfold.schedules.create import by_key

if TYPE_CHECKING:
    from datetime import date

    from billfold.book import Book
    from billfold.schedules.plan import Row


@dataclass(frozen=True)
class Executed:
    """The API's answer, and what the run made; nothing, if nothing was to be billed."""

    body: dict[str, Any]
    receipt: Receipt


def execute(  # noqa: PLR0913 - options of one command
    book: Book,
    key: str,
    item_id: str | None = None,
    *,
    post: bool = False,
    clock: Clock = now,
    progress: Progress = silent,
) -> Executed:
    """Bill the next item of a schedule, or a credit that is due when no item is pending.

    Target and invoice date are the item's run date. An item that is named must be the next one.

    Raises:
        BillfoldError: there is no such schedule, it is paused, all its charges are detached, the item is another or has
            no date, or nothing is left.
    """
    state = State.of(book)
    schedule = by_key(state, key)
    header = schedule.headers.row(0, named=True)
    _check_charges(header["number"], schedule.charges)
    day = _day(header, schedule.items.to_dicts(), item_id)
    request = RunRequest(
        target_date=day,
        invoice_date=day,
        accounts=_payers(state, header, schedule.charges),
        excluded_charge_types=("Usage",),
        order_line_items=False,
        schedules=(header["number"],),
    )
    receipt = bill(book, request, post=post, clock=clock, progress=progress)
    return Executed(answers.executed(request, receipt, header, item_id), receipt)


def _payers(state: State, header: Row, links: pl.DataFrame) -> tuple[str, ...]:
    """The accounts that may get documents: those that pay for the schedule's subscriptions and for those beside it."""
    besides = json.loads(header["additional_subscriptions_to_bill"] or "[]")
    numbers = pl.concat([links["subscription_number"], pl.Series("", besides, pl.String)]).unique()
    owner = pl.coalesce("invoice_owner_account_number", "account_number").alias("owner")
    owners = collected(state.read("subscriptions", Only(among=numbers)).select(owner))["owner"]
    return tuple(owners.unique().sort())


def _check_charges(number: str, links: pl.DataFrame) -> None:
    if links["is_detached"].all():
        msg = f"All charges of {number} are detached: `billfold schedule attach {number}` lets it bill them again."
        raise BillfoldError(msg)


def _day(header: Row, items: list[Row], item_id: str | None) -> date:
    """The run date of what is billed now."""
    number = header["number"]
    if header["status"] == "Paused":
        msg = f"{number} is Paused: `billfold schedule resume {number}` lets it be executed."
        raise BillfoldError(msg)
    pending = [i for i in items if i["status"] != "Processed"]
    if item_id is not None:
        _check_item(number, items, pending, item_id)
    if not pending:
        return _credit_day(header, items)
    day: date | None = pending[0]["run_date"] or header["next_run_date"]
    if day is None:
        msg = f"The next item of {number}, {pending[0]['item_id']}, has no run date: give it one with schedule update."
        raise BillfoldError(msg)
    return day


def _check_item(number: str, items: list[Row], pending: list[Row], item_id: str) -> None:
    known = {i["item_id"] for i in items}
    if item_id not in known:
        msg = f"{number} has no item {item_id!r}: `billfold schedule show {number}` lists them."
        raise BillfoldError(msg)
    if not pending or pending[0]["item_id"] != item_id:
        following = f"the next one is {pending[0]['item_id']}" if pending else "all are processed"
        msg = f"The item {item_id} of {number} can't be executed now: {following}."
        raise BillfoldError(msg)


def _credit_day(header: Row, items: list[Row]) -> date:
    """The day of a credit that orders have made due."""
    if header["unbilled_amount"] == 0:
        msg = f"Nothing of {header['number']} is left to bill: all items are processed, and no credit is due."
        raise BillfoldError(msg)
    day: date = header["next_run_date"] or items[-1]["run_date"]
    return day
