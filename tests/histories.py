"""Books that change between bill runs: a book, then steps of changes, each with the target date of the run after it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

from books import TARGETS, TERMS_END, books
from charges import ODD_DAYS, Draw, Rows, day, one, terms, usage_of
from hypothesis import strategies as st

Changed: TypeAlias = dict[str, list[Rows]]
"""Rows by table, as they are after a change."""

Change: TypeAlias = Callable[[Draw, Rows], Sequence[tuple[str, Rows]]]
"""Makes the rows, with their tables, that a change replaces or adds."""


@dataclass(frozen=True, repr=False)
class Step:
    """What is loaded, the whole book then, and the run that follows."""

    changed: Changed
    rows: Rows
    target: date
    is_first: bool = False

    def __repr__(self) -> str:
        """What is new, without blanks: whole books in every step would be too long to read, and to print."""
        new = self.rows if self.is_first else self.changed
        told = {table: [_told(r) for r in new[table]] if table in KEYS else new[table] for table in new}
        return f"Step({told}, target={self.target})"


def _told(row: Rows) -> Rows:
    return {name: value for name, value in row.items() if value is not None}


@st.composite
def histories(draw: Draw, kinds: Sequence[Change] | None = None, runs: Sequence[int] = (2, 3, 4)) -> list[Step]:
    """A book's first run, and one to three steps after it, with changes of all kinds or of some."""
    rows = draw(books(3))
    number = one(draw, runs)
    targets = sorted(draw(st.lists(st.sampled_from(TARGETS), min_size=number, max_size=number)))
    steps = [Step({}, copy.deepcopy(rows), targets[0], is_first=True)]
    for target in targets[1:]:
        changed: Changed = {}
        for _ in range(one(draw, (0, 1, 2, 3, 5))):
            for table, row in one(draw, kinds or CHANGES)(draw, rows):
                put(rows[table], table, row)
                put(changed.setdefault(table, []), table, row)
        steps.append(Step(copy.deepcopy(changed), copy.deepcopy(rows), target))
    return steps


KEYS: Final = {
    "subscriptions": ("subscription_number",),
    "rate_plan_charges": ("charge_number", "segment"),
    "usage": ("usage_id",),
}


def put(rows: list[Rows], table: str, row: Rows) -> None:
    """The row in place of the one with its key, or behind the others."""
    there = [n for n, r in enumerate(rows) if all(r.get(k) == row.get(k) for k in KEYS[table])]
    place = there[0] if there else len(rows)
    rows[place : place + 1] = [row]


def cancel(draw: Draw, rows: Rows) -> Sequence[tuple[str, Rows]]:
    """A subscription ends on some day, perhaps within billed periods, or before it began."""
    row = _subscription(draw, rows)
    status = one(draw, (row.get("status"), "Cancelled")) if row.get("status") == "Active" else row.get("status")
    return [("subscriptions", {**row, "status": status, "cancelled_date": _some_day(draw, rows)})]


def extend(draw: Draw, rows: Rows) -> Sequence[tuple[str, Rows]]:
    """A term lasts longer."""
    row = _subscription(draw, rows)
    later = one(draw, TERMS_END)
    return (
        [("subscriptions", {**row, "term_end_date": max(row["term_end_date"], later)})] if row["term_end_date"] else []
    )


def follow(draw: Draw, rows: Rows) -> Sequence[tuple[str, Rows]]:
    """The last segment of a charge ends, and one with other terms follows it."""
    row = _charge(draw, rows, "Recurring")
    if row is None or row.get("effective_start_date") is None:
        return []
    last = max((c for c in rows["rate_plan_charges"] if c["charge_number"] == row["charge_number"]), key=_segment)
    change, end = _some_day(draw, rows), last.get("effective_end_date")
    if change <= last["effective_start_date"] or (end is not None and change >= end):
        return []
    begun = {"segment": last["segment"] + 1, "effective_start_date": change, "charged_through_date": None}
    following = {**last, **terms(draw, "Recurring", last), **begun}
    return [("rate_plan_charges", {**last, "effective_end_date": change}), ("rate_plan_charges", following)]


def remove(draw: Draw, rows: Rows) -> Sequence[tuple[str, Rows]]:
    """A charge is taken off as if it had never been."""
    row = _charge(draw, rows, "Recurring", "OneTime")
    if row is None or row.get("effective_start_date") is None:
        return []
    return [("rate_plan_charges", {**row, "effective_end_date": row["effective_start_date"]})]


def reprice(draw: Draw, rows: Rows) -> Sequence[tuple[str, Rows]]:
    """Price, quantity or tiers become others in place."""
    row = _charge(draw, rows, "Recurring", "OneTime")
    return [] if row is None else [("rate_plan_charges", {**row, **terms(draw, row["charge_type"], row)})]


def use(draw: Draw, rows: Rows) -> Sequence[tuple[str, Rows]]:
    """Further usage, some of it late."""
    records = usage_of(draw, rows, one(draw, rows["accounts"][1:]), "V")
    return [("usage", record) for record in records]


CHANGES: Final[Sequence[Change]] = (cancel, extend, follow, follow, remove, reprice, reprice, use, use)


def _subscription(draw: Draw, rows: Rows) -> Rows:
    """Any but the standing one, if there are others."""
    return dict(one(draw, rows["subscriptions"][1:] or [{**rows["subscriptions"][0], "term_end_date": None}]))


def _charge(draw: Draw, rows: Rows, *kinds: str) -> Rows | None:
    """A charge of some types, but no discount."""
    found = [
        c for c in rows["rate_plan_charges"][1:] if c["charge_type"] in kinds and "Discount" not in c["charge_model"]
    ]
    return dict(one(draw, found)) if found else None


def _some_day(draw: Draw, rows: Rows) -> str:
    within = (date.fromisoformat(one(draw, ODD_DAYS)) + timedelta(days=draw(st.integers(-40, 40)))).isoformat()
    return str(one(draw, (within, day(draw, one(draw, rows["accounts"][1:])))))


def _segment(row: Rows) -> Any:  # noqa: ANN401 - a number
    return row["segment"]
