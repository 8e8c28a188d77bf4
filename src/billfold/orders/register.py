"""Rows that orders read and change: looked up once for all orders of a file, then changed one order at a time.

Whatever an order changes is kept or dropped as a whole, so that a bad one leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import polars as pl

from billfold.contracts import TABLES, columns, keys
from billfold.orders.errors import not_found
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from billfold.book import State

Row = dict[str, Any]
K = TypeVar("K", bound="Hashable")
V = TypeVar("V")

CHANGED: Final = ("accounts", "subscriptions", "rate_plan_charges", "orders", "order_actions", "order_line_items")
"""Tables that orders write, parents first."""

REVIEWED: Final = ("subscriptions", "rate_plan_charges")
"""Those whose changes concern charges that stood before; a new account has none yet."""


class Kept(Generic[K, V]):
    """Values by key. What an order puts in counts for it at once, and for the others once it is kept."""

    def __init__(self, stored: Mapping[K, V]) -> None:
        """Begin with what the book has."""
        self._values = dict(stored)
        self._stored = stored.keys()
        self._fresh: dict[K, V] = {}
        self.changed: dict[K, int] = {}
        """The line of the order that last changed a key, in the order of the first changes."""

    def known(self) -> set[K]:
        """Keys that the book has."""
        return set(self._stored)

    def get(self, key: K) -> V | None:
        """The value as this order sees it."""
        return self._fresh[key] if key in self._fresh else self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """A new value, for this order."""
        self._fresh[key] = value

    def fresh(self) -> Iterator[tuple[K, V]]:
        """What this order has put in so far."""
        yield from self._fresh.items()

    def keep(self, line: int) -> None:
        """This order is done: its values count for all later ones."""
        self._values |= self._fresh
        self.changed |= dict.fromkeys(self._fresh, line)
        self._fresh = {}

    def drop(self) -> None:
        """This order is not done: it changes nothing."""
        self._fresh = {}

    @property
    def replaces(self) -> bool:
        """Whether any changed value was in the book before."""
        return any(key in self._stored for key in self.changed)

    def rows(self) -> list[tuple[V, int]]:
        """Changed values, each with the line of the order that changed it last."""
        return [(self._values[key], line) for key, line in self.changed.items()]


@dataclass
class Wanted:
    """Keys that some orders name, so that nothing else need be read."""

    accounts: set[str] = field(default_factory=set)
    subscriptions: set[str] = field(default_factory=set)
    rate_plans: set[str] = field(default_factory=set)
    catalog_charges: set[str] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    idempotency_keys: set[str] = field(default_factory=set)
    charges: set[str] = field(default_factory=set)
    """Numbers that new charges are to have."""

    lines: set[str] = field(default_factory=set)
    """Order lines that are given back or changed, as `order number/item number`."""


class Register:
    """Rows of all tables that orders touch, and the catalog that they choose from."""

    def __init__(self, state: State, wanted: Wanted) -> None:
        """Read what is wanted from a state of the book."""
        self.state = state
        self.tables: dict[str, Kept[Any, Row]] = {}
        self._read_parties(wanted)
        self._read_charges(wanted)
        self._read_orders(wanted)
        self.numbers = Numbers(state)

    def __getitem__(self, table: str) -> Kept[Any, Row]:
        """Rows of a table, by key; a key of several columns is a tuple."""
        return self.tables[table]

    def put(self, table: str, row: Row) -> None:
        """A new or changed row."""
        self.tables[table].put(self._key(table, row), row)

    def keep(self, line: int) -> None:
        """The order of this line is done."""
        for kept in self._all():
            kept.keep(line)

    def drop(self) -> None:
        """The order is not done."""
        for kept in self._all():
            kept.drop()

    def _all(self) -> Iterator[Kept[Any, Any]]:
        yield from self.tables.values()
        yield from (self.of_subscription, self.returned, self.keys, self.numbers.counters)

    def account(self, number: str, path: str) -> Row:
        """An account that an order names."""
        if (row := self["accounts"].get(number)) is None:
            raise not_found(path, "account", number)
        return row

    def charges_of(self, subscription: str) -> list[Row]:
        """All charge segments of a subscription, in order."""
        names = self.of_subscription.get(subscription) or ()
        return [row for name in names if (row := self["rate_plan_charges"].get(name)) is not None]

    def lines_called(self, line_id: str) -> list[Row]:
        """Lines with this id among those that were wanted; two, if someone numbers lines with slashes."""
        found = (self["order_line_items"].get(name) for name in self._called.get(line_id, ()))
        return [row for row in found if row is not None]

    def knows_charge(self, number: str) -> bool:
        """Whether a charge has this number already."""
        return number in self._taken or self["rate_plan_charges"].get((number, 1)) is not None

    def rate_plan_of(self, charge: Row) -> str | None:
        """The catalog's rate plan that a charge came from, if the catalog still has it."""
        sold = self.catalog.get(charge["product_rate_plan_charge_id"])
        return sold["product_rate_plan_id"] if sold else None

    def add_charge(self, row: Row) -> None:
        """A new segment of a new or known charge."""
        self.put("rate_plan_charges", row)
        names = self.of_subscription.get(row["subscription_number"]) or ()
        self.of_subscription.put(row["subscription_number"], (*names, (row["charge_number"], row["segment"])))

    def _read_parties(self, wanted: Wanted) -> None:
        subscriptions = self._rows("subscriptions", "subscription_number", wanted.subscriptions)
        named = {r[c] for r in subscriptions for c in ("account_number", "invoice_owner_account_number") if r[c]}
        self._store("subscriptions", subscriptions)
        self._store("accounts", self._rows("accounts", "account_number", wanted.accounts | named))
        self.sequence_sets = set(collected(self.state.read("sequence_sets").select("name"))["name"])

    def _read_charges(self, wanted: Wanted) -> None:
        charges = self._rows("rate_plan_charges", "subscription_number", wanted.subscriptions)
        charges.sort(key=lambda r: (r["charge_number"], r["segment"]))
        self._store("rate_plan_charges", charges)
        by: dict[str, tuple[tuple[str, int], ...]] = {}
        for row in charges:
            name = (row["charge_number"], row["segment"])
            by[row["subscription_number"]] = (*by.get(row["subscription_number"], ()), name)
        self.of_subscription: Kept[str, tuple[tuple[str, int], ...]] = Kept(by)
        numbers = {r["charge_number"] for r in charges}
        progress = self._rows("charge_progress", "charge_number", numbers)
        self.billed_through = {(r["charge_number"], r["segment"]): r["charged_through_date"] for r in progress}
        self._store("order_actions", ())
        self._taken = {r["charge_number"] for r in self._rows("rate_plan_charges", "charge_number", wanted.charges)}
        sold = {r["product_rate_plan_charge_id"] for r in charges} - {None}
        self._read_catalog(wanted.rate_plans, wanted.catalog_charges | sold)

    def _read_catalog(self, rate_plans: set[str], charges: set[str]) -> None:
        whole = self._rows("product_rate_plan_charges", "product_rate_plan_id", rate_plans)
        single = self._rows("product_rate_plan_charges", "product_rate_plan_charge_id", charges)
        self.catalog = {r["product_rate_plan_charge_id"]: r for r in (*whole, *single)}
        self.rate_plans: dict[str, list[Row]] = {}
        for charge in sorted(whole, key=lambda r: str(r["product_rate_plan_charge_id"])):
            self.rate_plans.setdefault(charge["product_rate_plan_id"], []).append(charge)

    def _read_orders(self, wanted: Wanted) -> None:
        orders = self._rows("orders", "order_number", wanted.orders)
        keyed = self._rows("orders", "idempotency_key", wanted.idempotency_keys)
        self._store("orders", [*orders, *keyed])
        self.keys: Kept[str, str] = Kept({r["idempotency_key"]: r["order_number"] for r in keyed})
        lines = self._lines(wanted.lines)
        self._store("order_line_items", lines)
        self._called: dict[str, list[tuple[str, str]]] = {}
        for row in lines:
            self._called.setdefault(row.pop("_id"), []).append((row["order_number"], row["item_number"]))
        returned: dict[tuple[str, str], Any] = {}
        for row in self._returns(wanted.lines):
            name = (row["original_order_number"], row["original_item_number"])
            returned[name] = returned.get(name, 0) + row["quantity"]
        self.returned: Kept[tuple[str, str], Any] = Kept(returned)

    def _lines(self, ids: set[str]) -> list[Row]:
        if not ids:
            return []
        lines = self.state.read("order_line_items").with_columns(
            _id=pl.concat_str("order_number", pl.lit("/"), "item_number")
        )
        return collected(Only(among=_series("_id", ids)).of(lines)).to_dicts()

    def _returns(self, ids: set[str]) -> list[Row]:
        """What was given back of these lines before."""
        if not ids:
            return []
        back = (
            self.state.read("order_line_items")
            .filter(pl.col("item_category") == "Return", pl.col("item_state") != "Canceled")
            .select("original_order_number", "original_item_number", quantity=pl.col("quantity").fill_null(1))
            .with_columns(_id=pl.concat_str("original_order_number", pl.lit("/"), "original_item_number"))
        )
        return collected(Only(among=_series("_id", ids)).of(back)).to_dicts()

    def _rows(self, table: str, column: str, values: set[str]) -> list[Row]:
        if not values:
            return []
        return collected(self.state.read(table, Only(among=_series(column, values)))).to_dicts()

    def _store(self, table: str, rows: Iterable[Row]) -> None:
        self.tables[table] = Kept({self._key(table, r): r for r in rows})

    @staticmethod
    def _key(table: str, row: Row) -> Any:  # noqa: ANN401 - a text, or a tuple of several columns
        names = _KEYS[table]
        return row[names[0]] if len(names) == 1 else tuple(row[n] for n in names)


class Numbers:
    """New numbers, each kind counted on from where the book stands; those that a book already has are left out."""

    _KINDS: Final = {
        "account": ("A", "accounts", "account_number"),
        "order": ("O-", "orders", "order_number"),
        "subscription": ("A-S", "subscriptions", "subscription_number"),
        "rate_plan": ("RP-", "rate_plan_charges", "rate_plan_number"),
        "charge": ("C-", "rate_plan_charges", "charge_number"),
    }

    def __init__(self, state: State) -> None:
        """Count on from the counters of a state of the book."""
        self._state = state
        self.counters: Kept[str, int] = Kept({})
        self._given = state.counters()
        self._starts: dict[str, int] = {}

    def new(self, kind: str) -> str:
        """The next number of a kind, such as O-00000001."""
        last = self.counters.get(kind)
        if last is None and kind not in self._starts:
            self._starts[kind] = self._start(kind)
        following = (self._starts[kind] if last is None else last) + 1
        self.counters.put(kind, following)
        return f"{self._KINDS[kind][0]}{following:08d}"

    def after(self) -> dict[str, int]:
        """The counters that have changed."""
        changed = {_counter(kind): self.counters.get(kind) for kind in self.counters.changed}
        return {name: value for name, value in changed.items() if value is not None}

    def _start(self, kind: str) -> int:
        """The last number that was given out, or that someone has loaded; equal lengths sort like numbers."""
        prefix, table, column = self._KINDS[kind]
        given = self._given.get(_counter(kind), 0)
        name = pl.col(column)
        later = self._state.read(table).filter(name > f"{prefix}{given:08d}", name < f"{prefix}:").select(column)
        digits = name.str.strip_prefix(prefix).str.extract(r"^(\d{8,17})$").cast(pl.Int64)
        found = collected(later.select(digits.max())).item()
        return max(given, found or 0)


def _counter(kind: str) -> str:
    """The name of a counter; with a point, so that no prefix of document numbers can be the same."""
    return f"number.{kind}"


def blank(table: str) -> Row:
    """A row of a table that says nothing yet."""
    return dict(_BLANKS[table])


def _series(column: str, values: set[str]) -> pl.Series:
    return pl.Series(column, sorted(values), dtype=pl.String)


_KEYS: Final = {table: keys(TABLES[table]) for table in CHANGED}
_BLANKS: Final = {table: {c.name: c.default for c in columns(TABLES[table]).values()} for table in CHANGED}
