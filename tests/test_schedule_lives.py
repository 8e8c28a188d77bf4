"""Whatever is done to a schedule, in whatever order: sums hold, refusals change nothing, promises hold at the end.

`LAWS=20 pytest tests/test_schedule_lives.py` looks at twenty times as many lives.
"""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from order_inputs import action, entry, made, order
from schedule_books import (
    IS1,
    attached,
    charges,
    detached,
    executed,
    figures,
    header,
    items,
    kept,
    only,
    rows,
    run,
    state_of,
    updated,
)
from schedule_worlds import worlds
from test_laws import laws
from test_schedule_laws import Books

from billfold.errors import BillfoldError
from billfold.lifecycle import cancel, post
from billfold.replay import replay
from billfold.schedules.update import pause, resume
from billfold.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from schedule_worlds import World

    from billfold import Book

    Json = dict[str, Any]

DAYS: Final = tuple(date(2023, 1, 4) + timedelta(days=n) for n in (0, 30, 100, 290, 301, 360, 420, 800))

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return Books(tmp_path_factory.mktemp("lives"))


@laws(3)
@given(world=worlds(most=3), data=st.data())
def test_whatever_is_done_every_promise_holds(books: Books, world: World, data: st.DataObject) -> None:
    with books.of(world) as book:
        life = Life(book, world, data)
        for name in data.draw(st.lists(st.sampled_from(NAMES), min_size=3, max_size=9), label="steps"):
            life.step(name)
        assert_promises(book)


@laws(2)
@given(world=worlds(most=3), data=st.data())
def test_what_is_left_is_billed_at_last(books: Books, world: World, data: st.DataObject) -> None:
    """However it came to that: a run after all dates leaves nothing open, and every charge has what it is to have.

    Items of a schedule that has no charges any more wait for one to come back.
    """
    with books.of(world) as book:
        life = Life(book, world, data)
        for name in data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6), label="steps"):
            life.step(name)
        if header(book, IS1)["status"] == "Paused":
            resume(book, IS1)
        run(book, date(2040, 1, 1))
        waits = all(row["is_detached"] for row in charges(book, IS1).values())
        assert waits or header(book, IS1)["status"] == "FullyProcessed"
        assert figures(book, IS1)[3] == 0
        cents = world.rules.step * len(world.charges)
        for row in charges(book, IS1).values():
            assert abs(row["actual_amount"] - row["billed_amount"]) <= cents
        assert_promises(book)


def assert_promises(book: Book) -> None:
    assert [n for n in book.read("bill_runs").collect()["bill_run_number"] if not replay(book, n).holds] == []
    assert [(v.promise, v.broken["broken"].to_list()) for v in verify(book) if not v.holds] == []


class Life:
    """A schedule, and who decides what happens to it next."""

    def __init__(self, book: Book, world: World, data: st.DataObject) -> None:
        self.book, self.world, self.data = book, world, data

    def step(self, name: str) -> None:
        """Do something; if it is refused, nothing has changed. All sums hold afterwards."""
        before = state_of(self.book)
        try:
            body = STEPS[name](self)
        except BillfoldError as e:
            body = {"success": False, "reasons": str(e)}
        refused = isinstance(body, dict) and body.get("success") is False
        event(f"{name} {'refused' if refused else 'done'}")
        if refused:
            assert state_of(self.book) == before, body
        self.assert_sums()

    def assert_sums(self) -> None:
        total, actual, billed, unbilled = figures(self.book, IS1)
        of = charges(self.book, IS1).values()
        assert billed + unbilled == actual
        assert sum(r["actual_amount"] for r in of) == actual
        assert sum(r["billed_amount"] for r in of) == billed
        planned = items(self.book, IS1)
        assert sum(i["actual_amount"] for i in planned if i["status"] == "Processed") == billed
        pending = [i for i in planned if i["status"] != "Processed"]
        assert not pending or sum(i["actual_amount"] for i in planned) == actual
        assert total > 0
        assert [i["sequence_number"] for i in planned] == list(range(1, len(planned) + 1))

    def chosen(self, options: Any) -> Any:  # noqa: ANN401 - whatever is drawn
        return self.data.draw(st.sampled_from(sorted(options)))

    def runs(self, status: str) -> list[str]:
        return sorted(r["bill_run_number"] for r in rows(self.book, "bill_runs", status=status))

    def run(self) -> object:
        return run(self.book, self.chosen(DAYS), post=self.data.draw(st.booleans()))

    def execute(self) -> object:
        return executed(self.book, IS1, post=self.data.draw(st.booleans()))

    def cancel(self) -> object:
        for number in self.runs("Completed")[-1:]:
            cancel(self.book, number)
        return None

    def post(self) -> object:
        return [post(self.book, number) for number in self.runs("Completed")]

    def pause(self) -> object:
        return (pause if self.data.draw(st.booleans()) else resume)(self.book, IS1)

    def _link(self) -> Json:
        charge = self.chosen(c.number for c in self.world.charges)
        return {**only(charge)[0], "subscriptionKey": self.world.subscription(charge)}

    def detach(self) -> object:
        return detached(self.book, IS1, self._link())

    def attach(self) -> object:
        return attached(self.book, IS1, self._link())

    def remove(self) -> object:
        charge = self.chosen(c.number for c in self.world.charges)
        day = self.data.draw(st.sampled_from(DAYS))
        removed = action("RemoveProduct", day, ratePlanId=f"P{charge[1:]}")
        (body,) = made(self.book, order(subscriptions=[entry(self.world.subscription(charge), removed)]))
        return body

    def reprice(self) -> object:
        """A new price from the beginning of the charge."""
        charge = self.chosen(c.number for c in self.world.charges if not c.once) if self._recurring() else None
        if charge is None:
            return None
        (of,) = (c for c in self.world.charges if c.number == charge)
        priced = {"chargeNumber": charge, "pricing": {"recurringFlatFee": {"listPrice": self.chosen((700, 900))}}}
        changed = action("UpdateProduct", of.segments[-1].start, ratePlanId=f"P{charge[1:]}", chargeUpdates=[priced])
        (body,) = made(self.book, order(subscriptions=[entry(self.world.subscription(charge), changed)]))
        return body

    def _recurring(self) -> bool:
        return any(not c.once for c in self.world.charges)

    def replan(self) -> object:
        """Move a step from the last pending item to the one before, or one day of the last date."""
        sent = kept(self.book, IS1)
        statuses = [i["status"] for i in items(self.book, IS1)]
        if statuses.count("Pending") > 1 and not self.world.percentages and self.data.draw(st.booleans()):
            step = self.world.rules.step
            sent[-1]["amount"], sent[-2]["amount"] = (
                str(float(Fraction(sent[n]["amount"]) + sign * step)) for n, sign in ((-1, -1), (-2, 1))
            )
        elif self.world.percentages:
            for plan, item in zip(sent, items(self.book, IS1), strict=True):
                plan.pop("amount")
                plan["percentage"] = item["percentage"]
        sent[-1]["runDate"] = str(date.fromisoformat(sent[-1]["runDate"]) + timedelta(days=1))
        return updated(self.book, IS1, scheduleItems=sent)


STEPS: Final[dict[str, Callable[[Life], object]]] = {
    "run": Life.run,
    "execute": Life.execute,
    "cancel": Life.cancel,
    "post": Life.post,
    "pause or resume": Life.pause,
    "detach": Life.detach,
    "attach": Life.attach,
    "remove": Life.remove,
    "reprice": Life.reprice,
    "replan": Life.replan,
}

NAMES: Final = (*["run", "execute"] * 3, *["remove", "cancel", "detach"] * 2, *STEPS)
"""What happens, some of it more often."""
