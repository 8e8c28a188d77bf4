"""Laws that any invoice schedule must keep, on random small books, and agreement with a slow oracle.

`LAWS=20 pytest tests/test_schedule_laws.py` looks at twenty times as many schedules.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from order_inputs import account, action, done, entry, made, order
from schedule_books import (
    IS1,
    Line,
    charges,
    details,
    executed,
    figures,
    items,
    lines,
    nets,
    run,
    scheduled,
    state_of,
    stocked,
)
from schedule_worlds import worlds
from test_laws import laws

from billfold.book import Book
from billfold.lifecycle import cancel
from billfold.replay import replay
from billfold.settings import change
from billfold.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from schedule_oracle import Item, Schedule
    from schedule_worlds import World

    Json = dict[str, Any]

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return Books(tmp_path_factory.mktemp("schedules"))


class Books:
    """Copies of one empty book."""

    def __init__(self, folder: Path) -> None:
        self._empty = folder / "empty"
        Book.create(self._empty).close()

    @contextmanager
    def of(self, world: World) -> Iterator[Book]:
        """A book with what a world sells, and its schedule."""
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copytree(self._empty, Path(scratch) / "book")
            with Book(Path(scratch) / "book") as book:
                change(book, world.settings)
                stocked(book, Path(scratch) / "in", world.rows, accounts=[account(currency=world.currency)])
                assert scheduled(book, world.request) == IS1
                yield book


# --- agreement with the oracle ----------------------------------------------------------------------------------


@laws(8)
@given(world=worlds())
def test_every_item_bills_what_the_oracle_says(books: Books, world: World) -> None:
    """In however many runs; and all sums are those of the oracle after each run."""
    expected = world.schedule()
    event(f"{len(world.charges)} charges, {len(expected.items)} items, {world.rules.consumption}")
    with books.of(world) as book:
        assert [Fraction(i["amount"]) for i in items(book, IS1)] == [i.planned for i in expected.items]
        assert_sums(book, expected)
        billed = 0
        for stop in world.stops:
            run(book, stop)
            while billed < len(world.days) and world.days[billed] <= stop:
                expected.bill()
                billed += 1
            assert_sums(book, expected)
        found = details(book)
        for number, item in enumerate(expected.items, 1):
            of = [r for r in found if r["invoice_schedule_item_id"] == f"{IS1}-{number:04d}"]
            assert told(lines(of)) == item.lines
        assert figures(book, IS1)[2:] == (expected.total, 0)


@laws(5)
@given(world=worlds(most=4), data=st.data())
def test_what_is_removed_is_credited_as_the_oracle_says(books: Books, world: World, data: st.DataObject) -> None:
    """Between two items some charges end earlier. What was billed beyond that is credited, newest items first.

    Not where a cent had to be moved between charges: which of them is credited a cent more is not the oracle's matter.
    """
    expected = world.schedule()
    before = data.draw(st.integers(0, len(world.days)), label="items before")
    cuts = {c.number: data.draw(_cut(c.segments[0].start, c.segments[-1].end)) for c in world.charges if not c.once}
    for _ in range(before):
        expected.bill()
    for charge, day in cuts.items():
        if day:
            expected.cut(charge, day)
            assume(expected.is_even)
    with books.of(world) as book:
        for _ in range(before):
            executed(book, IS1)
        for charge, day in cuts.items():
            if day:
                done(book, removal(world, charge, day))
        assert_sums(book, expected)
        while any(i.actual is None for i in expected.items):
            assert_billed(book, expected.bill)
            assert_sums(book, expected)
        if expected.actual < expected.billed:
            event("credits after all items")
            assert_billed(book, expected.settle)
        assert_sums(book, expected)
        assert figures(book, IS1)[3] == 0


def _cut(start: date, end: date) -> st.SearchStrategy[date | None]:
    days = st.integers(0, (end - start).days - 1).map(lambda n: start + timedelta(days=n))
    within = [d for d in (date(2023, 11, 1), date(2023, 4, 19), date(2024, 1, 1)) if start <= d < end]
    return st.one_of(st.none(), days, *map(st.just, within))


def removal(world: World, charge: str, day: date) -> Json:
    removed = action("RemoveProduct", day, ratePlanId=f"P{charge[1:]}")
    return order(subscriptions=[entry(world.subscription(charge), removed)])


def assert_billed(book: Book, expected: Callable[[], Item]) -> None:
    """Execute what is next: its lines, and the ones that they credit, are the oracle's. Lines of 0 say nothing."""
    earlier = {r["item"] for r in details(book)}
    executed(book, IS1)
    item = expected()
    new = [r for r in details(book) if r["item"] not in earlier]
    assert [x for x in told(lines(new)) if x[3] > 0] == [x for x in item.lines if x[3]]
    assert credited(book, new) == sorted((*b.told[:3], amount) for b, amount in item.credits)
    event(f"credits {bool(item.credits)}, bills {bool(item.bills)}")


def credited(book: Book, new: Sequence[Json]) -> list[tuple[str, date, date, Fraction]]:
    """Of each line that credits another one: the days of that, and the amount."""
    of = {r["item"]: r for r in details(book)}
    found = []
    for row in nets(new):
        if row["amount"] < 0:
            whole = of[row["applied_to_item_id"]]
            first, last = whole["service_start_date"], whole["service_end_date"]
            assert first <= row["service_start_date"] <= row["service_end_date"] == last
            found.append((row["charge_number"], first, last, -Fraction(row["amount"])))
    return sorted(found)


# --- what must not matter, and what must hold -------------------------------------------------------------------


@laws(3)
@given(world=worlds(most=4))
def test_one_run_bills_what_several_executions_do(books: Books, world: World) -> None:
    with books.of(world) as at_once, books.of(world) as one_by_one:
        run(at_once, world.days[-1])
        for _ in world.days:
            executed(one_by_one, IS1)
        assert by_item(at_once) == by_item(one_by_one)
        assert without_runs(at_once) == without_runs(one_by_one)


@laws(3)
@given(world=worlds(most=4))
def test_a_canceled_run_gives_everything_back(books: Books, world: World) -> None:
    """The state from before is there again after each run, and the next run bills what this one billed."""
    with books.of(world) as book:
        for stop in world.stops:
            before = state_of(book)
            number = run(book, stop).bill_run_number
            billed, after = by_item(book), without_runs(book)
            cancel(book, str(number))
            assert state_of(book) == before
            run(book, stop)
            assert by_item(book) == billed
            assert without_runs(book) == after


@laws(2)
@given(world=worlds(most=4), data=st.data())
def test_every_run_replays_and_every_promise_holds(books: Books, world: World, data: st.DataObject) -> None:
    """Also with removals, canceled runs and posted ones."""
    with books.of(world) as book:
        for stop in world.stops:
            receipt = run(book, stop, post=data.draw(st.booleans(), label="posted"))
            if receipt.status != "Posted" and data.draw(st.booleans(), label="canceled"):
                cancel(book, str(receipt.bill_run_number))
            charge = data.draw(st.sampled_from(world.charges), label="removed")
            if not charge.once and data.draw(st.booleans(), label="is removed"):
                made(book, removal(world, charge.number, date(2023, 11, 1)))
        run(book, date(2026, 12, 31))
        for number in book.read("bill_runs").collect()["bill_run_number"]:
            assert replay(book, number).holds
        broken = [(v.promise, v.broken["broken"].to_list()) for v in verify(book) if not v.holds]
        assert broken == []
        assert figures(book, IS1)[3] == 0


def told(found: Sequence[Line]) -> list[tuple[str, date, date, Fraction]]:
    """Lines as the oracle has them."""
    return sorted((x.charge, x.start, x.end, Fraction(x.amount)) for x in found)


def by_item(book: Book) -> dict[str, list[Line]]:
    found = details(book)
    return {
        i["item_id"]: lines([r for r in found if r["invoice_schedule_item_id"] == i["item_id"]])
        for i in items(book, IS1)
    }


def without_runs(book: Book) -> dict[str, list[Json]]:
    """Everything that is known of schedules, but which run did it."""
    named = ("invoice_id", "credit_memo_id", "bill_run_number")
    return {t: [{c: v for c, v in r.items() if c not in named} for r in found] for t, found in state_of(book).items()}


def assert_sums(book: Book, expected: Schedule) -> None:
    """All amounts of the schedule, its items and its charges are the oracle's, and each header adds up."""
    total, actual, billed, unbilled = figures(book, IS1)
    assert billed + unbilled == actual
    assert (Fraction(total), Fraction(actual), Fraction(billed)) == (expected.total, expected.actual, expected.billed)
    assert [Fraction(i["actual_amount"]) for i in items(book, IS1)] == expected.expected()
    for number, charge in charges(book, IS1).items():
        assert (Fraction(charge["actual_amount"]), Fraction(charge["billed_amount"])) == expected.of_charge(number)
