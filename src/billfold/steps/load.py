"""Step 1: the book at one snapshot, lazily, narrowed to what this run asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from billfold.lines import Inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from billfold.requests import RunRequest


def load(read: Callable[[str], pl.LazyFrame], settings: Mapping[str, str], request: RunRequest) -> Inputs:
    """Tables of one snapshot, filtered to the accounts and kinds of lines that are asked for."""
    accounts = read("accounts")
    charges = read("rate_plan_charges").filter(~pl.col("charge_type").is_in(request.excluded_charge_types))
    items = _items_that_count(read)
    return Inputs(
        accounts=_selected(accounts, request),
        all_accounts=accounts,
        subscriptions=read("subscriptions"),
        rate_plan_charges=charges if request.subscriptions else charges.clear(),
        order_line_items=read("order_line_items"),
        billed_charges=_billed_charges(items),
        billed_order_lines=items.select("order_number", "item_number").drop_nulls().unique(),
        invoice_groups=read("invoice_groups").collect(),
        settings=settings,
        request=request,
    )


def _selected(accounts: pl.LazyFrame, request: RunRequest) -> pl.LazyFrame:
    chosen = accounts.filter(status="Active")
    if request.accounts:
        chosen = chosen.filter(pl.col("account_number").is_in(request.accounts))
    if request.batches:
        chosen = chosen.filter(pl.col("batch").is_in(request.batches))
    if request.bill_cycle_days:
        chosen = chosen.filter(pl.col("bill_cycle_day").is_in(request.bill_cycle_days))
    return chosen


def _items_that_count(read: Callable[[str], pl.LazyFrame]) -> pl.LazyFrame:
    """Items of documents that were not canceled: what has been billed so far."""
    frames = []
    for documents, items, key in (
        ("invoices", "invoice_items", "invoice_id"),
        ("credit_memos", "credit_memo_items", "credit_memo_id"),
    ):
        canceled = read(documents).filter(status="Canceled").select(key)
        wanted = ("charge_number", "segment", "service_end_date", "order_number", "item_number")
        frames.append(read(items).select(key, *wanted).join(canceled, on=key, how="anti").select(wanted))
    return pl.concat(frames)


def _billed_charges(items: pl.LazyFrame) -> pl.LazyFrame:
    """Charged-through date (exclusive) of every charge segment that has been billed."""
    return (
        items.filter(pl.col("charge_number").is_not_null())
        .group_by("charge_number", "segment")
        .agg(billed_through=pl.col("service_end_date").max().dt.offset_by("1d"))
    )
