"""Configurations of invoice grouping: which fields' values lines must share to share a document.

The JSON is the settings API's (spec/grouping.md 1.4). One configuration is the default; an account may have its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from billfold.contracts import plain
from billfold.errors import BillfoldError
from billfold.names import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
OBJECTS: Final[Mapping[str, str]] = {
    "Subscription": "subscriptions",
    "RatePlanCharge": "rate_plan_charges",
    "OrderLineItem": "order_line_items",
}
"""The table of each object type."""

STANDARD: Final[Mapping[str, Mapping[str, str]]] = {
    "Subscription": {
        "AccountId": "account_number",
        "Name": "subscription_number",
        "SoldToContactId": "sold_to_contact",
        "SoldTo": "sold_to_contact",
        "TermType": "term_type",
    },
    "RatePlanCharge": {
        "ProductRatePlanChargeId": "product_rate_plan_charge_id",
        "BillCycleDay": "bill_cycle_day",
        "BillingCycleDay": "bill_cycle_day",
        "BillingPeriod": "billing_period",
        "ChargeModel": "charge_model",
        "ChargeType": "charge_type",
    },
    "OrderLineItem": {
        "ItemName": "item_name",
        "ItemNumber": "item_number",
        "ItemType": "item_type",
        "OrderId": "order_number",
        "SoldToContactId": "sold_to_contact",
        "SoldTo": "sold_to_contact",
    },
}
"""Standard fields that may be configured, and their columns (spec/grouping.md 1.3)."""


_SAID: Final[Mapping[str, str]] = {
    "string_pattern_mismatch": "only letters, digits, blanks and - _ ( ) . & are allowed",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "missing": "is missing",
    "extra_forbidden": "is not known here",
}
"""Faults in the words of JSON instead of those of Python."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChargeField(_Model):
    """A field on the side of subscriptions and their charges."""

    objectType: Literal["Subscription", "RatePlanCharge"]
    field: Annotated[str, Field(min_length=1)]


class OrderLineField(_Model):
    """A field on the side of order line items."""

    objectType: Literal["OrderLineItem"]
    field: Annotated[str, Field(min_length=1)]


class Meta(_Model):
    """The configured fields of both sides, in order. A side may be absent."""

    subscriptionGroup: tuple[ChargeField, ...] = ()
    orderLineItemGroup: tuple[OrderLineField, ...] = ()

    def canonical(self) -> str:
        """JSON, equal for equal configurations."""
        return json.dumps(self.model_dump(), separators=(",", ":"), ensure_ascii=False)


class InvoiceGroup(_Model):
    """A configuration as the settings API takes it."""

    name: Annotated[str, Field(min_length=1, max_length=254, pattern=r"^[\w \-_().&]+$")]
    meta: Meta


def from_file(path: Path) -> InvoiceGroup:
    """The configuration in a JSON file.

    Raises:
        BillfoldError: the file is not such JSON; the message names the place.
    """
    try:
        group = InvoiceGroup.model_validate_json(path.read_bytes())
    except OSError as e:
        msg = f"{path} can't be read: {e.strerror}."
        raise BillfoldError(msg) from e
    except ValidationError as e:
        first = e.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        said = _SAID.get(first["type"], first["msg"])
        msg = f"{path}: {place}: {said}."
        raise BillfoldError(msg) from e
    if not (group.meta.subscriptionGroup or group.meta.orderLineItemGroup):
        msg = f"{path}: meta needs at least one field in subscriptionGroup or orderLineItemGroup."
        raise BillfoldError(msg)
    return group


def column_of(object_type: str, field: str, known: Sequence[str]) -> str:
    """The column that a configured field means: a standard field, or a custom one with or without its `__c`.

    Raises:
        BillfoldError: there is no such field; the nearest names are offered.
    """
    standard = {plain(name): column for name, column in STANDARD[object_type].items()}
    custom = [c for c in known if c.endswith("__c")]
    for candidate in (standard.get(plain(field)), field, f"{field}__c"):
        if candidate in standard.values() or candidate in custom:
            return str(candidate)
    offered = [*STANDARD[object_type], *custom]
    msg = f"{object_type} has no field {field!r}{nearest(field, offered)}; it has {', '.join(offered)}."
    raise BillfoldError(msg)
