"""What the steps hand to each other: inputs, carriers, lines, documents. Steps import this, never each other.

A line is one amount owed, with every attribute that decides about its document. A further source of lines (usage,
schedules) is one more function that returns lines of this shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final, Protocol, Self

import polars as pl

from billfold.contracts import TABLES, empty
from billfold.money import AMOUNT, PRICE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from billfold.requests import RunRequest
    from billfold.rows import Only

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
"""What a line is: no two lines of a book agree in all of these, but for a discount on several charges."""

LINE: Final = pl.Schema(
    {
        "account_number": pl.String(),
        "currency": pl.String(),
        **IDENTITY,
        "charge_name": pl.String(),
        "charge_type": pl.String(),
        "quantity": PRICE,
        "unit_price": PRICE,
        "uom": pl.String(),
        "amount": AMOUNT,
        "sold_to_contact": pl.String(),
        "applied_to_item_id": pl.String(),
        "applied_line": pl.UInt32(),
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
"""Columns of lines; `account_number` is the invoice owner. `group_values` is JSON, `invoice_group_value` shows it.

A discount's `applied_line` is the row, from 0, of the line that it reduces; they stay on one document.
"""

USED: Final = pl.Schema(
    {
        "usage_id": pl.String(),
        "account_number": pl.String(),
        "charge_number": pl.String(),
        "segment": pl.Int64(),
        "service_start_date": pl.Date(),
    }
)
"""Usage records that were rated, and the account, charge and period that they were rated for."""

PROGRESS: Final = pl.Schema(
    {
        "account_number": pl.String(),
        "charge_number": pl.String(),
        "segment": pl.Int64(),
        "charged_through_date": pl.Date(),
        "next_due_date": pl.Date(),
        "price": PRICE,
        "quantity": PRICE,
        "tiers": pl.String(),
        "bill_run_number": pl.String(),
        "is_billed": pl.Boolean(),
    }
)
"""How far each charge segment that was looked at is billed afterwards; `is_billed` says that this run did it."""

UNBILLED: Final = {
    "billed_through": pl.Date(),
    "billed_price": PRICE,
    "billed_quantity": PRICE,
    "billed_tiers": pl.String(),
    "billed_by": pl.String(),
}
"""How far a charge was billed, on what terms and by which run; null where it never was."""

SCHEDULED: Final = dict.fromkeys(("scheduled_from", "scheduled_through", "scheduled_before"), pl.Date())
"""From when to when schedules bill a charge instead of its periods, and until when one did before."""

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

LAST_BILL: Final = pl.Schema(
    {
        "account_number": pl.String(),
        "currency": pl.String(),
        "bill_run_number": pl.String(),
        "amount": pl.Decimal(38, 4),
    }
)
"""What an account's latest run billed in a currency: invoices less credit memos."""

ALSO_BILLED: Final = pl.Schema({"subscription_number": pl.String(), "account_number": pl.String(), "until": pl.Date()})
"""Subscriptions, of an account, that are billed together with schedules up to a target date of their own."""

KEY: Final = (
    "account_number",
    "currency",
    *ATTRIBUTES,
    "separate_subscription",
    "invoice_schedule",
    "group_number",
    "ungrouped",
    "origin",
    "group_values",
)
"""Components of a group: lines that agree in all of them share a document (design section 4)."""


@dataclass(frozen=True)
class Schedules:
    """Rows of invoice_schedules, invoice_schedule_items and invoice_schedule_charges that belong together."""

    headers: pl.DataFrame
    items: pl.DataFrame
    charges: pl.DataFrame

    @classmethod
    def none(cls) -> Self:
        """No schedules."""
        tables = ("invoice_schedules", "invoice_schedule_items", "invoice_schedule_charges")
        return cls(*(empty(TABLES[t]) for t in tables))

    def among(self, numbers: pl.Series) -> Schedules:
        """Those with some numbers."""
        theirs = pl.col("invoice_schedule_number").is_in(numbers.implode())
        return Schedules(
            self.headers.filter(pl.col("number").is_in(numbers.implode())),
            self.items.filter(theirs),
            self.charges.filter(theirs),
        )


@dataclass(frozen=True)
class Executed:
    """Schedules as they are after a run: rows that it changes; `payers` of schedules, and ids of the items billed."""

    after: Schedules
    payers: pl.DataFrame
    item_ids: pl.Series

    @classmethod
    def none(cls) -> Self:
        """No schedule was touched."""
        of = {"invoice_schedule_number": pl.String, "account_number": pl.String}
        return cls(Schedules.none(), pl.DataFrame(schema=of), pl.Series("item_id", [], pl.String))


class Part(Protocol):
    """A large run's accounts from a first to a last one, with the rows of a book that bear on them."""

    def read(self, table: str, only: Only | None = None) -> pl.LazyFrame:
        """Their accounts (`is_billed`: by this part), subscriptions, open order lines, discount and usage charges."""

    def charges(self) -> pl.LazyFrame:
        """Their charges that may owe something, with their progress (`UNBILLED`) and `is_reviewed`."""

    def billed_order_lines(self) -> pl.LazyFrame:
        """Those of their order lines that are on documents which count."""

    def usage(self, first: date, last: date) -> pl.LazyFrame | None:
        """Their usage that starts on these days; None where only the book has it."""


@dataclass(frozen=True)
class Inputs:
    """What a run reads. `accounts` are those that it bills; the other tables still hold everyone's rows.

    `rate_plan_charges` are the charges that may owe something, with their progress; `discounts` and `usage_charges`
    all charges of these kinds. `items` are those of documents that count, signed as owed. What few runs need, or
    only for some days, is read when it is asked for: `usage` takes a first and a last start date,
    `processed` says which records were billed.
    """

    accounts: pl.LazyFrame
    all_accounts: pl.LazyFrame
    subscriptions: pl.LazyFrame
    charged: pl.LazyFrame
    """Subscriptions, at least those of `rate_plan_charges`."""

    rate_plan_charges: pl.LazyFrame
    discounts: pl.LazyFrame
    usage_charges: Callable[[], pl.LazyFrame]
    usage: Callable[[date, date], pl.LazyFrame]
    processed: Callable[[pl.Series], pl.Series]
    order_line_items: pl.LazyFrame
    items: pl.LazyFrame
    billed_order_lines: pl.LazyFrame
    invoice_groups: pl.DataFrame
    last_bills: pl.DataFrame
    to_review: pl.DataFrame
    late_usage: pl.DataFrame
    settings: Mapping[str, str]
    request: RunRequest
    currencies: Sequence[str]
    """Every currency that a line can have."""

    schedules: Schedules
    """Invoice schedules that are due."""

    scheduled_charges: pl.LazyFrame
    """Their charges."""

    also_billed: pl.DataFrame
    """`ALSO_BILLED`."""

    work: int
    """How many charges and order lines there are to look at, about."""


@dataclass(frozen=True)
class Carriers:
    """Charge segments and order line items of the run's accounts, attributes resolved, and what bears on their price.

    A usage record without a charge finds its own among `usage_charges`.
    """

    charges: pl.DataFrame
    order_lines: pl.DataFrame
    discounts: pl.DataFrame
    usage_charges: Callable[[], pl.LazyFrame]
    usage: Callable[[date, date], pl.LazyFrame]
    processed: Callable[[pl.Series], pl.Series]
    items: pl.LazyFrame
    schedules: Schedules
    scheduled: pl.DataFrame
    """Charge segments of these schedules, as `charges`."""

    also_billed: pl.DataFrame

    def accounts(self) -> pl.Series:
        """The invoice owners, in order."""
        return pl.concat(f["owner"] for f in (self.charges, self.order_lines, self.scheduled)).unique().sort()

    def among(self, accounts: pl.Series) -> Carriers:
        """Those of some invoice owners."""
        theirs = pl.col("owner").is_in(accounts.implode())
        mine = {c: getattr(self, c).filter(theirs) for c in ("charges", "order_lines", "scheduled")}
        return replace(self, **mine)

    def with_charge(self, charge_number: str) -> Carriers:
        """One charge's segments, and nothing else."""
        charges = self.charges.filter(charge_number=charge_number)
        return replace(self, charges=charges, order_lines=self.order_lines.clear(), scheduled=self.scheduled.clear())


@dataclass(frozen=True)
class Rated:
    """Lines owed (`LINE`), why some accounts can't be billed (`TROUBLE`), rated usage (`USED`) and `PROGRESS`."""

    lines: pl.DataFrame
    troubles: pl.DataFrame
    used: pl.DataFrame
    progress: pl.DataFrame
    schedules: Executed = field(default_factory=Executed.none)

    @classmethod
    def none(cls) -> Self:
        """Nothing is owed."""
        return cls(LINE.to_frame(), TROUBLE.to_frame(), USED.to_frame(), PROGRESS.to_frame())

    @classmethod
    def joined(cls, parts: Sequence[Rated]) -> Rated:
        """Everything that parts owe. A discount's `applied_line` counts from the first line of all."""
        lines, before = [], 0
        for part in parts:
            lines.append(part.lines.with_columns(pl.col("applied_line") + before))
            before += part.lines.height
        others = {c: pl.concat(getattr(p, c) for p in parts) for c in ("troubles", "used", "progress")}
        schedules = next((p.schedules for p in parts if p.schedules.payers.height), Executed.none())
        return cls(pl.concat(lines), **others, schedules=schedules)

    def with_troubles(self, more: pl.DataFrame) -> Rated:
        """The same with further troubles."""
        return replace(self, troubles=pl.concat([self.troubles, more]))


@dataclass(frozen=True)
class Documents:
    """What a run makes, as rows of the output tables.

    Until `steps.name` gives them ids, documents are numbers from 1 (`document`), and so are items in them (`position`).
    """

    invoices: pl.DataFrame
    invoice_items: pl.DataFrame
    credit_memos: pl.DataFrame
    credit_memo_items: pl.DataFrame
    parked_accounts: pl.DataFrame
    processed_usage: pl.DataFrame
    charge_progress: pl.DataFrame
    invoice_schedules: pl.DataFrame
    invoice_schedule_items: pl.DataFrame
    invoice_schedule_charges: pl.DataFrame

    @classmethod
    def none(cls) -> Self:
        """No documents at all."""
        return cls(**{f.name: empty(TABLES[f.name]) for f in fields(cls)})


def custom_fields(rows: pl.DataFrame) -> list[str]:
    """The custom fields among the columns of some rows, which their contract does not know."""
    return [c for c in rows.columns if c.endswith("__c")]


@dataclass(frozen=True)
class Assembled:
    """Documents, and which owed line is where: `line` (its row, from 0), `document` (from 1), `kind`.

    `lines` are in the order of the items, invoices and credit memos together.
    """

    documents: Documents
    lines: pl.DataFrame
