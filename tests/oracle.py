"""What a bill run must produce, worked out slowly: one row at a time, in plain Python.

Written from the rules (docs/rating.md, design sections 4, 5 and 7, and the vendor's facts that they cite), not from
the code. It shares nothing with billfold, so that a fault would have to be made twice to stay unseen.

`run(book, target)` is the first run of a book. Several runs of a book that changes between them share a `State`:
`outcome = run(book, target, state)`, then `state.commit(outcome)`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from oracle_discounts import discount_lines
from oracle_money import Row, own, rounded
from oracle_rating import charge_lines, order_lines
from oracle_world import Item, Line, Progress, Segment, State, World, owner_of, world_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

__all__ = ["ATTRIBUTES", "INVOICE", "MEMO", "Document", "Item", "Outcome", "State", "rounded", "run"]

INVOICE: Final = "invoice"
MEMO: Final = "credit memo"
ATTRIBUTES: Final = ("bill_to_contact", "payment_term", "invoice_template", "sequence_set", "communication_profile")
FIELDS: Final = {
    ("Subscription", "AccountId"): "account_number",
    ("Subscription", "Name"): "subscription_number",
    ("Subscription", "SoldToContactId"): "sold_to_contact",
    ("Subscription", "TermType"): "term_type",
    ("RatePlanCharge", "ProductRatePlanChargeId"): "product_rate_plan_charge_id",
    ("RatePlanCharge", "BillingCycleDay"): "bill_cycle_day",
    ("RatePlanCharge", "BillingPeriod"): "billing_period",
    ("RatePlanCharge", "ChargeModel"): "charge_model",
    ("RatePlanCharge", "ChargeType"): "charge_type",
    ("OrderLineItem", "ItemName"): "item_name",
    ("OrderLineItem", "ItemNumber"): "item_number",
    ("OrderLineItem", "ItemType"): "item_type",
    ("OrderLineItem", "OrderId"): "order_number",
    ("OrderLineItem", "SoldToContactId"): "sold_to_contact",
}
"""Standard fields of configurable grouping (spec/grouping.md 1.3)."""


class Document(NamedTuple):
    """One invoice or credit memo, without the names that a run gives it."""

    kind: str
    account: str
    currency: str
    attributes: tuple[str | None, ...]
    group_number: str | None
    group_value: str | None
    amount: Decimal
    items: frozenset[Item]


@dataclass(frozen=True)
class Outcome:
    """What a run makes: documents, the accounts that it sets aside, wholly or in part, and what it says of usage."""

    documents: Counter[Document]
    parked: frozenset[str]
    late: frozenset[str]
    """Usage of periods that were billed before it came."""
    processed: frozenset[str]
    """Usage that this run bills."""
    after: State
    """What the book remembers once the run is committed."""


def run(book: Mapping[str, Any], target: date, state: State | None = None) -> Outcome:
    """The outcome of a bill run of a book up to a target date; without a state, of its first one."""
    world = world_of(book, state or State())
    charges, progresses = charge_lines(world, target)
    lines = [*order_lines(world, target), *charges, *discount_lines(world, charges)]
    lines = [line for line in lines if line.owner not in world.troubles]
    for line in lines:
        _put_key(world, line)
    lines, parked = _without_negative_sales(lines, world.settings)
    documents = Counter(
        _document(kind, group) for group in _grouped(lines).values() for kind, group in _kinds(group, world.settings)
    )
    idle = world.troubles if world.settings.get("consolidate_invoices") == "no" else world.troubles | parked
    processed = frozenset(usage for usage, owner in world.processed.items() if owner not in idle)
    late = frozenset(world.late - processed)
    billed = {segment: progress for segment, (owner, progress) in progresses.items() if owner not in idle}
    after = _after(world.state, lines, billed, processed, late)
    return Outcome(documents, frozenset(world.troubles | parked), late, processed, after)


def _after(
    state: State,
    lines: Iterable[Line],
    billed: Mapping[Segment, Progress],
    processed: frozenset[str],
    late: frozenset[str],
) -> State:
    """The state with what a run billed; what it parked is as it was."""
    sold = {(line.item.source[1], line.item.source[2]) for line in lines if line.is_order}
    return State({**state.segments, **billed}, state.order_lines | sold, state.usage | processed, set(late))


# --- which lines share a document -------------------------------------------------------------------------------


def _put_key(world: World, line: Line) -> None:
    """Every component of design section 4, by name of the rule."""
    account, carrier = world.accounts[line.owner], line.carrier
    attributes = tuple(own(carrier, a) or own(account, a) or _builtin(a) for a in ATTRIBUTES)
    configuration = world.own_grouping.get(line.owner, world.default_grouping)
    values = _values(configuration, line.row, carrier)
    alone = bool(carrier.get("invoice_separately"))
    line.spelling = own(carrier, "invoice_group_number")
    number = line.spelling.casefold() if line.spelling else None
    identity = line.item.source[:3] if line.is_order else line.item.source[:2]
    origin = "order" if line.is_order else "subscription"
    line.key = (
        line.owner,
        line.currency,
        attributes,
        identity if alone else None,
        None if alone else number,
        identity if not alone and not number and _separate(world, line.owner, configuration) else None,
        origin if not alone and world.settings.get("consolidate_invoices") == "no" else None,
        values,
    )
    shown = [v or "" for v in values or ()]
    line.value = None if values is None or all(v is None for v in values) else "_".join(shown)


def _builtin(attribute: str) -> str | None:
    return "DEFAULT" if attribute == "sequence_set" else None


def _values(configuration: Mapping[str, Any] | None, row: Row, carrier: Row) -> tuple[str | None, ...] | None:
    """The configured fields' values by position; None for a side without fields."""
    side = "subscriptionGroup" if "charge_number" in row else "orderLineItemGroup"
    entries = (configuration or {}).get(side) or []
    found = [(row if e["objectType"] == "RatePlanCharge" else carrier).get(_column(e)) for e in entries]
    return tuple(None if v is None else _text(v) for v in found) if entries else None


def _column(entry: Mapping[str, str]) -> str:
    return FIELDS.get((entry["objectType"], entry["field"]), entry["field"])


def _text(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _separate(world: World, owner: str, configuration: object) -> bool:
    """Whether lines without a group number stay alone (design section 4.4)."""
    policy = world.settings.get("ungrouped", "auto")
    if policy == "auto":
        return configuration is None and _has_numbers(world, owner)
    return policy == "separate"


def _has_numbers(world: World, owner: str) -> bool:
    active = [s for s in world.subscriptions.values() if s["status"] == "Active"]
    opened = [o for o in world.order_lines if o["item_state"] in {"Executing", "Booked", "SentToBilling"}]
    unbilled = [o for o in opened if (o["order_number"], o["item_number"]) not in world.state.order_lines]
    return any(owner_of(c) == owner and own(c, "invoice_group_number") for c in [*active, *unbilled])


def _grouped(lines: Sequence[Line]) -> dict[tuple[Any, ...], list[Line]]:
    groups: dict[tuple[Any, ...], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.key].append(line)
    return groups


# --- which document they make -----------------------------------------------------------------------------------


def _kinds(group: Sequence[Line], settings: Mapping[str, str]) -> Iterable[tuple[str, list[Line]]]:
    """The group's lines as its invoice and its credit memo, whichever of them there are."""
    for kind in (INVOICE, MEMO):
        lines = [line for line in group if _kind(line, group, settings) == kind]
        if lines:
            yield kind, lines


def _kind(line: Line, group: Sequence[Line], settings: Mapping[str, str]) -> str:
    """Returns are credited, sales invoiced; the rule decides about charges (I14, O7 to O9)."""
    if line.is_return or line.is_order:
        return MEMO if line.is_return else INVOICE
    rule = settings.get("document_type_rule", "net")
    if rule in {"negative_charges", "negative_and_zero_credits"}:
        return MEMO if line.lead < 0 else INVOICE
    others = [other for other in group if not other.is_return]
    with_sales = any(other.is_order for other in others)
    if with_sales or _sum(others) >= 0:
        return INVOICE
    of_charge = [other for other in others if other.row["charge_number"] == line.row["charge_number"]]
    return MEMO if rule == "net" or _sum(of_charge) < 0 else INVOICE


def _without_negative_sales(lines: Sequence[Line], settings: Mapping[str, str]) -> tuple[list[Line], set[str]]:
    """An invoice with sales that nets negative parks its account or, without consolidation, its order lines (O8)."""
    parked = set()
    for group in _grouped(lines).values():
        invoice = [line for line in group if _kind(line, group, settings) == INVOICE]
        if any(line.is_order for line in invoice) and _sum(invoice) < 0:
            parked.add(group[0].owner)
    only_orders = settings.get("consolidate_invoices") == "no"
    return [line for line in lines if line.owner not in parked or (only_orders and not line.is_order)], parked


def _document(kind: str, lines: Sequence[Line]) -> Document:
    sign = 1 if kind == INVOICE else -1
    items = frozenset(line.item._replace(amount=sign * line.item.amount) for line in lines)
    owner, currency, attributes, *_ = lines[0].key
    ordered = sorted(lines, key=_place)
    number = next((line.spelling for line in ordered if line.spelling), None)
    return Document(kind, owner, currency, attributes, number, lines[0].value, sign * _sum(lines), items)


def _place(line: Line) -> tuple[Any, ...]:
    """Charges before order lines (spec/grouping.md UC3), then by name and date; line 10 after line 9."""
    source = line.item.source
    if line.is_order:
        return (1, source[1], len(source[2]), source[2])
    return (0, *source[1:3], int(source[3]), line.item.first_day)


def _sum(lines: Iterable[Line]) -> Decimal:
    return sum((line.item.amount for line in lines), Decimal(0))
