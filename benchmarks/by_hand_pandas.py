"""The same bill run with pandas, for a price to compare with: arrays instead of rows, texts only at the edges.

Money and quantities are integers, ten-thousandths of one; what refers to a row is the row's place. See `by_hand.sql`
for what the book of this benchmark allows to leave away.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.by_hand_pandas_documents import (
    ATTRIBUTES,
    BLANK,
    documents_of,
    looked_up_of,
    write_headers,
    write_items,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    Array: TypeAlias = np.ndarray[Any, Any]

_SCALE: Final = 10_000
_CENT: Final = 100
_MONTHS: Final = {"Month": 1, "Quarter": 3, "Semi_Annual": 6, "Annual": 12}
_KEY: Final = (
    "owner", *ATTRIBUTES, "sequence_set", "communication_profile", "separate", "group_number", "ungrouped",
)  # fmt: skip


@dataclass(frozen=True)
class Due:
    """Periods of charges: the row of the charge, the first day, and the first one after it."""

    row: Array
    start: Array
    end: Array


def read(folder: Path, table: str, columns: Sequence[str]) -> pd.DataFrame:
    """A table; decimals become integers (blank ones 0) and dates arrays of days."""
    found = pq.read_table(folder / f"{table}.parquet", columns=list(columns))
    for place, field in enumerate(found.schema):
        if pa.types.is_decimal(field.type):
            scaled = pc.cast(pc.multiply(found.column(place), Decimal(_SCALE)), pa.int64())
            found = found.set_column(place, field.name, pc.fill_null(scaled, 0))
        elif pa.types.is_date(field.type):
            found = found.set_column(place, field.name, pc.cast(found.column(place), pa.timestamp("s")))
    return found.to_pandas(split_blocks=True, self_destruct=True)


def by_key(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows in the order of their key; a sort is paid for only where there is none."""
    return rows if rows[key].is_monotonic_increasing else rows.sort_values(key, ignore_index=True)


def accounts_of(folder: Path) -> pd.DataFrame:
    """All accounts in order."""
    columns = (
        "account_number", "currency", "bill_to_contact", "sold_to_contact", "payment_term", "invoice_template",
        "sequence_set", "communication_profile", "bill_cycle_day", "status", "Grouping__c",
    )  # fmt: skip
    found = by_key(read(folder, "accounts", columns), "account_number")
    found["by_center"] = (found["Grouping__c"] == "cost center").to_numpy(dtype=bool)
    found["sequence_set"] = found["sequence_set"].fillna("DEFAULT")
    return found


def subscriptions_of(folder: Path, accounts: pd.DataFrame) -> pd.DataFrame:
    """Subscriptions that can be billed, with the place of the account that pays."""
    columns = (
        "subscription_number", "account_number", "invoice_owner_account_number", "status", "invoice_group_number",
        "invoice_separately", "sold_to_contact", *ATTRIBUTES,
    )  # fmt: skip
    found = read(folder, "subscriptions", columns)
    found = by_key(found[~found["status"].isin(["Draft", "Expired"])].reset_index(drop=True), "subscription_number")
    places = pd.Index(accounts["account_number"])
    own, payer = found["account_number"], found["invoice_owner_account_number"]
    sold_to = accounts["sold_to_contact"].take(places.get_indexer(own)).reset_index(drop=True)
    return found.assign(
        owner=places.get_indexer(payer.fillna(own)),
        sold_to_contact=found["sold_to_contact"].fillna(sold_to),
        group_name=found["invoice_group_number"].str.strip(),
        separately=found["invoice_separately"],
        active=found["status"] == "Active",
    )


def order_lines_of(folder: Path, accounts: pd.DataFrame) -> pd.DataFrame:
    """Order lines that may be billed some day."""
    columns = (
        "order_number", "item_number", "account_number", "item_name", "item_category", "item_state", "quantity",
        "amount_per_unit", "bill_target_date", "transaction_date", "payment_term", "invoice_group_number",
        "CostCenter__c",
    )  # fmt: skip
    found = read(folder, "order_line_items", columns)
    found = found[found["item_state"].isin(["Executing", "Booked", "SentToBilling"])]
    found = found.sort_values(["order_number", "item_number"], ignore_index=True)
    owner = pd.Index(accounts["account_number"]).get_indexer(found["account_number"])
    blank = dict.fromkeys(("currency", "bill_to_contact", "invoice_template"))
    sold_to = accounts["sold_to_contact"].take(owner).reset_index(drop=True)
    group_name = found["invoice_group_number"].str.strip()
    return found.assign(
        owner=owner, sold_to_contact=sold_to, group_name=group_name, separately=False, active=True, **blank
    )


def carriers_of(accounts: pd.DataFrame, subscriptions: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """What subscriptions and, behind them, order lines give to their lines; `key` is the rank of their documents."""
    both = pd.concat([subscriptions, lines], ignore_index=True)
    both["place"] = np.concatenate([len(lines) + np.arange(len(subscriptions)), np.arange(len(lines))])
    has_numbers = np.zeros(len(accounts), dtype=bool)
    has_numbers[both["owner"][both["active"] & both["group_name"].notna()]] = True
    owner = both["owner"].to_numpy()
    for attribute in ATTRIBUTES:
        both[attribute] = both[attribute].fillna(accounts[attribute].take(owner).reset_index(drop=True))
    for attribute in ("sequence_set", "communication_profile"):
        both[attribute] = accounts[attribute].take(owner).to_numpy()
    separately, blank = both["separately"].to_numpy(dtype=bool), both["group_name"].isna().to_numpy()
    by_center = accounts["by_center"].to_numpy()[owner]
    alone = ~separately & blank & has_numbers[owner] & ~by_center
    carriers = both.assign(
        separate=np.where(separately, both["place"], BLANK),
        group_number=both["group_name"].str.lower().mask(separately),
        ungrouped=np.where(alone, both["place"], BLANK),
        by_center=by_center,
        bill_cycle_day=accounts["bill_cycle_day"].to_numpy()[owner],
        is_billed=(accounts["status"] == "Active").to_numpy()[owner],
    )
    return carriers.assign(key=carriers.groupby(list(_KEY), dropna=False, sort=True).ngroup())


def charges_of(
    folder: Path, subscriptions: pd.DataFrame, carriers: pd.DataFrame, target: np.datetime64
) -> pd.DataFrame:
    """Charges that have begun, with the place of their carrier."""
    columns = (
        "charge_number", "subscription_number", "charge_name", "charge_type", "charge_model", "price", "quantity",
        "uom", "tiers", "list_price_base", "billing_period", "billing_timing", "effective_start_date",
        "effective_end_date", "charged_through_date", "CostCenter__c",
    )  # fmt: skip
    found = by_key(read(folder, "rate_plan_charges", columns), "charge_number")
    carrier = pd.Index(subscriptions["subscription_number"]).get_indexer(found.pop("subscription_number"))
    billed = (carrier >= 0) & carriers["is_billed"].to_numpy()[carrier]
    kept = billed & (found["effective_start_date"].to_numpy() <= target)
    found = found[kept].reset_index(drop=True)
    length = found["billing_period"].map(_MONTHS).fillna(1).to_numpy(dtype=np.int64)
    monthly = (found["list_price_base"] == "Per_Month").to_numpy()
    return found.assign(carrier=carrier[kept], length=length, multiplier=np.where(monthly, length, 1))


def month_of(days: Array) -> Array:
    """Months since 1970."""
    return days.astype("datetime64[M]").astype(np.int64)


def on_day(months: Array, days: Array) -> Array:
    """A day of a month, or its last one if it is shorter."""
    first, end = (m.astype("datetime64[M]").astype("datetime64[D]") for m in (months, months + 1))
    found: Array = np.minimum(first + (days - 1), end - 1)
    return found


def due_of(charges: pd.DataFrame, carriers: pd.DataFrame, target: np.datetime64) -> Due:
    """Every whole period up to the target date, and what is sold once."""
    start, through = (charges[c].to_numpy() for c in ("effective_start_date", "charged_through_date"))
    since = np.where(np.isnat(through), start, through).astype("datetime64[D]")
    once = (charges["charge_type"] == "OneTime").to_numpy()
    sold = np.flatnonzero(once & np.isnat(through))
    rows = np.flatnonzero(~once)
    anchor, length = month_of(start[rows]), charges["length"].to_numpy()[rows]
    first = (month_of(since[rows]) - anchor) // length
    counts = (target.astype("datetime64[M]").astype(np.int64) - anchor) // length + 1 - first
    counts = np.maximum(counts, 0)
    within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    months = np.repeat(anchor + first * length, counts) + within * np.repeat(length, counts)
    rows, length = np.repeat(rows, counts), np.repeat(length, counts)
    day = carriers["bill_cycle_day"].to_numpy()[charges["carrier"].to_numpy()[rows]]
    begin, end = on_day(months, day), on_day(months + length, day)
    last = charges["effective_end_date"].to_numpy().astype("datetime64[D]")[rows]
    in_arrears = (charges["billing_timing"] == "IN_ARREARS").to_numpy()[rows]
    owed = (begin >= since[rows]) & (np.isnat(last) | (end <= last)) & (np.where(in_arrears, end, begin) <= target)
    return Due(
        np.concatenate([rows[owed], sold]),
        np.concatenate([begin[owed], since[sold]]),
        np.concatenate([end[owed], since[sold] + 1]),
    )


def used_in(folder: Path, charges: pd.DataFrame, due: Due) -> Array:
    """What was used in each period; 0 where nothing was, or the charge is not for usage."""
    periods = np.flatnonzero((charges["charge_type"] == "Usage").to_numpy()[due.row])
    numbers = charges["charge_number"].take(due.row[periods])
    asked = pd.DataFrame({"charge_number": numbers.to_numpy(), "period": periods})
    records = read(folder, "usage", ("charge_number", "quantity", "start_date")).merge(asked, on="charge_number")
    day, period = records["start_date"].to_numpy().astype("datetime64[D]"), records["period"].to_numpy()
    inside = (due.start[period] <= day) & (day < due.end[period])
    found = np.zeros(len(due.row), dtype=np.int64)
    np.add.at(found, period[inside], records["quantity"].to_numpy()[inside])
    return found


def priced(charges: pd.DataFrame, due: Due, used: Array) -> tuple[Array, Array, Array, Array]:
    """Quantities, unit prices, which of these there are, and amounts in ten-thousandths, rounded to cents."""
    kind, model = (charges[c].take(due.row).to_numpy() for c in ("charge_type", "charge_model"))
    multiplier = charges["multiplier"].to_numpy()[due.row]
    quantity = np.where(model == "FlatFee", _SCALE, charges["quantity"].to_numpy()[due.row])
    quantity = np.where(kind == "Usage", used, quantity)
    unit_price = charges["price"].to_numpy()[due.row] * multiplier
    owed, has_price = quantity * unit_price, np.ones(len(due.row), dtype=bool)
    in_tiers = np.flatnonzero((model == "Volume") | (model == "Tiered"))
    price, has_price[in_tiers], exact = by_tiers(
        charges["tiers"].take(due.row[in_tiers]), quantity[in_tiers], model[in_tiers] == "Volume"
    )
    unit_price[in_tiers], owed[in_tiers] = price * multiplier[in_tiers], exact * multiplier[in_tiers]
    return quantity, unit_price, has_price, to_cents(owed)


def by_tiers(lists: pd.Series, quantity: Array, is_volume: Array) -> tuple[Array, Array, Array]:
    """Unit prices, which of them there are, and exact amounts. A tier holds what is above the one before."""
    codes, texts = pd.factorize(lists)
    told = [json.loads(text, parse_float=Decimal) for text in texts]
    most = max((len(tiers) for tiers in told), default=1)
    upper = np.full((len(told), most), np.iinfo(np.int64).max)
    lower, price, below = (np.zeros((len(told), most), dtype=np.int64) for _ in range(3))
    is_flat = np.zeros((len(told), most), dtype=bool)
    for n, tiers in enumerate(told):
        for k, tier in enumerate(tiers):
            price[n, k], is_flat[n, k] = int(tier["price"] * _SCALE), tier["priceFormat"] == "FlatFee"
            if k:
                lower[n, k] = upper[n, k - 1]
                slice_ = _SCALE if is_flat[n, k - 1] else lower[n, k] - lower[n, k - 1]
                below[n, k] = below[n, k - 1] + price[n, k - 1] * slice_
            if "endingUnit" in tier:
                upper[n, k] = int(tier["endingUnit"] * _SCALE)
    tier = (quantity[:, None] > upper[codes]).sum(axis=1)
    own, flat = price[codes, tier], is_flat[codes, tier]
    counted = np.where(is_volume, quantity, quantity - lower[codes, tier])
    amount = own * np.where(flat, _SCALE, counted) + np.where(is_volume, 0, below[codes, tier])
    return own, is_volume & ~flat, amount


def to_cents(exact: Array) -> Array:
    """Amounts in ten-thousandths, rounded half away from zero to cents, from a quantity times a price."""
    cents = (np.abs(exact) + _SCALE * _CENT // 2) // (_SCALE * _CENT)
    signed: Array = np.sign(exact) * cents * _CENT
    return signed


def lines_of(folder: Path, accounts: pd.DataFrame, target: np.datetime64) -> tuple[pd.DataFrame, ...]:
    """Every amount owed, the charges and order lines (`row`) that owe them, and all carriers."""
    subscriptions, orders = subscriptions_of(folder, accounts), order_lines_of(folder, accounts)
    carriers = carriers_of(accounts, subscriptions, orders)
    charges = charges_of(folder, subscriptions, carriers, target)
    due = due_of(charges, carriers, target)
    quantity, unit_price, has_price, amount = priced(charges, due, used_in(folder, charges, due))
    of_charges = pd.DataFrame({
        "is_order": False, "is_return": False, "row": due.row, "carrier": charges["carrier"].to_numpy()[due.row],
        "start": due.start, "end": due.end - 1, "quantity": quantity, "unit_price": unit_price,
        "has_price": has_price, "amount": amount,
    })  # fmt: skip
    carrier = len(subscriptions) + np.arange(len(orders))
    sent = (orders["item_state"] == "SentToBilling").to_numpy() & (orders["bill_target_date"].to_numpy() <= target)
    row = np.flatnonzero(sent & carriers["is_billed"].to_numpy()[carrier])
    sold = orders.take(row)
    is_return, day = (sold["item_category"] == "Return").to_numpy(), sold["transaction_date"].to_numpy()
    exact = (sold["quantity"] * sold["amount_per_unit"]).to_numpy() * np.where(is_return, -1, 1)
    of_orders = pd.DataFrame({
        "is_order": True, "is_return": is_return, "row": row, "carrier": carrier[row],
        "start": day.astype("datetime64[D]"), "end": day.astype("datetime64[D]"),
        "quantity": sold["quantity"].to_numpy(), "unit_price": sold["amount_per_unit"].to_numpy(), "has_price": True,
        "amount": to_cents(exact),
    })  # fmt: skip
    lines = pd.concat([of_charges, of_orders], ignore_index=True)
    return with_groups(lines, charges, orders, carriers), charges, orders, carriers


def with_groups(
    lines: pd.DataFrame, charges: pd.DataFrame, orders: pd.DataFrame, carriers: pd.DataFrame
) -> pd.DataFrame:
    """Adds `center`, the code of a configured value, and `group`: lines of one group share documents."""
    both = pd.concat([charges["CostCenter__c"], orders["CostCenter__c"]], ignore_index=True)
    codes, texts = pd.factorize(both, sort=True)
    row = lines["row"].to_numpy() + np.where(lines["is_order"], len(charges), 0)
    carrier = lines["carrier"].to_numpy()
    center = np.where(carriers["by_center"].to_numpy()[carrier], codes[row], BLANK)
    group = carriers["key"].to_numpy()[carrier] * (len(texts) + 1) + center + 1
    value = both.take(row).where(center != BLANK).reset_index(drop=True)
    return lines.assign(group=group, group_value=value)


def run(folder: Path, out: Path, target: date) -> None:
    """Make the documents of the input files in `folder` as Parquet files in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    day = np.datetime64(target)
    accounts = accounts_of(folder)
    lines, charges, orders, carriers = lines_of(folder, accounts, day)
    documents, of = documents_of(lines, carriers)
    looked_up = looked_up_of(documents, lines, carriers, accounts)
    lines = lines.assign(document=of).drop(columns=["group", "group_value", "is_return"])
    # Charges and order lines are in order, and so are a charge's periods: a stable sort leaves them so.
    order = np.lexsort((lines["row"], lines["carrier"], of))
    lines = lines.take(order[of[order] != BLANK])
    write_headers(out, documents, looked_up, day)
    write_items(out, lines, documents, charges, orders, carriers, looked_up)


def main() -> None:
    """Run the program by hand."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("target", type=date.fromisoformat)
    arguments = parser.parse_args()
    run(arguments.folder, arguments.out, arguments.target)


if __name__ == "__main__":
    main()
