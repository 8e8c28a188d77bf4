"""Small input files for tests: one valid row a table, files in every format, and what a book consists of."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.contracts import INPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from billfold.book import Book, Head

Row = dict[str, Any]

_CHARGE: Final = {"charge_type": "Recurring", "charge_model": "FlatFee", "price": "10", "billing_period": "Month"}

KEY: Final[Mapping[str, str]] = {
    "accounts": "account_number",
    "subscriptions": "subscription_number",
    "product_rate_plan_charges": "product_rate_plan_charge_id",
    "rate_plan_charges": "charge_number",
    "usage": "usage_id",
    "orders": "order_number",
    "order_line_items": "item_number",
    "sequence_sets": "name",
    "contacts": "contact",
}
"""The column that tells the rows of `row` apart."""

VALID: Final[Mapping[str, Mapping[str, str]]] = {
    "accounts": {"currency": "USD"},
    "subscriptions": {"account_number": "A-1"},
    "product_rate_plan_charges": {"product_rate_plan_id": "P-1", **_CHARGE},
    "rate_plan_charges": {"subscription_number": "S-1", **_CHARGE},
    "usage": {"account_number": "A-1", "quantity": "1", "start_date": "2024-01-15"},
    "orders": {"account_number": "A-1"},
    "order_line_items": {"order_number": "O-1", "account_number": "A-1", "amount_per_unit": "1"},
    "sequence_sets": {"invoice_prefix": "I", "credit_memo_prefix": "C"},
    "contacts": {"company": "Ray Ltd"},
}
"""What a row must have besides its key."""

SEED: Final[Mapping[str, Sequence[tuple[str, Mapping[str, str]]]]] = {
    "accounts": [("A-1", {}), ("A-2", {"currency": "EUR"})],
    "subscriptions": [("S-1", {})],
    "product_rate_plan_charges": [("PC-1", {})],
    "rate_plan_charges": [("C-1", {})],
    "usage": [("U-1", {})],
    "orders": [("O-1", {})],
    "order_line_items": [("1", {})],
    "sequence_sets": [("Q-1", {})],
    "contacts": [("Ray", {})],
}
"""Rows that a book needs so that every reference of a valid row leads somewhere, and every registry has rows."""


def row(table: str, key: str, **changes: object) -> Row:
    """A valid row of an input table, with changes."""
    return {KEY[table]: key, **VALID[table], **changes}


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as CSV; absent and None cells are empty."""
    out = io.StringIO()
    names = list(dict.fromkeys(name for r in rows for name in r))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def json_lines(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as JSON lines."""
    return "".join(f"{json.dumps(r, ensure_ascii=False)}\n" for r in rows)


def write(path: Path, content: str | bytes | pl.DataFrame) -> Path:
    """A file, with the folders that it needs; text is UTF-8 and its line ends stay as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pl.DataFrame):
        content.write_parquet(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_bytes(content.encode())
    return path


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Rows in the format that the file's name says."""
    match path.suffix:
        case ".csv":
            return write(path, csv_text(rows))
        case ".jsonl":
            return write(path, json_lines(rows))
        case _:
            return write(path, pl.DataFrame(rows))


def seed(folder: Path) -> Path:
    """A folder of CSV files with the rows of `SEED`."""
    for table, rows in SEED.items():
        write_rows(folder / f"{table}.csv", [row(table, key, **changes) for key, changes in rows])
    return folder


def state(book: Book) -> tuple[Head, dict[str, int], list[str]]:
    """What must not differ after a refusal: the head, the counters, and every file of data."""
    data = book.folder / "data"
    files = sorted(str(p.relative_to(data)) for p in data.rglob("*") if p.is_file())
    return book.head(), book.counters(), files


def contents(book: Book) -> dict[str, pl.DataFrame]:
    """The rows of every input table."""
    return {t: book.read(t).collect().sort(KEY[t]) for t in INPUTS}
