"""Documents of the lines that `by_hand_pandas` makes, and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Array: TypeAlias = np.ndarray[Any, Any]
    Column: TypeAlias = pa.Array | pa.ChunkedArray

BLANK: Final = -1
"""The place of what is not there."""

ATTRIBUTES: Final = ("currency", "bill_to_contact", "payment_term", "invoice_template")
"""What subscriptions and order lines may have of their own, else their account's."""


def documents_of(lines: pd.DataFrame, carriers: pd.DataFrame) -> tuple[pd.DataFrame, Array]:
    """Documents in order, and the place of each line's, or `BLANK`: sales that net negative can't be invoiced."""
    half, halves = halves_of(lines)
    owner = carriers["owner"].to_numpy()[halves["carrier"].to_numpy()]
    negative = halves["ordered"] & (halves["owed"] < 0) & ~halves["is_return"]
    halves = halves.assign(owner=owner, is_credit=halves["is_return"] | ((halves["owed"] < 0) & ~halves["ordered"]))
    kept = ~np.isin(owner, owner[negative])
    rank = halves["group"] * 2 + halves["is_credit"]
    documents = (
        halves[kept]
        .groupby(rank[kept], sort=True)
        .agg(
            owed=("owed", "sum"), item_count=("item_count", "sum"), carrier=("carrier", "first"),
            line=("line", "first"), is_credit=("is_credit", "first"), ordered=("ordered", "any"),
            charged=("charged", "any"),
        )
    )  # fmt: skip
    return documents, np.where(kept, documents.index.get_indexer(rank), BLANK)[half]


def halves_of(lines: pd.DataFrame) -> tuple[Array, pd.DataFrame]:
    """Groups, returns apart from what is not one; and the place of each line's."""
    half, codes = pd.factorize(lines["group"].to_numpy() * 2 + lines["is_return"].to_numpy())
    by = pd.DataFrame({
        "half": half, "owed": lines["amount"], "is_order": lines["is_order"], "carrier": lines["carrier"],
        "line": np.arange(len(lines)),
    }).groupby("half", sort=True)  # fmt: skip
    halves = by.agg(
        owed=("owed", "sum"), item_count=("owed", "size"), carrier=("carrier", "first"), line=("line", "first"),
        ordered=("is_order", "max"), only_ordered=("is_order", "min"),
    )  # fmt: skip
    return half, halves.assign(group=codes // 2, is_return=codes % 2 == 1, charged=~halves["only_ordered"])


def decimals(scaled: Array, *, there: Array | None = None) -> pa.Array:
    """Ten-thousandths as decimals: the integers are what Arrow keeps, with their sign in a second word."""
    words = np.column_stack([scaled, scaled >> 63]).astype(np.int64)
    found = pa.Array.from_buffers(pa.decimal128(18, 4), len(scaled), [None, pa.py_buffer(words)])
    return found if there is None else pc.if_else(pa.array(there), found, None)


def text(column: pd.Series, rows: Array, *, among: Array | None = None) -> Column:
    """Values of some rows; null where a row is not `among` those that have one."""
    return pc.take(pc.cast(pa.array(column), pa.large_string()), pa.array(rows, mask=None if among is None else ~among))


def padded(numbers: Array, width: int) -> pa.Array:
    """Numbers as texts with leading zeros."""
    return pc.utf8_lpad(pc.cast(pa.array(numbers), pa.large_string()), width, "0")


def joined(*parts: pa.Array | str) -> pa.Array:
    """Texts behind each other."""
    texts = [pa.scalar(p, pa.large_string()) if isinstance(p, str) else p for p in parts]
    return pc.binary_join_element_wise(*texts, pa.scalar("", pa.large_string()))


def write_headers(out: Path, documents: pd.DataFrame, looked_up: Mapping[str, Column], target: np.datetime64) -> None:
    """A file of invoices and one of credit memos."""
    texts = dict(looked_up)
    mixed, ordered = documents["ordered"] & documents["charged"], documents["ordered"]
    kind = np.where(mixed, "Consolidation", np.where(ordered, "Order", "Subscription"))
    is_credit = documents["is_credit"].to_numpy()
    number = np.where(is_credit, is_credit.cumsum(), (~is_credit).cumsum())
    days = pa.array(np.full(len(documents), target))
    whole = {
        "id": texts.pop("id"), "group_key": texts.pop("group_key"), **texts, "status": pa.array(["Draft"] * len(kind)),
        "source_type": pa.array(kind), "invoice_date": days, "target_date": days,
        "amount": decimals(np.abs(documents["owed"].to_numpy())), "item_count": pa.array(documents["item_count"]),
    }  # fmt: skip
    for name, among, prefix in (("invoice", ~is_credit, "TMP-INV-"), ("credit_memo", is_credit, "TMP-CM-")):
        table = pa.table({**whole, f"{name}_number": joined(prefix, padded(number, 8))}).filter(pa.array(among))
        named = {"id": f"{name}_id", "invoice_date": f"{name}_date"}
        pq.write_table(
            table.rename_columns([named.get(c, c) for c in table.column_names]),
            out / f"{name}s.parquet",
            compression="zstd",
        )


def looked_up_of(
    documents: pd.DataFrame, lines: pd.DataFrame, carriers: pd.DataFrame, accounts: pd.DataFrame
) -> dict[str, Column]:
    """What documents have from their carriers and accounts; their ids, and all components of their key as JSON."""
    carrier = documents["carrier"].to_numpy()
    owner = carriers["owner"].to_numpy()[carrier]
    names = (*ATTRIBUTES, "sequence_set", "communication_profile")
    found = {"account_number": text(accounts["account_number"], owner)}
    found |= {name: text(carriers[name], carrier) for name in names}
    found["invoice_group_value"] = text(lines["group_value"], documents["line"].to_numpy())
    separate, alone = (carriers[c].to_numpy()[carrier] != BLANK for c in ("separate", "ungrouped"))
    ordered = joined(text(carriers["order_number"], carrier), " ", text(carriers["item_number"], carrier))
    number = text(carriers["subscription_number"], carrier)
    key = {
        **found, "group_number": text(carriers["group_number"], carrier),
        "separate_subscription": pc.if_else(pa.array(separate), number, None),
        "ungrouped": pc.if_else(pa.array(alone), pc.coalesce(number, ordered), None),
    }  # fmt: skip
    return {
        "id": joined("BR-00000001-", padded(np.arange(1, len(documents) + 1), 6)),
        **found,
        "invoice_group_number": text(carriers["group_name"], carrier),
        "group_key": as_json(key),
    }


def as_json(columns: Mapping[str, Column]) -> pa.Array:
    """An object a row; the texts of this book need no escapes."""
    parts: list[pa.Array | str] = []
    for name, column in columns.items():
        value = pc.if_else(pc.is_valid(column), joined('"', pc.fill_null(column, ""), '"'), "null")
        parts += [f'{"," if parts else "{"}"{name}":', value]
    return joined(*parts, "}")


def write_items(  # noqa: PLR0913, PLR0917 - all that items are looked up in
    out: Path, lines: pd.DataFrame, documents: pd.DataFrame, charges: pd.DataFrame, orders: pd.DataFrame,
    carriers: pd.DataFrame, looked_up: Mapping[str, Column],
) -> None:  # fmt: skip
    """A file of invoice items and one of credit memo items, in the order of documents, charges and order lines."""
    before = (documents["item_count"].cumsum() - documents["item_count"]).to_numpy()
    document = lines["document"].to_numpy()
    place = np.arange(len(lines)) - before[document] + 1
    is_credit = documents["is_credit"].to_numpy()[document]
    for name, among in (("invoice", ~is_credit), ("credit_memo", is_credit)):
        some, of = lines[among], document[among]
        row, carrier, is_order = (some[c].to_numpy() for c in ("row", "carrier", "is_order"))
        ids = pc.take(looked_up["id"], pa.array(of))
        of_charges = {c: text(charges[c], row * ~is_order, among=~is_order) for c in (
            "charge_number", "charge_name", "charge_type", "uom",
        )}  # fmt: skip
        item_name = text(orders["item_name"], row * is_order, among=is_order)
        amount = some["amount"].to_numpy()
        table = {
            f"{name}_id": ids, f"{name}_item_id": joined(ids, "-", padded(place[among], 6)),
            "account_number": pc.take(looked_up["account_number"], pa.array(of)),
            "currency": pc.take(looked_up["currency"], pa.array(of)),
            "source_type": pc.if_else(pa.array(is_order), "OrderLineItem", "SubscriptionComponent"),
            **{c: text(carriers[c], carrier) for c in (
                "subscription_number", "order_number", "item_number", "sold_to_contact",
            )},
            **of_charges, "charge_name": pc.coalesce(of_charges["charge_name"], item_name),
            "service_start_date": pa.array(some["start"].to_numpy().astype("datetime64[D]")),
            "service_end_date": pa.array(some["end"].to_numpy().astype("datetime64[D]")),
            "quantity": decimals(some["quantity"].to_numpy()),
            "unit_price": decimals(some["unit_price"].to_numpy(), there=some["has_price"].to_numpy()),
            "amount": decimals(-amount if name == "credit_memo" else amount),
        }  # fmt: skip
        pq.write_table(pa.table(table), out / f"{name}_items.parquet", compression="zstd")
