"""What orders do to a book, reckoned slowly in plain Python from docs/orders.md and spec/schedules.md 8.

Nothing here is shared with billfold. An order that can't be done changes nothing. Requests are of the shapes that
`order_worlds.py` draws; bills are not reckoned here.
"""

from __future__ import annotations

import copy
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Json = dict[str, Any]

EVENTS: Final = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
ATTRIBUTES: Final[Mapping[str, tuple[str, str]]] = {
    "bill_to_contact": ("billToContactId", "clearingExistingBillToContact"),
    "payment_term": ("paymentTerm", "clearingExistingPaymentTerm"),
    "invoice_group_number": ("invoiceGroupNumber", "clearingExistingInvoiceGroupNumber"),
}
FOLLOWING: Final[Mapping[str, tuple[str, ...]]] = {
    "Executing": ("Booked", "SentToBilling", "Complete", "Canceled"),
    "Booked": ("SentToBilling", "Complete"),
    "SentToBilling": ("Complete",),
    "Complete": (),
    "Canceled": (),
}
_ALWAYS: Final = frozenset(("id", "itemState", "paymentTerm", "invoiceGroupNumber"))
_COLUMNS: Final = {
    "quantity": "quantity", "amountPerUnit": "amount_per_unit", "listPricePerUnit": "list_price_per_unit",
    "inlineDiscountType": "discount_type", "inlineDiscountPerUnit": "discount", "billTargetDate": "bill_target_date",
    "invoiceGroupNumber": "invoice_group_number", "paymentTerm": "payment_term", "itemState": "item_state",
}  # fmt: skip
_NUMBERS: Final = ("quantity", "amount_per_unit", "list_price_per_unit", "discount")


class RefusedError(Exception):
    """The order can't be done."""


def refuse_if(condition: object) -> None:
    if condition:
        raise RefusedError


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or its last one."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for wanted in range(day.day, 27, -1):
        try:
            return date(year, month + 1, wanted)
        except ValueError:
            continue
    return date(year, month + 1, day.day)


def later(day: date, count: int, kind: str) -> date:
    match kind.rstrip("s"):
        case "Year":
            return months_later(day, 12 * count)
        case "Month":
            return months_later(day, count)
        case "Week":
            return day + timedelta(days=7 * count)
        case _:
            return day + timedelta(days=count)


def day_of(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


class Oracle:
    """A book as orders leave it: subscriptions, charges (segments by number), order lines, actions."""

    def __init__(self, accounts: Sequence[Json], catalog: Sequence[Json], today: date) -> None:
        self.accounts = {a["account_number"]: a for a in accounts}
        self.plans: dict[str, list[Json]] = {}
        for charge in sorted(catalog, key=lambda c: str(c["product_rate_plan_charge_id"])):
            self.plans.setdefault(charge["product_rate_plan_id"], []).append(charge)
        self.today = today
        self.orders: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self.charges: dict[str, list[Json]] = {}
        self.lines: dict[tuple[str, str], Json] = {}
        self.actions: list[tuple[str, int, str, str, date | None]] = []
        self.counters: dict[str, int] = {}

    def do(self, order: Json) -> str | None:
        """Do an order; returns its number, or None if it can't be done. Asked for again, it is done already."""
        if "orderNumber" in order and self.orders.get(order["orderNumber"]) == order:
            return str(order["orderNumber"])
        before = copy.deepcopy(vars(self))
        try:
            return self._order(order)
        except RefusedError:
            vars(self).update(before)
            return None

    def update(self, lines: Sequence[Json]) -> bool:
        """Change order lines, all or none."""
        before = copy.deepcopy(self.lines)
        try:
            for change in lines:
                self._change_line(change)
        except RefusedError:
            self.lines = before
            return False
        return True

    # --- what there is ------------------------------------------------------------------------------------------

    def segments(self) -> Iterator[Json]:
        for number in self.charges:
            yield from self.charges[number]

    def of(self, subscription: str) -> list[Json]:
        return [s for s in self.segments() if s["subscription_number"] == subscription]

    def plans_of(self, subscription: str) -> list[str]:
        return sorted({s["rate_plan_number"] for s in self.of(subscription)})

    def available(self, name: tuple[str, str]) -> Decimal:
        """How much of a sale can still be given back."""
        sale = self.lines[name]
        if sale["item_category"] == "Return" or sale["item_state"] not in {"SentToBilling", "Complete"}:
            return Decimal(0)
        back = (r for r in self.lines.values() if r["origin"] == name and r["item_state"] != "Canceled")
        return Decimal(sale["quantity"] - sum(r["quantity"] for r in back))

    # --- orders -------------------------------------------------------------------------------------------------

    def _new(self, kind: str, prefix: str) -> str:
        self.counters[kind] = self.counters.get(kind, 0) + 1
        return f"{prefix}{self.counters[kind]:08d}"

    def _account(self, number: str | None) -> Json:
        refuse_if(number not in self.accounts)
        return self.accounts[str(number)]

    def _order(self, order: Json) -> str:
        refuse_if("nonsense" in order)
        refuse_if(order.get("orderNumber") in self.orders)
        number = order.get("orderNumber") or self._new("order", "O-")
        account = order["existingAccountNumber"]
        refuse_if(self._account(account).get("status") == "Canceled")
        self.orders[number] = order
        sequence = 0
        for entry in order.get("subscriptions", ()):
            first = entry["orderActions"][0]["type"] == "CreateSubscription"
            name = entry.get("subscriptionNumber") or self._new("subscription", "A-S")
            for action in entry["orderActions"]:
                refuse_if((name in self.subscriptions) == (action["type"] == "CreateSubscription" and first))
                effective = self._act(name, account, action)
                sequence += 1
                self.actions.append((number, sequence, name, action["type"], effective))
            self.subscriptions[name] |= entry.get("customFields", {})
        for place, line in enumerate(order.get("orderLineItems", ()), 1):
            self._add_line(number, account, order, line.get("itemNumber") or str(place), line)
        return number

    def _act(self, name: str, account: str, action: Json) -> date | None:
        given = {t["name"]: date.fromisoformat(t["triggerDate"]) for t in action["triggerDates"]}
        dates: dict[str, date | None] = {}
        for event in EVENTS:
            dates[event] = given.get(event) or (list(dates.values())[-1] if dates else None)
        kind = action["type"]
        body = action.get(kind[0].lower() + kind[1:], {})
        if kind == "CreateSubscription":
            self._create(name, account, dates, body)
            return dates["ContractEffective"]
        status = self.subscriptions[name]["status"]
        refuse_if(status == "Cancelled")
        refuse_if(status == "Suspended" and kind in {"AddProduct", "UpdateProduct", "RemoveProduct", "Suspend"})
        refuse_if(status != "Suspended" and kind == "Resume")
        found: date | None = getattr(self, f"_do_{kind}")(name, dates, body)
        return found

    def _inside(self, name: str, day: date | None) -> date:
        """A day on which the subscription runs."""
        row = self.subscriptions[name]
        refuse_if(day is None or day < row["contract_effective_date"])
        refuse_if(row["term_type"] == "TERMED" and day and day >= row["term_end_date"])
        return day or date.max

    # --- subscriptions ------------------------------------------------------------------------------------------

    def _create(self, name: str, account: str, dates: Json, body: Json) -> None:
        owner = body.get("subscriptionOwnerAccountNumber") or account
        payer = body.get("invoiceOwnerAccountNumber") or account
        self._account(owner)
        start, terms = dates["ContractEffective"], body["terms"]
        refuse_if(start is None)
        currency = self._account(payer)["currency"]
        self.subscriptions[name] = {
            "account_number": owner,
            "invoice_owner_account_number": None if payer == owner else payer,
            "status": "Active",
            "contract_effective_date": start,
            "service_activation_date": dates["ServiceActivation"],
            "customer_acceptance_date": dates["CustomerAcceptance"],
            "cancelled_date": None,
            "auto_renew": terms.get("autoRenew", False),
            "invoice_separately": body.get("invoiceSeparately", False),
            "renewal_setting": None,
            "renewal_term": None,
            "renewal_term_period_type": None,
            "currency": None if payer == owner else currency,
            **dict.fromkeys(ATTRIBUTES),
            "rest": None,
            "Region__c": None,
            **_term(terms["initialTerm"], start),
        }
        self._renewal(name, terms)
        self._attributes(name, body)
        for plan in body.get("subscribeToRatePlans", ()):
            self._subscribe(name, dates, plan)

    def _renewal(self, name: str, terms: Json) -> None:
        row = self.subscriptions[name]
        if "renewalSetting" in terms:
            row["renewal_setting"] = terms["renewalSetting"]
        for term in terms.get("renewalTerms", ())[:1]:
            row |= {"renewal_term": term["period"], "renewal_term_period_type": term["periodType"]}

    def _attributes(self, name: str, body: Json) -> None:
        for column, (sets, clears) in ATTRIBUTES.items():
            if sets in body or body.get(clears):
                self.subscriptions[name][column] = body.get(sets)

    def _do_TermsAndConditions(self, name: str, dates: Json, body: Json) -> date | None:  # noqa: N802 - spelled like its type
        row = self.subscriptions[name]
        row["auto_renew"] = body.get("autoRenew", row["auto_renew"])
        row["invoice_separately"] = body.get("invoiceSeparately", row["invoice_separately"])
        self._attributes(name, body)
        self._renewal(name, body)
        if "lastTerm" in body:
            row |= _term(body["lastTerm"], row["term_start_date"])
        effective: date | None = dates["ContractEffective"]
        return effective

    def _do_RenewSubscription(self, name: str, _dates: Json, body: Json) -> date:  # noqa: N802
        row = self.subscriptions[name]
        refuse_if(row["term_type"] == "EVERGREEN")
        start: date = row["term_end_date"]
        self._attributes(name, body)
        if row["renewal_setting"] == "RENEW_TO_EVERGREEN":
            row |= {"term_type": "EVERGREEN", "term_start_date": start, "term_end_date": None}
            return start
        refuse_if(row["renewal_term"] is None)
        end = later(start, row["renewal_term"], row["renewal_term_period_type"] or "Month")
        row |= {"term_start_date": start, "term_end_date": end}
        return start

    def _do_CancelSubscription(self, name: str, _dates: Json, body: Json) -> date:  # noqa: N802
        """Without bills, the end of the last invoice period is the first day."""
        row = self.subscriptions[name]
        day: date | None = {
            "SpecificDate": day_of(body.get("cancellationEffectiveDate")),
            "EndOfCurrentTerm": row["term_end_date"],
            "EndOfLastInvoicePeriod": row["contract_effective_date"],
        }[body["cancellationPolicy"]]
        if day is None or day < row["contract_effective_date"]:
            raise RefusedError
        refuse_if(row["term_end_date"] and day > row["term_end_date"])
        row |= {"status": "Cancelled", "cancelled_date": day, "auto_renew": False}
        return day

    def _do_OwnerTransfer(self, name: str, dates: Json, body: Json) -> date | None:  # noqa: N802
        row = self.subscriptions[name]
        paid = row["invoice_owner_account_number"] or row["account_number"]
        owner = body.get("destinationAccountNumber") or row["account_number"]
        payer = body.get("destinationInvoiceAccountNumber") or paid
        self._account(owner)
        self._account(payer)
        self._attributes(name, body)
        row["currency"] = row["currency"] or self.accounts[paid]["currency"]
        row |= {"account_number": owner, "invoice_owner_account_number": None if payer == owner else payer}
        effective: date | None = dates["ContractEffective"]
        return effective

    def _do_Suspend(self, name: str, _dates: Json, body: Json) -> date:  # noqa: N802
        row = self.subscriptions[name]
        day = {
            "Today": self.today,
            "SpecificDate": day_of(body.get("suspendSpecificDate")),
            "FixedPeriodsFromToday": later(
                self.today, body.get("suspendPeriods", 0), body.get("suspendPeriodsType", "Month")
            ),
            "EndOfLastInvoicePeriod": row["contract_effective_date"],
        }[body["suspendPolicy"]]
        day = self._inside(name, day)
        spans = []
        for segment in self.of(name):
            start, end = segment["effective_start_date"], segment["effective_end_date"]
            sold_before = segment["charge_type"] == "OneTime" and start < day
            if not sold_before and (end is None or (end > day and end > start)):
                spans.append((segment["charge_number"], copy.copy(segment)))
                segment["effective_end_date"] = max(day, start)
        row |= {"status": "Suspended", "rest": (day, spans)}
        return day

    def _do_Resume(self, name: str, _dates: Json, body: Json) -> date:  # noqa: N802
        row = self.subscriptions[name]
        suspended, spans = row["rest"]
        periods = (body.get("resumePeriods", 0), body.get("resumePeriodsType", "Month"))
        day: date = {
            "Today": self.today,
            "SuspendDate": suspended,
            "SpecificDate": day_of(body.get("resumeSpecificDate")),
            "FixedPeriodsFromSuspendDate": later(suspended, *periods),
            "FixedPeriodsFromToday": later(self.today, *periods),
        }[body["resumePolicy"]]
        refuse_if(day < suspended)
        for number, segment in sorted(spans, key=lambda s: (s[0], s[1]["segment"])):
            first, last = max(day, segment["effective_start_date"]), segment["effective_end_date"]
            if last is None or first < last:
                known = self.charges[number]
                known.append(segment | {"segment": len(known) + 1, "effective_start_date": first})
        if body.get("extendsTerm") and row["term_end_date"]:
            row["term_end_date"] += day - suspended
        row |= {"status": "Active", "rest": None}
        return day

    # --- rate plans ---------------------------------------------------------------------------------------------

    def _subscribe(self, name: str, dates: Json, plan: Json) -> None:
        refuse_if(plan["productRatePlanId"] not in self.plans)
        number = plan.get("subscriptionRatePlanNumber") or self._new("rate_plan", "RP-")
        overrides = {o["productRatePlanChargeId"]: o for o in plan.get("chargeOverrides", ())}
        for sold in self.plans[plan["productRatePlanId"]]:
            override = overrides.get(sold["product_rate_plan_charge_id"], {})
            if not override and plan.get("isAddingSubsetCharges"):
                continue
            charge = override.get("chargeNumber") or self._new("charge", "C-")
            refuse_if(charge in self.charges)
            trigger = override.get("startDate", {})
            event = trigger.get("triggerEvent") or sold.get("trigger_event") or "ContractEffective"
            start = day_of(trigger.get("specificTriggerDate")) if event == "SpecificDate" else dates[event]
            if start is None:
                raise RefusedError
            segment = {
                "charge_number": charge,
                "segment": 1,
                "subscription_number": name,
                "rate_plan_number": number,
                "product_rate_plan_charge_id": sold["product_rate_plan_charge_id"],
                "charge_type": sold["charge_type"],
                "effective_start_date": start,
                "effective_end_date": _end(override.get("endDate", {}), start, sold),
                "Region__c": plan.get("customFields", {}).get("Region__c"),
                **_price({c: sold.get(c) for c in ("price", "quantity")}, override),
            }
            self.charges[charge] = [segment]

    def _do_AddProduct(self, name: str, dates: Json, body: Json) -> date:  # noqa: N802
        day = self._inside(name, dates["ContractEffective"])
        self._subscribe(name, dates, body)
        return day

    def _do_UpdateProduct(self, name: str, dates: Json, body: Json) -> date:  # noqa: N802
        contract: date = dates["ContractEffective"]
        common = day_of(body.get("specificUpdateDate")) or contract
        for change in body.get("chargeUpdates", ()):
            trigger = change.get("effectiveDate", {})
            day = self._inside(name, day_of(trigger.get("specificTriggerDate")) or common)
            segments = self._charge(name, body["ratePlanId"], change)
            last = segments[-1]
            if last["charge_type"] == "OneTime":
                segments[-1] = _price(last, change)
                continue
            refuse_if(day < last["effective_start_date"])
            refuse_if(last["effective_end_date"] and day >= last["effective_end_date"])
            new = _price(last, change) | {"segment": len(segments) + 1, "effective_start_date": day}
            last["effective_end_date"] = day
            segments.append(new)
        for removal in body.get("chargeRemovals", ()):
            day = self._inside(name, contract)
            self._remove(self._charge(name, body["ratePlanId"], removal), day)
        return common

    def _charge(self, name: str, plan: str, change: Json) -> list[Json]:
        """The segments of a charge that is named by its number or by that of the catalog."""
        found = [
            s[0]["charge_number"]
            for s in self.charges.values()
            if (s[0]["subscription_number"], s[0]["rate_plan_number"]) == (name, plan)
            and change.get("chargeNumber", s[0]["charge_number"]) == s[0]["charge_number"]
            and change.get("productRatePlanChargeId", s[0]["product_rate_plan_charge_id"])
            == s[0]["product_rate_plan_charge_id"]
        ]
        refuse_if(len(found) != 1)
        return self.charges[found[0]]

    def _do_RemoveProduct(self, name: str, dates: Json, body: Json) -> date:  # noqa: N802
        segments = [s for s in self.of(name) if s["rate_plan_number"] == body["ratePlanId"]]
        refuse_if(not segments)
        day = self._inside(name, dates["ContractEffective"])
        self._remove(segments, day)
        return day

    @staticmethod
    def _remove(segments: Sequence[Json], day: date) -> None:
        """One-time charges that began before stay; there has to be something to end."""
        there = [
            s
            for s in segments
            if (s["effective_end_date"] is None or s["effective_end_date"] > day)
            and not (s["charge_type"] == "OneTime" and s["effective_start_date"] < day)
        ]
        refuse_if(not there and all(s["charge_type"] != "OneTime" for s in segments))
        for segment in there:
            segment["effective_end_date"] = max(day, segment["effective_start_date"])

    # --- order lines --------------------------------------------------------------------------------------------

    def _add_line(self, order: str, account: str, asked: Json, item: str, line: Json) -> None:
        owner = line.get("ownerAccountNumber") or account
        self._account(owner)
        sold = line.get("transactionStartDate") or asked["orderDate"]
        row = {
            "account_number": owner,
            "invoice_owner_account_number": None if owner == account else account,
            "item_category": line.get("itemCategory", "Sales"),
            "transaction_start_date": date.fromisoformat(sold),
            "transaction_end_date": date.fromisoformat(line.get("transactionEndDate") or sold),
            "origin": (line.get("originalOrderNumber"), line.get("originalOrderLineItemNumber")),
            **dict.fromkeys(_COLUMNS.values()),
            "item_state": "Executing",
            "quantity": 1,
            **{_COLUMNS[n]: v for n, v in line.items() if n in _COLUMNS},
        }
        refuse_if(row["transaction_end_date"] < row["transaction_start_date"])
        self._keep((order, item), row)

    def _change_line(self, change: Json) -> None:
        order, _, item = change["id"].rpartition("/")
        refuse_if((order, item) not in self.lines)
        row = self.lines[order, item]
        state, wanted = row["item_state"], change.get("itemState", row["item_state"])
        refuse_if(wanted != state and wanted not in FOLLOWING[state])
        values = {_COLUMNS[n]: v for n, v in change.items() if n in _COLUMNS}
        other = {n for n, v in change.items() if n in _COLUMNS and not _same(row[_COLUMNS[n]], v)}
        refuse_if(state in {"Complete", "Canceled"} and other)
        refuse_if(state == "Booked" and other - _ALWAYS - {"billTargetDate"})
        refuse_if(state == "SentToBilling" and other - _ALWAYS)
        self._keep((order, item), row | values)

    def _keep(self, name: tuple[str, str], row: Json) -> None:
        refuse_if(row["item_state"] == "SentToBilling" and row["bill_target_date"] is None)
        for column in _NUMBERS:
            row[column] = None if row[column] is None else Decimal(str(row[column]))
        row["bill_target_date"] = row["bill_target_date"] and date.fromisoformat(str(row["bill_target_date"]))
        listed, off = row["list_price_per_unit"], row["discount"]
        if row["discount_type"] in {"Percentage", "FixedAmount"} and off is not None and listed is not None:
            taken = listed * off / 100 if row["discount_type"] == "Percentage" else off
            row["amount_per_unit"] = listed - taken
        elif row["amount_per_unit"] is None:
            row["amount_per_unit"] = listed
        if row["item_category"] == "Return":
            refuse_if(row["origin"] not in self.lines)
            self.lines.pop(name, None)
            refuse_if(row["item_state"] != "Canceled" and row["quantity"] > self.available(row["origin"]))
        self.lines[name] = row


def _term(term: Json, start: date) -> Json:
    first = day_of(term.get("startDate")) or start
    if term.get("termType") == "EVERGREEN":
        return {"term_type": "EVERGREEN", "term_start_date": first, "term_end_date": None}
    end = day_of(term.get("endDate")) or later(first, term.get("period", 0), term.get("periodType", "Month"))
    refuse_if(end <= first)
    return {"term_type": "TERMED", "term_start_date": first, "term_end_date": end}


def _end(end: Json, start: date, sold: Json) -> date | None:
    match end.get("endDateCondition"):
        case "Specific_End_Date":
            day = day_of(end["specificEndDate"])
            refuse_if(day and day < start)
            return day
        case "Fixed_Period":
            count, kind = end["upToPeriods"], end["upToPeriodsType"]
            if kind != "Billing_Periods":
                return later(start, count, kind)
            length = {"Month": 1, "Quarter": 3, "Annual": 12}.get(str(sold.get("billing_period")))
            if length is None:
                raise RefusedError
            return months_later(start, count * length)
        case _:
            return None


def _price(row: Json, change: Json) -> Json:
    """A charge, or what makes its price, with the price of an order."""
    given: Json = next(iter(change.get("pricing", {}).values()), {})
    new = {"price": given.get("listPrice"), "quantity": given.get("quantity")}
    custom: Json = change.get("customFields", {})
    return row | {n: v for n, v in new.items() if v is not None} | custom


def _same(old: object, new: object) -> bool:
    if isinstance(old, Decimal):
        return old == Decimal(str(new))
    return str(old) == str(new)
