"""One file on its way into its table: read part by part, checked, merged with the book, and kept for the commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.contracts import INPUTS, columns, keys
from billfold.contracts.references import OWNED, REFERENCES
from billfold.errors import BillfoldError
from billfold.intake.conform import FAULT, Conformed, Conformer, repeated, told_once
from billfold.intake.files import batches
from billfold.intake.merge import Merged, is_empty, merged
from billfold.intake.parts import Parts, blocks
from billfold.intake.values import Values, hashed, repeated_in
from billfold.rows import Only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from billfold.book import State

PAIR: Final = ("account_number", "invoice_owner_account_number")
BLOCK: Final = 524_288
"""Rows that are compared with those of the book at a time."""

CHARGE: Final = ("charge_number", "subscription_number")


@dataclass
class Told:
    """What the checks between tables need to know of a file's rows as they are to stand in the book."""

    values: dict[str, Values]
    """Of the columns that name rows of other tables; of charges that the book may have, too."""

    owners: list[tuple[pl.Series, pl.Series]] = field(default_factory=list)
    """Hashes of charges and of their subscriptions, row by row."""

    doubtful: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=dict.fromkeys(PAIR, pl.String)))
    """Distinct pairs of an account and another invoice owner in rows that state no currency."""

    opened: bool = False
    """Whether a usage charge was billed elsewhere."""

    regrouped: bool = False
    """Whether an account that the book has gets another grouping."""

    replaced: list[pl.Series] = field(default_factory=list)
    """Keys of accounts or subscriptions that the book has and that change."""

    recurrencied: list[pl.Series] = field(default_factory=list)
    """Those of accounts whose currency changes."""


class Incoming:
    """A file and what became of it. `key` has the hashes of its rows' keys, in parts."""

    def __init__(self, state: State, table: str, path: Path) -> None:
        """Nothing is read yet."""
        self.table, self.path = table, path
        self.model = INPUTS[table]
        self.rows = self.new = self.changed = 0
        self.parts = Parts(state.book.files, table)
        self.key: list[pl.Series] = []
        self._state = state
        named = [r.column for r in REFERENCES if r.table == table]
        own = ["charge_number"] if table == "rate_plan_charges" and not self.is_first else []
        self.told = Told({column: Values() for column in (*named, *own)})
        self._given: frozenset[str] = frozenset()
        self._faults: list[pl.DataFrame] = []

    @cached_property
    def is_first(self) -> bool:
        """Whether the book has no row of the table yet."""
        return is_empty(self._state, self.table)

    def read(self, seen: Callable[[int], None], *, keep: bool = True) -> None:
        """Read and check the file; `keep` its rows as long as no fault is found. `seen` is told how many were read.

        Raises:
            BillfoldError: the file can't be read, or its columns are wrong.
        """
        for part in self._merged(self._accepted(seen, keep=keep)):
            self._take(part)
        self.parts.end()
        if (twice := repeated_in(self.key)).len():
            self._faults.insert(0, self._doubled(twice))

    def faults(self) -> pl.DataFrame:
        """Everything that is wrong with the file by itself."""
        return told_once([FAULT.to_frame(), *self._faults])

    def forget(self) -> None:
        """Remove what was taken over, since nothing will be loaded."""
        self.parts.remove()

    def numbered(self) -> Iterator[pl.DataFrame]:
        """The file's rows once more, as they are to stand in the book, with their number in `row`."""
        row = 1
        for part in self._merged(c.rows for c in self._conformed()):
            yield part.rows.with_columns(row=pl.int_range(row, row + pl.len(), dtype=pl.Int64))
            row += part.rows.height

    def _conformed(self) -> Iterator[Conformed]:
        custom = {n: t for n, t in self._columns().items() if n not in columns(self.model)}
        conformer = None
        for batch in batches(self.path):
            if conformer is None:
                self._refuse_own(batch.columns)
                conformer = Conformer(self.path, batch.schema, self.model, custom)
            yield conformer.conform(batch)

    def _refuse_own(self, names: list[str]) -> None:
        standard = columns(self.model)
        own = [c for c in names if c in standard and standard[c].is_own]
        if own:
            msg = f"{self.path}: {', '.join(own)} is written by billfold alone; leave the column out."
            raise BillfoldError(msg)

    def _accepted(self, seen: Callable[[int], None], *, keep: bool) -> Iterator[pl.DataFrame]:
        """Parts of the file, up to the first fault; those behind it are checked only."""
        for part in self._conformed():
            self._given = part.given
            if part.faults.height:
                self._faults.append(part.faults.with_columns(pl.col("row") + self.rows))
            self.key.append(part.rows.select(hash=hashed(keys(self.model)))["hash"])
            self.rows += part.rows.height
            seen(self.rows)
            if keep and not self._faults:
                yield part.rows

    def _merged(self, rows: Iterator[pl.DataFrame]) -> Iterator[Merged]:
        """Parts beside what the book has. Each looks through the book's keys, so they are large ones then."""
        if self.is_first:
            none = self._columns().to_frame()
            yield from (Merged.new(part, none) for part in rows)
        else:
            yield from (merged(self._state, self.table, part, self._given) for part in blocks(rows, BLOCK))

    def _columns(self) -> pl.Schema:
        """The columns that the book's table has."""
        nothing = Only(among=pl.Series(keys(self.model)[0], [], dtype=pl.String))
        return self._state.read(self.table, nothing).collect_schema()

    def _take(self, part: Merged) -> None:
        replacing = int(part.replacing.sum())
        self.new += part.rows.height - int(part.there.sum())
        self.changed += replacing
        self._note(part)
        self.parts.add(part.changed, replaces=replacing > 0)

    def _note(self, part: Merged) -> None:
        """Remember what the checks between tables ask for."""
        for column, values in self.told.values.items():
            values.add(part.rows[column])
        if self.table == "rate_plan_charges":
            self.told.owners.append((part.rows[CHARGE[0]].hash(), part.rows[CHARGE[1]].hash()))
            used = (pl.col("charge_type") == "Usage") & pl.col("charged_through_date").is_not_null()
            self.told.opened |= bool(part.rows.select(used.any()).item())
        if self.table in OWNED:
            other = pl.col("currency").is_null() & (pl.col(PAIR[0]) != pl.col(PAIR[1]))
            self.told.doubtful = pl.concat([self.told.doubtful, part.rows.filter(other).select(PAIR)]).unique()
        if self.table in {"accounts", "subscriptions"} and part.replacing.any():
            self._note_replaced(part)

    def _note_replaced(self, part: Merged) -> None:
        """Remember what follows from a change of rows that the book has."""
        [key] = keys(self.model)
        rows, before = part.rows.filter(part.replacing), part.before.filter(part.replacing)
        self.told.replaced.append(rows[key])
        if self.table == "accounts":
            self.told.regrouped |= bool(rows["invoice_group"].ne_missing(before["invoice_group"]).any())
            self.told.recurrencied.append(rows.filter(rows["currency"] != before["currency"])[key])

    def _doubled(self, twice: pl.Series) -> pl.DataFrame:
        """Faults of rows whose key comes again, among those whose hash does."""
        found, row = [], 1
        for part in self._conformed():
            numbered = part.rows.with_columns(row=pl.int_range(row, row + pl.len(), dtype=pl.Int64))
            again = numbered.filter(hashed(keys(self.model)).is_in(twice.implode()))
            found.append(again.select(*keys(self.model), "row"))
            row += part.rows.height
        return repeated(pl.concat(found), self.model)
