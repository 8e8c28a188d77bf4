"""A whole night: load, run, verify, post, report. The order in which Dagster's assets do the same (`pipelines/`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.errors import PromiseError
from billfold.events import SILENT
from billfold.night.care import PAUSES, alone
from billfold.night.inbox import Arrival, load_deliveries
from billfold.night.steps import Proof, drafts, make_drafts, nightly_runs, post_drafts, prove, write_reports
from billfold.receipt import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from billfold.book import Book
    from billfold.events import Journal
    from billfold.in_parts import How
    from billfold.receipt import Receipt

EXIT_PARKED: Final = 3


@dataclass(frozen=True)
class Night:
    """What a night did. What earlier nights have done already does not show here, but `parked` is complete."""

    target_date: date
    arrivals: tuple[Arrival, ...]
    receipt: Receipt
    """Of the run; its `bill_run_number` is None when nothing was due any more."""

    runs: pl.DataFrame
    """Rows of `bill_runs`: the run that was made and those that were posted, as they are now."""

    proof: Proof | None
    """None if it was not asked for."""

    posted: tuple[Receipt, ...]
    """One for each run of which there were drafts, earlier nights' included."""

    drafts: tuple[str, ...]
    """Nightly runs that are left as drafts."""

    pages: tuple[Path, ...]
    """Reports that were written."""

    digest: str
    """Of the book afterwards: equal for equal histories."""

    @property
    def parked(self) -> pl.DataFrame:
        """Accounts that owe something and could not be billed, by this night's run or one before it."""
        return self.receipt.documents.parked_accounts

    @property
    def exit_code(self) -> int:
        """3 as long as somebody is parked, else 0."""
        return EXIT_PARKED if self.parked.height else 0


def night(  # noqa: PLR0913 - one option for each step
    book: Book,
    target_date: date,
    *,
    inbox: Path | None = None,
    post: bool = False,
    verify: bool = True,
    reports: Path | None = None,
    how: How | None = None,
    journal: Journal = SILENT,
    progress: Progress = silent,
    pauses: Sequence[float] = PAUSES,
) -> Night:
    """Load what is new in the inbox, bill everything owed up to a day, prove it, post it, and write its report.

    Whatever happened to the nights before, at the end the book is as if all had gone well: each step first looks for
    what is done already. `pauses` are seconds to wait before another try when somebody else committed first.

    Raises:
        BookError: another night is at work on the book.
        InputError: a delivery breaks a contract, so nothing was billed.
        PromiseError: a promise is broken, so nothing was posted.
        BillfoldError: as the steps do. What was committed before stays, and the next night goes on from there.
    """
    with journal.night(book, target_date) as (about, whole), alone(book):
        arrivals: list[Arrival] = []
        if inbox is not None:
            with about.step("load", progress) as step:
                arrivals = load_deliveries(book, inbox, pauses=pauses, progress=step.progress)
                step.loaded(arrivals)
        with about.step("run", progress) as step:
            receipt = make_drafts(book, target_date, how=how, pauses=pauses, progress=step.progress)
            step.billed(receipt)
        proof = None
        if verify:
            with about.step("verify", progress) as step:
                proof = prove(book, target_date, progress=step.progress)
                step.proved(proof)
                refuse_broken(proof)
        posted: list[Receipt] = []
        if post:
            with about.step("post", progress) as step:
                posted = post_drafts(book, target_date, pauses=pauses)
                step.posted(posted)
        pages: list[Path] = []
        if reports is not None:
            with about.step("report", progress) as step:
                pages = write_reports(book, target_date, reports, progress=step.progress)
                step.reported(pages)
        known = nightly_runs(book, target_date)
        done = Night(
            target_date,
            tuple(arrivals),
            receipt,
            known.filter(pl.col("bill_run_number").is_in([r.bill_run_number for r in (receipt, *posted)])),
            proof,
            tuple(posted),
            tuple(drafts(book, target_date)),
            tuple(pages),
            book.head().digest,
        )
        whole.ended(done)
    return done


def refuse_broken(proof: Proof) -> None:
    """End a night before anything is made final that should not be.

    Raises:
        PromiseError: a promise is broken.
    """
    if proof.broken:
        said = f"Broken: {', '.join(proof.broken)}; so nothing was posted or reported"
        msg = f"{said}: `billfold verify --brief` says what breaks them."
        raise PromiseError(msg)
