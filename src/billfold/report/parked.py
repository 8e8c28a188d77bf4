"""Accounts that a run set aside, and what they owe, as far as that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.book import State
from billfold.errors import BillfoldError
from billfold.report.reading import named
from billfold.requests import RunRequest
from billfold.rows import collected
from billfold.settings import current
from billfold.steps.load import load
from billfold.steps.rate import rate
from billfold.steps.resolve import resolve

if TYPE_CHECKING:
    from billfold.book import Book
    from billfold.report.reading import Read

_OWED: Final = pl.Schema(
    {
        "account_number": pl.String(),
        "currency": pl.String(),
        "lines": pl.Int64(),
        "amount": pl.Decimal(38, 4),
        "is_whole": pl.Boolean(),
    }
)
_FAILS: Final = (BillfoldError, pl.exceptions.PolarsError, pl.exceptions.PanicException, ArithmeticError)
"""What rating raises for data that break it, or for a snapshot that someone expired."""


def parked_of(book: Book, read: Read, run: dict[str, Any]) -> pl.DataFrame:
    """Parked accounts with step and reason, and a row a currency with what they owe.

    `lines` and `amount` are null where nothing could be rated; `is_whole` says that all of it could.
    """
    parked = collected(read("parked_accounts").filter(bill_run_number=run["bill_run_number"]).drop("bill_run_number"))
    owed = _owed(book, run, parked["account_number"]) if parked.height else _OWED.to_frame()
    rows = parked.join(owed, on="account_number", how="left", maintain_order="left")
    return named(rows, read).sort("account_number", "currency")


def _owed(book: Book, run: dict[str, Any], accounts: pl.Series) -> pl.DataFrame:
    """What parked accounts owed, rated again in the state that the run left, where nothing of it is billed."""
    try:
        state = State(book, book.head(run["snapshot_id"] + 1))
        request = RunRequest.model_validate_json(run["request"]).for_accounts(tuple(accounts))
        inputs = load(state.read, current(collected(state.read("settings"))), request)
        rated = rate(resolve(inputs), request, inputs.settings, inputs.currencies)
    except _FAILS:
        return _OWED.to_frame()
    lines = rated.lines.filter(pl.col("account_number").is_in(accounts.implode()))
    sums = {"lines": pl.len().cast(pl.Int64), "amount": pl.col("amount").sum().cast(pl.Decimal(38, 4))}
    troubled = pl.col("account_number").is_in(rated.troubles["account_number"].implode())
    return lines.group_by("account_number", "currency").agg(**sums).with_columns(is_whole=~troubled)
