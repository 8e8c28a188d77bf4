"""Order actions on rate plans: charges come from the catalog, change in new segments, and end."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from billfold.contracts.base import columns
from billfold.contracts.sales import Priced
from billfold.orders.errors import MISSING, OrderError, not_found
from billfold.orders.register import blank
from billfold.orders.steps import Step, later, start_of
from billfold.periods import MONTHS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.orders.action_models import (
        ChargeOverride,
        ChargeUpdate,
        EndConditions,
        Pricing,
        RatePlan,
        RemoveProduct,
        TriggerParams,
        UpdateProduct,
    )
    from billfold.orders.register import Row

_PRICED: Final = tuple(columns(Priced))
_PERIODS: Final = {"Days": "Day", "Weeks": "Week", "Months": "Month", "Years": "Year"}


def subscribe(step: Step, plan: RatePlan) -> None:
    """All charges of a rate plan of the catalog, or only the overridden ones if that is asked for."""
    catalog = step.register.rate_plans.get(plan.productRatePlanId or "", [])
    if not catalog:
        raise not_found(step.at("productRatePlanId"), "rate plan", str(plan.productRatePlanId))
    overrides = _overrides(step, plan)
    for stranger in overrides.keys() - {c["product_rate_plan_charge_id"] for c in catalog}:
        path = step.at(f"chargeOverrides[{overrides[stranger][0]}]", "productRatePlanChargeId")
        raise OrderError(path, f"names {stranger!r}, which is no charge of the rate plan {plan.productRatePlanId!r}.")
    number = plan.subscriptionRatePlanNumber or step.register.numbers.new("rate_plan")
    if step.register.knows_rate_plan(number):
        raise OrderError(step.at("subscriptionRatePlanNumber"), f"names {number!r}, which is in the book already.")
    step.register.rate_plan_numbers.put(number, True)  # noqa: FBT003 - a value by key
    if plan.uniqueToken:
        step.tokens["rate plan", plan.uniqueToken] = number
    for charge in catalog:
        place, override = overrides.get(charge["product_rate_plan_charge_id"], (0, None))
        if override or not plan.isAddingSubsetCharges:
            own = {"rate_plan_number": number, **(plan.customFields or {})}
            _add(step.below(f"chargeOverrides[{place}]") if override else step, charge, override, own)


def _overrides(step: Step, plan: RatePlan) -> dict[str, tuple[int, ChargeOverride]]:
    """What is overridden, by catalog charge, each once."""
    found: dict[str, tuple[int, ChargeOverride]] = {}
    for place, override in enumerate(plan.chargeOverrides or ()):
        if override.productRatePlanChargeId in found:
            path = step.at(f"chargeOverrides[{place}]", "productRatePlanChargeId")
            raise OrderError(path, f"comes twice: {override.productRatePlanChargeId!r} was overridden before.")
        found[override.productRatePlanChargeId] = place, override
    return found


def _add(step: Step, catalog: Row, override: ChargeOverride | None, own: Row) -> None:
    """One charge of a subscription, as the catalog has it and the order overrides it."""
    row = blank("rate_plan_charges") | {c: catalog[c] for c in _PRICED} | own
    row["product_rate_plan_charge_id"] = catalog["product_rate_plan_charge_id"]
    row["rate_plan_name"] = catalog["rate_plan_name"]
    row["subscription_number"] = step.subscription
    row["charge_number"] = _number(step, override)
    if override:
        row |= _priced(step.below("pricing"), row, override.pricing)
        row |= override.billing.given() if override.billing else {}
        row |= override.customFields or {}
    row["effective_start_date"] = start = _begins(step, row, override.startDate if override else None)
    if override and override.endDate:
        row["effective_end_date"] = _ends(step.below("endDate"), override.endDate, row, start)
    step.register.add_charge(row)


def _number(step: Step, override: ChargeOverride | None) -> str:
    number = (override.chargeNumber if override else None) or step.register.numbers.new("charge")
    if step.register.knows_charge(number):
        raise OrderError(step.at("chargeNumber"), f"names {number!r}, which is in the book already.")
    if override and override.uniqueToken:
        step.tokens["charge", override.uniqueToken] = number
    return number


def _priced(step: Step, row: Row, pricing: Pricing | None) -> Row:
    """What an order says of a charge's price, if it is said of a charge of that type and model."""
    given = pricing.given() if pricing else None
    if given is None:
        return {}
    charge_type, model, changes = given
    if (charge_type or row["charge_type"], model) != (row["charge_type"], row["charge_model"]):
        has = f"{row['charge_name'] or row['charge_number']} is a {row['charge_type']} {row['charge_model']}"
        raise OrderError(step.path, f"prices a {charge_type} {model} charge, but {has} charge.")
    return changes


def _begins(step: Step, row: Row, trigger: TriggerParams | None) -> date | None:
    """The first day of a new charge: on a date of its own, or when its event happens."""
    if trigger and trigger.triggerEvent:
        row["trigger_event"] = trigger.triggerEvent
    if row["trigger_event"] != "SpecificDate":
        return step.dates.at(row["trigger_event"])
    if trigger is None or trigger.specificTriggerDate is None:
        said = "is needed, since the charge starts on a date of its own."
        raise OrderError(step.at("startDate", "specificTriggerDate"), said, MISSING)
    return trigger.specificTriggerDate


def _ends(step: Step, end: EndConditions, row: Row, start: date | None) -> date | None:
    """The day, exclusive, on which a charge ends by itself (spec/bill_run.md C7)."""
    match end.endDateCondition:
        case "Specific_End_Date":
            day = end.specificEndDate
        case "Fixed_Period":
            if start is None:
                raise OrderError(step.path, "can't be counted, since the charge has no start yet.")
            day = later(start, *_length(end, row, step))
        case _:
            return None
    if day is not None and start is not None and day < start:
        raise OrderError(step.path, f"is {day}, before the charge starts on {start}.")
    return day


def _length(end: EndConditions, row: Row, step: Step) -> tuple[int, str]:
    """A fixed period as a number of months, weeks or days."""
    count, kind = end.upToPeriods or 0, end.upToPeriodsType or "Billing_Periods"
    if kind != "Billing_Periods":
        return count, _PERIODS[kind]
    length = _in_periods(count, row["billing_period"], row["specific_billing_period"] or 0)
    if length is None:
        said = f"can't be counted in billing periods of a charge whose period is {row['billing_period']}."
        raise OrderError(step.path, said)
    return length


def _in_periods(count: int, period: str | None, specific: int) -> tuple[int, str] | None:
    """Billing periods as a number of months or days; None where they have no such length."""
    if period in MONTHS or period == "Specific_Months":
        return count * MONTHS.get(period, specific), "Month"
    days = {"Week": 7, "Specific_Weeks": 7 * specific, "Specific_Days": specific}.get(period or "")
    return None if days is None else (count * days, "Day")


def whole_periods(charges: Sequence[Row], count: int) -> set[date]:
    """The target dates that bill some periods of each recurring charge, counted from its start."""
    found = set()
    for charge in charges:
        start, period = charge["effective_start_date"], charge["billing_period"]
        if charge["charge_type"] == "Recurring" and start and period:
            length = _in_periods(count, period, charge["specific_billing_period"] or 0)
            end = later(start, *length) if length else date.max
            found.add(end if charge["billing_timing"] == "IN_ARREARS" else end - timedelta(days=1))
    return found


def update(step: Step, body: UpdateProduct) -> date | None:
    """Charges of a rate plan change from a day on: each gets a new segment, so that rating sees both."""
    if body.customFields:
        _label(step, _of_plan(step, body), body.customFields)
    for place, change in enumerate(body.chargeUpdates or ()):
        _update(step.below(f"chargeUpdates[{place}]"), body, change)
    for place, removal in enumerate(body.chargeRemovals or ()):
        at = step.below(f"chargeRemovals[{place}]")
        number = removal.chargeNumber or step.tokens.get(("charge", removal.uniqueToken or ""))
        _end(at, _of_charge(at, body, number, None), at.within(step.effective(), at.path))
    return body.specificUpdateDate or step.dates.contract


def _label(step: Step, segments: Sequence[Row], custom: Row) -> None:
    """Custom fields of a rate plan are kept on its charges: on the last segment of each."""
    last = {row["charge_number"]: row for row in segments}
    for row in last.values():
        step.register.put("rate_plan_charges", row | custom)


def _update(step: Step, body: UpdateProduct, change: ChargeUpdate) -> None:
    number = change.chargeNumber or step.tokens.get(("charge", change.uniqueToken or ""))
    segments = _of_charge(step, body, number, change.productRatePlanChargeId)
    last = segments[-1]
    changes = _priced(step.below("pricing"), last, change.pricing) | (change.customFields or {})
    changes |= change.billing.given() if change.billing else {}
    day = step.within(_changes_on(step, body, change), step.at("effectiveDate"))
    if last["charge_type"] == "OneTime":
        step.register.put("rate_plan_charges", last | changes)
        return
    _refuse_beyond(step, last, day)
    step.register.put("rate_plan_charges", last | {"effective_end_date": day})
    new = {"segment": last["segment"] + 1, "effective_start_date": day, "charged_through_date": None}
    step.register.add_charge(last | changes | new)


def _refuse_beyond(step: Step, last: Row, day: date) -> None:
    """A change can only be made to the last segment, while it serves, and to usage only before it is billed."""
    number, start = last["charge_number"], start_of(last, step.row())
    if start is None:
        raise OrderError(step.path, f"can't change {number}, which has no start yet.")
    if day < start:
        raise OrderError(step.path, f"would change {number} on {day}, but it has begun or changed on {start} already.")
    if last["effective_end_date"] and day >= last["effective_end_date"]:
        raise OrderError(step.path, f"would change {number} on {day}, but it ends on {last['effective_end_date']}.")
    through = step.billed_through(last)
    if last["charge_type"] == "Usage" and through and day < through:
        raise OrderError(step.path, f"would change {number} on {day}, but its usage is billed up to {through}.")


def _changes_on(step: Step, body: UpdateProduct, change: ChargeUpdate) -> date:
    trigger = change.effectiveDate
    own = (trigger.specificTriggerDate or step.dates.at(trigger.triggerEvent or "")) if trigger else None
    return own or body.specificUpdateDate or step.effective()


def remove(step: Step, body: RemoveProduct) -> date:
    """All charges of a rate plan end on a day; what was billed beyond it is credited by the next run."""
    segments = _of_plan(step, body)
    day = step.within(step.effective(), step.at("triggerDates"))
    _end(step, segments, day)
    return day


def _end(step: Step, segments: Sequence[Row], day: date) -> None:
    ended = False
    for row in segments:
        start, end = start_of(row, step.row()), row["effective_end_date"]
        if (end is not None and end <= day) or (row["charge_type"] == "OneTime" and start is not None and start < day):
            continue
        ended = True
        step.register.put("rate_plan_charges", row | {"effective_end_date": max(day, start or day)})
    if not ended and all(row["charge_type"] != "OneTime" for row in segments):
        raise OrderError(step.path, f"would end on {day} what has ended before.")


def _own_plan(step: Step, body: UpdateProduct | RemoveProduct) -> str | None:
    """The number of the rate plan that an action names, if it names one."""
    token = step.tokens.get(("rate plan", body.uniqueToken or ""))
    return body.ratePlanId or body.subscriptionRatePlanNumber or token


def _of_plan(step: Step, body: UpdateProduct | RemoveProduct) -> list[Row]:
    """All segments of a subscription's rate plan: by its own number, or by that of the catalog."""
    number, product = _own_plan(step, body), getattr(body, "productRatePlanId", None)
    if not number and not product:
        raise OrderError(
            step.at("ratePlanId"), "is needed, or another field that says which rate plan is meant.", MISSING
        )
    charges = step.register.charges_of(step.subscription)
    if number:
        found = [c for c in charges if c["rate_plan_number"] == number]
    else:
        found = [c for c in charges if step.register.rate_plan_of(c) == product and product]
    if not found:
        raise not_found(step.path, f"rate plan of {step.subscription}", str(number or product))
    if len(plans := sorted({str(c["rate_plan_number"]) for c in found})) > 1:
        raise OrderError(step.path, f"means several rate plans ({', '.join(plans)}): name one by ratePlanId.")
    return found


def _of_charge(step: Step, body: UpdateProduct, number: str | None, product: str | None) -> list[Row]:
    """All segments of one charge: by its number, or by that of the catalog within its rate plan."""
    plan = _own_plan(step, body)
    charges = [
        c
        for c in step.register.charges_of(step.subscription)
        if (number and c["charge_number"] == number)
        or (not number and product and c["product_rate_plan_charge_id"] == product)
    ]
    found = [c for c in charges if plan is None or c["rate_plan_number"] == plan]
    names = sorted({c["charge_number"] for c in found})
    if not names:
        raise not_found(step.at("chargeNumber"), f"charge of {step.subscription}", str(number or product))
    if len(names) > 1:
        raise OrderError(step.path, f"means several charges ({', '.join(names)}): name one by chargeNumber.")
    return sorted(found, key=lambda c: c["segment"])
