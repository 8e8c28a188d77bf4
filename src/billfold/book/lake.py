"""DuckDB as billfold uses it: one connection with a DuckLake attached as `book`.

Nothing here knows what the tables mean. SQL is made from quoted identifiers and quoted literals only.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl
import pyarrow as pa

from billfold.book import place
from billfold.book.place import Place
from billfold.errors import BookError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

_ROW_GROUP: Final = 262_144
_EXTENSIONS: Final = ("sqlite_scanner", "ducklake")
_SERVER_EXTENSIONS: Final = ("postgres_scanner", "ducklake")
_STORE_EXTENSION: Final = "httpfs"
_EXTRA: Final = "`pip install 'billfold[cluster]'` has it"
_FETCH: Final = "BILLFOLD_FETCH_EXTENSIONS"
"""Set to let DuckDB fetch extensions that are not installed. Besides, only books that are elsewhere use a network."""

CATALOG: Final = place.CATALOG
DATA: Final = place.DATA


def name(identifier: str) -> str:
    """An identifier, quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str | Path) -> str:
    """A text literal, quoted for SQL."""
    return "'" + str(value).replace("'", "''") + "'"


def attach(
    where: Path | Place, *, read_only: bool = False, snapshot_id: int | None = None, new: bool = False
) -> duckdb.DuckDBPyConnection:
    """A connection whose current database is the book in a folder or at a place, as it is now or was in a snapshot.

    The data path is given anew each time, so that a book works wherever it was moved to. `new` makes the catalog on a
    server that is not there yet.
    """
    at = Place.of(where) if isinstance(where, Path) else where
    connection = _connected(_SERVER_EXTENSIONS if at.has_server else _EXTENSIONS)
    if at.in_s3:
        _let_in(connection)
    access = ", READ_ONLY" if read_only else ""
    access += "" if snapshot_id is None else f", SNAPSHOT_VERSION {int(snapshot_id)}"
    access += f", METADATA_SCHEMA {text(at.schema)}" if at.has_server else ""
    # META_SCHEMA is for DuckDB's part of PostgreSQL, which otherwise looks at the schemas of all books.
    access += f", META_SCHEMA {text(at.schema)}, CREATE_IF_NOT_EXISTS false" if at.has_server and not new else ""
    data = f"DATA_PATH {text(at.data)}, OVERRIDE_DATA_PATH true"
    connection.execute(f"ATTACH {text(at.source)} AS book ({data}{access})")
    connection.execute("USE book")
    return connection


def server(at: Place) -> duckdb.DuckDBPyConnection:
    """A connection that has the database of a book's catalog as `server`, whether the book is there or not."""
    connection = _connected(_SERVER_EXTENSIONS)
    connection.execute(f"ATTACH {text(at.catalog)} AS server (TYPE postgres)")
    return connection


def _connected(extensions: Sequence[str]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        "SET TimeZone = 'UTC'; SET autoinstall_known_extensions = false; SET autoload_known_extensions = false"
    )
    for extension in extensions:
        _load(connection, extension)
    return connection


def _let_in(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection read and write in an S3-compatible store."""
    from billfold.book.s3 import Access  # noqa: PLC0415 - only books in a store need it

    access = Access.told()
    _load(connection, _STORE_EXTENSION)
    access.let_in(connection)


def settle(connection: duckdb.DuckDBPyConnection, at: Place) -> None:
    """Write where the data is into the catalog, so that a plain ATTACH finds the data of a book that was moved.

    Through DuckDB and not Python's SQLite: two SQLite libraries in one process would undo each other's file locks.
    """
    path = f"{at.data}/"
    metadata = "__ducklake_metadata_book.ducklake_metadata"
    stored = connection.execute(f"SELECT value FROM {metadata} WHERE key = 'data_path'").fetchone()  # noqa: S608 - constant
    if stored != (path,):
        connection.execute(f"UPDATE {metadata} SET value = ? WHERE key = 'data_path'", [path])  # noqa: S608 - constant


def _load(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    """Load an extension from its wheel. Where there is none, DuckDB may fetch it, if someone said so."""
    path = _wheel_file(extension)
    try:
        if path is None and os.environ.get(_FETCH):
            connection.install_extension(extension)
        connection.load_extension(str(path) if path else extension)
    except duckdb.Error as e:
        package = f"the package duckdb-extension-{extension.replace('_', '-')} {duckdb.__version__}"
        hint = f"install {package}" if extension in _EXTENSIONS else f"{_EXTRA} (or {package})"
        msg = f"DuckDB can't load its extension {extension}: {hint}, or let DuckDB fetch it once with {_FETCH}=1."
        raise BookError(msg) from e


def _wheel_file(extension: str) -> Path | None:
    with suppress(ImportError):
        package = importlib.import_module(f"duckdb_extension_{extension}")
        for root in package.__path__:
            path = Path(root) / "extensions" / f"v{duckdb.__version__}" / f"{extension}.duckdb_extension"
            if path.exists():
                return path
    return None


def write(rows: pl.DataFrame, target: Path | io.BytesIO) -> None:
    """Write rows as Parquet. Polars writes times of day in nanoseconds, which DuckDB has no column type for."""
    if pl.Time in rows.dtypes:
        import pyarrow.parquet as pq  # noqa: PLC0415 - few need it, and it brings what speaks to networks

        pq.write_table(_arrow(rows), target, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP)
    else:
        rows.rechunk().write_parquet(target, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP)


def parquet(rows: pl.DataFrame) -> bytes:
    """The bytes of the file that `write` makes of these rows."""
    target = io.BytesIO()
    write(rows, target)
    return target.getvalue()


def sha256(path: Path) -> str | None:
    """The hash of a file's bytes; None where they can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _arrow(rows: pl.DataFrame) -> pa.Table:
    """Rows as an Arrow table, times of day in microseconds."""
    try:
        table = rows.to_arrow()
    except pa.ArrowInvalid as e:
        msg = f"A column has a type that a book can't keep: {e}."
        raise BookError(msg) from e
    fields = [f.with_type(pa.time64("us")) if pa.types.is_time(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields), safe=False)


def narrowed(
    cursor: duckdb.DuckDBPyConnection,
    rows: str,
    among: pl.Series | None,
    between: Mapping[str, tuple[date | None, date | None]],
) -> duckdb.DuckDBPyRelation:
    """The rows of a query of the table `t` with a value of one column and within the bounds of others."""
    if among is not None:
        cursor.register("_among", pa.table({among.name: among.to_arrow()}))
        rows += f" SEMI JOIN _among USING ({name(among.name)})"
    bounds = [(f"t.{name(c)} {op} DATE {text(v.isoformat())}") for c, ends in between.items()
              for op, v in zip((">=", "<="), ends, strict=True) if v is not None]  # fmt: skip
    return cursor.sql(rows + (f" WHERE {' AND '.join(bounds)}" if bounds else ""))


def in_utc(schema: pl.Schema) -> pl.Schema:
    """A schema whose zoned times are in UTC by that name, as files have them; DuckDB calls it Etc/UTC."""
    zoned = {c for c, t in schema.items() if isinstance(t, pl.Datetime) and t.time_zone}
    return pl.Schema({c: pl.Datetime("us", "UTC") if c in zoned else t for c, t in schema.items()})


def refuse_other_than_query(sql: str) -> None:
    """Let only one statement through, and only one that reads: a COPY or ATTACH could write anywhere.

    Raises:
        BookError: it is something else.
    """
    statements = duckdb.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        msg = "Only one query can be asked at a time, and only one that reads: SELECT, FROM, WITH, SHOW or DESCRIBE."
        raise BookError(msg)


def frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """A relation's rows, where Polars has no type for a column in the nearest one that it has."""
    as_text = [f"{name(c)}::VARCHAR AS {name(c)}" if "INTERVAL" in str(t) else name(c) for c, t in _columns(relation)]
    rows = relation.project(", ".join(as_text)).pl() if any("VARCHAR AS" in c for c in as_text) else relation.pl()
    wide = [c for (_, t), c in zip(_columns(relation), rows.columns, strict=True) if str(t) == "HUGEINT"]
    return rows.with_columns(pl.col(wide).cast(pl.Int128))


def _columns(relation: duckdb.DuckDBPyRelation) -> list[tuple[str, object]]:
    return list(zip(relation.columns, relation.types, strict=True))


def sentence(error: Exception) -> str:
    """What DuckDB says, without the excerpt of the query that it points into."""
    return " ".join(re.split(r"\s*LINE \d+:", str(error))[0].split())


def types(connection: duckdb.DuckDBPyConnection, frame: pl.DataFrame) -> dict[str, str]:
    """The SQL types of a frame's columns."""
    empty = frame.clear()
    connection.register("_types", _arrow(empty))
    try:
        described = connection.execute("DESCRIBE SELECT * FROM _types").fetchall()
    finally:
        connection.unregister("_types")
    return {row[0]: row[1] for row in described}


def one(cursor: duckdb.DuckDBPyConnection, query: str, values: Sequence[object] = ()) -> tuple[Any, ...]:
    """The first row of a query that must have one."""
    row = cursor.execute(query, list(values)).fetchone()
    if row is None:
        msg = "The book's catalog lacks its head: it was not made by billfold, or it is damaged."
        raise BookError(msg)
    return tuple(row)
