"""One atomic commit: files first, then one transaction that registers them, chains their hashes and moves the head.

Until the transaction ends nobody reads the files, so a process that dies leaves orphans at worst; `orphans` finds them.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import duckdb
import polars as pl

from billfold import failpoints
from billfold.book import lake
from billfold.book.data_files import DataFiles, File
from billfold.book.lake import name, text
from billfold.book.server import has_refused, reason
from billfold.book.turns import alone
from billfold.contracts import TABLES, keys
from billfold.errors import BookError, ConflictError, UncertainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from billfold.book.place import Place

CONTENTS: Final = {
    "version": "BIGINT",
    "position": "BIGINT",
    "message": "VARCHAR",
    "table_name": "VARCHAR",
    "how": "VARCHAR",
    "file": "VARCHAR",
    "row_count": "BIGINT",
    "sha256": "VARCHAR",
    "chain": "VARCHAR",
}
"""Columns of `billfold.contents`: what every commit did to every table, with hashes that chain from one to the next."""

_CHAINS: Final = """
    SELECT table_name, chain FROM book.billfold.contents
    QUALIFY row_number() OVER (PARTITION BY table_name ORDER BY version DESC, position DESC) = 1
"""
_OUTSIDE: Final = "bill_runs"
"""Runs carry clock times, so they stay out of the book's digest; they are chained by themselves."""

_FIRST: Final = "Another commit to this book came first, so nothing was written: run the command again."
_REFUSED: Final = ("locked", "conflict", "could not serialize", "lock timeout")
"""What catalogs say of a transaction that another one came before."""


@dataclass(frozen=True)
class Head:
    """Where a book stands: the version that commits compare and swap, and the snapshot that readers see.

    `digest` is equal for equal histories: it follows from the hashes of everything that was ever committed.
    """

    version: int
    schema_version: int
    snapshot_id: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class _How:
    """What happens to the rows of a table: with `replace`, those with new rows' keys go; with `whole`, all do."""

    replace: bool = False
    whole: bool = False

    @property
    def how(self) -> str:
        """The same in a word."""
        return "whole" if self.whole else "replace" if self.replace else "insert"


@dataclass(frozen=True)
class Change(_How):
    """New rows of one table. With `replace`, rows with the same keys go first; with `whole`, all rows do."""

    table: str
    rows: pl.DataFrame


@dataclass(frozen=True)
class Written(_How):
    """A change whose rows are in files already, all of one schema; without files, no row is new.

    Large changes are written part by part, so that their rows need not be held together.
    """

    table: str
    files: tuple[File, ...]
    schema: pl.Schema


def merged(changes: Sequence[Change]) -> list[Change]:
    """Changes without those that a later one makes moot: one for each table that several replace rows of."""
    whole = {c.table: place for place, c in enumerate(changes) if c.whole}
    kept = [c for place, c in enumerate(changes) if place >= whole.get(c.table, 0)]
    together: dict[str, Change] = {}
    for change in kept:
        before = together.get(change.table)
        together[change.table] = _both(before, change) if before else change
    return list(together.values())


def _both(first: Change, then: Change) -> Change:
    """Two changes of one table as one: of rows with equal keys the later counts."""
    rows = pl.concat([first.rows, then.rows], how="diagonal")
    if then.replace:
        rows = rows.unique(keys(TABLES[then.table]), keep="last", maintain_order=True)
    return Change(then.table, rows, replace=first.replace or then.replace, whole=first.whole)


@dataclass(frozen=True)
class Commit:
    """What one transaction does: changes of tables, and counters set to new values."""

    message: str
    changes: Sequence[Change | Written] = ()
    counters: Mapping[str, int] = field(default_factory=dict)


def make(connection: duckdb.DuckDBPyConnection, place: Place, read_at: Head, commit: Commit) -> None:
    """Make all changes in one transaction, if the book still stands where `read_at` found it.

    Raises:
        ConflictError: another commit came first.
        UncertainError: the server of the catalog was lost while it made the commit.
        BookError: the disk, the store or the catalog refuses. Here and in a conflict nothing of this commit remains,
            but at worst a file of DuckDB's that `clean` finds.
    """
    files = DataFiles.at(place.data)
    written, ending = [c for c in commit.changes if isinstance(c, Written)], False
    try:
        rows_to_write = (c for c in commit.changes if isinstance(c, Change) and (c.rows.height or c.whole))
        written.extend(_on_disk(files, c) for c in rows_to_write)
        rows, digest = _recorded(connection.cursor(), read_at.version + 1, commit.message, written)
        with alone(connection, place), _transaction(connection) as cursor:
            _swap_head(cursor, read_at, digest)
            for each in written:
                _apply(cursor, files, each)
            add_contents(cursor, rows)
            _set_counters(cursor, commit.counters)
            cursor.execute("CALL book.set_commit_message('billfold', ?)", [commit.message])
            failpoints.reached("commit.before")
            ending = True
    except Exception as e:
        if ending and place.has_server and not (_came_second(e) or has_refused(e)):
            raise _uncertain(e) from e
        # Not for an interruption: it may come just after the commit, and these files would be the book's only ones.
        with suppress(BookError):  # the store is gone; what is left there is for `clean`
            files.remove(f for w in written for f in w.files)
        if isinstance(e, duckdb.Error | OSError | BookError | pl.exceptions.PolarsError):
            raise _as_refusal(e) from e
        raise
    failpoints.reached("commit.after")
    files.keep_private([w.table for w in written if w.replace or w.whole])


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    try:
        yield cursor
        cursor.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):  # a failed COMMIT has already rolled back
            cursor.execute("ROLLBACK")
        raise


def _uncertain(error: Exception) -> UncertainError:
    """The way to a server broke in a COMMIT: it may have been made, and its files may be the book's only ones."""
    return UncertainError(
        "The catalog was lost while the commit was made: look with `billfold runs` whether it was, and if not, run the "
        f"command again ({reason(error)})."
    )


def _on_disk(files: DataFiles, change: Change) -> Written:
    new = (files.write(change.table, change.rows),) if change.rows.height else ()
    return Written(change.table, new, change.rows.schema, replace=change.replace, whole=change.whole)


def _recorded(
    cursor: duckdb.DuckDBPyConnection, version: int, message: str, written: Sequence[Written]
) -> tuple[list[tuple[object, ...]], str]:
    """What the commit is to record, and the book's digest after it.

    The chains are read before the transaction: if they change before it ends, so does the head, and the commit fails.
    """
    chains = dict(cursor.execute(_CHAINS).fetchall())
    rows: list[tuple[object, ...]] = []
    for table, how, file in (each for change in written for each in _told(change)):
        path, count, sha256 = (file.path, file.rows, file.sha256) if file else (None, 0, None)
        chains[table] = _chained(chains.get(table), message, how, count, sha256)
        rows.append((version, len(rows), message, table, how, path, count, sha256, chains[table]))
    return rows, digest_of(chains)


def _told(change: Written) -> Iterator[tuple[str, str, File | None]]:
    """What is recorded of a change, file by file: what was there goes with the first one."""
    for number, file in enumerate(change.files or (None,)):
        yield change.table, "insert" if number and change.whole else change.how, file


def base_rows(cursor: duckdb.DuckDBPyConnection, version: int, snapshot_id: int) -> list[tuple[object, ...]]:
    """What a book without a record of its contents holds in a snapshot: where its chains begin."""
    counts = [(t, lake.one(cursor, f"SELECT count(*) FROM book.main.{name(t)}")[0]) for t in sorted(TABLES)]  # noqa: S608 - quoted
    there, base = [(t, n) for t, n in counts if n], f"base {snapshot_id}"
    return [
        (version, place, base, t, "base", None, n, None, _chained(None, base, "base", n, None))
        for place, (t, n) in enumerate(there)
    ]


def add_contents(cursor: duckdb.DuckDBPyConnection, rows: Sequence[tuple[object, ...]]) -> None:
    """Add rows to the record of contents."""
    if rows:
        places = ", ".join([f"({', '.join('?' * len(CONTENTS))})"] * len(rows))
        cursor.execute(f"INSERT INTO book.billfold.contents VALUES {places}", [v for row in rows for v in row])  # noqa: S608 - placeholders


def _chained(chain: str | None, message: str, how: str, count: int, sha256: str | None) -> str:
    return hashlib.sha256(f"{chain or ''} {message} {how} {count} {sha256 or '-'}".encode()).hexdigest()


def digest_of(chains: Mapping[str, str]) -> str:
    """The book's digest: it follows from the last link of every table's chain."""
    told = "\n".join(f"{t} {chain}" for t, chain in sorted(chains.items()) if t != _OUTSIDE)
    return hashlib.sha256(told.encode()).hexdigest() if told else ""


def _swap_head(cursor: duckdb.DuckDBPyConnection, read_at: Head, digest: str) -> None:
    """DuckLake by itself would let two runs insert the same documents side by side; this lets one of them fail."""
    swap = "UPDATE book.billfold.head SET version = version + 1, digest = ? WHERE version = ?"
    failpoints.reached("head.before")
    if lake.one(cursor, swap, [digest, read_at.version])[0] != 1:
        raise ConflictError(_FIRST)
    failpoints.reached("head.after")


def _apply(cursor: duckdb.DuckDBPyConnection, files: DataFiles, change: Written) -> None:
    target = f"book.main.{name(change.table)}"
    failpoints.reached(f"register.before:{change.table}")
    if change.whole:
        cursor.execute(f"DELETE FROM {target}")  # noqa: S608 - quoted
    if change.files:
        _add_columns(cursor, change)
        places = [files.place(f) for f in change.files]
        if change.replace and lake.one(cursor, f"SELECT count(*) FROM {target}")[0]:  # noqa: S608 - quoted
            matches = " AND ".join(f"t.{name(k)} = n.{name(k)}" for k in keys(TABLES[change.table]))
            source = f"read_parquet([{', '.join(map(text, places))}])"
            cursor.execute(f"DELETE FROM {target} t USING {source} n WHERE {matches}")  # noqa: S608 - quoted
        for place in places:
            cursor.execute("CALL ducklake_add_data_files('book', ?, ?)", [change.table, place])
    failpoints.reached(f"register.after:{change.table}")


def _add_columns(cursor: duckdb.DuckDBPyConnection, change: Written) -> None:
    """Custom fields that the table does not have yet become columns of it."""
    known = {row[0] for row in cursor.execute(f"DESCRIBE book.main.{name(change.table)}").fetchall()}
    for column, sql_type in lake.types(cursor, change.schema.to_frame()).items():
        if column not in known:
            cursor.execute(f"ALTER TABLE book.main.{name(change.table)} ADD COLUMN {name(column)} {sql_type}")


def _set_counters(cursor: duckdb.DuckDBPyConnection, counters: Mapping[str, int]) -> None:
    there = dict(cursor.execute("SELECT name, value FROM book.billfold.counters").fetchall())
    changed = sorted((name, value) for name, value in counters.items() if there.get(name) != value)
    if changed:
        places = ", ".join(["?"] * len(changed))
        gone = f"DELETE FROM book.billfold.counters WHERE name IN ({places})"  # noqa: S608 - placeholders
        cursor.execute(gone, [name for name, _ in changed])
        rows = ", ".join(["(?, ?)"] * len(changed))
        new = f"INSERT INTO book.billfold.counters VALUES {rows}"  # noqa: S608 - placeholders
        cursor.execute(new, [v for pair in changed for v in pair])


def _came_second(error: Exception) -> bool:
    said = lake.sentence(error).lower()
    return any(sign in said for sign in _REFUSED)


def _as_refusal(error: Exception) -> BookError:
    if isinstance(error, BookError):
        return error
    if _came_second(error):
        return ConflictError(_FIRST)
    return BookError(f"The book could not be written, nothing was changed: {reason(error)}")
