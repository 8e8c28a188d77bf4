"""One life of a book: commands, what each must come to, and what is looked at after every step."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from books import load_more
from hypothesis import reject
from hypothesis.stateful import RuleBasedStateMachine, invariant
from machine_book import (
    Memory,
    MortalBook,
    compare,
    everything,
    memory_of,
    papers_in,
    papers_of,
    parked_in,
    request_of,
    seen,
    told_of,
)
from machine_model import Account, Ask, Charge, Document, Expected, Model, Run, Sale, first_of

from billfold.errors import BillfoldError
from billfold.lifecycle import cancel, post
from billfold.run import bill, preview, retry
from billfold.settings import change

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from billfold import Book

RUIN: Final = -100_000
"""The amount of a sale that parks its account, whatever else the account owes."""


@dataclass(frozen=True)
class Command:
    """What is done to the book, and what it makes of the model once it is committed.

    `then` gets what `do` returned, or nothing if the process died right after the commit.
    """

    do: Callable[[Book], Any]
    then: Callable[[Any], None]
    commits: bool = True


def first_model() -> Model:
    """Four accounts, one of them not active; those with payment terms or another sequence set are not the same."""
    model = Model()
    for account in (
        Account("A"),
        Account("B", batch="Batch2", sequence_set="S2", net_days=30),
        Account("C", net_days=30),
        Account("D", is_active=False),
    ):
        add_account(model, account, 0)
    model.sales |= {"O1/1": Sale("A", 7, 0), "O1/2": Sale("B", 4, 0, is_return=True)}
    return model


def add_account(model: Model, account: Account, month: int) -> None:
    """An account with a fee, a set-up and usage."""
    number = account.number
    model.accounts[number] = account
    for name, kind, price in (("F", "Recurring", 10), ("O", "OneTime", 50), ("M", "Usage", 2)):
        model.charges[f"{name}-{number}"] = Charge(f"{name}-{number}", number, kind, month, price)


class Life(RuleBasedStateMachine):
    """A book beside its model, and all that is done to both."""

    def __init__(self, empty: Path, *, is_cut_short: bool = False) -> None:
        """Begin with a book that holds the first model."""
        super().__init__()
        self.scratch = Path(tempfile.mkdtemp())
        self.mortal = MortalBook(empty, self.scratch / "book")
        self.model = first_model()
        self.month = 0
        self.is_cut_short = is_cut_short
        self.compared_at: tuple[int, int] | None = None
        self.readers: dict[int, list[Any]] = {}
        self.places: dict[str, int] = {}
        self.memories: dict[str, tuple[int, Memory]] = {}
        self.last_ask: Ask | None = None
        self.asked_wrongly_at: tuple[int, int] | None = None

    def teardown(self) -> None:
        """What was read once is still read."""
        try:
            for snapshot, rows in self.readers.items():
                assert seen(self.book, snapshot) == rows
        finally:
            self.mortal.close()
            shutil.rmtree(self.scratch)

    @property
    def book(self) -> Book:
        return self.mortal.book

    @invariant()
    def the_book_is_the_models(self) -> None:
        """Looked at whenever the book has moved."""
        head = self.book.head()
        if self.is_cut_short and self.compared_at:
            reject()
        if self.compared_at != (head.version, head.snapshot_id):
            compare(self.book, self.model)
            self.compared_at = (head.version, head.snapshot_id)

    # --- commands: what is done, and what it comes to -----------------------------------------------------------

    def execute(self, command: Command) -> Any:  # noqa: ANN401 - what the command returns
        """Do it; the head moves if it commits, and only then."""
        before = self.book.head()
        self.mortal.arm(None)
        result = command.do(self.book)
        assert self.book.head().version == before.version + command.commits
        assert command.commits or self.book.head() == before
        command.then(result)
        return result

    def refuse(self, what: Callable[[Book], object]) -> None:
        """It is refused with a sentence, and nothing is written."""
        before = self.book.head()
        with pytest.raises(BillfoldError):
            what(self.book)
        assert self.book.head() == before

    def loading(self, mutate: Callable[[Model], None]) -> Command:
        """Load the rows that a change of the model makes different."""
        after = copy.deepcopy(self.model)
        mutate(after)
        before, rows = everything(self.model), everything(after)
        changed = {t: [r for r in rows[t] if r not in before[t]] for t in rows}
        return Command(lambda book: load_more(book, changed), lambda _: mutate(self.model), any(changed.values()))

    def billing(self, ask: Ask, *, is_posted: bool = False, run: Run | None = None) -> Command:
        """A run or, of a run, its retry; the model says beforehand what it makes."""
        ask = self.model.retried(run) if run else ask
        expected, told = self.model.expected(ask), self.model.told()
        memory, version = memory_of(self.book), self.book.head().version
        found = preview(self.book, request_of(ask)) if expected.parked and not expected.papers else None
        news = found is not None and bool(told_of(found.documents) - told)

        def do(book: Book) -> Any:  # noqa: ANN401 - a receipt
            if run:
                return retry(book, run.number, post=is_posted)[0]
            return bill(book, request_of(ask), post=is_posted)

        def then(receipt: Any) -> None:  # noqa: ANN401 - a receipt, or nothing
            if receipt is not None:
                self.check_receipt(receipt, expected)
            if commits:
                number = self.committed(ask, expected, is_posted=is_posted)
                self.memories[number] = (version, memory)

        commits = bool(expected.papers) or news
        return Command(do, then, commits)

    def posting(self, run: Run, chosen: tuple[str, ...], day: date | None, *, by_number: bool = False) -> Command:
        names = self.temporary(chosen) if by_number else chosen
        return Command(
            lambda book: post(book, run.number, documents=names, invoice_date=day),
            lambda _: self.model.post(run, chosen, day),
        )

    def canceling(self, run: Run) -> Command:
        version, memory = self.memories[run.number]
        is_next = self.book.head().version == version + 1

        def then(_: object) -> None:
            run.is_canceled = True
            if is_next:
                self.is_given_back(run, memory)

        return Command(lambda book: cancel(book, run.number), then)

    def setting(self, *, is_consolidated: bool) -> Command:
        value = {"consolidate_invoices": "yes" if is_consolidated else "no"}
        commits = is_consolidated != self.model.is_consolidated

        def then(_: object) -> None:
            self.model.is_consolidated = is_consolidated

        return Command(lambda book: change(book, value), then, commits)

    def any_command(self, kind: str, pick: int) -> Command:
        """Something that commits, if there is anything for it to do."""
        model = self.model
        runs = {
            "post": [r for r in model.runs if r.drafts],
            "cancel": [r for r in model.runs if model.why_not_cancel(r) is None],
            "retry": [r for r in model.runs if r.parked and not r.is_canceled],
        }.get(kind, [])
        if kind == "bill" or (not runs and kind != "load"):
            return self.billing(self.ask({}, 1), is_posted=pick % 2 == 1)
        if kind == "load":
            return self.loading(partial(self.sell, pick % 9 + 1, pick))
        run = runs[pick % len(runs)]
        if kind == "post":
            return self.posting(run, (), None)
        return self.canceling(run) if kind == "cancel" else self.billing(run.ask, run=run)

    # --- helpers ------------------------------------------------------------------------------------------------

    def ask(self, wish: dict[str, Any], on: int) -> Ask:
        """A request of a month around the latest one that was asked for."""
        month = max(0, self.month + on)
        self.month = max(self.month, month)
        numbers = list(self.model.accounts)
        accounts = tuple(sorted({numbers[pick % len(numbers)] for pick in wish.get("accounts", ())}))
        only = wish.get("only")
        return Ask(
            first_of(month) + timedelta(days=on * 5 + 5),
            accounts=accounts,
            batches=wish.get("batches", ()),
            excluded=wish.get("excluded", ()),
            subscriptions=only != "order_lines",
            order_lines=only != "subscriptions",
        )

    def check_receipt(self, receipt: Any, expected: Expected) -> None:  # noqa: ANN401 - a receipt
        """Documents, and every account of the run: billed, with nothing due, or parked."""
        found = papers_of(receipt.documents)
        assert found == expected.papers, {"not expected": found - expected.papers, "missing": expected.papers - found}
        assert set(receipt.documents.parked_accounts["account_number"]) == expected.parked
        assert receipt.accounts_billed == expected.billed
        counted = receipt.accounts_billed + receipt.accounts_nothing_due + len(expected.parked)
        assert counted == expected.accounts
        assert receipt.late_usage == expected.late

    def is_given_back(self, run: Run, memory: Memory) -> None:
        """Nothing happened since the run but its cancellation: what is remembered is what was before it.

        Charges that the run looked at and did not bill need not be looked at again.
        """
        now = memory_of(self.book)
        assert now.progress == memory.progress
        assert now.late == memory.late
        assert now.to_review >= {row for row in memory.to_review if row[0] in run.charges}

    def committed(self, ask: Ask, expected: Expected, *, is_posted: bool) -> str:
        """Take the documents of a run that is committed into the model, under the names that they got."""
        number = f"BR-{len(self.model.runs) + 1:08d}"
        papers = papers_in(self.book, number)
        assert Counter(papers.values()) == expected.papers
        assert sorted(papers) == [f"{number}-{n:06d}" for n in range(1, len(papers) + 1)]
        parked = parked_in(self.book, number)
        assert {told[0] for told in parked} == expected.parked
        documents = {i: Document(papers[i], ask.target) for i in sorted(papers)}
        run = Run(number, ask, expected.lines, expected.usage, documents, parked, expected.accounts)
        self.model.runs.append(run)
        if is_posted:
            self.model.post(run, (), None)
        return number

    def is_answered(self) -> bool:
        """Whether the last request would find nothing: the model knows."""
        if self.last_ask is None:
            return False
        expected = self.model.expected(self.last_ask)
        return not expected.papers and not expected.parked

    def temporary(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        """The numbers that drafts show."""
        shown = self.book.sql(
            "SELECT invoice_id, invoice_number FROM invoices UNION ALL "
            "SELECT credit_memo_id, credit_memo_number FROM credit_memos"
        )
        numbers = dict(shown.rows())
        return tuple(numbers[i] for i in ids)

    def sell(self, amount: int, pick: int, model: Model, *, is_return: bool = False) -> None:
        """An order line, of an account that is active."""
        active = [a.number for a in model.accounts.values() if a.is_active]
        sale = Sale(active[pick % len(active)], amount, self.month, is_return=is_return)
        model.sales[f"O{pick % 3}/{len(model.sales) + 1}"] = sale

    def ruins(self) -> list[str]:
        return [n for n, s in self.model.sales.items() if s.amount == RUIN and s.is_open]

    def charge_of(self, kind: str, pick: int) -> Charge:
        of_kind = [c for c in self.model.charges.values() if c.kind == kind]
        return of_kind[pick % len(of_kind)]

    def run_that(self, pick: int, fits: Callable[[Run], bool]) -> Run:
        fitting = [run for run in self.model.runs if fits(run)]
        return fitting[pick % len(fitting)]


def moved(run: Run, days: int | None) -> date | None:
    """A new invoice date."""
    return None if days is None else run.ask.target + timedelta(days=days)
