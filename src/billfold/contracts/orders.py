"""Tables of orders: their headers, what they did to subscriptions, and what they sold outside of these."""

from __future__ import annotations

from datetime import date

import pandera.polars as pa
import polars as pl

from billfold.contracts.base import Table, field, key
from billfold.contracts.parties import GROUP_NUMBER, currency
from billfold.contracts.sales import DECIMAL, OWN, Price

ACTIONS = (
    "CreateSubscription", "TermsAndConditions", "RenewSubscription", "AddProduct", "RemoveProduct", "UpdateProduct",
    "CancelSubscription", "OwnerTransfer", "Suspend", "Resume",
)  # fmt: skip


class Orders(Table):
    """Orders: headers of order lines and of changes to subscriptions. Lines may name an order that the book lacks."""

    order_number: str = key("The order's number")
    account_number: str = field("The account that ordered", required=True)
    order_date: date = field("When it was ordered")
    status: str = field(
        "State of the order", default="Completed",
        values=("Draft", "Pending", "Completed", "Cancelled", "Scheduled", "Executing", "Failed"),
    )  # fmt: skip

    category: str = field("Sale or return", default="NewSales", values=("NewSales", "Return"))
    description: str = field("Free text")
    idempotency_key: str = field("Key under which it was asked for; asking again gives the same answer", is_own=True)
    bill_run_number: str = field("The run that billed it when it was created; blank if that was not asked", is_own=True)
    request: str = field("The request, as it came to `billfold order create`", is_json=True, is_own=True)
    response: str = field("The answer to it", is_json=True, is_own=True)

    class Config(Table.Config):
        """One row an order."""

        unique = ("order_number",)


class OrderActions(Table):
    """What orders did to subscriptions, step by step, in the order in which they did it."""

    order_number: str = key("The order's number")
    sequence: int = field("Place among the order's actions, from 1", required=True)
    subscription_number: str = field("The subscription", required=True)
    type: str = field("What was done", required=True, values=ACTIONS)
    effective_date: date = field("The day from which it counts, inclusive")
    change_reason: str = field("Free text")

    class Config(Table.Config):
        """One row an action."""

        unique = ("order_number", "sequence")


class OrderLineItems(Table):
    """Goods, fees and services sold once, outside subscriptions."""

    order_number: str = key("The order's number")
    item_number: str = key("The line's number within the order")
    account_number: str = field("The account that ordered", required=True)
    item_name: str = field("What was sold; blank is the item number")
    item_type: str = field("Kind of line", default="Product", values=("Product", "Fee", "Services", "Prepayment"))
    item_category: str = field("A return is credited, a sale is invoiced", default="Sales", values=("Sales", "Return"))
    item_state: str = field(
        "Only lines that were sent to billing are billed", default="Executing",
        values=("Executing", "Booked", "SentToBilling", "Complete", "Canceled"),
    )  # fmt: skip
    quantity: Price = field(
        "Units sold or, in a return, given back; a negative number takes back; blank is 1", rule=DECIMAL
    )
    uom: str = field("Unit of measure")
    amount_per_unit: Price = field(
        "Price of one unit after discounts; blank is reckoned from the list price, to 9 decimals", rule=DECIMAL
    )
    list_price_per_unit: Price = field("Price of one unit before the discount", rule=DECIMAL)
    discount_type: str = field("What `discount` means", values=("Percentage", "FixedAmount", "None"))
    discount: Price = field("Percent, or amount per unit, taken off the list price", rule=DECIMAL)
    currency: str = currency("Currency of the line; blank takes the invoice owner account's")
    description: str = field("Free text")
    product_code: str = field("The product's code")
    product_rate_plan_charge_id: str = field("The one-time charge of the catalog that it was sold as")
    purchase_order_number: str = field("The customer's purchase order")
    bill_target_date: date = field("Day from which it may be billed, inclusive")
    transaction_date: date = field("When it was sold")
    transaction_start_date: date = field("First day of service, inclusive; blank is the transaction date")
    transaction_end_date: date = field("Last day of service, inclusive; blank is the first day of service")
    bill_to_contact: str = field("Recipient of its document" + OWN)
    sold_to_contact: str = field("Place of use, kept on the item; never separates documents unless configured to")
    payment_term: str = field("Payment term" + OWN)
    invoice_template: str = field("Document template" + OWN)
    sequence_set: str = field("Sequence set of its document's number" + OWN)
    communication_profile: str = field("Communication profile" + OWN)
    invoice_group_number: str = field(
        "Lines of one account with one number share a document", rule=GROUP_NUMBER, str_length={"max_value": 255}
    )
    invoice_owner_account_number: str = field("The account that gets the document; blank is the one that ordered")
    related_subscription_number: str = field("A subscription that the line belongs with, for information")
    original_order_number: str = field("Of a return: the order of the sale")
    original_item_number: str = field("Of a return: the line of the sale")

    class Config(Table.Config):
        """One row a line."""

        unique = ("order_number", "item_number")

    @pa.dataframe_check(error="an order line item needs amount_per_unit or list_price_per_unit")
    def has_a_price(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """A missing price would bill nothing, and nobody would notice."""
        return data.lazyframe.select(pl.any_horizontal(pl.col("amount_per_unit", "list_price_per_unit").is_not_null()))

    @pa.dataframe_check(error="a line that was sent to billing needs bill_target_date")
    def has_a_target_date(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """Otherwise it would wait for ever (bill_run.md O3)."""
        sent = pl.col("item_state") == "SentToBilling"
        return data.lazyframe.select(~sent | pl.col("bill_target_date").is_not_null())

    @pa.dataframe_check(error="transaction_end_date must not be before transaction_start_date")
    def ends_after_it_starts(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """Both days are inclusive."""
        order = pl.col("transaction_end_date") >= pl.col("transaction_start_date")
        return data.lazyframe.select(order.fill_null(value=True))
