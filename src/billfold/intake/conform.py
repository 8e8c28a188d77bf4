"""From a file's columns to a contract's: types parsed, spellings set, blanks filled, rules checked.

Faults are collected, never raised one by one: a frame with a row a fault (row, column, value, rule).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pandera.errors
import polars as pl

from billfold.contracts import CUSTOM_NAME, Column, Table, columns, keys
from billfold.errors import BillfoldError
from billfold.intake.files import NOT_TEXT, refuse_doubles
from billfold.intake.parse import spelled, typed
from billfold.intake.tiers import canonical
from billfold.names import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FAULT: Final = pl.Schema({"row": pl.Int64, "column": pl.String, "value": pl.String, "rule": pl.String})

_KEPT: Final = (
    pl.String, pl.Boolean, pl.Binary, pl.Date, pl.Datetime, pl.Time, pl.Decimal, pl.Float32, pl.Float64,
    pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64,
)  # fmt: skip
"""Types of custom fields, beside lists and structs of them."""


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
    _check_custom(path, raw, custom, custom_types)
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


def _check_custom(path: Path, raw: pl.DataFrame, custom: list[str], known: Mapping[str, pl.DataType]) -> None:
    by_case = {name.casefold(): name for name in known}
    for name in custom:
        other = by_case.get(name.casefold(), name)
        if other != name:
            msg = f"{path}: the book has the custom field {other!r}, which differs from {name!r} only by case."
            raise BillfoldError(msg)
        if not _keepable(raw.schema[name]):
            msg = f"{path}: the custom field {name!r} has the type {raw.schema[name]}, which a book can't keep."
            raise BillfoldError(f"{msg[:-1]}: write it as text.")


def _keepable(dtype: pl.DataType) -> bool:
    """Whether a book has a type for such cells; parts of nested ones need names that differ without regard to case."""
    if isinstance(dtype, pl.List):
        return _keepable(dtype.inner) and not isinstance(dtype.inner, pl.Time)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        names = {f.name.casefold() for f in dtype.fields if f.name}
        return len(names) == len(dtype.fields) > 0 and all(_keepable(f.dtype) for f in dtype.fields)  # type: ignore[arg-type]
    return isinstance(dtype, _KEPT)


def _parse(raw: pl.DataFrame, column: Column) -> tuple[pl.Series, pl.DataFrame]:
    """A column in its contract's type, and the cells that don't fit it."""
    blank = pl.Series(column.name, [column.default], dtype=column.dtype)
    if column.name not in raw.columns:
        return blank.new_from_index(0, raw.height), FAULT.to_frame()
    cells = raw[column.name]
    if cells.dtype == pl.String:
        cells = cells.set(cells == "", None)
        if column.is_json or not isinstance(column.dtype, pl.String):
            cells = cells.str.strip_prefix(NOT_TEXT)
    parsed, rule = spelled(typed(cells, column.dtype), column), _type_rule(column)
    rules = None
    if column.is_tiers:
        parsed, rules = canonical(parsed)
    faults = _unfit(cells, parsed, rule, rules)
    if column.default is not None:
        parsed = parsed.fill_null(blank.item())
    return parsed, faults


def _custom(cells: pl.Series, dtype: pl.DataType | None) -> tuple[pl.Series, pl.DataFrame]:
    """A custom field in the type that the book has for it, or in its own, zoned times in UTC."""
    if isinstance(cells.dtype, pl.Datetime) and cells.dtype.time_zone:
        cells = cells.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    if dtype is None or cells.dtype == dtype:
        return cells, FAULT.to_frame()
    if cells.dtype == pl.String:
        cells = cells.set(cells == "", None)
    parsed = typed(cells, dtype)
    return parsed, _unfit(cells, parsed, f"{dtype}, as the book already has this field")


def _unfit(cells: pl.Series, typed: pl.Series, rule: str, rules: pl.Series | None = None) -> pl.DataFrame:
    """Cells that have become null, by the rule of the column or one of their own."""
    bad = (cells.is_not_null() & typed.is_null()).arg_true()
    shown = [str(v).removeprefix(NOT_TEXT) for v in cells.gather(bad)]
    said = [rule] * len(bad) if rules is None else rules.gather(bad).fill_null(rule)
    return pl.DataFrame(
        {"row": bad.cast(pl.Int64) + 1, "column": [cells.name] * len(bad), "value": shown, "rule": said},
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
