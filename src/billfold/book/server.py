"""What is particular about a catalog that PostgreSQL keeps: how it is made, and what is said when it can't be had."""

from __future__ import annotations

import re
import uuid
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import duckdb

from billfold import failpoints
from billfold.book import lake
from billfold.book.lake import name, text
from billfold.errors import BookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from billfold.book.place import Place

_ABSENT: Final = ("creating a new DuckLake is explicitly disabled", "does not exist - and creating")
_NOISE: Final = re.compile(
    r'^.*Unable to connect to Postgres at ".*?": |connection to server .*? failed: |FATAL: +'
    r'|^.*Failed to execute query ".*": '
)
"""What the messages of DuckDB and PostgreSQL's library have before what is to be said."""


def make(place: Place, build: Callable[[Place], None]) -> None:
    """Make a catalog in a schema that nobody knows yet, then give that its name: it is there whole or not at all.

    Raises:
        duckdb.Error: the server can't be reached, or refuses, as when the schema is there already.
    """
    scratch = replace(place, schema=f"billfold_init_{uuid.uuid4().hex}")
    with closing(lake.server(place)) as connection:
        try:
            build(scratch)
            failpoints.reached("rename.before")
            _tell(connection, f"ALTER SCHEMA {name(scratch.schema)} RENAME TO {name(place.schema)}")
            failpoints.reached("rename.after")
        except Exception:
            with suppress(duckdb.Error):  # the server has gone; nobody knows that schema
                _tell(connection, f"DROP SCHEMA IF EXISTS {name(scratch.schema)} CASCADE")
            raise


def refuse_taken(place: Place) -> None:
    """See that no book and nothing else is in a place's schema.

    Raises:
        BookError: the schema is there already.
        duckdb.Error: the server can't be reached.
    """
    query = f"SELECT 1 FROM pg_namespace WHERE nspname = {text(place.schema)}"  # noqa: S608 - quoted
    with closing(lake.server(place)) as connection:
        there = connection.execute(f"FROM postgres_query('server', {text(query)})").fetchall()
    if there:
        msg = (
            f"The schema {place.schema} is there already in {place.catalog}: choose another with --schema, or use the "
            "book in it from a folder with its book.toml."
        )
        raise BookError(msg)


def _tell(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    connection.execute(f"CALL postgres_execute('server', {text(statement)})")


def unopened(place: Place, error: Exception) -> str:
    """Why the catalog of a book can't be opened, and what to do."""
    said = " ".join(str(error).split())
    if any(absent in said for absent in _ABSENT):
        return f"There is no book in the {place.shown}: `billfold init` makes one, and a book.toml names another."
    return f"The catalog {place.catalog} can't be opened: {reason(error)}."


def has_refused(error: Exception) -> bool:
    """Whether the server itself has refused a transaction, and so made none of it. A lost connection says less."""
    said = reason(error)
    return said.startswith("ERROR:") and "connection" not in said


def reason(error: Exception) -> str:
    """What the server says, or the way to it."""
    said = _NOISE.sub("", _NOISE.sub("", _NOISE.sub("", lake.sentence(error))))
    return said.split(" Is the server running")[0][:300].rstrip(".")
