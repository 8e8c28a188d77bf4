"""Reading input files: CSV, Parquet and JSON lines, as frames whose standard columns may still be text."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from billfold.contracts import INPUTS
from billfold.errors import BillfoldError
from billfold.names import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NOT_TEXT: Final = "\0"
"""Before the JSON of objects, lists and truth values in a text cell: no text has it, so text columns refuse them."""

_LONGEST_HEADING: Final = 1 << 20
_EXPONENT: Final = 30
"""Custom decimals from JSON stay below ten to this power, and above its reciprocal."""


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


def read(path: Path) -> pl.DataFrame:
    """A file's rows. CSV cells are text, unquoted empty ones null; JSON numbers keep every digit.

    Raises:
        BillfoldError: the file is missing, empty, not of its kind, or not UTF-8; the message names it.
    """
    try:
        if path.stat().st_size == 0:
            msg = f"{path} is empty: it needs at least a line of column names."
            raise BillfoldError(msg)
        return READERS[path.suffix.lower()](path)
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


def _csv(path: Path) -> pl.DataFrame:
    with path.open("rb") as file:
        first = file.read(_LONGEST_HEADING)
    line = re.split(rb"[\r\n]", first, maxsplit=1)
    heads = _heads(path, line[0])
    refuse_doubles(path, heads)
    if len(line) == 1:  # names alone are a table without rows, which Arrow would call an empty file
        return pl.DataFrame(schema=dict.fromkeys(heads, pl.String))
    as_text = pacsv.ConvertOptions(
        column_types={h: pa.string() for h in heads},
        strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""],
    )  # fmt: skip
    parsing = pacsv.ParseOptions(newlines_in_values=True)
    return pl.DataFrame(pacsv.read_csv(path, pacsv.ReadOptions(block_size=1 << 24), parsing, as_text))


def _heads(path: Path, line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8-sig")]), [])
    except csv.Error as e:
        msg = f"{path}: the line of column names can't be read: {e}."
        raise BillfoldError(msg) from e


def _parquet(path: Path) -> pl.DataFrame:
    frame = pl.read_parquet(path)
    for column, dtype in frame.schema.items():
        if isinstance(dtype, pl.Duration | pl.Object):
            msg = f"{path}: the column {column} has the type {dtype}, which a book can't keep: write it as text."
            raise BillfoldError(msg)
    return frame.with_columns(pl.col(pl.Categorical, pl.Enum, pl.Null).cast(pl.String))


def _json_lines(path: Path) -> pl.DataFrame:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                rows.append(_json_object(path, number, line))
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame([_series(path, name, [row.get(name) for row in rows]) for name in names])


def _json_object(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_pairs)
    except (ValueError, RecursionError, ArithmeticError) as e:
        said = "a number is too large" if isinstance(e, ArithmeticError) else e
        msg = f"{path}, line {number}: not a JSON object ({said})."
        raise BillfoldError(msg) from e
    if not isinstance(row, dict):
        msg = f"{path}, line {number}: each line must be one JSON object."
        raise BillfoldError(msg)
    return row


def _refuse_constant(constant: str) -> None:
    msg = f"{constant} is not a number"
    raise ValueError(msg)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        msg = "a name occurs twice"
        raise ValueError(msg)
    return row


def _series(path: Path, name: str, values: list[Any]) -> pl.Series:
    """Standard columns as text (the contract parses them); custom fields in their own type."""
    kinds = {type(v) for v in values if v is not None}
    try:
        if name.endswith("__c") and kinds in ({bool}, {int}, {Decimal}, {int, Decimal}):
            return _typed_series(name, values, kinds)
        if name.endswith("__c") and len(kinds) > 1 and not kinds <= {dict, list}:
            msg = f"{path}: the values of {name} have several types ({', '.join(sorted(k.__name__ for k in kinds))})."
            raise BillfoldError(msg)
        texts = pl.Series(name, [_text(v) for v in values], dtype=pl.String)
        return texts.str.strip_prefix(NOT_TEXT) if name.endswith("__c") else texts
    except (UnicodeEncodeError, OverflowError, TypeError, RuntimeError, pl.exceptions.PolarsError) as e:
        said = "half a character" if isinstance(e, UnicodeEncodeError) else "a number that no column can hold"
        msg = f"{path}: the column {name} has {said}."
        raise BillfoldError(msg) from e


def _typed_series(name: str, values: list[Any], kinds: set[type]) -> pl.Series:
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {int}:
        return pl.Series(name, values, dtype=pl.Int64)
    numbers = [None if v is None else Decimal(v) for v in values]
    if any(n is not None and not -_EXPONENT < n.adjusted() < _EXPONENT for n in numbers if n):
        raise OverflowError
    return pl.Series(name, numbers)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    said = json.dumps(value, default=str, ensure_ascii=False)
    return said if isinstance(value, int) and not isinstance(value, bool) else NOT_TEXT + said


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


READERS: Final[Mapping[str, Callable[[Path], pl.DataFrame]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".jsonl": _json_lines,
}
