"""The bill run: the line, in order, on one screen.

load -> resolve -> rate -> group -> assemble -> number -> validate -> commit. `lifecycle` posts and cancels later,
`replay` runs the line once more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from billfold.book import Book, Change, Commit, State
from billfold.ceilings import above_ceilings
from billfold.errors import BillfoldError
from billfold.executors import how as usual_way
from billfold.in_parts import Asked, made_in_parts
from billfold.isolate import isolated
from billfold.lifecycle import finalise, parked_request
from billfold.part import Unwritten
from billfold.parts import are_several, digits_of, work_of
from billfold.receipt import Clock, Progress, Receipt, bill_run_row, message_of, now, receipt_of, seconds, silent
from billfold.repeat import answered
from billfold.requests import ID_DIGITS, RunIdentity, RunRequest
from billfold.rows import collected
from billfold.settings import current
from billfold.shards import joined, shards
from billfold.steps.assemble import assemble
from billfold.steps.group import group
from billfold.steps.load import TO_SELECT, load, selected
from billfold.steps.name import name
from billfold.steps.post import Headers, number_drafts
from billfold.steps.rate import rate
from billfold.steps.resolve import resolve
from billfold.steps.validate import billed_once, conforming, numbered, validate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.in_parts import How
    from billfold.lines import Carriers, Documents, Inputs
    from billfold.part import Target


def preview(
    book: Book, request: RunRequest, *, how: How | None = None, clock: Clock = now, progress: Progress = silent
) -> Receipt:
    """The documents that `bill` would make now; nothing is written. `how` is as in `bill`."""
    state, started_at = State.of(book), clock()
    drafted, _ = _run(state, request, Unwritten(book.files), post=False, how=how, progress=progress)
    return replace(drafted, seconds=seconds(started_at, clock()))


def bill(  # noqa: PLR0913 - one argument for each thing that a caller may say
    book: Book,
    request: RunRequest,
    *,
    post: bool = False,
    how: How | None = None,
    clock: Clock = now,
    progress: Progress = silent,
) -> Receipt:
    """Run the line and commit its documents, as drafts or, with `post`, as final ones.

    A request that was answered before, and nothing happened since, is answered without running the line. A large run
    is made in parts: `how` says within how much memory, and where.

    Raises:
        ConflictError: another commit came first; nothing was written.
        PromiseError: the documents broke a promise; nothing was written.
    """
    state, started_at = State.of(book), clock()
    if (same := answered(state, request)) is not None:
        return same
    receipt, counters = _run(state, request, book.files, post=post, how=how, progress=progress)
    if receipt.bill_run_number is None:
        return receipt
    progress("committing", 0.8)
    row = bill_run_row(receipt, request, state.head.digest, started_at, clock())
    changes = [*(receipt.written or receipt.changes()), Change("bill_runs", row)]
    book.commit(state.head, Commit(message_of(str(receipt.bill_run_number)), changes, counters))
    return replace(receipt, committed=True, seconds=seconds(started_at, clock()))


def retry(
    book: Book, bill_run_number: str, *, post: bool = False, ceilings: bool = True, progress: Progress = silent
) -> tuple[Receipt, RunRequest]:
    """Bill the accounts that a run parked, as it was asked to, in a run of its own (spec/bill_run.md B30).

    Raises:
        BillfoldError: there is no such run, it parked nobody, or it is canceled; and as `bill` does.
    """
    request = parked_request(book, bill_run_number, ceilings=ceilings)
    return bill(book, request, post=post, progress=progress), request


def _run(  # noqa: PLR0913 - what its callers were given
    state: State, request: RunRequest, files: Target, *, post: bool, how: How | None, progress: Progress
) -> tuple[Receipt, Mapping[str, int]]:
    """A run that is made whole or, with its rows going to `files`, in parts; and the counters after it."""
    if (asked := asked_in_parts(state, request, post=post, files=files)) is not None:
        return made_in_parts(asked, how or usual_way(), progress)
    return made(state, request, post=post, rows=how.budget.rows if how else None, progress=progress)


def made(
    state: State, request: RunRequest, *, post: bool, rows: int | None = None, progress: Progress = silent
) -> tuple[Receipt, Mapping[str, int]]:
    """What a run at a state of the book makes, and the counters after it; nothing is written.

    `rows` is how many charges and order lines are looked at together.
    """
    drafted, counters = _line(state, request, rows, progress)
    if drafted.bill_run_number is None:
        return drafted, counters
    counters = {**counters, "bill_run": counters.get("bill_run", 0) + 1}
    if not post:
        return drafted, counters
    documents, counters = finalise(state, drafted.documents, counters)
    return replace(drafted, documents=documents, status="Posted"), counters


def asked_in_parts(state: State, request: RunRequest, *, post: bool, files: Target) -> Asked | None:
    """How a run is asked for that is too large to be held, its rows going to `files`; None for the others."""
    if not are_several(state, request, work := work_of(state, request)):
        return None
    accounts = state.read("accounts", TO_SELECT)
    _refuse_unknown(accounts, request)
    if collected(selected(accounts, request).head(1)).is_empty():
        return None
    return Asked(state, request, _identity(state, digits_of(work)), post, documents_of, files)


def _identity(state: State, digits: int = ID_DIGITS) -> RunIdentity:
    number = state.counters().get("bill_run", 0) + 1
    return RunIdentity(bill_run_number=f"BR-{number:08d}", snapshot_id=state.head.snapshot_id, digits=digits)


def _line(state: State, request: RunRequest, rows: int | None, progress: Progress) -> tuple[Receipt, Mapping[str, int]]:
    """Everything up to the commit: draft documents of a state of the book, validated, and the counters after them."""
    read = state.read
    progress("reading", 0.0)
    settings, sequence_sets = current(collected(read("settings"))), collected(read("sequence_sets"))
    inputs = load(read, settings, request)
    _refuse_unknown(inputs.all_accounts, request)
    accounts = int(collected(inputs.accounts.select(pl.len())).item())
    large = are_several(state, request, work := work_of(state, request))
    run = _identity(state, digits_of(work) if large else ID_DIGITS)
    counters, parts, split = state.counters(), [], shards(inputs, rows)
    for number, shard in enumerate(split):
        progress("rating and grouping", 0.1 + 0.6 * number / len(split))
        parts += documents_of(shard, run)
    whole = joined(_named(parts, run))
    drafts = number_drafts(Headers.of(whole, counters), sequence_sets)
    documents = conforming(drafts.on(whole))
    numbered(documents, sequence_sets)
    return receipt_of(documents, run, accounts, read, inputs), drafts.counters


def documents_of(inputs: Inputs, run: RunIdentity) -> list[Documents]:
    """Documents of some accounts, numbered from 1, in pieces that follow each other."""
    settings, request = inputs.settings, inputs.request

    def work(carriers: Carriers) -> Documents:
        rated = rate(carriers, request, settings, inputs.currencies)
        lines = group(rated.lines, settings)
        assembled = assemble(lines, rated, settings, request, run)
        if request.ceilings and (found := above_ceilings(assembled.documents, settings, inputs.last_bills)).height:
            rated = rated.with_troubles(found)
            assembled = assemble(lines, rated, settings, request, run)
        documents = validate(lines, assembled)
        billed_once(documents, carriers.charges, lambda: collected(inputs.billed_order_lines))
        return documents

    return isolated(work, resolve(inputs), run.bill_run_number)


def _named(parts: Sequence[Documents], run: RunIdentity) -> list[Documents]:
    """The documents of a whole run with their ids."""
    counts = [d.invoices.height + d.credit_memos.height for d in parts]
    run = run.model_copy(update={"digits": max(run.digits, len(str(sum(counts))))})
    found = []
    for documents, count in zip(parts, counts, strict=True):
        found.append(name(documents, run))
        run = run.after(count)
    return found


def _refuse_unknown(everyone: pl.LazyFrame, request: RunRequest) -> None:
    """Asking for an account that does not exist is refused."""
    if request.accounts:
        named = collected(everyone.filter(pl.col("account_number").is_in(request.accounts)).select("account_number"))
        unknown = sorted(set(request.accounts) - set(named["account_number"]))
        if unknown:
            msg = f"There is no account {', '.join(unknown)} in the book."
            raise BillfoldError(msg)
