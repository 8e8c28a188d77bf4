"""Step 4: documents from grouped lines: invoice or credit memo, headers and items, numbered in a total order.

Documents and items are numbers from 1 here; `steps.name` makes ids of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.lines import IDENTITY, KEY, TROUBLE, Assembled, Documents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.lines import Executed, Rated
    from billfold.requests import RunIdentity, RunRequest

INVOICE: Final = "invoice"
MEMO: Final = "credit_memo"
_ITEM_ORDER: Final = (
    "from_order", "subscription_number", "charge_number", "segment", "service_start_date", "order_number",
    "item_number_length", "item_number", "invoice_schedule_number", "invoice_schedule_item_id", "service_end_date",
    "applied_to_item_id",
)  # fmt: skip
"""Within a document: charges before order lines, then by name and date; item 10 after item 9."""

_OF_ITEMS: Final = (
    *IDENTITY, "charge_name", "charge_type", "quantity", "unit_price", "uom", "sold_to_contact", "applied_to_item_id",
    "processing_type", "account_number", "currency",
)  # fmt: skip
_OF_LINES: Final = (
    *_OF_ITEMS,
    "amount",
    "applied_line",
    "invoice_group_number",
    "invoice_group_value",
    "is_return",
    "is_credit",
    "origin",
)
_KEY_NAMES: Final = {
    "account_number": "invoice_owner_account_number",
    "separate_subscription": "invoice_separately",
    "group_number": "invoice_group_number",
    "group_values": "invoice_group_value",
}


def assemble(
    lines: pl.DataFrame, rated: Rated, settings: Mapping[str, str], request: RunRequest, run: RunIdentity
) -> Assembled:
    """Documents of one run. Accounts with troubles are set aside; a group of sales that nets negative is one."""
    troubles = rated.troubles
    billable = _without(lines.with_row_index("line"), troubles)
    groups = _groups(billable)
    judged = _judge(_numbered(billable, groups), settings["document_type_rule"])
    negative = _negative_sales(judged, whole_account=settings["consolidate_invoices"] == "yes")
    placed = _place(_without(judged, negative))
    headers = _headers(placed, groups, request, run)
    items = _items(placed)
    parked = pl.concat([troubles, negative])
    documents = Documents(
        invoices=_renamed(headers.filter(kind=INVOICE), "invoice"),
        invoice_items=_renamed(items.filter(kind=INVOICE), "invoice"),
        credit_memos=_renamed(headers.filter(kind=MEMO), "credit_memo"),
        credit_memo_items=_renamed(items.filter(kind=MEMO), "credit_memo"),
        parked_accounts=_parked(parked, run),
        processed_usage=_processed(rated.used, parked, run),
        charge_progress=_progressed(rated.progress, parked, run),
        **_executed(rated.schedules, parked, items, run),
    )
    return Assembled(documents, placed.select("line", "document", "kind"))


def _without(lines: pl.DataFrame, troubles: pl.DataFrame) -> pl.DataFrame:
    """Lines of accounts that can be billed. A trouble with an origin spares the account's other lines."""
    if troubles.is_empty():
        return lines
    whole = troubles.filter(pl.col("origin").is_null()).select("account_number").unique()
    part = troubles.filter(pl.col("origin").is_not_null()).select("account_number", "origin").unique()
    kept = lines.filter(~pl.col("account_number").is_in(whole["account_number"].implode()))
    return kept.join(part, on=["account_number", "origin"], how="anti", maintain_order="left") if part.height else kept


def _processed(used: pl.DataFrame, parked: pl.DataFrame, run: RunIdentity) -> pl.DataFrame:
    """Usage that is on items now."""
    kept = _without(used, parked.filter(pl.col("origin").is_null()))
    return kept.with_columns(bill_run_number=pl.lit(run.bill_run_number)).sort("account_number", "usage_id")


def _progressed(progress: pl.DataFrame, parked: pl.DataFrame, run: RunIdentity) -> pl.DataFrame:
    """How far charges are billed with these documents; those of parked accounts stay as they are."""
    billed_by = pl.when("is_billed").then(pl.lit(run.bill_run_number)).otherwise("bill_run_number")
    kept = _without(progress, parked.filter(pl.col("origin").is_null()))
    return kept.with_columns(bill_run_number=billed_by).sort("account_number", "charge_number", "segment")


def _executed(
    executed: Executed, parked: pl.DataFrame, items: pl.DataFrame, run: RunIdentity
) -> dict[str, pl.DataFrame]:
    """Rows of invoice schedules that were billed, their items with the documents that they are `on_`."""
    apart = parked.filter(pl.col("origin").is_null() | (pl.col("origin") == "Subscription"))
    left_out = executed.payers.join(apart, on="account_number", how="semi")["invoice_schedule_number"].unique()
    kept = executed.payers.filter(~pl.col("invoice_schedule_number").is_in(left_out.implode()))
    after = executed.after.among(kept["invoice_schedule_number"].unique())
    of_items = items.drop_nulls("invoice_schedule_item_id").group_by(item_id="invoice_schedule_item_id").agg(
        pl.col("document").filter(kind=kind).last().alias(f"on_{kind}") for kind in (INVOICE, MEMO)
    )  # fmt: skip
    now = pl.col("item_id").is_in(executed.item_ids.implode())
    rows = after.items.join(of_items, on="item_id", how="left", maintain_order="left").with_columns(
        bill_run_number=pl.when(now).then(pl.lit(run.bill_run_number)).otherwise("bill_run_number"),
    )
    return {
        "invoice_schedules": after.headers,
        "invoice_schedule_items": rows.select(*after.items.columns, "on_invoice", "on_credit_memo"),
        "invoice_schedule_charges": after.charges,
    }


def _groups(lines: pl.DataFrame) -> pl.DataFrame:
    """Every group once, numbered in a total order of its components."""
    told = _told(lines, KEY)
    blank = [pl.lit(None, dtype=lines.schema[k]).alias(k) for k in KEY if k not in told]
    return (
        lines.select(told or KEY).unique().sort(told or KEY).with_columns(blank if told else []).with_row_index("group")
    )


def _numbered(lines: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """Lines with the number of their group, from there on instead of the key. Components nobody has join nothing."""
    on = _told(groups, KEY)
    if not on:  # there are no lines at all
        return lines.select("line", *_OF_LINES, group=pl.lit(0, dtype=pl.UInt32))
    numbered = lines.join(groups.select("group", *on), on=on, how="left", nulls_equal=True, maintain_order="left")
    return numbered.select("line", "group", *_OF_LINES)


def _judge(lines: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Adds `kind`: which document a line goes to (spec/bill_run.md I14, O7 to O9).

    Returns go to credit memos. The rules speak of subscription charges only; sales of orders are always invoiced.
    """
    lines = _with_their_charges(lines)
    from_order = pl.col("source_type") == "OrderLineItem"
    kept = ~pl.col("is_return")
    of_group = lines.group_by("group").agg(net=pl.col("amount").filter(kept).sum(), sells=(from_order & kept).any())
    judged = lines.with_columns(from_order=from_order).join(of_group, on="group", how="left", maintain_order="left")
    negative = pl.col("amount_of_charge") < 0
    match rule:
        case "net":
            credit = (pl.col("net") < 0) & ~pl.col("sells")
        case "net_by_charge":
            of_charge = pl.col("amount").sum().over("group", "charge", "is_return")
            credit = (pl.col("net") < 0) & ~pl.col("sells") & (of_charge < 0)
        case "negative_charges":
            credit = negative
        case _:
            credit = negative | ((pl.col("amount_of_charge") == 0) & pl.col("is_credit"))
    to_memo = pl.col("is_return") | (~pl.col("from_order") & credit)
    return judged.with_columns(kind=pl.when(to_memo).then(pl.lit(MEMO)).otherwise(pl.lit(INVOICE)))


def _with_their_charges(lines: pl.DataFrame) -> pl.DataFrame:
    """Adds `charge` and `amount_of_charge`: a discount goes where the line goes that it reduces."""
    if lines["applied_line"].null_count() == lines.height:
        return lines.with_columns(charge="charge_number", amount_of_charge="amount", follows="line")
    reduced = lines.select(follows="line", charge="charge_number", amount_of_charge="amount")
    return lines.with_columns(follows=pl.coalesce("applied_line", "line")).join(
        reduced, on="follows", how="left", maintain_order="left"
    )


def _negative_sales(lines: pl.DataFrame, *, whole_account: bool) -> pl.DataFrame:
    """Invoices with order lines that would be negative: refused, as the vendor refuses them (spec/grouping.md 6.4).

    With consolidation the account is set aside; without it only its order lines are.
    """
    refused = (
        lines.filter("sells", kind=INVOICE)
        .group_by("group", "account_number", "currency")
        .agg(net=pl.col("amount").sum(), orders=pl.col("order_number").drop_nulls().unique())
        .filter(pl.col("net") < 0)
        .group_by("account_number", "currency")
        .agg(pl.col("orders").explode().unique().sort(), net=pl.col("net").sum().cast(pl.String), documents=pl.len())
        .sort("account_number", "currency")
    )
    several = pl.format("{} documents", "documents")
    how_many = pl.when(pl.col("documents") == 1).then(pl.lit("a document")).otherwise(several)
    named = pl.col("orders").list.head(5).list.join(", ")
    net = pl.col("net").str.strip_chars_end("0").str.strip_chars_end(".")
    said = "{} with sales that net negative can't be invoiced ({} {}; orders {})"
    return refused.select(
        "account_number",
        origin=pl.lit(None if whole_account else "Order", dtype=pl.String),
        step=pl.lit("assemble"),
        reason=pl.format(said, how_many, "currency", net, named),
        detail=pl.struct("orders", "currency", net=net).struct.json_encode(),
    )


def _place(lines: pl.DataFrame) -> pl.DataFrame:
    """Lines in the order of documents and items, with `document` (from 1) and `position` within it (from 1)."""
    ranked = lines.with_columns(
        credits=pl.col("kind") == MEMO, item_number_length=pl.col("item_number").str.len_chars()
    )
    regular = ranked.filter(pl.col("applied_line").is_null()).sort(["group", "credits", *_told(ranked, _ITEM_ORDER)])
    if regular.height < ranked.height:  # discounts come right behind the lines that they reduce, in their own order
        places = regular.select(follows="line").with_row_index("place")
        placed = ranked.join(places, on="follows", how="left", maintain_order="left")
        regular = placed.sort("place", "line").drop("place")
    place, document = pl.int_range(pl.len(), dtype=pl.Int64), pl.struct("group", "credits").rle_id()
    return regular.with_columns(
        document=document + 1,
        position=place - pl.when((document.diff() != 0).fill_null(value=True)).then(place).forward_fill() + 1,
        signed=pl.when("credits").then(-pl.col("amount")).otherwise("amount"),
    )


def _told(frame: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """The columns among `names` that hold anything: the others decide nothing."""
    return [name for name in names if frame[name].null_count() < frame.height]


def _headers(placed: pl.DataFrame, groups: pl.DataFrame, request: RunRequest, run: RunIdentity) -> pl.DataFrame:
    """One row a document; numbers are given later."""
    mixed = pl.when(pl.col("from_order").n_unique() > 1).then(pl.lit("Consolidation"))
    source = mixed.when(pl.col("from_order").first()).then(pl.lit("Order")).otherwise(pl.lit("Subscription"))
    documents = placed.group_by("document", maintain_order=True).agg(
        pl.col("kind", "group").first(),
        *(pl.col(c).drop_nulls().first() for c in ("invoice_group_number", "invoice_group_value")),
        source_type=source,
        amount=pl.col("signed").sum().cast(pl.Decimal(38, 4)),
        item_count=pl.len().cast(pl.Int64),
    )
    key = pl.struct(pl.col(k).alias(_KEY_NAMES.get(k, k)) for k in KEY).struct.json_encode()
    components = groups.with_columns(group_key=key).drop(
        "separate_subscription", "invoice_schedule", "group_number", "ungrouped", "origin", "group_values"
    )
    return documents.join(components, on="group", how="left", maintain_order="left").with_columns(
        bill_run_number=pl.lit(run.bill_run_number),
        status=pl.lit("Draft"),
        number=pl.lit(None, dtype=pl.String),
        date=pl.lit(request.invoice_date),
        posting=pl.lit(None, dtype=pl.Int64),
        due_date=pl.lit(None, dtype=pl.Date),
        target_date=pl.lit(request.target_date),
    )


def _items(placed: pl.DataFrame) -> pl.DataFrame:
    """One row a line, with its document and position; discounts with those of the line that they reduce."""
    items = placed.select(*_OF_ITEMS, "kind", "line", "applied_line", "document", "position", amount="signed")
    if items["applied_line"].null_count() == items.height:
        return items
    reduced = items.select(applied_line="line", applied_document="document", applied_position="position")
    return items.join(reduced, on="applied_line", how="left", maintain_order="left")


def _renamed(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Columns under the names of the document's tables."""
    names = {"number": f"{kind}_number", "date": f"{kind}_date"}
    return rows.rename(names, strict=False)


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
