"""Which rows of a table are asked for, so that a book need not read the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from billfold.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date


def collected(rows: pl.LazyFrame) -> pl.DataFrame:
    """The rows of a scan of the book.

    Raises:
        DamagedError: a data file is damaged, so that nobody can tell what is in it.
    """
    try:
        return rows.collect()
    except pl.exceptions.PolarsError as e:
        raise unreadable(e) from e


def unreadable(error: Exception) -> DamagedError:
    """What is said of a data file that can't be read."""
    said = " ".join(str(error).split())[:200]
    return DamagedError(f"A data file of the book can't be read, put it back from a copy: {said}.")


@dataclass(frozen=True)
class Only:
    """What of a table is wanted, so that the rest need not be read: some rows, and some columns, if any are named.

    `among` has the values of one column. `between` has a first and a last value, both inclusive, of some columns;
    None is open.
    """

    among: pl.Series | None = None
    between: Mapping[str, tuple[date | None, date | None]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    def of(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The wanted rows and columns of a scan."""
        for column, (first, last) in self.between.items():
            rows = rows if first is None else rows.filter(pl.col(column) >= first)
            rows = rows if last is None else rows.filter(pl.col(column) <= last)
        rows = rows if self.among is None else rows.filter(pl.col(self.among.name).is_in(self.among.implode()))
        return rows.select(self.columns) if self.columns else rows
