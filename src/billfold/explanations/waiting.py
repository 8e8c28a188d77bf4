"""Why something is not billed, or not further: what is true of its account, and of runs that were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.explanations.models import Reason
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import date

    Read = Callable[..., pl.LazyFrame]
    Row = Mapping[str, Any]


def of_account(read: Read, account_number: str, billed_by: str | None) -> Iterator[Reason]:
    """What keeps an account from being billed; `billed_by` is the last run that billed the thing in question."""
    only = Only(among=pl.Series("account_number", [account_number]))
    status = collected(read("accounts", only=only).select("status")).item()
    if status != "Active":
        yield Reason("account", f"The account {account_number} is {status}, and only active accounts are billed.")
    canceled = read("bill_runs").filter(status="Canceled").select("bill_run_number")
    parked = read("parked_accounts", only=only).join(canceled, on="bill_run_number", how="anti")
    last = collected(parked.sort("bill_run_number").tail(1)).to_dicts()
    if last and (billed_by is None or last[0]["bill_run_number"] > billed_by):
        row = last[0]
        said = f"{row['bill_run_number']} parked the account {account_number} (step {row['step']}): {row['reason']}"
        yield Reason("parked", f"{said}.")


def together(own: Iterable[Reason], of_account: Iterable[Reason]) -> tuple[Reason, ...]:
    """All reasons, those of the account first; with one of these, that the thing is due needs no saying."""
    first = tuple(of_account)
    return (*first, *(r for r in own if r.code != "due" or not first))


def of_day(read: Read, day: date, what: str) -> Reason:
    """Whether runs have come to the day from which something is due."""
    counting = read("bill_runs").filter(pl.col("status") != "Canceled")
    last = collected(counting.sort("target_date", "bill_run_number").tail(1)).to_dicts()
    if not last:
        return Reason("no_run", f"{what} is due from {day} on, and no run has been made yet.")
    target, number = last[0]["target_date"], last[0]["bill_run_number"]
    if day > target:
        return Reason("not_due", f"{what} is due from {day} on; the latest run, {number}, billed up to {target}.")
    return Reason("due", f"{what} is due since {day}: `billfold run --target-date {target}` would bill it.")
