"""Derived cases, whose inputs are rows already."""

from __future__ import annotations

import json

from rating_examples.case import START, Book, Row, Stated, Step, Told
from rating_examples.tables import account, charge, discount, outcome, subscription


def as_tables(told: Told) -> list[Book]:
    """A derived case whose inputs are rows already: what the columns here say is changed, step by step."""
    first = told.inputs.take("start", START)
    by, of = account(**told.inputs.take("account", {})), subscription(first, **told.inputs.take("subscription", {}))
    known: dict[tuple[str, int], Row] = {}
    steps, results = [], told.expected.take("steps")
    for n, (given, result) in enumerate(zip(told.inputs.take("steps"), results, strict=True)):
        stated = Stated(f"{told.case.id}, step {n + 1}", given)
        of = of | stated.take("subscription", {})
        rows = [row_of(known, row, first) for row in stated.take("charges", [])]
        loaded = {"accounts": [] if n else [by], "subscriptions": [of], "rate_plan_charges": rows}
        used = [{"account_number": "ACC", **r} for r in stated.take("usage", [])]
        done = {k: v for k, v in result.items() if k not in {"items", "documents"}}
        whole = outcome(result["items"], result.get("documents"), **done) if "items" in result else result
        steps.append(Step({**loaded, "usage": used}, stated.take("target_date"), whole, stated.of("invoice_date")))
        stated.close()
    settings, told.settings.left = told.settings.left, {}
    return [Book("book", steps, settings)]


def row_of(known: dict[tuple[str, int], Row], stated: Row, start: str) -> Row:
    """A charge's row: a new one, or the one before with changes."""
    changed = {name: json.dumps(value) if name == "tiers" else value for name, value in stated.items()}
    key = (stated.get("charge_number", "CHARGE"), stated.get("segment", 1))
    new = discount("", None, start) if "discount_percentage" in stated else charge(start)
    known[key] = known.get(key, new) | changed
    return known[key]
