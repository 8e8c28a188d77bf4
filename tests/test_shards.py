"""Runs made in shards, and runs that remember: neither may change a byte of what is billed."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from books import Shelf, asked, books, load_more
from histories import Step, histories
from hypothesis import given
from test_laws import laws, targets

import billfold.run
from billfold import shards
from billfold.book import Change, Commit
from billfold.run import bill, preview

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from billfold.book import Book
    from billfold.lines import Documents

KEY: Final = ["charge_number", "segment"]
LATER: Final = date(2024, 2, 1)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


def differing(one: Documents, other: Documents) -> list[str]:
    """The tables in which two runs differ."""
    return [table for table, rows in vars(one).items() if not rows.equals(getattr(other, table))]


@laws(3)
@given(rows=books(), target=targets)
def test_the_number_of_shards_does_not_matter(shelf: Shelf, rows: dict[str, Any], target: date) -> None:
    with shelf.holding(rows) as book:
        whole = preview(book, asked(target)).documents
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shards, "SHARD", 1)
            assert differing(whole, preview(book, asked(target)).documents) == []
            patch.setattr(shards, "SHARD", 10**9)
            patch.setattr(shards, "FEW", 0)
            assert differing(whole, preview(book, asked(target)).documents) == []


@laws(2)
@given(steps=histories())
def test_what_a_run_remembers_does_not_matter(shelf: Shelf, steps: Sequence[Step]) -> None:
    """A run that looks at every charge again bills what a run bills that only looks at those due or changed."""
    for remembering in run_each(shelf, steps):
        assert differing(remembering.narrow, remembering.full) == [], f"run {remembering.run}"


class Both:
    """Documents of one step, of the run as it is and of one that looks at every charge."""

    def __init__(self, run: int, narrow: Documents, full: Documents) -> None:
        self.run = run
        self.narrow = narrow
        self.full = full


def run_each(shelf: Shelf, steps: Sequence[Step]) -> Iterator[Both]:
    with shelf.holding(steps[0].rows) as book:
        for number, step in enumerate(steps):
            if number:
                load_more(book, step.changed)
            narrow = preview(book, asked(step.target)).documents
            look_at_everything(book)
            full = bill(book, asked(step.target)).documents
            yield Both(number, of_items(narrow), of_items(full))


def of_items(documents: Documents) -> Documents:
    """Documents without the progress, which says more of charges that were looked at."""
    return type(documents)(**{**vars(documents), "charge_progress": pl.DataFrame()})


def look_at_everything(book: Book) -> None:
    charges = book.read("rate_plan_charges").filter(pl.col("charge_model") != "DiscountPercentage").select(KEY)
    book.commit(book.head(), Commit("all", [Change("charges_to_review", charges.collect(), whole=True)]))


def test_ids_get_as_many_digits_as_the_last_one_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billfold.run, "ID_DIGITS", 1)
    with Shelf(tmp_path).holding(twelve_accounts()) as book:
        made = bill(book, asked(date(2024, 1, 1))).documents
        assert made.invoices["invoice_id"].to_list() == [f"BR-00000001-{n:02}" for n in range(1, 13)]
        assert made.invoice_items["invoice_id"].to_list() == made.invoices["invoice_id"].to_list()
        assert made.invoice_items["invoice_item_id"].head(2).to_list() == [
            "BR-00000001-01-000001",
            "BR-00000001-02-000001",
        ]
        ended = [{**c, "effective_end_date": "2024-01-11"} for c in twelve_accounts()["rate_plan_charges"]]
        load_more(book, {"rate_plan_charges": ended})
        credits_ = bill(book, asked(LATER)).documents.credit_memo_items
    assert credits_["applied_to_item_id"].to_list() == made.invoice_items["invoice_item_id"].to_list()
    assert credits_["credit_memo_id"][0] == "BR-00000002-01"


def twelve_accounts() -> dict[str, Any]:
    numbers = [f"{n:02}" for n in range(12)]
    return {
        "accounts": [{"account_number": n, "currency": "EUR"} for n in numbers],
        "subscriptions": [
            {"subscription_number": n, "account_number": n, "contract_effective_date": "2024-01-01"} for n in numbers
        ],
        "rate_plan_charges": [
            {
                "charge_number": n, "segment": 1, "subscription_number": n, "charge_type": "Recurring",
                "charge_model": "FlatFee", "price": "31", "billing_period": "Month",
            }
            for n in numbers
        ],
    }  # fmt: skip
