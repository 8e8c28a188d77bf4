"""Cells in the type that a column has: strictly from text, without loss from other types. What does not fit is null."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.intake.json_lines import NOT_TEXT

if TYPE_CHECKING:
    from billfold.contracts import Column

_EARLIEST: Final = date(1900, 1, 1)
_BELOW_64_BITS: Final = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)
_WORDS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SAFE: Final = 10.0
"""Casting a number to a decimal that can't hold it may raise for the whole column: such cells are taken out before."""


def typed(cells: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Cells of any type in `dtype`; the very same series if all of them fit as they are."""
    if cells.dtype == dtype:
        parsed = without(cells, cells.str.contains(NOT_TEXT, literal=True)) if isinstance(dtype, pl.String) else cells
    elif _is_wider(dtype, cells.dtype):
        parsed = cells.cast(dtype)
    elif dtype.is_nested() or isinstance(dtype, pl.Binary):
        parsed = _nothing(cells, dtype)
    elif cells.dtype == pl.String:
        parsed = cells.to_frame("c").select(_from_text(pl.col("c"), dtype))["c"]
    elif isinstance(dtype, pl.String):
        parsed = _as_text(cells)
    else:
        parsed = _without_loss(cells, dtype)
    return without(parsed, parsed < _EARLIEST) if isinstance(dtype, pl.Date) else parsed


def without(cells: pl.Series, bad: pl.Series) -> pl.Series:
    """Cells without the bad ones; the very same series if there are none, as nearly always."""
    return cells.set(bad, None) if bad.any() else cells


def _is_wider(dtype: pl.DataType, narrow: pl.DataType) -> bool:
    """Whether every value of a type has a place in another one, so that none need be looked at."""
    if isinstance(dtype, pl.Decimal) and isinstance(narrow, pl.Decimal):
        return dtype.scale >= narrow.scale and dtype.precision - dtype.scale >= narrow.precision - narrow.scale
    return isinstance(dtype, pl.Int64) and isinstance(narrow, _BELOW_64_BITS)


def spelled(cells: pl.Series, column: Column) -> pl.Series:
    """Texts of an enumerated column in the book's spelling, each read once; what is no text is null."""
    other = {v: _spelled(v, column) for v in cells.unique().drop_nulls() if v not in column.values}
    return cells.replace(other) if other else cells


def _spelled(text: str, column: Column) -> str | None:
    return None if NOT_TEXT in text else column.spelling(text)


def _from_text(cell: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Text read strictly: no thousands separators, no exponents, no other date order."""
    match dtype:
        case pl.Decimal():
            parsed = _decimal(cell, dtype)
        case pl.Boolean():
            parsed = cell.str.to_lowercase().replace_strict(_WORDS, default=None, return_dtype=dtype)
        case pl.Date():
            parsed = pl.when(cell.str.contains(r"^\d{4}-\d{2}-\d{2}$")).then(cell).str.to_date("%Y-%m-%d", strict=False)
        case pl.Datetime():
            parsed = _moment(cell, dtype)
        case pl.Time():
            parsed = cell.str.to_time(strict=False)
        case _ if dtype.is_integer():
            parsed = pl.when(cell.str.contains(r"^[+-]?\d{1,20}$")).then(cell).cast(dtype, strict=False)
        case _:
            parsed = cell.cast(dtype, strict=False)
    return parsed


def _decimal(cell: pl.Expr, dtype: pl.Decimal) -> pl.Expr:
    digits, scale = dtype.precision - dtype.scale, dtype.scale
    fits = cell.str.contains(rf"^[+-]?(\d{{1,{digits}}}(\.\d{{0,{scale}}})?|\.\d{{1,{max(scale, 1)}}})$")
    return pl.when(fits).then(cell).str.to_decimal(scale=scale).cast(dtype)


def _moment(cell: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    """ISO 8601, with an offset where the column has a zone and without one where it has none."""
    day_and_time = cell.str.replace(" ", "T").str.replace("Z$", "+00:00")
    pattern = "%Y-%m-%dT%H:%M:%S%.f" + ("%:z" if dtype.time_zone else "")
    return day_and_time.str.to_datetime(pattern, time_unit=dtype.time_unit, time_zone=dtype.time_zone, strict=False)


def _as_text(cells: pl.Series) -> pl.Series:
    """Nested cells as JSON, whole numbers in digits, bytes as UTF-8. Other cells have no certain text, so none."""
    if cells.dtype.is_nested():
        said = [None if v is None else json.dumps(v, default=str, ensure_ascii=False) for v in cells.to_list()]
        return pl.Series(cells.name, said, dtype=pl.String)
    if isinstance(cells.dtype, pl.Binary):
        return pl.Series(cells.name, [_decoded(v) for v in cells], dtype=pl.String)
    return cells.cast(pl.String) if cells.dtype.is_integer() else _nothing(cells, pl.String())


def _decoded(cell: bytes | None) -> str | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return None


def _without_loss(cells: pl.Series, dtype: pl.DataType) -> pl.Series:
    """A cast that comes back as it was, cell by cell. Numbers are no dates, and nested cells nothing but themselves."""
    if cells.dtype.is_nested() or (dtype.is_temporal() and not cells.dtype.is_temporal()):
        return _nothing(cells, dtype)
    if isinstance(dtype, pl.Decimal) and cells.dtype.is_numeric():
        limit = _SAFE ** (dtype.precision - dtype.scale)
        cells = cells.set(~(cells.cast(pl.Float64).abs() < limit).fill_null(value=True), None)
    try:
        cast = cells.cast(dtype, strict=False)
        return cast.set(cast.cast(cells.dtype, strict=False).ne_missing(cells), None)
    except pl.exceptions.PolarsError:
        return _nothing(cells, dtype)


def _nothing(cells: pl.Series, dtype: pl.DataType) -> pl.Series:
    return pl.Series(cells.name, [None], dtype=dtype).new_from_index(0, cells.len())
