"""Requests for orders as the API takes them: create, preview, and the change of many order lines at once."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from billfold.orders.action_models import Contact, CreateSubscription, OrderAction
from billfold.orders.fields import (
    CUSTOM,
    ORDER_NUMBER,
    Amount,
    Count,
    Currency,
    CustomFields,
    Day,
    Fault,
    Flag,
    GroupNumber,
    Keyed,
    Many,
    Model,
    Name,
    Name50,
    Name70,
    Name100,
    NewOrExisting,
    Ruled,
    Text,
    Text500,
    Whole,
    by_choice,
    doubles,
    knows,
    missing,
    name,
    null_is,
)

__all__ = [
    "BillingOptions", "Contact", "CreateOrder", "NewAccount", "OrderLine", "OrderLineUpdate", "OrderSubscription",
    "PreviewAccountInfo", "PreviewOptions", "PreviewOrder", "ProcessingOptions", "UpdateOrderLines",
]  # fmt: skip

Category = Literal["NewSales", "Return"]
ItemType = Literal["Product", "Fee", "Services", "Prepayment"]
ItemState = Literal["Executing", "Booked", "SentToBilling", "Complete", "Canceled"]
ChargeType = Literal["OneTime", "Recurring", "Usage"]
CycleDay = Annotated[Whole, Field(ge=0, le=31)]
"""A bill cycle day; 0 is the day on which the first recurring charge begins."""

_MOST_LINES: Final = 100
_MOST_SUBSCRIPTIONS: Final = 50
_MOST_ACTIONS: Final = 50
_HUNDRED: Final = 100
_ACCOUNTING: Final = (
    "accountingCode adjustmentLiabilityAccountingCode adjustmentRevenueAccountingCode contractAssetAccountingCode "
    "contractLiabilityAccountingCode contractRecognizedRevenueAccountingCode deferredRevenueAccountingCode "
    "excludeItemBillingFromRevenueAccounting excludeItemBookingFromRevenueAccounting isAllocationEligible isUnbilled "
    "recognizedRevenueAccountingCode revenueRecognitionRule revenueRecognitionTiming revenueAmortizationMethod shipTo "
    "taxCode unbilledReceivablesAccountingCode"
)
_LINES_ONLY: Final = {
    "billing by fulfillments": ("billingRule", "TriggerWithoutFulfillment"),
    "prices that include tax": ("taxMode", "TaxExclusive"),
}


@knows(
    "additionalEmailAddresses allowInvoiceEdit autoPay creditCard creditMemoTemplateId crmId customerServiceRepName "
    "debitMemoTemplateId hpmCreditCardPaymentMethodId invoiceDeliveryPrefsEmail invoiceDeliveryPrefsPrint notes "
    "parentId partnerAccount paymentGateway paymentMethod purchaseOrderNumber salesRep shipToContact "
    "shipToSameAsBillTo taxInfo",
    cannot={"commitments": "associateCommitmentNumber"},
)
class NewAccount(Model):
    """The account that an order makes."""

    accountNumber: Name70 | None = None
    name: Name
    currency: Currency
    billCycleDay: CycleDay
    billToContact: Contact
    soldToContact: Contact | None = None
    soldToSameAsBillTo: Flag | None = None
    paymentTerm: Name100 | None = None
    invoiceTemplateId: Name | None = None
    sequenceSetId: Name | None = None
    communicationProfileId: Name | None = None
    batch: Name | None = None
    customFields: CustomFields = None


class BillingOptions(Model):
    """How an order is billed once it is made."""

    targetDate: Day | None = None
    documentDate: Day | None = None
    generateDraftInvoice: Flag | None = None
    chargeTypeToExclude: Many[ChargeType] = ()
    creditMemoReasonCode: Annotated[Text, Field(max_length=25)] | None = None


class ProcessingOptions(Model):
    """What follows an order: its bills. Payments are known, but billfold collects none."""

    runBilling: Flag | None = None
    billingOptions: BillingOptions | None = None
    collectPayment: Any = None
    allowPaymentFailure: Any = None
    electronicPaymentOptions: Any = None
    applyCredit: Any = None
    applyCreditBalance: Any = None
    applicationOrder: Any = None
    refund: Any = None
    refundAmount: Any = None
    refundReasonCode: Any = None
    reAssociation: Any = None
    writeOff: Any = None
    writeOffBehavior: Any = None

    def payments(self) -> list[str]:
        """The payment fields that ask for something."""
        return [n for n in type(self).model_fields if n not in {"runBilling", "billingOptions"} and getattr(self, n)]


class _Line(Ruled):
    """What can be said of an order line when it is made and when it is changed."""

    itemName: Name | None = None
    itemType: ItemType | None = None
    itemState: ItemState | None = None
    quantity: Count | None = None
    UOM: Name | None = None
    listPricePerUnit: Amount | None = None
    amountPerUnit: Amount | None = None
    inlineDiscountType: Literal["Percentage", "FixedAmount", "None"] | None = None
    inlineDiscountPerUnit: Amount | None = None
    description: Text500 | None = None
    productCode: Name100 | None = None
    purchaseOrderNumber: Name100 | None = None
    ownerAccountNumber: Name70 | None = None
    relatedSubscriptionNumber: Name100 | None = None
    billTargetDate: Day | None = None
    transactionStartDate: Day | None = None
    transactionEndDate: Day | None = None
    billTo: Name | None = None
    soldTo: Name | None = None
    paymentTerm: Name100 | None = None
    invoiceTemplateId: Name | None = None
    sequenceSetId: Name | None = None
    communicationProfileId: Name | None = None
    invoiceGroupNumber: GroupNumber | None = None
    customFields: CustomFields = None

    def faults(self) -> Iterator[Fault]:
        """Days in order, and a discount that makes sense."""
        start, end = self.transactionStartDate, self.transactionEndDate
        if start and end and end < start:
            yield Fault(("transactionEndDate",), f"is {end}, before transactionStartDate {start}")
        if self.inlineDiscountType in {"Percentage", "FixedAmount"} and self.inlineDiscountPerUnit is not None:
            yield from self._discount_faults(self.inlineDiscountPerUnit)

    def _discount_faults(self, off: Amount) -> Iterator[Fault]:
        most = _HUNDRED if self.inlineDiscountType == "Percentage" else self.listPricePerUnit
        if off < 0 or (most is not None and off > most):
            limit = "" if most is None else f" to {most}"
            yield Fault(("inlineDiscountPerUnit",), f"must be 0{limit or ' or more'} for {self.inlineDiscountType}")
        if self.amountPerUnit is not None:
            yield Fault(("amountPerUnit",), "can't be given together with an inline discount, which makes it")


@knows(
    _ACCOUNTING,
    instead={
        "ownerAccountNumber": "ownerAccountId",
        "originalOrderNumber": "originalOrderId",
        "originalOrderLineItemNumber": "originalOrderLineItemId",
    },
    cannot={
        "billing schedules of order lines": "billingSchedule",
        "prepayments and drawdown": "prepaidQuantity prepaidUom drawdownPriority prepaymentUnitType drawdownScope "
        "fundSupportAccountHierarchy validityPeriodType specificValidityPeriodLength numberOfValidityPeriods",
    },
    only=_LINES_ONLY,
)
class OrderLine(_Line):
    """Something that an order sells once, or takes back."""

    itemNumber: Name100 | None = None
    itemCategory: Annotated[Literal["Sales", "Return"], null_is("Sales")] = "Sales"
    currency: Currency | None = None
    productRatePlanChargeId: Name | None = None
    transactionDate: Day | None = None
    originalOrderNumber: Name100 | None = None
    originalOrderLineItemNumber: Name100 | None = None
    uniqueToken: Name50 | None = None

    def faults(self) -> Iterator[Fault]:
        """A price, a date to be billed on, and the sale that a return belongs to."""
        yield from super().faults()
        yield from self._price_faults()
        if self.itemState == "SentToBilling" and self.billTargetDate is None:
            yield missing("billTargetDate", "when itemState is SentToBilling")
        if self.itemCategory == "Return":
            for origin in ("originalOrderNumber", "originalOrderLineItemNumber"):
                if not self.has(origin):
                    yield missing(origin, "when itemCategory is Return")

    def _price_faults(self) -> Iterator[Fault]:
        """A missing price would bill nothing, and nobody would notice."""
        catalog = self.productRatePlanChargeId is not None
        kind, off = self.inlineDiscountType, self.inlineDiscountPerUnit
        if kind in {None, "None"}:
            if off is not None:
                yield missing("inlineDiscountType", "with inlineDiscountPerUnit")
            if self.amountPerUnit is None and self.listPricePerUnit is None and not catalog:
                yield missing("amountPerUnit", "unless listPricePerUnit or productRatePlanChargeId is given")
            return
        if off is None:
            yield missing("inlineDiscountPerUnit", f"when inlineDiscountType is {kind}")
        if self.listPricePerUnit is None and not catalog:
            yield missing("listPricePerUnit", f"when inlineDiscountType is {kind}")


@knows(_ACCOUNTING, cannot={"billing schedules of order lines": "billingSchedule"}, only=_LINES_ONLY)
class OrderLineUpdate(_Line):
    """Other values for an order line. Only what was given changes."""

    id: Name


class UpdateOrderLines(Ruled):
    """Other values for many order lines at once, and perhaps their bills."""

    orderLineItems: Annotated[tuple[OrderLineUpdate, ...], Field(min_length=1, max_length=_MOST_LINES)]
    processingOptions: ProcessingOptions | None = None

    def faults(self) -> Iterator[Fault]:
        """Each line is changed once."""
        yield from doubles([line.id for line in self.orderLineItems], lambda n: ("orderLineItems", n, "id"))


@knows("quote notes", cannot={"ramps": "ramp"})
class OrderSubscription(Ruled):
    """A subscription that an order makes or changes, and what it does to it."""

    subscriptionNumber: NewOrExisting = None
    orderActions: Annotated[tuple[OrderAction, ...], Field(min_length=1, max_length=_MOST_ACTIONS)]
    customFields: CustomFields = None
    clearingCustomFields: Many[Annotated[str, name(255, CUSTOM)]] = ()

    def faults(self) -> Iterator[Fault]:
        """It is made first or there already, and has one number."""
        first = self.orderActions[0].createSubscription
        for n, action in enumerate(self.orderActions[1:], 1):
            if action.type == "CreateSubscription":
                yield Fault(("orderActions", n, "type"), "can be CreateSubscription only in the first action")
        if first is None and self.subscriptionNumber is None:
            yield missing("subscriptionNumber", "unless the first action is CreateSubscription")
        if first is not None:
            yield from self._number_faults(first)

    def _number_faults(self, new: CreateSubscription) -> Iterator[Fault]:
        given = {self.subscriptionNumber, new.subscriptionNumber} - {None}
        if len(given) > 1:
            said = f"must equal createSubscription.subscriptionNumber {new.subscriptionNumber!r}"
            yield Fault(("subscriptionNumber",), said)


@knows("reasonCode externallyManagedBy")
class _Order(Keyed):
    """What an order and its preview have in common."""

    orderDate: Day
    orderNumber: Annotated[str, name(100, ORDER_NUMBER)] | None = None
    category: Annotated[Category, null_is("NewSales")] = "NewSales"
    description: Text500 | None = None
    existingAccountNumber: Name70 | None = None
    newAccount: NewAccount | None = None
    subscriptions: Annotated[Many[OrderSubscription], Field(max_length=_MOST_SUBSCRIPTIONS)] = ()
    orderLineItems: Annotated[Many[OrderLine], Field(max_length=_MOST_LINES)] = ()
    processingOptions: ProcessingOptions | None = None
    customFields: CustomFields = None

    ACCOUNTS: ClassVar[Sequence[str]] = ("existingAccountNumber", "newAccount")
    """The fields of which one says whose order it is."""

    def faults(self) -> Iterator[Fault]:
        """One account, and lines that fit the order and each other."""
        given = [name for name in self.ACCOUNTS if self.has(name)]
        if not given:
            yield missing(self.ACCOUNTS[0], f"unless {' or '.join(self.ACCOUNTS[1:])} is given")
        for field in given[1:]:
            yield Fault((field,), f"can't be given together with {given[0]}")
        if not self.subscriptions and not self.orderLineItems:
            yield missing("subscriptions", "unless orderLineItems is given")
        yield from self._line_faults()

    def _line_faults(self) -> Iterator[Fault]:
        numbers = [line.itemNumber for line in self.orderLineItems]
        yield from doubles(numbers, lambda n: ("orderLineItems", n, "itemNumber"))
        numbered = any(numbers)
        returns = self.category == "Return"
        for n, line in enumerate(self.orderLineItems):
            if numbered and line.itemNumber is None:
                yield Fault(("orderLineItems", n, "itemNumber"), "is required when another line has one", "missing")
            if (line.itemCategory == "Return") != returns:
                said = f"can't be {line.itemCategory} in an order of category {self.category}"
                yield Fault(("orderLineItems", n, "itemCategory"), said)


_KNOWS_ORDER: Final = knows(
    instead={"existingAccountNumber": "existingAccountId"},
    cannot={"orders at a later date": "schedulingOptions", "commitments": "commitments"},
    only={"orders that are not completed at once": ("status", "Completed")},
)


@_KNOWS_ORDER
class CreateOrder(_Order):
    """An order."""


@knows("skipTax validateScheduledOrders")
class PreviewOptions(Ruled):
    """Up to when a preview bills."""

    previewThruType: Literal["SpecificDate", "TermEnd", "NumberOfPeriods"]
    specificPreviewThruDate: Day | None = None
    previewNumberOfPeriods: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    previewTypes: Many[Literal["BillingDocs"]] = ()
    documentDate: Day | None = None
    chargeTypeToExclude: Many[ChargeType] = ()

    NEEDS: ClassVar = {"SpecificDate": ("specificPreviewThruDate",), "NumberOfPeriods": ("previewNumberOfPeriods",)}

    def faults(self) -> Iterator[Fault]:
        """Each type has a field of its own."""
        yield from by_choice(self, "previewThruType", self.NEEDS)


@knows("soldToContact shipToContact taxInfo")
class PreviewAccountInfo(Model):
    """What has to be known of a customer who is none yet."""

    billCycleDay: CycleDay
    currency: Currency
    customFields: CustomFields = None


@_KNOWS_ORDER
class PreviewOrder(_Order):
    """An order whose bills are asked for before it is made."""

    previewOptions: PreviewOptions | None = None
    previewAccountInfo: PreviewAccountInfo | None = None

    ACCOUNTS: ClassVar[Sequence[str]] = ("existingAccountNumber", "newAccount", "previewAccountInfo")

    def faults(self) -> Iterator[Fault]:
        """It says up to when it bills, or is billed as the order itself would be."""
        yield from super().faults()
        if self.previewOptions is None and self.processingOptions is None:
            yield missing("previewOptions", "unless processingOptions is given")
        elif self.previewOptions is not None and self.processingOptions is not None:
            yield Fault(("previewOptions",), "can't be given together with processingOptions")
