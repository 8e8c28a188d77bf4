"""Input tables: who is billed and how documents are grouped and numbered."""

from __future__ import annotations

from typing import Any

import pandera.polars as pa
import polars as pl

from billfold.contracts.base import Table, field, key
from billfold.money import CURRENCIES

CURRENCY_RULE = "an ISO 4217 code in capitals, such as GBP"
GROUP_NUMBER = "at most 255 characters"
RESERVED_PREFIXES = (
    "PREVIEW-", "TMP-INV-", "TMP-CM-", "TMP-DM-", "PM-", "PG-", "P-", "R-",
    # Counters of a book are called so, beside those of prefixes.
    "bill_run", "invoice_group",
)  # fmt: skip


def currency(meaning: str, *, required: bool = False) -> Any:  # noqa: ANN401 - like `field`
    """A currency code column."""
    return field(meaning, rule=CURRENCY_RULE, required=required, isin=sorted(CURRENCIES))


def prefix(meaning: str, *, default: str) -> Any:  # noqa: ANN401 - like `field`
    """A prefix of document numbers (spec/grouping.md section 7)."""
    return field(
        meaning, default=default, rule="1 to 16 letters, digits, - or _, a letter or digit first, not reserved",
        str_matches=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,15}$", notin=RESERVED_PREFIXES,
    )  # fmt: skip


def start(meaning: str) -> Any:  # noqa: ANN401 - like `field`
    """A first sequence number."""
    return field(meaning, default=1, rule="1 or more, at most 18 digits", ge=1, lt=10**18)


class Accounts(Table):
    """Who is billed: one row a customer account.

    Contacts, terms, template, sequence set and profile are the defaults of every line that has none of its own.
    """

    account_number: str = key("The account's number")
    name: str = field("The customer's name, for people")
    currency: str = currency("Currency of lines that carry none of their own", required=True)
    bill_to_contact: str = field("Default recipient of documents")
    sold_to_contact: str = field("Default place of use; kept on items, never separates documents")
    payment_term: str = field("Default payment term, such as `Net 30` or `Due Upon Receipt`")
    invoice_template: str = field("Default document template")
    sequence_set: str = field("Default sequence set; blank is the set `DEFAULT`")
    communication_profile: str = field("Default communication profile")
    batch: str = field("The batch that bill runs may be limited to", default="Batch1")
    bill_cycle_day: int = field(
        "Day of the month on which billing periods begin; 31 is the month's last day",
        rule="1 to 31", default=1, ge=1, le=31,
    )  # fmt: skip
    invoice_group: str = field("Number of the account's own grouping configuration; blank uses the default one")
    status: str = field("Only active accounts are billed", default="Active", values=("Active", "Draft", "Canceled"))

    class Config(Table.Config):
        """One row an account."""

        unique = ("account_number",)


class Contacts(Table):
    """Who the names of bill-to and sold-to contacts stand for; printed on documents, never used for billing.

    A name without a row here is printed as it is. Columns are Zuora's contact fields, and the company and tax id.
    """

    contact: str = key("The contact, as `bill_to_contact` and `sold_to_contact` hold it")
    company: str = field("The company that is addressed; blank takes the account's name")
    first_name: str = field("First name of the person addressed")
    last_name: str = field("Last name of the person addressed")
    nickname: str = field("Another name of the person")
    address1: str = field("First line of the address, mostly the street")
    address2: str = field("Second line of the address")
    city: str = field("City of the address")
    county: str = field("County of the address")
    state: str = field("State or province of the address")
    postal_code: str = field("Postal or ZIP code, as text")
    country: str = field("Country of the address, as it is to be printed")
    work_email: str = field("Business email address")
    personal_email: str = field("Personal email address")
    work_phone: str = field("Business phone number")
    mobile_phone: str = field("Mobile phone number")
    home_phone: str = field("Home phone number")
    other_phone: str = field("A further phone number")
    other_phone_type: str = field("What the further phone is, such as `Work`")
    fax: str = field("Fax number of the contact")
    tax_id: str = field("Tax or VAT registration number")
    tax_region: str = field("Region of a tax engine")
    description: str = field("A note about the contact")

    class Config(Table.Config):
        """One row a contact."""

        unique = ("contact",)


class SequenceSets(Table):
    """Prefixes and first numbers of documents. A number is the prefix and at least eight digits.

    The set `DEFAULT` (INV, CM, from 1) exists without a row here. Sets with one prefix share one counter.
    """

    name: str = key("The set's name, as accounts, subscriptions and order line items give it")
    invoice_prefix: str = prefix("What invoice numbers begin with", default="INV")
    invoice_start: int = start("First invoice number")
    credit_memo_prefix: str = prefix("What credit memo numbers begin with", default="CM")
    credit_memo_start: int = start("First credit memo number")

    class Config(Table.Config):
        """One row a set."""

        unique = ("name",)

    @pa.dataframe_check(error="invoices and credit memos need different prefixes")
    def prefixes_differ(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """A prefix serves one document type (spec/grouping.md section 7)."""
        return data.lazyframe.select(pl.col("invoice_prefix") != pl.col("credit_memo_prefix"))


class InvoiceGroups(Table):
    """Configurations of invoice grouping: which fields' values a document shares (`billfold grouping set`)."""

    number: str = key("The configuration's number, IG-00000001")
    name: str = field(
        "Its name, for people", required=True, rule="1 to 254 characters", str_length={"min_value": 1, "max_value": 254}
    )
    is_default: bool = field(
        "Applies to every account without a configuration of its own; one row at most", default=False
    )
    meta: str = field(
        "The settings API's JSON: ordered fields of subscriptionGroup and orderLineItemGroup", required=True
    )

    class Config(Table.Config):
        """One row a configuration."""

        unique = ("number",)


class Settings(Table):
    """What `billfold settings set` stored; a setting without a row has its default."""

    name: str = key("The setting's name, such as `ungrouped`")
    value: str = field("Its value, as text", required=True)

    class Config(Table.Config):
        """One row a setting."""

        unique = ("name",)
