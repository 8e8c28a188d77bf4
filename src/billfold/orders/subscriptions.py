"""Order actions on subscriptions as a whole: create, terms, renew, cancel, transfer, suspend, resume."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from billfold.orders.errors import MISSING, OrderError
from billfold.orders.plans import subscribe
from billfold.orders.register import blank
from billfold.orders.steps import Step, later, start_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.orders.action_models import (
        CancelSubscription,
        CreateSubscription,
        InitialTerm,
        LastTerm,
        OwnerTransfer,
        RenewalTerm,
        RenewSubscription,
        Resume,
        Suspend,
        TermsAndConditions,
    )
    from billfold.orders.register import Register, Row

ATTRIBUTES: Final[Mapping[str, tuple[str, str]]] = {
    "bill_to_contact": ("billToContactId", "clearingExistingBillToContact"),
    "sold_to_contact": ("soldToContactId", "clearingExistingSoldToContact"),
    "payment_term": ("paymentTerm", "clearingExistingPaymentTerm"),
    "invoice_template": ("invoiceTemplateId", "clearingExistingInvoiceTemplate"),
    "sequence_set": ("sequenceSetId", "clearingExistingSequenceSet"),
    "communication_profile": ("communicationProfileId", "clearingExistingCommunicationProfile"),
    "invoice_group_number": ("invoiceGroupNumber", "clearingExistingInvoiceGroupNumber"),
}
"""Columns of subscriptions that decide about documents: the API's fields that set and clear them."""

_CONTACTS: Final = {"bill_to_contact": "billToContact", "sold_to_contact": "soldToContact"}


def create(step: Step, body: CreateSubscription, custom: Mapping[str, Any]) -> None:
    """A new subscription with its charges. The order's account gets the documents, unless another one is named."""
    register, account = step.register, step.order["account_number"]
    owner = body.subscriptionOwnerAccountNumber or account
    payer = body.invoiceOwnerAccountNumber or account
    register.account(owner, step.at("subscriptionOwnerAccountNumber"))
    paying = register.account(payer, step.at("invoiceOwnerAccountNumber"))
    if register["subscriptions"].get(step.subscription):
        raise OrderError(step.at("subscriptionNumber"), f"names {step.subscription!r}, which is in the book already.")
    start = step.effective()
    row = blank("subscriptions") | {
        "subscription_number": step.subscription,
        "account_number": owner,
        "invoice_owner_account_number": None if payer == owner else payer,
        "contract_effective_date": start,
        "service_activation_date": step.dates.activation,
        "customer_acceptance_date": step.dates.acceptance,
        "subscription_start_date": start,
        "invoice_separately": bool(body.invoiceSeparately),
        "auto_renew": bool(body.terms.autoRenew),
        "currency": body.currency or (None if payer == owner else paying["currency"]),
        **term_of(body.terms.initialTerm, start, step.at("terms", "initialTerm")),
        **_renewal(body.terms.renewalSetting, body.terms.renewalTerms),
        **attributes(register, body, step.path),
        **custom,
    }
    register.put("subscriptions", row)
    for place, plan in enumerate(body.ratePlans):
        subscribe(step.below(f"{body.ratePlansField}[{place}]"), plan)


def change_terms(step: Step, body: TermsAndConditions) -> date | None:
    """Other terms or billing attributes from now on."""
    row = step.row()
    changes: dict[str, Any] = attributes(step.register, body, step.path)
    if body.autoRenew is not None:
        changes["auto_renew"] = body.autoRenew
    if body.invoiceSeparately is not None:
        changes["invoice_separately"] = body.invoiceSeparately
    if body.lastTerm:
        start = row["term_start_date"] or row["subscription_start_date"] or row["contract_effective_date"]
        changes |= _last_term(body.lastTerm, row, start, step.at("lastTerm"))
    step.change(**changes, **_renewal(body.renewalSetting, body.renewalTerms))
    return step.dates.contract


def renew(step: Step, body: RenewSubscription | None) -> date:
    """One more term behind the present one, or no end any more, as the subscription's renewal setting says."""
    row = step.row()
    if row["term_type"] == "EVERGREEN" or row["term_end_date"] is None:
        raise OrderError(step.path, f"can't be done: {step.subscription} has no term that could be renewed.")
    changes: dict[str, Any] = attributes(step.register, body, step.path) if body else {}
    if row["renewal_setting"] == "RENEW_TO_EVERGREEN":
        step.change(**changes, term_type="EVERGREEN", term_start_date=row["term_end_date"], term_end_date=None)
        return row["term_end_date"]  # type: ignore[no-any-return]
    if row["renewal_term"] is None:
        said = f"can't be done: {step.subscription} has no renewal term; set renewalTerms by TermsAndConditions first."
        raise OrderError(step.path, said)
    end = later(row["term_end_date"], row["renewal_term"], row["renewal_term_period_type"] or "Month")
    step.change(**changes, term_start_date=row["term_end_date"], term_end_date=end)
    return row["term_end_date"]  # type: ignore[no-any-return]


def cancel(step: Step, body: CancelSubscription) -> date:
    """No service from a day on; what was billed beyond it is credited by the next run."""
    row, path = step.row(), step.at("cancellationEffectiveDate")
    first = row["subscription_start_date"] or row["contract_effective_date"]
    term_end = row["term_end_date"] if row["term_type"] == "TERMED" else None
    by_policy = {"EndOfCurrentTerm": term_end, "EndOfLastInvoicePeriod": _billed_through(step) or first}
    day: date | None = by_policy.get(body.cancellationPolicy, body.cancellationEffectiveDate)
    if day is None:
        raise OrderError(step.at("cancellationPolicy"), f"tells no day: {step.subscription} has none of that kind.")
    if first and day < first:
        raise OrderError(path, f"is {day}, before the subscription {step.subscription} begins on {first}.")
    if term_end and day > term_end:
        raise OrderError(path, f"is {day}, after the term of {step.subscription} ends on {term_end}.")
    step.change(status="Cancelled", cancelled_date=day, auto_renew=False)
    return day


def transfer(step: Step, body: OwnerTransfer) -> date | None:
    """Another account owns the subscription, or gets its documents, from the next run on."""
    row, register = step.row(), step.register
    owner = body.destinationAccountNumber or row["account_number"]
    payer = body.destinationInvoiceAccountNumber or row["invoice_owner_account_number"] or row["account_number"]
    register.account(owner, step.at("destinationAccountNumber"))
    register.account(payer, step.at("destinationInvoiceAccountNumber"))
    before = register.account(row["invoice_owner_account_number"] or row["account_number"], step.path)
    step.change(
        account_number=owner,
        invoice_owner_account_number=None if payer == owner else payer,
        currency=row["currency"] or before["currency"],
        **attributes(register, body, step.path),
    )
    return step.dates.contract


def suspend(step: Step, body: Suspend) -> date:
    """Charges rest from a day on. What they would have served is kept with the subscription until it resumes."""
    row = step.row()
    day = _suspended_on(step, body, row)
    step.within(day, step.at("suspendSpecificDate"))
    rested = []
    for charge in step.register.charges_of(step.subscription):
        start, end = start_of(charge, row), charge["effective_end_date"]
        if start is None or (end is not None and end <= max(day, start)):
            continue
        through = step.billed_through(charge)
        if charge["charge_type"] == "OneTime" and (through or start < day):
            continue
        if charge["charge_type"] == "Usage" and through and day < through:
            said = f"is {day}, but the usage of {charge['charge_number']} is billed up to {through}."
            raise OrderError(step.at("suspendSpecificDate"), said)
        rested.append([charge["charge_number"], charge["segment"], str(start), end and str(end)])
        step.register.put("rate_plan_charges", charge | {"effective_end_date": max(day, start)})
    step.change(status="Suspended", suspension=json.dumps({"date": str(day), "charges": rested}, separators=(",", ":")))
    return day


def resume(step: Step, body: Resume) -> date:
    """Charges go on from a day, each in a new segment, as they were before the suspension."""
    row = step.row()
    if not row["suspension"]:
        raise OrderError(step.path, f"can't be done: no order has suspended {step.subscription}.")
    rest = json.loads(row["suspension"])
    suspended = date.fromisoformat(rest["date"])
    day = _resumed_on(step, body, suspended)
    if day < suspended:
        raise OrderError(step.at("resumeSpecificDate"), f"is {day}, before the suspension on {suspended}.")
    if row["term_type"] == "TERMED" and row["term_end_date"] and day >= row["term_end_date"] and not body.extendsTerm:
        said = f"is {day}, but the term ends on {row['term_end_date']}: extend it by extendsTerm, or renew it first."
        raise OrderError(step.at("resumeSpecificDate"), said)
    by_name = {(c["charge_number"], c["segment"]): c for c in step.register.charges_of(step.subscription)}
    following = dict(sorted(by_name))
    for number, segment, start, end in rest["charges"]:
        first, last = max(day, date.fromisoformat(start)), end and date.fromisoformat(end)
        if last is not None and last <= first:
            continue
        following[number] += 1
        spans = {"segment": following[number], "effective_start_date": first, "effective_end_date": last}
        step.register.add_charge(by_name[number, segment] | spans | {"charged_through_date": None})
    end = row["term_end_date"]
    if body.extendsTerm and row["term_type"] == "TERMED" and end:
        end += day - suspended
    step.change(status="Active", suspension=None, term_end_date=end)
    return day


def attributes(register: Register, body: Any, path: str) -> dict[str, Any]:  # noqa: ANN401 - any body that has them
    """Billing attributes that an action sets, or clears, so that the account's count again."""
    changes: dict[str, Any] = {}
    said = vars(body)
    for column, (sets, clears) in ATTRIBUTES.items():
        contact = said.get(_CONTACTS[column]) if column in _CONTACTS else None
        value = said.get(sets) or (contact and contact.label)
        if value is not None or said.get(clears):
            changes[column] = value
    known_set(register, changes.get("sequence_set"), f"{path}.sequenceSetId")
    return changes


def known_set(register: Register, name: str | None, path: str) -> None:
    """Where a book names its sequence sets, no other is used."""
    if name and register.sequence_sets and name not in register.sequence_sets | {"DEFAULT"}:
        raise OrderError(path, f"names the sequence set {name!r}, which is not in the book.", "40")


def term_of(term: InitialTerm | LastTerm, start: date, path: str) -> Row:
    """The columns of a term."""
    if term.termType == "EVERGREEN":
        return {"term_type": "EVERGREEN", "term_start_date": term.startDate or start, "term_end_date": None}
    first = term.startDate or start
    if term.endDate:
        end = term.endDate
    elif term.period and term.periodType:
        end = later(first, term.period, term.periodType)
    else:
        raise OrderError(path, "needs period and periodType, or endDate.", MISSING)
    if end <= first:
        raise OrderError(path, f"ends on {end}, which is not after its start on {first}.")
    return {"term_type": "TERMED", "term_start_date": first, "term_end_date": end}


def _last_term(term: LastTerm, row: Row, start: date, path: str) -> Row:
    """The present term, changed."""
    if term.termType is None and not (term.period or term.endDate):
        if term.startDate and row["term_end_date"] and term.startDate >= row["term_end_date"]:
            raise OrderError(f"{path}.startDate", f"is {term.startDate}, but the term ends on {row['term_end_date']}.")
        return {"term_start_date": term.startDate or row["term_start_date"]}
    return term_of(term, start, path)


def _renewal(setting: str | None, terms: tuple[RenewalTerm, ...] | None) -> dict[str, Any]:
    """What the next renewal does; of several renewal terms, the first."""
    changes: dict[str, Any] = {} if setting is None else {"renewal_setting": setting}
    if terms:
        changes |= {"renewal_term": terms[0].period, "renewal_term_period_type": terms[0].periodType or "Month"}
    return changes


def _billed_through(step: Step) -> date | None:
    """The day, exclusive, up to which anything of the subscription was billed."""
    charges = (c for c in step.register.charges_of(step.subscription) if c["charge_type"] != "OneTime")
    return max((day for day in map(step.billed_through, charges) if day), default=None)


def _suspended_on(step: Step, body: Suspend, row: Row) -> date:
    day: date | None
    match body.suspendPolicy:
        case "Today":
            return step.today
        case "FixedPeriodsFromToday":
            return later(step.today, body.suspendPeriods or 0, body.suspendPeriodsType or "Month")
        case "EndOfLastInvoicePeriod":
            day = _billed_through(step) or row["subscription_start_date"] or row["contract_effective_date"]
        case _:
            day = body.suspendSpecificDate
    if day is None:
        raise OrderError(step.at("suspendPolicy"), "tells no day.", MISSING)
    return day


def _resumed_on(step: Step, body: Resume, suspended: date) -> date:
    match body.resumePolicy:
        case "Today":
            return step.today
        case "SuspendDate":
            return suspended
        case "FixedPeriodsFromSuspendDate":
            return later(suspended, body.resumePeriods or 0, body.resumePeriodsType or "Month")
        case "FixedPeriodsFromToday":
            return later(step.today, body.resumePeriods or 0, body.resumePeriodsType or "Month")
        case _:
            return body.resumeSpecificDate or suspended
