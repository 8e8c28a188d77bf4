"""Commits of several processes and machines come one after the other.

The head decides who wins; but DuckDB was seen to crash while it registered a file and another process committed.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from billfold.book.lake import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from billfold.book.place import Place

_SET: Final = """
    SELECT set_config(name, value, true) FROM (VALUES ('lock_timeout', '60s'), ('tcp_keepalives_idle', '60'),
        ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3')) AS setting (name, value)
"""
"""Settings of the transaction that holds the lock. Nobody waits longer than a minute, and who has waited is too late
anyway, since the head has moved; a machine that has gone loses its lock after 90 seconds."""

_TAKE: Final = "SELECT pg_advisory_xact_lock(hashtext('billfold'), hashtext('{schema}'))::text"


@contextmanager
def alone(connection: duckdb.DuckDBPyConnection, place: Place) -> Iterator[None]:
    """Let only this process commit to the book at a place. The lock goes with the process, however that ends.

    Raises:
        duckdb.Error: another one has held the lock for a minute, or the server can't be asked.
    """
    with _alone_on_server(connection, place) if place.has_server else _alone_in_folder(place):
        yield


@contextmanager
def _alone_on_server(connection: duckdb.DuckDBPyConnection, place: Place) -> Iterator[None]:
    """A transaction of its own holds the lock. Only reading, it does not keep the commit from ending."""
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    try:
        for query in (_SET, _TAKE.format(schema=place.schema)):
            cursor.execute(f"FROM postgres_query('__ducklake_metadata_book', {text(query)})").fetchall()
        yield
    finally:
        with suppress(duckdb.Error):  # the server has gone, and the lock with it
            cursor.execute("ROLLBACK")


@contextmanager
def _alone_in_folder(place: Place) -> Iterator[None]:
    """Where there are no such locks, as on Windows, the head alone decides."""
    try:
        import fcntl  # noqa: PLC0415 - not everywhere
    except ImportError:
        yield
        return
    lock = os.open(Path(place.catalog).with_name(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
