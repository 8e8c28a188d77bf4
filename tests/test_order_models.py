"""Requests for orders: what is read, how exactly, and what is said of everything else."""

from __future__ import annotations

import copy
import importlib
import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billfold.errors import BillfoldError
from billfold.orders.models import CreateOrder, PreviewOrder, UpdateOrderLines
from billfold.orders.parsing import Reason, parsed

if TYPE_CHECKING:
    from pydantic import BaseModel

EVENTS: Final = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
HYBRID: Final[dict[str, Any]] = {
    "existingAccountNumber": "A00000776",
    "subscriptions": [
        {
            "orderActions": [
                {
                    "createSubscription": {
                        "subscribeToRatePlans": [{"productRatePlanId": "402894847af12293017af1c0d12403cc"}],
                        "terms": {
                            "initialTerm": {
                                "period": 3,
                                "periodType": "Month",
                                "termType": "TERMED",
                                "startDate": "2021-03-01",
                            },
                            "renewalSetting": "RENEW_WITH_SPECIFIC_TERM",
                            "renewalTerms": [{"period": 2, "periodType": "Month"}],
                            "autoRenew": False,
                        },
                    },
                    "type": "CreateSubscription",
                    "triggerDates": [{"triggerDate": "2021-03-01", "name": event} for event in EVENTS],
                }
            ]
        }
    ],
    "processingOptions": {
        "billingOptions": {"documentDate": "2021-03-01", "targetDate": "2021-03-01"},
        "collectPayment": False,
        "runBilling": True,
    },
    "orderLineItems": [
        {
            "itemName": "OrderItemName",
            "itemType": "Product",
            "UOM": "Each",
            "quantity": 1,
            "amountPerUnit": 10,
            "description": "Description",
            "itemState": "SentToBilling",
            "billTargetDate": "2021-03-01",
            "transactionDate": "2021-03-01",
            "listPricePerUnit": 10,
        }
    ],
    "orderDate": "2021-03-01",
}
"""The documented hybrid order (spec/cases SEED003-HYBRID-ORDER)."""

TWO_LINES: Final[dict[str, Any]] = {
    "existingAccountNumber": "A1",
    "orderLineItems": [
        {
            "itemName": "LMS Training Fee",
            "itemType": "Product",
            "quantity": 10,
            "amountPerUnit": 499,
            "listPricePerUnit": 50,
            "transactionDate": "2021-02-01",
            "itemState": "SentToBilling",
            "billTargetDate": "2021-02-01",
        },
        {
            "itemName": "delivery fee",
            "itemType": "Fee",
            "quantity": 1,
            "amountPerUnit": 12.95,
            "listPricePerUnit": 12.95,
            "transactionDate": "2021-02-01",
            "itemState": "SentToBilling",
            "billTargetDate": "2021-02-01",
            "customFields": {"Color__c": "black", "Mode__c": "scalar"},
        },
    ],
    "processingOptions": {"runBilling": True, "collectPayment": True},
    "orderDate": "2021-04-27",
}
"""The documented order lines (OLI-HYBRID-2), in an order."""

PREVIEW: Final[dict[str, Any]] = {
    "existingAccountNumber": "A00000097",
    "orderDate": "2024-07-01",
    "previewOptions": {
        "previewTypes": ["BillingDocs"],
        "previewThruType": "SpecificDate",
        "specificPreviewThruDate": "2024-07-31",
    },
    "subscriptions": [
        {
            "orderActions": [
                {
                    "type": "CreateSubscription",
                    "createSubscription": {
                        "terms": {
                            "initialTerm": {"period": 12, "periodType": "Month", "termType": "TERMED"},
                            "renewalSetting": "RENEW_WITH_SPECIFIC_TERM",
                            "renewalTerms": {"period": 12, "periodType": "Month"},
                        },
                        "subscribeToRatePlans": [{"productRatePlanId": "8ad081dd9096ef9501909b40bb4e74a4"}],
                    },
                    "triggerDates": [{"name": event, "triggerDate": "2024-07-01"} for event in EVENTS],
                }
            ]
        }
    ],
}
"""The documented preview (PREVIEW-ORDER-API), whose renewal terms are a single object."""

BULK: Final[dict[str, Any]] = {
    "processingOptions": {"runBilling": True, "billingOptions": {"targetDate": "2021-01-01"}},
    "orderLineItems": [{"id": "{{orderLineItemId}}", "itemState": "SentToBilling", "billTargetDate": "2021-02-01"}],
}
"""The documented change of order lines (OLI-BULK-UPDATE)."""

ABSENT: Final = object()
LINE: Final = "orderLineItems.0"
ENTRY: Final = "subscriptions.0"
ACTION: Final = f"{ENTRY}.orderActions.0"
NEW: Final = f"{ACTION}.createSubscription"


def one(said: object, model: type[BaseModel] = CreateOrder) -> Any:  # noqa: ANN401 - a request of any model
    """The outcome of a single document."""
    found, is_lines = parsed(json.dumps(said).encode(), model)
    assert not is_lines
    assert len(found) == 1
    return found[0]


def ok(said: object, model: type[BaseModel] = CreateOrder) -> Any:  # noqa: ANN401 - a request of any model
    found = one(said, model)
    assert found.reasons == ()
    return found.request


def reasons(said: object, model: type[BaseModel] = CreateOrder) -> list[tuple[str, str]]:
    """The last two digits of the code and the sentence, for each fault."""
    found = one(said, model)
    assert found.request is None
    assert all(r.code.startswith("531000") and r.message.endswith(".") for r in found.reasons)
    assert all("pydantic" not in r.message and "http" not in r.message for r in found.reasons)
    return [(r.code[-2:], r.message) for r in found.reasons]


def changed(said: dict[str, Any], *changes: tuple[str, object]) -> dict[str, Any]:
    """A request with other values at some places; `ABSENT` takes one away."""
    said = copy.deepcopy(said)
    for place, value in changes:
        *path, last = (int(part) if part.isdecimal() else part for part in place.split("."))
        at: Any = said
        for part in path:
            at = at[part]
        if value is ABSENT:
            del at[last]
        else:
            at[last] = value
    return said


def action(kind: str, body: object = None, **more: object) -> dict[str, Any]:
    """An order of one action on a subscription that exists."""
    named = {} if body is None else {kind[0].lower() + kind[1:]: body}
    entry = {"subscriptionNumber": "S1", "orderActions": [{"type": kind, **named, **more}]}
    return {"orderDate": "2024-01-01", "existingAccountNumber": "A1", "subscriptions": [entry]}


def priced(pricing: object, **more: object) -> dict[str, Any]:
    """An order that overrides a charge."""
    override = {"productRatePlanChargeId": "c", "pricing": pricing, **more}
    return action("AddProduct", {"productRatePlanId": "p", "chargeOverrides": [override]})


def override_of(request: Any) -> Any:  # noqa: ANN401 - both of any model
    return request.subscriptions[0].orderActions[0].addProduct.chargeOverrides[0]


@pytest.mark.parametrize(
    ("said", "model"),
    [(HYBRID, CreateOrder), (TWO_LINES, CreateOrder), (PREVIEW, PreviewOrder), (BULK, UpdateOrderLines)],
)
def test_documented_requests_are_understood(said: dict[str, Any], model: type[BaseModel]) -> None:
    assert ok(said, model)


@pytest.mark.filterwarnings("ignore")  # The SDK leans on parts of pydantic that are on their way out.
@pytest.mark.parametrize(
    ("said", "name"),
    [
        (HYBRID, "CreateOrderRequest"),
        (TWO_LINES, "CreateOrderRequest"),
        (changed(PREVIEW, (f"{NEW}.terms.renewalTerms", [])), "PreviewOrderRequest"),
        (BULK, "BulkUpdateOrderLineItemsRequest"),
    ],
)
def test_the_sdk_understands_them_too(said: dict[str, Any], name: str) -> None:
    models = pytest.importorskip("zuora_sdk.models")
    assert getattr(models, name).from_dict(said)


@pytest.mark.filterwarnings("ignore")
def test_every_field_of_the_sdk_is_known() -> None:
    """A field of the SDK is used, kept or refused for a reason, but never called unknown."""
    models = pytest.importorskip("zuora_sdk.models")
    actions = importlib.import_module("billfold.orders.action_models")
    orders = importlib.import_module("billfold.orders.models")
    pairs = {
        "CreateOrderRequest": orders.CreateOrder,
        "PreviewOrderRequest": orders.PreviewOrder,
        "OrderCreateAccount": orders.NewAccount,
        "OrderCreateAccountContact": orders.Contact,
        "CreateOrderSubscription": orders.OrderSubscription,
        "CreateOrderOrderLineItem": orders.OrderLine,
        "PreviewOrderSubscriptions": orders.OrderSubscription,
        "BulkUpdateOrderLineItem": orders.OrderLineUpdate,
        "ProcessingOptionsWithDelayedCapturePayment": orders.ProcessingOptions,
        "BillingOptions": orders.BillingOptions,
        "PreviewOptions": orders.PreviewOptions,
        "PreviewAccountInfo": orders.PreviewAccountInfo,
        "CreateOrderAction": actions.OrderAction,
        "CreateOrderCreateSubscription": actions.CreateSubscription,
        "CreateOrderAddProduct": actions.RatePlan,
        "CreateSubscribeToProduct": actions.RatePlan,
        "ChargeOverride": actions.ChargeOverride,
        "PreviewOrderChargeOverride": actions.ChargeOverride,
        "ChargeOverridePricing": actions.Pricing,
        "CreateOrderPricingUpdate": actions.Pricing,
        "ChargeOverrideBilling": actions.Billing,
        "EndConditions": actions.EndConditions,
        "TriggerParams": actions.TriggerParams,
        "CreateOrderUpdateProduct": actions.UpdateProduct,
        "CreateOrderChargeUpdate": actions.ChargeUpdate,
        "ChargeRemoval": actions.ChargeRemoval,
        "OrderActionRemoveProduct": actions.RemoveProduct,
        "OrderActionRenewSubscription": actions.RenewSubscription,
        "OrderActionOwnerTransfer": actions.OwnerTransfer,
        "OrderActionCancelSubscription": actions.CancelSubscription,
        "CreateOrderSuspend": actions.Suspend,
        "CreateOrderResume": actions.Resume,
        "CreateOrderTermsAndConditions": actions.TermsAndConditions,
        "LastTerm": actions.LastTerm,
        "InitialTerm": actions.InitialTerm,
        "RenewalTerm": actions.RenewalTerm,
    }
    for name, ours in pairs.items():
        theirs = {f.alias or n for n, f in getattr(models, name).model_fields.items()} - {"additional_properties"}
        assert theirs - set(ours.model_fields) == set(), name


def test_values_have_their_types() -> None:
    request = ok(HYBRID)
    action_ = request.subscriptions[0].orderActions[0]
    assert request.orderDate == date(2021, 3, 1)
    assert request.category == "NewSales"
    assert action_.createSubscription.terms.initialTerm.startDate == date(2021, 3, 1)
    assert [p.productRatePlanId for p in action_.createSubscription.ratePlans] == ["402894847af12293017af1c0d12403cc"]
    assert action_.createSubscription.ratePlansField == "subscribeToRatePlans"
    assert request.orderLineItems[0].transactionDate == date(2021, 3, 1)
    assert request.processingOptions.payments() == []
    assert ok(TWO_LINES).processingOptions.payments() == ["collectPayment"]
    assert (
        ok(PREVIEW, PreviewOrder).subscriptions[0].orderActions[0].createSubscription.terms.renewalTerms[0].period == 12
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1234567890123456789.123456789", "1234567890123456789.123456789"),
        ("12.950", "12.95"),
        ("1e5", "100000"),
        ("1.5E-8", "0.000000015"),
        ('"10.5"', "10.5"),
        ('"+.5"', "0.5"),
        ("-3", "-3"),
        ("0.10000000000000", "0.1"),
        ("-0.0", "0"),
        ("0e99999", "0"),
    ],
)
def test_amounts_are_exact(text: str, expected: str) -> None:
    said = json.dumps(changed(TWO_LINES, (f"{LINE}.amountPerUnit", 0.125))).replace("0.125", text)
    [found], _ = parsed(said.encode(), CreateOrder)
    assert found.reasons == ()
    assert found.request is not None
    amount = found.request.orderLineItems[0].amountPerUnit
    assert isinstance(amount, Decimal)
    assert amount == Decimal(expected)


@pytest.mark.parametrize(
    "text",
    [
        "12345678901234567890",
        "0.1234567891",
        "1e19",
        "1e-10",
        "1e999999999",
        "1e99999999999999999999",
        '"1_000"',
        '" 1"',
        '""',
        '"NaN"',
        '"Infinity"',
        '"\u0661"',
        '"1,5"',
        "true",
        "[]",
        "{}",
        '"0x1"',
        '"1e9999"',
    ],
)
def test_amounts_that_are_refused(text: str) -> None:
    said = json.dumps(changed(TWO_LINES, (f"{LINE}.amountPerUnit", 0.125))).replace("0.125", text)
    [found], _ = parsed(said.encode(), CreateOrder)
    assert found.request is None
    assert len(found.reasons) == 1


@pytest.mark.parametrize("day", ["1900-01-01", "2100-12-31", "2024-02-29"])
def test_days(day: str) -> None:
    assert ok(changed(TWO_LINES, ("orderDate", day))).orderDate == date.fromisoformat(day)


@pytest.mark.parametrize(
    "day",
    [
        "1899-12-31",
        "2101-01-01",
        "2023-02-29",
        "20240101",
        "2024-1-1",
        "2024-W01-1",
        "2024-01-01T00:00:00",
        "",
        " 2024-01-01",
        "\u0662024-01-01",
        20240101,
        1.5,
        True,
        None,
        [],
        {},
    ],
)
def test_days_that_are_none(day: object) -> None:
    [(code, said)] = reasons(changed(TWO_LINES, ("orderDate", day)))
    assert (code, said.startswith("'orderDate' must be a day")) == ("20", True)


FAULTS: Final[list[tuple[str, dict[str, Any], str, str]]] = [
    # Shapes.
    ("missing", changed(TWO_LINES, ("orderDate", ABSENT)), "22", "'orderDate' is required."),
    (
        "terms",
        changed(HYBRID, (f"{NEW}.terms", ABSENT)),
        "22",
        "'subscriptions[0].orderActions[0].createSubscription.terms' is required.",
    ),
    (
        "initialTerm",
        changed(HYBRID, (f"{NEW}.terms.initialTerm", ABSENT)),
        "22",
        "'subscriptions[0].orderActions[0].createSubscription.terms.initialTerm' is required.",
    ),
    (
        "unknown",
        changed(TWO_LINES, (f"{LINE}.itemNam", "x")),
        "21",
        "'orderLineItems[0].itemNam' is not known here (did you mean itemName or itemNumber or itemState?).",
    ),
    (
        "unknown-action",
        changed(HYBRID, (f"{ACTION}.triggerDate", [])),
        "21",
        "'subscriptions[0].orderActions[0].triggerDate' is not known here (did you mean triggerDates?).",
    ),
    ("text", changed(TWO_LINES, (f"{LINE}.itemName", 5)), "20", "'orderLineItems[0].itemName' must be a text."),
    (
        "flag",
        changed(TWO_LINES, ("processingOptions.runBilling", "yes")),
        "20",
        "'processingOptions.runBilling' must be true or false.",
    ),
    (
        "flag-1",
        changed(TWO_LINES, ("processingOptions.runBilling", 1)),
        "20",
        "'processingOptions.runBilling' must be true or false.",
    ),
    (
        "int",
        changed(HYBRID, (f"{NEW}.terms.initialTerm.period", 2.0)),
        "20",
        "'subscriptions[0].orderActions[0].createSubscription.terms.initialTerm.period' must be a whole number.",
    ),
    (
        "int-bool",
        changed(HYBRID, (f"{NEW}.terms.initialTerm.period", True)),
        "20",
        "'subscriptions[0].orderActions[0].createSubscription.terms.initialTerm.period' must be a whole number.",
    ),
    (
        "range",
        changed(HYBRID, (f"{NEW}.terms.initialTerm.period", 0)),
        "20",
        "'subscriptions[0].orderActions[0].createSubscription.terms.initialTerm.period' must be 1 or more, not 0.",
    ),
    ("array", changed(TWO_LINES, ("orderLineItems", {})), "20", "'orderLineItems' must be a JSON array."),
    ("object", changed(TWO_LINES, ("processingOptions", [])), "20", "'processingOptions' must be a JSON object."),
    (
        "enumeration",
        changed(TWO_LINES, ("category", "Sale")),
        "20",
        "'category' must be one of NewSales, Return, not 'Sale'.",
    ),
    (
        "length",
        changed(TWO_LINES, (f"{LINE}.itemName", "x" * 256)),
        "20",
        "'orderLineItems[0].itemName' must have at most 255 characters.",
    ),
    (
        "control",
        changed(TWO_LINES, ("description", "a\u0007b")),
        "20",
        "'description' must not contain control characters.",
    ),
    (
        "blanks",
        changed(TWO_LINES, ("existingAccountNumber", " A1")),
        "20",
        "'existingAccountNumber' must not be empty, have blanks at its ends or contain control characters.",
    ),
    (
        "group",
        changed(TWO_LINES, (f"{LINE}.invoiceGroupNumber", "")),
        "20",
        "'orderLineItems[0].invoiceGroupNumber' must not be empty.",
    ),
    (
        "currency",
        changed(TWO_LINES, (f"{LINE}.currency", "usd")),
        "20",
        "'orderLineItems[0].currency' must be an ISO 4217 code in capitals, such as GBP, not 'usd'.",
    ),
    (
        "quantity",
        changed(TWO_LINES, (f"{LINE}.quantity", -1)),
        "20",
        "'orderLineItems[0].quantity' must be 0 or more, not -1.",
    ),
    (
        "key",
        changed(TWO_LINES, ("idempotencyKey", "k" * 256)),
        "20",
        "'idempotencyKey' must have at most 255 characters.",
    ),
    # Orders.
    (
        "no-account",
        changed(TWO_LINES, ("existingAccountNumber", ABSENT)),
        "22",
        "'existingAccountNumber' is required unless newAccount is given.",
    ),
    *[
        (
            f"order-number-{c}",
            changed(TWO_LINES, ("orderNumber", f"O{c}1")),
            "20",
            "'orderNumber' must not be empty, have blanks at its ends or contain #, ?, / or control characters.",
        )
        for c in "#?/"
    ],
    (
        "order-number",
        changed(TWO_LINES, ("orderNumber", "O" * 101)),
        "20",
        "'orderNumber' must have at most 100 characters.",
    ),
    (
        "lines",
        changed(TWO_LINES, ("orderLineItems", [TWO_LINES["orderLineItems"][0]] * 101)),
        "20",
        "'orderLineItems' must have at most 100 entries.",
    ),
    (
        "subscriptions",
        changed(HYBRID, ("subscriptions", HYBRID["subscriptions"] * 51)),
        "20",
        "'subscriptions' must have at most 50 entries.",
    ),
    (
        "actions",
        changed(HYBRID, (f"{ENTRY}.orderActions", HYBRID["subscriptions"][0]["orderActions"] * 51)),
        "20",
        "'subscriptions[0].orderActions' must have at most 50 entries.",
    ),
    (
        "no-actions",
        changed(HYBRID, (f"{ENTRY}.orderActions", [])),
        "20",
        "'subscriptions[0].orderActions' must have at least 1 entry.",
    ),
    (
        "item-numbers",
        changed(TWO_LINES, (f"{LINE}.itemNumber", "1")),
        "22",
        "'orderLineItems[1].itemNumber' is required when another line has one.",
    ),
    (
        "item-doubles",
        changed(TWO_LINES, (f"{LINE}.itemNumber", "1"), ("orderLineItems.1.itemNumber", "1")),
        "30",
        "'orderLineItems[1].itemNumber' comes twice: '1' was given before.",
    ),
    # Lines.
    (
        "no-price",
        changed(TWO_LINES, (f"{LINE}.amountPerUnit", None), (f"{LINE}.listPricePerUnit", None)),
        "22",
        "'orderLineItems[0].amountPerUnit' is required unless listPricePerUnit or productRatePlanChargeId is given.",
    ),
    (
        "sent",
        changed(TWO_LINES, (f"{LINE}.billTargetDate", None)),
        "22",
        "'orderLineItems[0].billTargetDate' is required when itemState is SentToBilling.",
    ),
    (
        "ends",
        changed(
            TWO_LINES, (f"{LINE}.transactionStartDate", "2021-02-02"), (f"{LINE}.transactionEndDate", "2021-02-01")
        ),
        "30",
        "'orderLineItems[0].transactionEndDate' is 2021-02-01, before transactionStartDate 2021-02-02.",
    ),
    (
        "discount-amount",
        changed(TWO_LINES, (f"{LINE}.inlineDiscountType", "Percentage"), (f"{LINE}.inlineDiscountPerUnit", 10)),
        "30",
        "'orderLineItems[0].amountPerUnit' can't be given together with an inline discount, which makes it.",
    ),
    (
        "discount-type",
        changed(TWO_LINES, (f"{LINE}.inlineDiscountPerUnit", 10)),
        "22",
        "'orderLineItems[0].inlineDiscountType' is required with inlineDiscountPerUnit.",
    ),
    (
        "return-category",
        changed(
            TWO_LINES,
            (
                "orderLineItems",
                [
                    {
                        "itemCategory": "Return",
                        "amountPerUnit": 1,
                        "originalOrderNumber": "O1",
                        "originalOrderLineItemNumber": "1",
                    }
                ],
            ),
        ),
        "30",
        "'orderLineItems[0].itemCategory' can't be Return in an order of category NewSales.",
    ),
    (
        "return-order",
        changed(TWO_LINES, ("category", "Return"), ("orderLineItems", [{"amountPerUnit": 1}])),
        "30",
        "'orderLineItems[0].itemCategory' can't be Sales in an order of category Return.",
    ),
    # Subscriptions.
    (
        "number",
        changed(action("Suspend", {"suspendPolicy": "Today"}), (f"{ENTRY}.subscriptionNumber", "")),
        "22",
        "'subscriptions[0].subscriptionNumber' is required unless the first action is CreateSubscription.",
    ),
    (
        "two-numbers",
        changed(HYBRID, (f"{ENTRY}.subscriptionNumber", "S1"), (f"{NEW}.subscriptionNumber", "S2")),
        "30",
        "'subscriptions[0].subscriptionNumber' must equal createSubscription.subscriptionNumber 'S2'.",
    ),
    (
        "create-second",
        changed(HYBRID, (f"{ENTRY}.orderActions", HYBRID["subscriptions"][0]["orderActions"] * 2)),
        "30",
        "'subscriptions[0].orderActions[1].type' can be CreateSubscription only in the first action.",
    ),
    (
        "two-lists",
        changed(HYBRID, (f"{NEW}.subscribeToProducts", [{"productRatePlanId": "p"}])),
        "30",
        (
            "'subscriptions[0].orderActions[0].createSubscription.subscribeToRatePlans' can't be given together with "
            "subscribeToProducts."
        ),
    ),
    (
        "clearing-names",
        changed(HYBRID, (f"{ENTRY}.clearingCustomFields", ["Colour"])),
        "20",
        (
            "'subscriptions[0].clearingCustomFields[0]' must be the name of a custom field: a letter, letters, "
            "digits or _, then __c."
        ),
    ),
    *[
        (
            f"body-{kind}",
            action(kind),
            "22",
            f"'subscriptions[0].orderActions[0].{field}' is required when type is {kind}.",
        )
        for kind, field in (
            ("TermsAndConditions", "termsAndConditions"),
            ("AddProduct", "addProduct"),
            ("UpdateProduct", "updateProduct"),
            ("RemoveProduct", "removeProduct"),
            ("CancelSubscription", "cancelSubscription"),
            ("OwnerTransfer", "ownerTransfer"),
            ("Suspend", "suspend"),
            ("Resume", "resume"),
        )
    ],
    (
        "other-body",
        action("RenewSubscription", suspend={"suspendPolicy": "Today"}),
        "30",
        "'subscriptions[0].orderActions[0].suspend' can't be given when type is RenewSubscription.",
    ),
    (
        "type",
        action("ChangePlan"),
        "20",
        (
            "'subscriptions[0].orderActions[0].type' must be one of CreateSubscription, TermsAndConditions, "
            "AddProduct, UpdateProduct, RemoveProduct, RenewSubscription, CancelSubscription, OwnerTransfer, Suspend, "
            "Resume, not 'ChangePlan'."
        ),
    ),
    (
        "triggers-twice",
        action("RenewSubscription", triggerDates=[{"name": "ContractEffective"}] * 2),
        "30",
        "'subscriptions[0].orderActions[0].triggerDates[1].name' comes twice: 'ContractEffective' was given before.",
    ),
    (
        "triggers-order",
        action(
            "RenewSubscription",
            triggerDates=[
                {"name": "CustomerAcceptance", "triggerDate": "2024-01-01"},
                {"name": "ContractEffective", "triggerDate": "2024-01-02"},
            ],
        ),
        "30",
        (
            "'subscriptions[0].orderActions[0].triggerDates[0].triggerDate' is 2024-01-01, before ContractEffective on "
            "2024-01-02."
        ),
    ),
]


@pytest.mark.parametrize(("said", "code", "message"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_faults_are_said_in_one_sentence(said: dict[str, Any], code: str, message: str) -> None:
    assert reasons(said) == [(code, message)]


BODIES: Final[list[tuple[str, dict[str, Any], str | None]]] = [
    ("CancelSubscription", {"cancellationPolicy": "EndOfCurrentTerm"}, None),
    ("CancelSubscription", {"cancellationPolicy": "EndOfLastInvoicePeriod"}, None),
    ("CancelSubscription", {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2024-01-01"}, None),
    ("CancelSubscription", {"cancellationPolicy": "SpecificDate"}, "cancellationEffectiveDate' is required when"),
    (
        "CancelSubscription",
        {"cancellationPolicy": "EndOfCurrentTerm", "cancellationEffectiveDate": "2024-01-01"},
        "cancellationEffectiveDate' is only for cancellationPolicy SpecificDate.",
    ),
    ("Suspend", {"suspendPolicy": "Today"}, None),
    ("Suspend", {"suspendPolicy": "EndOfLastInvoicePeriod"}, None),
    ("Suspend", {"suspendPolicy": "SpecificDate", "suspendSpecificDate": "2024-01-01"}, None),
    ("Suspend", {"suspendPolicy": "SpecificDate"}, "suspendSpecificDate' is required"),
    ("Suspend", {"suspendPolicy": "FixedPeriodsFromToday", "suspendPeriods": 1, "suspendPeriodsType": "Month"}, None),
    ("Suspend", {"suspendPolicy": "FixedPeriodsFromToday", "suspendPeriods": 1}, "suspendPeriodsType' is required"),
    ("Suspend", {"suspendPolicy": "Today", "suspendPeriods": 1}, "suspendPeriods' is only for"),
    ("Resume", {"resumePolicy": "Today", "extendsTerm": True}, None),
    ("Resume", {"resumePolicy": "SuspendDate"}, None),
    ("Resume", {"resumePolicy": "SpecificDate", "resumeSpecificDate": "2024-01-01"}, None),
    ("Resume", {"resumePolicy": "SpecificDate"}, "resumeSpecificDate' is required"),
    ("Resume", {"resumePolicy": "FixedPeriodsFromSuspendDate", "resumePeriods": 1, "resumePeriodsType": "Day"}, None),
    ("Resume", {"resumePolicy": "FixedPeriodsFromToday", "resumePeriodsType": "Day"}, "resumePeriods' is required"),
    ("Resume", {"resumePolicy": "SuspendDate", "resumeSpecificDate": "2024-01-01"}, "resumeSpecificDate' is only for"),
    ("OwnerTransfer", {"destinationAccountNumber": "A2", "paymentProfile": {"paymentMethodId": "x"}}, None),
    ("OwnerTransfer", {}, "destinationAccountNumber' is required unless destinationInvoiceAccountNumber is given."),
    ("OwnerTransfer", {"destinationAccountId": "x"}, "can't be looked up by billfold; use destinationAccountNumber"),
    ("RenewSubscription", {"billToContactId": "Jo Ray"}, None),
    ("TermsAndConditions", {"lastTerm": {"startDate": "2024-01-01"}}, None),
    (
        "TermsAndConditions",
        {"lastTerm": {"termType": "EVERGREEN"}, "renewalTerms": {"period": 1, "periodType": "Year"}},
        None,
    ),
    (
        "TermsAndConditions",
        {"lastTerm": {"termType": "TERMED"}},
        "lastTerm.period' is required when termType is TERMED",
    ),
    ("TermsAndConditions", {"scheduledCancelDate": "2024-01-01"}, "billfold can't do scheduled cancellations"),
    *[
        ("TermsAndConditions", {f"clearingExisting{what}": True, name: "x"}, f"can't be given together with {name}.")
        for what, name in (
            ("BillToContact", "billToContactId"),
            ("SoldToContact", "soldToContactId"),
            ("PaymentTerm", "paymentTerm"),
            ("InvoiceTemplate", "invoiceTemplateId"),
            ("SequenceSet", "sequenceSetId"),
            ("CommunicationProfile", "communicationProfileId"),
            ("InvoiceGroupNumber", "invoiceGroupNumber"),
        )
    ],
    ("TermsAndConditions", {"clearingExistingPaymentTerm": False, "paymentTerm": "Net 30"}, None),
    ("TermsAndConditions", {"clearingExistingPaymentTerm": True}, None),
    (
        "TermsAndConditions",
        {"billToContact": {"firstName": "Jo", "lastName": "Ray"}, "billToContactId": "x"},
        "billToContact' can't be given together with billToContactId.",
    ),
    ("RemoveProduct", {"ratePlanId": "RP-1"}, None),
    ("RemoveProduct", {"productRatePlanId": "p"}, None),
    ("RemoveProduct", {}, "ratePlanId' is required unless"),
    ("UpdateProduct", {"ratePlanId": "RP-1", "chargeUpdates": [{"chargeNumber": "C-1"}]}, None),
    ("UpdateProduct", {"chargeUpdates": [{}]}, "chargeUpdates[0].chargeNumber' is required unless"),
    ("UpdateProduct", {"chargeRemovals": [{}]}, "chargeRemovals[0].chargeNumber' is required unless uniqueToken"),
    ("UpdateProduct", {"chargeOverrides": [{"productRatePlanChargeId": "c"}]}, "(use addProduct)"),
    (
        "UpdateProduct",
        {"chargeUpdates": [{"chargeNumber": "C-1", "billing": {"billingPeriod": "Month"}}]},
        "billing.billingPeriod' is not known here",
    ),
    ("AddProduct", {"productRatePlanId": "p", "isAddingSubsetCharges": True}, None),
    ("AddProduct", {}, "addProduct.productRatePlanId' is required."),
    ("AddProduct", {"productRatePlanNumber": "x", "productRatePlanId": "p"}, "use productRatePlanId instead"),
    (
        "AddProduct",
        {"subscriptionProductFeatures": [{}], "productRatePlanId": "p"},
        "can't do features of products yet",
    ),
]


@pytest.mark.parametrize(("kind", "body", "message"), BODIES)
def test_bodies_of_actions(kind: str, body: dict[str, Any], message: str | None) -> None:
    if message is None:
        ok(action(kind, body))
        return
    [(_, said)] = reasons(action(kind, body))
    assert message in said


def test_a_renewal_needs_no_body() -> None:
    assert ok(action("RenewSubscription")).subscriptions[0].orderActions[0].renewSubscription is None


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ({"period": 1, "periodType": "Year"}, None),
        ({"termType": None, "period": 1, "periodType": "Year"}, None),
        ({"endDate": "2025-01-01"}, None),
        ({"termType": "EVERGREEN"}, None),
        ({}, "period' is required when termType is TERMED, with periodType, unless endDate is given."),
        ({"period": 1}, "periodType' is required with period."),
        ({"periodType": "Month"}, "period' is required with periodType."),
        ({"period": 1, "periodType": "Day", "endDate": "2025-01-01"}, "period' can't be given together with endDate."),
        ({"termType": "EVERGREEN", "period": 1}, "period' is only for termType TERMED."),
        ({"termType": "EVERGREEN", "endDate": "2025-01-01"}, "endDate' is only for termType TERMED."),
        ({"startDate": "2025-01-01", "endDate": "2025-01-01"}, "endDate' must be after startDate 2025-01-01."),
    ],
)
def test_initial_terms(term: dict[str, Any], message: str | None) -> None:
    said = changed(HYBRID, (f"{NEW}.terms.initialTerm", term))
    if message is None:
        ok(said)
        return
    [(_, found)] = reasons(said)
    assert found.endswith(f"initialTerm.{message}")


@pytest.mark.parametrize(
    ("discount", "message"),
    [
        ({"inlineDiscountType": "Percentage", "inlineDiscountPerUnit": 100, "listPricePerUnit": 5}, None),
        ({"inlineDiscountType": "FixedAmount", "inlineDiscountPerUnit": 5, "listPricePerUnit": 5}, None),
        ({"inlineDiscountType": "None", "amountPerUnit": 5}, None),
        ({"inlineDiscountType": "FixedAmount", "inlineDiscountPerUnit": 5, "productRatePlanChargeId": "c"}, None),
        ({"productRatePlanChargeId": "c"}, None),
        (
            {"inlineDiscountType": "Percentage", "inlineDiscountPerUnit": 100.1, "listPricePerUnit": 5},
            "inlineDiscountPerUnit' must be 0 to 100 for Percentage.",
        ),
        (
            {"inlineDiscountType": "Percentage", "inlineDiscountPerUnit": -1, "listPricePerUnit": 5},
            "inlineDiscountPerUnit' must be 0 to 100 for Percentage.",
        ),
        (
            {"inlineDiscountType": "FixedAmount", "inlineDiscountPerUnit": 5.01, "listPricePerUnit": 5},
            "inlineDiscountPerUnit' must be 0 to 5 for FixedAmount.",
        ),
        (
            {"inlineDiscountType": "FixedAmount", "inlineDiscountPerUnit": -1, "productRatePlanChargeId": "c"},
            "inlineDiscountPerUnit' must be 0 or more for FixedAmount.",
        ),
        (
            {"inlineDiscountType": "Percentage", "inlineDiscountPerUnit": 5},
            "listPricePerUnit' is required when inlineDiscountType is Percentage.",
        ),
        (
            {"inlineDiscountType": "Percentage", "listPricePerUnit": 5},
            "inlineDiscountPerUnit' is required when inlineDiscountType is Percentage.",
        ),
    ],
)
def test_inline_discounts(discount: dict[str, Any], message: str | None) -> None:
    said = changed(TWO_LINES, ("orderLineItems", [discount]))
    if message is None:
        ok(said)
        return
    assert [found for _, found in reasons(said)] == [f"'orderLineItems[0].{message}"]


def test_a_return_names_its_sale() -> None:
    back = {"itemCategory": "Return", "amountPerUnit": 1}
    said = changed(TWO_LINES, ("category", "Return"), ("orderLineItems", [back]))
    assert [m for _, m in reasons(said)] == [
        "'orderLineItems[0].originalOrderNumber' is required when itemCategory is Return.",
        "'orderLineItems[0].originalOrderLineItemNumber' is required when itemCategory is Return.",
    ]
    ok(changed(said, (f"{LINE}.originalOrderNumber", "O1"), (f"{LINE}.originalOrderLineItemNumber", "1")))


ACCOUNT: Final[dict[str, Any]] = {
    "name": "Ray Ltd",
    "currency": "EUR",
    "billCycleDay": 1,
    "billToContact": {"firstName": "Jo", "lastName": "Ray"},
}


def test_new_accounts() -> None:
    said = changed(TWO_LINES, ("newAccount", ACCOUNT | {"creditCard": {"any": "thing"}, "parentId": "x"}))
    assert reasons(said) == [("30", "'newAccount' can't be given together with existingAccountNumber.")]
    new = ok(changed(said, ("existingAccountNumber", ABSENT))).newAccount
    assert (new.billToContact.label, new.billCycleDay) == ("Jo Ray", 1)
    said = changed(said, ("existingAccountNumber", ABSENT), ("newAccount.billCycleDay", 32))
    assert reasons(said) == [("20", "'newAccount.billCycleDay' must be 31 or less, not 32.")]


def test_a_single_contact_and_its_name_are_the_same() -> None:
    body = {"soldToContact": {"firstName": "Jo", "lastName": "Ray", "city": "Rome", "workEmail": None}}
    found = ok(action("TermsAndConditions", body)).subscriptions[0].orderActions[0].termsAndConditions
    assert found.soldToContact.label == "Jo Ray"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("status", "Draft"),
        ("commitments", [{}]),
        ("schedulingOptions", {"scheduledDate": "2030-01-01"}),
        (f"{ENTRY}.ramp", {"name": "r"}),
        (f"{ACTION}.changePlan", {"x": 1}),
        (f"{LINE}.billingSchedule", {"items": [1]}),
        (f"{LINE}.billingRule", "TriggerAsFulfillmentOccurs"),
        (f"{LINE}.prepaidQuantity", 0),
        (f"{LINE}.drawdownPriority", 1),
        (f"{LINE}.validityPeriodType", "ANNUAL"),
        (f"{LINE}.taxMode", "TaxInclusive"),
        (f"{NEW}.newSubscriptionOwnerAccount", ACCOUNT),
    ],
)
def test_what_billfold_can_not_do_is_refused(place: str, value: object) -> None:
    [(code, said)] = reasons(changed(HYBRID, (place, value)))
    assert code == "30"
    assert "billfold can't do" in said
    assert said.endswith("yet; leave it out.")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("status", "Completed"),
        ("status", None),
        ("commitments", []),
        ("schedulingOptions", {}),
        (f"{ENTRY}.ramp", None),
        (f"{ACTION}.changePlan", False),
        (f"{LINE}.billingRule", "TriggerWithoutFulfillment"),
        (f"{LINE}.taxMode", "TaxExclusive"),
        (f"{LINE}.prepaidQuantity", None),
        (f"{LINE}.accountingCode", "4711"),
        (f"{LINE}.taxCode", {"any": "thing"}),
        ("reasonCode", "because"),
        (f"{ENTRY}.notes", "x\ny"),
        (f"{ENTRY}.quote", {"QuoteNumber__QT": "Q1"}),
        (f"{LINE}.billTo", "Jo Ray"),
        (f"{LINE}.sequenceSetId", "EU"),
        ("customFields", None),
        ("orderLineItems", None),
        (f"{LINE}.itemCategory", None),
        ("idempotencyKey", "k"),
        (f"{NEW}.subscriptionNumber", ""),
        (f"{ENTRY}.clearingCustomFields", ["Colour__c"]),
    ],
)
def test_what_is_kept_or_asks_for_nothing(place: str, value: object) -> None:
    ok(changed(HYBRID, (place, value)))


@pytest.mark.parametrize(
    ("place", "better"),
    [("existingAccountId", "existingAccountNumber"), (f"{LINE}.originalOrderId", "originalOrderNumber")],
)
def test_ids_that_can_not_be_looked_up(place: str, better: str) -> None:
    [(code, said)] = reasons(changed(HYBRID, (place, "402894847af12293017af1c0d12403cc")))
    assert (code, said.endswith(f"can't be looked up by billfold; use {better} instead.")) == ("30", True)


TIERS: Final = [
    {"tier": 1, "startingUnit": 0, "endingUnit": 10, "price": 1.50, "priceFormat": "PerUnit"},
    {"tier": 2, "startingUnit": 10, "price": "2", "priceFormat": "FlatFee"},
]
TIERS_TEXT: Final = (
    '[{"tier":1,"startingUnit":0,"endingUnit":10,"price":1.5,"priceFormat":"PerUnit"},'
    '{"tier":2,"startingUnit":10,"endingUnit":null,"price":2,"priceFormat":"FlatFee"}]'
)


@pytest.mark.parametrize(
    ("pricing", "expected"),
    [
        ({}, None),
        ({"oneTimeFlatFee": {"listPrice": 5}}, ("OneTime", "FlatFee", {"price": Decimal(5)})),
        (
            {"recurringFlatFee": {"listPriceBase": "Per_Month"}},
            ("Recurring", "FlatFee", {"list_price_base": "Per_Month"}),
        ),
        (
            {"recurringPerUnit": {"listPrice": 5.25, "quantity": 0, "uom": "Seat"}},
            ("Recurring", "PerUnit", {"price": Decimal("5.25"), "quantity": Decimal(0), "uom": "Seat"}),
        ),
        ({"usageTiered": {"tiers": TIERS}}, ("Usage", "Tiered", {"tiers": TIERS_TEXT})),
        (
            {"oneTimeVolume": {"tiers": TIERS, "quantity": 2}},
            ("OneTime", "Volume", {"tiers": TIERS_TEXT, "quantity": Decimal(2)}),
        ),
        (
            {"usageOverage": {"includedUnits": 3, "overagePrice": 1, "numberOfPeriods": None}},
            ("Usage", "Overage", {"included_units": Decimal(3), "overage_price": Decimal(1)}),
        ),
        (
            {"usageTieredWithOverage": {"overagePrice": 1}},
            ("Usage", "TieredWithOverage", {"overage_price": Decimal(1)}),
        ),
        (
            {
                "discount": {
                    "discountPercentage": 10,
                    "discountLevel": "account",
                    "applyDiscountTo": "RECURRING",
                    "discountClass": "A",
                    "priceChangeOption": "NoChange",
                }
            },
            (
                "",
                "DiscountPercentage",
                {
                    "discount_percentage": Decimal(10),
                    "apply_discount_to": "RECURRING",
                    "discount_level": "account",
                    "discount_class": "A",
                },
            ),
        ),
    ],
)
def test_prices(pricing: dict[str, Any], expected: object) -> None:
    assert override_of(ok(priced(pricing))).pricing.given() == expected


@pytest.mark.parametrize(
    ("pricing", "message"),
    [
        ({"oneTimeFlatFee": {}, "usageFlatFee": {}}, "usageFlatFee' can't be given together with oneTimeFlatFee"),
        ({"discount": {"discountAmount": 0}}, "can't do fixed discounts yet"),
        (
            {"recurringFlatFee": {"priceChangeOption": "SpecificPercentageValue"}},
            "can't do prices that change at renewals",
        ),
        ({"recurringFlatFee": {"priceIncreasePercentage": 3}}, "can't do price changes by percentage"),
        ({"recurringFlatFee": {"specificListPriceBase": 3}}, "can't do prices for a specific number of months"),
        (
            {"recurringFlatFee": {"listPriceBase": "Per_Specific_Months"}},
            "must be one of Per_Billing_Period, Per_Month",
        ),
        ({"chargeModelData": {"quantity": 1}}, "can't do charge models other than"),
        ({"recurringDelivery": {"listPrice": 1}}, "can't do charge models other than"),
        ({"recurringCalculated": {"percentage": 1}}, "can't do charge models other than"),
        ({"usagePerUnit": {"quantity": 1}}, "usagePerUnit.quantity' is not known here"),
        ({"usageTiered": {"tiers": [{"tier": 1}]}}, "is required"),
    ],
)
def test_prices_that_are_refused(pricing: dict[str, Any], message: str) -> None:
    assert all(message in said for _, said in reasons(priced(pricing)))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"startDate": {"triggerEvent": "SpecificDate", "specificTriggerDate": "2024-01-01"}}, None),
        ({"startDate": {"triggerEvent": "ServiceActivation"}}, None),
        ({"startDate": {"triggerEvent": "SpecificDate"}}, "specificTriggerDate' is required when"),
        ({"startDate": {"specificTriggerDate": "2024-01-01"}}, "is only for triggerEvent SpecificDate."),
        ({"startDate": {"startDatePolicy": "SpecificDate"}}, "can't do start dates that follow other charges"),
        ({"endDate": {"endDateCondition": "Subscription_End"}}, None),
        ({"endDate": {"endDateCondition": "One_Time"}}, None),
        (
            {"endDate": {"endDateCondition": "Fixed_Period", "upToPeriods": 2, "upToPeriodsType": "Billing_Periods"}},
            None,
        ),
        ({"endDate": {"endDateCondition": "Fixed_Period", "upToPeriods": 2}}, "upToPeriodsType' is required"),
        ({"endDate": {"endDateCondition": "Specific_End_Date"}}, "specificEndDate' is required"),
        ({"endDate": {"endDateCondition": "One_Time", "upToPeriods": 2}}, "upToPeriods' is only for endDateCondition"),
        ({"billing": {"billCycleDay": 0}}, "billCycleDay' must be 1 or more, not 0."),
        ({"billing": {"billingPeriod": "Monthly"}}, "must be one of Month, Quarter"),
        ({"isRollover": True}, "can't do rollovers yet"),
        ({"isRollover": False, "isBillable": True, "chargeFunction": "Standard"}, None),
        ({"isBillable": False}, "can't do charges that are not billed yet"),
        ({"isCommitted": True}, "can't do commitments yet"),
        ({"negotiatedPriceTable": [{}]}, "can't do prices by attributes yet"),
        ({"pricingAttributes": {"a": 1}}, "can't do prices by attributes yet"),
        ({"customFields": {"A__c": "a", "B__c": 1.5, "C__c": True, "D__c": None}}, None),
        ({"customFields": {"A__c": [1]}}, "customFields.A__c' must be a text, a number, true, false or null."),
        ({"customFields": {"A__c": "\u0000"}}, "customFields.A__c' must not contain control characters."),
        ({"customFields": {"Colour": "a"}}, "customFields.Colour' is no name of a custom field"),
        ({"customFields": []}, "customFields' must be a JSON object."),
    ],
)
def test_charges(more: dict[str, Any], message: str | None) -> None:
    if message is None:
        ok(priced({}, **more))
        return
    [(_, said)] = reasons(priced({}, **more))
    assert message in said


def test_periods() -> None:
    billing = {"billingPeriod": "Specific_Months", "specificBillingPeriod": 5, "billCycleType": "SpecificDayofMonth"}
    billing |= {"billCycleDay": 31, "billingTiming": "IN_ARREARS", "billingPeriodAlignment": "AlignToTermStart"}
    assert override_of(ok(priced({}, billing=billing))).billing.given() == {
        "billing_period": "Specific_Months",
        "specific_billing_period": 5,
        "bill_cycle_type": "SpecificDayofMonth",
        "bill_cycle_day": 31,
        "billing_timing": "IN_ARREARS",
        "billing_period_alignment": "AlignToTermStart",
    }
    assert override_of(ok(priced({}, billing={"weeklyBillCycleDay": "Monday"}))).billing.given() == {
        "weekly_bill_cycle_day": "Monday"
    }


OPTIONS: Final = "previewOptions"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(OPTIONS, {"previewThruType": "TermEnd"})], None),
        ([(OPTIONS, {"previewThruType": "NumberOfPeriods", "previewNumberOfPeriods": 1})], None),
        ([(OPTIONS, ABSENT), ("processingOptions", {"runBilling": True})], None),
        ([("existingAccountNumber", ABSENT), ("previewAccountInfo", {"billCycleDay": 1, "currency": "USD"})], None),
        ([("existingAccountNumber", ABSENT), ("newAccount", ACCOUNT)], None),
        ([(OPTIONS, ABSENT)], "'previewOptions' is required unless processingOptions is given."),
        ([("processingOptions", {})], "'previewOptions' can't be given together with processingOptions."),
        ([(OPTIONS, {"previewThruType": "SpecificDate"})], "specificPreviewThruDate' is required when"),
        ([(OPTIONS, {"previewThruType": "NumberOfPeriods"})], "previewNumberOfPeriods' is required when"),
        ([(OPTIONS, {"previewThruType": "NumberOfPeriods", "previewNumberOfPeriods": 0})], "must be 1 or more, not 0."),
        ([(OPTIONS, {"previewTypes": ["BillingDocs"]})], "'previewOptions.previewThruType' is required."),
        ([(f"{OPTIONS}.previewTypes", ["ChargeMetrics"])], "[0]' must be one of BillingDocs, not 'ChargeMetrics'."),
        ([("existingAccountNumber", ABSENT)], "is required unless newAccount or previewAccountInfo is given."),
        ([("previewAccountInfo", {"billCycleDay": 1, "currency": "USD"})], "can't be given together with existing"),
    ],
)
def test_previews(changes: list[tuple[str, object]], message: str | None) -> None:
    said = changed(PREVIEW, *changes)
    if message is None:
        ok(said, PreviewOrder)
        return
    [(_, found)] = reasons(said, PreviewOrder)
    assert message in found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("orderLineItems", [])], "'orderLineItems' must have at least 1 entry."),
        ([("orderLineItems", BULK["orderLineItems"] * 2)], "'orderLineItems[1].id' comes twice"),
        ([(f"{LINE}.id", ABSENT)], "'orderLineItems[0].id' is required."),
        ([(f"{LINE}.transactionDate", "2021-01-01")], "is not known here"),
        (
            [
                (f"{LINE}.amountPerUnit", 1),
                (f"{LINE}.inlineDiscountType", "Percentage"),
                (f"{LINE}.inlineDiscountPerUnit", 1),
            ],
            "'orderLineItems[0].amountPerUnit' can't be given together",
        ),
    ],
)
def test_changes_of_lines(changes: list[tuple[str, object]], message: str) -> None:
    [(_, found)] = reasons(changed(BULK, *changes), UpdateOrderLines)
    assert message in found


def test_all_faults_are_reported() -> None:
    said = changed(HYBRID, ("orderDate", "x"), ("ordrNumber", 1), (f"{LINE}.quantity", -1), (f"{ENTRY}.ramp", 1))
    said = changed(said, (f"{LINE}.customFields", {"x": 1, "Y__c": []}), (f"{NEW}.terms", ABSENT))
    assert sorted(code for code, _ in reasons(said)) == ["20", "20", "20", "20", "21", "22", "30"]


def test_requests_can_not_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ok(TWO_LINES).orderDate = date(2024, 1, 1)


def lines_of(*texts: str) -> bytes:
    return "\n".join(texts).encode()


ORDER: Final = json.dumps(TWO_LINES)


@pytest.mark.parametrize("text", [ORDER, json.dumps(TWO_LINES, indent=2), f"\n\n{ORDER}\n\n", f"\ufeff{ORDER}"])
def test_a_single_document(text: str) -> None:
    [found], is_lines = parsed(text.encode(), CreateOrder)
    assert (found.line, found.reasons, is_lines) == (1, (), False)


def test_json_lines() -> None:
    found, is_lines = parsed(lines_of("", ORDER, " \r", "{", f"{ORDER}\r", '"x"', ""), CreateOrder)
    assert is_lines
    assert [(p.line, p.request is not None) for p in found] == [(2, True), (4, False), (5, True), (6, False)]
    assert found[1].reasons[0].code == "53100090"
    assert found[2].reasons == ()
    assert found[3].reasons == (Reason("53100020", "The request is no JSON object."),)


def test_lines_may_hold_any_line_separator_of_unicode() -> None:
    order = json.dumps(changed(TWO_LINES, (f"{LINE}.itemName", "a\u2028b")), ensure_ascii=False)
    found, _ = parsed(lines_of(order, order), CreateOrder)
    assert [p.reasons for p in found] == [(), ()]


@pytest.mark.parametrize("first", ["{", "not JSON"])
def test_broken_lines_stay_single(first: str) -> None:
    """A document that is broken somewhere is one document, unless its lines are documents."""
    text = json.dumps(TWO_LINES, indent=2)[:-1].replace("{", first, 1)
    [found], is_lines = parsed(text.encode(), CreateOrder)
    assert (found.raw, is_lines, [r.code for r in found.reasons]) == ("", False, ["53100090"])


def test_a_first_line_may_be_broken() -> None:
    found, is_lines = parsed(lines_of('{"orderDate": ', ORDER, ORDER), CreateOrder)
    assert is_lines
    assert [p.request is not None for p in found] == [False, True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[{ORDER}]", "The request is an array: write one request a line, without brackets."),
        ("5", "The request is no JSON object."),
        ('{"a": NaN}', "The JSON has NaN, which is not a number."),
        ('{"a": -Infinity}', "The JSON has -Infinity, which is not a number."),
        ('{"a": {"b": 1, "b": 2}}', "The key 'b' is given twice in one object."),
        ("[" * 100_000, "The JSON is nested too deeply."),
        ('{"a":' * 5000 + "1" + "}" * 5000, "The JSON is nested too deeply."),
        ('{"a": "\\ud800"}', "The JSON has half a character: a surrogate without its other half."),
        ('{"\\udcff1\\udcff": 1}', "The JSON has half a character: a surrogate without its other half."),
        ('{"a": ' + "1" * 5000 + "}", "The JSON has a number that is too long."),
        ('{"a": 1e99999999999999999999}', "The JSON has a number that is too long."),
        ('{"a": tru}', "The JSON is malformed: expecting value at line 1, column 7."),
    ],
)
def test_documents_that_can_not_be_read(text: str, message: str) -> None:
    [found], is_lines = parsed(text.encode(), CreateOrder)
    assert not is_lines
    assert [r.message for r in found.reasons] == [message]
    assert found.request is None


@pytest.mark.parametrize("content", [b"", b" \n\t\r\n", b"\xef\xbb\xbf", b"\xff\xfe{\x00", b'{"a": "\xe9"}'])
def test_files_that_hold_no_request(content: bytes) -> None:
    with pytest.raises(BillfoldError, match=r"^The (file is empty|requests can't be read).*\.$"):
        parsed(content, CreateOrder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{ "b" : 1.50, "a" : [1, true, null, "é\\n", "\\ud83d\\ude00"] }', '{"a":[1,true,null,"é\\n","😀"],"b":1.5}'),
        ('{"a": 1234567890123456789.123456789}', '{"a":1234567890123456789.123456789}'),
        ('{"a": 100.0, "b": -0.0, "c": 1E2, "d": 1e-3}', '{"a":100,"b":0,"c":100,"d":0.001}'),
        ('{"a": 1e999999, "b": -12e-999999}', '{"a":1.0E+999999,"b":-1.2E-999998}'),
    ],
)
def test_raw_is_canonical(text: str, expected: str) -> None:
    [found], _ = parsed(text.encode(), CreateOrder)
    assert found.raw == expected


def test_errors_never_quote_whole_documents() -> None:
    said = changed(TWO_LINES, ("category", "x" * 10_000), ("y\u001b[31m" * 1000, 1))
    assert all(len(m) < 200 and m.isprintable() for _, m in reasons(said))


SCALARS: Final = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["2024-01-01", "1"])
)
NAMES: Final = st.text() | st.sampled_from([*CreateOrder.model_fields, "type", "orderActions", "price", "A__c"])
JSON: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=30
)


def places(said: object, at: str = "") -> list[str]:
    """Every place of a request that a value can be put in."""
    items = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    return [p for key, value in items for p in (f"{at}{key}", *places(value, f"{at}{key}."))]


@settings(max_examples=300, deadline=None)
@given(JSON, st.sampled_from([CreateOrder, PreviewOrder, UpdateOrderLines]))
def test_any_json_gives_a_request_or_reasons(said: object, model: type[BaseModel]) -> None:
    text = json.dumps(said)
    if text.strip():
        for found in parsed(text.encode(), model)[0]:
            assert (found.request is None) == bool(found.reasons)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(places(HYBRID)), JSON)
def test_any_value_at_any_place_gives_a_request_or_reasons(place: str, value: object) -> None:
    said = changed(HYBRID, (place, value))
    [found] = parsed(json.dumps(said).encode(), CreateOrder)[0]
    assert (found.request is None) == bool(found.reasons)
    if found.raw:
        assert parsed(found.raw.encode(), CreateOrder)[0][0].raw == found.raw


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_reasons_or_one_sentence(content: bytes) -> None:
    try:
        said = [reason.message for found in parsed(content, CreateOrder)[0] for reason in found.reasons]
    except BillfoldError as e:
        said = [str(e)]
    assert said
    assert all(sentence.endswith(".") for sentence in said)
