"""The bill run: the line, in order, on one screen.

load -> resolve -> rate -> group -> assemble -> number -> validate -> commit. `lifecycle` posts and cancels later.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from billfold.book import Book, Change, Commit, Head
from billfold.errors import BillfoldError
from billfold.lifecycle import finalise
from billfold.receipt import Clock, Progress, Receipt, bill_run_row, now, receipt_of, seconds, silent
from billfold.requests import RunIdentity, RunRequest
from billfold.settings import current
from billfold.shards import joined, shards
from billfold.steps.assemble import assemble
from billfold.steps.group import group
from billfold.steps.load import load
from billfold.steps.post import Headers, number_drafts
from billfold.steps.rate import rate
from billfold.steps.resolve import resolve
from billfold.steps.validate import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.lines import Documents, Inputs
    from billfold.rows import Only


def preview(book: Book, request: RunRequest, *, clock: Clock = now, progress: Progress = silent) -> Receipt:
    """The documents that `bill` would make now; nothing is written."""
    started_at = clock()
    drafted, _ = _line(book, book.head(), request, progress)
    return replace(drafted, seconds=seconds(started_at, clock()))


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
    receipt, counters = finalise(book, drafted, counters) if post else (drafted, counters)
    progress("committing", 0.8)
    row = bill_run_row(receipt, request, head.digest, started_at, clock())
    changes = [Change(t, rows, replace=t == "charge_progress") for t, rows in vars(receipt.documents).items()]
    changes += [Change(t, rows, whole=True) for t, rows in receipt.left.items()]
    counters = {**counters, "bill_run": counters.get("bill_run", 0) + 1}
    book.commit(head, Commit(f"run {receipt.bill_run_number}", [*changes, Change("bill_runs", row)], counters))
    return replace(receipt, committed=True, seconds=seconds(started_at, clock()))


def _line(book: Book, head: Head, request: RunRequest, progress: Progress) -> tuple[Receipt, Mapping[str, int]]:
    """Everything up to the commit: draft documents of the snapshot, validated, and the counters after them."""

    def read(table: str, only: Only | None = None) -> pl.LazyFrame:
        return book.read(table, head.snapshot_id, only)

    progress("reading", 0.0)
    settings, sequence_sets = current(read("settings").collect()), read("sequence_sets").collect()
    inputs = load(read, settings, request)
    accounts = _accounts(inputs.all_accounts, inputs.accounts, request)
    counters, parts = book.counters(), []
    run = RunIdentity(bill_run_number=f"BR-{counters.get('bill_run', 0) + 1:08d}", snapshot_id=head.snapshot_id)
    split = shards(inputs)
    for number, shard in enumerate(split):
        progress("rating and grouping", 0.1 + 0.6 * number / len(split))
        documents = _documents(shard, run, sequence_sets)
        parts.append(documents)
        run = run.after(documents.invoices.height + documents.credit_memos.height)
    whole = joined(parts)
    drafts = number_drafts(Headers.of(whole, counters), sequence_sets)
    canceled = read("bill_runs").filter(status="Canceled")
    known = read("parked_accounts").join(canceled, on="bill_run_number", how="anti").collect()
    return receipt_of(drafts.on(whole), run, accounts, known, inputs), drafts.counters


def _documents(inputs: Inputs, run: RunIdentity, sequence_sets: pl.DataFrame) -> Documents:
    """Documents of some accounts; their numbers are stand-ins until all documents are there."""
    settings, request = inputs.settings, inputs.request
    rated = rate(resolve(inputs), request.target_date, settings, inputs.currencies)
    lines = group(rated.lines, settings)
    assembled = assemble(lines, rated, settings, request, run)
    drafts = number_drafts(Headers.of(assembled.documents, {}), sequence_sets)
    return validate(lines, replace(assembled, documents=drafts.on(assembled.documents)))


def _accounts(everyone: pl.LazyFrame, chosen: pl.LazyFrame, request: RunRequest) -> int:
    """How many accounts the run is for; asking for one that does not exist is refused."""
    if request.accounts:
        named = everyone.filter(pl.col("account_number").is_in(request.accounts)).select("account_number").collect()
        unknown = sorted(set(request.accounts) - set(named["account_number"]))
        if unknown:
            msg = f"There is no account {', '.join(unknown)} in the book."
            raise BillfoldError(msg)
    return int(chosen.select(pl.len()).collect().item())
