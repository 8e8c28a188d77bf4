"""One side of a comparison: the documents of a run, and what their items are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from billfold.lines import IDENTITY

if TYPE_CHECKING:
    from billfold.lines import Documents
    from billfold.receipt import Receipt

KINDS: Final = (("invoice", 1), ("credit_memo", -1))
"""Types of documents, and with which sign their amounts are owed."""

_OF_HEADERS: Final = (
    "account_number", "currency", "invoice_group_number", "invoice_group_value", "group_key", "amount", "item_count",
    "due_date",
)  # fmt: skip
_REDUCED: Final = {f"reduced_{c}": c for c in ("charge_number", "segment", "service_start_date", "service_end_date")}

ITEM: Final = (*IDENTITY, "applied_to_item_id", *_REDUCED)
"""What an item is, whichever document it is on: a discount is also told by the item that it reduces."""


@dataclass(frozen=True)
class Side:
    """Frames of one run.

    - `documents`: document (a number from 0), document_id, document_type, account_number, currency,
      invoice_group_number, invoice_group_value, group_key, amount (as owed: credit memos with a minus), item_count,
      due_date (null on drafts)
    - `items`: `ITEM`, amount (as owed), document
    - `parked`: account_number, step, reason
    """

    documents: pl.DataFrame
    items: pl.DataFrame
    parked: pl.DataFrame

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """The side that a run makes; what a comparison does not need is left behind, since books are large."""
        made = receipt.documents
        documents = pl.concat(_headers(made, kind, sign) for kind, sign in KINDS).sort("document_id")
        numbered = documents.with_row_index("document")
        items = pl.concat(_items(made, kind, sign) for kind, sign in KINDS)
        placed = items.join(numbered.select("document", "document_id"), on="document_id", maintain_order="left")
        parked = made.parked_accounts.select("account_number", "step", "reason").sort("account_number")
        return cls(numbered, _told_apart(placed).select(*ITEM, "amount", "document"), parked)


def _headers(made: Documents, kind: str, sign: int) -> pl.DataFrame:
    rows: pl.DataFrame = getattr(made, f"{kind}s")
    named = rows.select(pl.col(f"{kind}_id").alias("document_id"), pl.lit(kind).alias("document_type"), *_OF_HEADERS)
    return named.with_columns(pl.col("amount") * sign)


def _items(made: Documents, kind: str, sign: int) -> pl.DataFrame:
    rows: pl.DataFrame = getattr(made, f"{kind}_items")
    return rows.select(
        pl.col(f"{kind}_id").alias("document_id"), pl.col(f"{kind}_item_id").alias("item_id"), *IDENTITY,
        "applied_to_item_id", amount=pl.col("amount") * sign,
    )  # fmt: skip


def _told_apart(items: pl.DataFrame) -> pl.DataFrame:
    """Adds what the items of this run are that discounts reduce: the ids of these depend on the documents."""
    reduced = items.select(applied_to_item_id="item_id", **_REDUCED)
    wanted = items.select("applied_to_item_id").drop_nulls().unique()
    known = reduced.join(wanted, on="applied_to_item_id", how="semi")
    joined = items.join(known, on="applied_to_item_id", how="left", maintain_order="left")
    of_this_run = pl.col("reduced_charge_number").is_not_null()
    return joined.with_columns(applied_to_item_id=pl.when(~of_this_run).then("applied_to_item_id"))
