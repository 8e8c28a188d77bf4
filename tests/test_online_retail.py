"""A year of a shop's order lines: every document equals its source to the penny, by sums that billfold had no part in.

The oracle is plain SQL over the Parquet files of data/online_retail, in whole thousandths, so that it shares no
arithmetic with what it checks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import duckdb
import polars as pl
import pytest
from conftest import Outcome, run_cli
from polars.testing import assert_frame_equal

from billfold import Book, preview
from billfold.requests import RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from billfold.receipt import Receipt

pytestmark = pytest.mark.slow

INVOICES: Final = 24_221
CREDIT_MEMOS: Final = 4_592
INVOICED: Final = Decimal("10305892.01")
CREDITED: Final = Decimal("629855.37")
ADJUSTMENTS: Final = ("A506401", "A516228", "A528059")
TO_2010: Final = ("run", "--target-date", "2010-12-31", "--invoice-date", "2010-12-31", "--json")
KINDS: Final = ("invoice", "credit_memo")

# A return is worth as much to the customer as its lines cost, so both kinds of documents are sums of quantity x price.
SOURCE: Final = """
WITH lines AS (
    SELECT *, CAST(quantity AS BIGINT) * CAST(amount_per_unit * 1000 AS BIGINT) AS thousandths
    FROM read_parquet('{items}')
)
SELECT order_number, account_number, item_category, sold_to_contact, count(*) AS item_count,
       CAST(sum(sign(thousandths) * ((abs(thousandths) + 5) // 10)) AS BIGINT) AS pence
FROM lines GROUP BY ALL
"""


@dataclass(frozen=True)
class Story:
    """What happened to one book, in order: loaded, previewed, billed and posted, billed again."""

    book: Book
    source: pl.DataFrame
    preview: Receipt
    writes_of_preview: int
    dry_run: Outcome
    run: Outcome
    rerun: Outcome
    snapshots: tuple[int, int]
    """Of the book after the run, and after the second run."""

    def documents(self, kind: str) -> pl.DataFrame:
        return self.book.read(f"{kind}s").sort(f"{kind}_id").collect()

    def items(self, kind: str) -> pl.DataFrame:
        return self.book.read(f"{kind}_items").sort(f"{kind}_item_id").collect()

    def amounts(self, kind: str) -> pl.DataFrame:
        """A row a document as the source's SQL gives them, from its header."""
        return self.documents(kind).select(
            "account_number", "item_count", order_number="invoice_group_number", pence=_pence("amount")
        )


def _pence(column: str) -> pl.Expr:
    return (pl.col(column) * 100).cast(pl.Int64)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.parquet"))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, online_retail: Path) -> Iterator[Story]:
    """The whole acceptance once, through the command line; the tests look at what it left."""
    folder = tmp_path_factory.mktemp("online_retail")
    assert run_cli(folder, "init").code == 0
    assert run_cli(folder, "load", online_retail).code == 0
    request = RunRequest(target_date=date(2010, 12, 31), invoice_date=date(2010, 12, 31))
    with Book(folder / "book") as book:
        before, files = book.head(), _files(folder)
        previewed = preview(book, request)
        dry_run = run_cli(folder, *TO_2010, "--dry-run")
        writes = book.head().version - before.version + len(_files(folder)) - len(files)
    run = run_cli(folder, *TO_2010, "--post")
    with Book(folder / "book") as book:
        after_run = book.head().snapshot_id
    rerun = run_cli(folder, *TO_2010, "--post")
    source = duckdb.sql(SOURCE.format(items=online_retail / "order_line_items.parquet")).pl()
    with Book(folder / "book") as book:
        snapshots = after_run, book.head().snapshot_id
        yield Story(book, source, previewed, writes, dry_run, run, rerun, snapshots)


def _of(source: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The source's documents of a kind, without those of the account that is parked."""
    category = {"invoice": "Sales", "credit_memo": "Return"}[kind]
    return source.filter(pl.col("item_category") == category, pl.col("account_number") != "adjustments")


def test_the_oracle_loses_nothing_of_the_source(online_retail: Path) -> None:
    """Whole thousandths are enough only if quantities are whole and prices have at most three decimals."""
    items = pl.read_parquet(online_retail / "order_line_items.parquet")
    quantity, price = pl.col("quantity"), pl.col("amount_per_unit")
    assert items.filter(quantity != quantity.round(0)).height == 0
    assert items.filter(price != price.round(3)).height == 0


@pytest.mark.parametrize(("kind", "count"), [("invoice", INVOICES), ("credit_memo", CREDIT_MEMOS)])
def test_each_document_equals_its_source_document_to_the_penny(story: Story, kind: str, count: int) -> None:
    made = story.amounts(kind)
    owed = _of(story.source, kind).select(made.columns)
    assert made.height == count
    assert_frame_equal(made.sort("order_number"), owed.sort("order_number"), check_dtypes=False)


@pytest.mark.parametrize("kind", KINDS)
def test_each_item_is_a_line_of_its_source_document(story: Story, kind: str) -> None:
    items = story.items(kind)
    mixed = items.group_by(f"{kind}_id").agg(pl.col("order_number", "sold_to_contact").n_unique())
    assert mixed.filter((pl.col("order_number") > 1) | (pl.col("sold_to_contact") > 1)).height == 0
    made = items.group_by("order_number", "account_number", "sold_to_contact").agg(
        item_count=pl.len(), pence=_pence("amount").sum()
    )
    owed = _of(story.source, kind).select(made.columns)
    assert_frame_equal(made.sort("order_number"), owed.sort("order_number"), check_dtypes=False)


@pytest.mark.parametrize("kind", KINDS)
def test_totals_of_accounts_equal_those_of_the_source(story: Story, kind: str) -> None:
    made, owed = (
        frame.group_by("account_number").agg(pl.len(), pl.col("pence").sum()).sort("account_number")
        for frame in (story.amounts(kind), _of(story.source, kind))
    )
    assert_frame_equal(made, owed, check_dtypes=False)


def test_the_adjustments_are_parked_alone_with_a_reason_that_names_them(story: Story) -> None:
    (parked,) = story.book.read("parked_accounts").collect().to_dicts()
    assert parked["account_number"] == "adjustments"
    assert parked["step"] == "assemble"
    assert [order for order in ADJUSTMENTS if order not in parked["reason"]] == []
    assert json.loads(parked["detail"])["orders"] == list(ADJUSTMENTS)
    assert sorted(story.source.filter(account_number="adjustments")["order_number"]) == list(ADJUSTMENTS)


def test_the_run_says_that_it_parked_an_account(story: Story) -> None:
    assert story.run.code == 3
    assert [p["account_number"] for p in story.run.json()["parked"]] == ["adjustments"]


def test_the_receipt_adds_up(story: Story) -> None:
    receipt = story.run.json()
    accounts = story.source["account_number"].n_unique()
    assert receipt["status"] == "Posted"
    assert (receipt["invoices"], receipt["credit_memos"]) == (INVOICES, CREDIT_MEMOS)
    assert receipt["items"] == sum(_of(story.source, kind)["item_count"].sum() for kind in KINDS) == 525_458
    assert receipt["parked_accounts"] == 1
    assert receipt["accounts_billed"] + receipt["accounts_nothing_due"] + receipt["parked_accounts"] == accounts
    assert _decimals(receipt["amounts"]) == {"GBP": {"invoices": INVOICED, "credit_memos": CREDITED}}
    assert [_of(story.source, kind)["pence"].sum() for kind in KINDS] == [INVOICED * 100, CREDITED * 100]


def _decimals(amounts: dict[str, dict[str, str]]) -> dict[str, dict[str, Decimal]]:
    return {currency: {kind: Decimal(a) for kind, a in sums.items()} for currency, sums in amounts.items()}


def test_a_second_run_writes_nothing(story: Story) -> None:
    receipt = story.rerun.json()
    assert story.rerun.code == 0
    assert receipt["bill_run_number"] is None
    assert (receipt["invoices"], receipt["credit_memos"], receipt["items"]) == (0, 0, 0)
    assert story.snapshots[1] == story.snapshots[0]
    assert story.book.read("bill_runs").collect().height == 1


def test_a_dry_run_writes_nothing(story: Story) -> None:
    assert story.dry_run.code == 0
    assert story.writes_of_preview == 0


def test_a_dry_run_gives_the_receipt_of_the_run(story: Story) -> None:
    dry, real = story.dry_run.json(), story.run.json()
    differ = {name for name in real if dry[name] != real[name]}
    assert differ == {"status", "dry_run"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_gives_the_documents_of_the_run(story: Story, kind: str) -> None:
    """Row by row; only posting itself sets the status, the number and the due date."""
    posting = [c for c in ("status", "posting", f"{kind}_number", "due_date") if c in story.documents(kind).columns]
    previewed = getattr(story.preview.documents, f"{kind}s").sort(f"{kind}_id")
    assert_frame_equal(previewed.drop(posting), story.documents(kind).drop(posting))
    items = getattr(story.preview.documents, f"{kind}_items").sort(f"{kind}_item_id")
    assert_frame_equal(items, story.items(kind))


@pytest.mark.parametrize(("kind", "prefix"), [("invoice", "INV"), ("credit_memo", "CM")])
def test_numbers_have_no_gaps_and_follow_the_order_of_ids(story: Story, kind: str, prefix: str) -> None:
    documents = story.documents(kind)
    assert documents[f"{kind}_number"].to_list() == [f"{prefix}{n:08d}" for n in range(1, documents.height + 1)]
    assert documents["status"].unique().to_list() == ["Posted"]
