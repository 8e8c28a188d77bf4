"""Orders as the vendor documents them: its examples, its own models of requests and responses, and the commands."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import sys
import warnings
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import ModuleType, NoneType
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

import pytest
from inputs import state
from order_inputs import (
    account,
    action,
    catalog,
    change,
    charge,
    content,
    done,
    line,
    made,
    order,
    previewed,
    shown,
    stock,
    subscribe,
    updated,
)
from pydantic import BaseModel, TypeAdapter, ValidationError
from test_order_models import BULK, HYBRID, PREVIEW, TWO_LINES

from billfold import Book, RunRequest, bill
from billfold.settings import change as set_

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Command

Json = dict[str, Any]

HYBRID_PLAN: Final = "402894847af12293017af1c0d12403cc"
PREVIEW_PLAN: Final = "8ad081dd9096ef9501909b40bb4e74a4"
PREVIEW_CHARGE: Final = "8ad097b4909708e001909b41bb085d38"
MONTHLY: Final = {"charge_type": "Recurring", "charge_model": "FlatFee", "billing_period": "Month"}
ACCOUNTS: Final = [account(n) for n in ("A-1", "A-2", "A1", "A00000776", "A00000097")]
CATALOG: Final = [
    *catalog(),
    charge("hybrid", HYBRID_PLAN, price="35", **MONTHLY),
    charge(
        PREVIEW_CHARGE, PREVIEW_PLAN, price="14.99", charge_name="Monthly Fee", product_name="Music Service", **MONTHLY
    ),
]
"""Rate plans of the documented requests besides the usual ones: their pages don't show what is in them."""


@pytest.fixture(scope="module")
def stocked(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book with the accounts and the catalog of the documented requests, to be copied."""
    folder = tmp_path_factory.mktemp("documented")
    with Book(shutil.copytree(empty_book, folder / "book")) as book:
        stock(book, folder, ACCOUNTS, CATALOG)
    return folder / "book"


@pytest.fixture
def shop(stocked: Path, tmp_path: Path) -> Iterator[Book]:
    with Book(shutil.copytree(stocked, tmp_path / "book")) as book:
        yield book


def rows(book: Book, query: str) -> list[tuple[Any, ...]]:
    return book.sql(query).rows()


# ------------------------------------------------------------------ the documented examples


ANSWER: Final = {
    "success": True,
    "orderNumber": "O-00000001",
    "accountNumber": "A00000776",
    "status": "Completed",
    "subscriptionNumbers": ["A-S00000001"],
    "subscriptions": [{"subscriptionNumber": "A-S00000001", "status": "Active"}],
    "invoiceNumbers": ["INV00000001"],
    "orderLineItems": [{"id": "O-00000001/1", "itemNumber": "1"}],
}
"""What the documented hybrid order is answered; the page has numbers of another tenant."""


def test_the_hybrid_order_gives_one_posted_invoice_with_the_subscription_and_the_line(shop: Book) -> None:
    """SEED003-HYBRID-ORDER; the page's response has ids and an account number of another tenant."""
    (body,) = made(shop, HYBRID)
    assert body == ANSWER
    header = "SELECT invoice_number, status, invoice_date, target_date, amount FROM invoices"
    day = date(2021, 3, 1)
    assert rows(shop, header) == [("INV00000001", "Posted", day, day, 45)]
    assert rows(shop, "SELECT item_number, amount FROM invoice_items ORDER BY 1") == [("1", 10), (None, 35)]
    terms = (
        "SELECT term_start_date, term_end_date, renewal_term, renewal_term_period_type, auto_renew FROM subscriptions"
    )
    assert rows(shop, terms) == [(day, date(2021, 6, 1), 2, "Month", False)]


def test_two_lines_are_billed_by_amount_per_unit_and_keep_their_custom_fields(shop: Book) -> None:
    """OLI-HYBRID-2: the list price of 50 is for reports only, and no payment is taken."""
    (body,) = made(shop, TWO_LINES)
    assert [i["itemNumber"] for i in body["orderLineItems"]] == ["1", "2"]
    assert body["warnings"] == ["'processingOptions.collectPayment': billfold moves no money."]
    amounts = rows(shop, "SELECT item_number, i.amount, status FROM invoice_items i JOIN invoices USING (invoice_id)")
    assert sorted(amounts) == [("1", Decimal("4990.00"), "Posted"), ("2", Decimal("12.95"), "Posted")]
    lines = shown(shop, body["orderNumber"])["order"]["orderLineItems"]
    assert [i["amount"] for i in lines] == [4990, Decimal("12.95")]
    assert lines[0]["listPrice"] == 500
    assert rows(shop, "SELECT Color__c, Mode__c FROM order_line_items ORDER BY item_number") == [
        (None, None),
        ("black", "scalar"),
    ]


def test_what_follows_an_order_with_custom_fields_needs_none(shop: Book) -> None:
    """A field that one order brought is blank in everything that others make."""
    custom = {"customFields": {"extra__c": "x"}}
    first = subscribe({"productRatePlanId": "FEE", **custom}, number="S-1") | custom
    first["subscriptions"][0] |= custom
    first["subscriptions"][0]["orderActions"][0] |= custom
    done(shop, first | {"orderLineItems": [line(**custom)]})
    done(shop, subscribe(number="S-2") | {"orderLineItems": [line()]})
    for table in ("orders", "order_actions", "subscriptions", "rate_plan_charges", "order_line_items"):
        assert rows(shop, f"SELECT extra__c FROM {table} ORDER BY 1") == [("x",), (None,)]  # noqa: S608 - ours


def test_lines_are_shown_in_the_order_in_which_they_were_ordered(shop: Book) -> None:
    (body,) = done(shop, order(orderLineItems=[line() for _ in range(11)]))
    found = shown(shop, body["orderNumber"])["order"]["orderLineItems"]
    assert [i["itemNumber"] for i in found] == [i["itemNumber"] for i in body["orderLineItems"]]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("Percentage", {"amountPerUnit": 45, "discount": 10, "amount": 90}),
     ("FixedAmount", {"amountPerUnit": 40, "discount": 20, "amount": 80})],
)  # fmt: skip
def test_an_inline_discount_makes_the_amount(shop: Book, kind: str, expected: dict[str, int]) -> None:
    """OLI-INLINE-DISCOUNT: of a list price of 50, ten percent or 10 are taken off each of two."""
    discounted = line(listPricePerUnit=50, inlineDiscountType=kind, inlineDiscountPerUnit=10, quantity=2)
    del discounted["amountPerUnit"]
    (body,) = done(shop, order(orderLineItems=[discounted], bill="2024-01-01"))
    (found,) = shown(shop, body["orderNumber"])["order"]["orderLineItems"]
    assert {name: found[name] for name in expected} == expected
    assert (found["listPrice"], found["listPricePerUnit"], found["inlineDiscountPerUnit"]) == (100, 50, 10)
    assert rows(shop, "SELECT amount FROM invoices") == [(expected["amount"],)]


Total = tuple[int, int | None, list[int], list[int], int | None]
SETTLED: Final[dict[str, list[Total]]] = {
    "yes": [
        (-10, None, [], [], -10),
        (-30, 20, [], [], -10),
        (30, -100, [], [], -70),
        (-30, 100, [70], [], None),
        (30, -10, [20], [], None),
    ],
    "no": [
        (-10, None, [], [], -10),
        (-30, 20, [20], [], -30),
        (-30, 100, [100], [], -30),
        (30, -100, [30], [100], None),
        (30, -10, [30], [10], None),
    ],
}
"""OLI-SETTLEMENT-YES and OLI-SETTLEMENT-NO: totals of order lines and of a subscription, the invoices and the credit
memos that a bill run makes of them, and what it refuses."""


def settling(number: int, lines: int, subscription: int | None) -> Json:
    """An order of an account of its own, with lines and a one-time charge that come to these totals."""
    price = {"productRatePlanChargeId": "setup", "pricing": {"oneTimeFlatFee": {"listPrice": subscription}}}
    plan = {"productRatePlanId": "SETUP", "chargeOverrides": [price]}
    sold = {"existingAccountNumber": f"N-{number}", "orderLineItems": [line(lines)]}
    return (order() if subscription is None else subscribe(plan)) | sold


@pytest.fixture(params=SETTLED)
def settled(request: pytest.FixtureRequest, shop: Book, tmp_path: Path) -> tuple[Book, list[Total], list[Json]]:
    """A book with the rule set to yes or no, the page's table for it, and an order for each of its rows."""
    set_(shop, {"consolidate_invoices": request.param})
    stock(shop, tmp_path, [account(f"N-{n}") for n in range(5)], [])
    table = SETTLED[request.param]
    return shop, table, [settling(n, lines, subscription) for n, (lines, subscription, *_) in enumerate(table)]


def test_a_run_does_not_bill_sales_that_net_negative(settled: tuple[Book, list[Total], list[Json]]) -> None:
    shop, table, orders = settled
    done(shop, *orders)
    day = date(2024, 1, 31)
    found = bill(shop, RunRequest(target_date=day, invoice_date=day)).documents
    for number, (_, _, invoices, memos, refused) in enumerate(table):
        of_account = {"account_number": f"N-{number}"}
        assert found.invoices.filter(**of_account)["amount"].to_list() == invoices
        assert found.credit_memos.filter(**of_account)["amount"].to_list() == memos
        said = [json.loads(detail)["net"] for detail in found.parked_accounts.filter(**of_account)["detail"]]
        assert [Decimal(net) for net in said] == [refused] * (refused is not None)


def test_an_order_that_is_billed_at_once_is_refused_with_sales_that_net_negative(
    settled: tuple[Book, list[Total], list[Json]],
) -> None:
    """It is billed as a whole or not done: no part of it is billed while another part waits."""
    shop, table, orders = settled
    bodies = made(shop, *(o | {"processingOptions": {"runBilling": True}} for o in orders))
    for number, (body, (_, _, invoices, memos, refused)) in enumerate(zip(bodies, table, strict=True)):
        assert body["success"] == (refused is None)
        of_account = f"FROM {{}} WHERE account_number = 'N-{number}'"
        if refused is not None:
            assert [r["code"] for r in body["reasons"]] == ["53100030"]
            assert f"sales that net negative can't be invoiced (USD {refused};" in body["reasons"][0]["message"]
            for table_of in ("orders", "order_line_items", "subscriptions", "invoices", "credit_memos"):
                assert rows(shop, of_account.format(table_of)) == []
            continue
        for kind, field, amounts in (
            ("invoice", "invoiceNumbers", invoices),
            ("credit_memo", "creditMemoNumbers", memos),
        ):
            query = f"SELECT {kind}_number, amount {of_account.format(f'{kind}s')} ORDER BY 1"
            documents = rows(shop, query)
            assert [amount for _, amount in documents] == amounts
            assert body.get(field, []) == [name for name, _ in documents]


@pytest.mark.parametrize(("target", "billed"), [("2021-01-01", []), ("2021-02-01", [10])])
def test_a_bulk_update_bills_what_is_due_by_its_target_date(shop: Book, target: str, billed: list[int]) -> None:
    """OLI-BULK-UPDATE: as printed it bills nothing, since its target date is before the line's."""
    waiting = line(itemState="Executing", billTargetDate=None)
    (body,) = done(shop, order(orderLineItems=[waiting], orderDate="2021-01-01"))
    (item,) = body["orderLineItems"]
    asked = BULK["orderLineItems"][0] | {"id": item["id"]}
    answer = updated(shop, asked, bill=target)
    assert (answer["success"], answer["orderLineItems"][0]["itemState"]) == (True, "SentToBilling")
    assert [i["amount"] for i in answer["invoices"]] == billed
    assert rows(shop, "SELECT amount, status FROM invoices") == [(a, "Posted") for a in billed]


@pytest.mark.parametrize("last", ["SentToBilling", "Complete"])
def test_quantities_follow_the_states_of_a_line(shop: Book, last: str) -> None:
    """OLI-QUANTITY-STATES, through create and updates."""
    name = (done(shop, order(orderLineItems=[line(quantity=100, itemState="Executing")])))[0]["orderNumber"]

    def quantities() -> tuple[str, ...]:
        (found,) = shown(shop, name)["order"]["orderLineItems"]
        kinds = ("Fulfilled", "PendingFulfillment", "AvailableForReturn")
        return found["itemState"], *(str(found[f"quantity{kind}"]) for kind in kinds)

    assert quantities() == ("Executing", "0", "0", "0")
    for wanted, expected in (("Booked", ("100", "0", "0")), (last, ("100", "0", "100"))):
        answer = updated(shop, {"id": f"{name}/1", "itemState": wanted})
        assert answer["success"]
        assert quantities() == (wanted, *expected)


def test_the_documented_preview_gives_the_documented_response(shop: Book) -> None:
    """PREVIEW-ORDER-API, whose rate plan has one monthly fee."""
    before = state(shop)
    item = {
        "serviceStartDate": "2024-07-01",
        "serviceEndDate": "2024-07-31",
        "amountWithoutTax": Decimal("14.99"),
        "taxAmount": 0,
        "chargeDescription": "",
        "chargeName": "Monthly Fee",
        "chargeNumber": None,
        "processingType": "Charge",
        "productName": "Music Service",
        "productRatePlanChargeId": PREVIEW_CHARGE,
        "unitPrice": Decimal("14.99"),
        "subscriptionNumber": None,
        "orderLineItemNumber": None,
        "additionalInfo": {"quantity": 1, "unitOfMeasure": "", "numberOfDeliveries": 0},
    }
    totals = {"amount": Decimal("14.99"), "amountWithoutTax": Decimal("14.99"), "taxAmount": 0}
    invoice = totals | {"targetDate": "2024-07-31", "invoiceItems": [item]}
    assert previewed(shop, PREVIEW) == {"success": True, "previewResult": {"invoices": [invoice]}}
    assert state(shop) == before


# ------------------------------------------------------------------ the vendor's models

OURS: Final = {
    "warnings": "what was asked for and is not done here",
    "billRunNumber": "the bill run that billed the order",
    "effectiveDate": "the day from which an action counts, whatever its three trigger dates are",
    "creditMemos": "of an update; the vendor lists the invoices only",
}
"""What responses have beyond the vendor's models."""

SPAN: Final = {
    "billing": {
        "billingPeriod": "Month", "billCycleType": "ChargeTriggerDay", "billingTiming": "IN_ADVANCE",
        "billingPeriodAlignment": "AlignToCharge",
    },
    "startDate": {"triggerEvent": "ServiceActivation"},
    "endDate": {"endDateCondition": "Subscription_End"},
}  # fmt: skip
SIX_MONTHS: Final = {"endDateCondition": "Fixed_Period", "upToPeriods": 6, "upToPeriodsType": "Months"}
OVERRIDES: Final = [
    {
        "productRatePlanChargeId": "b-fee", "chargeNumber": "C-A", "uniqueToken": "fee", **SPAN,
        "customFields": {"kind__c": "k"},
        "pricing": {"recurringFlatFee": {"listPrice": 25.5, "listPriceBase": "Per_Billing_Period"}},
    },
    {
        "productRatePlanChargeId": "b-seats", "chargeNumber": "C-B", "endDate": SIX_MONTHS,
        "pricing": {"recurringPerUnit": {"listPrice": 6, "quantity": 3, "uom": "Seat"}},
    },
]  # fmt: skip
PLAN: Final = {
    "productRatePlanId": "BUNDLE", "subscriptionRatePlanNumber": "RP-A", "uniqueToken": "plan",
    "chargeOverrides": OVERRIDES, "customFields": {"plan__c": "p"},
}  # fmt: skip
SALE: Final = line(
    12.5, itemNumber="a", UOM="Each", listPricePerUnit=13, invoiceGroupNumber="PO-1", paymentTerm="Net 45",
    transactionStartDate="2024-01-01", transactionEndDate="2024-01-02", customFields={"colour__c": "red"},
)  # fmt: skip
PERSON: Final = {"firstName": "Cyd", "lastName": "Dee"}
NEW_ACCOUNT: Final = {"name": "Cyd", "currency": "EUR", "billCycleDay": 1, "billToContact": PERSON}
RENEWAL: Final = {"renewalTerms": [{"period": 6, "periodType": "Month"}], "renewalSetting": "RENEW_WITH_SPECIFIC_TERM"}

EVERY: Final[dict[str, Json]] = {
    "CreateSubscription": subscribe(PLAN, number="S-1", invoiceGroupNumber="PO-1", paymentTerm="Net 45")
    | {"orderLineItems": [SALE], "description": "everything that a first order has"},
    "TermsAndConditions": change(
        "S-1", action("TermsAndConditions", "2024-02-01", autoRenew=True, clearingExistingPaymentTerm=True, **RENEWAL)
    ),
    "AddProduct": change(
        "S-1", action("AddProduct", "2024-02-01", productRatePlanId="SEATS", subscriptionRatePlanNumber="RP-B")
    ),
    "UpdateProduct": change(
        "S-1",
        action(
            "UpdateProduct", "2024-03-01", subscriptionRatePlanNumber="RP-A",
            chargeUpdates=[{"chargeNumber": "C-B", "pricing": {"recurringPerUnit": {"quantity": 5}}}],
        ),
    ),
    "RemoveProduct": change("S-1", action("RemoveProduct", "2024-04-01", subscriptionRatePlanNumber="RP-B")),
    "Suspend": change(
        "S-1",
        action("Suspend", "2024-05-01", suspendPolicy="SpecificDate", suspendSpecificDate="2024-05-01"),
    ),
    "Resume": change(
        "S-1",
        action(
            "Resume", "2024-06-01", resumePolicy="SpecificDate", resumeSpecificDate="2024-06-01", extendsTerm=True,
        ),
    ),
    "RenewSubscription": change("S-1", action("RenewSubscription", "2024-07-01", invoiceGroupNumber="PO-3")),
    "OwnerTransfer": change(
        "S-1",
        action(
            "OwnerTransfer", "2024-07-01", destinationAccountNumber="A-2", destinationInvoiceAccountNumber="A-2",
            clearingExistingBillToContact=True,
        ),
    ),
    "CancelSubscription": change(
        "S-1",
        action(
            "CancelSubscription", "2024-06-15", cancellationPolicy="SpecificDate",
            cancellationEffectiveDate="2024-06-15",
        ),
    )
    | {"existingAccountNumber": "A-2"},
    "Return": order(
        category="Return",
        orderLineItems=[
            line(12.5, itemCategory="Return", originalOrderNumber="O-00000001", originalOrderLineItemNumber="a")
        ],
    ),
    "payment": order(orderLineItems=[line()]),
}  # fmt: skip
"""An order for each action, one after the other for one subscription; then a return, and a wish for money."""


class Vendor:
    """The vendor's models, but only the modules that are asked for: importing all two thousand takes ten seconds."""

    def __init__(self) -> None:
        self._adapters: dict[str, TypeAdapter[Any]] = {}

    def __call__(self, name: str, body: Json) -> Any:  # noqa: ANN401 - a model of the vendor's
        """A body, read by the vendor's model in both ways, after a look at whether every part of it fits."""
        plain = json.loads(json.dumps(body, default=_number))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # The models lean on parts of pydantic that are on their way out.
            module = "_".join(re.findall("[A-Z][a-z]*", name)).lower()
            model = getattr(importlib.import_module(f"zuora_sdk.models.{module}"), name)
            assert list(self.misfits(model, plain)) == []
            read, validated = model.from_json(json.dumps(plain)), model.model_validate(plain)
        assert read.additional_properties.keys() <= OURS.keys()
        for field, value in vars(validated).items():
            assert field == "additional_properties" or (getattr(read, field) is None) == (value is None)
        return read

    def misfits(self, kind: Any, value: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - any type, any JSON
        """Where JSON is not what a model declares. The models themselves take anything for anything."""
        options = [option for option in get_args(kind) if option is not NoneType]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from self._model_misfits(kind, value, path)
        elif value is None and NoneType in get_args(kind):
            return
        elif get_origin(kind) is list and isinstance(value, list):
            for n, each in enumerate(value):
                yield from self.misfits(options[0], each, f"{path}[{n}]")
        elif get_origin(kind) is Union:
            yield from min((list(self.misfits(option, value, path)) for option in options), key=len)
        else:
            try:
                self._adapter(kind).validate_json(json.dumps(value))
            except ValidationError as e:
                yield f"{path}: {value!r}: {e.errors()[0]['msg']}"

    def _model_misfits(self, kind: type[BaseModel], value: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - any JSON
        if not isinstance(value, dict):
            yield f"{path}: no object"
            return
        fields = {f.alias or name: f for name, f in kind.model_fields.items() if name != "additional_properties"}
        yield from (f"{path}.{name}: missing" for name, f in fields.items() if f.is_required() and name not in value)
        yield from (f"{path}.{name}: not in {kind.__name__}" for name in value.keys() - fields.keys() - OURS.keys())
        for name in value.keys() & fields.keys():
            # As the models that show order lines have it, the value of each custom field would be an object.
            annotation = dict[str, Any] if name == "customFields" else fields[name].annotation
            yield from self.misfits(annotation, value[name], f"{path}.{name}")

    def _adapter(self, kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any type
        name = repr(kind)
        if name not in self._adapters:
            self._adapters[name] = TypeAdapter(kind)
        return self._adapters[name]


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with pytest.MonkeyPatch.context() as patch:
        found = importlib.util.find_spec("zuora_sdk")
        if found and found.origin and "zuora_sdk" not in sys.modules:
            folder = Path(found.origin).parent
            for name, path in (("zuora_sdk", folder), ("zuora_sdk.models", folder / "models")):
                package = ModuleType(name)
                package.__path__ = [str(path)]
                patch.setitem(sys.modules, name, package)
        yield Vendor()


def _number(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def test_requests_with_every_action_and_their_answers_are_in_the_words_of_the_vendor(
    shop: Book, vendor: Vendor
) -> None:
    actions = {a["type"] for o in EVERY.values() for e in o.get("subscriptions", ()) for a in e["orderActions"]}
    assert len(actions) == 10
    through = {"previewThruType": "SpecificDate", "specificPreviewThruDate": "2024-07-01"}
    billing = {"targetDate": "2024-07-01", "documentDate": "2024-07-01"}
    for name, said in EVERY.items():
        options = {"runBilling": True, "billingOptions": billing, "collectPayment": name == "payment"}
        asked = said | {"processingOptions": options}
        to_preview = said | {"previewOptions": {"previewTypes": ["BillingDocs"], **through}}
        assert vendor("CreateOrderRequest", asked).order_date == said["orderDate"]
        assert vendor("PreviewOrderRequest", to_preview).preview_options
        assert vendor("PreviewOrderResponse", previewed(shop, to_preview)).success
        (body,) = made(shop, asked)
        assert vendor("CreateOrderResponse", body).success, name
        assert vendor("GetOrderResponse", shown(shop, body["orderNumber"])).success


def test_an_order_with_a_new_account_and_its_answer_are_in_the_words_of_the_vendor(shop: Book, vendor: Vendor) -> None:
    asked = order(newAccount=NEW_ACCOUNT, orderLineItems=[line()], bill="2024-01-01")
    del asked["existingAccountNumber"]
    assert vendor("CreateOrderRequest", asked).new_account.name == "Cyd"
    (body,) = made(shop, asked)
    assert vendor("CreateOrderResponse", body).account_number == "A00000777"


def test_an_update_and_its_answer_are_in_the_words_of_the_vendor(shop: Book, vendor: Vendor) -> None:
    (body,) = done(shop, order(orderLineItems=[line(7, itemState="Booked"), line(3, itemState="Executing")]))
    first, second = (item["id"] for item in body["orderLineItems"])
    lines = [{"id": first, "itemState": "SentToBilling", "invoiceGroupNumber": "G"}, {"id": second, "quantity": 5}]
    assert vendor("BulkUpdateOrderLineItemsRequest", {"orderLineItems": lines}).order_line_items
    answer = vendor("GetBulkUpdateOrderLineItemsResponse", updated(shop, *lines, bill="2024-01-01"))
    assert [i["amount"] for i in answer.invoices] == [7]
    assert [i.amount for i in answer.order_line_items] == [7, 15]


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        (order("nobody", orderLineItems=[line()]), ["53100040"]),
        (order(orderLineItems=[line("much", wrong=1, itemState="Executing")]), ["53100020", "53100021"]),
        (change("S-0", action("RenewSubscription")), ["53100040"]),
    ],
)
def test_error_bodies_are_in_the_words_of_the_vendor(shop: Book, vendor: Vendor, said: Json, codes: list[str]) -> None:
    (body,) = made(shop, said)
    answer = vendor("CreateOrderResponse", body)
    assert answer.success is False
    assert sorted(reason.code for reason in answer.reasons) == codes
    billed = said | {"processingOptions": {"runBilling": True}}
    assert vendor("PreviewOrderResponse", previewed(shop, billed)).success is False
    assert vendor("GetBulkUpdateOrderLineItemsResponse", updated(shop, {"id": "none/1"})).success is False


# ------------------------------------------------------------------ the command line


@pytest.fixture
def desk(quick: Command, stocked: Path, tmp_path: Path) -> Command:
    """The command line in a folder with the stocked book."""
    shutil.copytree(stocked, tmp_path / "book")
    return quick


def write(folder: Path, *orders: Json) -> Path:
    path = folder / "orders.json"
    path.write_bytes(content(*orders))
    return path


def sold(folder: Path) -> list[tuple[Any, ...]]:
    """What the book has of orders."""
    with Book(folder / "book", read_only=True) as book:
        return rows(book, "SELECT order_number, account_number FROM orders ORDER BY 1")


def test_an_order_is_done_shown_and_its_lines_updated_by_commands(cli: Command, stocked: Path, tmp_path: Path) -> None:
    """Each command a process of its own."""
    shutil.copytree(stocked, tmp_path / "book")
    created = cli("order", "create", write(tmp_path, HYBRID), "--json")
    assert (created.code, created.err) == (0, "")
    assert created.json() == ANSWER
    done_with = {"orderLineItems": [{"id": "O-00000001/1", "itemState": "Complete"}]}
    updated_now = cli("order", "update", write(tmp_path, done_with), "--json")
    assert (updated_now.code, updated_now.err) == (0, "")
    assert updated_now.json()["orderLineItems"][0]["itemState"] == "Complete"
    found = cli("order", "show", "O-00000001", "--json")
    assert (found.code, found.err) == (0, "")
    (item,) = found.json()["order"]["orderLineItems"]
    assert (item["itemState"], item["amount"], item["quantityAvailableForReturn"]) == ("Complete", 10, 1)
    told = cli("order", "show", "O-00000001")
    assert (told.code, told.err) == (0, "")
    assert [said for said in ("O-00000001/1", "Complete", "10.00") if said not in told.out] == []


def test_a_bad_order_in_a_file_does_not_stop_the_others(desk: Command, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        order(orderLineItems=[line()], orderNumber="X-1"),
        order("nobody", orderLineItems=[line()]),
        order("A-2", orderLineItems=[line()], bill="2024-01-01", orderNumber="X-3"),
    )
    whole = desk("order", "create", file, "--all-or-nothing")
    assert whole.code == 1
    assert "line 1: Not done" in whole.err
    assert "line 2: 'existingAccountNumber' names the account 'nobody'" in whole.err
    assert sold(tmp_path) == []
    partly = desk("order", "create", file, "--out", "answers.jsonl")
    assert partly.code == 3
    assert "line 2: 'existingAccountNumber' names the account 'nobody'" in partly.err
    assert "2 orders done, 1 refused." in partly.out
    assert sold(tmp_path) == [("X-1", "A-1"), ("X-3", "A-2")]
    saved = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(each) for each in saved]
    assert [(a["line"], a["success"]) for a in answers] == [(1, True), (2, False), (3, True)]
    again = desk("order", "create", file, "--json")
    assert again.code == 3
    told = again.json()
    assert {name: told[name] for name in ("success", "created", "repeated", "failed")} == {
        "success": False, "created": 0, "repeated": 2, "failed": 1,
    }  # fmt: skip
    assert told["orders"] == answers


def test_a_file_of_which_no_order_can_be_done_fails(desk: Command, tmp_path: Path) -> None:
    file = write(tmp_path, *(order("nobody", orderLineItems=[line()]) for _ in range(2)))
    outcome = desk("order", "create", file)
    assert outcome.code == 1
    assert [
        said for said in ("line 1: ", "line 2: ", "0 orders done, 2 refused.") if said not in outcome.out + outcome.err
    ] == []
    assert sold(tmp_path) == []


@pytest.mark.parametrize("how", [("--idempotency-key", "k"), ()], ids=["key", "number"])
def test_an_order_that_is_asked_for_again_gives_its_answer_and_does_nothing(
    desk: Command, tmp_path: Path, how: tuple[str, ...]
) -> None:
    said = order(orderLineItems=[line()], bill="2024-01-01") | ({} if how else {"orderNumber": "X-1"})
    first = desk("order", "create", write(tmp_path, said), *how, "--json")
    with Book(tmp_path / "book") as book:
        before = state(book)
    again = desk("order", "create", write(tmp_path, said), *how, "--json")
    assert (again.code, again.out) == (first.code, first.out) == (0, first.out)
    other = desk("order", "create", write(tmp_path, said | {"description": "another"}), *how)
    assert other.code == 1
    named = "idempotencyKey" if how else "orderNumber"
    assert f"'{named}' belongs to the order" in other.err
    with Book(tmp_path / "book") as book:
        assert state(book) == before


def test_an_unknown_field_is_refused_with_its_path(desk: Command, tmp_path: Path) -> None:
    outcome = desk("order", "create", write(tmp_path, subscribe(invoiceGroupNumbr="PO-1")))
    assert outcome.code == 1
    path = "subscriptions[0].orderActions[0].createSubscription.invoiceGroupNumbr"
    assert f"'{path}' is not known here (did you mean invoiceGroupNumber" in outcome.err
    assert sold(tmp_path) == []


def test_a_preview_by_command_writes_nothing(desk: Command, tmp_path: Path) -> None:
    desk("order", "create", write(tmp_path, HYBRID))
    with Book(tmp_path / "book") as book:
        before = state(book)
    outcome = desk("order", "preview", write(tmp_path, PREVIEW), "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert [i["amount"] for i in outcome.json()["previewResult"]["invoices"]] == [14.99]
    told = desk("order", "preview", tmp_path / "orders.json")
    assert (told.code, told.err) == (0, "")
    words = ("Invoice 14.99", "Monthly Fee", "2024-07-31", "Nothing was written.")
    assert [word for word in words if word not in told.out] == []
    with Book(tmp_path / "book") as book:
        assert state(book) == before


def test_a_file_for_preview_or_update_has_one_request(desk: Command, tmp_path: Path) -> None:
    file = write(tmp_path, PREVIEW, PREVIEW)
    for command in ("preview", "update"):
        outcome = desk("order", command, file)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err == f"billfold: {file} has 2 requests: give one.\n"


def test_an_order_that_is_not_there_can_not_be_shown(desk: Command) -> None:
    outcome = desk("order", "show", "O-1", "--json")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "billfold: There is no order O-1 in the book.\n"
