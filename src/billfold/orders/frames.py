"""Rows that orders changed, as tables: conformed to the contracts like any file, faults traced back to their order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.book import Change
from billfold.contracts import TABLES, columns
from billfold.intake.conform import Conformed, conform
from billfold.intake.review import review
from billfold.money import PRICE
from billfold.orders.register import CHANGED, REVIEWED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.book import State
    from billfold.orders.register import Register, Row


@dataclass(frozen=True)
class Tables:
    """What orders change in the book, and why some of them can't be done: line of the order, and what is wrong."""

    changes: tuple[Change, ...]
    faults: Mapping[int, str]


def tables(state: State, register: Register) -> Tables:
    """Every changed table, and what runs have to look at again because of it."""
    changed: dict[str, pl.DataFrame] = {}
    faults: dict[int, str] = {}
    for table in CHANGED:
        rows = register[table].changed()
        if not rows:
            continue
        custom = customs(state, table)
        found = conformed(table, list(rows.values()), custom)
        keys = list(rows)
        for row in found.faults["row"].unique().sort():
            line, said = _culprit(table, register[table].versions(keys[row - 1]), custom)
            faults.setdefault(line, said)
        changed[table] = found.rows
    if faults:
        return Tables((), faults)
    seen = {t: rows for t, rows in changed.items() if t in REVIEWED}
    changes = [Change(t, rows, replace=register[t].replaces) for t, rows in changed.items()]
    return Tables((*changes, *review(state, seen)), {})


def customs(state: State, table: str) -> dict[str, pl.DataType]:
    """The custom fields that a table of the book has."""
    return {n: t for n, t in state.read(table).collect_schema().items() if n.endswith("__c")}


def conformed(table: str, rows: Sequence[Row], custom: Mapping[str, pl.DataType]) -> Conformed:
    """Rows in the columns of their contract, with every fault in them."""
    return conform(Path(table), frame(table, rows, custom), TABLES[table], custom)


def _culprit(table: str, versions: Sequence[tuple[int, Row]], custom: Mapping[str, pl.DataType]) -> tuple[int, str]:
    """The order that first made a row what the contract refuses, and why: a later one may only have taken it over."""
    for line, row in versions:
        for fault in conformed(table, [row], custom).faults.iter_rows(named=True):
            cell = f"{fault['column']} {fault['value']!r}: " if fault["column"] else ""
            return line, f"The order can't be kept in {table}: {cell}{fault['rule']}."
    return versions[-1][0], f"The order can't be kept in {table}: two rows have one key."


def frame(table: str, rows: Sequence[Row], custom: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Rows as a table: columns of the contract, and custom fields of the book and of the rows."""
    declared = columns(TABLES[table])
    by_column = zip(*map(itemgetter(*declared), rows), strict=True)
    series = [pl.Series(c.name, cells, dtype=c.dtype) for c, cells in zip(declared.values(), by_column, strict=True)]
    given = {name for row in rows if len(row) > len(declared) for name in row} - declared.keys()
    series += [_custom(name, [row.get(name) for row in rows]) for name in sorted(given)]
    series += [pl.Series(name, [None] * len(rows), dtype=custom[name]) for name in sorted(custom.keys() - given)]
    return pl.DataFrame(series)


def _custom(name: str, values: Sequence[Any]) -> pl.Series:
    """A custom field as it comes: all true or false, all whole numbers, all numbers; else texts."""
    kinds = {type(v) for v in values if v is not None}
    for kind, dtype in ((bool, pl.Boolean()), (int, pl.Int64()), (Decimal, PRICE)):
        if kinds == {kind} or (kind is Decimal and kinds == {int, Decimal}):
            return pl.Series(name, values, dtype=dtype, strict=False)
    return pl.Series(name, [_text(v) for v in values], dtype=pl.String)


def _text(value: Any) -> str | None:  # noqa: ANN401 - whatever a custom field holds
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(value, default=str, ensure_ascii=False)
