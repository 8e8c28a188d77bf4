"""What a run reports: its documents, its counts and sums, and its row in `bill_runs`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from billfold import __version__
from billfold.book import Change, Written
from billfold.memory import late, left
from billfold.rows import collected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.lines import Documents, Inputs
    from billfold.requests import RunIdentity, RunRequest

REPLACED: Final = ("charge_progress", "invoice_schedules", "invoice_schedule_items", "invoice_schedule_charges")
"""Tables of which a run changes rows that are there."""

_SHOWN: Final = 10
"""Largest invoices that a receipt shows."""

Clock = Callable[[], datetime]
Read = Callable[..., pl.LazyFrame]
Progress = Callable[[str, float], None]
"""Called with what is being done and the share of the work that is behind it, 0 to 1."""


def now() -> datetime:
    """The time, for those who don't bring a clock of their own."""
    return datetime.now(UTC)


def silent(_step: str, _share: float) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Totals:
    """Rows of each table that a run makes, sums (currency, kind, amount), and the largest invoices."""

    rows: Mapping[str, int]
    sums: pl.DataFrame
    largest: pl.DataFrame

    @classmethod
    def of(cls, documents: Documents) -> Self:
        """The totals of some documents."""
        kinds = ("invoices", "credit_memos")
        headers = [getattr(documents, k).select("currency", "amount", kind=pl.lit(k)) for k in kinds]
        return cls(
            {t: rows.height for t, rows in vars(documents).items()}, _summed(headers), largest(documents.invoices)
        )

    @classmethod
    def joined(cls, parts: Sequence[Totals], tops: Sequence[pl.DataFrame]) -> Self:
        """The totals of several parts, whose largest invoices are `tops`: they have their numbers only by now."""
        tables = dict.fromkeys(t for p in parts for t in p.rows)
        rows = {t: sum(p.rows.get(t, 0) for p in parts) for t in tables}
        return cls(rows, _summed([p.sums for p in parts]), largest(pl.concat([parts[0].largest.clear(), *tops])))

    @property
    def items(self) -> int:
        """Items of invoices and of credit memos."""
        return self.rows["invoice_items"] + self.rows["credit_memo_items"]


def _summed(amounts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(amounts).group_by("currency", "kind").agg(pl.col("amount").sum()).sort("currency", "kind")


def largest(invoices: pl.DataFrame) -> pl.DataFrame:
    """The largest of some invoices, in order."""
    return invoices.top_k(_SHOWN, by="amount").sort("amount", "invoice_id", descending=[True, False])


@dataclass(frozen=True)
class Receipt:
    """What a run made. `bill_run_number` is None when nothing was due, so that nothing was written.

    A run that is too large to be held is made in parts: then `documents` has nothing but parked accounts, and the
    others are to be read from the book. Its files are `written` already, and `in_parts` are its totals.
    """

    bill_run_number: str | None
    status: str | None
    snapshot_id: int
    accounts_billed: int
    accounts_nothing_due: int
    documents: Documents
    late_usage: int = 0
    left: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    """What the tables of charges to review and of late usage hold afterwards, where that changes."""

    committed: bool = False
    seconds: float = 0.0
    written: tuple[Written, ...] = ()
    in_parts: Totals | None = None

    def changes(self) -> list[Change]:
        """What a run that is held changes in the book, besides its own row."""
        documents = [Change(t, rows, replace=t in REPLACED) for t, rows in vars(self.documents).items()]
        return [*documents, *(Change(t, rows, whole=True) for t, rows in self.left.items())]

    @cached_property
    def totals(self) -> Totals:
        """Its rows and sums."""
        return self.in_parts or Totals.of(self.documents)

    @property
    def amounts(self) -> dict[str, dict[str, str]]:
        """Sums by currency, as text: what was invoiced and what was credited."""
        kinds = ("invoices", "credit_memos")
        found = {(c, k): _text(a) for c, k, a in self.totals.sums.select("currency", "kind", "amount").iter_rows()}
        return {c: {k: found.get((c, k), "0.00") for k in kinds} for c in sorted({c for c, _ in found})}


def receipt_of(documents: Documents, run: RunIdentity, accounts: int, read: Read, inputs: Inputs) -> Receipt:
    """The receipt of drafts. An account that is parked in part counts as parked, so that the counts add up."""
    parked = documents.parked_accounts
    with_documents = pl.concat(
        h.select("account_number") for h in (documents.invoices, documents.credit_memos)
    ).unique()
    billed = with_documents.join(parked, on="account_number", how="anti").height
    due = is_news(read, with_documents.height + documents.invoice_schedules.height, parked)
    return Receipt(
        bill_run_number=run.bill_run_number if due else None,
        status="Completed" if due else None,
        snapshot_id=run.snapshot_id,
        accounts_billed=billed,
        accounts_nothing_due=accounts - billed - parked.height,
        documents=documents,
        late_usage=late(documents, inputs),
        left=left(documents, inputs),
    )


def is_news(read: Read, touched: int, parked: pl.DataFrame) -> bool:
    """Whether a run has anything to tell.

    One that touches nothing and parks accounts only for reasons that are known has not: a repeated run is a no-op.
    """
    if touched or parked.is_empty():
        return touched > 0
    canceled = read("bill_runs").filter(status="Canceled")
    known = collected(read("parked_accounts").join(canceled, on="bill_run_number", how="anti"))
    return parked.join(known, on=["account_number", "step", "reason", "detail"], how="anti").height > 0


def bill_run_row(
    receipt: Receipt, request: RunRequest, digest: str, started_at: datetime, finished_at: datetime
) -> pl.DataFrame:
    """The run's row; `digest` is that of the book that it read."""
    rows, canonical = receipt.totals.rows, request.canonical()
    row = {
        "bill_run_number": receipt.bill_run_number,
        "status": receipt.status,
        "target_date": request.target_date,
        "invoice_date": request.invoice_date,
        "request": canonical,
        "snapshot_id": receipt.snapshot_id,
        "fingerprint": fingerprint(digest, canonical),
        "billfold_version": __version__,
        "accounts_billed": receipt.accounts_billed,
        "accounts_nothing_due": receipt.accounts_nothing_due,
        "parked_accounts": rows["parked_accounts"],
        "invoices": rows["invoices"],
        "credit_memos": rows["credit_memos"],
        "items": receipt.totals.items,
        "amounts": json.dumps(receipt.amounts),
        "started_at": naive(started_at),
        "finished_at": naive(finished_at),
    }
    return pl.DataFrame([row])


def fingerprint(digest: str, request: str) -> str:
    """What a run follows from: the book that it read, what was asked, and this version of billfold."""
    return hashlib.sha256(f"{digest} {request} {__version__}".encode()).hexdigest()


def message_of(bill_run_number: str, *, orders: bool = False) -> str:
    """What the commit of a run says, by which it is found again."""
    return f"orders with run {bill_run_number}" if orders else f"run {bill_run_number}"


def is_of_run(bill_run_number: str) -> pl.Expr:
    """Whether a row of the record of contents belongs to the commit that made a run."""
    return pl.col("message").is_in([message_of(bill_run_number, orders=orders) for orders in (False, True)])


def seconds(started_at: datetime, finished_at: datetime) -> float:
    """How long something took."""
    return (finished_at - started_at).total_seconds()


def naive(moment: datetime) -> datetime:
    """A moment as the book keeps it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _text(amount: object) -> str:
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
