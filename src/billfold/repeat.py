"""The same request again: answered from what is known, without rating anything."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from billfold.lines import Documents
from billfold.receipt import Receipt, is_of_run
from billfold.rows import collected

if TYPE_CHECKING:
    from billfold.book import Book, State
    from billfold.requests import RunRequest


def answered(state: State, request: RunRequest) -> Receipt | None:
    """The receipt of a request that a run has answered, if nothing but postings happened since; else None.

    A run leaves nothing that it could bill, whatever date is on its documents. Usage that waits has to be counted
    anew, so a book that has some is looked at.
    """
    runs = collected(state.read("bill_runs").filter(pl.col("status") != "Canceled"))
    asked = _without_date(request.canonical())
    same = runs.filter(pl.Series([_without_date(r) == asked for r in runs["request"]], dtype=pl.Boolean))
    if same.is_empty() or collected(state.read("late_usage").head(1)).height:
        return None
    run = same.sort("bill_run_number").row(-1, named=True)
    return _nothing(state, run) if _nothing_since(state.book, run["bill_run_number"]) else None


def _without_date(request: str) -> dict[str, object]:
    return {k: v for k, v in json.loads(request).items() if k != "invoice_date"}


def _nothing_since(book: Book, bill_run_number: str) -> bool:
    """Whether only postings were committed after a run."""
    contents = book.contents()
    own = contents.filter(is_of_run(bill_run_number))["version"]
    if own.is_empty():  # a run from before the book kept a record
        return False
    later = contents.filter(pl.col("version") > own[0])
    return bool(later["message"].str.starts_with("posted ").all())


def _nothing(state: State, run: dict[str, int]) -> Receipt:
    """What a run that finds nothing says: accounts that are still parked are those that the run before parked."""
    parked = collected(state.read("parked_accounts").filter(bill_run_number=run["bill_run_number"]))
    return Receipt(
        bill_run_number=None,
        status=None,
        snapshot_id=state.head.snapshot_id,
        accounts_billed=0,
        accounts_nothing_due=run["accounts_billed"] + run["accounts_nothing_due"],
        documents=replace(Documents.none(), parked_accounts=parked),
    )
