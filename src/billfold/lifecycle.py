"""What becomes of a run's drafts: posted, with final numbers, or canceled, so that all of it can be billed again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from billfold.book import Change, Commit
from billfold.errors import BillfoldError
from billfold.lines import Documents
from billfold.receipt import Clock, Receipt, naive, now
from billfold.rows import Only
from billfold.steps.post import Headers
from billfold.steps.post import post as post_headers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.book import Book, Head

_HEADERS = ("invoices", "credit_memos")


def post(book: Book, bill_run_number: str, *, clock: Clock = now) -> Receipt:
    """Make the drafts of a run final: their numbers, without gaps, their due dates, and the run's status.

    Raises:
        BillfoldError: there is no such run, it has no drafts, or two documents would get one number.
    """
    head = book.head()
    row = _of_drafts(book, bill_run_number, "posted")
    receipt, counters = finalise(book, _stored(book, row), book.counters())
    _settle(book, head, row, receipt.documents, "Posted", clock, counters)
    return replace(receipt, committed=True)


def cancel(book: Book, bill_run_number: str, *, clock: Clock = now) -> None:
    """Cancel a run of drafts: its charges, usage and order lines can be billed again exactly as before.

    Raises:
        BillfoldError: there is no such run, it has no drafts, or a later run billed on from it.
    """
    head = book.head()
    row = _of_drafts(book, bill_run_number, "canceled")
    given_back = _given_back(book, row)
    documents = _stored(book, row).documents
    canceled = {t: getattr(documents, t).with_columns(status=pl.lit("Canceled")) for t in _HEADERS}
    _settle(book, head, row, replace(documents, **canceled), "Canceled", clock, {}, given_back)


def runs(book: Book, bill_run_number: str | None = None) -> pl.DataFrame:
    """All bill runs in order, or one.

    Raises:
        BillfoldError: there is no such run.
    """
    rows = book.read("bill_runs").sort("bill_run_number").collect()
    if bill_run_number is None:
        return rows
    row = rows.filter(bill_run_number=bill_run_number)
    if row.is_empty():
        msg = f"There is no bill run {bill_run_number}: `billfold runs` lists them."
        raise BillfoldError(msg)
    return row


def finalise(book: Book, drafted: Receipt, counters: Mapping[str, int]) -> tuple[Receipt, Mapping[str, int]]:
    """The receipt with final documents, and the counters after them; nothing is written.

    Raises:
        BillfoldError: two documents would get one number.
    """
    final = post_headers(Headers.of(drafted.documents, counters), book.read("sequence_sets").collect())
    _refuse_equal_numbers(book, final)
    return replace(drafted, documents=final.on(drafted.documents), status="Posted"), final.counters


def _of_drafts(book: Book, bill_run_number: str, what: str) -> pl.DataFrame:
    row = runs(book, bill_run_number)
    if row["status"][0] != "Completed":
        msg = f"{bill_run_number} is {row['status'][0]}: only a run that is Completed, with drafts, can be {what}."
        raise BillfoldError(msg)
    return row


def _given_back(book: Book, row: pl.DataFrame) -> list[Change]:
    """Progress of the run's charges as it was in the snapshot that the run read; the next run looks at them again.

    Raises:
        BillfoldError: a later run billed some of them further, so that canceling this one would leave a gap.
    """
    number, before = row["bill_run_number"][0], row["snapshot_id"][0]
    key = ["charge_number", "segment"]
    progress = book.read("charge_progress")
    own = progress.filter(bill_run_number=number).collect()
    on_items = pl.concat(_charges_on(book, number, kind) for kind in ("invoice", "credit_memo")).unique()
    further = on_items.join(own.lazy(), on=key, how="anti").join(progress, on=key).select("bill_run_number").collect()
    if further.height:
        last = further["bill_run_number"].sort()[-1]
        msg = f"{number} can't be canceled, since {last} has billed on from it: cancel {last} first."
        raise BillfoldError(msg)
    stood = book.read("charge_progress", before, Only(among=own["charge_number"].unique()))
    after = [c for c in own.columns if c not in key]
    restored = (
        own.lazy().select(key).join(stood, on=key, how="left").with_columns(next_due_date=None).select(*key, *after)
    ).sort(key).collect()  # fmt: skip
    return [
        Change("charge_progress", restored.cast(own.schema), replace=True),
        Change("charges_to_review", restored.select(key), replace=True),
    ]


def _charges_on(book: Book, bill_run_number: str, kind: str) -> pl.LazyFrame:
    """The charge segments on a run's documents of one kind."""
    headers = book.read(f"{kind}s").filter(bill_run_number=bill_run_number)
    items = book.read(f"{kind}_items").filter(processing_type="Charge").drop_nulls("charge_number")
    return items.join(headers, on=f"{kind}_id", how="semi").select("charge_number", "segment")


def _stored(book: Book, row: pl.DataFrame) -> Receipt:
    """The receipt of a committed run, as far as posting and canceling need it: headers, no items."""
    run = row.row(0, named=True)
    tables = (*_HEADERS, "parked_accounts")
    headers = {t: book.read(t).filter(bill_run_number=run["bill_run_number"]).collect() for t in tables}
    kept = ("bill_run_number", "status", "snapshot_id", "accounts_billed", "accounts_nothing_due")
    none = pl.DataFrame()
    documents = Documents(
        **headers, invoice_items=none, credit_memo_items=none, processed_usage=none, charge_progress=none
    )
    return Receipt(**{k: run[k] for k in kept}, documents=documents, committed=True)


def _settle(  # noqa: PLR0913, PLR0917 - one argument for each thing that the commit holds
    book: Book,
    head: Head,
    row: pl.DataFrame,
    documents: Documents,
    status: str,
    clock: Clock,
    counters: Mapping[str, int],
    more: Sequence[Change] = (),
) -> None:
    finished = row.with_columns(status=pl.lit(status), finished_at=pl.lit(naive(clock())).cast(pl.Datetime("us")))
    changes = [Change("bill_runs", finished, replace=True)]
    changes += [Change(t, getattr(documents, t), replace=True) for t in _HEADERS]
    changes += more
    book.commit(head, Commit(f"{status.lower()} {row['bill_run_number'][0]}", changes, counters))


def _refuse_equal_numbers(book: Book, final: Headers) -> None:
    """Prefixes that continue each other (23 and 2) can make one number twice (spec/grouping.md section 7)."""
    prefixes = sorted(c for c in final.counters if not c.startswith("TMP-"))
    if not any(b.startswith(a) and b[len(a) :].isdigit() for a in prefixes for b in prefixes if a != b):
        return
    for table, number in (("invoices", "invoice_number"), ("credit_memos", "credit_memo_number")):
        given = getattr(final, table).select(number)
        there = book.read(table).filter(status="Posted").select(number).collect()
        equal = pl.concat([given, there]).filter(pl.col(number).is_duplicated())
        if equal.height:
            msg = (
                f"Two documents would get the number {equal[number].min()}, so nothing was posted: "
                "give one of their sequence sets another prefix or start."
            )
            raise BillfoldError(msg)
