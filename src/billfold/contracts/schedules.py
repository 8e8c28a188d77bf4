"""Invoice schedules: chosen amounts of chosen charges, billed on chosen dates (spec/schedules.md section 1)."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import polars as pl

from billfold.contracts.base import Table, field, key
from billfold.contracts.parties import currency

Amount = Annotated[pl.Decimal, 18, 4]


class InvoiceSchedules(Table):
    """Plans by which orders are billed; their amounts are totals over all items."""

    number: str = key("The schedule's number, IS-00000001")
    schedule_id: str = field("The schedule's id, by which it can be called too", required=True)
    account_number: str = field("The account that owns the scheduled subscriptions", required=True)
    status: str = field(
        "Progress", default="Pending", values=("Pending", "PartiallyProcessed", "Paused", "FullyProcessed")
    )
    notes: str = field("Comment", rule="at most 255 characters", str_length={"max_value": 255})
    currency: str = currency("Currency of the scheduled subscriptions")
    total_amount: Amount = field("What was to be billed when the items were planned")
    actual_amount: Amount = field("What is really to be billed; follows changes of the orders")
    billed_amount: Amount = field("Billed so far through the schedule")
    unbilled_amount: Amount = field("Still to be billed; negative when a credit is due")
    next_run_date: date = field("First target date on which it bills: its next item, or a credit; blank waits")
    orders: str = field("JSON array of order numbers, at most ten")
    specific_subscriptions: str = field("JSON array of {orderKey, subscriptionKey, chargeNumbers}")
    additional_subscriptions_to_bill: str = field("JSON array of subscription numbers, at most 600")
    invoice_separately: bool = field("Its lines share a document with no other line", default=True)
    last_item: int = field("How many items it has had, so that no item's id comes twice", default=0)
    idempotency_key: str = field("Key under which it was asked for; asking again gives the same answer", is_own=True)
    request: str = field("The request, as it came to `billfold schedule create`", is_json=True, is_own=True)

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
        "Share of the schedule's total, in percent; blank in schedules that are planned by amounts",
        rule="more than 0, at most 100",
        gt=0,
        le=100,
    )
    actual_amount: Amount = field("What it billed or is going to bill; follows changes of the orders")
    status: str = field("Progress", default="Pending", values=("Pending", "Executing", "Processed"))
    invoice_id: str = field("The invoice that it made")
    credit_memo_id: str = field("The credit memo that it made")
    target_date_for_additional_subscriptions: date = field("Target date of the additional subscriptions")
    bill_run_number: str = field("The run that processed it", is_own=True)

    class Config(Table.Config):
        """One row an item."""

        unique = ("item_id",)


class InvoiceScheduleCharges(Table):
    """Which charges a schedule bills instead of their periods, from when to when, and how much of them it billed."""

    invoice_schedule_number: str = key("The schedule")
    charge_number: str = key("The charge")
    position: int = field("Place in the order in which the schedule takes its charges, from 1", required=True)
    subscription_number: str = field("The charge's subscription", required=True)
    order_number: str = field("The order by which it came in", required=True)
    from_date: date = field("First day of the charge that the schedule covers, inclusive", required=True)
    through_date: date = field("End of what it covers, exclusive", required=True)
    total_amount: Amount = field("What the charge was to bill when the items were planned, net of discounts")
    actual_amount: Amount = field("What the schedule bills of it, net of discounts; follows changes of the orders")
    billed_amount: Amount = field("What the schedule billed of it, net of discounts and credits", default=0)
    is_detached: bool = field("Given back to bill runs: the schedule bills it no more", default=False)
    detached_after: int = field("How many items were processed when it was detached")
    detached_through: date = field("Up to which day, exclusive, it was billed when it was detached")

    class Config(Table.Config):
        """One row a schedule and charge."""

        unique = ("invoice_schedule_number", "charge_number")
