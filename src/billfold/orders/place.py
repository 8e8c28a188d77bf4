"""One order, done in a register: its account, its subscriptions action by action, its lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from billfold.orders import lines, plans, subscriptions
from billfold.orders.errors import OrderError
from billfold.orders.register import blank
from billfold.orders.scheduled import Watch, refuse_parted
from billfold.orders.steps import Dates, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from billfold.orders.action_models import OrderAction
    from billfold.orders.models import CreateOrder, NewAccount, OrderSubscription, PreviewOrder
    from billfold.orders.register import Register, Row


@dataclass
class Placed:
    """An order that was done: what the answer and its billing need."""

    line: int
    number: str
    account: str
    subscriptions: dict[str, str] = field(default_factory=dict)
    """The subscriptions that it made or changed, with their status then."""

    items: list[Row] = field(default_factory=list)
    owners: set[str] = field(default_factory=set)
    """The accounts that get its documents."""

    moved: dict[str, str] = field(default_factory=dict)
    """Scheduled subscriptions that it gave to another account, with the path of the action."""

    warnings: list[str] = field(default_factory=list)
    """What was asked for and is not done here."""


def place(register: Register, line: int, request: CreateOrder | PreviewOrder, today: date) -> Placed:
    """Do an order; whatever it changes is in the register, still to be kept or dropped.

    Raises:
        OrderError: the book does not allow it.
    """
    number = request.orderNumber or register.numbers.new("order")
    if register["orders"].get(number):
        raise OrderError("orderNumber", f"belongs to the order {number!r}, which is in the book.")
    account = _account(register, request)
    order = blank("orders") | {
        "order_number": number,
        "account_number": account,
        "order_date": request.orderDate,
        "category": request.category,
        "description": request.description,
        **(request.customFields or {}),
    }
    register.put("orders", order)
    placed = Placed(line, number, account)
    if options := request.processingOptions:
        placed.warnings += [f"'processingOptions.{name}': billfold moves no money." for name in options.payments()]
    tokens: dict[tuple[str, str], str] = {}
    for at, entry in enumerate(request.subscriptions or ()):
        _do_all(register, order, entry, f"subscriptions[{at}]", placed, tokens, today)
    refuse_parted(register, placed.moved)
    _settle_cycle_day(register, request, account)
    for at, item in enumerate(request.orderLineItems or ()):
        path = f"orderLineItems[{at}]"
        row = lines.add(register, order, item.itemNumber or str(at + 1), item, path, tokens)
        placed.items.append(row)
        placed.owners.add(row["invoice_owner_account_number"] or row["account_number"])
    if request.processingOptions and request.processingOptions.runBilling:
        _refuse_inactive(register, placed)
    return placed


def _refuse_inactive(register: Register, placed: Placed) -> None:
    """Only active accounts are billed: an order that asks for its bill would wait for ever, and nobody would notice."""
    for owner in sorted(placed.owners):
        status = (register["accounts"].get(owner) or {}).get("status", "Active")
        if status != "Active":
            said = f"can't be done: account {owner!r} would be billed, and is {status}."
            raise OrderError("processingOptions.runBilling", said)


def _account(register: Register, request: CreateOrder | PreviewOrder) -> str:
    """The order's account: one of the book, a new one, or one made up for a preview."""
    if request.existingAccountNumber:
        register.account(request.existingAccountNumber, "existingAccountNumber")
        return request.existingAccountNumber
    if (new := getattr(request, "newAccount", None)) is not None:
        return _new_account(register, new)
    info = getattr(request, "previewAccountInfo", None)
    if info is None:
        raise OrderError("existingAccountNumber", "is required.")
    number = register.numbers.new("account")
    row = {"account_number": number, "currency": info.currency, "bill_cycle_day": info.billCycleDay or 1}
    register.put("accounts", blank("accounts") | row | (info.customFields or {}))
    return number


def _new_account(register: Register, new: NewAccount) -> str:
    number = new.accountNumber or register.numbers.new("account")
    if register["accounts"].get(number):
        raise OrderError("newAccount.accountNumber", f"names {number!r}, which is in the book already.")
    subscriptions.known_set(register, new.sequenceSetId, "newAccount.sequenceSetId")
    same = new.soldToContact is None and new.soldToSameAsBillTo
    sold_to = new.billToContact if same else new.soldToContact
    register.put(
        "accounts",
        blank("accounts")
        | {
            "account_number": number,
            "name": new.name,
            "currency": new.currency,
            "bill_cycle_day": new.billCycleDay or 1,
            "bill_to_contact": new.billToContact.label if new.billToContact else None,
            "sold_to_contact": sold_to.label if sold_to else None,
            "payment_term": new.paymentTerm,
            "invoice_template": new.invoiceTemplateId,
            "sequence_set": new.sequenceSetId,
            "communication_profile": new.communicationProfileId,
            "batch": new.batch or "Batch1",
        }
        | (new.customFields or {}),
    )
    return number


def _settle_cycle_day(register: Register, request: CreateOrder | PreviewOrder, account: str) -> None:
    """A new account's bill cycle day of 0 means the day on which its first recurring charge begins (C18)."""
    new = getattr(request, "newAccount", None) or getattr(request, "previewAccountInfo", None)
    if new is None or new.billCycleDay:
        return
    fresh = (charge for _, charge in register["rate_plan_charges"].fresh() if charge["charge_type"] == "Recurring")
    starts = [charge["effective_start_date"] for charge in fresh if charge["effective_start_date"]]
    if starts:
        row = register.account(account, "newAccount")
        register.put("accounts", row | {"bill_cycle_day": min(starts).day})


def _refuse_stranger(register: Register, order: Row, number: str, path: str) -> None:
    """An order changes what its account owns or pays for."""
    row = register["subscriptions"].get(number)
    if row and order["account_number"] not in {row["account_number"], row["invoice_owner_account_number"]}:
        said = f"names {number!r}, which account {order['account_number']!r} neither owns nor pays for."
        raise OrderError(f"{path}.subscriptionNumber", said)


def _do_all(  # noqa: PLR0913, PLR0917 - what all actions of one subscription share
    register: Register,
    order: Row,
    entry: OrderSubscription,
    path: str,
    placed: Placed,
    tokens: dict[tuple[str, str], str],
    today: date,
) -> None:
    number = _subscription_number(register, entry)
    _refuse_stranger(register, order, number, path)
    watch = Watch(register, number)
    for at, action in enumerate(entry.orderActions):
        where = f"{path}.orderActions[{at}]"
        step = Step(register, order, where, number, Dates.of(action.triggerDates), today, tokens)
        effective = _do(step, action, entry)
        watch.did(where, action, effective)
        sequence = sum(1 for _ in register["order_actions"].fresh()) + 1
        register.put(
            "order_actions",
            blank("order_actions")
            | {
                "order_number": order["order_number"],
                "sequence": sequence,
                "subscription_number": number,
                "type": action.type,
                "effective_date": effective,
                "change_reason": action.changeReason,
            }
            | (action.customFields or {}),
        )
    watch.end()
    if watch.moved:
        placed.moved[number] = watch.moved
    row = Step(register, order, path, number, Dates.of(None), today).row()
    cleared = dict.fromkeys(entry.clearingCustomFields or ())
    if cleared or entry.customFields:
        register.put("subscriptions", row | cleared | (entry.customFields or {}))
    placed.subscriptions[number] = row["status"]
    placed.owners.add(row["invoice_owner_account_number"] or row["account_number"])


def _subscription_number(register: Register, entry: OrderSubscription) -> str:
    """The number that an entry is about; a new subscription without one gets the next."""
    body = entry.orderActions[0].createSubscription if entry.orderActions else None
    return entry.subscriptionNumber or (body and body.subscriptionNumber) or register.numbers.new("subscription")


def _do(step: Step, action: OrderAction, entry: OrderSubscription) -> date | None:
    """One action; returns the day from which it counts."""
    if (body := action.createSubscription) is not None:
        if body.uniqueToken:
            step.tokens["subscription", body.uniqueToken] = step.subscription
        subscriptions.create(step.below("createSubscription"), body, entry.customFields or {})
        return step.dates.contract
    status = step.row()["status"]
    if status == "Cancelled" or (status == "Suspended" and action.type in _NOT_SUSPENDED):
        raise OrderError(step.at("type"), f"can't be {action.type}: {step.subscription} is {status}.")
    if action.type == "Resume" and status != "Suspended":
        raise OrderError(step.at("type"), f"can't be Resume: {step.subscription} is {status}, not Suspended.")
    name, act = _ACTIONS[action.type]
    return act(step.below(name), getattr(action, name))


def _add_product(step: Step, body: Any) -> date:  # noqa: ANN401 - a rate plan
    day = step.within(step.effective(), step.at("triggerDates"))
    plans.subscribe(step, body)
    return day


_NOT_SUSPENDED: Final = ("AddProduct", "UpdateProduct", "RemoveProduct", "Suspend")
_ACTIONS: Final[Mapping[str, tuple[str, Callable[[Step, Any], date | None]]]] = {
    "TermsAndConditions": ("termsAndConditions", subscriptions.change_terms),
    "RenewSubscription": ("renewSubscription", subscriptions.renew),
    "CancelSubscription": ("cancelSubscription", subscriptions.cancel),
    "OwnerTransfer": ("ownerTransfer", subscriptions.transfer),
    "Suspend": ("suspend", subscriptions.suspend),
    "Resume": ("resume", subscriptions.resume),
    "AddProduct": ("addProduct", _add_product),
    "UpdateProduct": ("updateProduct", plans.update),
    "RemoveProduct": ("removeProduct", plans.remove),
}
