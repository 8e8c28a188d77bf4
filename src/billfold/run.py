"""The bill run: the line, in order.

load -> resolve -> rate -> group -> assemble -> number -> validate -> commit; `post` makes drafts final.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from billfold import __version__
from billfold.book import Book, Change, Commit, Head
from billfold.errors import BillfoldError
from billfold.requests import RunIdentity, RunRequest
from billfold.settings import current
from billfold.steps.assemble import Documents, assemble
from billfold.steps.group import group
from billfold.steps.load import load
from billfold.steps.post import Headers, number_drafts
from billfold.steps.post import post as post_headers
from billfold.steps.rate import rate
from billfold.steps.resolve import resolve
from billfold.steps.validate import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Clock = Callable[[], datetime]
    Progress = Callable[[str], None]


def now() -> datetime:
    """The time, for those who don't bring a clock of their own."""
    return datetime.now(UTC)


def silent(_: str) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Receipt:
    """What a run made. `bill_run_number` is None when nothing was due, so that nothing was written."""

    bill_run_number: str | None
    status: str | None
    snapshot_id: int
    accounts_billed: int
    accounts_nothing_due: int
    documents: Documents
    committed: bool = False
    seconds: float = 0.0

    @property
    def amounts(self) -> dict[str, dict[str, str]]:
        """Sums by currency: what was invoiced and what was credited."""
        return amounts(self.documents)


def preview(book: Book, request: RunRequest, *, clock: Clock = now, progress: Progress = silent) -> Receipt:
    """The documents that `bill` would make now; nothing is written."""
    started_at = clock()
    drafted, _ = _line(book, book.head(), request, progress)
    return replace(drafted, seconds=_seconds(started_at, clock()))


def bill(
    book: Book, request: RunRequest, *, post: bool = False, clock: Clock = now, progress: Progress = silent
) -> Receipt:
    """Run the line and commit its documents, as drafts or, with `post`, as final ones.

    Raises:
        ConflictError: another commit came first; nothing was written.
        PromiseError: the documents broke a promise; nothing was written.
    """
    head, started_at = book.head(), clock()
    drafted, counters = _line(book, head, request, progress)
    if drafted.bill_run_number is None:
        return drafted
    receipt, counters = _posted(book, drafted, counters) if post else (drafted, counters)
    progress("committing")
    row = _bill_run(receipt, request, head, started_at, clock())
    changes = [Change(table, rows) for table, rows in vars(receipt.documents).items() if rows.height]
    counters = {**counters, "bill_run": _sequence(receipt.bill_run_number)}
    book.commit(head, Commit(f"run {receipt.bill_run_number}", [*changes, Change("bill_runs", row)], counters))
    return replace(receipt, committed=True, seconds=_seconds(started_at, clock()))


def post(book: Book, bill_run_number: str, *, clock: Clock = now) -> Receipt:
    """Make the drafts of a run final: their numbers, without gaps, their due dates, and the run's status.

    Raises:
        BillfoldError: there is no such run, or it is not one of drafts.
    """
    head = book.head()
    row = _of_drafts(book, bill_run_number, "posted")
    drafted = _stored(book, row)
    receipt, counters = _posted(book, drafted, book.counters())
    finished = row.with_columns(status=pl.lit("Posted"), finished_at=pl.lit(_naive(clock())))
    changes = [Change("bill_runs", finished, replace=True)]
    changes += [
        Change(table, getattr(receipt.documents, table), replace=True) for table in ("invoices", "credit_memos")
    ]
    book.commit(head, Commit(f"post {bill_run_number}", changes, counters))
    return replace(receipt, committed=True)


def cancel(book: Book, bill_run_number: str, *, clock: Clock = now) -> None:
    """Cancel a run of drafts. What was billed is reckoned from documents that count, so all of it can be billed again.

    Raises:
        BillfoldError: there is no such run, or it is not one of drafts.
    """
    head = book.head()
    row = _of_drafts(book, bill_run_number, "canceled")
    documents = _stored(book, row).documents
    rows = {
        "bill_runs": row.with_columns(finished_at=pl.lit(_naive(clock()))),
        "invoices": documents.invoices,
        "credit_memos": documents.credit_memos,
    }
    changes = [Change(t, r.with_columns(status=pl.lit("Canceled")), replace=True) for t, r in rows.items()]
    book.commit(head, Commit(f"cancel {bill_run_number}", changes))


def runs(book: Book, bill_run_number: str | None = None) -> pl.DataFrame:
    """All bill runs in order, or one.

    Raises:
        BillfoldError: there is no such run.
    """
    rows = book.read("bill_runs").sort("bill_run_number").collect()
    return rows if bill_run_number is None else _run(rows, bill_run_number)


def _run(rows: pl.DataFrame, bill_run_number: str) -> pl.DataFrame:
    row = rows.filter(bill_run_number=bill_run_number)
    if row.is_empty():
        msg = f"There is no bill run {bill_run_number}: `billfold runs` lists them."
        raise BillfoldError(msg)
    return row


def _of_drafts(book: Book, bill_run_number: str, what: str) -> pl.DataFrame:
    row = _run(book.read("bill_runs").collect(), bill_run_number)
    if row["status"][0] != "Completed":
        msg = f"{bill_run_number} is {row['status'][0]}: only a run that is Completed, with drafts, can be {what}."
        raise BillfoldError(msg)
    return row


def amounts(documents: Documents) -> dict[str, dict[str, str]]:
    """Sums by currency: what was invoiced and what was credited."""
    sums = pl.concat(
        getattr(documents, kind).select("currency", pl.lit(kind).alias("kind"), "amount")
        for kind in ("invoices", "credit_memos")
    ).group_by("currency", "kind").agg(pl.col("amount").sum())  # fmt: skip
    found = {(c, k): _shown(a) for c, k, a in sums.iter_rows()}
    kinds = ("invoices", "credit_memos")
    return {c: {k: found.get((c, k), "0.00") for k in kinds} for c in sorted({c for c, _ in found})}


def _line(book: Book, head: Head, request: RunRequest, progress: Progress) -> tuple[Receipt, Mapping[str, int]]:
    """Everything up to the commit: draft documents of the snapshot, validated, and the counters after them."""
    progress("reading")
    inputs = load(lambda table: book.read(table, head.snapshot_id), current(_now(book, head, "settings")), request)
    _refuse_unknown_accounts(inputs.all_accounts, request)
    progress("rating and grouping")
    rated = rate(resolve(inputs), request.target_date, inputs.settings, _currencies(book, head))
    lines, troubles, accounts = pl.collect_all(
        [group(rated.lines, inputs.settings), rated.troubles, inputs.accounts.select("account_number")]
    )
    progress("assembling")
    counters = book.counters()
    number = f"BR-{counters.get('bill_run', 0) + 1:08d}"
    run = RunIdentity(bill_run_number=number, snapshot_id=head.snapshot_id)
    assembled = assemble(lines, troubles, inputs.settings, request, run)
    headers = Headers(assembled.documents.invoices, assembled.documents.credit_memos, counters)
    drafts = number_drafts(headers, _now(book, head, "sequence_sets"))
    numbered = replace(assembled.documents, invoices=drafts.invoices, credit_memos=drafts.credit_memos)
    progress("checking promises")
    documents = validate(lines, replace(assembled, documents=numbered))
    return _receipt(book, head, number, accounts, documents), drafts.counters


def _receipt(book: Book, head: Head, number: str, accounts: pl.DataFrame, documents: Documents) -> Receipt:
    parked = documents.parked_accounts.select("account_number")
    billed = pl.concat(
        [documents.invoices.select("account_number"), documents.credit_memos.select("account_number")]
    ).unique()
    billed = billed.join(parked, on="account_number", how="anti")
    due = billed.height > 0 or documents.invoices.height > 0 or _newly_parked(book, head, documents.parked_accounts)
    return Receipt(
        bill_run_number=number if due else None,
        status="Completed" if due else None,
        snapshot_id=head.snapshot_id,
        accounts_billed=billed.height,
        accounts_nothing_due=accounts.height - billed.height - parked.height,
        documents=documents,
    )


def _newly_parked(book: Book, head: Head, parked: pl.DataFrame) -> bool:
    """Whether accounts are parked for a reason that no earlier run has reported; if not, a repeated run is a no-op."""
    same = ["account_number", "step", "reason", "detail"]
    known = _now(book, head, "parked_accounts").select(same)
    return parked.join(known, on=same, how="anti").height > 0


def _posted(book: Book, drafted: Receipt, counters: Mapping[str, int]) -> tuple[Receipt, Mapping[str, int]]:
    headers = Headers(drafted.documents.invoices, drafted.documents.credit_memos, counters)
    final = post_headers(headers, book.read("sequence_sets").collect())
    _refuse_equal_numbers(book, final)
    documents = replace(drafted.documents, invoices=final.invoices, credit_memos=final.credit_memos)
    return replace(drafted, documents=documents, status="Posted"), final.counters


def _refuse_equal_numbers(book: Book, final: Headers) -> None:
    """Prefixes that continue each other (23 and 2) can make one number twice (spec/grouping.md section 7)."""
    for table, key in (("invoices", "invoice_number"), ("credit_memos", "credit_memo_number")):
        prefixes = sorted(c for c in final.counters if not c.startswith("TMP-"))
        if not any(b.startswith(a) and b[len(a) :].isdigit() for a in prefixes for b in prefixes if a != b):
            return
        given = getattr(final, table).select(number=key)
        there = book.read(table).filter(status="Posted").select(number=key).collect()
        equal = pl.concat([given, there]).filter(pl.col("number").is_duplicated())
        if equal.height:
            msg = (
                f"Two documents would get the number {equal['number'].min()}, so nothing was posted: "
                "give one of their sequence sets another prefix or start."
            )
            raise BillfoldError(msg)


def _stored(book: Book, row: pl.DataFrame) -> Receipt:
    run = row.row(0, named=True)
    number = run["bill_run_number"]
    tables = {
        t: book.read(t).filter(bill_run_number=number).collect()
        for t in ("invoices", "credit_memos", "parked_accounts")
    }
    items = {t: pl.DataFrame() for t in ("invoice_items", "credit_memo_items")}
    return Receipt(
        bill_run_number=number,
        status=run["status"],
        snapshot_id=run["snapshot_id"],
        accounts_billed=run["accounts_billed"],
        accounts_nothing_due=run["accounts_nothing_due"],
        documents=Documents(**tables, **items),
        committed=True,
    )


def _bill_run(
    receipt: Receipt, request: RunRequest, head: Head, started_at: datetime, finished_at: datetime
) -> pl.DataFrame:
    documents = receipt.documents
    canonical = request.canonical()
    row = {
        "bill_run_number": receipt.bill_run_number,
        "status": receipt.status,
        "target_date": request.target_date,
        "invoice_date": request.invoice_date,
        "request": canonical,
        "snapshot_id": receipt.snapshot_id,
        "fingerprint": hashlib.sha256(f"{head.digest} {canonical} {__version__}".encode()).hexdigest(),
        "accounts_billed": receipt.accounts_billed,
        "accounts_nothing_due": receipt.accounts_nothing_due,
        "parked_accounts": documents.parked_accounts.height,
        "invoices": documents.invoices.height,
        "credit_memos": documents.credit_memos.height,
        "items": documents.invoice_items.height + documents.credit_memo_items.height,
        "amounts": json.dumps(receipt.amounts),
        "started_at": _naive(started_at),
        "finished_at": _naive(finished_at),
    }
    return pl.DataFrame([row])


def _now(book: Book, head: Head, table: str) -> pl.DataFrame:
    return book.read(table, head.snapshot_id).collect()


def _currencies(book: Book, head: Head) -> list[str]:
    tables = ("accounts", "subscriptions", "order_line_items")
    found = pl.concat(book.read(t, head.snapshot_id).select("currency").unique() for t in tables)
    return found.drop_nulls().unique().sort("currency").collect()["currency"].to_list()


def _refuse_unknown_accounts(accounts: pl.LazyFrame, request: RunRequest) -> None:
    if request.accounts:
        there = accounts.filter(pl.col("account_number").is_in(request.accounts)).select("account_number").collect()
        unknown = sorted(set(request.accounts) - set(there["account_number"]))
        if unknown:
            msg = f"There is no account {', '.join(unknown)} in the book."
            raise BillfoldError(msg)


def _sequence(bill_run_number: str | None) -> int:
    return int((bill_run_number or "").removeprefix("BR-"))


def _seconds(started_at: datetime, finished_at: datetime) -> float:
    return (finished_at - started_at).total_seconds()


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _shown(amount: object) -> str:
    text = f"{amount:f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
