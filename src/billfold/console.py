"""Rows on paper: tables, blocks, CSV, JSON. Nothing here knows what the rows mean."""

from __future__ import annotations

import io
import json
import math
import sys
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from billfold.errors import BillfoldError
from billfold.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SHOWN_ROWS: Final = 200
_NO_LIMIT: Final = 1_000_000
_FORMULA: Final = r"^\s*[=+\-@\t\r]"
_NUMBER: Final = r"^[+\-]?\d+(\.\d+)?$"
_NARROW: Final = 3
"""Tables of so few columns are folded rather than turned into blocks."""


def console(*, error: bool = False) -> Console:
    """Tables keep their full width when the output is not a terminal; errors go to standard error."""
    stream = sys.stderr if error else sys.stdout
    return Console(highlight=False, stderr=error, width=None if stream.isatty() else 120)


def print_json(document: object) -> None:
    """One JSON document, decimals and dates as text."""
    print_text(json.dumps(document, indent=2, default=_plain, ensure_ascii=False))


def print_text(text: str) -> None:
    """A text as it is."""
    typer.echo(text)


def _plain(value: object) -> object:
    """Decimals, dates and times as text."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _finite(value: Any) -> Any:  # noqa: ANN401 - any value of a row
    """A value without what JSON has no word for: infinities and not-a-number are null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list) else value


def table_of(*columns: str, title: str | None = None, right: Sequence[str] = ()) -> Table:
    """An empty table with these columns; those in `right` hold numbers."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def money(amount: Decimal | str) -> str:
    """An amount with thousands separators and at least two decimals."""
    text = format(Decimal(amount), ",f")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def show_rows(rows: pl.DataFrame, output: str, out: Path | None) -> None:
    """The rows of a query."""
    if output == "table" and out is None:
        _show_table(rows)
        return
    if output == "parquet" and out is None and sys.stdout.isatty():
        msg = "Parquet is not for a terminal: add --out FILE, or send the output to a file."
        raise BillfoldError(msg)
    content = _encoded(rows, output)
    if out is None:
        sys.stdout.buffer.write(content)
        return
    write_whole(out, content)


def _encoded(rows: pl.DataFrame, output: str) -> bytes:
    match output:
        case "json":
            objects = [_finite(row) for row in rows.to_dicts()]
            return (json.dumps(objects, indent=2, default=_plain, ensure_ascii=False) + "\n").encode()
        case "parquet":
            buffer = io.BytesIO()
            rows.write_parquet(buffer)
            return buffer.getvalue()
        case _:
            nested = [c for c, t in rows.schema.items() if t.is_nested()]
            hexed = rows.with_columns(pl.col(pl.Binary).bin.encode("hex"))
            flat = hexed.with_columns(
                pl.Series(
                    c,
                    [
                        None if v is None else json.dumps(v, default=_plain, ensure_ascii=False)
                        for v in rows[c].to_list()
                    ],
                    dtype=pl.String,
                )
                for c in nested
            )
            return harmless(flat).write_csv().encode()


def harmless(rows: pl.DataFrame) -> pl.DataFrame:
    """Texts that a spreadsheet would take for formulas begin with an apostrophe, so that they stay texts."""
    texts = (pl.col(c) for c, t in rows.schema.items() if t == pl.String)
    return rows.with_columns(
        pl.when(text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER))
        .then(pl.concat_str(pl.lit("'"), text))
        .otherwise(text)
        .name.keep()
        for text in texts
    )


def _show_table(rows: pl.DataFrame) -> None:
    """A table, or where it would not fit into the width, a block of lines a row."""
    numeric = [c for c, t in rows.schema.items() if t.is_numeric()]
    table = table_of(*rows.columns, right=numeric)
    shown = rows.head(_SHOWN_ROWS).to_dicts()
    for row in shown:
        table.add_row(*(escape(_cell(v)) for v in row.values()))
    out = console()
    table_or_blocks(out, table, shown)
    if rows.height > _SHOWN_ROWS:
        out.print(f"… {rows.height - _SHOWN_ROWS:,} more rows; --format csv prints all.")


def table_or_blocks(out: Console, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """The table, or where it would not fit into the width, the same rows as blocks."""
    whole = out.options.update(max_width=_NO_LIMIT)
    if Measurement.get(out, whole, table).maximum > out.width and len(table.columns) > _NARROW:
        show_records(out, rows)
    else:
        out.print(table)


def show_records(out: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """A block of lines a row, a line a column."""
    for row in rows:
        width = max(map(len, row))
        for name, value in row.items():
            out.print(f"{name.ljust(width)}  {escape(_cell(value))}", soft_wrap=True)
        out.print()


def _cell(value: object) -> str:
    """A value for people: decimals without idle zeros, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        whole, point, decimals = format(value, "f").partition(".")
        return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}" if point else whole
    return (
        json.dumps(value, default=_plain, ensure_ascii=False) if isinstance(value, dict | list) else str(_plain(value))
    )
