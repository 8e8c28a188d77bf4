"""What becomes of a run: its drafts are posted or canceled and given back, its parked accounts retried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.book import Change, Commit, State
from billfold.errors import BillfoldError
from billfold.lines import Documents
from billfold.receipt import Clock, Receipt, naive, now
from billfold.requests import RunRequest
from billfold.rows import Only, collected
from billfold.schedules.restore import given_back as schedules_given_back
from billfold.settings import current
from billfold.steps.post import Headers
from billfold.steps.post import post as post_headers
from billfold.steps.validate import numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from billfold.book import Book, Head

_KINDS: Final = (("invoices", "invoice"), ("credit_memos", "credit_memo"))
_HEADERS: Final = tuple(table for table, _ in _KINDS)
_PAIRED: Final = ("negative_charges", "negative_and_zero_credits")
"""Rules that split one group into an invoice and a credit memo, which are posted together (spec/bill_run.md B20)."""


@dataclass(frozen=True)
class _Transition:
    """What happens to a run: the commit's message, the run's new status, and when."""

    message: str
    status: str
    clock: Clock


def post(
    book: Book,
    bill_run_number: str,
    *,
    documents: Sequence[str] = (),
    invoice_date: date | None = None,
    clock: Clock = now,
) -> Receipt:
    """Make drafts of a run final: their numbers, without gaps, and due dates. The receipt has those that were posted.

    All remaining drafts, or only those that `documents` names by id or temporary number; the run is posted with its
    last one. `invoice_date` replaces the date on them (spec/bill_run.md B11).

    Raises:
        BillfoldError: there is no such run or draft, or two documents would get one number.
    """
    head = book.head()
    row = _of_drafts(book, bill_run_number, "posted")
    stored = _stored(book, row)
    drafts = _headers(stored.documents, lambda h, _: h.filter(status="Draft"))
    chosen = _chosen(book, row, drafts, documents) if documents else drafts
    if invoice_date:
        chosen = _headers(chosen, lambda h, kind: h.with_columns(pl.lit(invoice_date).alias(f"{kind}_date")))
    posting = 1 + max(int(getattr(stored.documents, t)["posting"].max() or 0) for t in _HEADERS)
    state = State(book, head)
    final, counters = finalise(state, chosen, state.counters(), posting)
    status = "Posted" if _count(final) == _count(drafts) else "Completed"
    _settle(book, head, row, final, _Transition(f"posted {bill_run_number}", status, clock), counters)
    return replace(stored, documents=final, status=status, committed=True)


def cancel(book: Book, bill_run_number: str, *, clock: Clock = now) -> None:
    """Cancel a run of drafts: its charges, usage and order lines can be billed again exactly as before.

    Raises:
        BillfoldError: there is no such run, some of its documents are final, or a later run billed on from it.
    """
    head = book.head()
    row = _of_drafts(book, bill_run_number, "canceled")
    documents = _stored(book, row).documents
    _refuse_final(bill_run_number, documents)
    given_back = [*_given_back(book, row), *schedules_given_back(book, bill_run_number, row["snapshot_id"][0])]
    canceled = _headers(documents, lambda h, _: h.with_columns(status=pl.lit("Canceled")))
    _settle(book, head, row, canceled, _Transition(f"canceled {bill_run_number}", "Canceled", clock), {}, given_back)


def runs(book: Book, bill_run_number: str | None = None) -> pl.DataFrame:
    """All bill runs in order, or one.

    Raises:
        BillfoldError: there is no such run.
    """
    rows = collected(book.read("bill_runs").sort("bill_run_number"))
    if bill_run_number is None:
        return rows
    row = rows.filter(bill_run_number=bill_run_number)
    if row.is_empty():
        msg = f"There is no bill run {bill_run_number}: `billfold runs` lists them."
        raise BillfoldError(msg)
    return row


def parked_request(book: Book, bill_run_number: str, *, ceilings: bool) -> RunRequest:
    """What a run was asked for, on the accounts that it parked.

    Raises:
        BillfoldError: there is no such run, it is canceled, or it parked nobody.
    """
    row = runs(book, bill_run_number)
    parked = collected(book.read("parked_accounts").filter(bill_run_number=bill_run_number))["account_number"]
    if row["status"][0] == "Canceled":
        msg = f"{bill_run_number} is Canceled and gave everything back: ask for a new run instead."
        raise BillfoldError(msg)
    if parked.is_empty():
        msg = f"{bill_run_number} parked no account, so there is nothing to retry."
        raise BillfoldError(msg)
    request = RunRequest.model_validate_json(row["request"][0]).for_accounts(tuple(parked.sort()))
    return request if ceilings else request.model_copy(update={"ceilings": False})


def finalise(
    state: State, drafts: Documents, counters: Mapping[str, int], posting: int = 1
) -> tuple[Documents, Mapping[str, int]]:
    """Drafts as final documents, by the settings of a state of the book, and the counters after them.

    Raises:
        BillfoldError: two documents would get one number.
    """
    sets, stored = (collected(state.read(t)) for t in ("sequence_sets", "settings"))
    final = post_headers(Headers.of(drafts, counters), sets, current(stored), posting)
    refuse_equal_numbers(state, final.counters, {t: getattr(final, t).lazy() for t in _HEADERS})
    numbered(final.on(drafts), sets)
    return final.on(drafts), final.counters


def _of_drafts(book: Book, bill_run_number: str, what: str) -> pl.DataFrame:
    row = runs(book, bill_run_number)
    if row["status"][0] != "Completed":
        msg = f"{bill_run_number} is {row['status'][0]}: only a run that is Completed, with drafts, can be {what}."
        raise BillfoldError(msg)
    return row


def _refuse_final(bill_run_number: str, documents: Documents) -> None:
    """Posted documents never change (spec/bill_run.md B9)."""
    final = _headers(documents, lambda h, _: h.filter(status="Posted"))
    if _count(final):
        msg = (
            f"{bill_run_number} can't be canceled: posted documents never change, and {_count(final)} of it are posted."
        )
        raise BillfoldError(msg)


def _chosen(book: Book, row: pl.DataFrame, drafts: Documents, names: Sequence[str]) -> Documents:
    """The named drafts, and those that can only be posted with them."""
    named = _headers(drafts, lambda h, kind: h.filter(pl.any_horizontal(_is_named(kind, names))))
    found = {v for t, kind in _KINDS for c in _names(kind) for v in getattr(named, t)[c]}
    unknown = sorted(set(names) - found)
    if unknown:
        msg = f"{row['bill_run_number'][0]} has no draft {', '.join(unknown)}: nothing was posted."
        raise BillfoldError(msg)
    if current(collected(book.read("settings", row["snapshot_id"][0])))["document_type_rule"] not in _PAIRED:
        return named
    keys = pl.concat([named.invoices["group_key"], named.credit_memos["group_key"]]).implode()
    return _headers(drafts, lambda h, _: h.filter(pl.col("group_key").is_in(keys)))


def _is_named(kind: str, names: Sequence[str]) -> list[pl.Expr]:
    return [pl.col(c).is_in(list(names)) for c in _names(kind)]


def _names(kind: str) -> tuple[str, str]:
    """The columns by which a document is called."""
    return (f"{kind}_id", f"{kind}_number")


def _headers(documents: Documents, change: Callable[[pl.DataFrame, str], pl.DataFrame]) -> Documents:
    """Documents with other headers."""
    return replace(documents, **{t: change(getattr(documents, t), kind) for t, kind in _KINDS})


def _count(documents: Documents) -> int:
    return sum(getattr(documents, t).height for t in _HEADERS)


def _given_back(book: Book, row: pl.DataFrame) -> list[Change]:
    """Progress of the run's charges as it was in the snapshot that the run read; the next run looks at them again.

    Raises:
        BillfoldError: a later run billed some of them further, so that canceling this one would leave a gap.
    """
    number, before = row["bill_run_number"][0], row["snapshot_id"][0]
    key = ["charge_number", "segment"]
    progress = book.read("charge_progress")
    own = collected(progress.filter(bill_run_number=number))
    on_items = pl.concat(_charges_on(book, number, kind) for kind in ("invoice", "credit_memo")).unique()
    later = on_items.join(own.lazy(), on=key, how="anti").join(progress, on=key)
    further = collected(later.select("bill_run_number"))
    if further.height:
        latest = further["bill_run_number"].drop_nulls().sort()
        msg = f"{number} can't be canceled: charges of it were detached from an invoice schedule since."
        if latest.len():
            msg = f"{number} can't be canceled, since {latest[-1]} has billed on from it: cancel {latest[-1]} first."
        raise BillfoldError(msg)
    stood = book.read("charge_progress", before, Only(among=own["charge_number"].unique()))
    after = [c for c in own.columns if c not in key]
    restored = collected(
        own.lazy().select(key).join(stood, on=key, how="left").with_columns(next_due_date=None).select(*key, *after)
    .sort(key))  # fmt: skip
    return [
        Change("charge_progress", restored.cast(own.schema), replace=True),
        Change("charges_to_review", restored.select(key), replace=True),
    ]


def _charges_on(book: Book, bill_run_number: str, kind: str) -> pl.LazyFrame:
    """The charge segments on a run's documents of one kind, as far as they are billed by period."""
    headers = book.read(f"{kind}s").filter(bill_run_number=bill_run_number)
    items = book.read(f"{kind}_items").filter(processing_type="Charge", source_type="SubscriptionComponent")
    return items.join(headers, on=f"{kind}_id", how="semi").select("charge_number", "segment")


def _stored(book: Book, row: pl.DataFrame) -> Receipt:
    """The receipt of a committed run, as far as posting and canceling need it: headers, no items."""
    run = row.row(0, named=True)
    tables = (*_HEADERS, "parked_accounts")
    headers = {t: collected(book.read(t).filter(bill_run_number=run["bill_run_number"])) for t in tables}
    kept = ("bill_run_number", "status", "snapshot_id", "accounts_billed", "accounts_nothing_due")
    return Receipt(**{k: run[k] for k in kept}, documents=replace(Documents.none(), **headers), committed=True)


def _settle(  # noqa: PLR0913, PLR0917 - one argument for each thing that the commit holds
    book: Book,
    head: Head,
    row: pl.DataFrame,
    documents: Documents,
    to: _Transition,
    counters: Mapping[str, int],
    more: Sequence[Change] = (),
) -> None:
    finished = row.with_columns(status=pl.lit(to.status), finished_at=pl.lit(naive(to.clock())).cast(pl.Datetime("us")))
    changes = [Change("bill_runs", finished, replace=True)]
    changes += [Change(t, getattr(documents, t), replace=True) for t in _HEADERS]
    book.commit(head, Commit(to.message, [*changes, *more], counters))


def may_meet(counters: Mapping[str, int]) -> bool:
    """Whether two of the prefixes that have counters can make one number."""
    prefixes = sorted(c for c in counters if not c.startswith("TMP-"))
    return any(b.startswith(a) and b[len(a) :].isdigit() for a in prefixes for b in prefixes if a != b)


def refuse_equal_numbers(state: State, counters: Mapping[str, int], headers: Mapping[str, pl.LazyFrame]) -> None:
    """Prefixes that continue each other (23 and 2) can make one number twice (spec/grouping.md section 7).

    Raises:
        BillfoldError: two of the headers, or one of them and one that is posted, have one number.
    """
    if not may_meet(counters):
        return
    for table, number in (("invoices", "invoice_number"), ("credit_memos", "credit_memo_number")):
        there = state.read(table).filter(status="Posted").select(number)
        numbers = collected(pl.concat([headers[table].select(number), there]))
        equal = numbers.filter(pl.col(number).is_duplicated())
        if equal.height:
            msg = (
                f"Two documents would get the number {equal[number].sort()[0]}, so nothing was posted: "
                "give one of their sequence sets another prefix or start."
            )
            raise BillfoldError(msg)
