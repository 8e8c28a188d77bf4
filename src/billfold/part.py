"""One part of a large run: drafted anywhere, then finished with its place among the others.

Drafting (rating, grouping, assembling, proving) needs no other part. Finishing gives documents their ids, which go on
from the part before, and writes the part's files; its headers wait in scratch files until all documents are known,
since numbers depend on them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, Self

import polars as pl

from billfold import __version__
from billfold.book import File, refusing
from billfold.errors import BookError
from billfold.lines import Documents
from billfold.memory import late, left_to_review, rated_late
from billfold.parts import FilesOfPart
from billfold.receipt import Totals
from billfold.rows import collected
from billfold.settings import current
from billfold.shards import joined, shards
from billfold.steps.load import load
from billfold.steps.name import name
from billfold.steps.validate import conform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from billfold.book import Book
    from billfold.book.deal import Dealt
    from billfold.lines import Inputs
    from billfold.requests import RunIdentity, RunRequest
    from billfold.rows import Only

    Line = Callable[[Inputs, RunIdentity], list[Documents]]


class Target(Protocol):
    """Where the rows of a run go: a book's data files, or whoever only compares them."""

    def write(self, table: str, rows: pl.DataFrame) -> File:
        """Write rows as a new file of a table."""

    def keep(self, rows: pl.DataFrame, address: str) -> None:
        """Write rows that are soon read again."""

    def kept(self, addresses: Sequence[str]) -> pl.LazyFrame:
        """The rows of such files."""

    def remove(self, files: Iterable[File]) -> None:
        """Remove files that no commit has registered."""


@dataclass(frozen=True)
class Unwritten:
    """A target for runs that are only tried or compared: nothing is written but what waits for a part to be finished.

    `hashed` says which hash a file of some rows has, where that matters.
    """

    files: Target
    hashed: Callable[[pl.DataFrame], str | None] | None = None

    def write(self, table: str, rows: pl.DataFrame) -> File:
        """What a file of these rows would be."""
        return File(table, rows.height, self.hashed(rows) if self.hashed else None)

    def keep(self, rows: pl.DataFrame, address: str) -> None:
        """Write rows that are soon read again."""
        self.files.keep(rows, address)

    def kept(self, addresses: Sequence[str]) -> pl.LazyFrame:
        """The rows of such files."""
        return self.files.kept(addresses)

    def remove(self, files: Iterable[File]) -> None:
        """There is nothing to remove."""


class Attempt:
    """A target for the length of a block; if that fails, what was written goes again."""

    def __init__(self, files: Target) -> None:
        """Write to a book's files, or to what stands for them."""
        self._files = files
        self._written: list[File] = []

    def __enter__(self) -> Self:
        """Nothing is written yet."""
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        """Take back what was written, if the block failed."""
        if failed:
            with suppress(BookError):  # the store is gone; what is left there is for `clean`
                self._files.remove(self._written)

    def note(self, files: Iterable[File]) -> None:
        """Answer for files that others wrote."""
        self._written += files

    def write(self, table: str, rows: pl.DataFrame) -> File:
        """Write rows as a new file of a table.

        Raises:
            BookError: they can't be written.
        """
        with refusing():
            file = self._files.write(table, rows)
        self._written.append(file)
        return file

    def keep(self, rows: pl.DataFrame, address: str) -> None:
        """Write rows that are soon read again.

        Raises:
            BookError: they can't be written.
        """
        with refusing():
            self._files.keep(rows, address)

    def kept(self, addresses: Sequence[str]) -> pl.LazyFrame:
        """The rows of such files."""
        return self._files.kept(addresses)

    def remove(self, files: Iterable[File]) -> None:
        """Remove files that no commit has registered."""
        self._files.remove(files)


HEADERS: Final = ("invoices", "credit_memos")
_HELD: Final = (*HEADERS, "parked_accounts")
"""Tables whose rows wait until all parts are there."""

_LEFT: Final = ("charge_progress", "processed_usage")


@dataclass(frozen=True)
class Task:
    """What it takes to make any part of a run, wherever that is done.

    `rows` is how many charges may be billed together, so that memory suffices; `scratch` is where files wait.
    """

    request: RunRequest
    run: RunIdentity
    dealt: Dealt
    rows: int
    line: Line
    scratch: str
    version: str = __version__

    def waiting(self, table: str, part: int) -> str:
        """Where a part's headers wait."""
        return f"{self.scratch}/{table}-{part}.parquet"

    def piece(self, table: str, part: int, piece: int) -> str:
        """Where a piece of a drafted part waits."""
        return f"{self.scratch}/draft-{part}-{piece}-{table}.parquet"


@dataclass(frozen=True)
class Drafted:
    """A part's documents without ids, in pieces that follow each other, and what the part leaves to later runs."""

    part: int
    documents: Sequence[Documents]
    to_review: pl.DataFrame
    late: int
    rated_late: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many documents there are."""
        return sum(d.invoices.height + d.credit_memos.height for d in self.documents)

    def keep(self, files: Target, task: Task) -> Kept:
        """The same without the documents, which wait in scratch files for whoever finishes the part."""
        for piece, documents in enumerate(self.documents):
            for table, rows in vars(documents).items():
                files.keep(rows, task.piece(table, self.part, piece))
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "documents"}
        return Kept(**told, pieces=len(self.documents), count=self.count)


@dataclass(frozen=True)
class Kept:
    """A drafted part whose documents wait in scratch files, in so many pieces."""

    part: int
    pieces: int
    count: int
    to_review: pl.DataFrame
    late: int
    rated_late: tuple[str, ...]

    def drafted(self, files: Target, task: Task) -> Drafted:
        """The part with its documents."""
        tables = [f.name for f in fields(Documents)]
        pieces = [
            Documents(**{t: collected(files.kept([task.piece(t, self.part, piece)])) for t in tables})
            for piece in range(self.pieces)
        ]
        return Drafted(self.part, pieces, self.to_review, self.late, self.rated_late)


@dataclass(frozen=True)
class Finished:
    """A part whose files are written, but for its headers and parked accounts.

    `sets` are the sequence sets of its documents (`kind`, `sequence_set`), `billed` its accounts that are billed
    without being parked for anything, `touched` its accounts with documents and its schedules.
    """

    part: int
    files: Mapping[str, File]
    schemas: Mapping[str, pl.Schema]
    totals: Totals
    parked: pl.DataFrame
    sets: pl.DataFrame
    billed: int
    touched: int
    late: int
    rated_late: tuple[str, ...]


def draft(book: Book, task: Task, part: int) -> Drafted:
    """Make a part's documents, without ids."""
    at = task.run.snapshot_id
    read = partial(_read, book, at)
    inputs = load(read, current(collected(read("settings"))), task.request, FilesOfPart(book, at, task.dealt, part))
    made = [d for shard in shards(inputs, task.rows) for d in task.line(shard, task.run)]
    seen = replace(Documents.none(), **{t: pl.concat(getattr(d, t) for d in made) for t in _LEFT})
    return Drafted(part, made, left_to_review(seen, inputs), late(seen, inputs), rated_late(seen, inputs))


def _read(book: Book, snapshot_id: int, table: str, only: Only | None = None) -> pl.LazyFrame:
    return book.read(table, snapshot_id, only)


def finish(files: Target, task: Task, drafted: Drafted, before: int) -> Finished:
    """Give a part its ids, which go on after so many documents, and write its files."""
    run, named = task.run.after(before), []
    for documents in drafted.documents:
        named.append(name(documents, run))
        run = run.after(documents.invoices.height + documents.credit_memos.height)
    whole = joined(named)
    rows = {t: r for t, r in vars(whole).items() if t not in _HELD} | {"charges_to_review": drafted.to_review}
    with Attempt(files) as target:
        written = {t: target.write(t, conform(t, r)) for t, r in rows.items() if r.height}
        for table in HEADERS:
            target.keep(getattr(whole, table), task.waiting(table, drafted.part))
    accounts = pl.concat(getattr(whole, h).select("account_number") for h in HEADERS).unique()
    return Finished(
        part=drafted.part,
        files=written,
        schemas={t: rows[t].schema for t in written},
        totals=Totals.of(whole),
        parked=whole.parked_accounts,
        sets=pl.concat(getattr(whole, h).select("sequence_set", kind=pl.lit(h)) for h in HEADERS).unique(),
        billed=accounts.join(whole.parked_accounts, on="account_number", how="anti").height,
        touched=accounts.height + whole.invoice_schedules.height,
        late=drafted.late,
        rated_late=drafted.rated_late,
    )
