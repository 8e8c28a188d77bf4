"""A large run is made in shards, account by account, so that its memory stays in bounds; the documents are the same."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.lines import Documents
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.lines import Inputs

SHARD: Final = 1_500_000
"""Charges and order lines of a shard, about; a line takes some 3 KiB on its way."""

FEW: Final = 300_000
"""Up to so many charges and order lines, it pays to read them before their subscriptions."""


def shards(inputs: Inputs, rows: int | None = None) -> list[Inputs]:
    """The inputs, split by ranges of account numbers, in order. No line and no document needs two accounts.

    `rows` is how many charges and order lines may be held together, `SHARD` if nothing is said.
    """
    count = math.ceil(inputs.work / (rows or SHARD))
    if count <= 1:
        return [_few(inputs) if inputs.work <= FEW else inputs]
    numbers = collected(inputs.accounts.select("account_number").sort("account_number"))["account_number"]
    size = math.ceil(numbers.len() / count)
    parts = (numbers[start : start + size] for start in range(0, numbers.len(), size))
    return [_of_accounts(inputs, part[0], part[-1]) for part in parts]


def _few(inputs: Inputs) -> Inputs:
    """Few charges: the other subscriptions' attributes need not be read."""
    charges = collected(inputs.rate_plan_charges)
    numbers = Only(among=charges["subscription_number"].unique())
    return replace(inputs, rate_plan_charges=charges.lazy(), charged=numbers.of(inputs.charged))


def _of_accounts(inputs: Inputs, first: str, last: str) -> Inputs:
    """Inputs for the accounts from a first to a last one."""
    inside = pl.col("account_number").is_between(pl.lit(first), pl.lit(last))
    owner = pl.coalesce("invoice_owner_account_number", "account_number")
    charged = inputs.charged.filter(owner.is_between(pl.lit(first), pl.lit(last)))
    numbers = collected(charged.select("subscription_number"))["subscription_number"]
    charges = inputs.rate_plan_charges.filter(pl.col("subscription_number").is_in(numbers.implode()))
    return replace(inputs, accounts=inputs.accounts.filter(inside), rate_plan_charges=charges, charged=charged)


def joined(parts: Sequence[Documents]) -> Documents:
    """Documents of all shards."""
    if len(parts) == 1:
        return parts[0]
    tables = {t: pl.concat([getattr(p, t) for p in parts], rechunk=False) for t in vars(parts[0])}
    return Documents(**(tables | {"parked_accounts": tables["parked_accounts"].sort("account_number")}))
