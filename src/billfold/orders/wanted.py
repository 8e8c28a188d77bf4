"""What orders name: keys to look up before they are done, and which of them must wait for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from billfold.orders.lines import line_id
from billfold.orders.register import Wanted
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from billfold.book import State
    from billfold.orders.action_models import RatePlan
    from billfold.orders.models import CreateOrder, OrderSubscription, PreviewOrder
    from billfold.orders.parsing import Parsed

    Order = CreateOrder | PreviewOrder


def wanted(requests: Iterable[Order]) -> Wanted:
    """Everything that some orders name."""
    keys = Wanted()
    for request in requests:
        keys.accounts.update(_accounts(request))
        keys.subscriptions.update(_subscriptions(request))
        _add_plans(keys, request)
        if request.orderNumber:
            keys.orders.add(request.orderNumber)
        if key := getattr(request, "idempotencyKey", None):
            keys.idempotency_keys.add(key)
        for line in request.orderLineItems or ():
            if line.originalOrderNumber and line.originalOrderLineItemNumber:
                keys.lines.add(line_id(line.originalOrderNumber, line.originalOrderLineItemNumber))
            if line.productRatePlanChargeId:
                keys.catalog_charges.add(line.productRatePlanChargeId)
    return keys


def _accounts(request: Order) -> Iterator[str]:
    new = getattr(request, "newAccount", None)
    named = [request.existingAccountNumber, new and new.accountNumber]
    named += [line.ownerAccountNumber for line in request.orderLineItems or ()]
    for entry in request.subscriptions or ():
        for action in entry.orderActions:
            if body := action.createSubscription:
                named += [body.subscriptionOwnerAccountNumber, body.invoiceOwnerAccountNumber]
            if transfer := action.ownerTransfer:
                named += [transfer.destinationAccountNumber, transfer.destinationInvoiceAccountNumber]
    return (number for number in named if number)


def _subscriptions(request: Order) -> Iterator[str]:
    named = [line.relatedSubscriptionNumber for line in request.orderLineItems or ()]
    for entry in request.subscriptions or ():
        named.append(entry.subscriptionNumber)
        named += [a.createSubscription.subscriptionNumber for a in entry.orderActions if a.createSubscription]
    return (number for number in named if number)


def _add_plans(keys: Wanted, request: Order) -> None:
    for entry in request.subscriptions or ():
        if plans := list(_plans(entry)):
            keys.rate_plans.update(p.productRatePlanId for p in plans if p.productRatePlanId)
            keys.rate_plan_numbers.update(p.subscriptionRatePlanNumber for p in plans if p.subscriptionRatePlanNumber)
            keys.charges.update(o.chargeNumber for p in plans for o in p.chargeOverrides or () if o.chargeNumber)


def _plans(entry: OrderSubscription) -> Iterator[RatePlan]:
    """The rate plans that are subscribed to, at once or later."""
    for action in entry.orderActions:
        if action.createSubscription:
            yield from action.createSubscription.ratePlans
        if action.addProduct:
            yield action.addProduct


def parts(state: State, orders: Sequence[Parsed[CreateOrder]]) -> list[list[Parsed[CreateOrder]]]:
    """Orders in parts, each of which is one commit with at most one bill run.

    A file does what its orders would do one after another. Orders of a part share their billing options. An order
    waits for an earlier one that is billed and names the same account, subscription or order.
    """
    parties = _parties(state, {n for o in orders if o.request for n in _subscriptions(o.request)})
    newest: dict[str, tuple[int, bool]] = {}
    grouped: dict[tuple[int, str], list[Parsed[CreateOrder]]] = {}
    for order in orders:
        if order.request is None:
            continue
        _add_parties(parties, order.request)
        options, names = _options(order.request), set(_names(order.request, parties))
        wave = max((newest[n][0] + newest[n][1] for n in names if n in newest), default=0)
        newest |= dict.fromkeys(names, (wave, bool(options)))
        grouped.setdefault((wave, options), []).append(order)
    return [grouped[name] for name in sorted(grouped)]


def _options(request: CreateOrder) -> str:
    """What has to be equal for orders that one run bills; empty if they are not billed at once."""
    options = request.processingOptions
    if options is None or not options.runBilling:
        return ""
    billing = options.billingOptions
    dates = (
        (billing and billing.targetDate) or request.orderDate,
        (billing and billing.documentDate) or request.orderDate,
    )
    return f"{dates} {billing and billing.generateDraftInvoice} {billing and billing.chargeTypeToExclude}"


def _add_parties(parties: dict[str, set[str]], request: CreateOrder) -> None:
    """The accounts that may own a subscription or get its documents once the order is done."""
    account = request.newAccount.accountNumber if request.newAccount else request.existingAccountNumber
    for entry in request.subscriptions or ():
        for action in entry.orderActions:
            body, transfer = action.createSubscription, action.ownerTransfer
            number = entry.subscriptionNumber or (body and body.subscriptionNumber)
            found = [body.invoiceOwnerAccountNumber or account, body.subscriptionOwnerAccountNumber] if body else []
            found += [transfer.destinationAccountNumber, transfer.destinationInvoiceAccountNumber] if transfer else []
            if number:
                parties.setdefault(number, set()).update(party for party in found if party)


def _names(request: CreateOrder, parties: dict[str, set[str]]) -> Iterator[str]:
    for number in _accounts(request):
        yield f"account {number}"
    for number in _subscriptions(request):
        yield f"subscription {number}"
        for party in parties.get(number, ()):
            yield f"account {party}"
    for line in request.orderLineItems or ():
        if line.originalOrderNumber:
            yield f"order {line.originalOrderNumber}"
    for entry in request.subscriptions or ():
        for plan in _plans(entry):
            yield from (f"rate plan {n}" for n in (plan.subscriptionRatePlanNumber,) if n)
            yield from (f"charge {o.chargeNumber}" for o in plan.chargeOverrides or () if o.chargeNumber)
    if request.orderNumber:
        yield f"order {request.orderNumber}"
    if request.idempotencyKey:
        yield f"key {request.idempotencyKey}"


def _parties(state: State, subscriptions: set[str]) -> dict[str, set[str]]:
    """The accounts that own subscriptions of the book, and those that get their documents."""
    if not subscriptions:
        return {}
    named = Only(among=pl.Series("subscription_number", sorted(subscriptions)))
    rows = state.read("subscriptions", named).select(
        "subscription_number", "account_number", "invoice_owner_account_number"
    )
    return {number: {owner, payer} - {None} for number, owner, payer in collected(rows).iter_rows()}
