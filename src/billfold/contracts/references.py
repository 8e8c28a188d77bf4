"""What rows of one table must find in another; checked for every row that is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Reference:
    """A column whose values are keys of another table.

    A `registry` is a table that a book may do without: as long as it is empty, its names are mere labels.
    """

    table: str
    column: str
    parent: str
    parent_column: str
    registry: bool = False
    builtin: tuple[str, ...] = ()


def _set_of(table: str) -> Reference:
    return Reference(table, "sequence_set", "sequence_sets", "name", registry=True, builtin=("DEFAULT",))


REFERENCES: Final = (
    Reference("accounts", "invoice_group", "invoice_groups", "number"),
    _set_of("accounts"),
    Reference("subscriptions", "account_number", "accounts", "account_number"),
    Reference("subscriptions", "invoice_owner_account_number", "accounts", "account_number"),
    _set_of("subscriptions"),
    Reference("rate_plan_charges", "subscription_number", "subscriptions", "subscription_number"),
    Reference(
        "rate_plan_charges", "product_rate_plan_charge_id",
        "product_rate_plan_charges", "product_rate_plan_charge_id", registry=True,
    ),
    Reference("usage", "account_number", "accounts", "account_number"),
    Reference("usage", "subscription_number", "subscriptions", "subscription_number"),
    Reference("usage", "charge_number", "rate_plan_charges", "charge_number"),
    Reference("orders", "account_number", "accounts", "account_number"),
    Reference("order_line_items", "order_number", "orders", "order_number", registry=True),
    Reference("order_line_items", "account_number", "accounts", "account_number"),
    Reference("order_line_items", "invoice_owner_account_number", "accounts", "account_number"),
    Reference(
        "order_line_items", "related_subscription_number", "subscriptions", "subscription_number", registry=True
    ),
    _set_of("order_line_items"),
)  # fmt: skip

OWNED: Final = ("subscriptions", "order_line_items")
"""Tables whose rows name an account, perhaps another invoice owner, and perhaps a currency of their own."""
