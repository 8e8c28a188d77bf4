"""Every component of a document's group key: its value, and where that came from (design section 4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from billfold.explanations.carriers import ORDER_LINE, Carried, Carrier
from billfold.explanations.models import Component, Source
from billfold.explanations.texts import counted
from billfold.explanations.ungrouped import ungrouped
from billfold.group_values import CHARGES, ORDER_LINES
from billfold.grouping import OBJECTS, column_of
from billfold.lines import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from billfold.explanations.past import Past

Key = Mapping[str, Any]

OWNER: Final = "invoice_owner_account_number"
LABELS: Final[Mapping[str, str]] = {
    OWNER: "invoice owner",
    "currency": "currency",
    "bill_to_contact": "bill-to contact",
    "payment_term": "payment term",
    "invoice_template": "invoice template",
    "sequence_set": "sequence set",
    "communication_profile": "communication profile",
    "invoice_separately": "separate subscription",
    "invoice_schedule": "separate schedule",
    "invoice_group_number": "invoice group number",
    "ungrouped": "blank group number",
    "origin": "orders apart",
    "invoice_group_value": "grouping fields",
}
"""What components are called, in the order of the key."""

_DEFAULTS: Final = {"sequence_set": "DEFAULT"}


def components(past: Past, key: Key, carried: Carried) -> tuple[Component, ...]:
    """The components of a group key, in its order; `carried` are what its document's items came from."""
    return tuple(_component(name, Asked(past, key, carried)) for name in key)


@dataclass(frozen=True)
class Asked:
    """What is asked about: a group key, what its document's items came from, and what the run read."""

    past: Past
    key: Key
    carried: Carried


def _component(name: str, of: Asked) -> Component:
    said, sources = _attribute(name, of.carried) if name in {*ATTRIBUTES, "currency"} else _OTHERS[name](of)
    return Component(name, LABELS[name], shown(name, of.key[name]), said, sources)


def shown(name: str, value: Any) -> str | None:  # noqa: ANN401 - whatever the key has
    """A component's value for people: fields joined, order lines and subscriptions named."""
    if value is None:
        return None
    if name == "invoice_group_value":
        return " | ".join("blank" if v is None else str(v) for v in json.loads(value))
    if name == "ungrouped":
        return "/".join(json.loads(value).values())
    return str(value)


def _attribute(name: str, carried: Carried) -> tuple[str, tuple[Source, ...]]:
    """What is resolved: the carrier's own value, else the invoice owner's account's, else the default."""
    account, found = carried.account, dict[tuple[str, str | None], list[Carrier]]()
    inherited = given(account[name])
    for carrier in carried.carriers:
        own = given(carrier.row[name])
        kind = carrier.kind if own else "account" if inherited else "default"
        found.setdefault((kind, own or inherited or _DEFAULTS.get(name)), []).append(carrier)
    sources, texts = [], []
    for (kind, value), carriers in found.items():
        of = {"account": account["account_number"], "default": None}.get(kind, carriers[0].name)
        sources.append(Source(kind, of, name if of else None, value, len(carriers)))
        texts.append(_inherited(kind, value, carriers, account["account_number"]))
    return "; ".join(texts), tuple(sources)


def _inherited(kind: str, value: str | None, carriers: Sequence[Carrier], account: str) -> str:
    things = named(carriers)
    if kind == "account":
        return f"the account's ({account}); {things} {_has(carriers)} none of {_its(carriers)} own"
    if kind == "default":
        which = "the default" if value else "blank"
        return f"{which}: {things} {_has(carriers)} none, nor has the account ({account})"
    return f"{things}: {_its(carriers)} own"


def _owner(of: Asked) -> tuple[str, tuple[Source, ...]]:
    """Who pays: the invoice owner that a carrier names, else the account that has it."""
    found: dict[tuple[str, str], list[Carrier]] = {}
    for carrier in of.carried.carriers:
        field = OWNER if carrier.row[OWNER] else "account_number"
        found.setdefault((carrier.kind, field), []).append(carrier)
    sources = [Source(k, c[0].name, f, c[0].row[f], len(c)) for (k, f), c in found.items()]
    texts = [f"{named(c)}: {_its(c)} {'invoice owner' if f == OWNER else 'account'}" for (_, f), c in found.items()]
    return "; ".join(texts), tuple(sources)


def _separate(of: Asked) -> tuple[str, tuple[Source, ...]]:
    name = "invoice_separately"
    if of.key[name]:
        said = "the subscription asks for documents of its own, which beats group numbers and consolidation"
        return said, (Source("subscription", of.key[name], name, "true"),)
    if any(c.row.get(name) for c in of.carried.carriers):
        return "lines of schedules don't ask their subscription", ()
    return "no subscription here asks for documents of its own", ()


def _schedule(of: Asked) -> tuple[str, tuple[Source, ...]]:
    number = of.key["invoice_schedule"]
    if number:
        source = Source("schedule", number, "invoice_separately", "true")
        return "the invoice schedule asks for documents of its own", (source,)
    if of.carried.schedules:
        return "these invoice schedules ask for no documents of their own", ()
    return "no line comes from an invoice schedule", ()


def _number(of: Asked) -> tuple[str, tuple[Source, ...]]:
    name = "invoice_group_number"
    if of.key["invoice_separately"]:
        return "not asked, since the subscription has documents of its own", ()
    having = [c for c in of.carried.carriers if given(c.row[name])]
    if not having or of.key[name] is None:
        return f"{named(of.carried.carriers)} {_has(of.carried.carriers)} none", ()
    spelled: dict[tuple[str, str], list[Carrier]] = {}
    for carrier in having:
        spelled.setdefault((carrier.kind, carrier.row[name]), []).append(carrier)
    sources = tuple(Source(k, c[0].name, name, v, len(c)) for (k, v), c in spelled.items())
    return f"{named(having)}: {_its(having)} own (capitals and blanks at the ends don't count)", sources


def _origin(of: Asked) -> tuple[str, tuple[Source, ...]]:
    value = of.past.settings["consolidate_invoices"]
    source = (Source("setting", "consolidate_invoices", None, value),)
    if value == "yes":
        return "orders and subscriptions may share a document (setting consolidate_invoices is yes)", source
    if of.key["origin"] is None:
        return "not asked, since the subscription has documents of its own", source
    return "orders and subscriptions share no document (setting consolidate_invoices is no)", source


def _fields(of: Asked) -> tuple[str, tuple[Source, ...]]:
    """The values of the configured fields; they may have other names on the side of orders."""
    configuration, account = of.carried.configuration, of.carried.account["account_number"]
    if configuration is None:
        return f"no grouping configuration applies to the account ({account})", ()
    which = f"configuration {configuration['number']} {configuration['name']!r}"
    which += f", {'the default one' if configuration['is_default'] else 'its own'}"
    sources = tuple(_of_fields(of.key["invoice_group_value"], of.carried))
    if not sources:
        return f"the {which}, names no field for such lines", ()
    fields = ", ".join(dict.fromkeys(f"{s.field} = {'blank' if s.value is None else s.value}" for s in sources))
    return f"{fields} (the {which})", sources


def _of_fields(value: str | None, carried: Carried) -> Iterable[Source]:
    assert carried.configuration is not None  # noqa: S101 - asked before
    values = json.loads(value) if value else []
    for side, is_order in ((CHARGES, False), (ORDER_LINES, True)):
        having = [c for c in carried.carriers if (c.kind == ORDER_LINE) == is_order]
        entries = carried.configuration["parsed"].get(side, ()) if having else ()
        for entry, text in zip(entries, values, strict=False):
            column = column_of(entry["objectType"], entry["field"], carried.columns[OBJECTS[entry["objectType"]]])
            kind = "charge" if entry["objectType"] == "RatePlanCharge" else having[0].kind
            of = None if kind == "charge" else having[0].name
            yield Source(kind, of, f"{entry['objectType']}.{column}", text, len(having))


def _ungrouped(of: Asked) -> tuple[str, tuple[Source, ...]]:
    return ungrouped(of.past, of.key, of.carried)


def given(value: str | None) -> str | None:
    """A text without blanks around it; None when nothing else is left (as `steps.resolve.given`)."""
    return (value or "").strip() or None


def named(carriers: Sequence[Carrier]) -> str:
    """`subscription S-1`, `order line O-1/1`, `3 subscriptions`, `2 subscriptions and 1 order line`."""
    kinds = list(dict.fromkeys(c.kind for c in carriers))
    if len(carriers) == 1:
        return f"{carriers[0].kind} {carriers[0].name}"
    return " and ".join(counted(sum(c.kind == k for c in carriers), k) for k in kinds)


def _has(carriers: Sequence[Carrier]) -> str:
    return "has" if len(carriers) == 1 else "have"


def _its(carriers: Sequence[Carrier]) -> str:
    return "its" if len(carriers) == 1 else "their"


_OTHERS: Final[Mapping[str, Callable[[Asked], tuple[str, tuple[Source, ...]]]]] = {
    OWNER: _owner,
    "invoice_separately": _separate,
    "invoice_schedule": _schedule,
    "invoice_group_number": _number,
    "ungrouped": _ungrouped,
    "origin": _origin,
    "invoice_group_value": _fields,
}
