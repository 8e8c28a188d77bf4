"""From a file's columns to a contract's: types parsed, spellings set, blanks filled, rules checked.

Faults are collected, never raised one by one: a frame with a row a fault (row, column, value, rule).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pandera.errors
import polars as pl

from billfold.contracts import CUSTOM_NAME, Column, Table, columns, keys
from billfold.errors import BillfoldError
from billfold.intake.files import refuse_doubles
from billfold.names import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FAULT: Final = pl.Schema({"row": pl.Int64, "column": pl.String, "value": pl.String, "rule": pl.String})
_EARLIEST: Final = pl.date(1900, 1, 1)


@dataclass(frozen=True)
class Conformed:
    """Rows in a contract's shape, the columns that the file itself had, and what is wrong with it."""

    rows: pl.DataFrame
    given: frozenset[str]
    faults: pl.DataFrame


def conform(path: Path, raw: pl.DataFrame, model: type[Table], custom_types: Mapping[str, pl.DataType]) -> Conformed:
    """A file's rows as rows of `model`. Custom fields take the type that the book already has for them.

    Raises:
        BillfoldError: columns are unknown, doubled or missing, so no row can be judged.
    """
    _check_names(path, raw, model)
    declared = columns(model)
    custom = [c for c in raw.columns if c not in declared]
    parsed = {c.name: _parse(raw, c) for c in declared.values()}
    parsed |= {c: _custom(raw[c], custom_types.get(c)) for c in custom}
    rows = pl.DataFrame([series.alias(name) for name, (series, _) in parsed.items()])
    unparsed = [faults for _, faults in parsed.values()]
    broken = _broken_rules(rows.select(list(declared)), model)
    faults = pl.concat([*unparsed, broken]).unique(["row", "column"], keep="first", maintain_order=True)
    return Conformed(rows, frozenset(raw.columns), faults.sort("row", maintain_order=True))


def _check_names(path: Path, raw: pl.DataFrame, model: type[Table]) -> None:
    declared = columns(model)
    refuse_doubles(path, raw.columns)
    for name in raw.columns:
        if name not in declared and not CUSTOM_NAME.fullmatch(name):
            hint = nearest(name, declared) or "; the name of a custom field is a word that ends in __c"
            msg = f"{path}: the column {name!r} is unknown{hint}."
            raise BillfoldError(msg)
    missing = [c.name for c in declared.values() if c.required and c.name not in raw.columns]
    if missing:
        msg = f"{path}: the column{'s' * (len(missing) > 1)} {', '.join(missing)} must be there."
        raise BillfoldError(msg)


def _parse(raw: pl.DataFrame, column: Column) -> tuple[pl.Series, pl.DataFrame]:
    """A column in its contract's type, and the cells that don't fit it."""
    blank = pl.Series(column.name, [column.default], dtype=column.dtype)
    if column.name not in raw.columns:
        return blank.new_from_index(0, raw.height), FAULT.to_frame()
    cells = raw[column.name]
    if cells.dtype == pl.String:
        cells = cells.set(cells == "", None)
    typed = _typed(cells, column)
    faults = _unfit(cells, typed, _type_rule(column))
    if column.default is not None:
        typed = typed.fill_null(blank.item())
    return typed, faults


def _typed(cells: pl.Series, column: Column) -> pl.Series:
    """Cells in the contract's type; those that don't fit become null."""
    if isinstance(column.dtype, pl.String):
        return _as_text(cells, column)
    if cells.dtype == pl.String:
        return cells.to_frame("c").select(_from_text(pl.col("c"), column.dtype))["c"]
    return _exact_cast(cells, column.dtype)


def _as_text(cells: pl.Series, column: Column) -> pl.Series:
    if cells.dtype.is_nested():
        said = [None if v is None else json.dumps(v, default=str, ensure_ascii=False) for v in cells.to_list()]
        cells = pl.Series(cells.name, said, dtype=pl.String)
    if not column.values:
        return _exact_cast(cells, pl.String())
    spellings = {v: column.spelling(v) for v in cells.cast(pl.String).unique().drop_nulls()}
    return cells.cast(pl.String).replace(spellings)


def _from_text(cell: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Text read strictly: no thousands separators, no exponents, no other date order."""
    match dtype:
        case pl.Decimal():
            fits = cell.str.contains(
                rf"^[+-]?(\d{{1,{dtype.precision - dtype.scale}}}(\.\d{{0,{dtype.scale}}})?|\.\d{{1,{dtype.scale}}})$"
            )
            return pl.when(fits).then(cell).str.to_decimal(scale=dtype.scale).cast(dtype)
        case pl.Int64():
            return pl.when(cell.str.contains(r"^[+-]?\d{1,18}$")).then(cell).cast(pl.Int64)
        case pl.Boolean():
            words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
            return cell.str.to_lowercase().replace_strict(words, default=None, return_dtype=dtype)
        case pl.Date():
            day = pl.when(cell.str.contains(r"^\d{4}-\d{2}-\d{2}$")).then(cell).str.to_date("%Y-%m-%d", strict=False)
            return pl.when(day >= _EARLIEST).then(day)
        case _:
            return cell.cast(dtype, strict=False)


def _exact_cast(cells: pl.Series, dtype: pl.DataType) -> pl.Series:
    """A cast that loses nothing: a cell that would not come back as it was becomes null."""
    if cells.dtype == dtype:
        return cells
    if cells.dtype.is_float() and isinstance(dtype, pl.String):
        return pl.Series(cells.name, [None], dtype=dtype).new_from_index(0, cells.len())
    try:
        cast = cells.cast(dtype, strict=False)
        return cast.set(cast.cast(cells.dtype, strict=False).ne_missing(cells), None)
    except pl.exceptions.PolarsError:
        return pl.Series(cells.name, [None], dtype=dtype).new_from_index(0, cells.len())


def _custom(cells: pl.Series, dtype: pl.DataType | None) -> tuple[pl.Series, pl.DataFrame]:
    if dtype is None or cells.dtype == dtype:
        return cells, FAULT.to_frame()
    typed = cells.cast(dtype, strict=False) if cells.dtype == pl.String else _exact_cast(cells, dtype)
    return typed, _unfit(cells, typed, f"{dtype}, as the book already has this field")


def _unfit(cells: pl.Series, typed: pl.Series, rule: str) -> pl.DataFrame:
    bad = (cells.is_not_null() & typed.is_null()).arg_true()
    shown = [str(v) for v in cells.gather(bad)]
    return pl.DataFrame(
        {"row": bad.cast(pl.Int64) + 1, "column": [cells.name] * len(bad), "value": shown, "rule": [rule] * len(bad)},
        schema=FAULT,
    )


def _type_rule(column: Column) -> str:
    match column.dtype:
        case pl.Decimal():
            return column.rule or "a decimal number"
        case pl.Int64():
            return column.rule or "a whole number"
        case pl.Boolean():
            return "true or false"
        case pl.Date():
            return "a date as YYYY-MM-DD, 1900 or later"
        case _:
            return column.rule or "text"


def _broken_rules(rows: pl.DataFrame, model: type[Table]) -> pl.DataFrame:
    """What pandera finds, in the words of the contract."""
    try:
        model.validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as e:
        return _said(pl.DataFrame(e.failure_cases), rows, model)
    return FAULT.to_frame()


def _said(cases: pl.DataFrame, rows: pl.DataFrame, model: type[Table]) -> pl.DataFrame:
    declared = columns(model)
    rules = {name: c.rule for name, c in declared.items() if c.rule}
    of_column = pl.col("schema_context") == "Column"
    one_row = f"one row for each {' and '.join(keys(model))}"
    rule = (
        pl.when(pl.col("check") == "not_nullable").then(pl.lit("must not be blank"))
        .when(pl.col("check") == "multiple_fields_uniqueness").then(pl.lit(one_row))
        .when(of_column).then(pl.col("column").replace(rules))
        .otherwise(pl.col("check"))
    )  # fmt: skip
    said = cases.select(
        row=pl.col("index").cast(pl.Int64) + 1,
        column=pl.when(of_column).then("column").otherwise(pl.lit("")),
        value=pl.when(of_column).then(pl.col("failure_case").cast(pl.String)).otherwise(pl.lit("")),
        rule=rule,
    )
    if said["row"].null_count():
        msg = f"A contract of {model.__name__} can't be checked: {said['rule'][0]}"
        raise BillfoldError(msg)
    named = rows.select(_key=pl.concat_str(pl.col(keys(model)), separator="/", ignore_nulls=True)).with_row_index(
        "row", offset=1
    )
    return (
        said.join(named.with_columns(pl.col("row").cast(pl.Int64)), on="row", how="left", maintain_order="left")
        .with_columns(value=pl.when(pl.col("column") == "").then("_key").otherwise("value"))
        .select(FAULT.names())
    )
