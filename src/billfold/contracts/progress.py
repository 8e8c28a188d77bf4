"""What billfold remembers between runs: how far each charge was billed, and what became of usage."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import polars as pl

from billfold.contracts.base import Table, field, key

Price = Annotated[pl.Decimal, 28, 9]


class ChargeProgress(Table):
    """How far a charge segment was billed, so that a run looks only at charges that may owe something.

    It sums up the items of the runs that count; canceling a run brings back the rows from before it.
    """

    charge_number: str = key("The charge's number")
    segment: int = field("The charge's segment", required=True)
    charged_through_date: date = field("Billed up to this day, exclusive; blank was never billed here")
    next_due_date: date = field("First target date on which it may owe something more; blank never, unless it changes")
    price: Price = field("Price on which it was last billed")
    quantity: Price = field("Quantity on which it was last billed; blank for usage")
    tiers: str = field("Tiers on which it was last billed")
    bill_run_number: str = field("The run that last billed or credited it")

    class Config(Table.Config):
        """One row a charge segment."""

        unique = ("charge_number", "segment")


class ChargesToReview(Table):
    """Charge segments that are new, or whose data changed since a run last looked at them."""

    charge_number: str = key("The charge's number")
    segment: int = field("The charge's segment", required=True)

    class Config(Table.Config):
        """One row a charge segment."""

        unique = ("charge_number", "segment")


class LateUsage(Table):
    """Usage that was loaded, or changed, after its period was billed: it waits until that run is canceled."""

    usage_id: str = key("The record's id")
    account_number: str = field("The account that used it", required=True)
    charge_number: str = field("The charge that would rate it", required=True)
    segment: int = field("The charge's segment", required=True)
    start_date: date = field("The day of use", required=True)

    class Config(Table.Config):
        """One row a record."""

        unique = ("usage_id",)


class ProcessedUsage(Table):
    """Usage records that a run billed: their item is the one of their charge, segment and service start."""

    usage_id: str = key("The record's id")
    bill_run_number: str = key("The run")
    account_number: str = field("The account that was billed: the invoice owner", required=True)
    charge_number: str = field("The charge that rated it", required=True)
    segment: int = field("The charge's segment", required=True)
    service_start_date: date = field("First day of its item's service, inclusive", required=True)

    class Config(Table.Config):
        """One row a record and run."""

        unique = ("usage_id", "bill_run_number")
