"""New numbers of accounts, orders, subscriptions, rate plans, charges and invoice schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.orders.kept import Kept
from billfold.rows import collected

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from billfold.book import State


class Numbers:
    """Each kind is counted on from where the book stands; numbers that someone else gave are left out."""

    _KINDS: Final = {
        "account": ("A", (("accounts", "account_number"),)),
        "order": ("O-", (("orders", "order_number"), ("order_line_items", "order_number"))),
        "subscription": ("A-S", (("subscriptions", "subscription_number"),)),
        "rate_plan": ("RP-", (("rate_plan_charges", "rate_plan_number"),)),
        "charge": ("C-", (("rate_plan_charges", "charge_number"),)),
        "schedule": ("IS-", (("invoice_schedules", "number"),)),
    }

    def __init__(self, state: State, named: Mapping[str, Collection[str]]) -> None:
        """Count on from the counters of a state of the book, past numbers that orders name themselves, by kind."""
        self._state = state
        self._named = named
        self._given = state.counters()
        self._starts: dict[str, int] = {}
        self.counters: Kept[str, int] = Kept({})

    def new(self, kind: str) -> str:
        """The next number of a kind, such as O-00000001."""
        following = self._last(kind) + 1
        while (number := f"{self._KINDS[kind][0]}{following:08d}") in self._named.get(kind, ()):
            following += 1
        self.counters.put(kind, following)
        return number

    def after(self) -> dict[str, int]:
        """The counters that have changed."""
        return {_counter(kind): value for kind, value in self.counters.changed().items()}

    def _last(self, kind: str) -> int:
        last = self.counters.get(kind)
        if last is None:
            if kind not in self._starts:
                self._starts[kind] = self._start(kind)
            last = self._starts[kind]
        return last

    def _start(self, kind: str) -> int:
        """The last number that was given out, or that someone has loaded; equal lengths sort like numbers."""
        prefix, places = self._KINDS[kind]
        given = self._given.get(_counter(kind), 0)
        found = [given]
        for table, column in places:
            name = pl.col(column)
            later = self._state.read(table).filter(name > f"{prefix}{given:08d}", name < f"{prefix}:").select(column)
            digits = name.str.strip_prefix(prefix).str.extract(r"^(\d{8,17})$").cast(pl.Int64)
            found.append(collected(later.select(digits.max())).item() or 0)
        return max(found)


def _counter(kind: str) -> str:
    """The name of a counter; with a point, so that no prefix of document numbers can be the same."""
    return f"number.{kind}"
