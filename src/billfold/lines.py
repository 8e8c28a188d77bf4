"""The shape of a line: one amount owed, with every attribute that decides about its document.

The steps hand lines to each other and import only this, so that a further source of lines (usage, schedules)
is one more function that returns these columns.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from billfold.money import AMOUNT

ATTRIBUTES: Final = (
    "bill_to_contact",
    "payment_term",
    "invoice_template",
    "sequence_set",
    "communication_profile",
)
"""Billing attributes: a line has its own, else those of the invoice owner's account (design section 4.2)."""

IDENTITY: Final = {
    "source_type": pl.String(),
    "subscription_number": pl.String(),
    "charge_number": pl.String(),
    "segment": pl.Int64(),
    "order_number": pl.String(),
    "item_number": pl.String(),
    "invoice_schedule_number": pl.String(),
    "invoice_schedule_item_id": pl.String(),
    "service_start_date": pl.Date(),
    "service_end_date": pl.Date(),
}
"""What a line is: no two lines of a book agree in all of these."""

LINE: Final = pl.Schema(
    {
        "account_number": pl.String(),
        "currency": pl.String(),
        **IDENTITY,
        "charge_name": pl.String(),
        "charge_type": pl.String(),
        "quantity": pl.Decimal(28, 9),
        "unit_price": pl.Decimal(28, 9),
        "uom": pl.String(),
        "amount": AMOUNT,
        "sold_to_contact": pl.String(),
        "applied_to_item_id": pl.String(),
        "processing_type": pl.String(),
        "is_return": pl.Boolean(),
        "is_credit": pl.Boolean(),
        **dict.fromkeys(ATTRIBUTES, pl.String()),
        "invoice_separately": pl.Boolean(),
        "invoice_group_number": pl.String(),
        "invoice_group_value": pl.String(),
        "group_values": pl.String(),
        "has_configuration": pl.Boolean(),
        "account_has_numbers": pl.Boolean(),
    }
)
"""Columns of lines; `account_number` is the invoice owner. `group_values` is JSON, `invoice_group_value` shows it."""

TROUBLE: Final = pl.Schema(
    {
        "account_number": pl.String(),
        "origin": pl.String(),
        "step": pl.String(),
        "reason": pl.String(),
        "detail": pl.String(),
    }
)
"""Why an account can't be billed. With an `origin`, only its lines from there can't."""

KEY: Final = (
    "account_number",
    "currency",
    *ATTRIBUTES,
    "separate_subscription",
    "group_number",
    "ungrouped",
    "origin",
    "group_values",
)
"""Components of a group: lines that agree in all of them share a document (design section 4)."""
