"""`schedule check`: which schedules will fail, since their charges have drifted apart (spec/schedules.md 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from billfold.book import State
from billfold.rows import collected
from billfold.schedules.agree import differing
from billfold.schedules.consumption import SCHEDULE
from billfold.schedules.due import whole_schedules
from billfold.schedules.view import view

if TYPE_CHECKING:
    from billfold.book import Book


def check(book: Book) -> pl.DataFrame:
    """One row a schedule that has something left to bill, and field in which its charges differ.

    Columns: invoice_schedule_number, account_number, next_run_date, field, said (the values, or what else is wrong).
    """
    return drifted(State.of(book))


def drifted(state: State) -> pl.DataFrame:
    """What `check` finds at a state of the book."""
    open_ = (pl.col("status") != "FullyProcessed") | (pl.col("unbilled_amount") != 0)
    found = whole_schedules(state.read, collected(state.read("invoice_schedules").filter(open_).sort("number")))
    attached = found.charges.filter(~pl.col("is_detached"))
    if attached.is_empty():
        return _told(found.headers, attached.select(SCHEDULE, field=pl.lit(""), said=pl.lit("")).head(0))
    charges = view(state, attached["subscription_number"]).charges
    both = attached.select(SCHEDULE, "charge_number").join(charges, on="charge_number", maintain_order="left")
    apart = differing(both, [SCHEDULE]).rename({"values": "said"})
    unpaid = attached.join(charges, on="charge_number", how="anti").select(
        SCHEDULE,
        field=pl.lit("charge_number"),
        said=pl.format("{} has no active account that pays for it", "charge_number"),
    )
    return _told(found.headers, pl.concat([apart, unpaid]))


def _told(headers: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    known = headers.select("number", "account_number", "next_run_date")
    joined = found.join(known, left_on=SCHEDULE, right_on="number", maintain_order="left")
    return joined.select(SCHEDULE, "account_number", "next_run_date", "field", "said").sort(SCHEDULE, "field", "said")
