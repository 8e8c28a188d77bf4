"""A file of invoice schedules and the book that they are for: the same arguments give the same bytes, on any machine.

Every account has an order, one subscription of a year and one to four charges of a year: three in ten by units, one in
five later than the subscription, one subscription in ten with a discount on all of them. A schedule is for an account's
order and has eight to twelve items, a month after another, by amounts or, one in five, by percentages. They begin in
three months in turn, so that of a hundred schedules about a hundred items are due up to `FIRST`, and as many again in
the month after it.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from benchmarks.generate import Maker, money, named

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST: Final = date(2025, 2, 28)
SECOND: Final = date(2025, 3, 31)
"""Target dates of the two runs: two of three schedules have begun up to the first one, all of them up to the second."""

_BEGINS: Final = 3
"""In so many months do schedules begin, from January 2025 on."""

_FEWEST, _SIZES, _LONGEST_DAY = 8, 5, 28
_STEP: Final = 4
"""Prices are multiples of so many units, so that nine months of a year, and a tenth off them, are whole cents."""


def tables(accounts: int, seed: int) -> dict[str, pl.DataFrame]:
    """The input tables of the book."""
    make, row = Maker(accounts, seed), pl.col("row")
    rows = pl.select(row=pl.int_range(accounts))
    return {
        "accounts": rows.select(
            account_number=named("A", row),
            name=pl.format("Customer {}", row),
            currency=make.currency(row),
            bill_to_contact=named("C", row),
            payment_term=make.pick(row, "term", {"Net 30": 70, "Net 60": 20, "Due Upon Receipt": 10}),
            bill_cycle_day=1,
        ),
        "subscriptions": rows.select(
            subscription_number=named("S", row),
            account_number=named("A", row),
            contract_effective_date=_start(row),
            term_start_date=_start(row),
            term_end_date=_start(row).dt.offset_by("12mo"),
        ),
        "orders": rows.select(
            order_number=named("O", row), account_number=named("A", row), order_date=_start(row).dt.offset_by("-9d")
        ),
        "rate_plan_charges": pl.concat([_charges(make), _discounts(make)], how="diagonal"),
    }


def _start(row: pl.Expr) -> pl.Expr:
    """The first day of an account's subscription, and the month of its first item."""
    return pl.date(2025, row % _BEGINS + 1, 1)


def _charges(make: Maker) -> pl.DataFrame:
    """One to four charges an account; `row` numbers them all."""
    account, place = pl.col("account"), pl.col("place")
    each = pl.select(account=pl.int_range(make.accounts)).with_columns(place=make.roll(account, "charges", 4) + 1)
    rows = each.with_columns(pl.int_ranges(0, "place").alias("place")).explode("place").with_row_index("row")
    row = pl.col("row").cast(pl.Int64)
    counted, later = make.chance(row, "counted", 30), (place > 0) & make.chance(row, "later", 20)
    start = _start(account)
    price = (make.roll(row, "price", 3_000) + 1) * _STEP * 10_000
    return rows.select(
        charge_number=pl.format("{}-{}", named("R", account), place + 1),
        subscription_number=named("S", account),
        charge_name=make.pick(row, "name", {"Platform": 40, "Seats": 40, "Support": 20}),
        charge_type=pl.lit("Recurring"),
        charge_model=pl.when(counted).then(pl.lit("PerUnit")).otherwise(pl.lit("FlatFee")),
        price=money(price),
        quantity=pl.when(counted).then(money((make.roll(row, "units", 20) + 1) * 10_000)),
        uom=pl.when(counted).then(pl.lit("Seat")),
        billing_period=pl.lit("Annual"),
        bill_cycle_type=pl.lit("ChargeTriggerDay"),
        effective_start_date=pl.when(later).then(start.dt.offset_by("3mo")).otherwise(start),
        effective_end_date=start.dt.offset_by("12mo"),
    )


def _discounts(make: Maker) -> pl.DataFrame:
    """Ten percent off everything of one subscription in ten."""
    account = pl.col("account")
    return (
        pl.select(account=pl.int_range(make.accounts))
        .filter(make.chance(account, "discount", 10))
        .select(
            charge_number=pl.format("{}-off", named("R", account)),
            subscription_number=named("S", account),
            charge_name=pl.lit("Ten percent off"),
            charge_type=pl.lit("Recurring"),
            charge_model=pl.lit("DiscountPercentage"),
            discount_percentage=money(pl.lit(100_000)),
            discount_level=pl.lit("subscription"),
            apply_discount_to=pl.lit("RECURRING"),
            effective_start_date=_start(account),
            effective_end_date=_start(account).dt.offset_by("12mo"),
        )
    )


def totals(charges: pl.DataFrame) -> list[int]:
    """What each account's schedule bills in all, in cents, in the order of the accounts."""
    discounted = charges.filter(charge_model="DiscountPercentage").select("subscription_number", tenths=pl.lit(9))
    months = pl.col("effective_end_date").dt.month() + 12 - pl.col("effective_start_date").dt.month()
    units = pl.coalesce("quantity", pl.lit(1)).cast(pl.Int64)
    cents = pl.col("price").cast(pl.Int64) * 100 * units * months // 12
    sums = (
        charges.filter(pl.col("charge_model") != "DiscountPercentage")
        .group_by("subscription_number")
        .agg(cents=cents.sum())
        .join(discounted, on="subscription_number", how="left")
        .sort("subscription_number")
    )
    return sums.select(pl.col("cents") * pl.col("tenths").fill_null(10) // 10)["cents"].to_list()


def schedules(charges: pl.DataFrame, seed: int) -> Iterator[dict[str, Any]]:
    """One request an account."""
    for n, cents in enumerate(totals(charges)):
        yield {
            "accountKey": f"A-{n:08d}",
            "orders": [f"O-{n:08d}"],
            "invoiceSeparately": n % 2 == 0,
            "notes": f"Agreed for order {n}",
            "scheduleItems": _items(n, cents, n * 7_919 + seed),
        }


def _items(n: int, cents: int, roll: int) -> list[dict[str, Any]]:
    """Items of equal sizes, on one day of the months; the last takes what is left."""
    count, day = _FEWEST + n % _SIZES, roll % _LONGEST_DAY + 1
    by_percentage = roll // _LONGEST_DAY % 5 == 0
    size, whole = ("percentage", 10_000) if by_percentage else ("amount", cents)
    each = whole // count
    sizes = [each] * (count - 1) + [whole - each * (count - 1)]
    months = range(n % _BEGINS, n % _BEGINS + count)
    return [
        {"name": f"Part {k + 1}", "runDate": f"{2025 + m // 12}-{m % 12 + 1:02d}-{day:02d}", size: sizes[k] / 100}
        for k, m in enumerate(months)
    ]


def main() -> None:
    """Write the book's tables into a folder `book`, and beside it the file of requests."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    (folder / "book").mkdir(parents=True, exist_ok=True)
    made = tables(arguments.schedules, arguments.seed)
    for table, rows in made.items():
        rows.write_parquet(folder / "book" / f"{table}.parquet")
    with (folder / "schedules.jsonl").open("w", encoding="utf-8") as file:
        asked = schedules(made["rate_plan_charges"], arguments.seed)
        file.writelines(f"{json.dumps(request, separators=(',', ':'))}\n" for request in asked)


if __name__ == "__main__":
    main()
