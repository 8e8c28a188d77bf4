"""The same inputs give the same bytes: on any number of threads, in any number of shards, and again years later."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from conftest import ROOT, Command
from inputs import write_rows

from billfold import Book, RunRequest, bill, cancel, post
from billfold.errors import BillfoldError
from billfold.intake import load
from billfold.replay import IDENTICAL, replay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLE = ROOT / "data" / "saas"


@pytest.fixture(scope="module")
def filled(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of a small business: usage, discounts, tiers, credits; drafts, posted runs and a canceled one."""
    with Book(shutil.copytree(empty_book, tmp_path_factory.mktemp("filled") / "book")) as book:
        load(book, [str(EXAMPLE / "start")])
        bill(book, asked(date(2024, 2, 15)), post=True)
        load(book, [str(EXAMPLE / "february")])
        cancel(book, str(bill(book, asked(date(2024, 3, 1))).bill_run_number))
        run = str(bill(book, asked(date(2024, 3, 1))).bill_run_number)
        post(book, run, invoice_date=date(2024, 3, 5))
        bill(book, asked(date(2024, 4, 1)))
        return book.folder


def asked(day: date) -> RunRequest:
    return RunRequest(target_date=day, invoice_date=day)


@pytest.fixture
def shop(filled: Path, tmp_path: Path) -> Iterator[Book]:
    with Book(shutil.copytree(filled, tmp_path / "book")) as book:
        yield book


def runs(book: Book) -> list[str]:
    return book.sql("SELECT bill_run_number FROM bill_runs ORDER BY 1").to_series().to_list()


def test_every_run_gives_the_same_bytes_whatever_became_of_it(shop: Book) -> None:
    results = {n: {t.table: t.result for t in replay(shop, n).tables} for n in runs(shop)}
    assert len(results) == 4
    assert {r for tables in results.values() for r in tables.values()} == {IDENTICAL}
    assert {"invoices", "invoice_items", "charge_progress", "fingerprint"} <= set(results["BR-00000001"])


def test_shards_do_not_matter(shop: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billfold.shards.SHARD", 2)
    assert all(replay(shop, n).holds for n in runs(shop))


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_do_not_matter(shop: Book, threads: str) -> None:
    shop.close()
    environment = {**os.environ, "POLARS_MAX_THREADS": threads}
    for number in ("BR-00000001", "BR-00000003"):
        command = [sys.executable, "-m", "billfold", "--book", str(shop.folder), "replay", number]
        done = subprocess.run(command, capture_output=True, check=False, env=environment, timeout=300)
        assert done.returncode == 0, done.stdout


def test_another_machine_with_the_rows_in_another_order_makes_the_same_documents(
    filled: Path, empty_book: Path, tmp_path: Path
) -> None:
    with Book(shutil.copytree(empty_book, tmp_path / "other")) as other, Book(filled, read_only=True) as book:
        for part, day in (("start", date(2024, 2, 15)), ("february", date(2024, 3, 1))):
            load(other, [str(turned(EXAMPLE / part, tmp_path / part))])
            bill(other, asked(day), post=part == "start")
        for table in ("invoices", "invoice_items", "credit_memo_items", "charge_progress", "processed_usage"):
            first = f"SELECT * FROM {table} AT (VERSION => 4)"  # noqa: S608 - constants
            assert other.sql(f"{first} ORDER BY ALL").equals(book.sql(f"{first} ORDER BY ALL")), table


def turned(folder: Path, into: Path) -> Path:
    """The same files with their rows the other way round."""
    into.mkdir()
    for file in folder.glob("*.csv"):
        rows = pl.read_csv(file, infer_schema=False)
        write_rows(into / file.name, rows.reverse().to_dicts())
    return into


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"billfold.rating.amounts": "with_amounts"}, "amount in row"),
        ({}, "would be"),
    ],
    ids=["another rule", "another request"],
)
def test_a_difference_is_named(shop: Book, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], said: str) -> None:
    if change:
        monkeypatch.setattr("billfold.steps.rate.with_amounts", cent_more)
    else:
        request = '{"target_date": "2024-01-31", "invoice_date": "2024-02-15"}'
        shop.cursor().execute("UPDATE bill_runs SET request = ? WHERE bill_run_number = 'BR-00000001'", [request])
    replayed = replay(shop, "BR-00000001")
    assert not replayed.holds
    assert any(said in t.said for t in replayed.tables)


def cent_more(periods: pl.DataFrame, *rest: Any) -> pl.DataFrame:  # noqa: ANN401 - passed on
    from billfold.rating.amounts import with_amounts  # noqa: PLC0415 - the honest one

    return with_amounts(periods, *rest).with_columns(pl.col("amount") + pl.lit("0.01").cast(pl.Decimal(18, 4)))


def test_a_run_of_another_version_is_not_replayed(shop: Book) -> None:
    shop.cursor().execute("UPDATE bill_runs SET billfold_version = '9.9' WHERE bill_run_number = 'BR-00000001'")
    with pytest.raises(BillfoldError, match=r"was made by billfold 9\.9"):
        replay(shop, "BR-00000001")


def test_the_command_prints_every_table_and_ends_with_1_where_something_differs(shop: Book, quick: Command) -> None:
    shop.close()
    same = quick("--book", shop.folder, "replay", "BR-00000003")
    assert (same.code, same.err) == (0, "")
    assert "every table is the same, byte by byte" in same.out
    told = quick("--book", shop.folder, "replay", "BR-00000003", "--json").json()
    assert told["identical"] is True
    with Book(shop.folder) as book:
        book.cursor().execute("UPDATE billfold.contents SET sha256 = 'x' WHERE table_name = 'invoices'")
    other = quick("--book", shop.folder, "replay", "BR-00000003")
    assert other.code == 1
    assert "the rows are equal, the files are not" in other.out
