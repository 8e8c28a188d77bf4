"""A made-up book of any size: the same accounts and seed give the same rows, on any machine.

Rows are expressions over their numbers, written a row group at a time, so that a hundred million charges need little
memory. Nearly every charge owes one whole period up to `TARGET`, sometimes two, because the programs by hand prorate
nothing; billing periods start on the invoice owner's bill cycle day. About one in a hundred owes one more on the day
after. Of an account's ten charges the last is for usage, on its last subscription.
"""

from __future__ import annotations

import argparse
import json
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TARGET: Final = date(2025, 7, 1)
"""Seven in ten accounts are billed on the first of a month; the next day has its share of the others, about 1 %."""

SUBSCRIPTIONS: Final = 3
CHARGES: Final = 10
"""An account's subscriptions and charges on average; usage records and order line items are one an account."""

WHALES: Final = 6
"""The first has one in a hundred of all subscriptions, each of the others one in a thousand."""

OWN_GROUPING: Final = "cost center"
"""What `Grouping__c` says of accounts with a grouping configuration of their own (`benchmarks.configure`)."""

_PRIME: Final = 2**31 - 1
_MONTH: Final = TARGET.year * 12 + TARGET.month - 1
_MONEY: Final = pl.Decimal(18, 4)
_MONTHS: Final = {"Month": 1, "Quarter": 3, "Semi_Annual": 6, "Annual": 12}
_PERIODS: Final = {"Month": 70, "Quarter": 12, "Semi_Annual": 4, "Annual": 14}
_MODELS: Final = {"FlatFee": 45, "PerUnit": 31, "Volume": 12, "Tiered": 12}
_GROUP_NUMBERS: Final = ("PO-1", "po-1 ", "PO-2")
_REGIONS: Final = {"Americas": 40, "EMEA": 35, "APAC": 20}
_CENTERS: Final = {"Sales": 50, "IT": 30, "R&D": 15}
_LISTS: Final = 25
_ROW_GROUP: Final = 1 << 18


@dataclass(frozen=True)
class Table:
    """An input table: how many rows it has, and what makes them of their numbers, `row`."""

    rows: int
    made: Callable[[pl.LazyFrame], pl.LazyFrame]

    def frame(self) -> pl.DataFrame:
        """All rows."""
        return self._between(0, self.rows)

    def write(self, path: Path) -> None:
        """One Parquet file, a row group at a time, so that memory does not grow with the rows."""
        with ExitStack() as stack:
            writer = None
            for start in range(0, max(self.rows, 1), _ROW_GROUP):
                group = self._between(start, min(start + _ROW_GROUP, self.rows)).to_arrow()
                writer = writer or stack.enter_context(pq.ParquetWriter(path, group.schema, compression="zstd"))
                writer.write_table(group)

    def _between(self, start: int, end: int) -> pl.DataFrame:
        return self.made(pl.LazyFrame({"row": pl.int_range(start, end, eager=True)})).collect()


@dataclass(frozen=True)
class Maker:
    """Draws and looks things up by row number; a child's parent is reckoned, never joined."""

    accounts: int
    seed: int
    subscriptions: int = SUBSCRIPTIONS
    """An account's, on average."""

    only_one: bool = False
    """Whether everything is the first account's."""

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

    def cycle_day(self, account: pl.Expr) -> pl.Expr:
        """Most accounts are billed on the first, the others on any day."""
        other = self.roll(account, "which day", 31) + 1
        return pl.when(self.chance(account, "day", 70)).then(1).otherwise(other)

    def currency(self, account: pl.Expr) -> pl.Expr:
        """One of the two currencies."""
        return self.pick(account, "currency", {"USD": 70, "GBP": 30})

    def account_of(self, subscription: pl.Expr) -> pl.Expr:
        """The account that has a subscription: a whale, one of the large ones (1 % of all), or any."""
        if self.only_one:
            return subscription * 0
        even, size = subscription // self.subscriptions, self.roll(subscription, "size", 1_000)
        large = even % max(self.accounts // 100, 1)
        whale = pl.max_horizontal(size - 9, 0) % self.accounts
        return pl.when(size < 9 + WHALES).then(whale).when(size < 115).then(large).otherwise(even)  # noqa: PLR2004

    def owner_of(self, subscription: pl.Expr) -> pl.Expr:
        """The account that pays: for a few subscriptions the first one of ten."""
        account = self.account_of(subscription)
        return pl.when(self.chance(subscription, "parent pays", 3)).then(account // 10 * 10).otherwise(account)

    def group_number(self, account: pl.Expr, row: pl.Expr, what: str) -> pl.Expr:
        """A group number in several spellings, for some rows of some accounts."""
        some = self.chance(account, "numbers", 15) & self.chance(row, what, 60)
        return pl.when(some).then(self.pick(row, f"{what} text", dict.fromkeys(_GROUP_NUMBERS, 33)))


def tables(accounts: int, seed: int, *, only_one: bool = False) -> dict[str, Table]:
    """The input tables of a book with so many accounts; with `only_one`, the first of them has everything."""
    make = Maker(accounts, seed, only_one=only_one)
    return {
        "accounts": Table(accounts, lambda rows: rows.select(**account_columns(make))),
        "subscriptions": Table(accounts * SUBSCRIPTIONS, lambda rows: rows.select(**subscription_columns(make))),
        "rate_plan_charges": Table(accounts * CHARGES, lambda rows: _charges(make, rows)),
        "usage": Table(accounts, lambda rows: rows.select(**_usage(make))),
        "order_line_items": Table(accounts, lambda rows: rows.select(**_order_line_items(make))),
        "sequence_sets": Table(1, sequence_sets),
    }


def sequence_sets(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The set of those who pay in pounds."""
    sets = {"name": "UK", "invoice_prefix": "UK", "credit_memo_prefix": "UKC"}
    return rows.select(pl.lit(value).alias(column) for column, value in sets.items())


def account_columns(make: Maker) -> dict[str, pl.Expr]:
    """Columns of accounts, by name, over `row`."""
    row = pl.col("row")
    return {
        "account_number": named("A", row),
        "name": pl.format("Customer {}", row),
        "currency": make.currency(row),
        "bill_to_contact": named("C", row),
        "sold_to_contact": named("C", row),
        "payment_term": make.pick(row, "term", {"Net 30": 70, "Net 60": 20, "Due Upon Receipt": 10}),
        "invoice_template": make.pick(row, "template", {"Standard": 60, "Detailed": 20}),
        "sequence_set": pl.when(make.currency(row) == "GBP").then(pl.lit("UK")),
        "communication_profile": make.pick(row, "profile", {"Email": 50, "Post": 10}),
        "bill_cycle_day": make.cycle_day(row),
        "status": pl.when((row >= WHALES) & make.chance(row, "status", 1))
        .then(pl.lit("Canceled"))
        .otherwise(pl.lit("Active")),
        "Grouping__c": make.pick(row, "grouping", {OWN_GROUPING: 10}),
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
        "sold_to_contact": pl.when(make.chance(row, "sold to", 10)).then(named("C", account + 1)),
        "payment_term": make.pick(row, "own term", {"Net 30": 10, "Net 90": 2}),
        "invoice_template": make.pick(row, "own template", {"Detailed": 3}),
        "invoice_group_number": make.group_number(account, row, "group"),
        "invoice_separately": make.chance(row, "separately", 3),
        "Region__c": make.pick(row, "region", _REGIONS),
    }


def _charges(make: Maker, rows: pl.LazyFrame) -> pl.LazyFrame:
    row, subscription, kind = pl.col("row"), pl.col("row") * SUBSCRIPTIONS // CHARGES, pl.col("kind")
    once = pl.when(make.chance(row, "once", 8)).then(pl.lit("OneTime")).otherwise(pl.lit("Recurring"))
    return (
        rows.with_columns(kind=pl.when(row % CHARGES == CHARGES - 1).then(pl.lit("Usage")).otherwise(once))
        .with_columns(
            subscription=subscription,
            model=pl.when(kind == "Usage").then(pl.lit("PerUnit")).otherwise(make.pick(row, "model", _MODELS)),
            **_grid(make, make.owner_of(subscription)),
        )
        .select(**_sold(make), **_prices(make), **_dates(make))
    )


def _grid(make: Maker, owner: pl.Expr) -> dict[str, pl.Expr]:
    """Period, timing and day, and the month of the last boundary up to `TARGET`."""
    row, kind = pl.col("row"), pl.col("kind")
    longer = pl.when(kind == "Recurring").then(make.pick(row, "period", _PERIODS))
    period = pl.when(kind == "Usage").then(pl.lit("Month")).otherwise(longer)
    length = period.replace_strict(_MONTHS, default=1, return_dtype=pl.Int64)
    day = make.cycle_day(owner)
    return {
        "period": period,
        "length": length,
        "in_arrears": ((kind == "Usage") | make.chance(row, "arrears", 25)).cast(pl.Int64),
        "day": day,
        "month": _MONTH - (day > TARGET.day).cast(pl.Int64) - make.roll(row, "phase", 12) % length,
    }


def _sold(make: Maker) -> dict[str, pl.Expr]:
    row = pl.col("row")
    return {
        "charge_number": named("R", row),
        "subscription_number": named("S", pl.col("subscription")),
        "rate_plan_name": make.pick(row, "plan", {"Basic": 50, "Team": 30, "Enterprise": 20}),
        "charge_name": make.pick(row, "name", {"Platform": 40, "Seats": 40, "Support": 20}),
        "charge_type": pl.col("kind"),
        "charge_model": pl.col("model"),
        "billing_period": pl.col("period"),
        "billing_timing": pl.when(pl.col("in_arrears") == 1).then(pl.lit("IN_ARREARS")).otherwise(pl.lit("IN_ADVANCE")),
        "CostCenter__c": make.pick(row, "center", _CENTERS),
    }


def _prices(make: Maker) -> dict[str, pl.Expr]:
    row, model, used = pl.col("row"), pl.col("model"), pl.col("kind") == "Usage"
    fee, unit_price = make.roll(row, "fee", 5_000) * 100 + 999, make.roll(row, "unit price", 100_000) + 1
    sign = pl.when(make.chance(row, "negative", 1)).then(-1).otherwise(1)
    per_unit, in_tiers = model == "PerUnit", model.is_in(["Volume", "Tiered"])
    units = pl.when(in_tiers).then((make.roll(row, "units", 2_000) + 1) * 10_000)
    seats = pl.when(per_unit & ~used).then(make.roll(row, "seats", 100_000) * 10 + 5_000)
    monthly = make.chance(row, "base", 20) & pl.col("period").is_not_null()
    return {
        "price": money(pl.when(per_unit).then(unit_price).when(model == "FlatFee").then(fee) * sign),
        "quantity": money(pl.coalesce(units, seats)),
        "uom": pl.when(used).then(pl.lit("Call")).when(model != "FlatFee").then(pl.lit("Seat")),
        "tiers": pl.when(in_tiers).then(make.roll(row, "tiers", _LISTS).replace_strict(tier_lists(_LISTS))),
        "list_price_base": pl.when(monthly).then(pl.lit("Per_Month")).otherwise(pl.lit("Per_Billing_Period")),
    }


def tier_lists(count: int, *, is_open: bool = True) -> dict[int, str]:
    """Lists of two to five tiers, from 0 or from 1, each cheaper than the one before; some are flat fees."""
    return {n: json.dumps(_tiers(n, is_open=is_open)) for n in range(count)}


def _tiers(n: int, *, is_open: bool) -> list[dict[str, object]]:
    size, step = 2 + n % 4, 50 * (1 + n)
    starts = [n % 2, *(step * 2**k + n % 2 for k in range(size - 1))]
    ends = [*(step * 2**k for k in range(size - 1)), None if is_open else step * 2**size]
    return [
        {
            "startingUnit": start,
            **({} if end is None else {"endingUnit": end}),
            "price": round(2 - 0.3 * k + n / 100, 2),
            "priceFormat": "FlatFee" if (n + k) % 7 == 0 else "PerUnit",
        }
        for k, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _dates(make: Maker) -> dict[str, pl.Expr]:
    """Dates of which one period is due, sometimes two; and a few charges that have not begun."""
    row, length, recurring = pl.col("row"), pl.col("length"), pl.col("kind") == "Recurring"

    def boundary(periods: pl.Expr) -> pl.Expr:
        return on_day(pl.col("month") + (periods - pl.col("in_arrears")) * length, pl.col("day"))

    before, behind = make.roll(row, "periods before", 12), (recurring & make.chance(row, "behind", 10)).cast(pl.Int64)
    later = recurring & make.chance(row, "later", 2)
    once = pl.lit(TARGET) - pl.duration(days=make.roll(row, "day of sale", 60) - 1)
    begun = pl.when(later).then(on_day(pl.lit(_MONTH + 1), pl.col("day"))).otherwise(boundary(-before))
    ends = recurring & ~later & make.chance(row, "ends", 3)
    billed = (pl.col("kind") != "OneTime") & ~later & (before > behind)
    return {
        "effective_start_date": pl.when(pl.col("kind") == "OneTime").then(once).otherwise(begun),
        "effective_end_date": pl.when(ends).then(boundary(pl.lit(1))),
        "charged_through_date": pl.when(billed).then(boundary(-behind)),
    }


def _usage(make: Maker) -> dict[str, pl.Expr]:
    """Records of the period that is due: one for most usage charges, for a few none or several."""
    row = pl.col("row")
    other = make.roll(row, "whose", make.accounts)
    of = pl.when(make.chance(row, "another's", 20)).then(other).otherwise(row)
    charge = of * CHARGES + CHARGES - 1
    subscription = charge * SUBSCRIPTIONS // CHARGES
    day = make.cycle_day(make.owner_of(subscription))
    start = on_day(_MONTH - 1 - (day > TARGET.day).cast(pl.Int64), day)
    return {
        "usage_id": named("U", row),
        "account_number": named("A", make.account_of(subscription)),
        "charge_number": named("R", charge),
        "uom": pl.lit("Call"),
        "quantity": money(make.roll(row, "used", 5_000_000) + 1),
        "start_date": start + pl.duration(days=make.roll(row, "day of use", 28)),
    }


def _order_line_items(make: Maker) -> dict[str, pl.Expr]:
    row = pl.col("row")
    order, account = row // 2, row // 2 * 2 * (0 if make.only_one else 1)
    return {
        "order_number": named("O", order),
        "item_number": (row % 2 + 1).cast(pl.String),
        "account_number": named("A", account),
        "item_name": make.pick(row, "item", {"Router": 50, "Cable": 30, "Installation": 20}),
        "item_category": make.pick(row, "category", {"Sales": 95, "Return": 5}),
        "item_state": make.pick(row, "state", {"SentToBilling": 96, "Executing": 4}),
        "quantity": money((make.roll(row, "units", 5) + 1) * 10_000),
        "amount_per_unit": money(make.roll(row, "price", 3_000_000) + 1),
        "bill_target_date": pl.lit(TARGET) - pl.duration(days=make.roll(row, "day", 60) - 1),
        "transaction_date": pl.lit(TARGET).dt.offset_by("-62d"),
        "payment_term": make.pick(row, "own term", {"Net 30": 5}),
        "invoice_group_number": make.group_number(account, row, "group"),
        "Region__c": make.pick(row, "region", _REGIONS),
        "CostCenter__c": make.pick(row, "center", _CENTERS),
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


def write(folder: Path, made: Mapping[str, Table]) -> None:
    """Every table as a Parquet file of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in made.items():
        table.write(folder / f"{name}.parquet")


def main() -> None:
    """Write the tables as Parquet files."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only-one", action="store_true", help="everything is the first account's")
    arguments = parser.parse_args()
    write(arguments.folder, tables(arguments.accounts, arguments.seed, only_one=arguments.only_one))


if __name__ == "__main__":
    main()
