"""A large run's inputs, dealt into parts: files with the rows that a range of accounts needs, and no others.

A part is made from these files as a whole run is made from the book. DuckDB joins and splits the tables once, within a
budget of memory, so that no part has to go through everyone's rows.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb

from billfold.book import lake
from billfold.book.lake import name, text
from billfold.book.server import reason
from billfold.errors import BookError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import polars as pl

    from billfold.book.state import State

OTHERS: Final = -1
"""The part of charges that wait for a review by a run for other accounts."""

_HOW: Final = """
FORMAT parquet, COMPRESSION snappy, PARTITION_BY (part), WRITE_BLOOM_FILTER false, DICTIONARY_SIZE_LIMIT 2000
"""

_FLUSH: Final = 250_000
"""Rows that are held for each part before they are written."""

_MAPS: Final = """
CREATE TEMP TABLE owners AS
SELECT subscription_number, s.account_number AS subscriber, status IN ('Draft', 'Expired') AS asleep,
    coalesce(invoice_owner_account_number, s.account_number) AS owner
FROM subscriptions s;

CREATE TEMP TABLE weights AS
SELECT owner AS account_number, sum(weight)::BIGINT AS weight FROM (
    SELECT owner, weight FROM owners JOIN (
        SELECT subscription_number, count(*) AS weight FROM rate_plan_charges GROUP BY ALL
    ) USING (subscription_number)
    UNION ALL
    SELECT coalesce(invoice_owner_account_number, account_number), count(*) FROM order_line_items GROUP BY ALL
) GROUP BY ALL;

CREATE TEMP TABLE parts AS
SELECT account_number, dense_rank() OVER (ORDER BY place) - 1 AS part FROM (
    SELECT account_number, (sum(weight) OVER (ORDER BY account_number) - 1) // $size AS place FROM (
        SELECT account_number, coalesce(weight, 0) + 1 AS weight FROM chosen LEFT JOIN weights USING (account_number)
    )
);

CREATE TEMP TABLE own AS
SELECT o.subscription_number, subscriber, asleep, part,
    part IS NULL AND (asleep OR coalesce(status <> 'Active', false)) AS dormant
FROM owners o LEFT JOIN parts p ON p.account_number = owner
LEFT JOIN (SELECT account_number AS owner, status FROM accounts) USING (owner);

CREATE TEMP TABLE concerned AS
SELECT account_number, part FROM parts UNION SELECT subscriber, part FROM own WHERE part IS NOT NULL;

CREATE TEMP TABLE near AS
SELECT subscription_number, part FROM own WHERE part IS NOT NULL
UNION ALL
SELECT subscription_number, c.part FROM own JOIN concerned c ON c.account_number = subscriber
WHERE c.part IS DISTINCT FROM own.part;
"""

_AWAKE: Final = """
CREATE TEMP TABLE in_pieces AS
SELECT DISTINCT charge_number FROM rate_plan_charges WHERE segment > 1;

CREATE TEMP TABLE awake_in_pieces AS
SELECT charge_number FROM charges_to_review WHERE charge_number IN (FROM in_pieces)
UNION
SELECT charge_number FROM charge_progress WHERE next_due_date <= $target AND charge_number IN (FROM in_pieces);
"""
"""Segments of one charge are billed together: if one is looked at, all are."""

_CHARGES: Final = """
SELECT $columns, p.charged_through_date AS billed_through, p.price AS billed_price, p.quantity AS billed_quantity,
    p.tiers AS billed_tiers, p.bill_run_number AS billed_by, $reviewed AS is_reviewed,
    c.rowid AS place, coalesce(part, $others) AS part
FROM rate_plan_charges c
JOIN own s USING (subscription_number)
LEFT JOIN charge_progress p USING (charge_number, segment)
$reviews $also
WHERE charge_model <> 'DiscountPercentage' AND CASE
    WHEN part IS NULL THEN $reviewed AND NOT dormant
    WHEN asleep THEN false
    ELSE $reviewed OR p.next_due_date <= $until OR c.charge_number IN (FROM awake_in_pieces)
END
"""
_SOME: Final = {
    "$reviews": "LEFT JOIN charges_to_review r USING (charge_number, segment)",
    "$reviewed": "(r.charge_number IS NOT NULL)",
}
_ALL: Final = {"$reviews": "", "$reviewed": "true"}
_LATER: Final = {
    "$also": "LEFT JOIN also a ON a.subscription_number = c.subscription_number AND a.account_number = s.subscriber",
    "$until": "greatest($target, a.until)",
}
_SAME_DAY: Final = {"$also": "", "$until": "$target"}
_UNSEEN: Final = """
SELECT (SELECT count(*) FROM charges_to_review)
    = (SELECT count(*) FROM rate_plan_charges WHERE charge_model <> 'DiscountPercentage')
"""
"""Whether all charges are to be reviewed, as in a new book: then nothing need be looked up to know which."""

_SEEKING: Final = """
SELECT EXISTS (FROM late_usage) OR EXISTS (FROM usage WHERE charge_number IS NULL AND start_date <= $target)
"""
"""Whether usage came late or names no charge: only such records have to be compared with all usage charges."""

_TABLES: Final = {
    "charges": _CHARGES,
    "accounts": """
        SELECT a.*, p.part IS NOT NULL AS is_billed, a.rowid AS place, n.part
        FROM (
            FROM concerned UNION
            SELECT o.account_number, part FROM order_line_items o JOIN parts p
                ON p.account_number = coalesce(o.invoice_owner_account_number, o.account_number)
        ) n JOIN accounts a USING (account_number)
        LEFT JOIN parts p ON p.account_number = n.account_number AND p.part = n.part
    """,
    "subscriptions": "SELECT s.*, s.rowid AS place, part FROM subscriptions s JOIN near USING (subscription_number)",
    "rate_plan_charges": """
        SELECT c.*, c.rowid AS place, part FROM rate_plan_charges c JOIN near USING (subscription_number)
        WHERE charge_model = 'DiscountPercentage' OR (charge_type = 'Usage' AND $seeking)
    """,
    "order_line_items": """
        SELECT o.*, o.rowid AS place, part FROM order_line_items o JOIN parts p
            ON p.account_number = coalesce(o.invoice_owner_account_number, o.account_number)
        WHERE item_state IN ('Executing', 'Booked', 'SentToBilling')
    """,
    "billed_order_lines": """
        SELECT DISTINCT o.order_number, o.item_number, part FROM order_line_items o JOIN parts p
            ON p.account_number = coalesce(o.invoice_owner_account_number, o.account_number)
        JOIN (
            SELECT order_number, item_number FROM invoice_items JOIN invoices USING (invoice_id)
            WHERE invoice_items.source_type = 'OrderLineItem' AND status <> 'Canceled'
            UNION ALL
            SELECT order_number, item_number FROM credit_memo_items JOIN credit_memos USING (credit_memo_id)
            WHERE credit_memo_items.source_type = 'OrderLineItem' AND status <> 'Canceled'
        ) USING (order_number, item_number)
    """,
    "usage": """
        SELECT u.*, part FROM usage u JOIN (
            SELECT DISTINCT charge_number, part FROM rate_plan_charges JOIN own USING (subscription_number)
            WHERE charge_type = 'Usage' AND part IS NOT NULL
        ) USING (charge_number)
        WHERE start_date BETWEEN $first AND $target
        UNION ALL
        SELECT u.*, part FROM usage u JOIN concerned c ON c.account_number = u.account_number
        WHERE start_date BETWEEN $first AND $target AND charge_number IS NULL
    """,
}  # fmt: skip
"""Every table that is dealt, as a query with the number of the `part` that needs a row.

`place` is a row's in the book, by which a part is put in order again: DuckDB gives rows as its threads come to them.
"""

_FIRST_USE: Final = """
SELECT min(coalesce(
    p.charged_through_date, c.charged_through_date,
    least(c.effective_start_date, contract_effective_date, service_activation_date, customer_acceptance_date)
)) FROM rate_plan_charges c JOIN subscriptions USING (subscription_number)
LEFT JOIN charge_progress p USING (charge_number, segment)
WHERE charge_type = 'Usage'
"""


@dataclass(frozen=True)
class Wanted:
    """What is dealt: accounts that the run bills, subscriptions that it bills up to a later day, columns of charges."""

    accounts: pl.DataFrame
    also: pl.DataFrame
    columns: Sequence[str]
    target: date


@dataclass(frozen=True)
class Dealt:
    """How many parts there are, and the files of each table and part.

    `first_use` is the first day whose usage is in them; None where no charge is for usage.
    """

    parts: int
    files: Mapping[tuple[str, int], tuple[str, ...]]
    first_use: date | None


def deal(state: State, wanted: Wanted, size: int, folder: str, memory: int) -> Dealt:
    """Deal the tables of a state of the book into parts of about `size` charges and order lines, by account number.

    The files go to `folder`, a path or an address of the book's store; `memory` is in bytes.

    Raises:
        BookError: there is no room for them, or the tables can't be read.
    """
    try:
        return _dealt(state, wanted, size, folder, memory)
    except duckdb.Error as e:
        msg = f"The accounts can't be dealt into parts, nothing was changed: {reason(e)}"
        raise BookError(msg) from e


def _dealt(state: State, wanted: Wanted, size: int, folder: str, memory: int) -> Dealt:
    at, snapshot_id = state.book.place, state.head.snapshot_id
    with (
        tempfile.TemporaryDirectory(prefix="billfold-") as spill,
        closing(lake.attach(at, read_only=True, snapshot_id=snapshot_id)) as connection,
    ):
        _limit(connection, spill if at.in_s3 else f"{folder}/spilled", memory)
        connection.register("chosen", wanted.accounts.to_arrow())
        connection.register("also", wanted.also.to_arrow())
        given = {"$size": str(size), "$others": str(OTHERS), "$target": _day(wanted.target)}
        _do(connection, _filled(_MAPS + _AWAKE, given))
        first = lake.one(connection, _FIRST_USE)[0]
        given |= {"$columns": ", ".join(f"c.{name(c)}" for c in wanted.columns), "$first": _day(first or wanted.target)}
        given |= _ALL if lake.one(connection, _UNSEEN)[0] else _SOME
        given |= {"$seeking": str(lake.one(connection, _filled(_SEEKING, given))[0])}
        given = (_LATER if wanted.also.height else _SAME_DAY) | given
        for table, query in _TABLES.items():
            _copy(connection, _filled(query, given), f"{folder}/{table}")
        parts = lake.one(connection, "SELECT coalesce(max(part) + 1, 0) FROM parts")[0]
        return Dealt(int(parts), _files(connection, folder), first)


def _files(connection: duckdb.DuckDBPyConnection, folder: str) -> dict[tuple[str, int], tuple[str, ...]]:
    """The files of each table and part, in order."""
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for (file,) in connection.execute(f"FROM glob({text(f'{folder}/*/part=*/*.parquet')}) ORDER BY file").fetchall():
        table, part = file.removeprefix(f"{folder}/").split("/")[:2]
        key = table, int(part.removeprefix("part="))
        found[key] = (*found.get(key, ()), file)
    return found


def _day(day: date) -> str:
    return f"DATE {text(day.isoformat())}"


def _limit(connection: duckdb.DuckDBPyConnection, spill: str, memory: int) -> None:
    """Spilled rows are read and written in turns, which no store allows."""
    connection.execute(f"SET memory_limit = '{memory // 2**20}MiB'; SET preserve_insertion_order = false")
    connection.execute(f"SET temp_directory = {text(spill)}")
    connection.execute(f"SET partitioned_write_flush_threshold = {_FLUSH}")


def _do(connection: duckdb.DuckDBPyConnection, statements: str) -> None:
    for statement in statements.split(";\n"):
        if statement.strip():
            connection.execute(statement)


def _copy(connection: duckdb.DuckDBPyConnection, query: str, place: str) -> None:
    how = (
        "FORMAT parquet, COMPRESSION snappy, PARTITION_BY (part), WRITE_BLOOM_FILTER false, DICTIONARY_SIZE_LIMIT 2000"
    )
    connection.execute(f"COPY ({query}) TO {text(place)} ({how})")


def _filled(query: str, given: Mapping[str, str]) -> str:
    """A query with what stands for each of its places; later ones may be in what stands for earlier ones."""
    for place, words in given.items():
        query = query.replace(place, words)
    return query
