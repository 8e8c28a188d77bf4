"""The book: a folder with a DuckLake, read at snapshots and changed by atomic commits.

Every commit moves the one row of `billfold.head` from the version that its author read to the next. DuckLake by
itself would let two runs insert the same documents side by side; this compare-and-swap lets one of them fail.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import duckdb
import polars as pl

from billfold.book import lake
from billfold.book.lake import name, text
from billfold.book.layout import SCHEMA_VERSION, make_catalog
from billfold.contracts import TABLES, keys
from billfold.errors import BookError, ConflictError
from billfold.rows import Only

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True)
class Head:
    """Where a book stands: the version that commits compare and swap, and the snapshot that readers see."""

    version: int
    schema_version: int
    snapshot_id: int
    digest: str


@dataclass(frozen=True)
class Change:
    """New rows of one table. With `replace`, rows with the same keys go first; with `whole`, all rows do."""

    table: str
    rows: pl.DataFrame
    replace: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Commit:
    """What one transaction does: changes of tables, and counters set to new values."""

    message: str
    changes: Sequence[Change] = ()
    counters: Mapping[str, int] = field(default_factory=dict)


class Book:
    """A book folder. Reads see one snapshot; `commit` is all or nothing."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open the book in `folder`, refusing one that this version of billfold does not understand.

        Raises:
            BookError: there is no book, it is damaged, or it has another version.
        """
        self.folder = folder.resolve()
        self._schemas: dict[tuple[str, int], pl.Schema] = {}
        if not (self.folder / lake.CATALOG).is_file():
            msg = f"There is no book in {folder}: `billfold init` makes one, --book or BILLFOLD_BOOK names another."
            raise BookError(msg)
        try:
            self._connection = lake.attach(self.folder, read_only=read_only)
            if not read_only:
                with suppress(duckdb.Error):  # another process is doing the same, and this one has the path anyway
                    lake.settle(self._connection, self.folder)
            found = self.head().schema_version
        except duckdb.Error as e:
            msg = f"The book in {folder} can't be opened, its catalog is damaged or not readable: {_first_line(e)}"
            raise BookError(msg) from e
        if found > SCHEMA_VERSION:
            msg = (
                f"The book in {folder} has version {found}, this billfold knows versions up to {SCHEMA_VERSION}: "
                "upgrade billfold."
            )
            raise BookError(msg)
        if found < SCHEMA_VERSION and not read_only:
            msg = (
                f"The book in {folder} has the older version {found}: `billfold migrate` brings it to {SCHEMA_VERSION}."
            )
            raise BookError(msg)

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Make an empty book in a folder that is new or empty; it appears whole or not at all."""
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            msg = f"{folder} exists and is not empty: choose another folder, or remove it."
            raise BookError(msg)
        scratch = folder.resolve().with_name(f".{folder.resolve().name}.{uuid.uuid4().hex}")
        try:
            (scratch / lake.DATA).mkdir(parents=True, mode=0o700)
            scratch.chmod(0o700)
            make_catalog(scratch)
            scratch.rename(folder.resolve())
        except (OSError, sqlite3.Error, duckdb.Error) as e:
            shutil.rmtree(scratch, ignore_errors=True)
            said = e.strerror if isinstance(e, OSError) else _first_line(e)
            msg = f"A book can't be made in {folder}: {said}."
            raise BookError(msg) from e
        return cls(folder)

    def close(self) -> None:
        """Release the catalog."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Close at the end of a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def head(self) -> Head:
        """The book's newest state."""
        cursor = self._connection.cursor()
        cursor.execute("BEGIN")
        row = lake.one(cursor, "SELECT version, schema_version, digest FROM book.billfold.head")
        snapshot = lake.one(cursor, "FROM ducklake_current_snapshot('book')")
        cursor.execute("ROLLBACK")
        return Head(int(row[0]), int(row[1]), int(snapshot[0]), str(row[2]))

    def read(self, table: str, snapshot_id: int | None = None, only: Only | None = None) -> pl.LazyFrame:
        """A table as of a snapshot (default: the newest): columns of the contract, then custom fields.

        Polars scans the Parquet files itself. Where rows of a file were replaced, DuckDB reads the table at once:
        it knows the deleted rows, and its lazy frames deadlock when a plan holds several of them.
        """
        try:
            at = self.head().snapshot_id if snapshot_id is None else int(snapshot_id)
            return self._read(table, at, only or Only())
        except duckdb.Error as e:
            msg = f"The table {table} can't be read from the book in {self.folder}: {lake.sentence(e)}"
            raise BookError(msg) from e

    def _read(self, table: str, at: int, only: Only) -> pl.LazyFrame:
        cursor = self._connection.cursor()
        rows = f"SELECT t.* FROM (FROM book.main.{name(table)} AT (VERSION => {at})) t"  # noqa: S608 - quoted
        files = cursor.execute("FROM ducklake_list_files('book', ?, snapshot_version => ?)", [table, at]).pl()
        if (table, at) not in self._schemas:
            self._schemas[table, at] = lake.in_utc(cursor.sql(f"{rows} LIMIT 0").pl().schema)
        schema = self._schemas[table, at]
        if files["delete_file"].null_count() < files.height:
            return lake.narrowed(cursor, rows, only.among, only.between).pl().cast(schema).lazy()
        if files.is_empty():
            return pl.LazyFrame(schema=schema)
        paths = files["data_file"].to_list()
        missing = [path for path in paths if not Path(path).is_file()]
        if missing:
            msg = f"The book in {self.folder} has lost a data file of {table}: put {missing[0]} back from a copy."
            raise BookError(msg)
        scanned = pl.scan_parquet(paths, schema=schema, missing_columns="insert", glob=False).select(schema.names())
        return only.of(scanned)

    def columns(self, table: str) -> dict[str, str]:
        """Names and SQL types of a table's columns, custom fields included."""
        rows = self._connection.cursor().execute(f"DESCRIBE book.main.{name(table)}").fetchall()
        return {row[0]: row[1] for row in rows}

    def counters(self) -> dict[str, int]:
        """Counters of numbers already given out, by name."""
        return dict(self._connection.cursor().execute("SELECT name, value FROM book.billfold.counters").fetchall())

    def sql(self, query: str) -> pl.DataFrame:
        """The rows of one query over the book's tables; durations come as text.

        Raises:
            BookError: it is not one query (a statement that writes, several, none), or DuckDB refuses it.
        """
        cursor = self._connection.cursor()
        try:
            cursor.execute("USE book")
            lake.refuse_other_than_query(query)
            return lake.frame(cursor.sql(query))
        except duckdb.Error as e:
            raise BookError(lake.sentence(e)) from e

    def commit(self, read_at: Head, commit: Commit) -> Head:
        """Make all changes in one transaction, if the book still stands where `read_at` found it.

        Raises:
            ConflictError: another commit came first.
            BookError: the disk or the catalog refuses. In both cases nothing of this commit remains.
        """
        written: list[tuple[Change, Path]] = []
        try:
            digest = read_at.digest
            for change in (c for c in commit.changes if c.rows.height):
                path = self._write(change)
                written.append((change, path))
                digest = _chain(digest, change, path)
            with self._transaction() as cursor:
                self._swap_head(cursor, read_at, digest)
                for table in (c.table for c in commit.changes if c.whole):
                    cursor.execute(f"DELETE FROM book.main.{name(table)}")  # noqa: S608 - quoted
                for change, path in written:
                    self._apply(cursor, change, path)
                self._set_counters(cursor, commit.counters)
                cursor.execute("CALL book.set_commit_message('billfold', ?)", [commit.message])
        except Exception as e:
            # Not for an interruption: it may come just after the commit, and these files would be the book's only ones.
            for _, path in written:
                path.unlink(missing_ok=True)
            if isinstance(e, duckdb.Error | OSError | BookError):
                raise _as_refusal(e) from e
            raise
        return self.head()

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._connection.cursor()
        cursor.execute("BEGIN")
        try:
            yield cursor
            cursor.execute("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):  # a failed COMMIT has already rolled back
                cursor.execute("ROLLBACK")
            raise

    def _swap_head(self, cursor: duckdb.DuckDBPyConnection, read_at: Head, digest: str) -> None:
        swap = "UPDATE book.billfold.head SET version = version + 1, digest = ? WHERE version = ?"
        if lake.one(cursor, swap, [digest, read_at.version])[0] != 1:
            msg = "Another commit to this book came first, so nothing was written: run the command again."
            raise ConflictError(msg)

    def _write(self, change: Change) -> Path:
        """Write new rows beside the table's files; until the commit registers the file, nobody reads it."""
        folder = self.folder / lake.DATA / "main" / change.table
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex}.parquet"
        try:
            lake.write(change.rows, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _apply(self, cursor: duckdb.DuckDBPyConnection, change: Change, path: Path) -> None:
        self._add_columns(cursor, change)
        if change.replace:
            matches = " AND ".join(f"t.{name(k)} = n.{name(k)}" for k in keys(TABLES[change.table]))
            source = f"read_parquet({text(path)})"
            target = f"book.main.{name(change.table)}"
            cursor.execute(f"DELETE FROM {target} t USING {source} n WHERE {matches}")  # noqa: S608 - quoted
        cursor.execute("CALL ducklake_add_data_files('book', ?, ?)", [change.table, str(path)])

    def _add_columns(self, cursor: duckdb.DuckDBPyConnection, change: Change) -> None:
        """Custom fields that the table does not have yet become columns of it."""
        known = {row[0] for row in cursor.execute(f"DESCRIBE book.main.{name(change.table)}").fetchall()}
        for column, sql_type in lake.types(cursor, change.rows).items():
            if column not in known:
                cursor.execute(f"ALTER TABLE book.main.{name(change.table)} ADD COLUMN {name(column)} {sql_type}")

    def _set_counters(self, cursor: duckdb.DuckDBPyConnection, counters: Mapping[str, int]) -> None:
        there = dict(cursor.execute("SELECT name, value FROM book.billfold.counters").fetchall())
        changed = sorted((name, value) for name, value in counters.items() if there.get(name) != value)
        if changed:
            places = ", ".join(["?"] * len(changed))
            gone = f"DELETE FROM book.billfold.counters WHERE name IN ({places})"  # noqa: S608 - placeholders
            cursor.execute(gone, [name for name, _ in changed])
            rows = ", ".join(["(?, ?)"] * len(changed))
            new = f"INSERT INTO book.billfold.counters VALUES {rows}"  # noqa: S608 - placeholders
            cursor.execute(new, [v for pair in changed for v in pair])


def _chain(digest: str, change: Change, path: Path) -> str:
    """The book's digest after a change: equal for equal histories. Runs carry clock times, so they stay out."""
    if change.table == "bill_runs":
        return digest
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{digest} {change.table} {change.replace} {content}".encode()).hexdigest()


def _as_refusal(error: Exception) -> BookError:
    if isinstance(error, BookError):
        return error
    said = _first_line(error)
    if "locked" in said.lower() or "conflict" in said.lower():
        return ConflictError("Another commit to this book came first, so nothing was written: run the command again.")
    return BookError(f"The book could not be written, nothing was changed: {said}")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
