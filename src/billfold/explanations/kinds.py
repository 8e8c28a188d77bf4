"""Why a document is an invoice or a credit memo: returns, the sign of its group, and the book's rule."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.explanations.carriers import ORDER_LINE
from billfold.explanations.stored import headers, items
from billfold.explanations.texts import counted, in_currency

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from billfold.explanations.carriers import Carried
    from billfold.explanations.past import Past

    Read = Callable[..., pl.LazyFrame]
    Row = Mapping[str, Any]


def kind_reason(read: Read, past: Past, document: Row, carried: Carried, own: pl.DataFrame) -> str:
    """Why the document is what it is; `own` are its items, `carried` what they came from."""
    rule, is_memo = past.settings["document_type_rule"], document["kind"] == "credit_memo"
    returned = {c.name for c in carried.carriers if c.kind == ORDER_LINE and c.row["item_category"] == "Return"}
    name = pl.format("{}/{}", "order_number", "item_number")
    of_charges = own.filter(~name.is_in(list(returned)).fill_null(value=False)) if returned else own
    if is_memo and of_charges.is_empty():
        return f"A credit memo, since {_all(own.height)} returned, and returns are always credited."
    net = in_currency(document["currency"], total := _net(read, document, of_charges))
    lines = f"its group nets {net}{' without the returns' if returned else ''}"
    because = f"(setting document_type_rule is {rule})"
    if is_memo:
        also = f"; {counted(len(returned), 'item')} are returns, which are always credited" if returned else ""
        return f"A credit memo, since {_credited(rule, lines)} {because}{also}."
    sells = any(c.kind == ORDER_LINE for c in carried.carriers)
    return f"An invoice, since {_invoiced(rule, lines, total, sells=sells)} {because}."


def _all(count: int) -> str:
    return "its item is" if count == 1 else f"all its {count:,} items are"


def _net(read: Read, document: Row, of_charges: pl.DataFrame) -> Decimal:
    """The sum of the group's lines but returns: this document's, and those of the other kind of the same group."""
    account = pl.Series("account_number", [document["account_number"]])
    is_other = pl.col("document_id") != document["document_id"]
    twin = headers(read, account, *(pl.col(c) == document[c] for c in ("bill_run_number", "group_key")), is_other)
    net = sum(of_charges["owed"], Decimal(0))
    if twin.is_empty():
        return net
    others = items(read, pl.col("document_id").is_in(twin["document_id"].implode()))
    # Order lines of a credit memo are its returns: their sales are on the invoice.
    counting = others if document["kind"] == "credit_memo" else others.filter(pl.col("order_number").is_null())
    return net + sum(counting["owed"], Decimal(0))


def _invoiced(rule: str, lines: str, net: Decimal, *, sells: bool) -> str:
    if rule.startswith("net") and net >= 0:
        return f"{lines}, which is not below zero"
    if rule == "net_by_charge":
        return f"{lines}, below zero, but the charges here don't net negative by themselves"
    return "sales and charges that are not negative are invoiced" if sells else "its charges are not negative"


def _credited(rule: str, lines: str) -> str:
    match rule:
        case "net":
            return f"{lines}, below zero: it is credited with the signs turned"
        case "net_by_charge":
            return f"{lines}, below zero, and the charges here net negative by themselves"
        case "negative_charges":
            return "negative charges are credited"
        case _:
            return "negative charges and credits of zero are credited"
