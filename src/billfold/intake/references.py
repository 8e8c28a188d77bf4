"""Checks between tables: references that lead nowhere, and currencies that nobody stated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.contracts import INPUTS, keys
from billfold.contracts.references import OWNED, REFERENCES, Reference
from billfold.intake.conform import FAULT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.book import State


class Parents:
    """Rows of any table as they will be after the load: what is loaded, then what the book has."""

    def __init__(self, state: State, loaded: Mapping[str, pl.DataFrame]) -> None:
        """Keep both."""
        self._state = state
        self._loaded = loaded

    def values(self, table: str, *names: str) -> pl.DataFrame:
        """The distinct values of some columns, loaded rows first."""
        frames = [self._loaded[table].lazy().select(names)] if table in self._loaded else []
        both = pl.concat([*frames, self._state.read(table).select(names)])
        return both.unique(names[0], keep="first", maintain_order=True).collect()

    def doubtful(self, table: str) -> pl.DataFrame:
        """Rows, as they will be, that state no currency and are billed to another account than their own."""
        names = ("account_number", "invoice_owner_account_number", "currency")
        book = self._state.read(table)
        if table in self._loaded:
            book = book.join(self._loaded[table].lazy(), on=keys(INPUTS[table]), how="anti")
        frames = [book.select(names), *([self._loaded[table].lazy().select(names)] if table in self._loaded else [])]
        other = pl.col("invoice_owner_account_number") != pl.col("account_number")
        return pl.concat(frames).filter(pl.col("currency").is_null(), other).drop("currency").collect()

    def pairs(self, table: str, key: str, *others: str) -> pl.DataFrame:
        """The distinct combinations of some columns in rows of loaded keys, as they will be after the load."""
        loaded = self._loaded[table].lazy()
        on = keys(INPUTS[table])
        untouched = self._state.read(table).join(loaded, on=on, how="anti").join(loaded, on=key, how="semi")
        return pl.concat([loaded.select(key, *others), untouched.select(key, *others)]).unique().collect()


def dangling(table: str, rows: pl.DataFrame, parents: Parents) -> pl.DataFrame:
    """Faults of rows that name a row of another table which is not there."""
    faults = [_missing(rows, r, parents) for r in REFERENCES if r.table == table]
    return pl.concat([FAULT.to_frame(), *faults])


def _missing(rows: pl.DataFrame, reference: Reference, parents: Parents) -> pl.DataFrame:
    wanted = rows.select(row=pl.int_range(1, pl.len() + 1), value=reference.column).drop_nulls("value")
    if wanted.is_empty():
        return FAULT.to_frame()
    there = parents.values(reference.parent, reference.parent_column)
    if reference.registry and there.is_empty():
        return FAULT.to_frame()
    lost = wanted.join(there, left_on="value", right_on=reference.parent_column, how="anti", maintain_order="left")
    return lost.filter(~pl.col("value").is_in(reference.builtin)).select(
        pl.col("row").cast(pl.Int64),
        column=pl.lit(reference.column),
        value="value",
        rule=pl.lit(f"a {reference.parent_column} of {reference.parent}"),
    )


def split_charges(table: str, rows: pl.DataFrame, parents: Parents) -> pl.DataFrame:
    """Faults of charge segments whose charge also belongs to another subscription: a charge has one billing grid."""
    if table != "rate_plan_charges":
        return FAULT.to_frame()
    owners = parents.pairs("rate_plan_charges", "charge_number", "subscription_number")
    torn = owners.filter(pl.col("charge_number").is_duplicated()).select("charge_number").unique()
    return (
        rows.select("charge_number", "subscription_number", row=pl.int_range(1, pl.len() + 1))
        .join(torn, on="charge_number", how="semi", maintain_order="left")
        .select(
            pl.col("row").cast(pl.Int64),
            column=pl.lit("subscription_number"),
            value="subscription_number",
            rule=pl.format("the same for all segments of charge {}", "charge_number"),
        )
    )


def unstated_currency(table: str, rows: pl.DataFrame, parents: Parents) -> pl.DataFrame:
    """Faults of rows without a currency whose account and invoice owner have different ones."""
    if table not in OWNED:
        return FAULT.to_frame()
    doubtful = (
        rows.select("account_number", "invoice_owner_account_number", "currency", row=pl.int_range(1, pl.len() + 1))
        .filter(pl.col("currency").is_null(), pl.col("invoice_owner_account_number") != pl.col("account_number"))
    )  # fmt: skip
    if doubtful.is_empty():
        return FAULT.to_frame()
    accounts = parents.values("accounts", "account_number", "currency")
    own = accounts.rename({"currency": "own"})
    owners = accounts.select(invoice_owner_account_number="account_number", owners="currency")
    return (
        doubtful.join(own, on="account_number", how="left", maintain_order="left")
        .join(owners, on="invoice_owner_account_number", how="left", maintain_order="left")
        .filter(pl.col("own") != pl.col("owners"))
        .select(
            pl.col("row").cast(pl.Int64),
            column=pl.lit("currency"),
            value=pl.lit(""),
            rule=pl.format("stated, since the account has {} and the invoice owner {}", "own", "owners"),
        )
    )


def unsettled_currency(table: str, rows: pl.DataFrame, parents: Parents) -> pl.DataFrame:
    """Faults of accounts whose currency comes to differ from that of accounts they are billed with.

    Rows of the book that state no currency would change theirs, or no longer have one.
    """
    if table != "accounts":
        return FAULT.to_frame()
    doubtful = pl.concat(parents.doubtful(owned) for owned in OWNED)
    if doubtful.is_empty():
        return FAULT.to_frame()
    currencies = parents.values("accounts", "account_number", "currency")
    own = doubtful.join(currencies, on="account_number", how="left").rename({"currency": "own"})
    owners = currencies.rename({"account_number": "invoice_owner_account_number", "currency": "owners"})
    torn = own.join(owners, on="invoice_owner_account_number", how="left").filter(pl.col("own") != pl.col("owners"))
    names = ("account_number", "invoice_owner_account_number")
    concerned = pl.concat(torn.select(account_number=name) for name in names).unique()
    return (
        rows.select("account_number", "currency", row=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
        .join(concerned, on="account_number", how="semi")
        .select(
            "row",
            column=pl.lit("currency"),
            value="currency",
            rule=pl.lit("the same as that of the account it is billed with, since lines between them state none"),
        )
        .sort("row")
    )


CHECKS: Final = (dangling, unstated_currency, unsettled_currency, split_charges)
"""Every check between tables; each takes a table's name, its loaded rows, and what the other tables will hold."""
