"""Rows of a file beside those of the book that have their keys: what they become, and which change anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from billfold.contracts import INPUTS, keys
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.book import State


@dataclass(frozen=True)
class Merged:
    """Rows as they are to stand in the book, and the ones that they replace."""

    rows: pl.DataFrame
    existing: pl.DataFrame

    @cached_property
    def changed(self) -> pl.DataFrame:
        """Rows that differ from what the book has."""
        shared = [c for c in self.rows.columns if c in self.existing.columns]
        if self.existing.is_empty() or len(shared) < len(self.rows.columns):
            return self.rows
        numbered = _comparable(self.rows).with_row_index("_row")
        differs = numbered.join(_comparable(self.existing), on=shared, how="anti", nulls_equal=True)
        return self.rows[differs["_row"].sort()]


def is_empty(state: State, table: str) -> bool:
    """Whether the book has no row of a table."""
    return state.book.sql(f"SELECT 1 FROM {table} LIMIT 1").is_empty()  # noqa: S608 - a table of ours


def merged(state: State, table: str, rows: pl.DataFrame, given: frozenset[str]) -> Merged:
    """Rows of a file with what the book has in the columns that were not given."""
    on = list(keys(INPUTS[table]))
    existing = _existing(state, table, rows, on)
    untold = [c for c in existing.columns if c not in given]
    rows = rows.with_columns(pl.lit(None, dtype=existing.schema[c]).alias(c) for c in untold if c not in rows.columns)
    if untold and existing.height:
        kept = existing.select(*on, *(pl.col(c).alias(f"{c} kept") for c in untold), _there=pl.lit(value=True))
        rows = (
            rows.join(kept, on=on, how="left", maintain_order="left")
            .with_columns(pl.when(pl.col("_there")).then(f"{c} kept").otherwise(c).alias(c) for c in untold)
            .drop("_there", *(f"{c} kept" for c in untold))
        )
    return Merged(rows, existing)


def _existing(state: State, table: str, rows: pl.DataFrame, on: Sequence[str]) -> pl.DataFrame:
    """The book's rows with the keys of some rows. Files whose first keys are all smaller or greater are not read."""
    first = rows[on[0]].drop_nulls().unique()
    near = pl.col(on[0]).is_between(pl.lit(first.min()), pl.lit(first.max()))
    there = state.read(table, Only(among=first)).filter(near)
    return collected(there.join(rows.lazy().select(on), on=on, how="semi"))


def _comparable(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with nested cells as text, since joins can't compare them."""
    nested = [c for c, t in rows.schema.items() if t.is_nested()]
    return rows.with_columns(
        pl.Series(c, [None if v is None else json.dumps(v, default=str) for v in rows[c].to_list()], dtype=pl.String)
        for c in nested
    )
