"""A large run, made part by part, and what its parts make together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import polars as pl

from billfold.book import Written
from billfold.lifecycle import may_meet, refuse_equal_numbers
from billfold.lines import Documents
from billfold.part import HEADERS, Attempt, Task
from billfold.parts import PART, FilesOfPart, dealt
from billfold.receipt import REPLACED, Receipt, Totals, is_news, largest
from billfold.rows import collected
from billfold.settings import current
from billfold.steps.load import TO_SELECT, selected
from billfold.steps.post import Headers, begun, number_drafts
from billfold.steps.post import post as post_headers
from billfold.steps.validate import conform, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from billfold.book import Book, File, State
    from billfold.budget import Budget
    from billfold.part import Finished, Line, Target
    from billfold.receipt import Progress
    from billfold.requests import RunIdentity, RunRequest


class Where(Protocol):
    """Where parts are made: on this machine, or on others."""

    def check(self) -> None:
        """Refuse what can't work, before anything is done for it."""

    def parts(self, book: Book, files: Target, task: Task) -> Iterator[Finished]:
        """All parts of a run, in order."""


@dataclass(frozen=True)
class How:
    """How a run is made. None of it changes what is billed."""

    budget: Budget
    where: Where


@dataclass(frozen=True)
class Asked:
    """A run that is to be made in parts: at which state, what was asked, as which run, and whether it is final.

    `line` makes documents of inputs, `files` is where rows go.
    """

    state: State
    request: RunRequest
    run: RunIdentity
    post: bool
    line: Line
    files: Target


def made_in_parts(asked: Asked, how: How, progress: Progress) -> tuple[Receipt, Mapping[str, int]]:
    """What a large run makes, in files that a commit can register, and the counters after it."""
    state, request = asked.state, asked.request
    how.where.check()
    settings = current(collected(state.read("settings")))
    with state.book.files.scratch() as scratch, Attempt(asked.files) as files:
        progress("dealing accounts into parts", 0.05)
        parts = dealt(state, settings, request, scratch, how.budget.memory // 2)
        task = Task(request, asked.run, parts, min(how.budget.rows, 2 * PART), asked.line, scratch)
        finished: list[Finished] = []
        for part in how.where.parts(state.book, asked.files, task):
            files.note(part.files.values())
            finished.append(part)
            progress("rating and grouping", 0.15 + 0.65 * len(finished) / parts.parts)
        return _Whole(replace(asked, files=files), task, tuple(finished)).receipt()


@dataclass(frozen=True)
class _Whole:
    """All parts of a run."""

    asked: Asked
    task: Task
    parts: tuple[Finished, ...]

    def receipt(self) -> tuple[Receipt, Mapping[str, int]]:
        """What was made, and the counters after it."""
        read = self.asked.state.read
        parked = pl.concat(p.parked for p in self.parts).sort("account_number")
        news = is_news(read, sum(p.touched for p in self.parts), parked)
        before = self.asked.state.counters()
        headers, tops, counters = self._headers() if news else ({}, [], before)
        counters = {**counters, "bill_run": before.get("bill_run", 0) + 1} if news else before
        accounts = collected(selected(read("accounts", TO_SELECT), self.asked.request).select(pl.len())).item()
        billed = sum(p.billed for p in self.parts)
        done = Receipt(
            bill_run_number=self.asked.run.bill_run_number if news else None,
            status=None if not news else "Posted" if self.asked.post else "Completed",
            snapshot_id=self.asked.run.snapshot_id,
            accounts_billed=billed,
            accounts_nothing_due=accounts - billed - parked.height,
            documents=replace(Documents.none(), parked_accounts=parked),
            late_usage=sum(p.late for p in self.parts),
            written=tuple(self._changes(headers, parked)) if news else (),
            in_parts=Totals.joined([p.totals for p in self.parts], tops),
        )
        return done, counters

    def _changes(self, headers: Mapping[str, Sequence[File]], parked: pl.DataFrame) -> Iterator[Written]:
        """What the run changes in the book, besides its own row."""
        schemas = {t: s for p in self.parts for t, s in p.schemas.items()}
        schemas |= {t: getattr(Documents.none(), t).schema for t in (*HEADERS, "parked_accounts")}
        found = {t: tuple(p.files[t] for p in self.parts if t in p.files) for t in vars(Documents.none())}
        found |= {t: tuple(files) for t, files in headers.items()}
        if parked.height:
            found["parked_accounts"] = (self.asked.files.write("parked_accounts", conform("parked_accounts", parked)),)
        for table, files in found.items():
            if files:
                yield Written(table, files, schemas[table], replace=table in REPLACED)
        yield from self._left_to_review()
        yield from self._left_late()

    def _left_to_review(self) -> Iterator[Written]:
        """Charges that later runs have to look at, if there are fewer now."""
        state, table = self.asked.state, "charges_to_review"
        others = collected(FilesOfPart(state.book, state.head.snapshot_id, self.task.dealt, 0).others_to_review())
        files = [p.files[table] for p in self.parts if table in p.files]
        if others.height:
            files.append(self.asked.files.write(table, conform(table, others)))
        if sum(f.rows for f in files) < collected(state.read(table).select(pl.len())).item():
            yield Written(table, tuple(files), others.schema, whole=True)
        else:
            self.asked.files.remove(files)

    def _left_late(self) -> Iterator[Written]:
        """Usage that still waits, if there is less now."""
        rated = [u for p in self.parts for u in p.rated_late]
        if rated:
            waiting = collected(self.asked.state.read("late_usage").filter(~pl.col("usage_id").is_in(rated)))
            files = (self.asked.files.write("late_usage", conform("late_usage", waiting)),) if waiting.height else ()
            yield Written("late_usage", files, waiting.schema, whole=True)

    def _headers(self) -> tuple[dict[str, list[File]], list[pl.DataFrame], Mapping[str, int]]:
        """The files of the headers, numbered and if wanted final, the largest invoices, and the counters after them."""
        read, post = self.asked.state.read, self.asked.post
        sets, settings = collected(read("sequence_sets")), current(collected(read("settings")))
        drafts, finals = self._begun(sets, posting=False), self._begun(sets, posting=True)
        written: list[Mapping[str, File]] = []
        given: list[Headers] = []
        tops: list[pl.DataFrame] = []
        with ThreadPoolExecutor(1) as pool:
            last: Future[Mapping[str, File]] | None = None
            for part in self.parts:
                made = number_drafts(self._waiting(part, drafts), sets)
                drafts = made.counters
                if post:
                    made = post_headers(replace(made, counters=finals), sets, settings)
                    finals = made.counters
                tops.append(largest(made.invoices))
                given += [made] if post and may_meet(finals) else []
                written += [last.result()] if last else []
                last = pool.submit(self._proved, made, sets)
            written += [last.result()] if last else []
        if given:
            both = {t: pl.concat(getattr(g, t) for g in given).lazy() for t in HEADERS}
            refuse_equal_numbers(self.asked.state, finals, both)
        both_given = {name: max(drafts.get(name, 0), finals.get(name, 0)) for name in {**drafts, **finals}}
        files = {t: [w[t] for w in written if t in w] for t in HEADERS}
        return files, tops, both_given if post else drafts

    def _proved(self, made: Headers, sets: pl.DataFrame) -> Mapping[str, File]:
        """The files of a part's headers, proved and written."""
        numbered(made.on(Documents.none()), sets)
        rows = {t: getattr(made, t) for t in HEADERS}
        return {t: self.asked.files.write(t, conform(t, r)) for t, r in rows.items() if r.height}

    def _begun(self, sets: pl.DataFrame, *, posting: bool) -> Mapping[str, int]:
        present = pl.concat(p.sets for p in self.parts).unique().sort("kind", "sequence_set")
        invoices, memos = (present.filter(kind=t).select("sequence_set") for t in HEADERS)
        return begun(Headers(invoices, memos, self.asked.state.counters()), sets, posting=posting)

    def _waiting(self, part: Finished, counters: Mapping[str, int]) -> Headers:
        kept = self.asked.state.book.files.kept
        invoices, memos = (collected(kept([self.task.waiting(t, part.part)])) for t in HEADERS)
        return Headers(invoices, memos, counters)
