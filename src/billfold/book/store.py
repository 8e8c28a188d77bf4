"""The book: a DuckLake in a folder or elsewhere, read at snapshots and changed by atomic commits (`commits`)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import duckdb
import polars as pl

from billfold.book import commits, lake, make, server
from billfold.book.commits import Head
from billfold.book.data_files import DataFiles
from billfold.book.lake import name
from billfold.book.layout import SCHEMA_VERSION
from billfold.book.place import Place
from billfold.book.soundness import Soundness
from billfold.errors import BookError, DamagedError
from billfold.rows import Only

if TYPE_CHECKING:
    from billfold.book.commits import Commit

_REMEMBERED: Final = 200
"""Tables at snapshots whose files an open book remembers."""

_HEAD: Final = "version, schema_version, digest"


class Book:
    """A book. Reads see one snapshot; `commit` is all or nothing."""

    def __init__(self, where: Path | Place, *, read_only: bool = False) -> None:
        """Open the book in a folder or at a place, refusing one that this version of billfold does not understand.

        Raises:
            BookError: there is no book, it is damaged or can't be reached, or it has another version.
        """
        if isinstance(where, Place) and where.folder is not None:
            where = where.folder
        self.place = Place.of(where) if isinstance(where, Path) else where
        self._folder = where.resolve() if isinstance(where, Path) else None
        self.files = DataFiles.at(self.place.data)
        self._shown = self.place.shown if self._folder is None else str(where)
        self._tables: dict[tuple[str, int], tuple[pl.DataFrame, pl.Schema]] = {}
        self._there: set[str] = set()
        self._sound = Soundness(self.files)
        try:
            self._connection = lake.attach(self.place, read_only=read_only)
            if not read_only:
                with suppress(duckdb.Error):  # another process is doing the same, and this one has the path anyway
                    lake.settle(self._connection, self.place)
            found = self.head().schema_version
        except duckdb.Error as e:
            raise BookError(_closed(self.place, self._shown, e)) from e
        if found > SCHEMA_VERSION:
            msg = (
                f"The book in {self._shown} has version {found}, this billfold knows versions up to {SCHEMA_VERSION}: "
                "upgrade billfold."
            )
            raise BookError(msg)
        if not read_only:
            self.refuse_older()

    @classmethod
    def at(cls, place: Place, *, read_only: bool = False) -> Self:
        """Open the book at a place: for workers on machines that have no folder of the book.

        Raises:
            BookError: as when it is opened by its folder.
        """
        return cls(place, read_only=read_only)

    @property
    def folder(self) -> Path:
        """The book's folder, with what belongs to it besides tables.

        Raises:
            BookError: the book was opened by its place, and has none here.
        """
        if self._folder is None:
            msg = f"The book in {self._shown} was opened without its folder, which this needs."
            raise BookError(msg)
        return self._folder

    def refuse_older(self) -> None:
        """Refuse what only books of this version can do.

        Raises:
            BookError: the book has an older version.
        """
        found = self.head().schema_version
        if found < SCHEMA_VERSION:
            msg = (
                f"The book in {self._shown} has the older version {found}: "
                f"`billfold migrate` brings it to {SCHEMA_VERSION}."
            )
            raise BookError(msg)

    @classmethod
    def create(cls, folder: Path, place: Place | None = None) -> Self:
        """Make an empty book in a folder that is new or empty, or at a place that the folder is to name.

        It appears whole or not at all.

        Raises:
            BookError: something else is there already, or the disk, the server or the store refuses.
        """
        make.book(folder, place)
        return cls(folder)

    def close(self) -> None:
        """Release the catalog."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Close at the end of a `with` block."""
        return self

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        """Close. What failed because of a damaged file says so, with the file's name."""
        try:
            if isinstance(error, pl.exceptions.PolarsError | DamagedError):
                self._refuse_damaged(error)
        finally:
            self.close()

    def _refuse_damaged(self, cause: BaseException | None = None) -> None:
        """Files that were read must have the bytes that were written: a flipped bit can go unseen (10.00, 9.73).

        Raises:
            DamagedError: one has not.
        """
        hashes = self.contents().filter(pl.col("file").is_not_null())
        if (damaged := self._sound.damaged(dict(hashes.select("file", "sha256").iter_rows()))) is not None:
            path, table = damaged
            said = f"The data file {path} of the table {table} is damaged, so nothing was changed"
            msg = f"{said}: put it back from a copy."
            raise DamagedError(msg) from cause

    def head(self, snapshot_id: int | None = None) -> Head:
        """The book's newest state, or the one of an earlier snapshot."""
        cursor = self._connection.cursor()
        if snapshot_id is not None:
            self._refuse_unknown(snapshot_id)
        cursor.execute("BEGIN")
        try:
            at = lake.one(cursor, "FROM ducklake_current_snapshot('book')")[0] if snapshot_id is None else snapshot_id
            row = lake.one(cursor, f"SELECT {_HEAD} FROM book.billfold.head {_at(snapshot_id)}")  # noqa: S608 - a number
        finally:
            cursor.execute("ROLLBACK")
        return Head(int(row[0]), int(row[1]), int(at), str(row[2]))

    def _refuse_unknown(self, snapshot_id: int) -> None:
        there = "SELECT count(*) FROM ducklake_snapshots('book') WHERE snapshot_id = ?"
        if not lake.one(self._connection.cursor(), there, [snapshot_id])[0]:
            msg = f"The book in {self._shown} does not keep its snapshot {snapshot_id} any more: someone expired it."
            raise BookError(msg)

    def read(self, table: str, snapshot_id: int | None = None, only: Only | None = None) -> pl.LazyFrame:
        """A table as of a snapshot (default: the newest): columns of the contract, then custom fields.

        Polars scans the Parquet files itself. Where rows of a file were replaced, DuckDB reads the table at once:
        it knows the deleted rows, and its lazy frames deadlock when a plan holds several of them.
        """
        try:
            at = self.head().snapshot_id if snapshot_id is None else int(snapshot_id)
            return self._read(table, at, only or Only())
        except duckdb.Error as e:
            msg = f"The table {table} can't be read from the book in {self._shown}: {lake.sentence(e)}"
            raise BookError(msg) from e

    def _read(self, table: str, at: int, only: Only) -> pl.LazyFrame:
        cursor = self._connection.cursor()
        listed, schema = self._table(table, at)
        files = [self.files.relative(address) for address in listed["data_file"]]
        self._sound.was_read(table, files)
        if listed["delete_file"].null_count() < listed.height:
            rows = _rows_at(table, at, only.columns)
            kept = {c: t for c, t in schema.items() if c in (only.columns or schema)}
            return lake.narrowed(cursor, rows, only.among, only.between).pl().cast(pl.Schema(kept)).lazy()
        if not files:
            return only.of(pl.LazyFrame(schema=schema))
        if missing := self.files.missing([file for file in files if file not in self._there]):
            lost = self.files.address(missing[0])
            msg = f"The book in {self._shown} has lost a data file of {table}: put {lost} back from a copy."
            raise BookError(msg)
        self._there |= set(files)
        return only.of(self.files.scan(files, schema))

    def _table(self, table: str, at: int) -> tuple[pl.DataFrame, pl.Schema]:
        """The files of a table and its columns at a snapshot, which never change: asked for once."""
        if (table, at) not in self._tables:
            if len(self._tables) >= _REMEMBERED:
                self._tables.clear()
            cursor = self._connection.cursor()
            files = cursor.execute("FROM ducklake_list_files('book', ?, snapshot_version => ?)", [table, at]).pl()
            self._tables[table, at] = files, lake.in_utc(cursor.sql(f"{_rows_at(table, at)} LIMIT 0").pl().schema)
        return self._tables[table, at]

    def schema(self, table: str, snapshot_id: int) -> pl.Schema:
        """Columns of a table at a snapshot and their types, without its rows."""
        return self._table(table, snapshot_id)[1]

    def columns(self, table: str) -> dict[str, str]:
        """Names and SQL types of a table's columns, custom fields included."""
        rows = self._connection.cursor().execute(f"DESCRIBE book.main.{name(table)}").fetchall()
        return {row[0]: row[1] for row in rows}

    def counters(self, snapshot_id: int | None = None) -> dict[str, int]:
        """Counters of numbers already given out, by name."""
        counted = f"SELECT name, value FROM book.billfold.counters {_at(snapshot_id)}"  # noqa: S608 - a number
        return dict(self._connection.cursor().execute(counted).fetchall())

    def contents(self) -> pl.DataFrame:
        """What every commit did to every table, in order (`commits.CONTENTS`)."""
        recorded = "FROM book.billfold.contents ORDER BY version, position"
        return self._connection.cursor().execute(recorded).pl()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB cursor on the book, its tables to be had by name; for queries, not for writing."""
        cursor = self._connection.cursor()
        cursor.execute("USE book")
        return cursor

    def sql(self, query: str) -> pl.DataFrame:
        """The rows of one query over the book's tables; durations come as text.

        Raises:
            BookError: it is not one query (a statement that writes, several, none), or DuckDB refuses it.
        """
        cursor = self.cursor()
        try:
            lake.refuse_other_than_query(query)
            return lake.frame(cursor.sql(query))
        except duckdb.Error as e:
            raise BookError(lake.sentence(e)) from e

    def commit(self, read_at: Head, commit: Commit) -> Head:
        """Make all changes in one transaction, if the book still stands where `read_at` found it.

        Raises:
            ConflictError: another commit came first.
            UncertainError: the server of the catalog was lost while it made the commit.
            DamagedError: a file that was read, and on which the changes rest, is damaged.
            BookError: the disk, the store or the catalog refuses. In every other case nothing of this commit remains.
        """
        self._refuse_damaged()
        commits.make(self._connection, self.place, read_at, commit)
        return self.head()


def _at(snapshot_id: int | None) -> str:
    """Which snapshot of a table is meant."""
    return "" if snapshot_id is None else f"AT (VERSION => {int(snapshot_id)})"


def _rows_at(table: str, at: int, columns: tuple[str, ...] = ()) -> str:
    """The query of a table's rows at a snapshot, or of some of their columns."""
    wanted = ", ".join(f"t.{name(c)}" for c in columns) or "t.*"
    return f"SELECT {wanted} FROM (FROM book.main.{name(table)} {_at(at)}) t"  # noqa: S608 - quoted


def _closed(place: Place, shown: str, error: Exception) -> str:
    """Why a book can't be opened, and what to do."""
    if place.has_server:
        return server.unopened(place, error)
    said = server.reason(error)
    if "disk is full" in said.lower():
        return f"The book in {shown} can't be opened, since its disk is full: free some space, then try again."
    writable = os.access(Path(place.catalog).parent, os.W_OK)
    if "readonly" in said.lower() or "read-only" in said.lower() or not writable:
        return (
            f"The book in {shown} can't be opened, since nothing can be written there, and even a reader takes a note "
            f"beside the catalog: make the folder writable, or copy the book to where you may write ({said})."
        )
    return f"The book in {shown} can't be opened, its catalog is damaged or not readable: {said}"
