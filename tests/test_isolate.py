"""An account that breaks a whole frame is parked alone; what is our fault, or the disk's, is put on nobody."""

from __future__ import annotations

import json
import shutil
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from inputs import row, state, write_rows

import billfold.run
from billfold import Book, RunRequest, bill, preview
from billfold.errors import BookError, PromiseError
from billfold.intake import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

JANUARY = RunRequest(target_date=date(2024, 1, 31), invoice_date=date(2024, 1, 31))
ACCOUNTS = [f"A{n:02}" for n in range(40)]


@pytest.fixture(scope="module")
def filled(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty accounts, each with two charges and an order line."""
    folder = tmp_path_factory.mktemp("filled")
    dates = {"contract_effective_date": "2024-01-01"}
    due = {"item_state": "SentToBilling", "bill_target_date": "2024-01-10"}
    tables = {
        "accounts": [row("accounts", n) for n in ACCOUNTS],
        "subscriptions": [row("subscriptions", f"S-{n}", account_number=n, **dates) for n in ACCOUNTS],
        "rate_plan_charges": [
            row("rate_plan_charges", f"{c}-{n}", segment=1, subscription_number=f"S-{n}")
            for n in ACCOUNTS
            for c in "CD"
        ],
        "order_line_items": [row("order_line_items", f"L-{n}", account_number=n, **due) for n in ACCOUNTS],
    }
    with Book(shutil.copytree(empty_book, folder / "book")) as book:
        load(book, [f"{table}={write_rows(folder / f'{table}.csv', rows)}" for table, rows in tables.items()])
    return folder / "book"


@pytest.fixture
def shop(filled: Path, tmp_path: Path) -> Iterator[Book]:
    with Book(shutil.copytree(filled, tmp_path / "book")) as book:
        yield book


def poison(monkeypatch: pytest.MonkeyPatch, step: str, *charges: str) -> None:
    """Let a step do something to its frame that these charges, and no others, break: Polars itself raises."""
    honest = getattr(billfold.run, step)

    def poisoned(first: Any, *rest: Any) -> Any:  # noqa: ANN401 - any step
        rows = first.charges if hasattr(first, "charges") else first
        rows.select(
            pl.when(pl.col("charge_number").is_in(charges)).then(pl.lit("x")).otherwise(pl.lit("1")).cast(pl.Int8)
        )
        return honest(first, *rest)

    monkeypatch.setattr(billfold.run, step, poisoned)


@pytest.mark.parametrize(("step", "few"), [("rate", 2_000), ("rate", 3), ("group", 5)])
@pytest.mark.parametrize("culprits", [["A00"], ["A17"], ["A39"], ["A03", "A04", "A30"]])
def test_only_accounts_that_break_a_frame_are_parked(
    shop: Book, monkeypatch: pytest.MonkeyPatch, step: str, few: int, culprits: Sequence[str]
) -> None:
    """Whether they are looked for among all accounts, or in parts, and parts of parts, down to a few."""
    monkeypatch.setattr("billfold.isolate._FEW", few)
    others = preview(shop, JANUARY.for_accounts(tuple(a for a in ACCOUNTS if a not in culprits))).documents
    poison(monkeypatch, step, *(f"D-{a}" for a in culprits))
    receipt = bill(shop, JANUARY)
    parked = receipt.documents.parked_accounts
    assert parked["account_number"].to_list() == culprits
    assert {json.dumps(json.loads(d)["charge_number"]) for d in parked["detail"]} == {f'["D-{a}"]' for a in culprits}
    assert f"its data break the step by charge D-{culprits[0]}: conversion from" in parked["reason"][0]
    assert receipt.documents.invoices.equals(others.invoices)
    assert receipt.documents.invoice_items.equals(others.invoice_items)
    assert (receipt.accounts_billed, receipt.accounts_nothing_due) == (len(ACCOUNTS) - len(culprits), 0)


def test_a_parked_account_is_billed_once_it_breaks_nothing(shop: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        poison(broken, "rate", "C-A07")
        run = str(bill(shop, JANUARY).bill_run_number)
    mended, _ = billfold.run.retry(shop, run)  # nothing was loaded in between, so nothing says that it was mended
    assert mended.documents.invoices["account_number"].to_list() == ["A07"]
    assert shop.sql("SELECT count(*), count(DISTINCT account_number) FROM invoices").rows() == [(40, 40)]


def test_a_step_that_breaks_without_any_account_is_our_fault(shop: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(shop)
    monkeypatch.setattr(billfold.run, "group", lambda lines, _: lines.select("no such column"))
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        bill(shop, JANUARY)
    assert state(shop) == before


def test_too_many_accounts_that_break_are_our_fault(shop: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billfold.isolate._MOST", 5)
    poison(monkeypatch, "rate", *(f"C-{a}" for a in ACCOUNTS[:9]))
    with pytest.raises(pl.exceptions.InvalidOperationError):
        bill(shop, JANUARY)


def test_a_broken_promise_parks_nobody(shop: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(shop)
    honest = vars(billfold.run)["assemble"]

    def doubled(*arguments: Any) -> Any:  # noqa: ANN401 - passed on
        assembled = honest(*arguments)
        items = assembled.documents.invoice_items
        assembled.documents.__dict__["invoice_items"] = pl.concat([items, items.head(1)])
        return assembled

    monkeypatch.setattr(billfold.run, "assemble", doubled)
    with pytest.raises(PromiseError):
        bill(shop, JANUARY)
    assert state(shop) == before


@pytest.mark.parametrize("table", ["rate_plan_charges", "order_line_items", "accounts"])
def test_a_damaged_file_parks_nobody(shop: Book, table: str) -> None:
    path = next((shop.folder / "data" / "main" / table).glob("*.parquet"))
    content = path.read_bytes()
    path.write_bytes(content[:40] + bytes(200) + content[240:])
    before = state(shop)
    with pytest.raises(BookError, match="can't be read"):
        bill(shop, JANUARY)
    assert state(shop) == before
    path.write_bytes(content)
    assert bill(shop, JANUARY).documents.parked_accounts.is_empty()
