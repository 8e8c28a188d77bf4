"""The steps of a night. Each can be given again at any time: what is done already is left alone.

That is why a night that failed, was killed or never came needs no repair: the next one finds what is left to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold import failpoints
from billfold.errors import BillfoldError, PromiseError
from billfold.files import make_folder, write_whole
from billfold.lifecycle import post, runs
from billfold.night.care import patiently
from billfold.receipt import Progress, now, silent
from billfold.replay import replay
from billfold.report import page, report
from billfold.requests import RunRequest
from billfold.run import bill
from billfold.settings import time_zone
from billfold.verify import verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from billfold.book import Book
    from billfold.in_parts import How
    from billfold.receipt import Clock, Receipt
    from billfold.replay import Replay
    from billfold.verify import Verdict

_DRAFTS: Final = "Completed"


@dataclass(frozen=True)
class Proof:
    """A verdict on every promise, and the runs that were made again: those of which there are drafts."""

    verdicts: tuple[Verdict, ...]
    replays: tuple[Replay, ...]

    @property
    def broken(self) -> list[str]:
        """Names of the promises that do not hold."""
        return [v.promise for v in self.verdicts if not v.holds] + ["replay" for r in self.replays if not r.holds][:1]


def today(book: Book, clock: Clock = now) -> date:
    """What day it is in the book's time zone."""
    return clock().astimezone(time_zone(book)).date()


def asked(target_date: date) -> RunRequest:
    """What a night asks for: everything of everybody up to a day, which is also the date on the documents.

    Nothing of it depends on when the night runs, so that a repeated one asks for the same.
    """
    return RunRequest(target_date=target_date, invoice_date=target_date)


def nightly_runs(book: Book, target_date: date) -> pl.DataFrame:
    """Bill runs that asked for what nights ask for, up to a day, in order, but for canceled ones."""
    rows = runs(book).filter(pl.col("status") != "Canceled", pl.col("target_date") <= target_date)
    wanted = [RunRequest.model_validate_json(r["request"]) == asked(r["target_date"]) for r in rows.to_dicts()]
    return rows.filter(pl.Series(wanted, dtype=pl.Boolean))


def drafts(book: Book, target_date: date) -> list[str]:
    """Nightly runs of which there are drafts, also those that an earlier night left behind."""
    return nightly_runs(book, target_date).filter(status=_DRAFTS)["bill_run_number"].to_list()


def make_drafts(
    book: Book,
    target_date: date,
    *,
    how: How | None = None,
    pauses: Sequence[float] = (),
    progress: Progress = silent,
) -> Receipt:
    """Bill everything owed up to a day, as drafts. `how` is as in `bill`, `pauses` are as in `load_deliveries`.

    Raises:
        ConflictError, PromiseError: as `bill` does; nothing was written.
    """
    return patiently(partial(bill, book, asked(target_date), how=how, progress=progress), pauses)


def prove(book: Book, target_date: date, *, progress: Progress = silent) -> Proof:
    """Recompute every promise over the whole book, and make the runs again of which there are drafts."""
    verdicts = verify(book, progress=progress)
    return Proof(tuple(verdicts), tuple(_replays(book, drafts(book, target_date), progress)))


def _replays(book: Book, numbers: Sequence[str], progress: Progress) -> list[Replay]:
    """Runs made again, but for those that another version of billfold made, which nobody can know here."""
    made = []
    for number in numbers:
        progress(f"replaying {number}", 1.0)
        try:
            made.append(replay(book, number))
        except BillfoldError:
            continue
    return made


def post_drafts(book: Book, target_date: date, *, pauses: Sequence[float] = ()) -> list[Receipt]:
    """Make the drafts of nightly runs final, run by run. `pauses` are as in `load_deliveries`.

    Raises:
        ConflictError: another commit came first; the runs before it are posted.
        BillfoldError: two documents would get one number.
    """
    return [patiently(partial(post, book, number), pauses) for number in drafts(book, target_date)]


def write_reports(book: Book, target_date: date, folder: Path, *, progress: Progress = silent) -> list[Path]:
    """Write the pages that are not there yet, and return them.

    A run of drafts has another page than the same run when it is posted. Runs from before there was a folder get none,
    but for the newest.

    Raises:
        PromiseError: a promise is broken now that the run is posted; its page is written, and says which.
        BillfoldError: the folder or a page can't be written.
    """
    due = _due(nightly_runs(book, target_date), folder)
    if due:
        make_folder(folder)
    for place, (number, path) in enumerate(due):
        progress(f"reporting {number}", place / len(due))
        _write_report(book, number, path)
    return [path for _, path in due]


def _due(nightly: pl.DataFrame, folder: Path) -> list[tuple[str, Path]]:
    """Runs without the page that they should have: those after the last one with any, and drafts that were posted."""
    pages = [(n, folder / f"{n}-drafts.html", folder / f"{n}.html") for n in nightly["bill_run_number"]]
    is_drafts = nightly["status"] == _DRAFTS
    there = [place for place, (_, *both) in enumerate(pages) if any(page.exists() for page in both)]
    last = there[-1] if there else len(pages) - 2
    due = [(number, draft if is_draft else final)
           for place, ((number, draft, final), is_draft) in enumerate(zip(pages, is_drafts, strict=True))
           if place > last or draft.exists()]  # fmt: skip
    return [(number, page) for number, page in due if not page.exists()]


def _write_report(book: Book, number: str, path: Path) -> None:
    found = report(book, number)
    failpoints.reached("report.before")
    write_whole(path, page(found).encode())
    failpoints.reached("report.after")
    if not found.holds:
        msg = f"Promises are broken: {path} says which, and `billfold verify --brief` says what breaks them."
        raise PromiseError(msg)
