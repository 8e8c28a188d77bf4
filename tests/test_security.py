"""What a book's owner must not have to fear: formulas in exports, open files, hidden downloads, SQL in names."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING, Final

import duckdb
import polars as pl
import pytest
from conftest import ROOT, Command, bare_environment
from inputs import row, write_rows

from billfold import Book, RunRequest, bill, cancel, post
from billfold.book import lake
from billfold.errors import BookError
from billfold.intake import load

if TYPE_CHECKING:
    from pathlib import Path

FORMULAS: Final = ("=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", " =1", '=HYPERLINK("x")')
HARMLESS: Final = ("Ann", "-5", "+49", "-12.50", "a=b", "a@b.c", "", "12-3")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_run_is_exported_as_text(quick: Command, text: str) -> None:
    assert quick("init").code == 0
    done = quick("sql", f"SELECT {lake.text(text)} AS t, -1.50 AS n", "--format", "csv", "--out", "out.csv")
    assert (done.code, done.err) == (0, "")
    with open("out.csv", newline="", encoding="utf-8") as file:  # noqa: PTH123 - line ends as they are
        assert pl.read_csv(file.read().encode(), infer_schema=False).rows() == [(f"'{text}", "-1.50")]


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_and_numbers_stay_as_they_are(quick: Command, text: str) -> None:
    assert quick("init").code == 0
    out = quick("sql", f"SELECT {lake.text(text)} AS t, -1.50 AS n", "--format", "csv").out
    assert pl.read_csv(out.encode(), infer_schema=False).fill_null("").rows() == [(text, "-1.50")]


def test_refused_rows_are_saved_without_formulas(quick: Command, tmp_path: Path) -> None:
    quick("init")
    write_rows(tmp_path / "accounts.csv", [row("accounts", "A", currency="=cmd()")])
    assert quick("load", "accounts=accounts.csv", "--errors", "errors.csv").code == 1
    assert pl.read_csv("errors.csv")["value"].to_list() == ["'=cmd()"]


def test_only_the_owner_can_read_a_book(tmp_path: Path) -> None:
    """Files of every commit too, and those that DuckDB writes about replaced rows, whatever the umask is."""
    before = os.umask(0o022)
    try:
        with Book.create(tmp_path / "book") as book:
            load(book, [str(ROOT / "data" / "saas" / "start")])
            number = str(bill(book, asked(date(2024, 2, 15))).bill_run_number)
            cancel(book, number)
            post(book, str(bill(book, asked(date(2024, 2, 15))).bill_run_number))
            load(book, [str(ROOT / "data" / "saas" / "february")])
            assert open_to_others(tmp_path / "book") == []
        assert any(p.name.endswith("-delete.parquet") for p in (tmp_path / "book").rglob("*"))
    finally:
        os.umask(before)


def asked(day: date) -> RunRequest:
    return RunRequest(target_date=day, invoice_date=day)


def open_to_others(folder: Path) -> list[str]:
    """The book's folder and files that anyone but their owner may do something with."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return [str(p) for p in (folder, *files) if stat.S_IMODE(p.stat().st_mode) & 0o077]


# ------------------------------------------------------------------ nothing is fetched


def test_duckdb_neither_fetches_nor_loads_extensions_by_itself(book: Book) -> None:
    settings = "SELECT current_setting('autoinstall_known_extensions'), current_setting('autoload_known_extensions')"
    assert book.sql(settings).rows() == [(False, False)]


def test_without_its_package_an_extension_is_not_fetched_but_asked_for(
    empty_book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []
    monkeypatch.setattr(lake, "_wheel_file", lambda _: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(duckdb.DuckDBPyConnection, "install_extension", lambda *a: fetched.append(a), raising=False)
    folder = shutil.copytree(empty_book, tmp_path / "book")
    with pytest.raises(BookError, match=r"install the package duckdb-extension-.*BILLFOLD_FETCH_EXTENSIONS=1"):
        Book(folder)
    assert fetched == []


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs util-linux")
def test_everything_works_without_a_network(tmp_path: Path) -> None:
    """In a network namespace of its own there is no way out, not even to this machine."""
    apart = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces here")
    for command in (["init"], ["load", str(ROOT / "data" / "saas" / "start")], ["run", "--target-date", "2024-02-15"]):
        done = subprocess.run(
            [*apart, sys.executable, "-m", "billfold", *command],
            cwd=tmp_path, env=bare_environment(tmp_path), capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")


# ------------------------------------------------------------------ names are data


NASTY: Final = ('x"; DROP TABLE accounts; --', "'); DELETE FROM accounts; --", "../../outside", "a'b\"c", "%s{0}$1")


@pytest.mark.parametrize("name", NASTY)
def test_names_from_files_are_neither_sql_nor_paths(book: Book, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "rows'; --"
    charge = {"contract_effective_date": "2024-01-01"}
    tables = {
        "accounts": [row("accounts", name, sequence_set="Q") | {"Note__c": name}],
        "subscriptions": [row("subscriptions", name, account_number=name, **charge)],
        "rate_plan_charges": [row("rate_plan_charges", name, segment=1, subscription_number=name)],
        "sequence_sets": [row("sequence_sets", "Q")],
    }
    for table, rows in tables.items():
        write_rows(folder / f"{table}.jsonl", rows)
    files = outside(tmp_path, book)
    load(book, [str(folder)])
    load(book, [str(folder)])
    run = bill(book, asked(date(2024, 1, 31)), post=True)
    assert run.documents.invoice_items["charge_number"].to_list() == [name]
    assert book.sql("SELECT account_number, Note__c FROM accounts").rows() == [(name, name)]
    assert outside(tmp_path, book) == files


def outside(folder: Path, book: Book) -> set[str]:
    return {str(p) for p in folder.parent.rglob("*") if book.folder not in p.parents and p.is_file()}
