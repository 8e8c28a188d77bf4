"""From a file's columns to a contract's: types parsed, spellings set, blanks filled, rules checked.

Faults are collected, never raised one by one: a frame with a row a fault (row, column, value, rule).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pandera.errors
import polars as pl

from billfold.contracts import CUSTOM_NAME, Column, Table, checks, columns, keys
from billfold.errors import BillfoldError
from billfold.intake.files import refuse_doubles
from billfold.intake.json_lines import NOT_TEXT
from billfold.intake.parse import spelled, typed, without
from billfold.intake.tiers import canonical
from billfold.names import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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
    """A whole file's rows as rows of `model`. Custom fields take the type that the book already has for them.

    Raises:
        BillfoldError: columns are unknown, doubled or missing, so no row can be judged.
    """
    found = Conformer(path, raw.schema, model, custom_types).conform(raw)
    doubled = repeated(found.rows.with_columns(row=pl.int_range(1, pl.len() + 1, dtype=pl.Int64)), model)
    return Conformed(found.rows, found.given, told_once([doubled, found.faults]))


def told_once(faults: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Faults in the order of rows; of several in one place the first is told."""
    return (
        pl.concat(faults).unique(["row", "column"], keep="first", maintain_order=True).sort("row", maintain_order=True)
    )


class Conformer:
    """Brings the rows of a file into the shape of a contract, part by part."""

    def __init__(
        self, path: Path, schema: Mapping[str, pl.DataType], model: type[Table], custom_types: Mapping[str, pl.DataType]
    ) -> None:
        """Look at the columns of a file. Custom fields take the type that the book already has for them.

        Raises:
            BillfoldError: columns are unknown, doubled or missing, so no row can be judged.
        """
        _check_names(path, list(schema), model)
        self._declared = columns(model)
        self._custom = [c for c in schema if c not in self._declared]
        _check_custom(path, schema, self._custom, custom_types)
        self._model, self._types = model, custom_types
        self._given = frozenset(schema)
        self._checks = checks(model, self._given)
        self._blanks: dict[str, pl.Series] = {}

    def conform(self, raw: pl.DataFrame) -> Conformed:
        """Rows of the file in the contract's shape. Whether a key occurs twice is not looked at."""
        parsed = {c.name: self._parsed(raw, c) for c in self._declared.values()}
        parsed |= {c: _custom(raw[c], self._types.get(c)) for c in self._custom}
        rows = pl.DataFrame([series.alias(name) for name, (series, _) in parsed.items()])
        unparsed = [faults for _, faults in parsed.values() if faults.height]
        broken = self._broken_rules(rows) if rows.height else FAULT.to_frame()
        return Conformed(rows, self._given, told_once([FAULT.to_frame(), *unparsed, broken]))

    def _parsed(self, raw: pl.DataFrame, column: Column) -> tuple[pl.Series, pl.DataFrame]:
        if column.name in self._given:
            return _parse(raw[column.name], column)
        return self._blank(column, raw.height), FAULT.to_frame()

    def _blank(self, column: Column, rows: int) -> pl.Series:
        """A column that the file does not have; parts share its memory."""
        known = self._blanks.get(column.name)
        if known is None or known.len() < rows:
            known = pl.Series(column.name, [column.default], dtype=column.dtype).new_from_index(0, rows)
            self._blanks[column.name] = known
        return known.head(rows)

    def _broken_rules(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What pandera finds, in the words of the contract."""
        try:
            self._checks.validate(rows, lazy=True)
        except pandera.errors.SchemaErrors as e:
            return _said(pl.DataFrame(e.failure_cases), rows, self._model)
        return FAULT.to_frame()


def repeated(rows: pl.DataFrame, model: type[Table]) -> pl.DataFrame:
    """Faults of rows that have one key; `rows` have their number in `row`."""
    key = list(keys(model))
    same = rows.filter(rows.select(key).is_duplicated()) if rows.height else rows
    return same.select(
        "row",
        column=pl.lit(""),
        value=_key(model),
        rule=pl.lit(f"one row for each {' and '.join(key)}"),
    )


def _key(model: type[Table]) -> pl.Expr:
    return pl.concat_str(pl.col(keys(model)), separator="/", ignore_nulls=True)


def _check_names(path: Path, names: Sequence[str], model: type[Table]) -> None:
    declared = columns(model)
    refuse_doubles(path, names)
    for name in names:
        if name not in declared and not CUSTOM_NAME.fullmatch(name):
            hint = nearest(name, declared) or "; the name of a custom field is a word that ends in __c"
            msg = f"{path}: the column {name!r} is unknown{hint}."
            raise BillfoldError(msg)
    missing = [c.name for c in declared.values() if c.required and c.name not in names]
    if missing:
        msg = f"{path}: the column{'s' * (len(missing) > 1)} {', '.join(missing)} must be there."
        raise BillfoldError(msg)


def _check_custom(
    path: Path, schema: Mapping[str, pl.DataType], custom: list[str], known: Mapping[str, pl.DataType]
) -> None:
    by_case = {name.casefold(): name for name in known}
    for name in custom:
        other = by_case.get(name.casefold(), name)
        if other != name:
            msg = f"{path}: the book has the custom field {other!r}, which differs from {name!r} only by case."
            raise BillfoldError(msg)
        if not _keepable(schema[name]):
            msg = f"{path}: the custom field {name!r} has the type {schema[name]}, which a book can't keep."
            raise BillfoldError(f"{msg[:-1]}: write it as text.")


def _keepable(dtype: pl.DataType) -> bool:
    """Whether a book has a type for such cells; parts of nested ones need names that differ without regard to case."""
    if isinstance(dtype, pl.List):
        return _keepable(dtype.inner) and not isinstance(dtype.inner, pl.Time)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        names = {f.name.casefold() for f in dtype.fields if f.name}
        return len(names) == len(dtype.fields) > 0 and all(_keepable(f.dtype) for f in dtype.fields)  # type: ignore[arg-type]
    return isinstance(dtype, _KEPT)


def _parse(cells: pl.Series, column: Column) -> tuple[pl.Series, pl.DataFrame]:
    """A column in its contract's type, and the cells that don't fit it."""
    if cells.dtype == pl.String:
        cells = without(cells, cells == "")
        if column.is_json or not isinstance(column.dtype, pl.String):
            cells = cells.str.strip_prefix(NOT_TEXT)
    if column.values:
        parsed = spelled(cells if cells.dtype == pl.String else typed(cells, column.dtype), column)
    else:
        parsed = typed(cells, column.dtype)
    rules = None
    if column.is_tiers:
        parsed, rules = canonical(parsed)
    faults = _unfit(cells, parsed, _type_rule(column), rules)
    if column.default is not None and parsed.null_count():
        parsed = parsed.fill_null(pl.Series([column.default], dtype=column.dtype).item())
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
    if typed.null_count() == cells.null_count():  # a cell that is blank stays blank
        return FAULT.to_frame()
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


def _said(cases: pl.DataFrame, rows: pl.DataFrame, model: type[Table]) -> pl.DataFrame:
    declared = columns(model)
    rules = {name: c.rule for name, c in declared.items() if c.rule}
    of_column = pl.col("schema_context") == "Column"
    rule = (
        pl.when(pl.col("check") == "not_nullable").then(pl.lit("must not be blank"))
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
    named = rows.select(_key=_key(model)).with_row_index("row", offset=1)
    return (
        said.join(named.with_columns(pl.col("row").cast(pl.Int64)), on="row", how="left", maintain_order="left")
        .with_columns(value=pl.when(pl.col("column") == "").then("_key").otherwise("value"))
        .select(FAULT.names())
    )
