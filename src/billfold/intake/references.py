"""Checks between tables: references that lead nowhere, and currencies that nobody stated.

They ask hashes first. Only if something is wrong, the file is read once more to say in which rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.contracts import INPUTS, keys
from billfold.contracts.references import OWNED, REFERENCES, Reference
from billfold.intake.conform import FAULT
from billfold.intake.incoming import CHARGE, PAIR
from billfold.intake.merge import is_empty
from billfold.intake.values import Values, hashed, missing_from, with_several
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.book import State
    from billfold.intake.incoming import Incoming

Finder = Callable[[pl.DataFrame], pl.DataFrame]
"""Gives the faults of rows of a file, which have their number in `row`."""

_ROW: Final = "row"


class Parents:
    """Rows of any table as they will be after the load: what is loaded, then what the book has."""

    def __init__(self, state: State, files: Mapping[str, Incoming]) -> None:
        """Keep both."""
        self.state = state
        self.files = files

    def lost(self, reference: Reference, wanted: Values) -> pl.Series:
        """Hashes of values that are nowhere in the column that they refer to."""
        if reference.registry and self._is_empty(reference.parent):
            return pl.Series("hash", [], dtype=pl.UInt64())
        lost = missing_from(wanted.hashes, self._loaded(reference.parent, reference.parent_column))
        builtin = pl.Series("hash", reference.builtin, dtype=pl.String).hash()
        lost = lost.filter(~lost.is_in(builtin.implode()))
        return self._not_in_book(reference, lost, wanted) if lost.len() else lost

    def torn(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Pairs of an account and an invoice owner with different currencies, in the columns `own` and `owners`."""
        if pairs.is_empty():
            return pairs.with_columns(own=pl.lit(""), owners=pl.lit(""))
        currencies = self._currencies(pl.concat([pairs[name].alias(PAIR[0]) for name in PAIR]).unique())
        own = currencies.rename({"currency": "own"})
        owners = currencies.rename({PAIR[0]: PAIR[1], "currency": "owners"})
        joined = pairs.join(own, on=PAIR[0]).join(owners, on=PAIR[1])
        return joined.filter(pl.col("own") != pl.col("owners"))

    def doubtful(self, table: str) -> list[pl.DataFrame]:
        """Distinct pairs in rows that state no currency: in loaded ones, and in the book's if their accounts change."""
        found = [self.files[table].told.doubtful] if table in self.files else []
        changing = pl.concat([pl.Series(PAIR[0], [], dtype=pl.String), *self.files["accounts"].told.recurrencied])
        if changing.len():
            either = pl.any_horizontal(pl.col(PAIR).is_in(changing.implode()))
            other = pl.col("currency").is_null() & (pl.col(PAIR[0]) != pl.col(PAIR[1]))
            rows = self._untouched(table, self.state.read(table).filter(either, other))
            found.append(collected(rows.select(PAIR).unique()))
        return found

    def owners(self, file: Incoming) -> list[tuple[pl.Series, pl.Series]]:
        """Hashes of charges and of their subscriptions, in loaded rows and in others of the same charges."""
        if file.is_first:
            return file.told.owners
        charges = file.told.values["charge_number"].hashes
        if not charges:
            return file.told.owners
        hashes = [pl.col(column).hash() for column in CHARGE]
        pairs = collected(self._others(file, pl.concat(charges).unique()).select(hashes))
        return [*file.told.owners, (pairs[CHARGE[0]], pairs[CHARGE[1]])]

    def _others(self, file: Incoming, charges: pl.Series) -> pl.LazyFrame:
        """Segments that the book has, and the file has not, of the file's charges with some hashes."""
        among = _only("charge_number", file.told.values["charge_number"].texts(charges))
        same = pl.col("charge_number").hash().is_in(charges.implode())
        return self._untouched(file.table, self.state.read(file.table, among).filter(same))

    def split(self, file: Incoming, suspected: pl.Series) -> pl.Series:
        """Numbers of charges with several subscriptions, among those that have some hashes."""
        among = pl.col("charge_number").hash().is_in(suspected.implode())
        loaded = [rows.filter(among).select(CHARGE) for rows in file.numbered()]
        others = [] if file.is_first else [self._others(file, suspected).select(CHARGE)]
        pairs = pl.concat([*loaded, *map(collected, others)]).unique()
        return pairs.filter(pl.col("charge_number").is_duplicated())["charge_number"].unique()

    def _loaded(self, table: str, column: str) -> Sequence[pl.Series]:
        if table not in self.files:
            return []
        file = self.files[table]
        return file.key if keys(INPUTS[table]) == (column,) else [charge for charge, _ in file.told.owners]

    def _not_in_book(self, reference: Reference, lost: pl.Series, wanted: Values) -> pl.Series:
        column = reference.parent_column
        there = self.state.read(reference.parent, _only(column, wanted.texts(lost))).select(hash=pl.col(column).hash())
        found = collected(there.filter(pl.col("hash").is_in(lost.implode())).unique())["hash"]
        return lost.filter(~lost.is_in(found.implode()))

    def _is_empty(self, table: str) -> bool:
        return not (table in self.files and self.files[table].rows) and is_empty(self.state, table)

    def _currencies(self, accounts: pl.Series) -> pl.DataFrame:
        """Account numbers with their currencies."""
        columns = (PAIR[0], "currency")
        only = Only(among=accounts)
        loaded = [only.of(self.files["accounts"].parts.scan()).select(columns)] if "accounts" in self.files else []
        both = pl.concat([*loaded, self.state.read("accounts", only).select(columns)])
        return collected(both).unique(PAIR[0], keep="first", maintain_order=True)

    def _untouched(self, table: str, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Rows of the book without those that the load replaces, or leaves as they are."""
        if table not in self.files or not self.files[table].key:
            return rows
        return rows.filter(~hashed(keys(INPUTS[table])).is_in(pl.concat(self.files[table].key).implode()))


def _only(column: str, texts: pl.Series | None) -> Only | None:
    return None if texts is None else Only(among=texts.alias(column))


def broken(state: State, files: Mapping[str, Incoming]) -> dict[str, pl.DataFrame]:
    """Faults of loaded rows that don't fit to rows of other tables, or to others of their own."""
    parents = Parents(state, files)
    return {table: _told(file, [f for check in CHECKS for f in check(file, parents)]) for table, file in files.items()}


def _told(file: Incoming, finders: Sequence[Finder]) -> pl.DataFrame:
    """What finders find in a file, in their order."""
    found: list[list[pl.DataFrame]] = [[] for _ in finders]
    for rows in file.numbered() if finders else ():
        for faults, finder in zip(found, finders, strict=True):
            faults.append(finder(rows).select(FAULT.names()))
    return pl.concat([FAULT.to_frame(), *(faults for of_one in found for faults in of_one)])


def dangling(file: Incoming, parents: Parents) -> list[Finder]:
    """Rows that name a row of another table which is not there."""
    lost = {r: parents.lost(r, file.told.values[r.column]) for r in REFERENCES if r.table == file.table}
    return [partial(_dangling, reference, hashes) for reference, hashes in lost.items() if hashes.len()]


def _dangling(reference: Reference, lost: pl.Series, rows: pl.DataFrame) -> pl.DataFrame:
    value = pl.col(reference.column)
    return rows.filter(value.is_not_null() & value.hash().is_in(lost.implode())).select(
        _ROW,
        column=pl.lit(reference.column),
        value=value,
        rule=pl.lit(f"a {reference.parent_column} of {reference.parent}"),
    )


def unstated_currency(file: Incoming, parents: Parents) -> list[Finder]:
    """Rows without a currency whose account and invoice owner have different ones."""
    torn = parents.torn(file.told.doubtful)
    return [partial(_unstated, torn)] if torn.height else []


def _unstated(torn: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    silent = rows.filter(pl.col("currency").is_null()).select(_ROW, *PAIR)
    return silent.join(torn, on=PAIR, maintain_order="left").select(
        _ROW,
        column=pl.lit("currency"),
        value=pl.lit(""),
        rule=pl.format("stated, since the account has {} and the invoice owner {}", "own", "owners"),
    )


def unsettled_currency(file: Incoming, parents: Parents) -> list[Finder]:
    """Accounts whose currency comes to differ from that of accounts they are billed with.

    Rows of the book that state no currency would change theirs, or no longer have one.
    """
    if file.table != "accounts":
        return []
    none = pl.DataFrame(schema=dict.fromkeys(PAIR, pl.String))
    doubtful = [none, *(pairs for table in OWNED for pairs in parents.doubtful(table))]
    torn = parents.torn(pl.concat(doubtful).unique())
    return [partial(_unsettled, pl.concat([torn[name].alias(PAIR[0]) for name in PAIR]))] if torn.height else []


def _unsettled(concerned: pl.Series, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col(PAIR[0]).is_in(concerned.implode())).select(
        _ROW,
        column=pl.lit("currency"),
        value="currency",
        rule=pl.lit("the same as that of the account it is billed with, since lines between them state none"),
    )


def split_charges(file: Incoming, parents: Parents) -> list[Finder]:
    """Charge segments whose charge also belongs to another subscription: a charge has one billing grid."""
    if file.table != "rate_plan_charges":
        return []
    suspected = with_several(parents.owners(file))
    torn = parents.split(file, suspected) if suspected.len() else suspected
    return [partial(_split, torn)] if torn.len() else []


def _split(torn: pl.Series, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("charge_number").is_in(torn.implode())).select(
        _ROW,
        column=pl.lit("subscription_number"),
        value="subscription_number",
        rule=pl.format("the same for all segments of charge {}", "charge_number"),
    )


CHECKS: Final = (dangling, unstated_currency, unsettled_currency, split_charges)
"""Every check between tables; each says how to find the faults of a file, if it has any."""
