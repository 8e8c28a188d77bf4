"""Laws that any sequence of orders must keep, on random small books, and agreement with a slow oracle.

`LAWS=20 pytest tests/test_order_laws.py` looks at twenty times as many sequences.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from inputs import state, write_rows
from order_inputs import action, as_json, change, content, line, order, subscribe
from order_worlds import ACCOUNTS, BILLING, CATALOG, DAYS, PLAIN, TODAY, Kind, World, fresh_oracle, worlds
from test_laws import laws

from billfold.book import Book
from billfold.contracts import TABLES, columns
from billfold.intake import load
from billfold.orders.create import Answer, create
from billfold.orders.models import CreateOrder, PreviewOrder, UpdateOrderLines
from billfold.orders.parsing import parsed
from billfold.orders.previews import preview
from billfold.orders.show import show
from billfold.orders.update import update
from billfold.replay import replay
from billfold.requests import RunRequest
from billfold.run import bill
from billfold.verify import verify

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from order_oracle import Oracle
    from order_worlds import Json

RUN: Final = frozenset(("request", "response", "bill_run_number", "idempotency_key"))
IDS: Final = frozenset(
    ("bill_run_number", "invoice_id", "invoice_number", "credit_memo_id", "credit_memo_number", "invoice_item_id",
     "credit_memo_item_id", "applied_to_item_id", "group_key")
)  # fmt: skip
DRAFTS: Final = frozenset(("status", "invoice_number", "credit_memo_number", "posting", "due_date"))
"""What posting writes."""
KINDS: Final = (
    ("invoice", "invoices", "invoice_items"),
    ("credit_memo", "credit_memos", "credit_memo_items"),
)
NUMBERED: Final = (
    ("orders", "order_number", "O-"),
    ("subscriptions", "subscription_number", "A-S"),
    ("rate_plan_charges", "rate_plan_number", "RP-"),
    ("rate_plan_charges", "charge_number", "C-"),
    ("invoices", "invoice_number", "INV"),
    ("credit_memos", "credit_memo_number", "CM"),
)
CHANGED: Final = ("accounts", "subscriptions", "rate_plan_charges", "order_line_items", "order_actions", "orders")
FINAL: Final = date(2024, 12, 31)
"""Later than everything that orders name."""

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return Books(tmp_path_factory.mktemp("orders"))


class Books:
    """Copies of one book that has accounts and a catalog."""

    def __init__(self, folder: Path) -> None:
        self._stocked = folder / "stocked"
        with Book.create(self._stocked) as book:
            _load(book, folder, accounts=ACCOUNTS, product_rate_plan_charges=CATALOG)

    @contextmanager
    def fresh(self) -> Iterator[Book]:
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copytree(self._stocked, Path(scratch) / "book")
            with Book(Path(scratch) / "book") as book:
                yield book


# --- agreement with the oracle ----------------------------------------------------------------------------------


@laws(6)
@given(world=worlds(Kind(), most=6))
def test_subscriptions_charges_and_lines_are_the_oracles(books: Books, world: World) -> None:
    oracle = fresh_oracle()
    with books.fresh() as book:
        for step in world.steps:
            if "orderDate" in step:
                expected = oracle.do(step)
                (answer,) = ordered(book, step)
                event(f"order {answer.success}")
                assert answer.body.get("orderNumber") == expected, answer.body
            else:
                body = updated(book, step)
                assert body["success"] == oracle.update(step["orderLineItems"]), body
        assert_same(found_in(book), expected_of(oracle))
        for order, item in oracle.lines:
            lines = {line["itemNumber"]: line for line in show(book, order)["order"]["orderLineItems"]}
            assert lines[item]["quantityAvailableForReturn"] == oracle.available((order, item))


# --- one by one, in a file, and as a preview --------------------------------------------------------------------


@laws(3)
@given(world=worlds(Kind(named=True, billed=2), most=5))
def test_a_file_of_orders_does_what_they_do_one_by_one(books: Books, world: World) -> None:
    with books.fresh() as one_by_one, books.fresh() as at_once:
        single = [ordered(one_by_one, order)[0] for order in world.orders]
        together = ordered(at_once, *world.orders)
        named = names_in(one_by_one), names_in(at_once)
        assert [told(a, named[1]) for a in together] == [told(a, named[0]) for a in single]
        for table in CHANGED:
            assert left_by(at_once, table) == left_by(one_by_one, table), table
        assert documents_in(at_once) == documents_in(one_by_one)


@laws(4)
@given(world=worlds(Kind(billed=1), least=1, most=4), options=st.sampled_from(BILLING))
def test_a_preview_is_what_creating_gives_and_changes_nothing(books: Books, world: World, options: Json) -> None:
    *before, last = world.steps
    assume("orderDate" in last)
    asked = last | {"processingOptions": {"runBilling": True, **options}}
    with books.fresh() as book:
        played(book, before)
        untouched = state(book)
        shown = preview(book, parsed(content(asked), PreviewOrder)[0][0], today=TODAY)
        assert state(book) == untouched
        (answer,) = ordered(book, asked)
        if not answer.success or shown.documents is None:
            assert shown.body == answer.body
            return
        run = show(book, answer.body["orderNumber"])["order"].get("billRunNumber")
        assert shown_of(shown.body["previewResult"]) == made_by(book, run)
        for kind, *tables in KINDS:
            for table in tables:
                made = [cells(r, DRAFTS) for r in rows_of(book, table) if r[f"{kind}_id"].startswith(run or "none")]
                drafts = getattr(shown.documents, table).to_dicts()
                assert sorted(made) == sorted(cells(r, DRAFTS) for r in drafts)


# --- bills ------------------------------------------------------------------------------------------------------


@laws(2)
@given(
    world=worlds(Kind(plans=PLAIN, transfers=False, lines=False, nonsense=False), most=4),
    targets=st.lists(st.sampled_from(DAYS), min_size=4, max_size=4),
)
def test_bills_along_the_way_add_up_to_the_bill_of_what_is_left(
    books: Books, world: World, targets: Sequence[str]
) -> None:
    """Of recurring flat fees and per-unit charges in advance, up to a day behind all changes.

    Others differ rightly: one-time charges that are removed are not credited, usage and discounts that change are not
    billed again, another payer has another grid, and what ends behind the target date is not credited yet.
    """
    with books.fresh() as along, books.fresh() as at_last:
        for step, target in zip(world.steps, sorted(targets), strict=False):
            played(along, [step])
            bill(along, asked_up_to(date.fromisoformat(target)))
        bill(along, asked_up_to(FINAL))
        rows = {t: loadable(along, t) for t in ("subscriptions", "rate_plan_charges")}
        assume(rows["rate_plan_charges"].height)
        _load(at_last, at_last.folder.parent, **rows)
        bill(at_last, asked_up_to(FINAL))
        assert owed(along) == owed(at_last)


# --- refusals and repetitions -----------------------------------------------------------------------------------


@laws(3)
@given(world=worlds(Kind(billed=1), most=5))
def test_a_refused_order_leaves_no_trace_and_the_same_order_again_gives_the_same_answer(
    books: Books, world: World
) -> None:
    with books.fresh() as book:
        for place, step in enumerate(world.steps):
            before = state(book)
            if "orderDate" not in step:
                assert updated(book, step)["success"] or state(book) == before
                continue
            asked = step if place % 2 and "orderNumber" in step else {**step, "idempotencyKey": f"key {place}"}
            (answer,) = ordered(book, asked)
            assert answer.success or state(book) == before
            after = state(book)
            (again,) = ordered(book, asked)
            assert as_json(again.body) == as_json(answer.body)
            assert again.repeated == answer.success
            assert state(book) == after
        assert_gapless(book)


@laws(2)
@given(world=worlds(Kind(billed=3), most=4))
def test_every_run_of_orders_replays_and_every_promise_holds(books: Books, world: World) -> None:
    with books.fresh() as book:
        played(book, world.steps)
        for number in book.read("bill_runs").collect()["bill_run_number"]:
            assert replay(book, number).holds
        broken = [(v.promise, v.broken["broken"].to_list()) for v in verify(book) if not v.holds]
        assert broken == []


# --- what random sequences seldom meet --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["order", "subscription", "account", "charge"])
def test_a_number_that_a_file_names_is_not_given_to_anything_else(books: Books, kind: str) -> None:
    with books.fresh() as one_by_one, books.fresh() as at_once:
        orders = NAMING[kind]
        single = [ordered(one_by_one, order)[0] for order in orders]
        together = ordered(at_once, *orders)
        assert [a.body for a in together] == [a.body for a in single]
        assert all(a.success for a in together)
        assert rows_of(at_once, "orders") == rows_of(one_by_one, "orders")


@pytest.mark.parametrize("number", [{}, {"orderNumber": "O-00000001"}])
def test_no_two_lines_have_one_number_if_lines_were_loaded_without_their_order(books: Books, number: Json) -> None:
    loaded = {"order_number": "O-00000001", "item_number": "1", "account_number": "A-1", "amount_per_unit": "7"}
    with books.fresh() as book:
        _load(book, book.folder.parent, order_line_items=[loaded])
        ordered(book, order("A-1", orderLineItems=[line()], **number))
        names = [(r["order_number"], r["item_number"]) for r in rows_of(book, "order_line_items")]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("region", ["Region__c", "region__c"])
def test_a_custom_field_that_does_not_fit_is_the_fault_of_its_order_alone(books: Books, region: str) -> None:
    """Of another type than before, or spelled otherwise."""
    orders = [order("A-1", orderLineItems=[line()], customFields=c) for c in ({"Region__c": 1}, {region: "x"}, {})]
    with books.fresh() as one_by_one, books.fresh() as at_once:
        single = [ordered(one_by_one, o)[0].success for o in orders]
        assert (single[0], single[2]) == (True, True)
        assert [a.success for a in ordered(at_once, *orders)] == single


def test_an_order_that_the_contracts_refuse_does_not_stop_a_later_one_of_its_subscription(books: Books) -> None:
    endless = {"productRatePlanChargeId": "fee", "billing": {"billingPeriod": "Specific_Months"}}
    bad = subscribe({"productRatePlanId": "FEE", "chargeOverrides": [endless]}, number="S-1")
    with books.fresh() as book:
        assert [a.success for a in ordered(book, bad, subscribe(number="S-1"))] == [False, True]


def test_a_bad_change_is_not_laid_at_the_door_of_a_later_change(books: Books) -> None:
    with books.fresh() as book:
        first = subscribe(number="S-1")
        first["subscriptions"][0]["customFields"] = {"Region__c": 1}
        ordered(book, first)
        bad = change("S-1", action("TermsAndConditions", autoRenew=True))
        bad["subscriptions"][0]["customFields"] = {"Region__c": "x"}
        good = change("S-1", action("TermsAndConditions", paymentTerm="Net 60"))
        assert [a.success for a in ordered(book, bad, good)] == [False, True]


def test_a_discount_of_the_account_waits_for_an_earlier_order_that_bills_it_to_another_payer(books: Books) -> None:
    """The owner of both subscriptions, whose discount it is, is named by neither order."""
    owned = {"subscriptionOwnerAccountNumber": "A-3", "currency": "EUR"}
    made = [subscribe(number="S-1", **owned), subscribe(number="S-2", **owned) | {"existingAccountNumber": "A-2"}]
    billed = change("S-1", action("TermsAndConditions", autoRenew=True), bill="2024-01-31")
    then = change(
        "S-2", action("AddProduct", productRatePlanId="LESS", chargeOverrides=[OF_ACCOUNT]), account_number="A-2"
    )
    with books.fresh() as one_by_one, books.fresh() as at_once:
        for book in (one_by_one, at_once):
            assert all(a.success for a in ordered(book, *made))
        assert all(ordered(one_by_one, o)[0].success for o in (billed, then))
        assert all(a.success for a in ordered(at_once, billed, then))
        assert documents_in(at_once) == documents_in(one_by_one)


OF_ACCOUNT: Final = {"productRatePlanChargeId": "off", "pricing": {"discount": {"discountLevel": "account"}}}
_NEW_ACCOUNT: Final = {
    "name": "New", "currency": "EUR", "billCycleDay": 1, "billToContact": {"firstName": "Ray", "lastName": "O"},
}  # fmt: skip
_OF_NEW: Final = {"orderDate": "2024-01-01", "orderLineItems": [line()]}
NAMING: Final[Mapping[str, Sequence[Json]]] = {
    "order": [order(n, orderLineItems=[line()], **f) for n, f in (("A-1", {"orderNumber": "O-00000001"}), ("A-2", {}))],
    "subscription": [subscribe(number="A-S00000001"), subscribe()],
    "account": [
        _OF_NEW | {"newAccount": _NEW_ACCOUNT | {"accountNumber": "A00000001"}},
        _OF_NEW | {"newAccount": _NEW_ACCOUNT},
    ],
    "charge": [
        subscribe({
            "productRatePlanId": "BASE",
            "chargeOverrides": [{"productRatePlanChargeId": "seats", "chargeNumber": "C-00000001"}],
        })
    ],
}  # fmt: skip
"""Orders, the first of which names a number that the next one would otherwise be given."""


# --- how a book is asked ----------------------------------------------------------------------------------------


def ordered(book: Book, *orders: Json) -> list[Answer]:
    return create(book, parsed(content(*orders), CreateOrder)[0], today=TODAY)


def updated(book: Book, asked: Json) -> dict[str, Any]:
    return update(book, parsed(content(asked), UpdateOrderLines)[0][0], today=TODAY)


def played(book: Book, steps: Sequence[Json]) -> None:
    for step in steps:
        if "orderDate" in step:
            ordered(book, step)
        else:
            updated(book, step)


def asked_up_to(target: date) -> RunRequest:
    return RunRequest(target_date=target, invoice_date=target)


def _load(book: Book, folder: Path, **tables: Sequence[Json] | pl.DataFrame) -> None:
    for name, rows in tables.items():
        path = folder / f"{name}.parquet"
        if isinstance(rows, pl.DataFrame):
            rows.write_parquet(path)
        else:
            path = write_rows(folder / f"{name}.csv", rows)
        load(book, [f"{name}={path}"])


# --- what a book holds ------------------------------------------------------------------------------------------


def loadable(book: Book, table: str) -> pl.DataFrame:
    """A table without what billfold alone may write."""
    return book.read(table).collect().drop(c.name for c in columns(TABLES[table]).values() if c.is_own)


def rows_of(book: Book, table: str) -> list[Json]:
    return book.read(table).collect().to_dicts()


def cells(row: Json, without: Container[str] = ()) -> tuple[tuple[str, str], ...]:
    """What a row says, so that rows can be compared; columns that it leaves blank say nothing."""
    return tuple(sorted((c, str(v)) for c, v in row.items() if c not in without and v is not None))


def left_by(book: Book, table: str) -> Counter[Any]:
    """The rows of a table, without what depends on runs and on the parts of a file."""
    named = names_in(book)
    found: Counter[Any] = Counter()
    for row in rows_of(book, table):
        rest = row.get("suspension")
        text = {"charge_number": named.get(row.get("charge_number", "")), "suspension": rest and renamed(rest, named)}
        found[cells(row | {c: v for c, v in text.items() if c in row}, RUN)] += 1
    return found


def names_in(book: Book) -> dict[str, str]:
    """Charges by what they are of, since parts of a file may give them their numbers in another order."""
    return {
        row["charge_number"]: f"{row['rate_plan_number']}/{row['product_rate_plan_charge_id']}"
        for row in rows_of(book, "rate_plan_charges")
    }


def renamed(text: str, named: Mapping[str, str]) -> str:
    return re.sub(r"C-\d{8}", lambda found: named.get(found[0], "C"), text)


def told(answer: Answer, named: Mapping[str, str]) -> Json:
    """An answer; of its documents, only how many they are."""
    kinds = ("invoiceNumbers", "creditMemoNumbers")
    body = {n: len(v) if n in kinds else v for n, v in answer.body.items()}
    told: Json = json.loads(renamed(json.dumps(body), named))
    return told


def documents_in(book: Book) -> Counter[Any]:
    """All documents with their items, whatever their runs and numbers are."""
    named = names_in(book)
    found: Counter[Any] = Counter()
    for kind, headers, items in KINDS:
        by: dict[str, Counter[Any]] = defaultdict(Counter)
        for row in rows_of(book, items):
            by[row[f"{kind}_id"]][cells(row | {"charge_number": named.get(row["charge_number"])}, IDS)] += 1
        for row in rows_of(book, headers):
            found[kind, cells(row, IDS), frozenset(by[row[f"{kind}_id"]].items())] += 1
    return found


def shown_of(result: Json) -> Counter[Any]:
    """Documents of a preview's answer."""
    found: Counter[Any] = Counter()
    for name, items in (("invoices", "invoiceItems"), ("creditMemos", "creditMemoItems")):
        for document in result.get(name, ()):
            held = Counter(
                (
                    i["serviceStartDate"], i["serviceEndDate"], i["amountWithoutTax"], i["chargeName"],
                    i["processingType"], i["unitPrice"], i["orderLineItemNumber"], i["additionalInfo"]["quantity"],
                )
                for i in document[items]
            )  # fmt: skip
            found[name, document["amount"], document["targetDate"], frozenset(held.items())] += 1
    return found


def made_by(book: Book, run: str | None) -> Counter[Any]:
    """The same of a run's documents in the book."""
    found: Counter[Any] = Counter()
    for name, (kind, headers, items) in zip(("invoices", "creditMemos"), KINDS, strict=True):
        rows = rows_of(book, items)
        for document in rows_of(book, headers):
            held = Counter(
                (
                    i["service_start_date"], i["service_end_date"], i["amount"], i["charge_name"],
                    i["processing_type"], i["unit_price"], i["item_number"], i["quantity"],
                )
                for i in rows if i[f"{kind}_id"] == document[f"{kind}_id"]
            )  # fmt: skip
            if document["bill_run_number"] == run:
                found[name, document["amount"], document["target_date"], frozenset(held.items())] += 1
    return found


def owed(book: Book) -> dict[str, Decimal]:
    """What recurring charges were billed, less what was credited."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for table, sign in (("invoice_items", 1), ("credit_memo_items", -1)):
        for row in rows_of(book, table):
            if row["charge_type"] == "Recurring":
                found[row["charge_number"]] += sign * row["amount"]
    return {charge: amount for charge, amount in found.items() if amount}


def assert_gapless(book: Book) -> None:
    for table, column, prefix in NUMBERED:
        numbers = {row[column] for row in rows_of(book, table)}
        given = sorted(int(n.removeprefix(prefix)) for n in numbers if n and n.startswith(prefix))
        assert given == list(range(1, len(given) + 1)), column


def found_in(book: Book) -> Json:
    """What the oracle reckons, as the book has it."""
    lines = rows_of(book, "order_line_items")
    for row in lines:
        row["origin"] = (row["original_order_number"], row["original_item_number"])
    return {
        "subscriptions": {r["subscription_number"]: r for r in rows_of(book, "subscriptions")},
        "charges": {(r["charge_number"], r["segment"]): r for r in rows_of(book, "rate_plan_charges")},
        "lines": {(r["order_number"], r["item_number"]): r for r in lines},
        "actions": {
            (r["order_number"], r["sequence"]): (r["subscription_number"], r["type"], r["effective_date"])
            for r in rows_of(book, "order_actions")
        },
    }


def assert_same(found: Json, expected: Json) -> None:
    for table, rows in expected.items():
        assert found[table].keys() == rows.keys(), table
        for name, row in rows.items():
            assert alike(found[table][name], row) == row, (table, name)


def expected_of(oracle: Oracle) -> Json:
    return {
        "subscriptions": {n: {c: v for c, v in r.items() if c != "rest"} for n, r in oracle.subscriptions.items()},
        "charges": {(s["charge_number"], s["segment"]): s for s in oracle.segments()},
        "lines": oracle.lines,
        "actions": {action[:2]: action[2:] for action in oracle.actions},
    }


def alike(found: Any, expected: Any) -> Any:  # noqa: ANN401 - a row or a tuple
    """What was found, of what is expected; equal numbers are equal, however they are written."""
    if not isinstance(expected, dict):
        return found
    return {column: _alike(found.get(column), value) for column, value in expected.items()}


def _alike(found: object, expected: object) -> object:
    is_equal = isinstance(found, Decimal) and expected is not None and found == Decimal(str(expected))
    return expected if is_equal else found
