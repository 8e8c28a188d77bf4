"""Laws of several bill runs of one book that changes in between, and agreement with the slow oracle after each.

`LAWS=20 pytest tests/test_histories.py` looks at twenty times as many histories.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from copy import deepcopy
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import oracle
import polars as pl
import pytest
from books import Shelf, asked, books, load_more
from histories import CHANGES, Step, cancel, follow, histories, remove, reprice, use
from hypothesis import assume, event, given
from test_laws import KINDS, documents_of, items_of, laws, parked_of, places_of

from billfold.lifecycle import cancel as cancel_run
from billfold.run import bill, preview

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from billfold.book import Book
    from billfold.lines import Documents

Rows: TypeAlias = dict[str, Any]
Segment: TypeAlias = tuple[str, int]

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
"""A book as it failed is long to print, and worth it."""

ONE_DAY: Final = timedelta(days=1)
MONTH_ENDS: Final = tuple(date(2023 + m // 12, m % 12 + 1, 1) - ONE_DAY for m in range(10, 22))
"""October 2023 to September 2024."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@laws(5)
@given(steps=histories())
def test_every_run_of_a_history_is_the_oracles(shelf: Shelf, steps: Sequence[Step]) -> None:
    state = agreed(shelf, steps)
    event(f"late {len(state.late) > 0}, processed {len(state.usage) > 0}")


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        pytest.param({}, [{"effective_end_date": "2024-01-11"}, {"price": "120"}], id="cut, then repriced"),
        pytest.param({}, [{"effective_end_date": "2024-01-01"}, {"price": "120"}], id="removed, then repriced"),
        pytest.param({}, [{"price": "0"}, {"price": "50"}], id="repriced to nothing and back"),
        pytest.param({}, [{"effective_end_date": "2024-03-11"}, {"effective_end_date": "2024-02-11"}], id="cut twice"),
        pytest.param({}, [{"effective_end_date": "2024-02-11"}, {"effective_end_date": None}], id="cut, then reopened"),
        pytest.param({}, [{"effective_start_date": "2024-01-11"}], id="begun later"),
        pytest.param(
            {"credit_basis": "unused_part"},
            [{"price": "0.01"}, {"effective_end_date": "2024-03-02"}],
            id="a discount of a part that is all",
        ),
        pytest.param(
            {"credit_basis": "unused_part"},
            [{"effective_end_date": "2024-02-11", "price": "70"}, {"price": "71"}],
            id="cut and repriced at once",
        ),
    ],
)
def test_an_awkward_history_is_the_oracles(shelf: Shelf, settings: Rows, changes: Sequence[Rows]) -> None:
    rows = a_discounted_charge(settings)
    steps = [Step({}, rows, date(2024, 3, 31))]
    for change in changes:
        rows = deepcopy(rows)
        rows["rate_plan_charges"][0] |= change
        steps.append(Step({"rate_plan_charges": rows["rate_plan_charges"][:1]}, rows, date(2024, 3, 31)))
    agreed(shelf, steps)


@laws(1)
@given(rows=books(3))
def test_a_year_billed_month_by_month_is_the_year_billed_at_once(shelf: Shelf, rows: Rows) -> None:
    with shelf.holding(rows) as book:
        at_once = preview(book, asked(MONTH_ENDS[-1])).documents
        monthly = [bill(book, asked(target)).documents for target in MONTH_ENDS]
    parked = {account for documents in (at_once, *monthly) for account in parked_of(documents)}
    assert sum((items_of(d, parked) for d in monthly), Counter()) == items_of(at_once, parked)


@laws(2)
@given(steps=histories([c for c in CHANGES if c is not reprice]))
def test_billed_days_of_a_segment_neither_overlap_nor_leave_a_gap(shelf: Shelf, steps: Sequence[Step]) -> None:
    with shelf.holding(steps[0].rows) as book:
        run_all(book, steps)
        billed = spans_of(book, elsewhere(steps[-1].rows))
    skips = steps[-1].rows["settings"]["usage_without_records"] == "skip"
    for (number, segment, kind), spans in billed.items():
        for before, after in pairwise(spans):
            assert before[1] == after[0] or (skips and kind == "Usage" and before[1] < after[0]), (number, segment)


@laws(2)
@given(steps=histories((cancel, cancel, remove, follow, reprice), runs=(2,)))
def test_what_is_billed_and_credited_nets_to_what_was_used(shelf: Shelf, steps: Sequence[Step]) -> None:
    """A run that knew from the start how everything would end bills the same sums, charge by charge."""
    for step in steps:
        step.rows["settings"] |= {"credit_basis": "used_part", "credit_one_time": "yes"}
    with shelf.holding(steps[0].rows) as book:
        documents = run_all(book, steps)
    with shelf.holding(steps[-1].rows) as book:
        informed = preview(book, asked(steps[-1].target)).documents
    parked = {a for d in (*documents, informed) for a in parked_of(d)}
    without = elsewhere(steps[-1].rows)
    assert sums_of(documents, parked, without) == sums_of([informed], parked, without)


@laws(2)
@given(steps=histories())
def test_a_canceled_run_of_a_history_gives_everything_back(shelf: Shelf, steps: Sequence[Step]) -> None:
    with shelf.holding(steps[0].rows) as book:
        earlier = {p: q for d in run_all(book, steps[:-1]) for p, q in places_of(d).items()}
        load_more(book, steps[-1].changed)
        first = bill(book, asked(steps[-1].target))
        assume(first.bill_run_number is not None)
        late = late_of(book, steps[-1].rows)
        cancel_run(book, str(first.bill_run_number))
        second = bill(book, asked(steps[-1].target))
        assert late_of(book, steps[-1].rows) == late
        once = processed_of(book)
    assert documents_of(second.documents, earlier=earlier) == documents_of(first.documents, earlier=earlier)
    assert parked_of(second.documents) == parked_of(first.documents)
    assert max(once.values(), default=1) == 1


@laws(2)
@given(steps=histories((use, use, cancel, follow)))
def test_usage_is_billed_once_or_waits_or_is_late(shelf: Shelf, steps: Sequence[Step]) -> None:
    state = oracle.State()
    with shelf.holding(steps[0].rows) as book:
        run_all(book, steps)
        once, late = processed_of(book), late_of(book)
    for step in steps:
        outcome = oracle.run(step.rows, step.target, state)
        state.commit(outcome)
    known = {u["usage_id"] for u in steps[-1].rows["usage"]}
    assert max(once.values(), default=1) == 1
    assert set(once) == state.usage
    assert not set(once) & late
    assert set(once) | late <= known


# --- ways to look at a history ----------------------------------------------------------------------------------


def agreed(shelf: Shelf, steps: Sequence[Step]) -> oracle.State:
    """Run every step, each as the oracle runs it; what the oracle remembers in the end."""
    state, earlier = oracle.State(), dict[str, tuple[str, int, date]]()
    with shelf.holding(steps[0].rows) as book:
        for step in steps:
            load_more(book, step.changed)
            expected = oracle.run(step.rows, step.target, state)
            found = bill(book, asked(step.target)).documents
            assert set(parked_of(found)) == expected.parked
            assert documents_of(found, earlier=earlier) == expected.documents
            assert late_of(book, step.rows) == expected.late & of_clear_accounts(step.rows)
            earlier |= places_of(found)
            state.commit(expected)
    return state


def a_discounted_charge(settings: Rows) -> Rows:
    """A monthly charge of one account from 2024 on, at half its price."""
    charge = {"segment": 1, "subscription_number": "S", "charge_type": "Recurring", "billing_period": "Month"}
    half = {"charge_model": "DiscountPercentage", "discount_percentage": "50"}
    return {
        "accounts": [{"account_number": "A", "currency": "USD"}],
        "subscriptions": [{"subscription_number": "S", "account_number": "A", "contract_effective_date": "2024-01-01"}],
        "rate_plan_charges": [
            {
                **charge,
                "charge_number": "C",
                "charge_model": "FlatFee",
                "price": "100",
                "effective_start_date": "2024-01-01",
            },
            {**charge, "charge_number": "D", **half},
        ],
        "usage": [],
        "settings": settings,
    }


def run_all(book: Book, steps: Sequence[Step]) -> list[Documents]:
    """Load and run every step; what the runs made."""
    made = []
    for step in steps:
        load_more(book, step.changed)
        made.append(bill(book, asked(step.target)).documents)
    return made


def late_of(book: Book, rows: Rows | None = None) -> set[str]:
    """Usage that the book says is late; with `rows`, of accounts without drafts only."""
    late = set(book.read("late_usage").collect()["usage_id"])
    return late if rows is None else late & of_clear_accounts(rows)


def of_clear_accounts(rows: Rows) -> set[str]:
    """Usage of accounts whose subscriptions can all be billed: a load does not look whether they can."""
    drafts = {s["account_number"] for s in rows["subscriptions"] if s.get("status") in {"Draft", "Expired"}}
    return {u["usage_id"] for u in rows["usage"] if u["account_number"] not in drafts}


def processed_of(book: Book) -> Counter[str]:
    """How often each usage record is on a run that counts."""
    canceled = book.read("bill_runs").filter(status="Canceled").select("bill_run_number")
    rows = book.read("processed_usage").join(canceled, on="bill_run_number", how="anti")
    return Counter(rows.collect()["usage_id"].to_list())


def elsewhere(rows: Rows) -> set[Segment]:
    """Segments that were billed before there was a book."""
    return {(c["charge_number"], c["segment"]) for c in rows["rate_plan_charges"] if c.get("charged_through_date")}


def charge_items(book: Book) -> Iterator[Rows]:
    """Items of periodic charges, amounts as they are owed."""
    for (_, _, items, _), sign in zip(KINDS, (1, -1), strict=True):
        told = book.read(items).filter(pl.col("charge_type").is_in(["Recurring", "Usage"]), processing_type="Charge")
        for row in told.collect().iter_rows(named=True):
            yield {**row, "id": row[f"{items.removesuffix('s')}_id"], "amount": row["amount"] * sign}


def spans_of(book: Book, without: Container[Segment]) -> dict[tuple[str, int, str], list[tuple[date, date]]]:
    """Billed days of each segment, half-open and in order, less those credited; an item of 0 can't show its credit."""
    rows = list(charge_items(book))
    cut = {
        row["applied_to_item_id"]: row["service_start_date"]
        for row in sorted(rows, key=lambda r: r["service_start_date"], reverse=True)
        if row["applied_to_item_id"]
    }
    free = {(r["charge_number"], r["segment"]) for r in rows if not r["amount"]}
    found = defaultdict(list)
    for row in rows:
        key = (row["charge_number"], row["segment"])
        if row["applied_to_item_id"] is None and key not in free and key not in without:
            end = cut.get(row["id"], row["service_end_date"] + ONE_DAY)
            found[*key, row["charge_type"]].append((row["service_start_date"], end))
    return {key: sorted(s for s in spans if s[0] < s[1]) for key, spans in found.items()}


def sums_of(
    made: Sequence[Documents], accounts: Container[str], segments: Container[Segment]
) -> dict[Segment, Decimal]:
    """What every segment of a charge that is not for usage owes all in all, but for some accounts and segments."""
    sums: dict[Segment, Decimal] = defaultdict(Decimal)
    for documents in made:
        for (_, _, items, _), sign in zip(KINDS, (1, -1), strict=True):
            told = getattr(documents, items).filter(
                pl.col("charge_type").is_in(["Recurring", "OneTime"]), processing_type="Charge"
            )
            for row in told.iter_rows(named=True):
                key = (row["charge_number"], row["segment"])
                if row["account_number"] not in accounts and key not in segments:
                    sums[key] += row["amount"] * sign
    return {key: amount for key, amount in sums.items() if amount}
