"""Step 4: documents from grouped lines: invoice or credit memo, headers and items, ids in a total order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.lines import IDENTITY, KEY, TROUBLE, Assembled, Documents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.requests import RunIdentity, RunRequest

INVOICE: Final = "invoice"
MEMO: Final = "credit_memo"
ITEM_ORDER: Final = (
    "source_type_rank", "subscription_number", "charge_number", "segment", "service_start_date", "order_number",
    "item_number_length", "item_number", "invoice_schedule_number", "invoice_schedule_item_id", "service_end_date",
)  # fmt: skip
"""Within a document: charges before order lines, then by name and date; item 10 after item 9."""


def assemble(
    lines: pl.DataFrame, troubles: pl.DataFrame, settings: Mapping[str, str], request: RunRequest, run: RunIdentity
) -> Assembled:
    """Documents of one run. Accounts with troubles are set aside; a group of sales that nets negative is one."""
    judged = _judge(_without(lines, troubles), settings["document_type_rule"])
    negative = _negative_sales(judged, whole_account=settings["consolidate_invoices"] == "yes")
    troubles = pl.concat([troubles, negative])
    placed = _place(_without(judged, negative))
    headers = _headers(placed, request, run)
    items = _items(placed, headers)
    documents = Documents(
        invoices=_renamed(headers.filter(kind=INVOICE), "invoice"),
        invoice_items=_renamed(items.filter(kind=INVOICE), "invoice"),
        credit_memos=_renamed(headers.filter(kind=MEMO), "credit_memo"),
        credit_memo_items=_renamed(items.filter(kind=MEMO), "credit_memo"),
        parked_accounts=_parked(troubles, run),
    )
    return Assembled(documents, placed)


def _without(lines: pl.DataFrame, troubles: pl.DataFrame) -> pl.DataFrame:
    """Lines of accounts that can be billed. A trouble with an origin spares the account's other lines."""
    whole = troubles.filter(pl.col("origin").is_null()).select("account_number").unique()
    part = troubles.filter(pl.col("origin").is_not_null()).select("account_number", "origin").unique()
    kept = lines.join(whole, on="account_number", how="anti", maintain_order="left")
    return kept.join(part, on=["account_number", "origin"], how="anti", maintain_order="left")


def _judge(lines: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Adds the group's number and `kind`: which document a line goes to (spec/bill_run.md I14, O7 to O9).

    Returns go to credit memos. The rules speak of subscription charges only; sales of orders are always invoiced.
    """
    groups = lines.select(KEY).unique().sort(KEY).with_row_index("group")
    numbered = lines.join(groups, on=KEY, how="left", nulls_equal=True, maintain_order="left")
    of_order = pl.col("source_type") == "OrderLineItem"
    sale = of_order & ~pl.col("is_return")
    net = pl.col("amount").filter(~pl.col("is_return")).sum().over("group")
    of_charge = pl.col("amount").sum().over("group", "charge_number", "is_return")
    negative = pl.col("amount") < 0
    match rule:
        case "net":
            credit = net < 0
        case "net_by_charge":
            credit = (net < 0) & (of_charge < 0)
        case "negative_charges":
            credit = negative
        case _:
            credit = negative | ((pl.col("amount") == 0) & pl.col("is_credit"))
    sells = sale.any().over("group")
    nets_with_sales = sells if rule in ("net", "net_by_charge") else pl.lit(value=False)
    to_memo = pl.col("is_return") | (~of_order & credit & ~nets_with_sales)
    return numbered.with_columns(kind=pl.when(to_memo).then(pl.lit(MEMO)).otherwise(pl.lit(INVOICE)))


def _negative_sales(lines: pl.DataFrame, *, whole_account: bool) -> pl.DataFrame:
    """Invoices with order lines that would be negative: refused, as the vendor refuses them (spec/grouping.md 6.4).

    With consolidation the account is set aside; without it only its order lines are.
    """
    refused = (
        lines.filter(kind=INVOICE)
        .group_by("group", "account_number", "currency")
        .agg(
            net=pl.col("amount").sum(),
            sells=(pl.col("source_type") == "OrderLineItem").any(),
            orders=pl.col("order_number").drop_nulls().unique(),
        )
        .filter("sells", pl.col("net") < 0)
        .group_by("account_number", "currency")
        .agg(pl.col("orders").explode().unique().sort(), net=pl.col("net").sum().cast(pl.String), documents=pl.len())
        .sort("account_number", "currency")
    )
    named = pl.col("orders").list.head(5).list.join(", ")
    several = pl.format("{} documents", "documents")
    net = pl.col("net").str.strip_chars_end("0").str.strip_chars_end(".")
    return refused.select(
        "account_number",
        origin=pl.lit(None if whole_account else "Order", dtype=pl.String),
        step=pl.lit("assemble"),
        reason=pl.format(
            "{} with sales that net negative can't be invoiced ({} {} on order {})",
            pl.when(pl.col("documents") == 1).then(pl.lit("a document")).otherwise(several),
            "currency", net, named,
        ),
        detail=pl.struct("orders", "currency", net=net).struct.json_encode(),
    )  # fmt: skip


def _place(lines: pl.DataFrame) -> pl.DataFrame:
    """Lines in the order of documents and items, with `document` (from 1) and `position` within it (from 1)."""
    ranked = lines.with_columns(
        kind_rank=pl.when(kind=INVOICE).then(0).otherwise(1),
        source_type_rank=pl.when(source_type="OrderLineItem").then(1).otherwise(0),
        item_number_length=pl.col("item_number").str.len_chars(),
    ).sort("group", "kind_rank", *ITEM_ORDER)
    return ranked.with_columns(
        document=pl.struct("group", "kind_rank").rle_id() + 1,
        position=pl.int_range(1, pl.len() + 1).over("group", "kind_rank"),
        signed=pl.when(kind=MEMO).then(-pl.col("amount")).otherwise("amount"),
    )


def _headers(placed: pl.DataFrame, request: RunRequest, run: RunIdentity) -> pl.DataFrame:
    """One row a document, amounts not yet numbered (`number` is given later)."""
    of_order = (pl.col("source_type") == "OrderLineItem").first()
    mixed = pl.col("source_type_rank").n_unique() > 1
    source = (
        pl.when(mixed)
        .then(pl.lit("Consolidation"))
        .when(of_order)
        .then(pl.lit("Order"))
        .otherwise(pl.lit("Subscription"))
    )
    shown = ("invoice_group_number", "invoice_group_value")
    kept = [k for k in KEY if k not in ("separate_subscription", "group_number", "ungrouped", "origin", "group_values")]
    grouped = placed.group_by("document", maintain_order=True).agg(
        pl.col("kind", *kept).first(),
        *(pl.col(c).drop_nulls().first() for c in shown),
        source_type=source,
        group_key=_group_key().first(),
        amount=pl.col("signed").sum().cast(pl.Decimal(38, 4)),
        item_count=pl.len().cast(pl.Int64),
    )
    width = max(6, len(str(grouped.height)))
    return grouped.with_columns(
        id=pl.format(f"{run.bill_run_number}-{{}}", pl.col("document").cast(pl.String).str.zfill(width)),
        bill_run_number=pl.lit(run.bill_run_number),
        status=pl.lit("Draft"),
        number=pl.lit(None, dtype=pl.String),
        date=pl.lit(request.invoice_date),
        due_date=pl.lit(None, dtype=pl.Date),
        target_date=pl.lit(request.target_date),
    )


def _group_key() -> pl.Expr:
    """Every component by name; an empty one is null, so that a reader sees all that could have separated."""
    names = {"account_number": "invoice_owner_account_number", "separate_subscription": "invoice_separately",
             "group_number": "invoice_group_number", "group_values": "invoice_group_value"}  # fmt: skip
    return pl.struct(pl.col(k).alias(names.get(k, k)) for k in KEY).struct.json_encode()


def _items(placed: pl.DataFrame, headers: pl.DataFrame) -> pl.DataFrame:
    """One row a line, under its document's id."""
    kept = [*IDENTITY, "charge_name", "charge_type", "quantity", "unit_price", "uom", "sold_to_contact",
                        "applied_to_item_id", "processing_type", "account_number", "currency", "kind"]  # fmt: skip
    ids = headers.select("document", "id")
    return placed.join(ids, on="document", how="left", maintain_order="left").select(
        *kept,
        "id",
        amount="signed",
        item_id=pl.format("{}-{}", "id", pl.col("position").cast(pl.String).str.zfill(6)),
    )


def _renamed(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Columns under the names of the document's tables."""
    names = {"id": f"{kind}_id", "number": f"{kind}_number", "date": f"{kind}_date", "item_id": f"{kind}_item_id"}
    return rows.drop("kind", "document", strict=False).rename(names, strict=False)


def _parked(troubles: pl.DataFrame, run: RunIdentity) -> pl.DataFrame:
    """One row an account: its first trouble, and how many more there are."""
    first = (
        troubles.select(TROUBLE.names())
        .sort("account_number", "step", "reason", "detail", descending=[False, True, False, False])
        .group_by("account_number", maintain_order=True)
        .agg(pl.col("step", "reason", "detail").first(), more=pl.len() - 1)
    )
    more = pl.when(pl.col("more") > 0).then(pl.format("{} (and {} more)", "reason", "more")).otherwise("reason")
    return first.select("account_number", "step", "detail", reason=more, bill_run_number=pl.lit(run.bill_run_number))
