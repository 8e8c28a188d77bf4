"""The rows of input tables that an answer rests on, as of the snapshot that was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.explanations.models import InputRow
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Read = Callable[..., pl.LazyFrame]
    Row = Mapping[str, Any]

_REQUESTS: Final = ("request", "response")
"""What orders and schedules were asked for, as it came: long, and told by the other columns."""


def input_rows(read: Read, items: pl.DataFrame, usage_ids: Sequence[str] = ()) -> tuple[InputRow, ...]:
    """What items of one account rest on; `items` have account_number and the columns that say what they bill."""
    names = {c: items[c].drop_nulls().unique().sort() for c in (
        "subscription_number", "charge_number", "order_number", "invoice_schedule_number", "invoice_schedule_item_id",
    )}  # fmt: skip
    subscriptions = _found(read, "subscriptions", "subscription_number", names["subscription_number"])
    lines = _order_lines(read, items)
    accounts = [*items["account_number"], *(r["account_number"] for r in (*subscriptions, *lines))]
    owners = pl.Series("account_number", sorted(set(accounts)), pl.String)
    schedule = names["invoice_schedule_number"]
    found = {
        "accounts": _found(read, "accounts", "account_number", owners),
        "subscriptions": subscriptions,
        "rate_plan_charges": _found(read, "rate_plan_charges", "charge_number", names["charge_number"]),
        "usage": _found(read, "usage", "usage_id", pl.Series("usage_id", list(usage_ids), pl.String)),
        "orders": _found(read, "orders", "order_number", names["order_number"]),
        "order_line_items": lines,
        "invoice_schedules": _found(read, "invoice_schedules", "number", schedule.alias("number")),
        "invoice_schedule_items": _found(
            read, "invoice_schedule_items", "item_id", names["invoice_schedule_item_id"].alias("item_id")
        ),
        "invoice_schedule_charges": _links(read, schedule, names["charge_number"]),
    }
    return tuple(_told(table, row) for table, rows in found.items() for row in rows)


def _found(read: Read, table: str, column: str, values: pl.Series) -> list[dict[str, Any]]:
    if values.is_empty():
        return []
    rows = read(table, only=Only(among=values.alias(column)))
    by = [c for c in (column, "segment") if c in rows.collect_schema().names()]
    return collected(rows.sort(by)).to_dicts()


def _order_lines(read: Read, items: pl.DataFrame) -> list[dict[str, Any]]:
    keys = items.select("order_number", "item_number").drop_nulls().unique()
    if keys.is_empty():
        return []
    only = Only(among=keys["order_number"].unique())
    rows = read("order_line_items", only=only).join(keys.lazy(), on=keys.columns, how="semi")
    return collected(rows.sort(keys.columns)).to_dicts()


def _links(read: Read, schedules: pl.Series, charges: pl.Series) -> list[dict[str, Any]]:
    rows = _found(read, "invoice_schedule_charges", "invoice_schedule_number", schedules)
    return [r for r in rows if r["charge_number"] in set(charges)]


def _told(table: str, row: Row) -> InputRow:
    """A row without blanks."""
    return InputRow(table, {n: v for n, v in row.items() if v is not None and n not in _REQUESTS})


def tables_of(rows: Sequence[InputRow]) -> Iterator[tuple[str, list[InputRow]]]:
    """Rows by table, in their order."""
    for table in dict.fromkeys(r.table for r in rows):
        yield table, [r for r in rows if r.table == table]
