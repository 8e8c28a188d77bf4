"""What the vendor does not let schedules bill: kinds of charges, periods, days and discounts (docs/schedules.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.periods import length_in_days, length_in_months
from billfold.rating.grids import Months
from billfold.schedules.agree import differing
from billfold.schedules.consumption import SCHEDULE

if TYPE_CHECKING:
    from billfold.schedules.units import Units

_OWN_DAYS: Final = ("ChargeTriggerDay", "TermStartDay", "TermEndDay")
_OWN_ALIGNMENTS: Final = ("AlignToCharge", "AlignToTermStart", "AlignToTermEnd")


def refusals(links: pl.DataFrame, units: Units, charges: pl.DataFrame, discounts: pl.DataFrame) -> dict[str, str]:
    """The first reason against each schedule that can't be, by its number; it begins with the field's name."""
    found = [
        _unpriced(units.units),
        _apart(links, charges),
        _unseen(links, charges),
        *_periods(units, charges),
        _discounted(links, charges, discounts),
    ]
    said = pl.concat(f.select(SCHEDULE, "said") for f in found).unique(SCHEDULE, keep="first", maintain_order=True)
    return dict(said.iter_rows())


def _unpriced(units: pl.DataFrame) -> pl.DataFrame:
    said = pl.format("orders: charge {} can't be scheduled: {}.", "charge_number", "trouble")
    return units.filter(pl.col("trouble").is_not_null()).with_columns(said=said)


def _apart(links: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """All charges share what decides about their document."""
    both = links.select(SCHEDULE, "charge_number").join(charges, on="charge_number", maintain_order="left")
    said = pl.format(
        "orders: the charges differ in {} ({}): a schedule bills charges that can share a document.", "field", "values"
    )  # fmt: skip
    return differing(both, [SCHEDULE]).with_columns(said=said)


def _unseen(links: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """Charges for which nobody pays."""
    said = pl.format("orders: charge {} has no active account that pays for it.", "charge_number")
    return links.join(charges, on="charge_number", how="anti", maintain_order="left").with_columns(said=said)


def _periods(units: Units, charges: pl.DataFrame) -> list[pl.DataFrame]:
    """Recurring charges: months, one period that holds the charge, days and alignment that are the charge's own."""
    first = charges.sort("charge_number", "segment").unique("charge_number", keep="first", maintain_order=True)
    told = (
        units.units.filter(~pl.col("is_once"))
        .select(SCHEDULE, "charge_number", "first", "until")
        .join(first, on="charge_number", maintain_order="left")
    )
    length, day = length_in_months(), pl.col("first_start").dt.day()
    start = pl.coalesce("subscription_start_date", "contract_effective_date", "first_start")
    own_day = pl.col("bill_cycle_type").is_in(_OWN_DAYS)
    other = (
        pl.when(bill_cycle_type="DefaultFromCustomer").then("account_bill_cycle_day")
        .when(bill_cycle_type="SpecificDayofMonth").then("bill_cycle_day")
        .when(bill_cycle_type="SubscriptionStartDay").then(start.dt.day().cast(pl.Int64))
    )  # fmt: skip
    same_day = (
        other.is_null()
        | (other == day)
        | (pl.min_horizontal(other, pl.col("first_start").dt.month_end().dt.day()) == day)
    )
    same_start = (pl.col("billing_period_alignment") == "AlignToSubscriptionStart") & (start == pl.col("first_start"))
    aligned = pl.col("billing_period_alignment").is_in(_OWN_ALIGNMENTS) | same_start
    gridded = Months.of(
        told.filter(length.is_not_null()).with_columns(
            bill_cycle_type=pl.when(own_day).then("bill_cycle_type").otherwise(pl.lit("ChargeTriggerDay"))
        )
    ).with_columns(begins=Months.number_of(pl.col("first")), ends=Months.number_of(pl.col("until").dt.offset_by("-1d")))
    spanning = gridded.filter(pl.col("begins") != pl.col("ends"))
    return [
        told.filter(length_in_days().is_not_null()).with_columns(
            said=pl.format("orders: charge {} is billed by weeks or days, which can't be scheduled.", "charge_number")
        ),
        told.filter(~(own_day | same_day)).with_columns(
            said=pl.format(
                "orders: charge {} has the billing day {}: it must be its own, the term's start or the term's end.",
                "charge_number", "bill_cycle_type",
            )
        ),
        told.filter(~aligned).with_columns(
            said=pl.format(
                "orders: charge {} is {}: its periods must be aligned to the charge or the term.",
                "charge_number", "billing_period_alignment",
            )
        ),
        spanning.with_columns(
            said=pl.format(
                "orders: charge {} serves from {} up to {}, which is no single billing period ({}): "
                "its billing period must hold all of it.",
                "charge_number", "first", "until", "billing_period",
            )
        ),
    ]  # fmt: skip


def _discounted(links: pl.DataFrame, charges: pl.DataFrame, discounts: pl.DataFrame) -> pl.DataFrame:
    """Only percentages off the rate plan or the subscription can be taken along."""
    owners = charges.select("charge_number", "subscriber", "charge_type").unique("charge_number", maintain_order=True)
    whole = discounts.filter(discount_level="account").select("subscriber", "discount_charge")
    of_account = links.join(owners, on="charge_number", maintain_order="left").join(
        whole, on="subscriber", maintain_order="left"
    )
    fixed = charges.filter(charge_model="DiscountFixedAmount").select(
        "subscription_number", discount_charge="charge_number"
    )
    of_subscription = links.join(fixed, on="subscription_number", maintain_order="left")
    both = [
        of_account.select(SCHEDULE, "discount_charge", kind=pl.lit("a discount of the whole account")),
        of_subscription.select(SCHEDULE, "discount_charge", kind=pl.lit("a fixed-amount discount")),
    ]
    said = pl.format(
        "orders: {} is {}, which schedules can't take along: only percentages of the rate plan or the subscription.",
        "discount_charge", "kind",
    )  # fmt: skip
    return pl.concat(both).with_columns(said=said)
