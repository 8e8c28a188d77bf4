"""What a template gets: one document as data, raw and as texts (docs/render.md has the words for it)."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from billfold.money import CURRENCIES
from billfold.render.addresses import party
from billfold.render.texts import amount, day, exact, money, number, period

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from billfold.render.papers import Paper
    from billfold.render.style import Style

Row = dict[str, Any]
_LISTED: Final = 6
_MONEY: Final = ("amount", "unit_price")
_OPTIONAL: Final = ("quantity", "unit_price")
"""Columns of the table that are left out where no item has a value."""


def model(paper: Paper, style: Style) -> Row:
    """One document as a template gets it: plain JSON values, decimals and dates as text."""
    header, words = paper.header, style.words
    currency = header["currency"]
    owner = paper.account["name"] or header["account_number"]
    bill_to = party(header["bill_to_contact"], paper.contacts, owner, style)
    places = _sold_to(paper, bill_to, style)
    applied = list(dict.fromkeys(filter(None, map(paper.applies_to, paper.items))))
    items = [_item(item, paper, places, style, note_others=len(applied) > 1) for item in paper.items]
    return {
        "kind": paper.kind,
        "title": words[paper.kind],
        "watermark": {"Draft": words["draft"], "Canceled": words["canceled"]}.get(header["status"]),
        "document": _raw(header, currency) | {"text": _header_texts(header, style)},
        "account": _raw(paper.account, currency),
        "sender": style.sender,
        "bill_to": bill_to,
        "sold_to": list(places.values()),
        "facts": list(_facts(paper, applied, style)),
        "columns": _columns(paper.items),
        "headings": {c: words[c] for c in ("description", "period", *_OPTIONAL)}
        | {"amount": f"{words['amount']} ({currency})"},
        "sections": _sections(items, currency, style),
        "totals": list(_totals(paper, style)),
        "words": style.words,
        "format": style.formats,
        "custom": style.custom,
    }


def _raw(row: Mapping[str, Any], currency: str) -> Row:
    """A row's values for programs: money with the currency's decimals, no idle zeros elsewhere."""
    return {k: _plain(v, CURRENCIES[currency] if k in _MONEY else 0) for k, v in row.items()}


def _plain(value: object, decimals: int = 0) -> object:
    if isinstance(value, Decimal):
        return exact(value, decimals)
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _header_texts(header: Mapping[str, Any], style: Style) -> Row:
    dates = ("document_date", "due_date", "target_date")
    said = {d: day(header[d], style) if header[d] else "" for d in dates}
    return said | {"amount": money(header["amount"], header["currency"], style)}


def _sold_to(paper: Paper, bill_to: Mapping[str, Any], style: Style) -> dict[str, Row]:
    """Places of use by name, in the order of items, but for the one that the document is sent to anyway."""
    names = dict.fromkeys(i["sold_to_contact"] for i in paper.items if i["sold_to_contact"])
    found = {name: party(name, paper.contacts, None, style) for name in names}
    same = len(found) == 1 and next(iter(found.values()))["lines"] in (bill_to["lines"], bill_to["lines"][1:])
    return {} if same else found


def _facts(paper: Paper, applied: Sequence[str], style: Style) -> Iterable[Row]:
    """What the document says of itself beside the addresses: labels and texts; blanks are left out."""
    header, words = paper.header, style.words
    texts = _header_texts(header, style)
    sources = list(dict.fromkeys(_source(i) for i in paper.items))
    of_one = [(kind, source) for kind, source in sources if len(sources) == 1 and source]
    said = [
        ("date", texts["document_date"]),
        ("due_date", texts["due_date"]),
        ("payment_term", header["payment_term"]),
        ("account", header["account_number"]),
        ("currency", header["currency"]),
        *of_one,
        ("group_number", header["invoice_group_number"]),
        ("group_value", header["invoice_group_value"]),
        ("credit_for", _listed(applied, style)),
    ]
    return ({"label": words[name], "text": text} for name, text in said if text)


def _listed(numbers: Sequence[str], style: Style) -> str:
    """The first numbers, and how many more there are; each is noted at its items."""
    more = len(numbers) - _LISTED
    said = ", ".join(numbers[:_LISTED])
    return f"{said} {style.words['more'].replace('{count}', str(more))}" if more > 0 else said


def _source(item: Mapping[str, Any]) -> tuple[str, str | None]:
    """The subscription or order that an item comes from."""
    if item["subscription_number"]:
        return "subscription", item["subscription_number"]
    return "order", item["order_number"]


def _item(item: Mapping[str, Any], paper: Paper, places: Mapping[str, Row], style: Style, *, note_others: bool) -> Row:
    """An item: its raw values, texts, how deep it is indented, and notes below its description.

    Which other document it belongs to is noted where there are several.
    """
    words, currency = style.words, paper.header["currency"]
    inside = item["applied_to_item_id"] in paper.item_ids
    other = paper.applies_to(item) if note_others else None
    place = places.get(item["sold_to_contact"]) if len(places) > 1 else None
    notes = [
        *([f"{words['credit_for']} {other}"] if other else []),
        *([f"{words['sold_to']}: {', '.join(place['lines'])}"] if place else []),
    ]
    return _raw(item, currency) | {"level": int(inside), "notes": notes, "text": _item_texts(item, currency, style)}


def _item_texts(item: Mapping[str, Any], currency: str, style: Style) -> Row:
    quantity, price = item["quantity"], item["unit_price"]
    counted = "" if quantity is None else number(quantity, style)
    named = item["charge_name"] or item["charge_number"] or f"{item['order_number']} / {item['item_number']}"
    return {
        "description": named,
        "period": period(item["service_start_date"], item["service_end_date"], style),
        "quantity": f"{counted} {item['uom']}" if counted and item["uom"] else counted,
        "unit_price": "" if price is None else amount(price, currency, style),
        "amount": amount(item["amount"], currency, style),
    }


def _columns(items: Sequence[Mapping[str, Any]]) -> list[str]:
    filled = [c for c in _OPTIONAL if any(i[c] is not None for i in items)]
    return ["description", "period", *filled, "amount"]


def _sections(items: Sequence[Row], currency: str, style: Style) -> list[Row]:
    """Items by subscription or order, in the order of their first item; one without a title where there is but one."""
    grouped: dict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for item in items:
        grouped[_source(item)].append(item)
    return [_section(source, of_it, len(grouped) > 1, currency, style) for source, of_it in grouped.items()]


def _section(source: tuple[str, str | None], items: Sequence[Row], several: bool, currency: str, style: Style) -> Row:  # noqa: FBT001 - whether there are others
    kind, name = source
    total = sum((Decimal(i["amount"]) for i in items), Decimal(0))
    return {
        "kind": kind,
        "number": name,
        "title": f"{style.words[kind]} {name or ''}".strip() if several else None,
        "amount": exact(total, CURRENCIES[currency]),
        "items": items,
        "text": {"subtotal": amount(total, currency, style) if several and len(items) > 1 else None},
    }


def _totals(paper: Paper, style: Style) -> Iterable[Row]:
    """What the items sum up to: by charges, discounts and credits where there are several kinds, then the whole."""
    currency, memo = paper.header["currency"], paper.kind == "credit_memo"
    kinds = ("credits", "discounts", "charges") if memo else ("charges", "discounts", "credits")
    of_kind = {k: [i["amount"] for i in paper.items if _kind(i, memo=memo) == k] for k in kinds}
    present = {k: sum(amounts, Decimal(0)) for k, amounts in of_kind.items() if amounts}
    if len(present) > 1:
        for kind, value in present.items():
            yield _total(kind, value, amount(value, currency, style), style, main=False)
    whole = paper.header["amount"]
    yield _total("total_credit" if memo else "total", whole, money(whole, currency, style), style, main=True)


def _total(name: str, value: Decimal, text: str, style: Style, *, main: bool) -> Row:
    return {"name": name, "label": style.words[name], "amount": exact(value), "text": text, "main": main}


def _kind(item: Mapping[str, Any], *, memo: bool) -> str:
    """What an item is to the customer; a credit memo gives back what is above zero."""
    if item["processing_type"] == "Discount":
        return "discounts"
    return "charges" if (item["amount"] < 0) == memo else "credits"
