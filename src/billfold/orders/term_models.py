"""Terms and billing attributes of subscriptions, as several order actions give them."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from billfold.orders.fields import (
    Day,
    Fault,
    Flag,
    GroupNumber,
    Length,
    Model,
    Name,
    Name100,
    OneOrMany,
    Ruled,
    exclusive,
    knows,
    missing,
    null_is,
)

TermPeriod = Literal["Day", "Week", "Month", "Year"]
RenewalSetting = Literal["RENEW_WITH_SPECIFIC_TERM", "RENEW_TO_EVERGREEN"]


class _Term(Ruled):
    period: Length | None = None
    periodType: TermPeriod | None = None
    startDate: Day | None = None
    endDate: Day | None = None

    def faults(self) -> Iterator[Fault]:
        """A term has a length or an end; one without an end has neither."""
        kind = getattr(self, "termType", None)
        if kind == "EVERGREEN":
            for name in ("period", "periodType", "endDate"):
                if self.has(name):
                    yield Fault((name,), "is only for termType TERMED")
            return
        yield from exclusive(self, "period", "endDate")
        if self.period and not self.periodType:
            yield missing("periodType", "with period")
        elif self.periodType and not self.period:
            yield missing("period", "with periodType")
        elif kind == "TERMED" and not (self.period or self.endDate):
            yield missing("period", "when termType is TERMED, with periodType, unless endDate is given")
        if self.startDate and self.endDate and self.endDate <= self.startDate:
            yield Fault(("endDate",), f"must be after startDate {self.startDate}")


class InitialTerm(_Term):
    """The first term of a subscription."""

    termType: Annotated[Literal["TERMED", "EVERGREEN"], null_is("TERMED")] = "TERMED"


class LastTerm(_Term):
    """The present term of a subscription, changed."""

    termType: Literal["TERMED", "EVERGREEN"] | None = None


class RenewalTerm(Model):
    """How long a renewal lasts."""

    period: Length
    periodType: TermPeriod


class Terms(Model):
    """The terms of a new subscription."""

    autoRenew: Flag | None = None
    initialTerm: InitialTerm
    renewalSetting: RenewalSetting | None = None
    renewalTerms: OneOrMany[RenewalTerm] = ()


@knows(
    "address1 address2 city contactDescription country county fax homePhone mobilePhone nickname otherPhone "
    "otherPhoneType personalEmail postalCode state taxRegion workEmail workPhone"
)
class Contact(Model):
    """A contact that is given with the order; bills know it by its name."""

    firstName: Name100
    lastName: Name100

    @property
    def label(self) -> str:
        """What bills call it."""
        return f"{self.firstName} {self.lastName}"


class Attributes(Ruled):
    """What decides, besides the account, which document a subscription's charges come onto."""

    billToContactId: Name | None = None
    billToContact: Contact | None = None
    soldToContactId: Name | None = None
    soldToContact: Contact | None = None
    paymentTerm: Name100 | None = None
    invoiceTemplateId: Name | None = None
    sequenceSetId: Name | None = None
    communicationProfileId: Name | None = None
    invoiceGroupNumber: GroupNumber | None = None

    def faults(self) -> Iterator[Fault]:
        """A contact is known by name or made here."""
        yield from exclusive(self, "billToContact", "billToContactId")
        yield from exclusive(self, "soldToContact", "soldToContactId")


class Clearing(Attributes):
    """The same attributes of a subscription that has some already."""

    clearingExistingBillToContact: Flag | None = None
    clearingExistingSoldToContact: Flag | None = None
    clearingExistingPaymentTerm: Flag | None = None
    clearingExistingInvoiceTemplate: Flag | None = None
    clearingExistingSequenceSet: Flag | None = None
    clearingExistingCommunicationProfile: Flag | None = None
    clearingExistingInvoiceGroupNumber: Flag | None = None

    CLEARED: ClassVar = {
        "clearingExistingBillToContact": ("billToContactId", "billToContact"),
        "clearingExistingSoldToContact": ("soldToContactId", "soldToContact"),
        "clearingExistingPaymentTerm": ("paymentTerm",),
        "clearingExistingInvoiceTemplate": ("invoiceTemplateId",),
        "clearingExistingSequenceSet": ("sequenceSetId",),
        "clearingExistingCommunicationProfile": ("communicationProfileId",),
        "clearingExistingInvoiceGroupNumber": ("invoiceGroupNumber",),
    }
    """What clears an attribute, and the fields that set it."""

    def faults(self) -> Iterator[Fault]:
        """Nothing is cleared and set at once."""
        yield from super().faults()
        for clearing, fields in self.CLEARED.items():
            for name in fields:
                yield from exclusive(self, clearing, name)
