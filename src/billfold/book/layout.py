"""How a book is laid out: its catalog and tables, and the way from older versions to this one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import duckdb

from billfold import failpoints
from billfold.book import lake
from billfold.book.commits import CONTENTS, add_contents, base_rows, digest_of
from billfold.book.lake import name
from billfold.book.place import Place
from billfold.book.server import reason
from billfold.book.turns import alone
from billfold.book.views import make_views, missing_views
from billfold.contracts import TABLES, empty
from billfold.errors import BookError

SCHEMA_VERSION: Final = 5
"""Version of a book's layout; `migrate` brings older books up to it."""


def make_catalog(place: Place) -> None:
    """A new catalog with every table, empty."""
    if not place.has_server:
        _make_file(Path(place.catalog))
    with closing(lake.attach(place, new=True)) as connection:
        _make_tables(connection)


def _make_file(catalog: Path) -> None:
    """A file with write-ahead logging.

    It lets readers in other processes go on while a commit is written, and makes a commit fail whose transaction began
    before another one ended.
    """
    with closing(sqlite3.connect(catalog)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
    catalog.chmod(0o600)


def _make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("BEGIN")
    connection.execute("CREATE SCHEMA billfold")
    # Rows kept in the catalog instead of in files, or deleted there, would not show in the list of files.
    connection.execute("CALL book.set_option('data_inlining_row_limit', 0, schema => 'main')")
    connection.execute("CREATE TABLE billfold.head (version BIGINT, schema_version BIGINT, digest VARCHAR)")
    connection.execute("CREATE TABLE billfold.counters (name VARCHAR, value BIGINT)")
    connection.execute("INSERT INTO billfold.head VALUES (0, ?, '')", [SCHEMA_VERSION])
    _make_contents(connection)
    for table in TABLES:
        connection.execute(_table_ddl(connection, table))
    make_views(connection)
    connection.execute("CALL book.set_commit_message('billfold', 'init')")
    connection.execute("COMMIT")


def _table_ddl(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    declared = lake.types(connection, empty(TABLES[table]))
    return f"CREATE TABLE book.main.{name(table)} ({', '.join(f'{name(c)} {t}' for c, t in declared.items())})"


def migrate(folder: Path) -> list[str]:
    """Bring a book's layout to this version; returns what was done, a sentence each.

    Added tables and columns are read off the contracts; version 2 also remembers how far charges were billed, and
    version 3 records what every commit holds, beginning with what is there now; version 4 has orders, version 5 invoice
    schedules. Views are made anew, whatever the version: they hold nothing, and this version's are the ones described.
    Dying in between does no harm: the book stays at its old version, and the command can be given again.

    Raises:
        BookError: there is no book, it is newer, it has drafts of an older version, or the catalog refuses.
    """
    place = Place.of(folder)
    try:
        connection = lake.attach(place)
    except duckdb.Error as e:
        msg = f"The book in {folder} can't be migrated: {reason(e)}."
        raise BookError(msg) from e
    try:
        with alone(connection, place):
            found = lake.one(connection, "SELECT schema_version FROM book.billfold.head")[0]
            if found > SCHEMA_VERSION:
                msg = f"The book in {folder} has the newer version {found}: upgrade billfold."
                raise BookError(msg)
            done = [*_missing_tables(connection), *_missing_columns(connection)]
            if any(said.endswith(" charge_progress") for said, _ in done):
                done += _progress_of_items(connection, folder)
            done += [_posted_once(said) for said, _ in done if said.endswith("s.posting")]
            views = [f"added the view {view}" for view in missing_views(connection)]
            connection.execute("BEGIN")
            for _, statement in done:
                connection.execute(statement)
            make_views(connection)
            if not connection.execute("SHOW TABLES FROM book.billfold").pl()["name"].is_in(["contents"]).any():
                _make_contents(connection)
            connection.execute("COMMIT")
            failpoints.reached("migrate.between")
            connection.execute("BEGIN")
            _begin_chains(connection)
            connection.execute(
                "UPDATE book.billfold.head SET schema_version = ?, version = version + 1", [SCHEMA_VERSION]
            )
            connection.execute("COMMIT")
    except duckdb.Error as e:
        msg = f"The book in {folder} can't be migrated: {lake.sentence(e)}"
        raise BookError(msg) from e
    finally:
        connection.close()
    return [*(said for said, _ in done), *views]


def _make_contents(connection: duckdb.DuckDBPyConnection) -> None:
    """The record of what every commit holds; its rows stay in the catalog, however many a commit has."""
    connection.execute("CALL book.set_option('data_inlining_row_limit', 1000)")
    columns = ", ".join(f"{column} {sql_type}" for column, sql_type in CONTENTS.items())
    connection.execute(f"CREATE TABLE book.billfold.contents ({columns})")


def _begin_chains(connection: duckdb.DuckDBPyConnection) -> None:
    """Where nothing is recorded yet, the chains of hashes begin with the tables as they are."""
    if lake.one(connection, "SELECT count(*) FROM book.billfold.contents")[0]:
        return
    version = lake.one(connection, "SELECT version + 1 FROM book.billfold.head")[0]
    snapshot_id = lake.one(connection, "FROM ducklake_current_snapshot('book')")[0]
    rows = base_rows(connection, version, snapshot_id)
    add_contents(connection, rows)
    digest = digest_of({str(row[3]): str(row[-1]) for row in rows})
    connection.execute("UPDATE book.billfold.head SET digest = ?", [digest])


def _posted_once(added: str) -> tuple[str, str]:
    """Documents that are final already were made so by their run's first posting."""
    table = added.removeprefix("added the column ").removesuffix(".posting")
    return f"numbered the postings of {table}", f"UPDATE {name(table)} SET posting = 1 WHERE status = 'Posted'"  # noqa: S608 - quoted


def _missing_tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    there = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    return [(f"added the table {t}", _table_ddl(connection, t)) for t in TABLES if t not in there]


def _missing_columns(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    there = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    done = []
    for table in (t for t in TABLES if t in there):
        known = {row[0] for row in connection.execute(f"DESCRIBE {name(table)}").fetchall()}
        for column, sql_type in lake.types(connection, empty(TABLES[table])).items():
            if column not in known:
                statement = f"ALTER TABLE {name(table)} ADD COLUMN {name(column)} {sql_type}"
                done.append((f"added the column {table}.{column}", statement))
    return done


def _progress_of_items(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[tuple[str, str]]:
    """How far charges were billed, summed up from the items of documents that count: older versions credited nothing.

    Raises:
        BookError: a run has drafts. Canceling it later would need the progress from before it, which nobody kept.
    """
    if "bill_runs" in {row[0] for row in connection.execute("SHOW TABLES").fetchall()}:
        drafts = connection.execute("SELECT min(bill_run_number) FROM bill_runs WHERE status = 'Completed'").fetchone()
        if drafts and drafts[0]:
            msg = f"The book in {folder} has drafts ({drafts[0]}): post or cancel them with the version that made them."
            raise BookError(msg)
    counting = " UNION ALL ".join(
        f"SELECT charge_number, segment, service_end_date, bill_run_number FROM {kind}_items "  # noqa: S608 - constants
        f"JOIN {kind}s USING ({kind}_id) WHERE status <> 'Canceled' AND charge_number IS NOT NULL"
        for kind in ("invoice", "credit_memo")
    )
    progress = (
        "INSERT INTO charge_progress BY NAME SELECT charge_number, segment, price, quantity, tiers, "  # noqa: S608
        "max(service_end_date) + 1 AS charged_through_date, max(bill_run_number) AS bill_run_number "
        f"FROM ({counting}) JOIN rate_plan_charges USING (charge_number, segment) GROUP BY ALL"
    )
    review = (
        "INSERT INTO charges_to_review SELECT charge_number, segment FROM rate_plan_charges "
        "WHERE charge_model <> 'DiscountPercentage'"
    )
    return [("summed up how far charges were billed", progress), ("marked all charges for review", review)]
