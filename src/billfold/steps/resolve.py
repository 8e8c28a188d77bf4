"""Step 2, first half: what each charge and order line brings to its document, looked up once per carrier.

A carrier is a charge segment or an order line item; lines inherit what is resolved here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.group_values import CHARGES, ORDER_LINES, SUBSCRIPTION, configured, fields, with_group_values
from billfold.lines import ATTRIBUTES, SCHEDULED, UNBILLED, Carriers
from billfold.rating.spans import serves, with_spans
from billfold.rows import Only, unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.lines import Inputs
    from billfold.requests import RunRequest

_OPEN: Final = ("Executing", "Booked", "SentToBilling")
OF_CHARGES: Final = (
    "charge_number", "segment", "subscription_number", "charge_name", "charge_type", "charge_model", "price",
    "quantity", "uom", "included_units", "overage_price", "tiers", "rate_plan_name", "billing_period",
    "specific_billing_period", "billing_timing", "bill_cycle_type", "bill_cycle_day", "weekly_bill_cycle_day",
    "billing_period_alignment", "list_price_base", "trigger_event", "effective_start_date", "effective_end_date",
    "charged_through_date",
)  # fmt: skip
"""Columns of charges that decide about lines, besides custom fields."""

_OF_SUBSCRIPTIONS: Final = (
    "subscription_number", "contract_effective_date", "service_activation_date", "customer_acceptance_date",
    "subscription_start_date", "term_type", "term_start_date", "term_end_date", "cancelled_date",
    "invoice_separately", "subscriber",
)  # fmt: skip
_OF_DISCOUNTS: Final = (
    "discount_level", "discount_class", "apply_discount_to", "is_stacked_discount", "rate_plan_name",
    "subscription_number", "subscriber", "start", "end",
)  # fmt: skip
_RESOLVED: Final = (
    "owner", "currency", *ATTRIBUTES, "sold_to_contact", "invoice_group_number", "invoice_group",
    "account_bill_cycle_day", "account_has_numbers",
)  # fmt: skip


def resolve(inputs: Inputs) -> Carriers:
    """Charges and order lines with owner, currency, billing attributes, grouping fields and what was billed before.

    Attributes are looked up once a subscription, of which there are fewer than charges; columns that no rule needs
    are never read.
    """
    groups = configured(inputs.invoice_groups)
    open_lines = open_order_lines(inputs)
    owners = _owners(inputs, open_lines)
    lines = _asked(open_lines, inputs.request)
    order_lines = with_group_values(lines.join(owners, on="owner"), groups, ORDER_LINES)
    charges = with_group_values(_charges(inputs, inputs.rate_plan_charges, owners, groups), groups, CHARGES)
    plans = [charges, _with_attributes(order_lines), _of_charges(inputs, inputs.discounts)]
    if inputs.schedules.charges.height:
        plans.append(with_group_values(_scheduled(inputs, owners, groups), groups, CHARGES))
    try:
        frames = pl.collect_all(plans)
    except pl.exceptions.PolarsError as e:
        raise unreadable(e) from e
    return Carriers(
        charges=frames[0],
        order_lines=frames[1],
        discounts=_discounts(frames[2]),
        usage_charges=lambda: _of_charges(inputs, inputs.usage_charges()),
        usage=inputs.usage,
        processed=inputs.processed,
        items=inputs.items,
        schedules=inputs.schedules,
        scheduled=frames[3] if len(frames) > 3 else frames[0].clear(),  # noqa: PLR2004 - the plan that few runs have
        also_billed=inputs.also_billed,
    )


def _of_charges(inputs: Inputs, charges: pl.LazyFrame) -> pl.LazyFrame:
    """Charges with the dates of their subscriptions, those that can be billed, whoever pays."""
    dates = billable(inputs.subscriptions).select(*_OF_SUBSCRIPTIONS)
    return charges.join(dates, on="subscription_number")


def _discounts(charges: pl.DataFrame) -> pl.DataFrame:
    """Discount charges, under names of their own where lines have the same columns."""
    served = with_spans(charges.with_columns(billed_through=pl.lit(None, dtype=pl.Date))).filter(serves())
    return served.select(
        *_OF_DISCOUNTS,
        discount_charge="charge_number",
        discount_segment="segment",
        discount_name=pl.coalesce("charge_name", "charge_number"),
        percentage="discount_percentage",
    )


def _owners(inputs: Inputs, lines: pl.LazyFrame) -> pl.LazyFrame:
    """The run's accounts, as defaults of their lines, and whether anything of theirs carries a group number."""
    active = billable(inputs.subscriptions).filter(status="Active").select("owner", "invoice_group_number")
    numbered = (
        pl.concat([active, lines.select("owner", "invoice_group_number")])
        .filter(given("invoice_group_number").is_not_null())
        .select("owner", account_has_numbers=pl.lit(value=True))
        .unique()
    )
    accounts = inputs.accounts.select(
        "invoice_group",
        owner="account_number",
        account_currency="currency",
        account_bill_cycle_day="bill_cycle_day",
        **{f"account_{a}": a for a in ATTRIBUTES},
    )
    marked = accounts.join(numbered, on="owner", how="left")
    return marked.with_columns(pl.col("account_has_numbers").fill_null(value=False))


def billable(subscriptions: pl.LazyFrame) -> pl.LazyFrame:
    """Subscriptions that can be billed, with their invoice owner (spec/bill_run.md B23)."""
    owner = pl.coalesce("invoice_owner_account_number", "account_number")
    billable = subscriptions.filter(~pl.col("status").is_in(["Draft", "Expired"]))
    return billable.with_columns(owner=owner, subscriber="account_number")


def _scheduled(inputs: Inputs, owners: pl.LazyFrame, groups: Mapping[str | None, Mapping[str, Any]]) -> pl.LazyFrame:
    """Charge segments of due schedules. What was planned is billed, whatever the status of the subscription became."""
    numbers = Only(among=inputs.schedules.charges["subscription_number"].unique())
    theirs = numbers.of(inputs.subscriptions).with_columns(status=pl.lit("Active"))
    return _charges(replace(inputs, charged=theirs), inputs.scheduled_charges, owners, groups)


def _charges(
    inputs: Inputs, charges: pl.LazyFrame, owners: pl.LazyFrame, groups: Mapping[str | None, Mapping[str, Any]]
) -> pl.LazyFrame:
    """Charge segments that may have begun, with what they take from their subscription and its invoice owner."""
    known = inputs.subscriptions.collect_schema().names()
    asked = [pl.col(c).alias(SUBSCRIPTION + c) for c in fields(groups, "Subscription", known)]
    own = fields(groups, "RatePlanCharge", charges.collect_schema().names())
    subscriptions = (
        billable(inputs.charged)
        .join(_sold_to(inputs), on="account_number", how="left")
        .join(owners, on="owner")
        .with_columns(asked)
    )
    resolved = _with_attributes(subscriptions).select(*_OF_SUBSCRIPTIONS, *_RESOLVED, pl.col(f"^{SUBSCRIPTION}.*$"))
    return charges.select(dict.fromkeys((*OF_CHARGES, *SCHEDULED, *UNBILLED, "is_reviewed", *own)).keys()).join(
        resolved, on="subscription_number"
    )


def open_order_lines(inputs: Inputs) -> pl.LazyFrame:
    """Order lines that may still be billed, with their invoice owner."""
    return (
        inputs.order_line_items.filter(pl.col("item_state").is_in(_OPEN))
        .join(inputs.billed_order_lines, on=["order_number", "item_number"], how="anti")
        .join(_sold_to(inputs), on="account_number", how="left")
        .with_columns(owner=pl.coalesce("invoice_owner_account_number", "account_number"))
    )


def _asked(lines: pl.LazyFrame, request: RunRequest) -> pl.LazyFrame:
    """The order lines that the run is for. The others still tell which accounts have group numbers."""
    if not request.order_line_items:
        return lines.clear()
    return lines.filter(pl.col("order_number").is_in(request.orders)) if request.orders else lines


def _sold_to(inputs: Inputs) -> pl.LazyFrame:
    """The owning account's sold-to contact, the default of its lines' (spec/grouping.md 3.1)."""
    return inputs.all_accounts.select("account_number", account_sold_to_contact="sold_to_contact")


def _with_attributes(carriers: pl.LazyFrame) -> pl.LazyFrame:
    """Blank attributes take the owner's, so that a blank equals an explicit value equal to the default."""
    built_in = {"sequence_set": "DEFAULT"}
    return carriers.with_columns(
        *(pl.coalesce(given(a), given(f"account_{a}"), pl.lit(built_in.get(a))).alias(a) for a in ATTRIBUTES),
        currency=pl.coalesce("currency", "account_currency"),
        sold_to_contact=pl.coalesce(given("sold_to_contact"), given("account_sold_to_contact")),
        invoice_group_number=given("invoice_group_number"),
    )


def given(column: str) -> pl.Expr:
    """A text without blanks around it; null when nothing else is left."""
    text = pl.col(column).str.strip_chars()
    return pl.when(text != "").then(text)
