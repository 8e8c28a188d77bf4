"""The nearest other document of a run and account, and in what it differs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.explanations.components import LABELS, shown
from billfold.explanations.models import Difference, Neighbour
from billfold.explanations.stored import headers, key_of
from billfold.explanations.texts import DOCUMENTS, listed
from billfold.group_values import CHARGES, ORDER_LINES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from billfold.explanations.carriers import Carried

    Read = Callable[..., pl.LazyFrame]
    Row = Mapping[str, Any]


def nearest(read: Read, document: Row, carried: Carried) -> Neighbour | None:
    """Of the account's other documents of the run, the one that differs in the fewest components.

    On ties it is the closest in the order of ids, which is the order of the components, and of two the earlier.
    """
    account = pl.Series("account_number", [document["account_number"]])
    of_run = pl.col("bill_run_number") == document["bill_run_number"]
    others = headers(read, account, of_run, pl.col("document_id") != document["document_id"])
    if others.is_empty():
        return None
    key = json.loads(document["group_key"])
    place = int((others["document_id"] < document["document_id"]).sum())
    counted = [
        (len(_differing(key, json.loads(text))), place - n if n < place else n - place + 1, n)
        for n, text in enumerate(others["group_key"])
    ]
    row = others.row(min(counted)[2], named=True)
    here, there = key_of(document), key_of(row)
    names = _differing(key, json.loads(row["group_key"]))
    found = tuple(d for n in names for d in _differences(n, here[n], there[n], carried))
    return Neighbour(row["document_id"], row["document_number"], row["kind"], found, others.height)


def _differing(here: Row, there: Row) -> list[str]:
    """The components in which two keys differ, by name."""
    return [name for name in here if here[name] != there.get(name)]


def _differences(name: str, here: str | None, there: str | None, carried: Carried) -> Iterator[Difference]:
    """How a component differs: grouping fields one by one, if both documents have values."""
    if name != "invoice_group_value" or here is None or there is None:
        yield Difference(name, shown(name, here), shown(name, there))
        return
    for field, one, other in zip(_fields(carried), json.loads(here), json.loads(there), strict=False):
        if one != other:
            yield Difference(name, one, other, field)


def _fields(carried: Carried) -> list[str]:
    """The grouping fields, by the names that they have on the side of charges, else of order lines."""
    parsed = carried.configuration["parsed"] if carried.configuration else {}
    return [entry["field"] for entry in max((parsed.get(side, ()) for side in (CHARGES, ORDER_LINES)), key=len)]


def rule_of(document: Row, neighbour: Neighbour | None) -> str:
    """What set the document apart, in a sentence."""
    if neighbour is None:
        of = f"the only document of account {document['account_number']} in {document['bill_run_number']}"
        return f"It is {of}: everything that was owed shares it."
    number = neighbour.document_number
    if not neighbour.differences:
        other = DOCUMENTS[neighbour.kind]
        return f"Apart from {number}, which has the lines of the same group that go to the {other}."
    reasons = listed([_reason(d) for d in neighbour.differences])
    return f"Apart from {number}, because {reasons}."


def _reason(difference: Difference) -> str:
    """One difference, as an accountant would say it."""
    here, there = difference.here or "blank", difference.there or "blank"
    match difference.name:
        case "invoice_separately" if difference.here:
            said = f"subscription {here} is invoiced separately"
        case "invoice_separately":
            said = f"subscription {there} is invoiced separately there"
        case "invoice_schedule" if difference.here:
            said = f"invoice schedule {here} is invoiced separately"
        case "invoice_schedule":
            said = f"invoice schedule {there} is invoiced separately there"
        case "ungrouped":
            said = f"lines without a group number stay alone ({here} here, {there} there)"
        case "origin":
            said = f"orders and subscriptions are not consolidated ({there} there, {here} here)"
        case "invoice_group_value":
            said = f"{difference.field or 'the grouping fields'} {_are(difference)} {there} there and {here} here"
        case name:
            said = f"the {LABELS[name]} is {there} there and {here} here"
    return said


def _are(difference: Difference) -> str:
    return "is" if difference.field else "are"
