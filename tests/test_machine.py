"""The life of a book as a state machine: any order of loads, runs, postings, cancellations, retries, crashes and races.

After every step that changes the book, all of it is compared with a small model (`machine_model`). A part is made of
several lives; the seed and the number of steps are printed. `MACHINE=20 pytest tests/test_machine.py` takes twenty
times as many steps, `MACHINE_SEED=7` other ones.
"""

from __future__ import annotations

import copy
import itertools
import math
import os
from collections import Counter
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import pytest
from books import load_more
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from machine_book import DiedError, everything, request_of, sale_row, seen
from machine_life import RUIN, Command, Life, add_account, first_model, moved
from machine_model import Account, Ask, Model, Record, Sale, first_of

from billfold import Book
from billfold.book import clean, orphans
from billfold.configure import clear, configure
from billfold.errors import ConflictError
from billfold.grouping import InvoiceGroup
from billfold.lifecycle import cancel, post
from billfold.run import bill, preview, retry
from billfold.settings import change

if TYPE_CHECKING:
    from collections.abc import Callable

SCALE: Final = int(os.environ.get("MACHINE", "1"))
SEED: Final = int(os.environ.get("MACHINE_SEED", "20240229"))
PARTS: Final = 4
STEPS_OF_A_LIFE: Final = 50
STEPS_OF_A_PART: Final = 500 * SCALE
"""At least so many; four parts are what one machine with some cores can do at once."""

SPLIT: Final = InvoiceGroup.model_validate(
    {
        "name": "By name",
        "meta": {
            "subscriptionGroup": [{"objectType": "Subscription", "field": "Name"}],
            "orderLineItemGroup": [{"objectType": "OrderLineItem", "field": "ItemName"}],
        },
    }
)
done: Counter[str] = Counter()
"""Steps by rule, since the part began."""


def step(function: Callable[..., None]) -> Callable[..., None]:
    """Count a rule's steps."""

    @wraps(function)
    def counted(*arguments: Any, **drawn: Any) -> None:  # noqa: ANN401 - whatever the rule draws
        done[function.__name__] += 1
        function(*arguments, **drawn)

    return counted


picks = st.integers(0, 10**4)
"""One of those there are when the step is taken."""

asks = st.fixed_dictionaries(
    {},
    optional={
        "accounts": st.lists(picks, min_size=1, max_size=2).map(tuple),
        "batches": st.sampled_from([("Batch1",), ("Batch2",)]),
        "excluded": st.sampled_from([("Recurring",), ("OneTime",), ("Usage",), ("OneTime", "Usage")]),
        "only": st.sampled_from(["subscriptions", "order_lines"]),
    },
)
months_on = st.sampled_from([0, 1, -1, 2])


class LifeOfABook(Life):
    """Rules are what people, programs and bad luck do to a book."""

    # --- data ---------------------------------------------------------------------------------------------------

    @rule(
        set_=st.sampled_from(["", "S2"]), days=st.sampled_from([None, 30]), batch=st.sampled_from(["Batch1", "Batch2"])
    )
    @precondition(lambda self: len(self.model.accounts) < 7)
    @step
    def load_an_account(self, set_: str, days: int | None, batch: str) -> None:
        number = f"N{len(self.model.accounts)}"
        account = Account(number, batch=batch, sequence_set=set_, net_days=days)
        self.execute(self.loading(lambda m: add_account(m, copy.copy(account), self.month)))

    @rule(amount=st.integers(1, 20), pick=picks, is_return=st.sampled_from([False, False, True]))
    @step
    def load_an_order_line(self, amount: int, pick: int, is_return: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        self.execute(self.loading(partial(self.sell, amount, pick, is_return=is_return)))

    @rule(pick=picks, back=st.sampled_from([0, 0, 1, 3]), quantity=st.integers(1, 9))
    @step
    def load_usage(self, pick: int, back: int, quantity: int) -> None:
        """Some of it comes late."""
        charge = self.charge_of("Usage", pick)
        record = Record(charge.number, max(charge.start, self.month - back), quantity)
        self.execute(self.loading(lambda m: m.records.update({f"u{len(m.records)}": record})))

    @rule(pick=picks, kind=st.sampled_from(["Recurring", "Recurring", "OneTime"]), price=st.integers(1, 99))
    @step
    def reprice(self, pick: int, kind: str, price: int) -> None:
        number = self.charge_of(kind, pick).number

        def mutate(model: Model) -> None:
            model.charges[number].price = price

        self.execute(self.loading(mutate))

    @rule(pick=picks, later=st.integers(-2, 2), is_reopened=st.booleans())
    @step
    def end_or_reopen_a_subscription(self, pick: int, later: int, is_reopened: bool) -> None:  # noqa: FBT001 - drawn
        """The fee and the set-up share it."""
        fee = self.charge_of("Recurring", pick)
        end = None if is_reopened else max(fee.start + 1, self.month + later)

        def mutate(model: Model) -> None:
            for charge in model.charges.values():
                if charge.subscription == fee.subscription:
                    charge.end = end

        self.execute(self.loading(mutate))

    @rule(pick=picks)
    @precondition(lambda self: len(self.ruins()) < 3)
    @step
    def break_an_account(self, pick: int) -> None:
        self.execute(self.loading(partial(self.sell, RUIN, pick)))

    @rule(pick=picks, is_priced=st.booleans())
    @precondition(lambda self: self.ruins())
    @step
    def mend_an_account(self, pick: int, is_priced: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """The sale gets another price, or is canceled."""
        ruins = self.ruins()
        number = ruins[pick % len(ruins)]
        changes = {"amount": 3} if is_priced else {"is_open": False}
        self.execute(self.loading(lambda m: m.sales.update({number: replace(m.sales[number], **changes)})))

    # --- runs ---------------------------------------------------------------------------------------------------

    @rule(wish=asks, on=months_on, is_posted=st.booleans())
    @step
    def run(self, wish: dict[str, Any], on: int, is_posted: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        self.last_ask = self.ask(wish, on)
        self.execute(self.billing(self.last_ask, is_posted=is_posted))

    @rule(on=months_on, is_posted=st.booleans())
    @step
    def run_everything(self, on: int, is_posted: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        self.last_ask = self.ask({}, on)
        self.execute(self.billing(self.last_ask, is_posted=is_posted))

    @rule()
    @precondition(lambda self: self.is_answered())
    @step
    def repeat_the_last_request(self) -> None:
        """Nothing is left of it, so nothing is written."""
        assert self.last_ask is not None
        command = self.billing(self.last_ask)
        assert not command.commits
        self.execute(command)

    @rule(on=months_on)
    @step
    def look_at_all_that_is_billable(self, on: int) -> None:
        ask, before = self.ask({}, on), self.book.head()
        self.check_receipt(preview(self.book, request_of(ask)), self.model.expected(ask))
        assert self.book.head() == before

    @rule(pick=picks, days=st.sampled_from([None, None, -3, 40]))
    @precondition(lambda self: any(run.drafts for run in self.model.runs))
    @step
    def post_a_run(self, pick: int, days: int | None) -> None:
        run = self.run_that(pick, lambda r: bool(r.drafts))
        self.execute(self.posting(run, (), moved(run, days)))

    @rule(pick=picks, days=st.sampled_from([None, None, 5]), by_number=st.booleans())
    @precondition(lambda self: any(len(run.drafts) > 1 for run in self.model.runs))
    @step
    def post_some_documents(self, pick: int, days: int | None, by_number: bool) -> None:  # noqa: FBT001 - drawn
        run = self.run_that(pick, lambda r: len(r.drafts) > 1)
        chosen = tuple(d for n, d in enumerate(reversed(run.drafts)) if pick >> n & 1) or (run.drafts[-1],)
        self.execute(self.posting(run, chosen, moved(run, days), by_number=by_number))

    @rule(pick=picks)
    @precondition(lambda self: any(self.model.why_not_cancel(run) is None for run in self.model.runs))
    @step
    def cancel_a_run(self, pick: int) -> None:
        self.execute(self.canceling(self.run_that(pick, lambda r: self.model.why_not_cancel(r) is None)))

    @rule(pick=picks, is_posted=st.booleans())
    @precondition(lambda self: any(run.parked and not run.is_canceled for run in self.model.runs))
    @step
    def retry_a_run(self, pick: int, is_posted: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        run = self.run_that(pick, lambda r: bool(r.parked) and not r.is_canceled)
        self.execute(self.billing(run.ask, is_posted=is_posted, run=run))

    # --- what is refused ----------------------------------------------------------------------------------------

    @rule(pick=picks)
    @precondition(lambda self: any(self.model.why_not_cancel(run) for run in self.model.runs))
    @step
    def cancel_what_can_not_be_canceled(self, pick: int) -> None:
        run = self.run_that(pick, lambda r: self.model.why_not_cancel(r) is not None)
        self.refuse(lambda book: cancel(book, run.number))

    @rule(pick=picks)
    @precondition(lambda self: any(run.status != "Completed" for run in self.model.runs))
    @step
    def post_what_can_not_be_posted(self, pick: int) -> None:
        run = self.run_that(pick, lambda r: r.status != "Completed")
        self.refuse(lambda book: post(book, run.number))

    @rule(pick=picks)
    @precondition(lambda self: any(run.is_canceled or not run.parked for run in self.model.runs))
    @step
    def retry_what_can_not_be_retried(self, pick: int) -> None:
        run = self.run_that(pick, lambda r: r.is_canceled or not r.parked)
        self.refuse(lambda book: retry(book, run.number))

    @rule(pick=picks)
    @precondition(lambda self: self.model.has_drafts())
    @step
    def post_documents_that_are_not_the_runs_drafts(self, pick: int) -> None:
        """Another run's, one that is posted, or one that does not exist, even beside one that could be posted."""
        run = self.run_that(pick, lambda r: bool(r.drafts))
        others = [i for r in self.model.runs for i, d in r.documents.items() if r is not run or d.number]
        wrong = [*others, f"{run.number}-999999", "TMP-INV-99999999"][pick % (len(others) + 2)]
        self.refuse(lambda book: post(book, run.number, documents=(run.drafts[0], wrong)))

    @rule()
    @precondition(lambda self: self.model.has_drafts())
    @step
    def change_the_grouping_under_drafts(self) -> None:
        self.refuse(lambda book: configure(book, SPLIT))

    @rule(what=st.sampled_from(["post", "cancel", "retry", "account", "setting", "row"]))
    @precondition(lambda self: self.asked_wrongly_at != self.compared_at)
    @step
    def ask_for_what_does_not_exist(self, what: str) -> None:
        wrong: dict[str, Callable[[Book], object]] = {
            "post": lambda book: post(book, "BR-99999999"),
            "cancel": lambda book: cancel(book, "BR-99999999"),
            "retry": lambda book: retry(book, "BR-99999999"),
            "account": lambda book: bill(book, request_of(Ask(first_of(0), accounts=("A", "nobody")))),
            "setting": lambda book: change(book, {"consolidate_invoices": "perhaps"}),
            "row": lambda book: load_more(book, {"order_line_items": [sale_row("O1/x", Sale("nobody", 1, 0))]}),
        }
        self.refuse(wrong[what])
        self.asked_wrongly_at = self.compared_at

    # --- bad luck -----------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["bill", "post", "cancel", "retry", "load"]), pick=picks, at=st.integers(0, 199))
    @step
    def die_in_the_middle(self, kind: str, pick: int, at: int) -> None:
        """The book then stands as before or, after the commit, as after it; orphans don't matter."""
        command, before = self.any_command(kind, pick), self.book.head()
        self.mortal.arm(at % self.places.get(kind, 12))
        try:
            result = command.do(self.book)
        except DiedError:
            committed, result = self.mortal.revive(), None
            assert self.book.head().version == before.version + committed
            assert committed or self.book.head() == before
        else:
            committed = True
            self.places[kind] = max(len(self.mortal.reached), 1)
            self.mortal.arm(None)
        if committed:
            command.then(result)

    @rule(kind=st.sampled_from(["bill", "post", "cancel", "retry", "load"]), pick=picks, amount=st.integers(1, 9))
    @step
    def lose_a_race(self, kind: str, pick: int, amount: int) -> None:
        """Another process commits between what the command read and what it writes."""
        command, rival = self.any_command(kind, pick), self.loading(partial(self.sell, amount, pick))
        commit, raced = self.book.commit, []

        def too_late(*arguments: Any) -> Any:  # noqa: ANN401 - those of Book.commit
            with Book(self.mortal.folder) as other:
                rival.do(other)
                raced.append(other.head())
            return commit(*arguments)

        with mock.patch.object(self.book, "commit", too_late):
            if not command.commits:
                self.execute(command)
                return
            with pytest.raises(ConflictError):
                command.do(self.book)
        assert [self.book.head()] == raced
        rival.then(None)

    @rule()
    @step
    def clean_up(self) -> None:
        """Orphans go, and nothing else."""
        there = set(self.mortal.folder.rglob("*.parquet"))
        found, before = orphans(self.book), self.book.head().version
        assert set(clean(self.book)) == set(found)
        assert set(self.mortal.folder.rglob("*.parquet")) == there - {Path(p.address) for p in found}
        assert not orphans(self.book)
        assert self.book.head().version == before + bool(found)

    # --- rules of the book, and readers -------------------------------------------------------------------------

    @rule()
    @step
    def change_a_setting(self) -> None:
        self.execute(self.setting(is_consolidated=not self.model.is_consolidated))

    @rule()
    @step
    def change_nothing(self) -> None:
        """A setting that is as asked for, and rows that are there, are not written."""
        self.execute(self.setting(is_consolidated=self.model.is_consolidated))
        self.execute(self.loading(lambda _: None))

    @rule()
    @precondition(lambda self: not self.model.has_drafts())
    @step
    def change_the_grouping(self) -> None:
        is_split = not self.model.is_split
        do: Callable[[Book], object] = partial(configure, group=SPLIT) if is_split else clear

        def then(_: object) -> None:
            self.model.is_split = is_split

        self.execute(Command(do, then))

    @rule()
    @precondition(lambda self: self.compared_at and self.compared_at[1] not in self.readers)
    @step
    def reader_comes(self) -> None:
        """Once to every snapshot at most."""
        snapshot = self.book.head().snapshot_id
        self.readers[snapshot] = seen(self.book, snapshot)

    @rule(pick=picks)
    @precondition(lambda self: self.readers)
    @step
    def reader_looks_again(self, pick: int) -> None:
        snapshot = list(self.readers)[pick % len(self.readers)]
        assert seen(self.book, snapshot) == self.readers[snapshot]


@pytest.fixture(scope="module")
def first_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book that holds the first model, to be copied for every life."""
    folder = tmp_path_factory.mktemp("first") / "book"
    with Book.create(folder) as book:
        load_more(book, everything(first_model()))
    return folder


@pytest.mark.parametrize("part", range(PARTS))
def test_a_book_lives_as_the_model_says(part: int, first_book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done.clear()
    run_state_machine_as_test(
        seed(SEED + part)(lives(first_book)),
        settings=settings(
            max_examples=math.ceil(STEPS_OF_A_PART / STEPS_OF_A_LIFE) + 1,
            stateful_step_count=STEPS_OF_A_LIFE,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )
    with capsys.disabled():
        steps = ", ".join(f"{name} {count}" for name, count in done.most_common())
        print(f"\nMACHINE_SEED={SEED}, part {part}: {done.total()} steps ({steps})")  # noqa: T201 - to be read
    assert done.total() >= STEPS_OF_A_PART


def lives(first_book: Path) -> Any:  # noqa: ANN401 - Hypothesis asks for a class where it takes a function
    """Begins lives. The first one that Hypothesis tries, the simplest, repeats a rule or two and is cut short."""
    begun = itertools.count()
    return lambda: LifeOfABook(first_book, is_cut_short=next(begun) == 0)
