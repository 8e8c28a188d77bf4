"""The benchmarks: their book is what they say, and the programs by hand make the documents that billfold makes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import pytest

from benchmarks import by_hand, compare
from benchmarks.__main__ import ratios
from benchmarks.compare import difference, of_run, scan
from benchmarks.configure import by_cost_center
from benchmarks.engines import missing
from benchmarks.generate import TARGET, WHALES, tables, write
from benchmarks.product import Measured, medians
from benchmarks.steps import NIGHT, with_needed
from benchmarks.steps import by_hand as by_hand_process
from billfold import Book, RunRequest, bill, preview
from billfold.intake import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from billfold import Receipt

    Read = Callable[[str], pl.LazyFrame]

ROOT: Final = Path(__file__).parents[1]
ACCOUNTS: Final = 1_000


@dataclass(frozen=True)
class Billed:
    """A made-up book after its first run."""

    source: Path
    book: Book
    receipt: Receipt

    @property
    def read(self) -> Read:
        """Reads the run's documents."""
        return of_run(self.book, "BR-00000001")


def _billed(folder: Path, accounts: int, seed: int, *, only_one: bool = False) -> Iterator[Billed]:
    write(folder / "input", tables(accounts, seed, only_one=only_one))
    Book.create(folder / "book").close()
    with Book(folder / "book") as book:
        load(book, [str(folder / "input")])
        by_cost_center(book)
        yield Billed(folder / "input", book, bill(book, RunRequest(target_date=TARGET, invoice_date=TARGET)))


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Billed]:
    yield from _billed(tmp_path_factory.mktemp("billed"), ACCOUNTS, 1)


@pytest.fixture(scope="module")
def sql(billed: Billed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """The documents of the hand-written SQL."""
    out = tmp_path_factory.mktemp("sql")
    by_hand.run(billed.source, out, TARGET)
    return {path.stem: pl.read_parquet(path) for path in out.glob("*.parquet")}


def _reading(documents: dict[str, pl.DataFrame]) -> Read:
    return lambda table: documents[table].lazy()


# ------------------------------------------------------------------ the same documents


def test_hand_written_sql_makes_the_same_documents(billed: Billed, sql: dict[str, pl.DataFrame]) -> None:
    assert difference(billed.read, _reading(sql)) == ""
    assert sql["invoice_items"].height + sql["credit_memo_items"].height > 10 * ACCOUNTS


@pytest.mark.parametrize("only_one", [False, True])
def test_hand_written_sql_makes_the_same_documents_of_other_rows(only_one: bool, tmp_path: Path) -> None:  # noqa: FBT001
    for other in _billed(tmp_path, 200, 7, only_one=only_one):
        by_hand.run(other.source, tmp_path / "sql", TARGET)
        assert difference(other.read, lambda t: scan(tmp_path / "sql" / f"{t}.parquet")) == ""


@pytest.mark.parametrize("engine", ["pandas", pytest.param("spark", marks=pytest.mark.slow)])
def test_other_engines_make_the_same_documents(
    engine: str, billed: Billed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lack := missing(engine):
        pytest.skip(lack)
    monkeypatch.chdir(ROOT)
    by_hand_process(engine, tmp_path, billed.source)
    assert difference(billed.read, lambda t: scan(tmp_path / engine / f"{t}.parquet")) == ""


def test_an_amount_that_differs_is_found(billed: Billed, sql: dict[str, pl.DataFrame]) -> None:
    cent = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("0.01").cast(pl.Decimal(18, 4))).otherwise(0)
    changed = sql["invoice_items"].with_columns(pl.col("amount") + cent)
    said = difference(billed.read, _reading(sql | {"invoice_items": changed}))
    lines = sum(sql[t].height for t in ("invoice_items", "credit_memo_items"))
    assert said.startswith(f"Of {lines:,} items of billfold and {lines:,} made by hand, {lines - 1:,} are the same")


def _documents(*places: int) -> Read:
    """Items R-0, R-1, … of one account on the two invoices, alike in everything else, that the places say."""
    numbers = range(len(places))
    headers = dict.fromkeys(compare._OF_HEADERS) | {"account_number": "A", "item_count": 2, "amount": "2"}
    invoices = [{**headers, "invoice_id": f"{n}", "invoice_number": f"{n}", "source_type": "Order"} for n in (1, 2)]
    rows = [{"charge_number": f"R-{n}", "invoice_id": f"{places[n]}", "source_type": "Order"} for n in numbers]
    items = [dict.fromkeys(compare._OF_ITEMS) | {"account_number": "A", "amount": "1"} | row for row in rows]
    found = {
        "invoices": pl.DataFrame(invoices),
        "invoice_items": pl.DataFrame(items).with_columns(quantity=pl.lit("1"), unit_price=pl.lit("1")),
    }
    names = {f"invoice_{c}": f"credit_memo_{c}" for c in ("id", "number", "date")}
    memos = {t: rows.clear().rename(names, strict=False) for t, rows in found.items()}
    return _reading(found | {t.replace("invoice", "credit_memo"): rows for t, rows in memos.items()})


def test_an_item_on_another_document_is_found() -> None:
    assert difference(_documents(1, 1, 2, 2), _documents(2, 2, 1, 1)) == ""
    said = difference(_documents(1, 1, 2, 2), _documents(1, 2, 1, 2))
    assert said == "The same items are on different documents (accounts A to A)"


def test_an_id_that_is_there_twice_is_found(billed: Billed, sql: dict[str, pl.DataFrame]) -> None:
    first = sql["invoices"]["invoice_number"][0]
    twice = sql["invoices"].with_columns(invoice_number=pl.lit(first))
    said = difference(billed.read, _reading(sql | {"invoices": twice}))
    assert said == f"{twice.height:,} invoices have 1 different values of invoice_number."


# ------------------------------------------------------------------ the book


def test_rows_do_not_depend_on_how_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.generate._ROW_GROUP", 300)
    for name, table in tables(100, 3).items():
        table.write(tmp_path / name)
        assert pl.read_parquet(tmp_path / name).equals(table.frame()), name


def test_another_seed_makes_other_rows() -> None:
    one, two = (tables(50, seed)["rate_plan_charges"].frame() for seed in (1, 2))
    assert not one["price"].equals(two["price"])


def test_the_book_has_something_of_everything(billed: Billed) -> None:
    read = {path.stem: pl.read_parquet(path) for path in billed.source.glob("*.parquet")}
    charges, lines = read["rate_plan_charges"], read["order_line_items"]
    assert set(charges["charge_type"]) == {"OneTime", "Recurring", "Usage"}
    assert set(charges["charge_model"]) == {"FlatFee", "PerUnit", "Volume", "Tiered"}
    assert set(charges["billing_period"]) == {None, "Month", "Quarter", "Semi_Annual", "Annual"}
    assert set(charges["billing_timing"]) == {"IN_ADVANCE", "IN_ARREARS"}
    assert charges["tiers"].drop_nulls().n_unique() > 20
    assert set(read["accounts"]["currency"]) == {"USD", "GBP"}
    assert set(lines["item_category"]) == {"Sales", "Return"}
    assert {"PO-1", "po-1 ", None} < set(read["subscriptions"]["invoice_group_number"])
    assert billed.book.read("accounts").select(pl.col("invoice_group").count()).collect().item() > ACCOUNTS // 20


def test_whales_have_far_more_than_others(billed: Billed) -> None:
    subscriptions = pl.read_parquet(billed.source / "subscriptions.parquet")
    largest = subscriptions["account_number"].value_counts(sort=True)
    assert largest["account_number"][0] == "A-00000000"
    assert largest["count"][0] > subscriptions.height // 120
    owners = tables(10_000, 1)["subscriptions"].frame()["account_number"].value_counts(sort=True)
    assert set(owners["account_number"][:WHALES]) == {f"A-{n:08d}" for n in range(WHALES)}


def test_one_account_can_have_everything() -> None:
    made = tables(100, 1, only_one=True)
    for table in ("subscriptions", "order_line_items", "usage"):
        assert made[table].frame()["account_number"].unique().to_list() == ["A-00000000"]


def test_periods_are_whole(billed: Billed) -> None:
    names = billed.read("invoice_items").select(pl.col("charge_name").str.contains("Proration").any()).collect()
    assert not names.item()


def test_nearly_every_charge_owes_something_and_one_in_a_hundred_the_day_after(billed: Billed) -> None:
    night = preview(billed.book, RunRequest(target_date=NIGHT, invoice_date=NIGHT)).documents
    first = billed.receipt.documents
    due, later = (d.invoice_items.height + d.credit_memo_items.height for d in (first, night))
    assert due > 10 * ACCOUNTS
    assert 0.005 < later / due < 0.02


def test_usage_is_rated(billed: Billed) -> None:
    usage = billed.read("invoice_items").filter(charge_type="Usage").select("quantity").collect()["quantity"]
    assert 0 < usage.filter(usage == 0).len() < usage.len() // 4


# ------------------------------------------------------------------ the command


def test_steps_bring_those_that_they_rest_on() -> None:
    assert with_needed(["cancel"]) == ["load", "run", "post", "night", "cancel"]
    assert with_needed(["diff", "again"]) == ["load", "diff", "run", "again"]


def test_medians_are_of_the_same_step() -> None:
    rounds = [[Measured("run", s, s, 1, 5, "items")] for s in (3.0, 1.0, 2.0)]
    assert medians(rounds) == [Measured("run", 2.0, 2.0, 1, 5, "items")]


def test_ratios_are_of_seconds_and_only_of_what_was_measured() -> None:
    steps = {"load": (6.0, 10), "run": (4.0, 1_000), "again": (1.5, 0), "night": (1.0, 10), "copy": (2.0, 10)}
    done = [Measured(step, seconds, 99.0, 1, rows) for step, (seconds, rows) in steps.items()]
    assert ratios([*done, Measured("pandas", 8.0, 99.0, 1)]) == {
        "load / copy": "3.00",
        "run / pandas": "0.50",
        "night / run": "0.25",
        "night / run, items": "0.0100",
        "nothing due, seconds": "1.50",
    }


def _asked(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def test_the_command_measures_what_it_is_asked_for(tmp_path: Path) -> None:
    options = ("--accounts", "100", "--steps", "again", "--engines", "sql", "--folder", str(tmp_path), "--json")
    done = _asked(*options, "--run-options", "--executor local")
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert [step["step"] for step in said["steps"]] == ["load", "run", "again", "copy", "sql"]
    assert all(step["seconds"] > 0 and step["peak_bytes"] > 0 for step in said["steps"])
    assert set(said["ratios"]) == {"load / copy", "run / sql", "nothing due, seconds"}
    assert (tmp_path / "input.json").is_file()


def test_a_name_that_is_not_there_is_refused() -> None:
    done = _asked("--engines", "sql,oracle")
    assert done.returncode == 2
    assert "there is no oracle; choose from sql, pandas, spark" in done.stderr
