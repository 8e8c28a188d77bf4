"""A committed run, recomputed from the snapshot that it read, must give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold import __version__
from billfold.book import Change, File, State, hash_of, merged
from billfold.errors import BillfoldError
from billfold.executors import how as usual_way
from billfold.in_parts import made_in_parts
from billfold.intake.review import review
from billfold.lifecycle import runs
from billfold.orders.register import CHANGED, REVIEWED
from billfold.part import Unwritten
from billfold.receipt import Progress, fingerprint, is_of_run, silent
from billfold.requests import RunRequest
from billfold.run import asked_in_parts, made

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.book import Book

IDENTICAL: Final = "identical"
DIFFERS: Final = "differs"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Compared:
    """A table as the run committed it beside the same table made again.

    `result` is identical (byte by byte) or differs; `said` tells how.
    """

    table: str
    rows: int
    result: str
    said: str = ""


@dataclass(frozen=True)
class Replay:
    """All tables of a run, made again."""

    bill_run_number: str
    snapshot_id: int
    tables: tuple[Compared, ...]

    @property
    def holds(self) -> bool:
        """Whether no table differs by a byte."""
        return all(t.result != DIFFERS for t in self.tables)


def replay(book: Book, bill_run_number: str, *, progress: Progress = silent) -> Replay:
    """Make a run again as it was asked for, from the snapshot that it read, and compare every table that it wrote.

    Raises:
        BillfoldError: there is no such run, or nobody can know what it committed: it was made before the book kept a
            record, or by another version of billfold.
    """
    book.refuse_older()
    run = runs(book, bill_run_number).row(0, named=True)
    recorded = book.contents().filter(is_of_run(bill_run_number))
    _refuse_unknown(run, recorded)
    head = book.head(run["snapshot_id"])
    as_posted = _was_posted_at_once(book, run)
    ordered = ordered_before(State(book, head), recorded)
    state = State(book, head).after(ordered)
    request = RunRequest.model_validate_json(run["request"])
    again = _made_again(state, request, ordered, post=as_posted, progress=progress)
    written = recorded.filter(~pl.col("table_name").is_in(["bill_runs", *CHANGED]))
    tables = [
        _compared(book, files.to_dicts(), again.pop(str(table), None))
        for (table,), files in written.partition_by("table_name", as_dict=True, maintain_order=True).items()
    ]
    tables += [Compared(t, a.rows, DIFFERS, "the run wrote no row") for t, a in again.items()]
    same = fingerprint(head.digest, run["request"]) == run["fingerprint"]
    tables.append(Compared("fingerprint", 1, IDENTICAL if same else DIFFERS, "" if same else "other inputs"))
    return Replay(bill_run_number, head.snapshot_id, tuple(tables))


def ordered_before(state: State, recorded: pl.DataFrame) -> list[Change]:
    """What orders that were committed together with their run changed before it: the run read that too.

    `state` is the book at the run's snapshot, `recorded` the record of what the run's commit did.
    """
    given = recorded.filter(pl.col("table_name").is_in(CHANGED))
    changes = [
        Change(row["table_name"], state.book.files.read(row["file"]), replace=row["how"] == "replace")
        for row in given.iter_rows(named=True)
    ]
    return [*changes, *review(state, {c.table: c.rows for c in changes if c.table in REVIEWED})]


def _refuse_unknown(run: Mapping[str, object], recorded: pl.DataFrame) -> None:
    number = run["bill_run_number"]
    if recorded.is_empty():
        msg = f"{number} can't be replayed: it was made before the book kept a record of what runs write."
        raise BillfoldError(msg)
    if run["billfold_version"] != __version__:
        msg = f"{number} was made by billfold {run['billfold_version']} and this is {__version__}: replay it with that."
        raise BillfoldError(msg)


def _was_posted_at_once(book: Book, run: Mapping[str, object]) -> bool:
    """Whether the run's own commit, the one after the snapshot that it read, made it final."""
    committed = book.read("bill_runs", int(str(run["snapshot_id"])) + 1).filter(bill_run_number=run["bill_run_number"])
    return committed.collect()["status"].to_list() == ["Posted"]


@dataclass(frozen=True)
class _Again:
    """A table made again: how it changes, its files, and its rows if they are held."""

    how: str
    files: tuple[File, ...]
    held: pl.DataFrame | None = None

    @property
    def rows(self) -> int:
        return sum(f.rows for f in self.files)


def _made_again(
    state: State, request: RunRequest, ordered: Sequence[Change], *, post: bool, progress: Progress
) -> dict[str, _Again]:
    """Every table that a run would change now, with the hashes of its files."""
    if (asked := asked_in_parts(state, request, post=post, files=Unwritten(state.book.files, hash_of))) is not None:
        receipt, _ = made_in_parts(asked, usual_way(), progress)
        return {w.table: _Again(w.how, w.files) for w in receipt.written}
    receipt, _ = made(state, request, post=post, progress=progress)
    changes = merged([*ordered, *receipt.changes()])
    return {
        c.table: _Again(c.how, (File(c.table, c.rows.height, hash_of(c.rows)),) if c.rows.height else (), c.rows)
        for c in changes
        if c.table not in CHANGED and (c.rows.height or c.whole)
    }


def _compared(book: Book, recorded: Sequence[Mapping[str, Any]], again: _Again | None) -> Compared:
    """One table: the hashes of the files that were committed, and of those that would be now."""
    table, count = recorded[0]["table_name"], sum(r["row_count"] for r in recorded)
    if again is None or again.rows != count or again.how != recorded[0]["how"]:
        now = 0 if again is None else again.rows
        return Compared(table, count, DIFFERS, f"{count} rows were written, and it would be {now} now")
    was = [(r["row_count"], r["sha256"]) for r in recorded if r["file"]]
    now_is = [(f.rows, f.sha256) for f in again.files]
    if was == now_is:
        return Compared(table, count, IDENTICAL)
    if again.held is not None and len(was) == 1:
        return Compared(table, count, DIFFERS, _first_difference(book, recorded[0]["file"], again.held))
    other = sum(one != two for one, two in zip_longest(was, now_is))
    return Compared(table, count, DIFFERS, f"{other} of its {len(was)} files would be others now")


def _first_difference(book: Book, file: str, rows: pl.DataFrame) -> str:
    """Where two versions of a table part."""
    committed = book.files.read(file)
    for column in rows.columns:
        if column not in committed.columns:
            return f"the column {column} was not there"
        both = pl.DataFrame({"was": committed[column], "is": rows[column].cast(committed[column].dtype)})
        other = both.with_row_index("row", 1).filter(pl.col("was").ne_missing(pl.col("is")))
        if other.height:
            row = other.row(0, named=True)
            return f"{column} in row {row['row']} was {row['was']} and would be {row['is']} now"
    return "the rows are equal, the files are not"
