"""The book as plain Parquet files: whole, the same each time, and true to its manifest."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from books import asked
from conftest import ROOT
from inputs import row, write_rows

from billfold import Book
from billfold.book import lake, plain
from billfold.book.views import views
from billfold.contracts import TABLES
from billfold.errors import BillfoldError, BookError, DamagedError
from billfold.export import MANIFEST, check, export, snapshot_of
from billfold.intake import load
from billfold.lifecycle import post
from billfold.run import bill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Command

    from billfold.book.views import View

FIRST, SECOND = "BR-00000001", "BR-00000002"
PARTED: Final = ("invoices", "invoice_items", "credit_memos", "credit_memo_items")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """The folder of a book with two runs, the second with a credit memo in another month and another currency."""
    made = tmp_path_factory.mktemp("billed") / "book"
    saas = examples.parent / "saas"
    with Book.create(made) as book:
        load(book, [str(saas / "start")])
        bill(book, asked(date(2024, 2, 15)), post=True)
        load(book, [str(saas / "february")])
        bill(book, asked(date(2024, 3, 1)))
    return made


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of all tables and views of that book."""
    out = tmp_path_factory.mktemp("exports") / "export"
    with Book(folder, read_only=True) as book:
        export(book, out, views=True)
    return out


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "book")


@pytest.fixture
def export_copy(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "export")


def manifest_of(out: Path) -> Any:  # noqa: ANN401 - a document
    return json.loads((out / MANIFEST).read_text(encoding="utf-8"))


def files_of(out: Path) -> dict[str, str]:
    """Every file of a folder with the hash of its bytes."""
    found = sorted(p for p in out.rglob("*") if p.is_file())
    return {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def table_in(out: Path, table: str) -> pl.DataFrame:
    """A table of an export as DuckDB reads it."""
    with closing(duckdb.connect()) as connection:
        return connection.sql(f"FROM read_parquet('{out}/{table}/**/*.parquet', hive_partitioning = true)").pl()


def sorted_rows(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(sorted(rows.columns)).sort(pl.all())


# --- what is in it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [t for t in TABLES if t not in PARTED])
def test_a_table_is_exported_as_it_is(table: str, folder: Path, exported: Path) -> None:
    with Book(folder, read_only=True) as book:
        expected = book.sql(f"FROM {table}")
    assert sorted_rows(table_in(exported, table)).equals(sorted_rows(expected))


@pytest.mark.parametrize("table", PARTED)
def test_documents_and_items_are_parted_by_run(table: str, folder: Path, exported: Path) -> None:
    kind = table.removesuffix("s").removesuffix("_item")
    with Book(folder, read_only=True) as book:
        documents = book.sql(f"SELECT {kind}_id, bill_run_number FROM {kind}s")  # noqa: S608 - a table
        expected = book.sql(f"FROM {table}")
    if table != f"{kind}s":
        expected = expected.join(documents, on=f"{kind}_id")
    assert sorted_rows(table_in(exported, table)).equals(sorted_rows(expected))
    parts = {p.parent.name for p in (exported / table).rglob("*.parquet")}
    assert parts == {f"bill_run_number={r}" for r in expected["bill_run_number"].unique()}


@pytest.mark.parametrize("view", [v.name for v in views()])
def test_a_view_is_exported_as_it_is(view: str, folder: Path, exported: Path) -> None:
    with Book(folder, read_only=True) as book:
        expected = book.sql(f"FROM {view} ORDER BY ALL")
    found = table_in(exported, view)
    assert found.schema == expected.schema
    assert sorted_rows(found).equals(sorted_rows(expected))


@pytest.mark.parametrize("table", ["invoice_items", "revenue_by_month"])
def test_polars_reads_an_export_without_duckdb(table: str, exported: Path) -> None:
    found = pl.read_parquet(exported / table / "**/*.parquet", hive_partitioning=True)
    assert sorted_rows(found).equals(sorted_rows(table_in(exported, table)))


def test_a_table_without_rows_keeps_its_columns(exported: Path, folder: Path) -> None:
    with Book(folder, read_only=True) as book:
        assert table_in(exported, "invoice_schedules").columns == list(book.columns("invoice_schedules"))


def test_a_parted_table_without_rows_keeps_its_columns_too(tmp_path: Path, book: Book) -> None:
    export(book, tmp_path / "out", tables=["credit_memos", "credit_memo_items"])
    for table in ("credit_memos", "credit_memo_items"):
        found = table_in(tmp_path / "out", table)
        assert found.is_empty()
        assert set(found.columns) == {*book.columns(table), "bill_run_number"}


def test_documents_can_be_parted_by_their_month(folder: Path, tmp_path: Path) -> None:
    with Book(folder, read_only=True) as book:
        export(book, tmp_path / "out", partition_by="month")
        expected = book.sql("SELECT strftime(invoice_date, '%Y-%m') AS month, count(*) AS n FROM invoices GROUP BY ALL")
    found = table_in(tmp_path / "out", "invoices").group_by("document_month").len()
    assert dict(found.iter_rows()) == dict(expected.iter_rows()) == {"2024-02": 2, "2024-03": 1}
    assert table_in(tmp_path / "out", "invoice_items")["document_month"].unique().sort().to_list() == [
        "2024-02", "2024-03",
    ]  # fmt: skip


def test_documents_need_not_be_parted(folder: Path, tmp_path: Path) -> None:
    with Book(folder, read_only=True) as book:
        export(book, tmp_path / "out", partition_by="none")
    assert [p.name for p in (tmp_path / "out" / "invoices").iterdir()] == ["part-00000.parquet"]


def test_only_some_tables_can_be_exported(folder: Path, tmp_path: Path) -> None:
    with Book(folder, read_only=True) as book:
        export(book, tmp_path / "out", tables=["ageing", "accounts"])
    assert list(manifest_of(tmp_path / "out")["tables"]) == ["accounts", "ageing"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"accounts", "ageing", MANIFEST}


def test_custom_fields_are_exported(copy: Path, tmp_path: Path) -> None:
    with Book(copy) as book:
        changed = [row("accounts", "new", Region__c="North", Since__c="2024-01-01")]
        load(book, [f"accounts={write_rows(tmp_path / 'accounts.csv', changed)}"])
        export(book, tmp_path / "out", tables=["accounts"])
    found = table_in(tmp_path / "out", "accounts").filter(account_number="new")
    assert found["Region__c"].to_list() == ["North"]


# --- the manifest ---------------------------------------------------------------------------------------------------


def test_the_manifest_tells_rows_bytes_and_hashes_of_every_file(exported: Path) -> None:
    told = {f["path"]: f for t in manifest_of(exported)["tables"].values() for f in t["files"]}
    found = files_of(exported)
    found.pop(MANIFEST)
    assert {path: f["sha256"] for path, f in told.items()} == found
    for path, each in told.items():
        assert each["bytes"] == (exported / path).stat().st_size
        assert each["rows"] == pl.scan_parquet(exported / path, glob=False).select(pl.len()).collect().item()


def test_the_manifest_tells_the_columns_that_are_read(exported: Path) -> None:
    with closing(duckdb.connect()) as connection:
        for table, told in manifest_of(exported)["tables"].items():
            path = f"{exported}/{table}/**/*.parquet"
            read = connection.sql(f"DESCRIBE FROM read_parquet('{path}', hive_partitioning = true)").fetchall()
            assert dict(told["columns"]) == {r[0]: r[1].removesuffix(" WITH TIME ZONE") for r in read}, table


def test_the_manifest_sums_amounts_by_currency(exported: Path) -> None:
    tables = manifest_of(exported)["tables"]
    for table in (*PARTED, "invoice_register", "billed_items", "ageing", "revenue_by_month"):
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for currency, amount in table_in(exported, table).select("currency", "amount").iter_rows():
            sums[currency] += amount
        assert {c: Decimal(a) for c, a in tables[table]["amounts"].items()} == sums
    assert tables["invoices"]["amounts"] == tables["invoice_items"]["amounts"]
    assert tables["accounts"]["amounts"] == {}


def test_the_manifest_tells_the_snapshot(exported: Path, folder: Path) -> None:
    told = manifest_of(exported)
    with Book(folder, read_only=True) as book:
        head = book.head()
        time = book.sql("SELECT snapshot_time FROM ducklake_snapshots('book') ORDER BY snapshot_id DESC LIMIT 1").item()
    assert (told["snapshot_id"], told["digest"], told["format"]) == (head.snapshot_id, head.digest, 1)
    assert told["snapshot_time"] == time.isoformat().replace("Etc/UTC", "+00:00")


# --- the same each time, from any snapshot --------------------------------------------------------------------------


def test_the_same_snapshot_gives_the_same_bytes(exported: Path, folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    with Book(moved, read_only=True) as book:
        export(book, tmp_path / "out", views=True)
    assert files_of(tmp_path / "out") == files_of(exported)


def test_files_of_posted_runs_stay_the_same_when_a_run_is_added(folder: Path, exported: Path, tmp_path: Path) -> None:
    with Book(folder, read_only=True) as book:
        export(book, tmp_path / "out", snapshot_id=snapshot_of(book, FIRST))
    before, after = files_of(tmp_path / "out"), files_of(exported)
    of_first = {p for p in before if f"bill_run_number={FIRST}" in p}
    assert {p.split("/")[0] for p in of_first} == {"invoices", "invoice_items"}
    assert {p: before[p] for p in of_first} == {p: after[p] for p in of_first}
    assert not [p for p in before if SECOND in p]


def test_an_earlier_snapshot_is_exported_as_it_was_views_included(folder: Path, tmp_path: Path) -> None:
    with Book(folder, read_only=True) as book:
        at = snapshot_of(book, FIRST)
        export(book, tmp_path / "out", views=True, snapshot_id=at)
        expected = book.sql(f"FROM revenue_by_month AT (VERSION => {at})")
    assert manifest_of(tmp_path / "out")["snapshot_id"] == at
    assert table_in(tmp_path / "out", "bill_runs")["bill_run_number"].to_list() == [FIRST]
    found = table_in(tmp_path / "out", "revenue_by_month")
    assert sorted_rows(found).equals(sorted_rows(expected))
    assert set(found["bill_run_number"]) == {FIRST}


def test_order_and_row_groups_do_not_depend_on_batches(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows come in batches whose sizes depend on threads; groups and files are cut by count alone."""
    monkeypatch.setattr(plain, "_ROW_GROUP", 3)
    monkeypatch.setattr(plain, "_GROUPS", 2)
    with Book(folder, read_only=True) as book:
        export(book, tmp_path / "out", tables=["billed_items"])
    parts = sorted((tmp_path / "out" / "billed_items").iterdir())
    assert [p.name for p in parts] == [f"part-{n:05d}.parquet" for n in range(4)]
    assert [pl.read_parquet(p).height for p in parts] == [6, 6, 6, 3]
    whole = pl.concat(map(pl.read_parquet, parts))
    assert whole["item_id"].to_list() == sorted(whole["item_id"])


# --- all or nothing -------------------------------------------------------------------------------------------------


def test_a_folder_with_other_files_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for replace in (False, True):
        with Book(folder, read_only=True) as book, pytest.raises(BillfoldError):
            export(book, tmp_path, replace=replace)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_filled(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with Book(folder, read_only=True) as book:
        export(book, tmp_path / "out", tables=["accounts"])
    assert check(tmp_path / "out") == []


def test_an_earlier_export_is_replaced_only_when_asked(folder: Path, export_copy: Path) -> None:
    before = files_of(export_copy)
    with Book(folder, read_only=True) as book:
        with pytest.raises(BillfoldError, match="--replace"):
            export(book, export_copy, tables=["accounts"])
        assert files_of(export_copy) == before
        export(book, export_copy, tables=["accounts"], replace=True)
    assert list(manifest_of(export_copy)["tables"]) == ["accounts"]
    assert [p.name for p in export_copy.parent.iterdir()] == [export_copy.name]


def test_an_export_with_files_of_others_is_not_replaced(folder: Path, export_copy: Path) -> None:
    (export_copy / "accounts" / "mine.txt").write_text("mine")
    with (
        Book(folder, read_only=True) as book,
        pytest.raises(BillfoldError, match=r"accounts/mine\.txt is not of this export"),
    ):
        export(book, export_copy, replace=True)
    assert (export_copy / "accounts" / "mine.txt").is_file()


def test_a_folder_inside_the_book_is_refused(copy: Path) -> None:
    with Book(copy, read_only=True) as book, pytest.raises(BillfoldError, match="inside the book"):
        export(book, copy / "data" / "out")


def test_an_export_that_fails_leaves_nothing_and_keeps_the_earlier_one(
    copy: Path, export_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(export_copy)

    def full(*_: object, **_more: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with Book(copy, read_only=True) as book, pytest.raises(BillfoldError, match="No space left"):
        export(book, export_copy, replace=True)
    assert files_of(export_copy) == before
    assert sorted(p.name for p in copy.parent.iterdir()) == ["book", "export"]


@pytest.mark.parametrize(
    ("damage", "error"),
    [(lambda p: p.write_bytes(p.read_bytes()[:-9]), DamagedError), (lambda p: p.unlink(), BookError)],
)
def test_a_damaged_book_is_not_exported(
    copy: Path, tmp_path: Path, damage: Callable[[Path], None], error: type[Exception]
) -> None:
    damage(min((copy / "data" / "main" / "invoice_items").glob("*.parquet")))
    with Book(copy, read_only=True) as book, pytest.raises(error, match="invoice_items"):
        export(book, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- checks ---------------------------------------------------------------------------------------------------------


def test_an_export_is_as_it_was_written(exported: Path) -> None:
    assert check(exported) == []


def test_what_became_of_an_export_is_told_file_by_file(export_copy: Path) -> None:
    path = "invoices/bill_run_number=BR-00000001/part-00000.parquet"
    content = bytearray((export_copy / path).read_bytes())
    content[len(content) // 2] ^= 1
    (export_copy / path).write_bytes(content)
    (export_copy / "accounts" / "part-00000.parquet").unlink()
    (export_copy / "more.csv").write_text("")
    assert check(export_copy) == [
        "accounts/part-00000.parquet is missing", "more.csv is not of this export", f"{path} is not as it was written",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2, "billfold_version": "9"}'])
def test_what_is_no_export_can_not_be_checked(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(BillfoldError, match=r"is not an export of billfold|another version of billfold, 9"):
        check(tmp_path)


# --- from the command line ------------------------------------------------------------------------------------------


def test_the_command_exports_the_book_and_tells_what(
    cli: Command, folder: Path, exported: Path, tmp_path: Path
) -> None:
    outcome = cli("--book", folder, "export", "out", "--views")
    assert (outcome.code, outcome.err) == (0, "")
    assert "invoice_items" in outcome.out
    assert "Without rows: product_rate_plan_charges" in outcome.out
    assert files_of(tmp_path / "out") == files_of(exported)


def test_the_command_prints_one_document_of_json(quick: Command, folder: Path) -> None:
    told = quick("--book", folder, "export", "out", "--run", FIRST, "--table", "invoices", "--json").json()
    assert told["folder"] == "out"
    assert {t: (s["rows"], s["files"], s["amounts"]) for t, s in told["tables"].items()} == {
        "invoices": (2, 1, {"CHF": "1239.3800", "USD": "1397.4800"})
    }


def test_the_command_checks_an_export(quick: Command, export_copy: Path) -> None:
    assert quick("export", "--check", export_copy).out == f"{export_copy} is as it was written.\n"
    (export_copy / "accounts" / "part-00000.parquet").unlink()
    outcome = quick("export", export_copy, "--check")
    assert outcome.code == 1
    assert outcome.out == f"accounts/part-00000.parquet is missing\n{export_copy} is not as it was written.\n"
    assert quick("export", export_copy, "--check", "--json").json()["holds"] is False


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--table", "invoicez"), 1, "did you mean invoices"),
        (("--snapshot", "4711"), 1, "snapshot 4711"),
        (("--snapshot", "0"), 1, "no tables yet"),
        (("--run", "BR-00000009"), 1, "no bill run BR-00000009"),
        (("--run", FIRST, "--snapshot", "1"), 2, "not both"),
        (("--check", "--views"), 2, "alone"),
        (("--partition-by", "day"), 2, "'day'"),
    ],
)
def test_what_can_not_be_exported_is_refused(  # noqa: PLR0913, PLR0917 - a case
    quick: Command, folder: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    outcome = quick("--book", folder, "export", "out", *arguments)
    assert outcome.code == code
    assert said in " ".join(outcome.err.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_from_before_a_table_is_exported_without_it(copy: Path, tmp_path: Path) -> None:
    with closing(lake.attach(copy)) as connection:
        connection.execute("DROP TABLE order_actions")
    with Book(copy, read_only=True) as book:
        export(book, tmp_path / "out", views=True)
        assert set(TABLES) - manifest_of(tmp_path / "out")["tables"].keys() == {"order_actions"}
        with pytest.raises(BillfoldError, match="name a later one"):
            export(book, tmp_path / "more", tables=["order_actions"])


def test_views_that_a_book_lacks_are_told_with_the_way_out(copy: Path, tmp_path: Path) -> None:
    with closing(lake.attach(copy)) as connection:
        connection.execute("DROP VIEW ageing")
    with Book(copy, read_only=True) as book:
        with pytest.raises(BillfoldError, match="billfold migrate"):
            export(book, tmp_path / "out", views=True)
        export(book, tmp_path / "out")


# --- the document -----------------------------------------------------------------------------------------------------

DOCUMENT: Final = (ROOT / "docs" / "analysts.md").read_text(encoding="utf-8")
PRINTED: Final = (
    "[(datetime.date(2024, 1, 1), 'CHF', Decimal('77.3400')), ",
    "396.3900\n",
    "{'CHF': '1239.3800', 'USD': '1793.8700'} []\n",
)
"""What its pieces of Python print, or how that begins."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


ATTACHING, *QUERIES = blocks("sql")


@pytest.fixture(scope="module")
def desk(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the document's book, all of it posted, and its export."""
    where = tmp_path_factory.mktemp("desk")
    with Book(shutil.copytree(folder, where / "book")) as book:
        post(book, SECOND)
        export(book, where / "export", views=True)
    return where


@pytest.fixture
def client(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB after the document's lines, with its extensions from where they are installed."""
    monkeypatch.chdir(desk)
    with closing(duckdb.connect()) as connection:
        for extension in lake._EXTENSIONS:
            lake._load(connection, extension)
        connection.execute(re.sub(r"INSTALL \w+;", "", ATTACHING))
        yield connection


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_the_document_runs_in_any_client(query: str, desk: Path, client: duckdb.DuckDBPyConnection) -> None:
    found = client.sql(query).pl()
    assert found.width > 1
    if "read_" not in query:
        with Book(desk / "book", read_only=True) as book:
            assert book.sql(query).equals(found)


def test_the_document_shows_what_its_queries_find(client: duckdb.DuckDBPyConnection) -> None:
    found = {query.split("FROM ")[1].split()[0]: client.sql(query).fetchall() for query in QUERIES}
    assert found["invoice_register"] == []
    assert found["read_json('export/manifest.json')"][0][1:3] == (6, 3)
    assert found["read_parquet('export/invoices/**/*.parquet',"] == [
        (FIRST, "CHF", Decimal("1239.38")), (FIRST, "USD", Decimal("1397.48")), (SECOND, "USD", Decimal("396.39")),
    ]  # fmt: skip


@pytest.mark.parametrize(("code", "printed"), list(zip(blocks("python"), PRINTED, strict=True)))
def test_python_of_the_document_prints_what_it_should(code: str, printed: str, desk: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=desk, capture_output=True, text=True, check=False)
    assert (done.stdout[: len(printed)], done.stderr) == (printed, "")


@pytest.mark.parametrize("view", views(), ids=lambda v: v.name)
def test_the_document_describes_every_column_of_a_view(view: View, folder: Path) -> None:
    with Book(folder, read_only=True) as book:
        types = book.columns(view.name)
    columns = "\n".join(f"| {c} | {types[c]} | {meaning} |" for c, meaning in view.columns.items())
    head = "| column | type | meaning |\n| --- | --- | --- |\n"
    assert f"### {view.name}\n\n{view.meaning}\n\n{head}{columns}\n" in DOCUMENT
