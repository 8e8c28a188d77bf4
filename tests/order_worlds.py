"""Random sequences of orders on a small book: all actions, order lines, returns, updates of lines, refused ones too.

The oracle steers: most orders are drawn for what is there by then, so that most can be done. Dates lie at the ends of
months. `World.steps` are orders and updates of lines, in the order in which they are asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st
from order_oracle import FOLLOWING, Oracle

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]
Json = dict[str, Any]

TODAY: Final = date(2024, 3, 31)
ACCOUNTS: Final[tuple[Json, ...]] = (
    {"account_number": "A-1", "currency": "EUR", "bill_cycle_day": 1, "payment_term": "Net 30"},
    {"account_number": "A-2", "currency": "EUR", "bill_cycle_day": 31, "bill_to_contact": "Ray"},
    {"account_number": "A-3", "currency": "JPY", "bill_cycle_day": 15},
    {"account_number": "GONE", "currency": "EUR", "status": "Canceled"},
)
_MONTHLY: Final = {"charge_type": "Recurring", "billing_period": "Month"}
_TIERS: Final = (
    '[{"startingUnit":0,"endingUnit":2,"price":5,"priceFormat":"PerUnit"},'
    '{"startingUnit":2,"endingUnit":null,"price":3.335,"priceFormat":"PerUnit"}]'
)


def _sold(plan: str, number: str, **columns: object) -> Json:
    names = {"product_rate_plan_charge_id": number, "charge_name": number, "rate_plan_name": plan}
    return {"product_rate_plan_id": plan, **names, **columns}


_TRIGGERED: Final = {"bill_cycle_type": "ChargeTriggerDay"}
_YEARLY: Final = {"charge_type": "Recurring", "billing_period": "Annual", "trigger_event": "ServiceActivation"}
_QUARTERLY: Final = {"charge_type": "Recurring", "billing_period": "Quarter", "quantity": "2"}
_DISCOUNT: Final = {"charge_type": "Recurring", "charge_model": "DiscountPercentage", "discount_level": "subscription"}
_USAGE: Final = {"charge_type": "Usage", "uom": "GB", "billing_period": "Month"}
_LATE: Final = {"billing_timing": "IN_ARREARS", "trigger_event": "CustomerAcceptance"}

CATALOG: Final = (
    _sold("FEE", "fee", charge_model="FlatFee", price="31", **_MONTHLY),
    _sold("BASE", "seats", charge_model="PerUnit", price="3.335", quantity="3", **_MONTHLY, **_TRIGGERED),
    _sold("BASE", "setup", charge_type="OneTime", charge_model="FlatFee", price="99.99"),
    _sold("LONG", "quarterly", charge_model="PerUnit", price="7.5", **_QUARTERLY),
    _sold("LONG", "yearly", charge_model="FlatFee", price="365", **_YEARLY, **_TRIGGERED),
    _sold("MORE", "dated", charge_model="FlatFee", price="12", **_MONTHLY, trigger_event="SpecificDate"),
    _sold("MORE", "volume", charge_model="Volume", quantity="3", tiers=_TIERS, **_MONTHLY),
    _sold("MORE", "late", charge_model="FlatFee", price="10", **_MONTHLY, **_LATE),
    _sold("USE", "used", charge_model="PerUnit", price="0.5", **_USAGE),
    _sold("LESS", "off", discount_percentage="12.5", **_DISCOUNT),
)
PRICING: Final = {
    "fee": "recurringFlatFee", "seats": "recurringPerUnit", "setup": "oneTimeFlatFee", "quarterly": "recurringPerUnit",
    "yearly": "recurringFlatFee", "dated": "recurringFlatFee", "late": "recurringFlatFee", "used": "usagePerUnit",
}  # fmt: skip
PLANS: Final = ("FEE", "BASE", "LONG", "MORE", "USE", "LESS")
PLAIN: Final = ("FEE", "BASE", "LONG")
"""Plans whose recurring charges are flat fees and per-unit prices in advance."""

DAYS: Final = tuple(
    f"{2023 + m // 12}-{m % 12 + 1:02d}-{d:02d}"
    for m, days in (
        (11, (1, 31)),
        (12, (1, 15, 31)),
        (13, (1, 28, 29)),
        (14, (1, 31)),
        (15, (1, 30)),
        (16, (15, 31)),
    )
    for d in days
)
TARGETS: Final = ("2024-01-31", "2024-02-29", "2024-04-30")
BILLING: Final = tuple({"billingOptions": {"targetDate": t, "documentDate": "2024-03-01"}} for t in TARGETS)
NUMBERS: Final = (None, None, "PO 1", "po 1", "PO 2")


@dataclass(frozen=True)
class World:
    """What is asked of a book, step by step: orders, and lists of changes of order lines."""

    steps: tuple[Json, ...]

    @property
    def orders(self) -> list[Json]:
        """The orders alone, without the updates of lines."""
        return [step for step in self.steps if "orderDate" in step]


@dataclass(frozen=True)
class Kind:
    """Which orders are drawn."""

    plans: tuple[str, ...] = PLANS
    named: bool = False
    """Whether orders give numbers to everything that later ones name."""

    transfers: bool = True
    billed: int = 0
    """How many orders in four ask to be billed."""

    lines: bool = True
    nonsense: bool = True


def fresh_oracle() -> Oracle:
    """An oracle of a book without orders."""
    return Oracle(ACCOUNTS, CATALOG, TODAY)


@st.composite
def worlds(draw: Draw, kind: Kind, least: int = 2, most: int = 6) -> World:
    """Steps, each drawn for what the ones before have left."""
    oracle, steps = fresh_oracle(), []
    for place in range(draw(st.integers(least, most))):
        if kind.lines and oracle.lines and _one(draw, (True, False, False)):
            step = {"orderLineItems": _updates(draw, oracle)}
            oracle.update(step["orderLineItems"])
        else:
            step = _order(draw, oracle, kind, place)
            oracle.do(step)
        steps.append(step)
    return World(tuple(steps))


def _order(draw: Draw, oracle: Oracle, kind: Kind, place: int) -> Json:
    there = sorted(oracle.subscriptions)
    entries = []
    order: Json = {"orderDate": _one(draw, DAYS)}
    if there and _one(draw, (True, True, True, False)):
        name = _one(draw, there)
        entries.append({"subscriptionNumber": name, "orderActions": _changes(draw, oracle, kind, name, place)})
        row = oracle.subscriptions[name]
        order["existingAccountNumber"] = row["invoice_owner_account_number"] or row["account_number"]
    else:
        order["existingAccountNumber"] = _one(draw, ("A-1", "A-2", "A-3"))
        if not kind.lines or draw(st.booleans()):
            entries.append(_new(draw, kind, place))
    if kind.named or draw(st.booleans()):
        order["orderNumber"] = f"X-{place}"
    if kind.lines and (not entries or _one(draw, (True, False, False))):
        order |= _lines(draw, oracle, returns=not entries)
    if entries:
        order["subscriptions"] = entries
    if draw(st.integers(1, 4)) <= kind.billed:
        order["processingOptions"] = {"runBilling": True, **_one(draw, BILLING)}
    return _spoiled(draw, order) if kind.nonsense else order


def _spoiled(draw: Draw, order: Json) -> Json:
    """The order, or rarely one that can't be done."""
    match _one(draw, (*[None] * 20, "unknown field", "no account", "canceled", "number")):
        case "unknown field":
            return order | {"nonsense": 1}
        case "no account":
            return order | {"existingAccountNumber": "NOBODY"}
        case "canceled":
            return order | {"existingAccountNumber": "GONE"}
        case "number":
            return order | {"orderNumber": "X-0"}
        case _:
            return order


def _new(draw: Draw, kind: Kind, place: int) -> Json:
    """A new subscription with one or two rate plans, and perhaps a change at once."""
    renewal = (
        {},
        {"renewalSetting": "RENEW_TO_EVERGREEN"},
        *(
            {"renewalTerms": [{"period": p, "periodType": t}]}
            for p, t in ((1, "Month"), (6, "Month"), (2, "Week"), (1, "Year"))
        ),
    )
    body: Json = {
        "terms": {"initialTerm": _one(draw, TERMS), **_one(draw, renewal), **_rarely(draw, {"autoRenew": True})},
        "subscribeToRatePlans": [_plan(draw, kind, f"{place}-{n}") for n in range(draw(st.integers(1, 2)))],
        **_rarely(draw, {"invoiceSeparately": True}),
        **_attributes(draw),
    }
    if kind.transfers:
        body |= _rarely(draw, {"invoiceOwnerAccountNumber": _one(draw, ("A-1", "A-2"))})
        body |= _rarely(draw, {"subscriptionOwnerAccountNumber": _one(draw, ("A-1", "A-3"))})
    action = {"type": "CreateSubscription", "triggerDates": _triggers(draw), "createSubscription": body}
    entry: Json = {"orderActions": [action], **_rarely(draw, {"customFields": {"Region__c": _one(draw, ("A", "B_C"))}})}
    if kind.named or draw(st.booleans()):
        entry["subscriptionNumber"] = f"S-{place}"
    return entry


def _span(count: int, kind: str) -> Json:
    return {"period": count, "periodType": kind}


TERMS: Final = (
    *({"termType": "TERMED", **_span(p, t)} for p, t in ((12, "Month"), (6, "Month"), (1, "Year"), (90, "Day"))),
    {"termType": "EVERGREEN"},
    {"termType": "TERMED", "endDate": "2024-05-31"},
    {"termType": "TERMED", "startDate": "2023-12-31", "period": 2, "periodType": "Month"},
)


def _triggers(draw: Draw, days: Sequence[str] = DAYS[:5]) -> list[Json]:
    """Dates of the three events, in order; the later ones may be missing."""
    given = sorted(_one(draw, days) for _ in range(_one(draw, (1, 1, 2, 3))))
    names = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
    return [{"name": n, "triggerDate": d} for n, d in zip(names, given, strict=False)]


def _plan(draw: Draw, kind: Kind, name: str) -> Json:
    plan: Json = {"productRatePlanId": _one(draw, kind.plans)}
    overrides = []
    for charge in (
        c["product_rate_plan_charge_id"] for c in CATALOG if c["product_rate_plan_id"] == plan["productRatePlanId"]
    ):
        override: Json = {
            **_rarely(draw, _pricing(draw, charge)),
            **_rarely(draw, {"endDate": _one(draw, ENDS)}),
        }
        if charge == "dated" or (charge != "off" and _one(draw, (True, *[False] * 5))):
            override["startDate"] = {"triggerEvent": "SpecificDate", "specificTriggerDate": _one(draw, DAYS)}
        if override:
            overrides.append({"productRatePlanChargeId": charge, **override})
    if overrides:
        plan |= {"chargeOverrides": overrides, **_rarely(draw, {"isAddingSubsetCharges": True})}
    if kind.named or draw(st.booleans()):
        plan["subscriptionRatePlanNumber"] = f"P-{name}"
    return plan | _rarely(draw, {"customFields": {"Region__c": _one(draw, ("A", "B_C"))}})


ENDS: Final = (
    {"endDateCondition": "Specific_End_Date", "specificEndDate": "2024-04-30"},
    {"endDateCondition": "Fixed_Period", "upToPeriods": 2, "upToPeriodsType": "Months"},
    {"endDateCondition": "Fixed_Period", "upToPeriods": 10, "upToPeriodsType": "Weeks"},
    {"endDateCondition": "Fixed_Period", "upToPeriods": 1, "upToPeriodsType": "Billing_Periods"},
    {"endDateCondition": "Subscription_End"},
)


def _pricing(draw: Draw, charge: str) -> Json:
    if charge not in PRICING:
        return {}
    price = {"listPrice": _one(draw, (10, 31, 0, 99.99, 3.335))}
    counted = charge in {"seats", "quarterly"}
    return {"pricing": {PRICING[charge]: price | (_one(draw, ({}, {"quantity": 5})) if counted else {})}}


def _attributes(draw: Draw) -> Json:
    number = _one(draw, NUMBERS)
    return {**({"invoiceGroupNumber": number} if number else {}), **_rarely(draw, {"billToContactId": "Łucja"})}


def _changes(draw: Draw, oracle: Oracle, kind: Kind, name: str, place: int) -> list[Json]:
    """One or two actions on a subscription; the second one is drawn for what the first one leaves."""
    model, actions = copy.deepcopy(oracle), []
    for number in range(_one(draw, (1, 1, 1, 2))):
        row = model.subscriptions[name]
        suited = {"Suspended": SUSPENDED, "Active": ACTIVE}.get(row["status"], ("Resume", "UpdateProduct"))
        suited = tuple(s for s in suited if kind.transfers or s != "OwnerTransfer")
        plans = model.plans_of(name)
        suited = tuple(s for s in suited if plans or s not in {"UpdateProduct", "RemoveProduct"})
        chosen = _one(draw, suited)
        body = BODIES[chosen](draw, model, name)
        if chosen == "AddProduct":
            body = _plan(draw, kind, f"{place}-{number}")
        key = chosen[0].lower() + chosen[1:]
        action = {
            "type": chosen,
            "triggerDates": _triggers(draw, _days(draw, model, name))[:1],
            **({key: body} if body else {}),
        }
        actions.append(action)
        model.do({"orderDate": DAYS[0], "existingAccountNumber": "A-1",
                  "subscriptions": [{"subscriptionNumber": name, "orderActions": [action]}]})  # fmt: skip
    return actions


ACTIVE: Final = (
    "TermsAndConditions", "AddProduct", "UpdateProduct", "UpdateProduct", "UpdateProduct", "RemoveProduct",
    "RenewSubscription", "CancelSubscription", "OwnerTransfer", "Suspend", "Suspend",
)  # fmt: skip
SUSPENDED: Final = (*["Resume"] * 6, "TermsAndConditions", "RenewSubscription", "CancelSubscription", "AddProduct")


def _terms(draw: Draw, _oracle: Oracle, _name: str) -> Json:
    last: Sequence[Json] = (
        *({}, {}),
        {"termType": "TERMED", "period": 9, "periodType": "Month"},
        {"termType": "TERMED", "endDate": "2024-06-30"},
        {"termType": "EVERGREEN"},
    )
    chosen = _one(draw, last)
    body = {
        **_rarely(draw, {"autoRenew": _one(draw, (True, False))}),
        **_one(draw, ({}, {"renewalTerms": [{"period": 3, "periodType": "Month"}]})),
        **_clearing(draw),
        **({"lastTerm": chosen} if chosen else {}),
    }
    return body or {"autoRenew": True}


def _clearing(draw: Draw) -> Json:
    return dict(_one(draw, ({}, {}, {"invoiceGroupNumber": "PO 2"}, {"clearingExistingInvoiceGroupNumber": True},
                            {"paymentTerm": "Net 60"}, {"clearingExistingBillToContact": True})))  # fmt: skip


def _days(draw: Draw, oracle: Oracle, name: str, segment: Json | None = None) -> Sequence[str]:
    """Mostly days on which a subscription, or a segment of a charge, serves."""
    row = oracle.subscriptions[name]
    starts = [row["contract_effective_date"], segment and segment["effective_start_date"]]
    ends = [row["term_end_date"], segment and segment["effective_end_date"]]
    first = max(str(d) for d in starts if d)
    last = min((str(d) for d in ends if d), default="9999")
    served = [d for d in DAYS if first <= d < last]
    return served if served and _one(draw, (*[True] * 5, False)) else DAYS


def _update(draw: Draw, oracle: Oracle, name: str) -> Json:
    plan = _one(draw, oracle.plans_of(name))
    of_plan = [s for s in oracle.of(name) if s["rate_plan_number"] == plan]
    charge = _one(draw, sorted({(s["charge_number"], s["product_rate_plan_charge_id"]) for s in of_plan}))
    change: Json = {"productRatePlanChargeId": charge[1]}
    days = _days(draw, oracle, name, oracle.charges[charge[0]][-1])
    body: Json = {"ratePlanId": plan, "specificUpdateDate": _one(draw, days)}
    if draw(st.integers(1, 6)) == 3:
        return body | {"chargeRemovals": [{"chargeNumber": charge[0]}]}
    change |= _pricing(draw, charge[1]) or {"customFields": {"Region__c": _one(draw, ("A", "É"))}}
    change |= _rarely(
        draw, {"effectiveDate": {"triggerEvent": "SpecificDate", "specificTriggerDate": _one(draw, DAYS)}}
    )
    return body | {"chargeUpdates": [change]}


def _remove(draw: Draw, oracle: Oracle, name: str) -> Json:
    return {"ratePlanId": _one(draw, oracle.plans_of(name))}


def _cancel(draw: Draw, oracle: Oracle, name: str) -> Json:
    day = _one(draw, _days(draw, oracle, name))
    specific = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": day}
    return dict(_one(draw, (specific, specific, {"cancellationPolicy": "EndOfCurrentTerm"})))


def _transfer(draw: Draw, _oracle: Oracle, _name: str) -> Json:
    field = _one(draw, ("destinationAccountNumber", "destinationInvoiceAccountNumber"))
    return {field: _one(draw, ("A-1", "A-2", "A-3")), **_clearing(draw)}


def _suspend(draw: Draw, oracle: Oracle, name: str) -> Json:
    specific = {"suspendPolicy": "SpecificDate", "suspendSpecificDate": _one(draw, _days(draw, oracle, name))}
    ahead = {"suspendPolicy": "FixedPeriodsFromToday", "suspendPeriods": 1, "suspendPeriodsType": "Month"}
    return dict(_one(draw, (specific, specific, {"suspendPolicy": "Today"}, ahead)))


def _resume(draw: Draw, _oracle: Oracle, _name: str) -> Json:
    ahead = {"resumePeriods": 1, "resumePeriodsType": _one(draw, ("Month", "Week"))}
    policies = (
        {"resumePolicy": "SpecificDate", "resumeSpecificDate": _one(draw, DAYS[8:])},
        {"resumePolicy": "SuspendDate"}, {"resumePolicy": "Today"},
        {"resumePolicy": "FixedPeriodsFromSuspendDate", **ahead}, {"resumePolicy": "FixedPeriodsFromToday", **ahead},
    )  # fmt: skip
    return {**_one(draw, policies), **_rarely(draw, {"extendsTerm": True})}


def _renew(draw: Draw, _oracle: Oracle, _name: str) -> Json:
    return _clearing(draw)


def _add(_draw: Draw, _oracle: Oracle, _name: str) -> Json:
    return {}


BODIES: Final[dict[str, Callable[[Draw, Oracle, str], Json]]] = {
    "TermsAndConditions": _terms, "AddProduct": _add, "UpdateProduct": _update, "RemoveProduct": _remove,
    "RenewSubscription": _renew, "CancelSubscription": _cancel, "OwnerTransfer": _transfer, "Suspend": _suspend,
    "Resume": _resume,
}  # fmt: skip


# --- order lines ------------------------------------------------------------------------------------------------


def _lines(draw: Draw, oracle: Oracle, *, returns: bool) -> Json:
    """Lines of an order: sales, or what is given back of earlier ones."""
    sales = [n for n in oracle.lines if oracle.available(n)] if returns else []
    if sales and draw(st.booleans()):
        order, item = _one(draw, sorted(sales))
        origin = {"originalOrderNumber": order, "originalOrderLineItemNumber": item, "itemCategory": "Return"}
        rows = [
            origin | _line(draw, quantity=_one(draw, (1, 1, float(oracle.available((order, item))), 5)))
            for _ in range(draw(st.integers(1, 2)))
        ]
        return {"category": "Return", "orderLineItems": rows}
    return {
        "orderLineItems": [_line(draw, quantity=_one(draw, (1, 2, 2.5, 0))) for _ in range(draw(st.integers(1, 3)))]
    }


def _line(draw: Draw, quantity: float) -> Json:
    state = _one(draw, ("Executing", "Booked", "SentToBilling", "SentToBilling", "Complete"))
    due = {"billTargetDate": _one(draw, DAYS)} if state == "SentToBilling" or draw(st.booleans()) else {}
    listed = {"listPricePerUnit": _one(draw, (50, 3.335))}
    price = (
        {"amountPerUnit": _one(draw, (10, 0.005))}, listed,
        {**listed, "inlineDiscountType": "Percentage", "inlineDiscountPerUnit": 12.5},
        {**listed, "inlineDiscountType": "FixedAmount", "inlineDiscountPerUnit": 1.5},
    )  # fmt: skip
    number = _one(draw, NUMBERS)
    return {
        "itemState": state, "quantity": quantity, **due, **_one(draw, price),
        **({"invoiceGroupNumber": number} if number else {}),
        **_rarely(draw, {"ownerAccountNumber": _one(draw, ("A-1", "A-3"))}),
        **_rarely(draw, {"transactionStartDate": "2024-01-31", "transactionEndDate": _one(draw, DAYS)}),
    }  # fmt: skip


def _updates(draw: Draw, oracle: Oracle) -> list[Json]:
    """Changes of one or two lines, most of which their state allows."""
    names = sorted(oracle.lines)
    chosen = {_one(draw, names) for _ in range(_one(draw, (1, 1, 2)))}
    return [_line_update(draw, oracle, name) for name in sorted(chosen)]


def _line_update(draw: Draw, oracle: Oracle, name: tuple[str, str]) -> Json:
    state = oracle.lines[name]["item_state"]
    values: Sequence[Json] = (
        {"quantity": _one(draw, (1, 3))},
        {"invoiceGroupNumber": "PO 3"},
        {"billTargetDate": "2024-01-31"},
        *({}, {}, {}),
    )
    to = _one(draw, (*FOLLOWING[state] * 3, state, state, "Executing"))
    return {"id": "/".join(name), "itemState": to, **_one(draw, values)}


def _one(draw: Draw, values: Any) -> Any:  # noqa: ANN401 - any of the values
    return draw(st.sampled_from(values))


def _rarely(draw: Draw, value: Json) -> Json:
    """Some fields, or mostly none."""
    return dict(_one(draw, ({}, {}, {}, value)))
