"""The data dictionary: every table of a book, as a pandera model (design section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from billfold.contracts.base import CUSTOM_NAME, Column, Table, checks, columns, empty, keys, plain
from billfold.contracts.documents import (
    BillRuns,
    CreditMemoItems,
    CreditMemos,
    InvoiceItems,
    Invoices,
    ParkedAccounts,
)
from billfold.contracts.orders import OrderActions, OrderLineItems, Orders
from billfold.contracts.parties import Accounts, Contacts, InvoiceGroups, SequenceSets, Settings
from billfold.contracts.progress import ChargeProgress, ChargesToReview, LateUsage, ProcessedUsage
from billfold.contracts.sales import ProductRatePlanCharges, RatePlanCharges, Subscriptions, Usage
from billfold.contracts.schedules import InvoiceScheduleCharges, InvoiceScheduleItems, InvoiceSchedules

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUTS: Final[Mapping[str, type[Table]]] = {
    "accounts": Accounts,
    "subscriptions": Subscriptions,
    "product_rate_plan_charges": ProductRatePlanCharges,
    "rate_plan_charges": RatePlanCharges,
    "usage": Usage,
    "orders": Orders,
    "order_line_items": OrderLineItems,
    "sequence_sets": SequenceSets,
    "contacts": Contacts,
}
"""Tables that `billfold load` fills, parents first."""

TABLES: Final[Mapping[str, type[Table]]] = {
    **INPUTS,
    "order_actions": OrderActions,
    "invoice_groups": InvoiceGroups,
    "invoice_schedules": InvoiceSchedules,
    "invoice_schedule_items": InvoiceScheduleItems,
    "invoice_schedule_charges": InvoiceScheduleCharges,
    "settings": Settings,
    "bill_runs": BillRuns,
    "invoices": Invoices,
    "invoice_items": InvoiceItems,
    "credit_memos": CreditMemos,
    "credit_memo_items": CreditMemoItems,
    "parked_accounts": ParkedAccounts,
    "processed_usage": ProcessedUsage,
    "charge_progress": ChargeProgress,
    "charges_to_review": ChargesToReview,
    "late_usage": LateUsage,
}
"""Every table of a book, by name."""

__all__ = ["CUSTOM_NAME", "INPUTS", "TABLES", "Column", "Table", "checks", "columns", "empty", "keys", "plain"]
