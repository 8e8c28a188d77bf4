"""Rows that orders read and change: looked up once for all orders of a file, then changed one order at a time.

Whatever an order changes is kept or dropped as a whole, so that a bad one leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.contracts import TABLES, columns, keys
from billfold.orders.errors import INVALID, OrderError, not_found
from billfold.orders.kept import Kept
from billfold.orders.numbers import Numbers
from billfold.orders.scheduled import Scheduled
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from billfold.book import State

Row = dict[str, Any]

CHANGED: Final = ("accounts", "subscriptions", "rate_plan_charges", "orders", "order_actions", "order_line_items")
"""Tables that orders write, parents first."""

REVIEWED: Final = ("subscriptions", "rate_plan_charges")
"""Those whose changes concern charges that stood before; a new account has none yet."""


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

    rate_plan_numbers: set[str] = field(default_factory=set)
    """Numbers that rate plans of new subscriptions are to have."""

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
        self._customs: Kept[tuple[str, str], tuple[str, str]] = Kept(self._known_customs())
        named = {
            "account": wanted.accounts,
            "order": wanted.orders,
            "subscription": wanted.subscriptions,
            "rate_plan": wanted.rate_plan_numbers,
            "charge": wanted.charges,
        }
        self.numbers = Numbers(state, named)

    def __getitem__(self, table: str) -> Kept[Any, Row]:
        """Rows of a table, by key; a key of several columns is a tuple."""
        return self.tables[table]

    def put(self, table: str, row: Row) -> None:
        """A new or changed row.

        Raises:
            OrderError: a custom field of it is not what the book has under that name.
        """
        if len(row) > len(_BLANKS[table]):
            self._check_customs(table, row)
        self.tables[table].put(self._key(table, row), row)

    def _known_customs(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Spellings of the book's custom fields, by table and name without regard to case."""
        names = ((t, n) for t in CHANGED for n in self.state.read(t).collect_schema().names() if n.endswith("__c"))
        return {(table, name.casefold()): (name, "") for table, name in names}

    def _check_customs(self, table: str, row: Row) -> None:
        """A custom field keeps its spelling and, from the first order that has it, its kind."""
        for name, value in row.items():
            if value is None or not name.endswith("__c"):
                continue
            kind = _kind(value)
            if not _fits(value):
                said = f"is {value}: whole numbers have at most 18 digits, others 9 behind the point; write it as text."
                raise OrderError(f"customFields.{name}", said, INVALID)
            spelling, known = self._customs.get((table, name.casefold())) or (name, kind)
            if spelling != name:
                raise OrderError(f"customFields.{name}", f"differs only by case from {spelling!r}, which {table} have.")
            if known not in {"", kind} and (known, kind) not in _FITTING:
                raise OrderError(f"customFields.{name}", f"is {kind}, but {table} have {known} under that name.")
            self._customs.put((table, name.casefold()), (spelling, known))

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
        yield from (self.of_subscription, self.rate_plan_numbers, self.returned, self.keys, self._customs)
        yield self.numbers.counters

    def account(self, number: str, path: str) -> Row:
        """An account that an order names, or has to do with.

        Raises:
            OrderError: it is not in the book, or canceled.
        """
        if (row := self["accounts"].get(number)) is None:
            raise not_found(path, "account", number)
        if row["status"] == "Canceled":
            raise OrderError(path, f"names the account {number!r}, which is canceled.")
        return row

    def charges_of(self, subscription: str) -> list[Row]:
        """All charge segments of a subscription, in order."""
        names = self.of_subscription.get(subscription) or ()
        return [row for name in names if (row := self["rate_plan_charges"].get(name)) is not None]

    def lines_called(self, line_id: str) -> list[Row]:
        """Lines with this id among those that were wanted; two, if someone numbers lines with slashes."""
        found = (self["order_line_items"].get(name) for name in self._called.get(line_id, ()))
        return [row for row in found if row is not None]

    def knows_rate_plan(self, number: str) -> bool:
        """Whether a rate plan of a subscription has this number already."""
        return self.rate_plan_numbers.get(number) is not None

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
        self.scheduled = Scheduled.of(self, by)
        numbers = {r["charge_number"] for r in charges}
        progress = self._rows("charge_progress", "charge_number", numbers)
        self.billed_through = {(r["charge_number"], r["segment"]): r["charged_through_date"] for r in progress}
        self._store("order_actions", ())
        self._taken = {r["charge_number"] for r in self._rows("rate_plan_charges", "charge_number", wanted.charges)}
        plans = self._rows("rate_plan_charges", "rate_plan_number", wanted.rate_plan_numbers)
        self.rate_plan_numbers: Kept[str, bool] = Kept({r["rate_plan_number"]: True for r in plans})
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
        there = self._rows("order_line_items", "order_number", wanted.orders)
        self._store("order_line_items", [*there, *lines])
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


def _kind(value: object) -> str:
    """What a custom field's value is, for people."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "a whole number"
    return "a number" if isinstance(value, Decimal) else "text"


def _fits(value: object) -> bool:
    """Whether a column can hold a number of a custom field as it is."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return True
    if isinstance(value, int):
        return abs(value) < _MOST
    return value.adjusted() < _DIGITS and value == round(value, _DECIMALS)


_MOST: Final = 10**18
_DIGITS, _DECIMALS = 19, 9

_FITTING: Final = frozenset({("text", "a whole number"), ("a number", "a whole number")})
"""Kinds of fields, and what they can hold besides their own."""


def blank(table: str) -> Row:
    """A row of a table that says nothing yet."""
    return dict(_BLANKS[table])


def _series(column: str, values: set[str]) -> pl.Series:
    return pl.Series(column, sorted(values), dtype=pl.String)


_KEYS: Final = {table: keys(TABLES[table]) for table in CHANGED}
_BLANKS: Final = {table: {c.name: c.default for c in columns(TABLES[table]).values()} for table in CHANGED}
