"""How explain says that amounts came about; and that, made again, every amount is the stored one."""

from __future__ import annotations

import json
import shutil
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from books import Shelf, asked, load_more
from conftest import ROOT, Command
from histories import Step as Change
from histories import histories
from hypothesis import event, given
from inputs import write_rows
from schedule_books import SAME_TERM, YEAR, discount, fee, run, scheduled, shares, stocked
from test_laws import laws
from test_rating_examples import BOOKS, FOLDER

from billfold import Book, RunRequest, bill, create_order
from billfold.book import State
from billfold.explanations.api import explain
from billfold.explanations.items import item_why
from billfold.explanations.past import past
from billfold.explanations.stored import items
from billfold.intake import load
from billfold.settings import change

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from billfold.explanations.models import ItemWhy, Step

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


def every_item(book: Book) -> list[ItemWhy]:
    """The explanations of all items of a book."""
    now, found = State.of(book), []
    for number in now.read("bill_runs").collect()["bill_run_number"].sort():
        own = items(now.read, pl.col("document_id").str.starts_with(number))
        read = past(book, number)
        found += [item_why(now, read, row) for row in own.iter_rows(named=True)]
    return found


def differing(found: Sequence[ItemWhy]) -> list[tuple[str, str, Decimal, Decimal | None]]:
    """Items of which the amount, made again, is another one, or that have no steps."""
    return [(i.item_id, i.kind, i.amount, i.recomputed) for i in found if not i.agrees or not i.steps]


def step(why: ItemWhy, name: str) -> Step:
    return next(s for s in why.steps if s.name == name)


# --- a small business -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of a small business: usage, discounts, tiers, proration, a cancellation, more seats."""
    with Book(shutil.copytree(empty_book, tmp_path_factory.mktemp("filled") / "book")) as book:
        load(book, [str(ROOT / "data" / "saas" / "start")])
        bill(book, asked(date(2024, 2, 15)), post=True)
        load(book, [str(ROOT / "data" / "saas" / "february")])
        bill(book, asked(date(2024, 3, 1)))
        return book.folder


@pytest.fixture(scope="module")
def saas(filled: Path) -> Iterator[list[ItemWhy]]:
    with Book(filled, read_only=True) as book:
        yield every_item(book)


def test_every_amount_made_again_is_the_stored_one(saas: list[ItemWhy]) -> None:
    assert len(saas) == 21
    assert differing(saas) == []


def found(saas: Sequence[ItemWhy], charge: str, amount: str) -> ItemWhy:
    return next(i for i in saas if charge in i.what and i.amount == Decimal(amount))


def test_usage_is_priced_tier_by_tier(saas: list[ItemWhy]) -> None:
    why = found(saas, "acme-calls", "102")
    assert step(why, "usage").values == {"records": 2, "quantity": 11500, "units": 11500}
    assert [r["usage_id"] for r in step(why, "usage").rows] == ["u-1", "u-2"]
    tiers = [(r["above"], r["up_to"], r["price"], r["units"], r["amount"]) for r in step(why, "tiers").rows]
    assert tiers == [
        (0, 1000, 0, 1000, 0),
        (1000, 10000, Decimal("0.01"), 9000, 90),
        (10000, None, Decimal("0.008"), 1500, 12),
    ]


def test_a_part_of_a_month_says_its_days_and_its_rounding(saas: list[ItemWhy]) -> None:
    why = found(saas, "acme-seats segment 1", "212.90")
    assert [s.name for s in why.steps] == ["price", "period", "proration", "rounding", "discounts"]
    assert step(why, "price").said == "12 seat at 25.00 = 300.00 for a whole billing period (Month)."
    assert step(why, "proration").values["part"] == "22 of 31 days"
    assert step(why, "rounding").said == ("212.903225806… is rounded to USD 212.90, half away from zero to 0.01.")
    assert step(why, "discounts").values == {"off": Decimal("-21.29"), "net": Decimal("191.61")}


def test_a_part_of_a_quarter_says_its_months(saas: list[ItemWhy]) -> None:
    assert step(found(saas, "acme-platform", "70.97"), "proration").values["part"] == "22/31 of 3 months"


def test_a_discount_says_its_percent_and_its_base(saas: list[ItemWhy]) -> None:
    why = found(saas, "acme-partner", "-7.10")
    assert why.kind == "discount"
    assert step(why, "discount").said == "10 % off Platform Proration (USD 70.97) = 7.097."


def test_a_credit_names_the_earlier_item_and_why(saas: list[ItemWhy]) -> None:
    why = found(saas, "acme-seats segment 1", "-186.21")
    assert why.kind == "credit"
    assert step(why, "earlier").values["item_id"] == "BR-00000001-000001-000008"
    assert step(why, "reason").said == "Since then the segment ends on 2024-02-12 (exclusive)."
    assert "its used part is 11 of 29 days: 113.793103448…, rounded to USD 113.79" in step(why, "worth").said
    assert step(why, "difference").values["now"] == Decimal("113.79")


def test_a_discount_is_credited_in_step(saas: list[ItemWhy]) -> None:
    why = found(saas, "acme-partner", "18.62")
    assert why.kind == "discount credit"
    assert step(why, "difference").values["rest"] == Decimal("-11.38")


def test_the_command_shows_the_steps_and_the_check(filled: Path, quick: Command) -> None:
    page = quick("--book", filled, "explain", "BR-00000001-000001-000001", "--rows").out
    assert "check      Made again from what the run read: USD 102.00, as the item says." in page
    assert "   2    1,000   10,000    0.01   PerUnit        9,000    90.00" in page
    assert "usage_id        u-2" in page
    told = quick("--book", filled, "explain", "BR-00000001-000001-000001", "--json").json()["item"]
    assert (told["amount"], told["recomputed"], told["agrees"]) == ("102.00", "102.00", True)
    assert json.loads(json.dumps(told["steps"]))[1]["rows"][1]["amount"] == "90.00"


# --- documented cases -------------------------------------------------------------------------------------------


CASES: Final = {
    "CM-TIEREDOVERAGE-X2/book": ("charge", "tiers", "units beyond the last cost the overage price"),
    "CM-OVERAGE-X3/book": ("charge", "price", "included leaves"),
    "CM-VOLUME-2/book": ("charge", "tiers", "the tier that holds all units prices them all"),
    "CM-PRERATED-UNIT/book": ("charge", "price", "bring their own prices"),
    "CREDIT-METHOD-OLD/book": ("credit", "difference", "The unused part is given back"),
    "DISC-STACK-X1/book": ("discount", "discount", "% off"),
    "X-OPENING-CREDIT-PERIODS/book": ("credit", "earlier", "was billed before billfold"),
    "X-PRICE-UP/book": ("credit", "reason", "its terms changed: price"),
    "X-START-LATER/book": ("credit", "reason", "the segment starts on"),
    "X-ONE-TIME-REMOVED-YES/book": ("credit", "reason", "the one-time charge was removed"),
    "X-USAGE-ROUNDED-UP/book": ("charge", "usage", "rounded from"),
    "X-WEEKS-PER-WEEK/book": ("charge", "price", "a week"),
}
"""Cases that are billed run by run, and what a step of an item of some kind says."""


@pytest.mark.parametrize("case", CASES)
def test_a_documented_case_is_explained(case: str, book: Book) -> None:
    name, rows = BOOKS[case]
    change(book, rows.get("settings", {}))
    for each in rows["steps"]:
        if "load" in each:
            load(book, [str(FOLDER / name / each["load"])])
        target = date.fromisoformat(each["run"]["target_date"])
        bill(book, RunRequest(target_date=target, invoice_date=target), post=True)
    explained = every_item(book)
    assert differing(explained) == []
    kind, of, said = CASES[case]
    assert [said in step(i, of).said for i in explained if i.kind == kind].count(True) > 0, [
        s.said for i in explained for s in i.steps
    ]


def test_an_order_line_says_its_list_price_and_discount(book: Book, tmp_path: Path) -> None:
    line = {"order_number": "O", "item_number": "1", "account_number": "A", "quantity": "3",
            "item_state": "SentToBilling", "list_price_per_unit": "9.99", "discount_type": "Percentage",
            "discount": "12.5", "bill_target_date": "2024-01-01"}  # fmt: skip
    account = {"account_number": "A", "currency": "JPY"}
    load(book, [f"{t}={write_rows(tmp_path / f'{t}.csv', [r])}" for t, r in
                (("accounts", account), ("order_line_items", line))])  # fmt: skip
    bill(book, asked(date(2024, 1, 1)))
    why = explain(book, "BR-00000001-000001-000001").item
    assert why is not None
    assert [s.said for s in why.steps] == [
        "3 units at 8.74125 (list price 9.99 less 12.5 %) = 26.22375.",
        "26.22375 is rounded to JPY 26.00, half away from zero to 1.",
    ]
    assert why.agrees


def test_orders_of_the_same_commit_are_part_of_what_the_run_read(book: Book) -> None:
    load(book, [str(ROOT / "data" / "orders" / "start")])
    assert create_order(book, (ROOT / "data" / "orders" / "hybrid.json").read_bytes(), today=date(2024, 3, 1))[
        "success"
    ]
    explained = every_item(book)
    assert differing(explained) == []
    assert {i.kind for i in explained} == {"charge", "order line"}
    why = explain(book, explained[0].item_id)
    assert why.summary.endswith("made again from what the run read, it is the same.")
    assert {"accounts", "subscriptions", "rate_plan_charges"} == {r.table for r in why.rows}


def test_items_of_schedules_say_their_share(book: Book, tmp_path: Path) -> None:
    off = discount("D1", 12.5, *YEAR, "S1", discount_level="subscription")
    stocked(book, tmp_path / "in", [*SAME_TERM, off])
    scheduled(book, shares([("2023-02-04", 50), ("2023-05-01", 30), ("2023-09-16", 20)]))
    run(book, "2023-02-04", post=True)
    load(book, [f"rate_plan_charges={write_rows(tmp_path / 'less.csv', [fee('C2', 1000, *YEAR)])}"])
    run(book, "2023-05-01", post=True)
    explained = every_item(book)
    assert differing(explained) == []
    assert {i.kind for i in explained} == {"schedule share", "schedule discount", "schedule credit"}
    assert step(explained[0], "schedule").said == (
        "Invoice schedule IS-00000001, item 1, due on 2023-02-04, bills USD 32,793.75 in all."
    )
    assert step(explained[0], "share").values["taken"] == Decimal("16143.75")
    (credit,) = (i for i in explained if i.kind == "schedule credit")
    assert step(credit, "credit").values["credit"] == 9750
    rows = {r.table for r in explain(book, explained[0].item_id).rows}
    assert {"invoice_schedules", "invoice_schedule_items", "invoice_schedule_charges"} <= rows
    charge = explain(book, "C3").carrier
    assert charge is not None
    assert "bills it from 2023-01-01 up to 2024-01-01 exclusive" in charge.reasons[0].said


# --- a law ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@laws(2)
@given(steps=histories(runs=(2, 3)))
def test_every_amount_of_a_random_history_can_be_made_again(shelf: Shelf, steps: Sequence[Change]) -> None:
    with shelf.holding(steps[0].rows) as book:
        for each in steps:
            if not each.is_first:
                load_more(book, each.changed)
            bill(book, asked(each.target))
        explained = every_item(book)
        event(f"items {min(len(explained) // 10 * 10, 30)}+")
        assert differing(explained) == []
        assert documents_disagreeing(book) == []


def documents_disagreeing(book: Book) -> list[Any]:
    """Components of documents whose sources give another value than the group key has."""
    ids = items(State.of(book).read)["document_id"].unique().sort()
    documents = [d for d in (explain(book, i).document for i in ids.head(5)) if d]
    resolved = ("bill_to_contact", "payment_term", "invoice_template", "sequence_set", "communication_profile",
                "currency", "invoice_owner_account_number")  # fmt: skip
    return [
        (d.document_id, c)
        for d in documents
        for c in d.components
        if c.name in resolved and {s.value for s in c.sources} != {c.value}
    ]
