"""What an explanation consists of. Everything is frozen; amounts are exact decimals, texts are for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

Values = Mapping[str, Any]
"""Names and values of columns: text, whole numbers, decimals, dates."""


@dataclass(frozen=True)
class Source:
    """Where a value came from: `kind` of thing (order line, subscription, account, default, …), which one, its field.

    `count` says how many things of this kind and value there are; `of` is the first of them.
    """

    kind: str
    of: str | None
    field: str | None
    value: str | None
    count: int = 1


@dataclass(frozen=True)
class Component:
    """One component of a document's group key: its name there, its value, what it means, and its sources."""

    name: str
    label: str
    value: str | None
    said: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Difference:
    """A component in which two documents differ: its value here and there; of grouping fields, which `field`."""

    name: str
    here: str | None
    there: str | None
    field: str | None = None


@dataclass(frozen=True)
class Neighbour:
    """The nearest other document of the same run and account, and in what the two differ."""

    document_id: str
    document_number: str
    kind: str
    differences: tuple[Difference, ...]
    others: int
    """How many documents the account has in this run besides the explained one."""


@dataclass(frozen=True)
class RunFacts:
    """The run that made a document."""

    bill_run_number: str
    status: str
    target_date: date
    invoice_date: date
    snapshot_id: int
    billfold_version: str | None


@dataclass(frozen=True)
class ItemLine:
    """An item in brief; the amount is as the document has it."""

    item_id: str
    what: str
    name: str | None
    service_start_date: date
    service_end_date: date
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Decimal


@dataclass(frozen=True)
class DocumentWhy:
    """Why a document holds what it holds. `rule` is what set it apart, in one sentence; `kind_reason` why its kind."""

    document_id: str
    document_number: str
    kind: str
    status: str
    account_number: str
    currency: str
    amount: Decimal
    item_count: int
    sum_of_items: Decimal
    adds_up: bool
    run: RunFacts
    components: tuple[Component, ...]
    rule: str
    nearest: Neighbour | None
    kind_rule: str
    kind_reason: str
    items: tuple[ItemLine, ...]


@dataclass(frozen=True)
class Step:
    """One step on the way to an amount: its name, a sentence, the exact values, and rows where there are several."""

    name: str
    said: str
    values: Values = field(default_factory=dict)
    rows: tuple[Values, ...] = ()


@dataclass(frozen=True)
class ItemWhy:
    """How an item's amount came about. Amounts are signed as owed: what a credit memo gives back has a minus.

    `recomputed` is the amount made again from what the run read; None, with a `note`, where that can't be known.
    """

    item_id: str
    document_id: str
    document_number: str
    document_kind: str
    kind: str
    what: str
    currency: str
    amount: Decimal
    recomputed: Decimal | None
    agrees: bool | None
    note: str | None
    run: RunFacts
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Billed:
    """An item that billed a charge or an order line; the amount is signed as owed."""

    item_id: str
    document_id: str
    document_number: str
    document_kind: str
    status: str
    bill_run_number: str
    segment: int | None
    service_start_date: date
    service_end_date: date
    processing_type: str
    currency: str
    amount: Decimal


@dataclass(frozen=True)
class Reason:
    """Why something has not been billed, or not further: a word for programs, a sentence for people."""

    code: str
    said: str


@dataclass(frozen=True)
class SegmentFacts:
    """A charge segment's days of service, [start, end), how far it is billed (exclusive), and when it is next due."""

    segment: int
    charge_name: str | None
    charge_type: str
    charge_model: str
    start: date | None
    end: date | None
    charged_through_date: date | None
    next_due_date: date | None


@dataclass(frozen=True)
class CarrierWhy:
    """What billed a charge or an order line, and why it is not billed, or not further, as the book is now."""

    what: str
    account_number: str
    invoice_owner_account_number: str
    billed: tuple[Billed, ...]
    billed_amounts: Mapping[str, Decimal]
    canceled_items: int
    segments: tuple[SegmentFacts, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class InputRow:
    """A row of an input table, without blanks, as of the snapshot that was read."""

    table: str
    values: Values


@dataclass(frozen=True)
class Explanation:
    """The answer to one id. `kind` is invoice, credit_memo, item, charge or order_line, and says which part is there.

    `summary` is the answer in one sentence; `rows` are the input rows at `snapshot_id`.
    """

    id: str
    kind: str
    summary: str
    snapshot_id: int
    document: DocumentWhy | None = None
    item: ItemWhy | None = None
    carrier: CarrierWhy | None = None
    rows: tuple[InputRow, ...] = ()
