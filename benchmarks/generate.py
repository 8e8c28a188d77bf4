"""A made-up book of any size: the same accounts and seed give the same rows, on any machine.

Everything is an expression over row numbers, so that a million charges take seconds. Billing periods start on the
invoice owner's bill cycle day, because the SQL by hand prorates nothing.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGET: Final = date(2025, 6, 30)
SUBSCRIPTIONS: Final = 2
CHARGES: Final = 10
"""An account's subscriptions and charges on average; order line items are one an account."""

_PRIME: Final = 2**31 - 1
_MONTH: Final = TARGET.year * 12 + TARGET.month - 1
_MONEY: Final = pl.Decimal(18, 4)
_PERIODS: Final = {"Month": 70, "Quarter": 15, "Annual": 15}
_MONTHS: Final = {"Month": 1, "Quarter": 3, "Annual": 12}
_GROUP_NUMBERS: Final = ("PO-1", "po-1 ", "PO-2")


@dataclass(frozen=True)
class Maker:
    """Draws and looks things up by row number; a child's parent is reckoned, never joined."""

    accounts: int
    seed: int

    def roll(self, row: pl.Expr, what: str, sides: int) -> pl.Expr:
        """A number from 0 to `sides` - 1, made from the row's number and what it is for. Nothing overflows."""
        x = (row + (zlib.crc32(what.encode()) + self.seed * 7_919) % _PRIME) * 48_271 % _PRIME
        return (x * x % _PRIME * x + row) % _PRIME * 69_621 % _PRIME % sides

    def chance(self, row: pl.Expr, what: str, percent: int) -> pl.Expr:
        """Whether something is so for a row."""
        return self.roll(row, what, 100) < percent

    def pick(self, row: pl.Expr, what: str, choices: Mapping[str, int]) -> pl.Expr:
        """One of some texts, by their percentages; null for what is left."""
        found, least, number = pl.lit(None, dtype=pl.String), 0, self.roll(row, what, 100)
        for text, percent in choices.items():
            found = pl.when(number.is_between(least, least + percent - 1)).then(pl.lit(text)).otherwise(found)
            least += percent
        return found

    def cycle_day(self, account: pl.Expr, on_first: int = 60) -> pl.Expr:
        """Most accounts are billed on the first: so many percent, and what is left on any day."""
        other = self.roll(account, "which day", 31) + 1
        return pl.when(self.chance(account, "day", on_first)).then(1).otherwise(other)

    def currency(self, account: pl.Expr) -> pl.Expr:
        """One of the two currencies."""
        return self.pick(account, "currency", {"USD": 70, "GBP": 30})

    def account_of(self, subscription: pl.Expr) -> pl.Expr:
        """The account that has a subscription; one in a hundred accounts has far more than others."""
        even = subscription // SUBSCRIPTIONS
        large = even % max(self.accounts // 100, 1)
        return pl.when(self.chance(subscription, "large", 10)).then(large).otherwise(even)

    def owner_of(self, subscription: pl.Expr) -> pl.Expr:
        """The account that pays: for a few subscriptions the first one of ten."""
        account = self.account_of(subscription)
        return pl.when(self.chance(subscription, "parent pays", 3)).then(account // 10 * 10).otherwise(account)

    def group_number(self, account: pl.Expr, row: pl.Expr, what: str) -> pl.Expr:
        """A group number in several spellings, for some rows of some accounts."""
        some = self.chance(account, "numbers", 15) & self.chance(row, what, 60)
        return pl.when(some).then(self.pick(row, f"{what} text", dict.fromkeys(_GROUP_NUMBERS, 33)))


def tables(accounts: int, seed: int) -> dict[str, pl.DataFrame]:
    """The input tables of a book with so many accounts."""
    make = Maker(accounts, seed)
    sizes = {
        "accounts": (accounts, account_columns),
        "subscriptions": (accounts * SUBSCRIPTIONS, subscription_columns),
        "rate_plan_charges": (accounts * CHARGES, _charges),
        "order_line_items": (accounts, _order_line_items),
    }
    made = {t: pl.select(row=pl.int_range(rows)).select(**columns(make)) for t, (rows, columns) in sizes.items()}
    sets = pl.DataFrame({"name": ["UK"], "invoice_prefix": ["UK"], "credit_memo_prefix": ["UKC"]})
    return {**made, "sequence_sets": sets}


def account_columns(make: Maker) -> dict[str, pl.Expr]:
    """Columns of accounts, by name, over `row`."""
    row = pl.col("row")
    return {
        "account_number": named("A", row),
        "name": pl.format("Customer {}", row),
        "currency": make.currency(row),
        "bill_to_contact": named("C", row),
        "payment_term": make.pick(row, "term", {"Net 30": 70, "Net 60": 20, "Due Upon Receipt": 10}),
        "sequence_set": pl.when(make.currency(row) == "GBP").then(pl.lit("UK")),
        "bill_cycle_day": make.cycle_day(row),
        "status": make.pick(row, "status", {"Active": 99, "Canceled": 1}),
    }


def subscription_columns(make: Maker) -> dict[str, pl.Expr]:
    """Columns of subscriptions, by name, over `row`."""
    row = pl.col("row")
    account, owner = make.account_of(row), make.owner_of(row)
    other = make.pick(row, "currency", {"USD": 5, "GBP": 5})
    return {
        "subscription_number": named("S", row),
        "account_number": named("A", account),
        "invoice_owner_account_number": pl.when(owner != account).then(named("A", owner)),
        "status": make.pick(row, "status", {"Active": 98, "Draft": 2}),
        "contract_effective_date": pl.lit(date(2020, 1, 1)),
        "currency": pl.when(owner != account).then(make.currency(owner)).otherwise(other),
        "bill_to_contact": pl.when(make.chance(row, "contact", 10)).then(named("C", owner + make.roll(row, "who", 2))),
        "sold_to_contact": named("C", account),
        "payment_term": make.pick(row, "own term", {"Net 30": 10, "Net 90": 2}),
        "invoice_group_number": make.group_number(account, row, "group"),
        "invoice_separately": make.chance(row, "separately", 3),
        "Region__c": make.pick(row, "region", {"Americas": 40, "EMEA": 35, "APAC": 20}),
    }


def _charges(make: Maker) -> dict[str, pl.Expr]:
    row = pl.col("row")
    subscription = row * SUBSCRIPTIONS // CHARGES
    recurring, counted = make.chance(row, "recurring", 85), make.chance(row, "counted", 40)
    fee, unit_price = make.roll(row, "fee", 5_000) * 100 + 999, make.roll(row, "unit price", 100_000) + 1
    sign = pl.when(make.chance(row, "negative", 1)).then(-1).otherwise(1)
    return {
        "charge_number": named("R", row),
        "subscription_number": named("S", subscription),
        "rate_plan_name": make.pick(row, "plan", {"Basic": 50, "Team": 30, "Enterprise": 20}),
        "charge_name": make.pick(row, "name", {"Platform": 40, "Seats": 40, "Support": 20}),
        "charge_type": pl.when(recurring).then(pl.lit("Recurring")).otherwise(pl.lit("OneTime")),
        "charge_model": pl.when(counted).then(pl.lit("PerUnit")).otherwise(pl.lit("FlatFee")),
        "price": money(pl.when(counted).then(unit_price).otherwise(fee) * sign),
        "quantity": pl.when(counted).then(money(make.roll(row, "units", 100_000) * 10 + 5_000)),
        "uom": pl.when(counted).then(pl.lit("Seat")),
        **_periods(make, row, make.cycle_day(make.owner_of(subscription)), recurring),
    }


def _periods(make: Maker, row: pl.Expr, day: pl.Expr, recurring: pl.Expr) -> dict[str, pl.Expr]:
    """Dates of which one period is due, sometimes two; and a few charges that have not begun."""
    length = make.pick(row, "period", _PERIODS).replace_strict(_MONTHS, return_dtype=pl.Int64)
    in_arrears = make.chance(row, "arrears", 25)
    month = _MONTH - pl.when(in_arrears).then(length).otherwise(0)
    before, unbilled = make.roll(row, "periods before", 12), make.chance(row, "behind", 10).cast(pl.Int64)
    later = make.chance(row, "later", 2)
    begun = on_day(month - before * length, day)
    once = pl.lit(TARGET).dt.offset_by("-29d") + pl.duration(days=make.roll(row, "day", 30))
    start = pl.when(recurring).then(begun).otherwise(once)
    billed = recurring & ~later & (before > unbilled)
    ends = recurring & ~later & make.chance(row, "ends", 3)
    return {
        "billing_period": pl.when(recurring).then(make.pick(row, "period", _PERIODS)),
        "billing_timing": pl.when(in_arrears).then(pl.lit("IN_ARREARS")).otherwise(pl.lit("IN_ADVANCE")),
        "list_price_base": make.pick(row, "base", {"Per_Billing_Period": 80, "Per_Month": 20}),
        "effective_start_date": pl.when(later).then(on_day(pl.lit(_MONTH + 1), day)).otherwise(start),
        "effective_end_date": pl.when(ends).then(on_day(month + length, day)),
        "charged_through_date": pl.when(billed).then(on_day(month - unbilled * length, day)),
    }


def _order_line_items(make: Maker) -> dict[str, pl.Expr]:
    row = pl.col("row")
    order, account = row // 2, row // 2 * 2
    return {
        "order_number": named("O", order),
        "item_number": (row % 2 + 1).cast(pl.String),
        "account_number": named("A", account),
        "item_name": make.pick(row, "item", {"Router": 50, "Cable": 30, "Installation": 20}),
        "item_category": make.pick(row, "category", {"Sales": 95, "Return": 5}),
        "item_state": make.pick(row, "state", {"SentToBilling": 96, "Executing": 4}),
        "quantity": money((make.roll(row, "units", 5) + 1) * 10_000),
        "amount_per_unit": money(make.roll(row, "price", 3_000_000) + 1),
        "bill_target_date": pl.lit(TARGET) + pl.duration(days=make.roll(row, "day", 31) - 29),
        "transaction_date": pl.lit(TARGET).dt.offset_by("-40d"),
        "payment_term": make.pick(row, "own term", {"Net 30": 5}),
        "invoice_group_number": make.group_number(account, row, "group"),
        "Region__c": make.pick(row, "region", {"Americas": 40, "EMEA": 35, "APAC": 20}),
    }


def named(letter: str, row: pl.Expr) -> pl.Expr:
    """A key made from a row's number: A-00000012."""
    return pl.format(f"{letter}-{{}}", row.cast(pl.String).str.zfill(8))


def money(ten_thousandths: pl.Expr) -> pl.Expr:
    """A decimal with four places, from how many of the fourth there are."""
    return (ten_thousandths.cast(_MONEY) / pl.lit(10_000, dtype=_MONEY)).cast(_MONEY)


def on_day(month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """A day of a month, counted from the year 0, or the month's last day if it is shorter."""
    first = pl.date(month // 12, month % 12 + 1, 1)
    return pl.min_horizontal(first + pl.duration(days=day - 1), first.dt.month_end())


def completed(folder: Path) -> dict[str, pl.DataFrame]:
    """Input files of somebody else's, with every table and column that the hand-written SQL mentions."""
    shapes = {table: rows.clear() for table, rows in tables(1, 1).items()}
    found = {path.stem: pl.read_parquet(path) for path in folder.glob("*.parquet")}
    return {t: pl.concat([shape, found.get(t, shape)], how="diagonal_relaxed") for t, shape in shapes.items()}


def main() -> None:
    """Write the tables as Parquet files."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--like", type=Path, help="instead of making rows up, take those of this folder")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    made = completed(arguments.like) if arguments.like else tables(arguments.accounts, arguments.seed)
    for table, rows in made.items():
        rows.write_parquet(arguments.folder / f"{table}.parquet")


if __name__ == "__main__":
    main()
