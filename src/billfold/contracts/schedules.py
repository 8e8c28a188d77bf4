"""Invoice schedules: chosen amounts of chosen charges, billed on chosen dates (spec/schedules.md section 1)."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import pandera.polars as pa
import polars as pl

from billfold.contracts.base import Table, field, key
from billfold.contracts.parties import currency

Amount = Annotated[pl.Decimal, 18, 4]


class InvoiceSchedules(Table):
    """Plans by which orders are billed; their amounts are totals over all items."""

    number: str = key("The schedule's number, IS-00000001")
    account_number: str = field("The account that the schedule bills", required=True)
    status: str = field(
        "Progress", default="Pending", values=("Pending", "PartiallyProcessed", "Paused", "FullyProcessed")
    )
    notes: str = field("Comment", rule="at most 255 characters", str_length={"max_value": 255})
    currency: str = currency("Currency of the scheduled subscriptions")
    total_amount: Amount = field("What was to be billed when the items were made")
    actual_amount: Amount = field("What is really to be billed; follows changes of the orders")
    billed_amount: Amount = field("Billed so far through the schedule")
    unbilled_amount: Amount = field("Still to be billed; negative when a credit is due")
    next_run_date: date = field("Run date of the next pending item; blank when it has none")
    orders: str = field("JSON array of order numbers, at most ten")
    specific_subscriptions: str = field("JSON array of {orderKey, subscriptionKey, chargeNumbers}")
    additional_subscriptions_to_bill: str = field("JSON array of subscription numbers, at most 600")
    invoice_separately: bool = field("Its items get documents of their own", default=True)

    class Config(Table.Config):
        """One row a schedule."""

        unique = ("number",)


class InvoiceScheduleItems(Table):
    """What a schedule bills on one date."""

    item_id: str = key("The item's id")
    invoice_schedule_number: str = field("The schedule that it belongs to", required=True)
    sequence_number: int = field("Position within the schedule, from 1", required=True, ge=1, rule="1 or more")
    name: str = field("Label", rule="at most 100 characters", str_length={"max_value": 100})
    run_date: date = field("Day on which it is due, inclusive; blank waits")
    amount: Amount = field("Planned amount")
    percentage: Annotated[pl.Decimal, 28, 9] = field(
        "Share of the schedule's total, in percent", rule="more than 0, at most 100", gt=0, le=100
    )
    actual_amount: Amount = field("What it really bills; follows changes of the orders")
    status: str = field("Progress", default="Pending", values=("Pending", "Executing", "Processed"))
    invoice_id: str = field("The invoice that it made")
    credit_memo_id: str = field("The credit memo that it made")
    target_date_for_additional_subscriptions: date = field("Target date of the additional subscriptions")

    class Config(Table.Config):
        """One row an item."""

        unique = ("item_id",)

    @pa.dataframe_check(error="an item has an amount or a percentage, not both")
    def has_one_size(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """A schedule plans by amounts or by shares (spec/schedules.md 2.3)."""
        return data.lazyframe.select(pl.col("amount").is_null() | pl.col("percentage").is_null())
