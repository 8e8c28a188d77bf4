"""DuckDB as billfold uses it: one connection with a DuckLake attached as `book`.

Nothing here knows what the tables mean. SQL is made from quoted identifiers and quoted literals only.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from billfold.errors import BookError

if TYPE_CHECKING:
    import polars as pl

_EXTENSIONS: Final = ("sqlite_scanner", "ducklake")
CATALOG: Final = "catalog.sqlite"
DATA: Final = "data"


def name(identifier: str) -> str:
    """An identifier, quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str | Path) -> str:
    """A text literal, quoted for SQL."""
    return "'" + str(value).replace("'", "''") + "'"


def attach(folder: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection whose current database is the book in `folder`.

    The data path is given anew each time, so that a book works wherever it was moved to.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET autoinstall_known_extensions = false")
    for extension in _EXTENSIONS:
        _load(connection, extension)
    access = ", READ_ONLY" if read_only else ""
    where = f"DATA_PATH {text(folder / DATA)}, OVERRIDE_DATA_PATH true{access}"
    connection.execute(f"ATTACH {text(f'ducklake:sqlite:{folder / CATALOG}')} AS book ({where})")
    connection.execute("USE book")
    return connection


def settle(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Write where the book is into its catalog, so that a plain ATTACH finds the data of a book that was moved.

    Through DuckDB and not Python's SQLite: two SQLite libraries in one process would undo each other's file locks.
    """
    path = f"{folder / DATA}/"
    metadata = "__ducklake_metadata_book.ducklake_metadata"
    stored = connection.execute(f"SELECT value FROM {metadata} WHERE key = 'data_path'").fetchone()  # noqa: S608 - constant
    if stored != (path,):
        connection.execute(f"UPDATE {metadata} SET value = ? WHERE key = 'data_path'", [path])  # noqa: S608 - constant


def _load(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    """Load an extension from its wheel; only where there is no wheel, let DuckDB install it."""
    path = _wheel_file(extension)
    try:
        if path is None:
            connection.install_extension(extension)
            connection.load_extension(extension)
        else:
            connection.load_extension(str(path))
    except duckdb.Error as e:
        hint = f"install the package duckdb-extension-{extension.replace('_', '-')} {duckdb.__version__}"
        msg = f"DuckDB can't load its extension {extension}: {hint}."
        raise BookError(msg) from e


def _wheel_file(extension: str) -> Path | None:
    with suppress(ImportError):
        package = importlib.import_module(f"duckdb_extension_{extension}")
        for root in package.__path__:
            path = Path(root) / "extensions" / f"v{duckdb.__version__}" / f"{extension}.duckdb_extension"
            if path.exists():
                return path
    return None


def types(connection: duckdb.DuckDBPyConnection, frame: pl.DataFrame) -> dict[str, str]:
    """The SQL types of a frame's columns."""
    empty = frame.clear()
    connection.register("_types", empty.to_arrow())
    try:
        described = connection.execute("DESCRIBE SELECT * FROM _types").fetchall()
    finally:
        connection.unregister("_types")
    return {row[0]: row[1] for row in described}
