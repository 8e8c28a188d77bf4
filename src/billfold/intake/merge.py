"""Rows of a file beside those of the book that have their keys: what they become, and which change anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from billfold.contracts import INPUTS, keys
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.book import State


@dataclass(frozen=True)
class Merged:
    """Rows as they are to stand in the book, beside the rows that they replace.

    `there` says for which of them the book has a row; `before` has these rows at the same places, blanks at the others,
    or nothing at all if the book has none of them. `differs` says which rows change anything.
    """

    rows: pl.DataFrame
    before: pl.DataFrame
    there: pl.Series
    differs: pl.Series

    @classmethod
    def new(cls, rows: pl.DataFrame, before: pl.DataFrame) -> Merged:
        """Rows of which the book has none; `before` has its columns."""
        none = pl.Series([False]).new_from_index(0, rows.height)
        return cls(rows, before.clear(), none, ~none)

    @property
    def changed(self) -> pl.DataFrame:
        """Rows that are new or that differ from what the book has."""
        return self.rows if self.differs.all() else self.rows.filter(self.differs)

    @property
    def replacing(self) -> pl.Series:
        """Which rows take the place of others."""
        return self.there & self.differs


def is_empty(state: State, table: str) -> bool:
    """Whether the book has no row of a table."""
    return state.book.sql(f"SELECT 1 FROM {table} LIMIT 1").is_empty()  # noqa: S608 - a table of ours


def merged(state: State, table: str, rows: pl.DataFrame, given: frozenset[str]) -> Merged:
    """Rows of a file with what the book has in the columns that were not given."""
    on = list(keys(INPUTS[table]))
    existing = _existing(state, table, rows, on)
    untold = {c: t for c, t in existing.schema.items() if c not in given}
    rows = rows.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in untold.items() if c not in rows.columns)
    if existing.is_empty():
        return Merged.new(rows, existing)
    places = existing.select(on).with_row_index("place")
    place = rows.select(on).join(places, on=on, how="left", maintain_order="left")["place"]
    before, there = existing.select(pl.all().gather(place)), place.is_not_null()
    rows = rows.with_columns(before[c].zip_with(there, rows[c]) for c in untold)
    return Merged(rows, before, there, _differs(rows, before, there, given))


def _differs(rows: pl.DataFrame, before: pl.DataFrame, there: pl.Series, given: frozenset[str]) -> pl.Series:
    """Which rows have another value in a column that was given; with a new column, all do."""
    differs = ~there
    for column in (c for c in rows.columns if c in given):
        if column not in before.columns:
            return pl.Series([True]).new_from_index(0, rows.height)
        differs |= _comparable(rows[column]).ne_missing(_comparable(before[column]))
    return differs


def _existing(state: State, table: str, rows: pl.DataFrame, on: Sequence[str]) -> pl.DataFrame:
    """The book's rows with the keys of some rows. Files whose first keys are all smaller or greater are not read."""
    first = rows[on[0]].drop_nulls().unique()
    near = pl.col(on[0]).is_between(pl.lit(first.min()), pl.lit(first.max()))
    there = state.read(table, Only(among=first)).filter(near)
    return collected(there.join(rows.lazy().select(on), on=on, how="semi"))


def _comparable(cells: pl.Series) -> pl.Series:
    """Cells that can be compared one by one: nested ones as text."""
    if not cells.dtype.is_nested():
        return cells
    said = [None if v is None else json.dumps(v, default=str) for v in cells.to_list()]
    return pl.Series(cells.name, said, dtype=pl.String)
