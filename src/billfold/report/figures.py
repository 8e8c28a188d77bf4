"""Everything that a report tells, as frames and figures; the page only shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.book import State
from billfold.lifecycle import runs
from billfold.receipt import Progress, silent
from billfold.replay import Replay
from billfold.replay import replay as replay_run
from billfold.report.compare import Compared, compared, earlier_runs, history_of, kind_of, scope_of
from billfold.report.parked import parked_of
from billfold.report.reading import documents_of
from billfold.report.steps import waterfall
from billfold.report.totals import accounts_of, groups_of, sizes_of, sources_of, totals_of
from billfold.report.unusual import unusual_of
from billfold.requests import RunRequest
from billfold.verify import Verdict, verify

if TYPE_CHECKING:
    from billfold.book import Book


@dataclass(frozen=True)
class Report:
    """A run's figures. Amounts are exact, and never summed over currencies.

    `run` is its row in `bill_runs`, `kind` bill run, orders or schedule. `previous` is the run before it of the same
    kind and scope, `changes` what differs from it; both are None where there is none. Frames of documents have
    invoices, credit_memos, invoiced, credited and net, by:

    `totals` currency · `sizes` currency, at_least, below · `accounts`, `groups` and `sources` currency and their label;
    their last row of a currency may stand for `others` · `waterfall` is `steps.STEPS` · `parked` a row an account and
    currency · `unusual` see `unusual.unusual_of` · `history` a row a run and currency, this run's last.
    """

    run: dict[str, Any]
    kind: str
    verdicts: tuple[Verdict, ...]
    replay: Replay | None
    totals: pl.DataFrame
    waterfall: pl.DataFrame
    sizes: pl.DataFrame
    accounts: pl.DataFrame
    groups: pl.DataFrame
    sources: pl.DataFrame
    parked: pl.DataFrame
    unusual: pl.DataFrame
    history: pl.DataFrame
    previous: dict[str, Any] | None
    changes: Compared | None

    @property
    def holds(self) -> bool:
        """Whether every promise that was looked at holds."""
        return all(v.holds for v in self.verdicts) and (self.replay is None or self.replay.holds)


def report(book: Book, bill_run_number: str, *, replay: bool = False, progress: Progress = silent) -> Report:
    """The figures of a run, the promises of its whole book, and with `replay` whether the run can be made again.

    Raises:
        BillfoldError: there is no such run, the book is of an older version or damaged, or the run can't be replayed.
    """
    run = runs(book, bill_run_number).row(0, named=True)
    made_again = replay_run(book, bill_run_number, progress=_part(progress, 0.0, 0.3)) if replay else None
    verdicts = tuple(verify(book, _part(progress, 0.3, 0.9)))
    progress("adding up", 0.9)
    read = State.of(book).read
    documents = documents_of(read, [bill_run_number]).collect()
    before = earlier_runs(runs(book), run)
    asked = RunRequest.model_validate_json(run["request"])
    same = before.filter(kind=kind_of(asked), scope=scope_of(asked))
    previous = same.row(-1, named=True) if same.height else None
    totals, parked = totals_of(documents), parked_of(book, read, run)
    owed = parked.drop_nulls("currency").group_by("currency").agg(pl.col("lines", "amount").sum())
    return Report(
        run=run,
        kind=kind_of(asked),
        verdicts=verdicts,
        replay=made_again,
        totals=totals,
        waterfall=waterfall(read, bill_run_number, totals, owed),
        sizes=sizes_of(documents),
        accounts=accounts_of(documents, read),
        groups=groups_of(documents),
        sources=sources_of(documents),
        parked=parked,
        unusual=unusual_of(read, documents, before.filter(kind=kind_of(asked))["bill_run_number"].to_list()),
        history=history_of(pl.concat([same.drop("kind", "scope"), runs(book, bill_run_number)])),
        previous=previous,
        changes=compared(read, run, previous, documents) if previous else None,
    )


def _part(progress: Progress, first: float, last: float) -> Progress:
    """The progress of a part of the work."""
    return lambda step, share: progress(step, first + (last - first) * share)
