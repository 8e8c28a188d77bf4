"""Step 3: which lines share a document (design section 4). Adds the components of the group key to each line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping


def group(lines: pl.DataFrame, settings: Mapping[str, str]) -> pl.DataFrame:
    """Lines with `lines.KEY`: two lines share a document only if they agree in every component.

    `invoice_separately` beats group number and consolidation, so these components are blank on such lines. On lines of
    a schedule it is the schedule's, and its blanks stay together.
    """
    of_order = pl.col("source_type") == "OrderLineItem"
    of_schedule = pl.col("invoice_schedule_number").is_not_null()
    apart = pl.col("invoice_separately").fill_null(value=False)
    number = pl.col("invoice_group_number").str.strip_chars().str.to_lowercase()
    carrier = (
        pl.when(of_order).then(pl.struct("order_number", "item_number").struct.json_encode())
        .when(of_schedule).then(pl.struct("invoice_schedule_number").struct.json_encode())
        .otherwise(pl.struct("subscription_number").struct.json_encode())
    )  # fmt: skip
    alone = _blanks_stay_alone(settings["ungrouped"])
    origin = pl.when(of_order).then(pl.lit("Order")).otherwise(pl.lit("Subscription"))
    consolidated = settings["consolidate_invoices"] == "yes"
    return lines.with_columns(
        separate_subscription=pl.when(apart & ~of_schedule).then("subscription_number"),
        invoice_schedule=pl.when(apart & of_schedule).then("invoice_schedule_number"),
        group_number=pl.when(~apart).then(number),
        ungrouped=pl.when(~apart & number.is_null() & alone).then(carrier),
        origin=pl.lit(None, dtype=pl.String) if consolidated else pl.when(~apart).then(origin),
    )


def _blanks_stay_alone(policy: str) -> pl.Expr:
    """Whether lines without a group number get documents of their own (design section 4.4)."""
    match policy:
        case "separate":
            return pl.lit(value=True)
        case "pooled":
            return pl.lit(value=False)
        case _:
            return pl.col("account_has_numbers") & ~pl.col("has_configuration")
