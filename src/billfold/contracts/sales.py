"""Input tables: what was subscribed to (subscriptions and their charges, usage, the catalog)."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import pandera.polars as pa
import polars as pl

from billfold.contracts.base import Table, field, key
from billfold.contracts.parties import GROUP_NUMBER, currency

Price = Annotated[pl.Decimal, 28, 9]

OWN = "; blank takes the invoice owner account's"
DECIMAL = "a decimal number with at most 19 digits before the point and 9 behind"
MODELS = (
    "FlatFee", "PerUnit", "Overage", "Volume", "Tiered", "TieredWithOverage", "DiscountFixedAmount",
    "DiscountPercentage", "PreratedPerUnit", "PreratedPricing",
)  # fmt: skip
TIERED = ("Volume", "Tiered", "TieredWithOverage")
FOR_USAGE = ("Overage", "TieredWithOverage", "PreratedPerUnit", "PreratedPricing")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PERIODS = (
    "Month", "Quarter", "Semi_Annual", "Annual", "Eighteen_Months", "Two_Years", "Three_Years", "Five_Years",
    "Specific_Months", "Subscription_Term", "Week", "Specific_Weeks", "Specific_Days",
)  # fmt: skip
TERM_PERIODS = ("Month", "Year", "Day", "Week")


class Subscriptions(Table):
    """What an account has subscribed to: terms, and the billing attributes of its charges."""

    subscription_number: str = key("The subscription's number")
    account_number: str = field("The account that owns the subscription", required=True)
    invoice_owner_account_number: str = field("The account that gets the documents; blank is the owner")
    status: str = field(
        "Drafts and expired subscriptions are not billed", default="Active",
        values=("Active", "Draft", "Pending Activation", "Pending Acceptance", "Cancelled", "Expired", "Suspended"),
    )  # fmt: skip
    term_type: str = field("Whether it ends by itself", default="TERMED", values=("TERMED", "EVERGREEN"))
    contract_effective_date: date = field("When the contract took effect, the first of the three trigger dates")
    service_activation_date: date = field("When service began; blank is the contract effective date")
    customer_acceptance_date: date = field("When the customer accepted; blank is the service activation date")
    subscription_start_date: date = field("First day; blank is the contract effective date")
    term_start_date: date = field("First day of the current term, inclusive")
    term_end_date: date = field("End of the current term, exclusive")
    cancelled_date: date = field("Day from which it is canceled, exclusive: the day before is the last of service")
    auto_renew: bool = field("Renews by itself at the end of a term", default=False)
    renewal_setting: str = field(
        "What a renewal makes of it; blank is a specific term",
        values=("RENEW_WITH_SPECIFIC_TERM", "RENEW_TO_EVERGREEN"),
    )
    renewal_term: int = field("Length of the next term, in periods", rule="a whole number, 1 to 1200", ge=1, le=1200)
    renewal_term_period_type: str = field("What these periods are; blank is months", values=TERM_PERIODS)
    suspension: str = field(
        "Since when an order has suspended it, and the spans of its charges before that: what resuming brings back",
        is_json=True,
        is_own=True,
    )
    currency: str = currency("Currency of its charges; blank takes the invoice owner account's")
    bill_to_contact: str = field("Recipient of its documents" + OWN)
    sold_to_contact: str = field("Place of use, kept on items; never separates documents unless it is configured to")
    payment_term: str = field("Payment term" + OWN)
    invoice_template: str = field("Document template" + OWN)
    sequence_set: str = field("Sequence set of its documents' numbers" + OWN)
    communication_profile: str = field("Communication profile" + OWN)
    invoice_group_number: str = field(
        "Lines of one account with one number share a document", rule=GROUP_NUMBER, str_length={"max_value": 255}
    )
    invoice_separately: bool = field("Its charges get documents of their own", default=False)

    class Config(Table.Config):
        """One row a subscription."""

        unique = ("subscription_number",)


def _needs(data: pa.PolarsData, needy: pl.Expr, *names: str) -> pl.LazyFrame:
    """For each row, whether it has a value in all columns of `names`, if it is one of the needy."""
    return data.lazyframe.select(~needy.fill_null(value=False) | pl.all_horizontal(pl.col(names).is_not_null()))


class Priced(Table):
    """What a charge of the catalog and a charge of a subscription have in common."""

    charge_name: str = field("The charge's name, as items show it; blank is the charge number")
    charge_type: str = field("When it is owed", required=True, values=("OneTime", "Recurring", "Usage"))
    charge_model: str = field("How quantity and price make an amount", required=True, values=MODELS)
    price: Price = field("Price of the fee or of one unit, for one `list_price_base`, in the currency", rule=DECIMAL)
    quantity: Price = field("Units bought; a flat fee has none", rule=DECIMAL)
    uom: str = field("Unit of measure")
    included_units: Price = field(
        "Units of a period that cost nothing (overage models)", rule=f"{DECIMAL}, not negative", ge=0
    )
    overage_price: Price = field("Price of one unit beyond those included or beyond the last tier", rule=DECIMAL)
    tiers: str = field(
        "JSON array of tiers, each {startingUnit, endingUnit (inclusive; none is open), price, priceFormat (FlatFee or "
        "PerUnit, which is meant if it is absent)}, perhaps with its number as `tier`",
        rule="a JSON array of tiers; the first begins at 0 or 1, the last may be open, no gaps, no overlaps",
        is_tiers=True,
    )
    discount_percentage: Price = field(
        "Percent taken off, for discount charges", rule="more than -100 and less than 100", gt=-100, lt=100
    )
    apply_discount_to: str = field(
        "Charge types that a discount applies to",
        values=(
            "ONETIME", "RECURRING", "USAGE", "ONETIMERECURRING", "ONETIMEUSAGE", "RECURRINGUSAGE",
            "ONETIMERECURRINGUSAGE",
        ),
    )  # fmt: skip
    discount_level: str = field("How far a discount reaches", values=("rateplan", "subscription", "account"))
    discount_class: str = field("Order among several discounts, higher first")
    is_stacked_discount: bool = field(
        "Its percentage is added to those of the other stacked discounts instead of compounding", default=False
    )
    billing_period: str = field("Length of a period; recurring charges need one", values=PERIODS)
    specific_billing_period: int = field(
        "Months, weeks or days of a period called Specific_…", rule="a whole number, 1 to 1200", ge=1, le=1200
    )
    billing_timing: str = field(
        "Whether a period is owed at its start or at its end", default="IN_ADVANCE", values=("IN_ADVANCE", "IN_ARREARS")
    )
    bill_cycle_type: str = field(
        "Where the day comes from on which periods begin", default="DefaultFromCustomer",
        values=(
            "DefaultFromCustomer", "SpecificDayofMonth", "SubscriptionStartDay", "ChargeTriggerDay",
            "SpecificDayofWeek",
            "TermStartDay", "TermEndDay",
        ),
    )  # fmt: skip
    bill_cycle_day: int = field("That day, for SpecificDayofMonth; 31 is the month's last", rule="1 to 31", ge=1, le=31)
    weekly_bill_cycle_day: str = field("The day on which weeks begin, for SpecificDayofWeek", values=WEEKDAYS)
    billing_period_alignment: str = field(
        "The date from which periods are counted", default="AlignToCharge",
        values=("AlignToCharge", "AlignToSubscriptionStart", "AlignToTermStart", "AlignToTermEnd"),
    )  # fmt: skip
    list_price_base: str = field(
        "The span that `price` is for", default="Per_Billing_Period",
        values=(
            "Per_Billing_Period", "Per_Month", "Per_Week", "Per_Year", "Per_Specific_Months", "Per_Validity_Period",
        ),
    )  # fmt: skip
    trigger_event: str = field(
        "The event that starts it", default="ContractEffective",
        values=("ContractEffective", "ServiceActivation", "CustomerAcceptance", "SpecificDate"),
    )  # fmt: skip

    @pa.dataframe_check(error="a FlatFee or PerUnit charge needs a price")
    def has_a_price(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """A missing price would bill nothing, and nobody would notice."""
        simple = pl.col("charge_model").is_in(["FlatFee", "PerUnit"])
        return data.lazyframe.select(~simple | pl.col("price").is_not_null())

    @pa.dataframe_check(error="a recurring charge needs a billing_period")
    def has_a_period(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """Without a period nothing would ever be due."""
        recurring = pl.col("charge_type") == "Recurring"
        discount = pl.col("charge_model").str.starts_with("Discount")
        return data.lazyframe.select(~recurring | discount | pl.col("billing_period").is_not_null())

    @pa.dataframe_check(error="a Specific_… billing_period needs specific_billing_period")
    def has_a_length(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """The length of such a period is a number of its own."""
        specific = pl.col("billing_period").str.starts_with("Specific_").fill_null(value=False)
        return data.lazyframe.select(~specific | pl.col("specific_billing_period").is_not_null())

    @pa.dataframe_check(error="bill_cycle_type SpecificDayofMonth needs bill_cycle_day")
    def has_a_day(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """The day can't be guessed."""
        fixed = pl.col("bill_cycle_type") == "SpecificDayofMonth"
        return data.lazyframe.select(~fixed | pl.col("bill_cycle_day").is_not_null())

    @pa.dataframe_check(error="bill_cycle_type SpecificDayofWeek needs weekly_bill_cycle_day")
    def has_a_weekday(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """Nor can the day of the week."""
        return _needs(data, pl.col("bill_cycle_type") == "SpecificDayofWeek", "weekly_bill_cycle_day")

    @pa.dataframe_check(error="a Volume, Tiered or TieredWithOverage charge needs tiers")
    def has_tiers(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """They are its prices."""
        return _needs(data, pl.col("charge_model").is_in(TIERED), "tiers")

    @pa.dataframe_check(error="an Overage charge needs included_units and overage_price")
    def has_an_overage(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """Nothing included is a 0."""
        return _needs(data, pl.col("charge_model") == "Overage", "included_units", "overage_price")

    @pa.dataframe_check(error="a TieredWithOverage charge needs overage_price")
    def has_a_price_beyond_tiers(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """Without one it is a Tiered charge."""
        return _needs(data, pl.col("charge_model") == "TieredWithOverage", "overage_price")

    @pa.dataframe_check(error="the last tier of a TieredWithOverage charge needs endingUnit, where the overage begins")
    def has_an_end_of_tiers(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """No tier but the last can be open, so that the text alone tells."""
        endless = pl.col("tiers").str.contains('"endingUnit":null', literal=True).fill_null(value=False)
        return data.lazyframe.select((pl.col("charge_model") != "TieredWithOverage") | ~endless)

    @pa.dataframe_check(error="a DiscountPercentage charge needs discount_percentage")
    def has_a_percentage(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """A missing percentage would take nothing off, and nobody would notice."""
        return _needs(data, pl.col("charge_model") == "DiscountPercentage", "discount_percentage")

    @pa.dataframe_check(error=f"{', '.join(FOR_USAGE[:-1])} and {FOR_USAGE[-1]} are models of Usage charges only")
    def is_for_usage(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """They price what was used (bill_run.md, 4)."""
        used = pl.col("charge_type") == "Usage"
        return data.lazyframe.select(~pl.col("charge_model").is_in(FOR_USAGE) | used)


class ProductRatePlanCharges(Priced):
    """The catalog: charges as they are sold, before a customer has any."""

    product_rate_plan_charge_id: str = key("The catalog charge's id")
    product_rate_plan_id: str = field("The rate plan that it belongs to", required=True)
    product_name: str = field("The product's name")
    rate_plan_name: str = field("The rate plan's name")

    class Config(Table.Config):
        """One row a catalog charge."""

        unique = ("product_rate_plan_charge_id",)


class RatePlanCharges(Priced):
    """Charges of subscriptions. A change of price, quantity or dates makes a new segment of the charge."""

    charge_number: str = key("The charge's number")
    segment: int = field("Version of the charge, from 1", default=1, rule="a whole number, 1 or more", ge=1)
    subscription_number: str = field("The subscription that it belongs to", required=True)
    product_rate_plan_charge_id: str = field("The catalog charge that it came from")
    rate_plan_number: str = field("The subscription's rate plan that it belongs to; orders give each a number")
    rate_plan_name: str = field("The rate plan's name")
    effective_start_date: date = field(
        "First day, inclusive; blank is the subscription's date of `trigger_event` (no such date: not yet billable)"
    )
    effective_end_date: date = field("End, exclusive; blank is open")
    charged_through_date: date = field(
        "Opening state: already billed elsewhere up to this day, exclusive; billfold's own is in charge_progress"
    )

    class Config(Table.Config):
        """One row a charge segment."""

        unique = ("charge_number", "segment")

    @pa.dataframe_check(error="a PerUnit, Volume or Tiered charge needs a quantity, unless it is for Usage")
    def has_a_quantity(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """Usage brings its own quantities; the others have to say how many."""
        counted = pl.col("charge_model").is_in(["PerUnit", "Volume", "Tiered"]) & (pl.col("charge_type") != "Usage")
        return _needs(data, counted, "quantity")

    @pa.dataframe_check(error="effective_end_date must not be before effective_start_date")
    def ends_after_it_starts(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """A segment that ends where it starts is one that was removed at once."""
        order = pl.col("effective_end_date") >= pl.col("effective_start_date")
        return data.lazyframe.select(order.fill_null(value=True))


class Usage(Table):
    """Measured consumption, each row in the period that holds its start date."""

    usage_id: str = key("The record's id")
    account_number: str = field("The account that used it", required=True)
    subscription_number: str = field("The subscription that it belongs to; blank is found by charge or unit")
    charge_number: str = field("The charge that rates it; blank is found by unit of measure")
    uom: str = field("Unit of measure")
    quantity: Price = field("Units used", required=True, rule=DECIMAL)
    start_date: date = field("The day of use, inclusive", required=True)
    unit_rate: Price = field("Rate of one unit, where the charge is PreratedPerUnit (0 is a value)", rule=DECIMAL)
    total: Price = field("Amount of the whole record, where the charge is PreratedPricing (0 is a value)", rule=DECIMAL)

    class Config(Table.Config):
        """One row a record."""

        unique = ("usage_id",)
