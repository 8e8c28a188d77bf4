"""Why an invoice or a credit memo holds what it holds."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.explanations.carriers import Carried, carried
from billfold.explanations.components import components
from billfold.explanations.kinds import kind_reason
from billfold.explanations.models import DocumentWhy, ItemLine
from billfold.explanations.neighbours import nearest, rule_of
from billfold.explanations.stored import items, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.book import State
    from billfold.explanations.past import Past

    Row = Mapping[str, Any]


def document_why(now: State, past: Past, document: Row) -> tuple[DocumentWhy, Carried, pl.DataFrame]:
    """The explanation of a document, and what its items came from; `document` is the stored header."""
    own = items(now.read, pl.col("document_id") == document["document_id"])
    found = carried(past, document["account_number"], own)
    neighbour = nearest(now.read, document, found)
    added = sum(own["amount"], Decimal(0))
    why = DocumentWhy(
        **{c: document[c] for c in ("document_id", "document_number", "kind", "status", "account_number", "currency",
                                    "amount", "item_count")},
        sum_of_items=added,
        adds_up=added == document["amount"] and own.height == document["item_count"],
        run=past.facts,
        components=components(past, key_of(document), found),
        rule=rule_of(document, neighbour),
        nearest=neighbour,
        kind_rule=past.settings["document_type_rule"],
        kind_reason=kind_reason(now.read, past, document, found, own),
        items=tuple(_item(row) for row in own.iter_rows(named=True)),
    )  # fmt: skip
    return why, found, own


def _item(row: Row) -> ItemLine:
    of = f"{row['order_number']}/{row['item_number']}" if row["order_number"] else row["charge_number"]
    names = ("service_start_date", "service_end_date", "quantity", "unit_price", "amount")
    return ItemLine(item_id=row["item_id"], what=of, name=row["charge_name"], **{n: row[n] for n in names})
