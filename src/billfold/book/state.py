"""The book as a step sees it: one snapshot, and changes that wait to be committed on top of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from billfold.contracts import TABLES, keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.book.commits import Change, Head
    from billfold.book.store import Book
    from billfold.rows import Only


@dataclass(frozen=True)
class State:
    """A book at a head, with the changes that its next commit is going to make; reads see both."""

    book: Book
    head: Head
    pending: tuple[Change, ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)
    """Counters that the commit is going to set."""

    @classmethod
    def of(cls, book: Book) -> State:
        """The book as it is now."""
        return cls(book, book.head())

    def after(self, changes: Sequence[Change], counters: Mapping[str, int] | None = None) -> State:
        """The same with further changes."""
        return replace(self, pending=(*self.pending, *changes), counted={**self.counted, **(counters or {})})

    def read(self, table: str, only: Only | None = None) -> pl.LazyFrame:
        """A table: columns of the contract, then custom fields, also those that a change brings."""
        rows = self.book.read(table, self.head.snapshot_id, only)
        for change in (c for c in self.pending if c.table == table):
            new = change.rows.lazy()
            if change.whole:
                rows = rows.clear()
            elif change.replace:
                rows = rows.join(new, on=list(keys(TABLES[table])), how="anti", maintain_order="left")
            rows = pl.concat([rows, only.of(new) if only else new], how="diagonal")
        return rows

    def counters(self) -> dict[str, int]:
        """Counters of numbers already given out, by name."""
        return self.book.counters(self.head.snapshot_id) | dict(self.counted)
