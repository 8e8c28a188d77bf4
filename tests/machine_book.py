"""The book of the state machine: loaded from model rows, killed in the middle of a commit, compared with the model."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from books import asked
from machine_model import Account, Charge, Model, Paper, Record, Run, Sale, first_of

from billfold import Book, failpoints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from machine_model import Ask

    from billfold.lines import Documents
    from billfold.requests import RunRequest

    Row = tuple[Any, ...]

KINDS: Final = ("invoice", "credit_memo")
_WATCHED: Final = ("rate_plan_charges", "bill_runs", "invoices", "invoice_items", "charge_progress")

_HEADERS: Final = " UNION ALL ".join(
    f"""
    SELECT '{kind}', {kind}_id, bill_run_number, account_number, status, {kind}_number, posting, {kind}_date, due_date,
           amount, item_count
    FROM {kind}s
    """  # noqa: S608 - constants
    for kind in KINDS
)
_ITEMS: Final = " UNION ALL ".join(
    f"""
    SELECT {kind}_id, coalesce(charge_number, order_number || '/' || item_number), service_start_date, amount,
           source_type
    FROM {kind}_items
    """  # noqa: S608 - constants
    for kind in KINDS
)
_RUNS: Final = """
    SELECT bill_run_number, status, target_date, accounts_billed, accounts_nothing_due, parked_accounts,
           invoices, credit_memos, items
    FROM bill_runs ORDER BY ALL
"""
_PARKED: Final = "SELECT bill_run_number, account_number, step, reason, detail FROM parked_accounts ORDER BY ALL"
_PROCESSED: Final = "SELECT bill_run_number, usage_id FROM processed_usage ORDER BY ALL"


# --- rows to load -----------------------------------------------------------------------------------------------


def account_row(account: Account) -> dict[str, Any]:
    return {
        "account_number": account.number,
        "currency": "EUR",
        "batch": account.batch,
        "sequence_set": account.sequence_set or None,
        "payment_term": f"Net {account.net_days}" if account.net_days else None,
        "status": "Active" if account.is_active else "Draft",
    }


def subscription_row(charge: Charge) -> dict[str, Any]:
    """The subscription of a charge: it ends when the charge does."""
    return {
        "subscription_number": charge.subscription,
        "account_number": charge.account,
        "term_type": "EVERGREEN",
        "contract_effective_date": first_of(charge.start).isoformat(),
        "status": "Active" if charge.end is None else "Cancelled",
        "cancelled_date": None if charge.end is None else first_of(charge.end).isoformat(),
    }


def charge_row(charge: Charge) -> dict[str, Any]:
    return {
        "charge_number": charge.number,
        "segment": 1,
        "subscription_number": charge.subscription,
        "charge_type": charge.kind,
        "charge_model": "PerUnit" if charge.kind == "Usage" else "FlatFee",
        "price": str(charge.price),
        "billing_period": None if charge.kind == "OneTime" else "Month",
    }


def record_row(usage_id: str, record: Record) -> dict[str, Any]:
    return {
        "usage_id": usage_id,
        "account_number": record.charge.removeprefix("M-"),
        "charge_number": record.charge,
        "quantity": str(record.quantity),
        "start_date": first_of(record.month).isoformat(),
    }


def sale_row(number: str, sale: Sale) -> dict[str, Any]:
    order, _, item = number.partition("/")
    return {
        "order_number": order,
        "item_number": item,
        "account_number": sale.account,
        "item_name": number,
        "item_category": "Return" if sale.is_return else "Sales",
        "item_state": "SentToBilling" if sale.is_open else "Canceled",
        "amount_per_unit": str(sale.amount),
        "bill_target_date": first_of(sale.month).isoformat(),
    }


def everything(model: Model) -> dict[str, list[dict[str, Any]]]:
    """All input rows of a model, by table."""
    subscriptions = {c.subscription: subscription_row(c) for c in model.charges.values()}
    return {
        "sequence_sets": [{"name": "S2", "invoice_prefix": "X-", "invoice_start": 7, "credit_memo_prefix": "Y"}],
        "accounts": [account_row(a) for a in model.accounts.values()],
        "subscriptions": list(subscriptions.values()),
        "rate_plan_charges": [charge_row(c) for c in model.charges.values()],
        "usage": [record_row(i, r) for i, r in model.records.items()],
        "order_line_items": [sale_row(n, s) for n, s in model.sales.items()],
    }


def request_of(ask: Ask) -> RunRequest:
    """A request, dated on its target date."""
    kept = {"accounts": ask.accounts, "batches": ask.batches, "excluded_charge_types": ask.excluded}
    return asked(ask.target, **kept, subscriptions=ask.subscriptions, order_line_items=ask.order_lines)


# --- a book that can die ----------------------------------------------------------------------------------------


class DiedError(BaseException):
    """The process is gone. No `except Exception` of the code under test may keep it from dying."""


class MortalBook:
    """A book whose process can die at any place that a commit reaches.

    What is on the disk at that place is copied, as a kill would leave it; whatever the dying code still tidies up is
    thrown away with the original, and the copy takes its place.
    """

    def __init__(self, empty: Path, folder: Path) -> None:
        """Copy an empty book and open it."""
        self.folder = folder
        shutil.copytree(empty, folder)
        self.reached: list[str] = []
        self._fuse: int | None = None
        self._patches = ExitStack()
        self._patches.enter_context(mock.patch.object(failpoints, "reached", self._reach))
        self.book = Book(folder)

    def close(self) -> None:
        self._patches.close()
        self.book.close()

    def arm(self, fuse: int | None) -> None:
        """Forget the places that were reached; with a fuse, die at the one with that number."""
        self.reached, self._fuse = [], fuse

    def revive(self) -> bool:
        """Open what the dead process left; returns whether it had committed."""
        self.book.close()
        shutil.rmtree(self.folder)
        self._remains.rename(self.folder)
        self.book = Book(self.folder)
        return "commit.after" in self.reached

    @property
    def _remains(self) -> Path:
        return self.folder.with_name("remains")

    def _reach(self, name: str) -> None:
        self.reached.append(name)
        if len(self.reached) - 1 == self._fuse:
            self._fuse = None
            shutil.copytree(self.folder, self._remains)
            raise DiedError(name)


# --- what the book says -----------------------------------------------------------------------------------------


def papers_of(documents: Documents) -> Counter[Paper]:
    """Documents of a receipt."""
    found: Counter[Paper] = Counter()
    for kind in KINDS:
        items: dict[str, list[Any]] = defaultdict(list)
        for row in getattr(documents, f"{kind}_items").iter_rows(named=True):
            source = row["charge_number"] or f"{row['order_number']}/{row['item_number']}"
            items[row[f"{kind}_id"]].append((source, row["service_start_date"], int(row["amount"])))
        for row in getattr(documents, f"{kind}s").iter_rows(named=True):
            found[Paper(kind, row["account_number"], tuple(sorted(items[row[f"{kind}_id"]])))] += 1
    return found


def papers_in(book: Book, run: str) -> dict[str, Paper]:
    """Documents of a committed run, by id."""
    items = lines_by_document(book.sql(_ITEMS).rows())
    return {i: Paper(kind, account, items[i]) for kind, i, of, account, *_ in book.sql(_HEADERS).rows() if of == run}


def lines_by_document(items: Iterable[Row]) -> Mapping[str, tuple[Any, ...]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for document, source, first, amount, _ in items:
        found[document].append((source, first, int(amount)))
    return defaultdict(tuple, {document: tuple(sorted(lines)) for document, lines in found.items()})


def parked_in(book: Book, run: str) -> frozenset[Any]:
    return frozenset(tuple(row[1:]) for row in book.sql(_PARKED).rows() if row[0] == run)


def told_of(documents: Documents) -> set[Row]:
    """Parked accounts of a receipt, with what is said of them."""
    return set(documents.parked_accounts.select("account_number", "step", "reason", "detail").rows())


@dataclass(frozen=True)
class Memory:
    """What runs have left to later ones: how far charges are billed, usage that is late, charges to look at."""

    progress: list[Row]
    late: list[Row]
    to_review: set[Row]


def memory_of(book: Book) -> Memory:
    """When a charge is next due is left out: a charge to review is looked at in any case."""
    progress = book.sql(
        "SELECT charge_number, segment, charged_through_date, price, quantity, tiers, bill_run_number "
        "FROM charge_progress WHERE charged_through_date IS NOT NULL ORDER BY ALL"
    )
    late = book.sql(
        "SELECT usage_id FROM late_usage l JOIN charge_progress p USING (charge_number, segment) "
        "WHERE p.charged_through_date > l.start_date ORDER BY ALL"
    )
    return Memory(progress.rows(), late.rows(), set(book.sql("FROM charges_to_review").rows()))


def seen(book: Book, snapshot: int) -> list[Row]:
    """What a reader sees in a snapshot, as a count and a hash of every table's rows."""
    parts = (
        f"SELECT '{t}', count(*), bit_xor(hash(t)) FROM (FROM {t} AT (VERSION => {snapshot})) t"  # noqa: S608 - constants
        for t in _WATCHED
    )
    return book.sql(" UNION ALL ".join(parts)).rows()


# --- the book is the model's ------------------------------------------------------------------------------------


def compare(book: Book, model: Model) -> None:
    """Every document, item, run, parked account and processed record is the model's, and keeps the promises."""
    headers, items = book.sql(_HEADERS).rows(), book.sql(_ITEMS).rows()
    expected = {i: (run, d) for run in model.runs for i, d in run.documents.items()}
    lines = lines_by_document(items)
    assert {row[1] for row in headers} == set(expected)
    for kind, i, run, account, status, number, posting, day, due, amount, count in headers:
        of, document = expected[i]
        should = "Posted" if document.number else "Canceled" if of.is_canceled else "Draft"
        paper = document.paper
        assert (kind, account, lines[i], run, status) == (paper.kind, paper.account, paper.lines, of.number, should), i
        assert (posting, day, due) == (document.posting, document.day, document.due), i
        assert number == document.number or (not document.number and number.startswith("TMP-")), (i, number)
        assert (amount, count) == (sum(x[2] for x in lines[i]), len(lines[i])), i
    assert book.sql(_RUNS).rows() == [_run_row(run) for run in model.runs]
    assert book.sql(_PARKED).rows() == sorted((run.number, *told) for run in model.runs for told in run.parked)
    assert book.sql(_PROCESSED).rows() == sorted((run.number, i) for run in model.runs for i in run.usage)
    numbers_are_gapless_and_in_order(headers)
    order_lines_are_billed_once(headers, items)


def _run_row(run: Run) -> Row:
    papers = [d.paper for d in run.documents.values()]
    parked = {told[0] for told in run.parked}
    billed = len({p.account for p in papers} - parked)
    counts = [sum(p.kind == kind for p in papers) for kind in KINDS]
    nothing = run.accounts - billed - len(parked)
    items = sum(len(p.lines) for p in papers)
    return (run.number, run.status, run.ask.target, billed, nothing, len(parked), *counts, items)


def numbers_are_gapless_and_in_order(headers: Iterable[Row]) -> None:
    """Of the book's rows alone."""
    by_prefix: dict[str, list[tuple[int, str, int, str]]] = defaultdict(list)
    for _, i, run, _, status, number, posting, *_ in headers:
        if status == "Posted":
            prefix = number.rstrip("0123456789")
            by_prefix[prefix].append((int(number.removeprefix(prefix)), run, posting, i))
    for prefix, given in by_prefix.items():
        sequence = sorted(n for n, *_ in given)
        assert sequence == list(range(sequence[0], sequence[0] + len(sequence))), prefix
        assert sequence[0] == {"X-": 7}.get(prefix, 1), prefix
        within = [(run, posting, i) for _, run, posting, i in sorted(given)]
        for key in {x[:2] for x in within}:
            ids = [i for *k, i in within if tuple(k) == key]
            assert ids == sorted(ids), (prefix, key)


def order_lines_are_billed_once(headers: Iterable[Row], items: Iterable[Row]) -> None:
    """Of the book's rows alone: no order line is on two documents that count."""
    counting = {row[1] for row in headers if row[4] != "Canceled"}
    sold = Counter(source for i, source, _, _, kind in items if kind == "OrderLineItem" and i in counting)
    assert max(sold.values(), default=1) == 1, sold.most_common(3)
