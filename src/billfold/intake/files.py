"""Reading input files (CSV, Parquet, JSON lines) part by part, as frames whose standard columns may still be text."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from billfold.contracts import INPUTS
from billfold.errors import BillfoldError
from billfold.intake.json_lines import json_lines
from billfold.names import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROWS: Final = 262_144
"""Rows that are read and checked at a time, for those kinds of files that can be cut by rows."""

_OBJECTS: Final = 8
"""How many times the memory of a row a JSON object takes."""

_BLOCK: Final = 1 << 24
"""Bytes of CSV that are read at a time; no row may be longer."""

_LONGEST_HEADING: Final = 1 << 20


def sources(arguments: Sequence[str]) -> dict[str, Path]:
    """The file of each table, parents first, from arguments that are folders or `table=path`.

    Raises:
        BillfoldError: a file is missing, names no table, or a table has two files.
    """
    found: dict[str, Path] = {}
    for table, path in (pair for argument in arguments for pair in _expand(argument)):
        _refuse_unknown(table, path)
        if table in found:
            msg = f"{found[table]} and {path} both hold {table}: load one after the other."
            raise BillfoldError(msg)
        found[table] = path
        _refuse_unreadable(path)
    return {table: found[table] for table in INPUTS if table in found}


def _expand(argument: str) -> list[tuple[str, Path]]:
    try:
        return _found(argument)
    except (OSError, ValueError) as e:
        msg = f"{argument[:200]!r} is no path that can be read: {e}."
        raise BillfoldError(msg) from e


def _found(argument: str) -> list[tuple[str, Path]]:
    if Path(argument).is_dir():
        files = sorted(p for p in Path(argument).iterdir() if p.suffix.lower() in READERS)
        if not files:
            msg = f"{argument} holds no .csv, .parquet or .jsonl file, so there is nothing to load."
            raise BillfoldError(msg)
        return [(p.stem, p) for p in files]
    table, equals, path = argument.partition("=")
    if not equals:
        missing = not Path(argument).exists()
        what = "There is no folder" if missing else "Which table is"
        msg = f"{what} {argument}{'' if missing else '?'}: give a folder, or table=FILE such as accounts=new.csv."
        raise BillfoldError(msg)
    return [(table, Path(path))]


def _refuse_unknown(table: str, path: Path) -> None:
    if table not in INPUTS:
        hint = f"they are {', '.join(INPUTS)}; a file of another name is given as table=FILE"
        msg = f"{path}: {table!r} is not an input table{nearest(table, INPUTS)}; {hint}."
        raise BillfoldError(msg)
    if path.suffix.lower() not in READERS:
        msg = f"{path}: the name of a file of {table} must end in .csv, .parquet or .jsonl."
        raise BillfoldError(msg)


def _refuse_unreadable(path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError as e:
        msg = f"There is no file {path}."
        raise BillfoldError(msg) from e
    except (OSError, ValueError) as e:
        said = e.strerror if isinstance(e, OSError) else e
        msg = f"{str(path)[:200]!r} can't be read: {said}."
        raise BillfoldError(msg) from e


def batches(path: Path) -> Iterator[pl.DataFrame]:
    """A file's rows, so many at a time; at least one frame, which has the columns of a file without rows.

    CSV cells are text, unquoted empty ones null; JSON numbers keep every digit.

    Raises:
        BillfoldError: the file is missing, empty, not of its kind, or not UTF-8; the message names it.
    """
    try:
        if path.stat().st_size == 0:
            msg = f"{path} is empty: it needs at least a line of column names."
            raise BillfoldError(msg)
        yield from READERS[path.suffix.lower()](path)
    except FileNotFoundError as e:
        msg = f"There is no file {path}."
        raise BillfoldError(msg) from e
    except UnicodeDecodeError as e:
        msg = f"{path} is not UTF-8 text (byte {e.start}): save it as UTF-8."
        raise BillfoldError(msg) from e
    except (pa.ArrowInvalid, pl.exceptions.PolarsError, OSError, ValueError) as e:
        said = " ".join(str(e).split())[:200]
        hint = ": save it as UTF-8" if "UTF8" in said else ""
        msg = f"{path} can't be read as {path.suffix.lower()[1:]}: {said}{hint}."
        raise BillfoldError(msg) from e


def _csv(path: Path) -> Iterator[pl.DataFrame]:
    with path.open("rb") as file:
        first = file.read(_LONGEST_HEADING)
    line = re.split(rb"[\r\n]", first, maxsplit=1)
    heads = _heads(path, line[0])
    refuse_doubles(path, heads)
    if len(line) == 1:  # names alone are a table without rows, which Arrow would call an empty file
        yield pl.DataFrame(schema=dict.fromkeys(heads, pl.String))
        return
    as_text = pacsv.ConvertOptions(
        column_types={h: pa.string() for h in heads},
        strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""],
    )  # fmt: skip
    parsing = pacsv.ParseOptions(newlines_in_values=True)
    blocks = pacsv.open_csv(path, pacsv.ReadOptions(block_size=_BLOCK), parsing, as_text)
    yield pl.DataFrame(blocks.schema.empty_table())
    for block in blocks:
        yield pl.DataFrame(block)


def _heads(path: Path, line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8-sig")]), [])
    except csv.Error as e:
        msg = f"{path}: the line of column names can't be read: {e}."
        raise BillfoldError(msg) from e


def _parquet(path: Path) -> Iterator[pl.DataFrame]:
    scanned = pl.scan_parquet(path, glob=False)
    schema = scanned.collect_schema()
    for column, dtype in schema.items():
        if isinstance(dtype, pl.Duration | pl.Object):
            msg = f"{path}: the column {column} has the type {dtype}, which a book can't keep: write it as text."
            raise BillfoldError(msg)
    labels = pl.col(pl.Categorical, pl.Enum, pl.Null).cast(pl.String)
    yield schema.to_frame().with_columns(labels)
    for batch in scanned.collect_batches(chunk_size=ROWS):
        yield batch.rechunk().with_columns(labels)


def _json_lines(path: Path) -> Iterator[pl.DataFrame]:
    return json_lines(path, max(ROWS // _OBJECTS, 1))


def refuse_doubles(path: Path, names: Sequence[str]) -> None:
    """Column names must differ, also without regard to case, since SQL knows no case.

    Raises:
        BillfoldError: two columns have one name.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if list(names).count(name) > 1 or other != name:
            msg = f"{path}: the column {name!r} is there twice{'' if other == name else f' (also as {other!r})'}."
            raise BillfoldError(msg)


READERS: Final[Mapping[str, Callable[[Path], Iterator[pl.DataFrame]]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".jsonl": _json_lines,
}
