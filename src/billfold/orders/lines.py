"""Order line items: created, returned, and changed as far as their state allows (spec/schedules.md 8.3 to 8.5)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from billfold.orders.errors import MISSING, OrderError, not_found
from billfold.orders.register import blank
from billfold.orders.subscriptions import known_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.orders.models import OrderLine, OrderLineUpdate
    from billfold.orders.register import Register, Row

STATES: Final[Mapping[str, tuple[str, ...]]] = {
    "Executing": ("Booked", "SentToBilling", "Complete", "Canceled"),
    "Booked": ("SentToBilling", "Complete"),
    "SentToBilling": ("Complete",),
    "Complete": (),
    "Canceled": (),
}
"""What may follow a state, for lines without fulfillments."""

_COLUMNS: Final[Mapping[str, str]] = {
    "itemName": "item_name", "itemType": "item_type", "itemState": "item_state", "quantity": "quantity", "UOM": "uom",
    "amountPerUnit": "amount_per_unit", "listPricePerUnit": "list_price_per_unit",
    "inlineDiscountType": "discount_type", "inlineDiscountPerUnit": "discount",
    "description": "description", "productCode": "product_code",
    "purchaseOrderNumber": "purchase_order_number", "billTargetDate": "bill_target_date",
    "transactionStartDate": "transaction_start_date", "transactionEndDate": "transaction_end_date",
    "billTo": "bill_to_contact", "soldTo": "sold_to_contact", "paymentTerm": "payment_term",
    "invoiceTemplateId": "invoice_template", "sequenceSetId": "sequence_set",
    "communicationProfileId": "communication_profile", "invoiceGroupNumber": "invoice_group_number",
    "relatedSubscriptionNumber": "related_subscription_number", "ownerAccountNumber": "account_number",
}  # fmt: skip
"""Fields of the API that can be changed later, and their columns."""

_EDITABLE: Final[Mapping[str, frozenset[str]]] = {
    "Executing": frozenset(_COLUMNS),
    "Booked": frozenset(
        ("itemState", "paymentTerm", "invoiceTemplateId", "sequenceSetId", "invoiceGroupNumber", "billTargetDate")
    ),
    "SentToBilling": frozenset(
        ("itemState", "paymentTerm", "invoiceTemplateId", "sequenceSetId", "invoiceGroupNumber")
    ),
    "Complete": frozenset(),
    "Canceled": frozenset(),
}
_CLEARABLE: Final = frozenset(
    ("billTo", "soldTo", "paymentTerm", "invoiceTemplateId", "sequenceSetId", "communicationProfileId",
     "invoiceGroupNumber", "purchaseOrderNumber", "relatedSubscriptionNumber", "description", "productCode")
)  # fmt: skip
"""Fields that a null takes away, so that for attributes the account's count again."""

_PRICES: Final = ("listPricePerUnit", "inlineDiscountType", "inlineDiscountPerUnit", "amountPerUnit")
_BILLION: Final = Decimal("1e-9")
_WIDE: Final = Context(prec=80, rounding=ROUND_HALF_UP)


def line_id(order_number: str, item_number: str) -> str:
    """By what a line is called in requests and answers."""
    return f"{order_number}/{item_number}"


def add(  # noqa: PLR0913, PLR0917 - a line, where it stands, and what it may refer to
    register: Register, order: Row, number: str, line: OrderLine, path: str, tokens: Mapping[tuple[str, str], str]
) -> Row:
    """A new line of an order. The order's account gets its document, whoever owns the line."""
    account, owner = order["account_number"], line.ownerAccountNumber or order["account_number"]
    register.account(owner, f"{path}.ownerAccountNumber")
    known_set(register, line.sequenceSetId, f"{path}.sequenceSetId")
    row = blank("order_line_items") | {
        "order_number": order["order_number"],
        "item_number": number,
        "item_category": line.itemCategory or "Sales",
        "currency": line.currency,
        "transaction_date": line.transactionDate,
        "original_order_number": line.originalOrderNumber,
        "original_item_number": line.originalOrderLineItemNumber,
        "product_rate_plan_charge_id": line.productRatePlanChargeId,
        **_sold_as(register, line, path),
        **{column: value for name, column in _COLUMNS.items() if (value := getattr(line, name)) is not None},
        "account_number": owner,
        "invoice_owner_account_number": None if owner == account else account,
        "transaction_start_date": line.transactionStartDate or line.transactionDate or order["order_date"],
        **(line.customFields or {}),
    }
    row["transaction_end_date"] = row["transaction_end_date"] or row["transaction_start_date"]
    row["quantity"] = Decimal(1) if row["quantity"] is None else row["quantity"]
    row["related_subscription_number"] = _related(register, line, path, tokens)
    if owner != account and row["currency"] is None:
        row["currency"] = register.account(account, path)["currency"]
    if register["order_line_items"].get((order["order_number"], number)):
        raise OrderError(f"{path}.itemNumber", f"is {number!r}, and the book has a line of that number and order.")
    _give_back(register, row, path)
    _price(row, path)
    _check(row, path)
    register.put("order_line_items", row)
    return row


def _sold_as(register: Register, line: OrderLine, path: str) -> Row:
    """What the catalog says of a line that is sold as one of its one-time charges."""
    if line.productRatePlanChargeId is None:
        return {}
    charge = register.catalog.get(line.productRatePlanChargeId)
    if charge is None:
        raise not_found(f"{path}.productRatePlanChargeId", "catalog charge", line.productRatePlanChargeId)
    if charge["charge_type"] != "OneTime" or charge["charge_model"] not in {"FlatFee", "PerUnit"}:
        said = "must name a one-time charge of model FlatFee or PerUnit."
        raise OrderError(f"{path}.productRatePlanChargeId", said)
    priced = line.amountPerUnit is not None or line.listPricePerUnit is not None
    price = {} if priced else {"list_price_per_unit": charge["price"]}
    return {"item_name": charge["charge_name"], "uom": charge["uom"], **price}


def _related(register: Register, line: OrderLine, path: str, tokens: Mapping[tuple[str, str], str]) -> str | None:
    """The subscription that a line belongs with: one of the book, or one that the order makes."""
    if line.uniqueToken is not None:
        if (number := tokens.get(("subscription", line.uniqueToken))) is None:
            raise not_found(f"{path}.uniqueToken", "subscription token", line.uniqueToken)
        return number
    number = line.relatedSubscriptionNumber
    if number and register["subscriptions"].get(number) is None:
        raise not_found(f"{path}.relatedSubscriptionNumber", "subscription", number)
    return number


def available(row: Row, returned: Decimal | int) -> Decimal:
    """How much of a line can still be given back: all of it, once it is sent to billing or complete."""
    if row["item_category"] == "Return" or row["item_state"] not in {"SentToBilling", "Complete"}:
        return Decimal(0)
    return Decimal(1 if row["quantity"] is None else row["quantity"]) - returned


def _give_back(register: Register, row: Row, path: str, before: Decimal = Decimal(0)) -> None:
    """A return takes from what is left of its sale."""
    if row["item_category"] != "Return" or row["original_item_number"] is None:
        return
    name = (row["original_order_number"], row["original_item_number"])
    sale = register["order_line_items"].get(name)
    if sale is None:
        raise not_found(f"{path}.originalOrderLineItemNumber", "order line", line_id(*name))
    _refuse_other(register, row, sale, path)
    returned = (register.returned.get(name) or 0) - before
    left = available(sale, returned)
    if row["item_state"] != "Canceled" and row["quantity"] > left:
        wanted, there = (f"{number.normalize():f}" for number in (row["quantity"], left))
        said = f"is {wanted}, but only {there} of {line_id(*name)} can be given back (it is {sale['item_state']})."
        raise OrderError(f"{path}.quantity", said)
    register.returned.put(name, returned + (row["quantity"] if row["item_state"] != "Canceled" else 0))


def _refuse_other(register: Register, row: Row, sale: Row, path: str) -> None:
    """What is given back goes to the account that paid for it, in the currency of the sale."""
    payer, paid = (r["invoice_owner_account_number"] or r["account_number"] for r in (row, sale))
    if payer != paid:
        said = f"names a line that account {paid!r} was billed for, not {payer!r}."
        raise OrderError(f"{path}.originalOrderLineItemNumber", said)
    account = register["accounts"].get(paid) or {}
    given, sold = (r["currency"] or account.get("currency") for r in (row, sale))
    if given != sold:
        raise OrderError(f"{path}.currency", f"is {given}, but the sale was in {sold}.")
    if (row["amount_per_unit"] or 0) < 0 or (row["list_price_per_unit"] or 0) < 0:
        raise OrderError(f"{path}.amountPerUnit", "must not be negative in a return, which is a credit already.")


def _price(row: Row, path: str) -> None:
    """An inline discount makes the amount per unit; without a list price, the amount stands for it."""
    listed, kind, off = row["list_price_per_unit"], row["discount_type"], row["discount"]
    if kind in {None, "None"} or off is None or listed is None:
        if row["amount_per_unit"] is None and listed is None:
            raise OrderError(f"{path}.amountPerUnit", "is needed, or a list price.", MISSING)
        row["amount_per_unit"] = listed if row["amount_per_unit"] is None else row["amount_per_unit"]
        return
    taken = _WIDE.divide(_WIDE.multiply(listed, off), Decimal(100)) if kind == "Percentage" else off
    row["amount_per_unit"] = _WIDE.quantize(_WIDE.subtract(listed, taken), _BILLION).normalize(_WIDE)


def _check(row: Row, path: str) -> None:
    """What has to hold of every line, new or changed."""
    if row["item_state"] == "SentToBilling" and row["bill_target_date"] is None:
        raise OrderError(f"{path}.billTargetDate", "is needed before a line can be sent to billing.", MISSING)
    first, last = row["transaction_start_date"], row["transaction_end_date"]
    if first and last and last < first:
        raise OrderError(f"{path}.transactionEndDate", f"is {last}, before transactionStartDate {first}.")


def change(register: Register, update: OrderLineUpdate, path: str) -> Row:
    """A line with other values, as far as its state allows.

    Raises:
        OrderError: there is no such line, or its state forbids a change.
    """
    rows = register.lines_called(update.id)
    if len(rows) != 1:
        raise not_found(f"{path}.id", "order line", update.id)
    row = rows[0]
    named = _COLUMNS.keys() & update.model_fields_set
    given = {name for name in named if name in _CLEARABLE or getattr(update, name) is not None}
    _refuse_locked(row, update, given, path)
    known_set(register, update.sequenceSetId, f"{path}.sequenceSetId")
    if update.ownerAccountNumber:
        register.account(update.ownerAccountNumber, f"{path}.ownerAccountNumber")
    row = row | {"quantity": Decimal(1) if row["quantity"] is None else row["quantity"]}
    before = row["quantity"] if row["item_state"] != "Canceled" else Decimal(0)
    row = row | {_COLUMNS[name]: getattr(update, name) for name in given} | (update.customFields or {})
    if "ownerAccountNumber" in given:
        payer = rows[0]["invoice_owner_account_number"] or rows[0]["account_number"]
        row["invoice_owner_account_number"] = None if payer == row["account_number"] else payer
    if given & set(_PRICES) and "amountPerUnit" not in given and row["discount_type"] not in {None, "None"}:
        row["amount_per_unit"] = None
    _give_back(register, row, path, before)
    _price(row, path)
    _check(row, path)
    register.put("order_line_items", row)
    return row


def _refuse_locked(row: Row, update: OrderLineUpdate, given: set[str], path: str) -> None:
    state, wanted = row["item_state"], update.itemState
    if wanted and wanted != state and wanted not in STATES[state]:
        allowed = ", ".join(STATES[state]) or "nothing"
        raise OrderError(
            f"{path}.itemState", f"can't be {wanted}: {update.id} is {state}, and after that comes {allowed}."
        )
    for name in sorted(given):
        value = getattr(update, name)
        if name not in _EDITABLE[state] and value != row[_COLUMNS[name]]:
            raise OrderError(f"{path}.{name}", f"can't be changed any more: {update.id} is {state}.")
    if update.customFields and not _EDITABLE[state]:
        raise OrderError(f"{path}.customFields", f"can't be changed any more: {update.id} is {state}.")


def shown(row: Row, returned: Any) -> dict[str, Any]:  # noqa: ANN401 - a number
    """A line as the API shows it, with what follows from its price, quantity and state."""
    row = dict(row)
    _price(row, row["item_number"])
    quantity = Decimal(1) if row["quantity"] is None else row["quantity"]
    price = row["amount_per_unit"]
    listed = price if row["list_price_per_unit"] is None else row["list_price_per_unit"]
    fulfilled = quantity if row["item_state"] in {"Booked", "SentToBilling", "Complete"} else Decimal(0)
    discounted = row["discount_type"] not in {None, "None"}
    fields: dict[str, Any] = {
        "id": line_id(row["order_number"], row["item_number"]),
        "itemNumber": row["item_number"],
        "itemCategory": row["item_category"],
        "currency": row["currency"],
        **{name: row[column] for name, column in _COLUMNS.items()},
        "quantity": quantity,
        "listPrice": _WIDE.multiply(listed, quantity),
        "amount": _WIDE.multiply(price, quantity),
        "amountWithoutTax": _WIDE.multiply(price, quantity),
        "discount": _WIDE.multiply(_WIDE.subtract(listed, price), quantity) if discounted else Decimal(0),
        "invoiceOwnerAccountNumber": row["invoice_owner_account_number"] or row["account_number"],
        "originalOrderNumber": row["original_order_number"],
        "originalOrderLineItemNumber": row["original_item_number"],
        "quantityFulfilled": fulfilled,
        "quantityPendingFulfillment": Decimal(0),
        "quantityAvailableForReturn": available(row, returned),
        "customFields": {c: v for c, v in row.items() if c.endswith("__c") and v is not None},
    }
    return {name: value for name, value in fields.items() if value not in (None, {})}
