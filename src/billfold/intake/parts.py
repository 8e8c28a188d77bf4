"""Rows that a load brings, part by part into data files of the book that nobody reads before the commit.

Where the files are cut follows from the rows alone, so that the same load makes the same files on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.book import Change, Written
from billfold.contracts import TABLES, empty
from billfold.errors import BookError
from billfold.rows import collected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from billfold.book import DataFiles, File

ROWS: Final = 1_048_576
"""Rows of a data file, but for a table's last one."""

_WAITING: Final = 262_144
"""Rows of a table that wait in memory for the commit; more are written when the table's last row was seen."""


@dataclass(frozen=True)
class _Part:
    file: File
    replaces: bool


class Parts:
    """New rows of one table: those in files, and those that still wait in memory."""

    def __init__(self, files: DataFiles, table: str) -> None:
        """Nothing was added yet."""
        self.table = table
        self.rows = 0
        self.schema = empty(TABLES[table]).schema
        self._files = files
        self._written: list[_Part] = []
        self._waiting: list[pl.DataFrame] = []
        self._held = 0
        self._replaces = False

    def add(self, rows: pl.DataFrame, *, replaces: bool) -> None:
        """Take rows over, some of which replace rows of the book, or none."""
        if rows.is_empty():
            return
        self.schema = rows.schema
        self.rows += rows.height
        self._replaces |= replaces
        self._waiting.append(rows)
        self._held += rows.height
        while self._held >= ROWS:
            together = pl.concat(self._waiting)
            self._write(together.head(ROWS))
            rest = together.slice(ROWS)
            self._waiting, self._held = [rest] if rest.height else [], rest.height
            self._replaces = replaces and rest.height > 0

    def end(self) -> None:
        """Nothing comes any more: keep only few rows in memory."""
        if self._held > _WAITING:
            self._write(pl.concat(self._waiting))
            self._waiting, self._held = [], 0

    def scan(self) -> pl.LazyFrame:
        """The rows; without columns of custom fields if there are none."""
        files = [p.file.path for p in self._written]
        written = [self._files.scan(files, self.schema)] if files else []
        return pl.concat([self.schema.to_frame().lazy(), *written, *(rows.lazy() for rows in self._waiting)])

    def pieces(self, *names: str) -> Iterator[pl.DataFrame]:
        """Some columns of the rows, no more rows at a time than a file has."""
        for part in self._written:
            yield collected(self._files.scan([part.file.path], self.schema).select(names))
        if self._waiting:
            yield pl.concat(self._waiting).select(names)

    def changes(self) -> list[Change | Written]:
        """What the commit does: rows that replace others first, before new ones could be taken for those."""
        made: list[Change | Written] = [
            Written(self.table, tuple(p.file for p in self._written if p.replaces is how), self.schema, replace=how)
            for how in (True, False)
        ]
        found = [m for m in made if isinstance(m, Written) and m.files]
        rest = [Change(self.table, pl.concat(self._waiting), replace=self._replaces)] if self._waiting else []
        return [*found, *rest]

    def remove(self) -> None:
        """Give up: remove what was written."""
        self._files.remove(p.file for p in self._written)
        self._written, self._waiting = [], []

    def _write(self, rows: pl.DataFrame) -> None:
        try:
            file = self._files.write(self.table, rows)
        except (OSError, pl.exceptions.PolarsError) as e:
            msg = f"The book could not be written, nothing was changed: {' '.join(str(e).split())[:300]}"
            raise BookError(msg) from e
        self._written.append(_Part(file, self._replaces))


def blocks(frames: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The rows of frames in blocks of one size, but for the last."""
    waiting: list[pl.DataFrame] = []
    held = 0
    for frame in frames:
        waiting.append(frame)
        held += frame.height
        while held >= rows:
            together = pl.concat(waiting)
            yield together.head(rows)
            waiting, held = [together.slice(rows)], held - rows
    if held:
        yield pl.concat(waiting)
