"""Tables and views of a book at one snapshot as plain Parquet files, row group by row group."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from billfold.book import lake
from billfold.book.lake import name, sentence
from billfold.book.soundness import Soundness
from billfold.errors import BookError, DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from billfold.book.store import Book

_ROW_GROUP: Final = 122_880
_GROUPS: Final = 32
"""Row groups of one file; the next ones go to another."""

_MEMORY: Final = "1GB"
"""What DuckDB may keep in memory while it sorts; the rest goes to the disk, however large the book is."""

_NONE: Final = "__HIVE_DEFAULT_PARTITION__"
"""What readers of partitioned folders take for null: the partition of the only file of a table without rows."""


@dataclass(frozen=True)
class Part:
    """One file that was written: its path and how many rows it has."""

    path: Path
    rows: int


@dataclass(frozen=True)
class Rows:
    """Which rows are written: a query, the columns by which they are sorted, and the one that parts them, if any.

    The sorting columns tell all rows apart, so that the order is the same each time.
    """

    query: str
    sorted_by: Sequence[str]
    parted_by: str | None = None

    @property
    def sql(self) -> str:
        """The rows in their order, those of a part together."""
        by = [*([self.parted_by] if self.parted_by else []), *self.sorted_by]
        return f"FROM ({self.query}) ORDER BY {', '.join(map(name, by))}"


class Snapshot:
    """A book as it was in a snapshot, with a connection of its own that may use only so much memory."""

    def __init__(self, book: Book, snapshot_id: int, spill: Path) -> None:
        """See the book at a snapshot; what does not fit into memory goes to the folder `spill`."""
        self._book = book
        self._id = snapshot_id
        self._connection = lake.attach(book.place, read_only=True, snapshot_id=snapshot_id)
        self._connection.execute(f"SET memory_limit = '{_MEMORY}'; SET temp_directory = {lake.text(spill)}")

    def close(self) -> None:
        """Release the catalog."""
        self._connection.close()

    def names(self) -> set[str]:
        """Tables and views that there were."""
        return {row[0] for row in self._connection.execute("SHOW TABLES").fetchall()}

    def columns(self, query: str) -> dict[str, str]:
        """Names and SQL types of a query's columns."""
        return {str(row[0]): str(row[1]) for row in self.fetch(f"DESCRIBE {query}")}

    def fetch(self, query: str) -> list[tuple[object, ...]]:
        """The rows of a query, which must be few."""
        with _told():
            return self._connection.execute(query).fetchall()

    def refuse_damaged(self, tables: Iterable[str]) -> None:
        """Files of tables must have the bytes that were written: a flipped bit can go unseen.

        Raises:
            DamagedError: one has not.
        """
        sound = Soundness(self._book.files)
        for table in sorted(tables):
            listed = "SELECT data_file FROM ducklake_list_files('book', ?, snapshot_version => ?)"
            files = self._book.cursor().execute(listed, [table, self._id]).fetchall()
            sound.was_read(table, [self._book.files.relative(path) for (path,) in files])
        recorded = self._book.contents().drop_nulls("file").select("file", "sha256")
        if (damaged := sound.damaged(dict(recorded.iter_rows()))) is not None:
            path, table = damaged
            msg = f"The data file {path} of the table {table} is damaged: put it back from a copy."
            raise DamagedError(msg)

    def write(self, rows: Rows, folder: Path) -> list[Part]:
        """Write rows to files in a folder: in folders `column=value`, if a column parts them.

        A table without rows has one file too, so that its columns can be read.
        """
        with _told():
            reader = self._connection.execute(rows.sql).to_arrow_reader(_ROW_GROUP)
            schema = reader.schema if rows.parted_by is None else _without(reader.schema, rows.parted_by)
            written: list[Part] = []
            for value, batches in itertools.groupby(_pieces(reader, rows.parted_by), key=itemgetter(0)):
                target = folder if rows.parted_by is None else folder / f"{rows.parted_by}={value}"
                written += _write(schema, (batch for _, batch in batches), target)
            if not written:
                written += _write(schema, (), folder / f"{rows.parted_by}={_NONE}" if rows.parted_by else folder)
            return written


@contextmanager
def _told() -> Iterator[None]:
    """What DuckDB and Arrow refuse, in a sentence."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException) as e:
        msg = f"The book can't be exported: {sentence(e)}"
        raise BookError(msg) from e


def _without(schema: pa.Schema, column: str) -> pa.Schema:
    return schema.remove(schema.get_field_index(column))


def _pieces(reader: Iterable[pa.RecordBatch], parted_by: str | None) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Batches cut where the value of a sorted column changes, with the value and without the column."""
    for batch in reader:
        if parted_by is None:
            yield "", batch
            continue
        runs = pc.run_end_encode(batch.column(parted_by))
        ends, others = runs.run_ends.to_pylist(), batch.drop_columns([parted_by])
        for start, end, value in zip([0, *ends], ends, runs.values.to_pylist(), strict=False):
            yield value, others.slice(start, end - start)


def _write(schema: pa.Schema, batches: Iterable[pa.RecordBatch], folder: Path) -> list[Part]:
    """Write batches to files of so many rows, in row groups of so many, whatever the batches' own sizes are."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = _even(schema, batches)
    written: list[Part] = []
    first = next(groups, schema.empty_table())
    while first is not None:
        path = folder / f"part-{len(written):05d}.parquet"
        rows = 0
        with pq.ParquetWriter(path, schema, compression="zstd") as file:
            for group in itertools.chain([first], itertools.islice(groups, _GROUPS - 1)):
                file.write_table(group, row_group_size=_ROW_GROUP)
                rows += group.num_rows
        written.append(Part(path, rows))
        first = next(groups, None)
    return written


def _even(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of batches in groups of one size, but for the last."""
    waiting = schema.empty_table()
    for batch in batches:
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch], schema)])
        while waiting.num_rows >= _ROW_GROUP:
            yield waiting.slice(0, _ROW_GROUP).combine_chunks()
            waiting = waiting.slice(_ROW_GROUP)
    if waiting.num_rows:
        yield waiting.combine_chunks()
