"""The table reference in docs/tables.md, made from the contracts so that it can't say anything else."""

from __future__ import annotations

from inspect import cleandoc
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.contracts import INPUTS, TABLES, Column, Table, columns, keys
from billfold.contracts.references import REFERENCES

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = """
# Tables of a book

Made from the contracts in `src/billfold/contracts/` by `make reference`; a test keeps it true.

- **key** columns identify a row: loading a row replaces the one with its key.
- **required** columns must be in a file. Others may be missing: then a new row has the default, or a blank, and an
  existing row keeps what it has. An empty cell is a blank.
- Dates are ISO dates (2024-01-31). Decimals are exact; a file may hold them as text, numbers or decimals.
- Any further column whose name is a word that ends in `__c` is a custom field of any type: kept as it comes, usable
  for grouping. Other columns are refused.
- Enumerated values may be spelled as any of Zuora's APIs spells them (`Flat Fee Pricing`, `In Advance`); the book keeps
  the spelling given here.
"""


def markdown() -> str:
    """The whole reference."""
    inputs = [_section(t, TABLES[t]) for t in INPUTS]
    others = [_section(t, TABLES[t]) for t in TABLES if t not in INPUTS]
    parts = [
        cleandoc(_HEAD),
        "## Input tables, for `billfold load`",
        *inputs,
        "## Tables that billfold writes",
        *others,
    ]
    return "\n\n".join(parts) + "\n"


def _section(table: str, model: type[Table]) -> str:
    rows = [_row(table, model, c) for c in columns(model).values()]
    head = ["| column | type | meaning | rule |", "| --- | --- | --- | --- |"]
    return "\n".join([f"### {table}", "", cleandoc(model.__doc__ or ""), "", *head, *rows])


def _row(table: str, model: type[Table], column: Column) -> str:
    cells = (f"`{column.name}`", _type(column.dtype), column.meaning, "; ".join(_rules(table, model, column)))
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def _rules(table: str, model: type[Table], column: Column) -> Iterator[str]:
    if column.name in keys(model):
        yield "key"
    elif column.required:
        yield "required"
    if column.default is not None:
        yield f"default {str(column.default).lower() if isinstance(column.default, bool) else column.default}"
    if column.is_own:
        yield "written by billfold, not loaded"
    if column.rule and column.name not in keys(model):
        yield column.rule
    for reference in REFERENCES:
        if (reference.table, reference.column) == (table, column.name):
            when = f", where {reference.parent} has rows" if reference.registry else ""
            yield f"one of `{reference.parent}.{reference.parent_column}`{when}"


def _type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision}, {dtype.scale})"
    names = {
        pl.String: "text",
        pl.Int64: "integer",
        pl.Boolean: "true or false",
        pl.Date: "date",
        pl.Datetime: "timestamp",
    }
    return names[type(dtype)]
