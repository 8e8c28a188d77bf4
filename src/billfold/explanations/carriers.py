"""What brings lines to a document: subscriptions and order lines, with their account's rows, as the run read them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.group_values import configured
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from billfold.explanations.past import Past

    Read = Callable[..., pl.LazyFrame]
    Row = Mapping[str, Any]

SUBSCRIPTION: Final = "subscription"
ORDER_LINE: Final = "order line"


@dataclass(frozen=True)
class Carrier:
    """A subscription or an order line of a document: what it is called, its row, and how many items it brings."""

    kind: str
    name: str
    row: Row
    items: int


@dataclass(frozen=True)
class Carried:
    """The carriers of a document's items, and what else decided about their group."""

    carriers: tuple[Carrier, ...]
    account: Row
    configuration: Row | None
    """The row of `invoice_groups` that applies to the account, if any."""

    schedules: Mapping[str, Row]
    columns: Mapping[str, Sequence[str]]
    """Names of columns of the tables whose fields can be configured."""


def carried(past: Past, account_number: str, items: pl.DataFrame) -> Carried:
    """The carriers of some items of one account."""
    read = past.state.read
    account = _rows(read, "accounts", "account_number", [account_number])[0]
    groups = collected(read("invoice_groups"))
    numbers = items["invoice_schedule_number"].drop_nulls().unique().sort()
    schedules = _rows(read, "invoice_schedules", "number", numbers.to_list())
    nothing = {
        "subscriptions": "subscription_number",
        "rate_plan_charges": "charge_number",
        "order_line_items": "order_number",
    }
    return Carried(
        (*_subscriptions(read, items), *_order_lines(read, items)),
        account,
        _configuration(groups, account["invoice_group"]),
        {row["number"]: row for row in schedules},
        {t: _rows_of(read, t, c, []).collect_schema().names() for t, c in nothing.items()},
    )


def _configuration(groups: pl.DataFrame, named: str | None) -> Row | None:
    """The account's own configuration, else the default one."""
    known = configured(groups)
    number = named if named in known else None
    if number not in known:
        return None
    of_account = pl.col("number") == number if number else pl.col("is_default")
    return {**groups.filter(of_account).row(0, named=True), "parsed": known[number]}


def _subscriptions(read: Read, items: pl.DataFrame) -> list[Carrier]:
    counts = Counter(items["subscription_number"].drop_nulls().to_list())
    rows = _rows(read, "subscriptions", "subscription_number", list(counts))
    return [
        Carrier(SUBSCRIPTION, r["subscription_number"], r, counts[r["subscription_number"]])
        for r in sorted(rows, key=lambda r: str(r["subscription_number"]))
    ]


def _order_lines(read: Read, items: pl.DataFrame) -> list[Carrier]:
    """In the order of the items."""
    keys = items.filter(pl.col("order_number").is_not_null()).select("order_number", "item_number", "item_id")
    if keys.is_empty():
        return []
    only = Only(among=keys["order_number"].unique())
    lines = read("order_line_items", only=only).join(keys.lazy(), on=["order_number", "item_number"])
    return [
        Carrier(ORDER_LINE, f"{r['order_number']}/{r['item_number']}", r, 1)
        for r in collected(lines.sort("item_id").drop("item_id")).iter_rows(named=True)
    ]


def _rows(read: Read, table: str, column: str, values: Sequence[str]) -> list[dict[str, Any]]:
    return collected(_rows_of(read, table, column, values).sort(column)).to_dicts() if values else []


def _rows_of(read: Read, table: str, column: str, values: Sequence[str]) -> pl.LazyFrame:
    return read(table, only=Only(among=pl.Series(column, list(values), pl.String)))
