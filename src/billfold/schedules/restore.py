"""What canceling a run gives back to schedules: its items are pending again (spec/schedules.md 5.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from billfold.book import Change, State
from billfold.errors import BillfoldError
from billfold.rating.amounts import Money
from billfold.rows import Only, collected
from billfold.schedules.consumption import SCHEDULE
from billfold.schedules.due import whole_schedules
from billfold.schedules.standing import first_pending, stand
from billfold.schedules.units import CHARGE
from billfold.settings import current

if TYPE_CHECKING:
    from billfold.book import Book
    from billfold.lines import Schedules


def given_back(book: Book, bill_run_number: str, snapshot_id: int) -> list[Change]:
    """Rows of schedules as they were before a run, with whatever else happened to them since.

    Raises:
        BillfoldError: a later run billed on from there.
    """
    billed = collected(book.read("invoice_schedule_items").filter(bill_run_number=bill_run_number))
    touched = pl.concat([billed[SCHEDULE], *(_on_lines(book, bill_run_number, k) for k in ("invoice", "credit_memo"))])
    if touched.is_empty():
        return []
    named = Only(among=touched.unique().alias("number"))
    now = _at(State.of(book), named)
    _refuse_later(now, bill_run_number)
    was = _at(State(book, book.head(snapshot_id)), named)
    own = pl.col("item_id").is_in(billed["item_id"].implode())
    items = pl.concat([now.items.filter(~own), was.items.filter(own)], how="diagonal").sort(SCHEDULE, "sequence_number")
    links = _with_billed(now.charges, was.charges)
    settings = current(collected(book.read("settings")))
    money = Money(settings, now.headers["currency"].drop_nulls().unique().sort().to_list())
    headers, items = stand(now.headers, items.select(now.items.columns), links, money)
    dated = _with_days(headers, now, was)
    return [
        Change("invoice_schedules", dated, replace=True),
        Change("invoice_schedule_items", items, replace=True),
        Change("invoice_schedule_charges", links, replace=True),
    ]


def _on_lines(book: Book, bill_run_number: str, kind: str) -> pl.Series:
    """The schedules on a run's documents of one kind: a later credit may have taken over the item that it billed."""
    headers = book.read(f"{kind}s").filter(bill_run_number=bill_run_number)
    lines = book.read(f"{kind}_items").drop_nulls(SCHEDULE).join(headers, on=f"{kind}_id", how="semi")
    return collected(lines.select(SCHEDULE).unique())[SCHEDULE]


def _at(state: State, named: Only) -> Schedules:
    """The schedules as they are in a state of the book."""
    return whole_schedules(state.read, collected(state.read("invoice_schedules", named).sort("number")))


def _refuse_later(now: Schedules, bill_run_number: str) -> None:
    later = now.items.filter(pl.col("bill_run_number") > bill_run_number)
    if later.height:
        last = later["bill_run_number"].sort()[-1]
        msg = f"{bill_run_number} can't be canceled, since {last} has billed on from it: cancel {last} first."
        raise BillfoldError(msg)


def _with_billed(now: pl.DataFrame, was: pl.DataFrame) -> pl.DataFrame:
    """Links with what was billed of each charge before the run."""
    before = was.select(*CHARGE, before="billed_amount")
    joined = now.join(before, on=CHARGE, how="left", maintain_order="left")
    return joined.with_columns(billed_amount=pl.coalesce("before", "billed_amount")).select(now.columns)


def _with_days(headers: pl.DataFrame, now: Schedules, was: Schedules) -> pl.DataFrame:
    """The next run date of before the run; if somebody has moved it since, the earlier of the two."""
    set_by_run = first_pending(now.items).select("number", planned="run_date")
    before = was.headers.select("number", before="next_run_date")
    joined = headers.join(set_by_run, on="number", how="left", maintain_order="left").join(
        before, on="number", how="left", maintain_order="left"
    )
    untouched = pl.col("next_run_date").eq_missing(pl.col("planned"))
    earlier = pl.min_horizontal("next_run_date", "before")
    return joined.with_columns(next_run_date=pl.when(untouched).then("before").otherwise(earlier)).select(
        headers.columns
    )
