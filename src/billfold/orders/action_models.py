"""Order actions as the API takes them: what happens to a subscription and its rate plans."""

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, Final, Literal, get_args

from billfold.orders.charge_models import (
    Billing,
    BillingUpdate,
    ChargeOverride,
    ChargeRemoval,
    ChargeUpdate,
    EndConditions,
    Pricing,
    TriggerParams,
)
from billfold.orders.fields import (
    Currency,
    CustomFields,
    Day,
    Fault,
    Flag,
    Length,
    Many,
    Model,
    Name,
    Name50,
    Name70,
    NewOrExisting,
    OneOrMany,
    Ruled,
    Text,
    by_choice,
    doubles,
    exclusive,
    knows,
    missing,
)
from billfold.orders.term_models import (
    Attributes,
    Clearing,
    Contact,
    InitialTerm,
    LastTerm,
    RenewalSetting,
    RenewalTerm,
    TermPeriod,
    Terms,
)

__all__ = [
    "Billing", "BillingUpdate", "CancelSubscription", "ChargeOverride", "ChargeRemoval", "ChargeUpdate", "Contact",
    "CreateSubscription", "EndConditions", "InitialTerm", "LastTerm", "OrderAction", "OwnerTransfer", "Pricing",
    "RatePlan", "RemoveProduct", "RenewSubscription", "RenewalTerm", "Resume", "Suspend", "Terms",
    "TermsAndConditions", "TriggerDate", "TriggerParams", "UpdateProduct",
]  # fmt: skip

_CATALOG_PLAN: Final = "productRatePlanNumber externalCatalogPlanId isFromExternalCatalog"
_CATALOG: Final = {"productRatePlanId": _CATALOG_PLAN}


class TriggerDate(Model):
    """When one of the three events of an action happens."""

    name: Literal["ContractEffective", "ServiceActivation", "CustomerAcceptance"]
    triggerDate: Day | None = None


@knows(
    "externallyManagedPlanId ratePlanName",
    instead=_CATALOG,
    cannot={
        "features of products": "subscriptionProductFeatures clearingExistingFeatures",
        "bundles of rate plans": "ratePlanOverrides",
    },
)
class RatePlan(Model):
    """A rate plan of the catalog that a subscription gets."""

    productRatePlanId: Name
    subscriptionRatePlanNumber: Name50 | None = None
    uniqueToken: Name50 | None = None
    isAddingSubsetCharges: Flag | None = None
    chargeOverrides: Many[ChargeOverride] = ()
    customFields: CustomFields = None


@knows(
    "notes shipToContactId shipToContact",
    cannot={"accounts that are made with a subscription (use newAccount)": "newSubscriptionOwnerAccount"},
    instead={
        "subscriptionOwnerAccountNumber": "subscriptionOwnerAccountId",
        "invoiceOwnerAccountNumber": "invoiceOwnerAccountId",
    },
)
class CreateSubscription(Attributes):
    """A new subscription."""

    subscriptionNumber: NewOrExisting = None
    subscriptionOwnerAccountNumber: Name70 | None = None
    invoiceOwnerAccountNumber: Name70 | None = None
    currency: Currency | None = None
    invoiceSeparately: Flag | None = None
    terms: Terms
    subscribeToRatePlans: Many[RatePlan] = ()
    subscribeToProducts: Many[RatePlan] = ()
    uniqueToken: Name50 | None = None

    @property
    def ratePlans(self) -> tuple[RatePlan, ...]:  # noqa: N802 - spelled like the fields
        """Its rate plans, under whichever name they were given."""
        return self.subscribeToRatePlans or self.subscribeToProducts

    @property
    def ratePlansField(self) -> str:  # noqa: N802 - spelled like the fields
        """The name under which they were given."""
        return "subscribeToRatePlans" if self.subscribeToRatePlans else "subscribeToProducts"

    def faults(self) -> Iterator[Fault]:
        """Rate plans have two names, for one of which there are others."""
        yield from super().faults()
        yield from exclusive(self, "subscribeToRatePlans", "subscribeToProducts")


@knows(
    instead={"ratePlanId": _CATALOG_PLAN},
    cannot={
        "features of products": "subscriptionProductFeatures clearingExistingFeatures",
        "new charges in a rate plan that a subscription has (use addProduct)": "chargeOverrides isAddingSubsetCharges",
        "clearing of custom fields (give them null)": "clearingCustomFields",
    },
)
class UpdateProduct(Model):
    """Changes of a rate plan that a subscription has. Its `ratePlanId` is its number."""

    ratePlanId: Name | None = None
    subscriptionRatePlanNumber: Name | None = None
    uniqueToken: Name50 | None = None
    specificUpdateDate: Day | None = None
    chargeUpdates: Many[ChargeUpdate] = ()
    chargeRemovals: Many[ChargeRemoval] = ()
    customFields: CustomFields = None


@knows("chargeUpdates", instead={"productRatePlanId": _CATALOG_PLAN})
class RemoveProduct(Ruled):
    """A rate plan that a subscription no longer has. Its `ratePlanId` is its number."""

    ratePlanId: Name | None = None
    productRatePlanId: Name | None = None
    subscriptionRatePlanNumber: Name | None = None
    uniqueToken: Name50 | None = None
    customFields: CustomFields = None

    def faults(self) -> Iterator[Fault]:
        """It has to say which rate plan."""
        if not (self.ratePlanId or self.productRatePlanId or self.subscriptionRatePlanNumber or self.uniqueToken):
            yield missing("ratePlanId", "unless subscriptionRatePlanNumber, productRatePlanId or uniqueToken is given")


@knows("shipToContactId shipToContact clearingExistingShipToContact")
class RenewSubscription(Clearing):
    """One more term."""


class CancelSubscription(Ruled):
    """The end of a subscription."""

    cancellationPolicy: Literal["SpecificDate", "EndOfCurrentTerm", "EndOfLastInvoicePeriod"]
    cancellationEffectiveDate: Day | None = None

    def faults(self) -> Iterator[Fault]:
        """A specific date is given."""
        yield from by_choice(self, "cancellationPolicy", {"SpecificDate": ("cancellationEffectiveDate",)})


@knows(
    "shipToContactId shipToContact clearingExistingShipToContact paymentProfile",
    instead={
        "destinationAccountNumber": "destinationAccountId",
        "destinationInvoiceAccountNumber": "destinationInvoiceAccountId",
    },
)
class OwnerTransfer(Clearing):
    """Another owner of a subscription, or another account that gets its documents."""

    destinationAccountNumber: Name70 | None = None
    destinationInvoiceAccountNumber: Name70 | None = None

    def faults(self) -> Iterator[Fault]:
        """It has to say to whom."""
        yield from super().faults()
        if not (self.destinationAccountNumber or self.destinationInvoiceAccountNumber):
            yield missing("destinationAccountNumber", "unless destinationInvoiceAccountNumber is given")


class Suspend(Ruled):
    """The beginning of a rest."""

    suspendPolicy: Literal["Today", "EndOfLastInvoicePeriod", "FixedPeriodsFromToday", "SpecificDate"]
    suspendPeriods: Length | None = None
    suspendPeriodsType: TermPeriod | None = None
    suspendSpecificDate: Day | None = None

    NEEDS: ClassVar = {
        "FixedPeriodsFromToday": ("suspendPeriods", "suspendPeriodsType"),
        "SpecificDate": ("suspendSpecificDate",),
    }

    def faults(self) -> Iterator[Fault]:
        """Each policy has fields of its own."""
        yield from by_choice(self, "suspendPolicy", self.NEEDS)


class Resume(Ruled):
    """The end of a rest."""

    resumePolicy: Literal[
        "Today", "FixedPeriodsFromSuspendDate", "FixedPeriodsFromToday", "SpecificDate", "SuspendDate"
    ]
    resumePeriods: Length | None = None
    resumePeriodsType: TermPeriod | None = None
    resumeSpecificDate: Day | None = None
    extendsTerm: Flag | None = None

    NEEDS: ClassVar = {
        "FixedPeriodsFromSuspendDate": ("resumePeriods", "resumePeriodsType"),
        "FixedPeriodsFromToday": ("resumePeriods", "resumePeriodsType"),
        "SpecificDate": ("resumeSpecificDate",),
    }

    def faults(self) -> Iterator[Fault]:
        """Each policy has fields of its own."""
        yield from by_choice(self, "resumePolicy", self.NEEDS)


@knows(
    "shipToContactId shipToContact clearingExistingShipToContact termIncreaseToNewContractLine",
    cannot={
        "scheduled cancellations, suspensions and resumptions": "scheduledCancelDate scheduledSuspendDate "
        "scheduledResumeDate clearingScheduledCancelDate clearingScheduledSuspendDate clearingScheduledResumeDate",
    },
)
class TermsAndConditions(Clearing):
    """Other terms or billing attributes."""

    autoRenew: Flag | None = None
    invoiceSeparately: Flag | None = None
    lastTerm: LastTerm | None = None
    renewalSetting: RenewalSetting | None = None
    renewalTerms: OneOrMany[RenewalTerm] = ()


ActionType = Literal[
    "CreateSubscription", "TermsAndConditions", "AddProduct", "UpdateProduct", "RemoveProduct", "RenewSubscription",
    "CancelSubscription", "OwnerTransfer", "Suspend", "Resume",
]  # fmt: skip
_BODIES: Final = {kind: kind[0].lower() + kind[1:] for kind in get_args(ActionType)}
"""The fields with the bodies of actions, by type."""

_EVENTS: Final = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")


@knows(cannot={"changes of plan (use removeProduct and addProduct)": "changePlan"})
class OrderAction(Ruled):
    """One action on a subscription: its type, the body of that type, and when it takes effect."""

    type: ActionType
    triggerDates: Many[TriggerDate] = ()
    changeReason: Text | None = None
    customFields: CustomFields = None
    createSubscription: CreateSubscription | None = None
    termsAndConditions: TermsAndConditions | None = None
    addProduct: RatePlan | None = None
    updateProduct: UpdateProduct | None = None
    removeProduct: RemoveProduct | None = None
    renewSubscription: RenewSubscription | None = None
    cancelSubscription: CancelSubscription | None = None
    ownerTransfer: OwnerTransfer | None = None
    suspend: Suspend | None = None
    resume: Resume | None = None

    def faults(self) -> Iterator[Fault]:
        """It has the body that its type says, and its events happen in order."""
        own = _BODIES[self.type]
        given = [body for body in _BODIES.values() if getattr(self, body) is not None]
        if own not in given and own != "renewSubscription":
            yield missing(own, f"when type is {self.type}")
        for body in given:
            if body != own:
                yield Fault((body,), f"can't be given when type is {self.type}")
        yield from doubles([t.name for t in self.triggerDates], lambda n: ("triggerDates", n, "name"))
        yield from self._disorder()

    def _disorder(self) -> Iterator[Fault]:
        """Unused dates default to the earlier one, so that only the given ones are compared."""
        when = {t.name: (n, t.triggerDate) for n, t in enumerate(self.triggerDates) if t.triggerDate}
        given = [(event, *when[event]) for event in _EVENTS if event in when]
        for (earlier, _, first), (_, n, second) in pairwise(given):
            if second < first:
                yield Fault(("triggerDates", n, "triggerDate"), f"is {second}, before {earlier} on {first}")
