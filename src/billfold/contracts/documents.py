"""Output tables: bill runs, their documents, and the accounts that they set aside."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import polars as pl

from billfold.contracts.base import Table, field, key

Amount = Annotated[pl.Decimal, 18, 4]
Sum = Annotated[pl.Decimal, 38, 4]
Quantity = Annotated[pl.Decimal, 28, 9]

SOURCES = ("SubscriptionComponent", "OrderLineItem", "InvoiceSchedule")
STATES = ("Draft", "Posted", "Canceled")


class BillRuns(Table):
    """One row a committed bill run: what was asked, what was read, what came of it."""

    bill_run_number: str = key("The run's number, BR-00000001")
    status: str = field(
        "Completed: its documents are drafts. Posted: they are final. Canceled: everything was given back",
        required=True, values=("Pending", "Completed", "Posted", "Canceled"),
    )  # fmt: skip
    target_date: date = field("Everything owed up to this day, inclusive, was billed", required=True)
    invoice_date: date = field("The date on the documents", required=True)
    request: str = field("The request, as JSON", required=True)
    snapshot_id: int = field("Snapshot of the book that the run read", required=True)
    fingerprint: str = field("SHA-256 of the book's digest, the request and the version", required=True)
    billfold_version: str = field("Version of billfold that made the run; blank before version 3 of the book")
    accounts_billed: int = field("Accounts with at least one document", required=True)
    accounts_nothing_due: int = field("Accounts of the run that owed nothing", required=True)
    parked_accounts: int = field("Accounts set aside, see the table of that name", required=True)
    invoices: int = field("Invoices made", required=True)
    credit_memos: int = field("Credit memos made", required=True)
    items: int = field("Items on both", required=True)
    amounts: str = field("JSON by currency: {invoices, credit_memos}, sums as text", required=True)
    started_at: datetime = field("When the run began, UTC", required=True)
    finished_at: datetime = field("When its last status was reached, UTC", required=True)

    class Config(Table.Config):
        """One row a run."""

        unique = ("bill_run_number",)


class Header(Table):
    """What invoices and credit memos have in common."""

    bill_run_number: str = field("The run that made it", required=True)
    account_number: str = field("The account that it is for: the invoice owner", required=True)
    currency: str = field("Currency of all its items, ISO 4217", required=True)
    status: str = field("Draft until the run is posted", required=True, values=STATES)
    source_type: str = field(
        "Where its items come from: subscriptions, orders, or both (Consolidation)",
        required=True, values=("Subscription", "Order", "Consolidation"),
    )  # fmt: skip
    posting: int = field("Which posting of its run made it final: 1, 2, …; blank for drafts")
    due_date: date = field("Invoice date plus payment term, set by posting; blank for other terms and credit memos")
    target_date: date = field("The run's target date, inclusive", required=True)
    bill_to_contact: str = field("Recipient, resolved")
    payment_term: str = field("Payment term, resolved")
    invoice_template: str = field("Document template, resolved")
    sequence_set: str = field("Sequence set of its number, resolved", required=True)
    communication_profile: str = field("Communication profile, resolved")
    invoice_group_number: str = field("Group number in its first spelling")
    invoice_group_value: str = field("Values of the configured fields, joined by `_`")
    group_key: str = field("JSON object of every component that separates documents, by name", required=True)
    amount: Sum = field("Sum of its items' amounts", required=True)
    item_count: int = field("Number of its items", required=True, ge=1, rule="1 or more")


class Invoices(Header):
    """Headers of invoices."""

    invoice_id: str = key("Run and rank: BR-00000007-000123")
    invoice_number: str = field("Prefix and sequence number, from posting; a draft shows TMP-INV-…", required=True)
    invoice_date: date = field("The date on the invoice", required=True)

    class Config(Table.Config):
        """One row an invoice."""

        unique = ("invoice_id",)


class CreditMemos(Header):
    """Headers of credit memos; amounts are positive when money goes back."""

    credit_memo_id: str = key("Run and rank: BR-00000007-000124")
    credit_memo_number: str = field("Prefix and sequence number, from posting; a draft shows TMP-CM-…", required=True)
    credit_memo_date: date = field("The date on the credit memo", required=True)

    class Config(Table.Config):
        """One row a credit memo."""

        unique = ("credit_memo_id",)


class Item(Table):
    """What invoice items and credit memo items have in common: one owed line each."""

    account_number: str = field("The document's account", required=True)
    currency: str = field("The document's currency", required=True)
    source_type: str = field("What kind of thing was billed", required=True, values=SOURCES)
    subscription_number: str = field("The charge's subscription")
    charge_number: str = field("The charge; blank for order line items")
    segment: int = field("The charge's segment")
    charge_name: str = field("The charge's name, or the order line's")
    charge_type: str = field("OneTime, Recurring or Usage; blank for order line items")
    order_number: str = field("The order; blank for charges")
    item_number: str = field("The line within the order")
    invoice_schedule_number: str = field("The schedule that billed it")
    invoice_schedule_item_id: str = field("The item of that schedule")
    service_start_date: date = field("First day of service, inclusive", required=True)
    service_end_date: date = field("Last day of service, inclusive", required=True)
    quantity: Quantity = field("Units billed")
    unit_price: Quantity = field("Price of one unit")
    uom: str = field("Unit of measure")
    amount: Amount = field("Money, rounded to the currency's increment", required=True)
    sold_to_contact: str = field("Place of use: the line's own, else the owning account's")
    applied_to_item_id: str = field(
        "Of a discount or credit: the item that it belongs to; `elsewhere` if billfold did not bill it"
    )
    processing_type: str = field("Charge or Discount", required=True, values=("Charge", "Discount"))


class InvoiceItems(Item):
    """Lines of invoices."""

    invoice_item_id: str = key("Invoice and position: BR-00000007-000123-000001")
    invoice_id: str = field("The invoice", required=True)

    class Config(Table.Config):
        """One row an item."""

        unique = ("invoice_item_id",)


class CreditMemoItems(Item):
    """Lines of credit memos; what is owed with a minus is an amount with a plus here, and the other way round."""

    credit_memo_item_id: str = key("Credit memo and position: BR-00000007-000124-000001")
    credit_memo_id: str = field("The credit memo", required=True)

    class Config(Table.Config):
        """One row an item."""

        unique = ("credit_memo_item_id",)


class ParkedAccounts(Table):
    """Accounts that a run set aside, wholly or in part, since their data could not be billed."""

    bill_run_number: str = key("The run")
    account_number: str = key("The account")
    step: str = field("The step that found it: rate, group or assemble", required=True)
    reason: str = field("Why, in one sentence", required=True)
    detail: str = field("The offending keys, as JSON", required=True)

    class Config(Table.Config):
        """One row an account and run."""

        unique = ("bill_run_number", "account_number")
