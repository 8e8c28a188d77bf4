"""The book: all or nothing, one winner, fixed snapshots, and a folder that may go anywhere."""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import duckdb
import polars as pl
import pytest
from inputs import contents, row, seed, state, write_rows

from billfold import Book, RunRequest, bill, post
from billfold.book import Change, Commit, commits, lake, migrate
from billfold.contracts import TABLES, columns
from billfold.errors import BillfoldError, BookError, ConflictError
from billfold.intake import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess

TRIES = 6
PATIENCE = 120
"""Seconds after which a process that does not answer is a failure; nothing waits that long otherwise."""

_spawn = multiprocessing.get_context("spawn")

Work: TypeAlias = "Callable[[Book, str, int, Callable[[], object]], str]"
"""What a process does in one try, given when it meets the other one; returns the outcome."""


@pytest.fixture(scope="module")
def filled(empty_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a book with a row of every input table, one replaced row, a due line and a posted run."""
    folder = tmp_path_factory.mktemp("filled")
    with Book(shutil.copytree(empty_book, folder / "book")) as book:
        load(book, [str(seed(folder / "seed"))])
        load(book, [f"accounts={write_rows(folder / 'a.csv', [row('accounts', 'A-1', name='renamed')])}"])
        load(book, [f"order_line_items={due(folder, 1)}"])
        number = bill(book, asked(1)).bill_run_number
        assert number is not None
        post(book, number)
    return folder / "book"


def asked(day: int) -> RunRequest:
    """A run up to a day of January."""
    return RunRequest(target_date=date(2024, 1, day), invoice_date=date(2024, 1, 31))


def due(folder: Path, *days: int) -> Path:
    """A file of order lines, one for each day of January on which it is due."""
    sent = {"item_state": "SentToBilling"}
    lines = [row("order_line_items", f"due-{d}", bill_target_date=f"2024-01-{d:02}", **sent) for d in days]
    return write_rows(folder / "due.csv", lines)


def setting(name: str, value: str = "v") -> Change:
    """A row of a small table."""
    return Change("settings", pl.DataFrame({"name": [name], "value": [value]}))


def orders(*numbers: str) -> Change:
    """Rows of another table."""
    schema = {c.name: c.dtype for c in columns(TABLES["orders"]).values()}
    rows = [row("orders", n, order_date=date(2024, 1, 1), status="Completed") for n in numbers]
    return Change("orders", pl.DataFrame(rows, schema=schema))


def names(book: Book, snapshot_id: int | None = None) -> list[str]:
    """The names in the table of settings."""
    return sorted(book.read("settings", snapshot_id).collect()["name"])


def registered(book: Book) -> set[str]:
    """The data files that the newest snapshot consists of."""
    listed = [
        book.sql(f"FROM ducklake_list_files('book', '{t}') SELECT data_file").to_series().to_list()
        for t in ("settings", "orders", "invoices", "invoice_items", "bill_runs")
    ]
    return {Path(f).name for files in listed for f in files}


def on_disk(book: Book) -> set[str]:
    """The data files in the book's folder."""
    return {p.name for p in (book.folder / "data").rglob("*.parquet")}


# ------------------------------------------------------------------ making and opening


def test_a_new_book_has_every_table_and_no_rows(book: Book) -> None:
    assert all(frame.is_empty() for frame in contents(book).values())
    assert book.sql("SELECT count(*) FROM invoices").item() == 0
    assert on_disk(book) == set()


def test_a_book_is_made_in_an_empty_folder_and_in_folders_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "there", tmp_path / "not" / "yet" / "there"):
        Book.create(folder).close()
        with Book(folder) as book:
            assert book.head().version == 0
            assert all(book.read(table).collect().is_empty() for table in TABLES)


def test_an_interruption_just_after_the_commit_keeps_its_rows(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may come between the commit and the next line of Python; the files then are the book's only ones."""
    committing = commits._transaction

    @contextmanager
    def interrupted(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
        with committing(connection) as cursor:
            yield cursor
        raise KeyboardInterrupt

    monkeypatch.setattr(commits, "_transaction", interrupted)
    with pytest.raises(KeyboardInterrupt):
        book.commit(book.head(), Commit("first", [setting("kept")]))
    assert names(book) == ["kept"]


def test_a_plain_attach_reads_a_book_that_was_moved(filled: Path, tmp_path: Path) -> None:
    """The line that the README gives to analysts names no data path; the first command after a move sets it."""
    moved = shutil.copytree(filled, tmp_path / "moved")
    with Book(moved) as opened:
        invoices = opened.read("invoices").collect().height
    with closing(duckdb.connect()) as analyst:
        for extension in ("sqlite_scanner", "ducklake"):
            lake._load(analyst, extension)
        analyst.execute(f"ATTACH 'ducklake:sqlite:{moved / lake.CATALOG}' AS book (READ_ONLY)")
        files = analyst.execute("FROM ducklake_list_files('book', 'invoices') SELECT data_file").fetchall()
        assert analyst.execute("SELECT count(*) FROM book.invoices").fetchall() == [(invoices,)]
    assert invoices > 0
    assert all(Path(file).is_relative_to(moved) for (file,) in files)


def test_a_book_is_not_made_over_anything(empty_book: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "folder", empty_book):
        with pytest.raises(BookError, match=r"exists and is not empty"):
            Book.create(folder)
    assert (tmp_path / "file").read_text() == "mine"
    assert os.listdir(tmp_path / "folder") == ["notes.txt"]  # noqa: PTH208 - names only


def test_a_book_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BookError, match="can't be made"):
        Book.create(tmp_path / "file" / "book")
    monkeypatch.setattr(lake, "attach", _refuse_attach)
    with pytest.raises(BookError, match="can't be made"):
        Book.create(tmp_path / "book")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def _refuse_attach(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("kind", ["nothing", "a folder", "a file"])
def test_a_folder_without_a_book_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "here"
    if kind == "a folder":
        folder.mkdir()
    elif kind == "a file":
        folder.write_text("x")
    with pytest.raises(BookError, match=r"There is no book in .*here.*billfold init"):
        Book(folder)


def test_an_opened_book_closes_at_the_end_of_its_block(empty_book: Path, tmp_path: Path) -> None:
    with Book(shutil.copytree(empty_book, tmp_path / "book")) as opened:
        pass
    with pytest.raises(Exception, match=r"(?i)closed"):
        opened.head()


# ------------------------------------------------------------------ snapshots


def test_a_snapshot_stays_as_it_was_while_commits_go_on(book: Book) -> None:
    heads = [book.head()]
    for n in range(4):
        heads.append(book.commit(heads[-1], Commit(str(n), [setting(f"s{n}")])))
    assert [names(book, h.snapshot_id) for h in heads] == [[f"s{n}" for n in range(k)] for k in range(5)]
    assert [h.version for h in heads] == [0, 1, 2, 3, 4]


def test_a_frame_that_was_read_lazily_does_not_see_later_commits(book: Book) -> None:
    book.commit(book.head(), Commit("one", [setting("one")]))
    lazy = book.read("settings")
    book.commit(book.head(), Commit("two", [setting("two")]))
    replaced = Change("settings", pl.DataFrame({"name": ["one"], "value": ["new"]}), replace=True)
    book.commit(book.head(), Commit("three", [replaced]))
    assert lazy.collect().rows() == [("one", "v")]


def test_sql_travels_in_time(book: Book) -> None:
    first = book.commit(book.head(), Commit("one", [setting("one")]))
    book.commit(first, Commit("two", [setting("two")]))
    query = f"FROM settings AT (VERSION => {first.snapshot_id}) SELECT name"
    assert book.sql(query).rows() == [("one",)]
    assert book.sql("SELECT name FROM settings ORDER BY 1").rows() == [("one",), ("two",)]


def test_a_replaced_row_is_still_there_in_the_snapshot_before(book: Book) -> None:
    before = book.commit(book.head(), Commit("one", [setting("one", "old"), orders("O-1")]))
    change = Change("settings", pl.DataFrame({"name": ["one"], "value": ["new"]}), replace=True)
    after = book.commit(before, Commit("two", [change]))
    assert book.read("settings", before.snapshot_id).collect().rows() == [("one", "old")]
    assert book.read("settings", after.snapshot_id).collect().rows() == [("one", "new")]


def test_a_column_that_came_later_is_not_in_the_snapshot_before(book: Book) -> None:
    before = book.commit(book.head(), Commit("one", [orders("O-1")]))
    frame = orders("O-2").rows.with_columns(x__c=pl.lit(7))
    after = book.commit(before, Commit("two", [Change("orders", frame)]))
    assert "x__c" not in book.read("orders", before.snapshot_id).collect_schema()
    assert sorted(book.read("orders", after.snapshot_id).collect()["x__c"], key=str) == [7, None]


@pytest.mark.parametrize("snapshot_id", [-1, 10**6])
def test_a_snapshot_that_never_was_is_refused(book: Book, snapshot_id: int) -> None:
    with pytest.raises(BillfoldError):
        book.read("settings", snapshot_id)


def test_equal_histories_have_equal_digests(empty_book: Path, tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        with Book(shutil.copytree(empty_book, tmp_path / name)) as book:
            book.commit(book.head(), Commit("x", [setting("s"), orders("O-1")]))
            digests.append(book.head().digest)
            other = book.commit(book.head(), Commit("y", [setting(name)]))
            assert other.digest != digests[-1]
    assert digests[0] == digests[1]


# ------------------------------------------------------------------ all or nothing


def test_a_commit_of_several_tables_appears_whole(book: Book) -> None:
    book.commit(book.head(), Commit("both", [setting("s"), orders("O-1", "O-2")], {"n": 7}))
    assert names(book) == ["s"]
    assert book.read("orders").collect().height == 2
    assert book.counters() == {"n": 7}
    assert on_disk(book) == registered(book)


def _unfit() -> Change:
    """Rows that can be written but not registered: a column has another type than the table's."""
    return Change("orders", orders("O-1").rows.with_columns(order_number=pl.lit([1, 2])))


FAILING: dict[str, Commit] = {
    "registration": Commit("x", [setting("s"), _unfit()]),
    "replacement": Commit("x", [setting("s"), Change("orders", orders("O-1").rows.drop("order_number"), replace=True)]),
    "unknown_table": Commit("x", [setting("s"), Change("nowhere", pl.DataFrame({"a": [1]}))]),
    "counter": Commit("x", [setting("s"), orders("O-1")], {"n": "many"}),  # type: ignore[dict-item]
    "unkeepable_type": Commit(
        "x",
        [setting("s"), Change("orders", orders("O-1").rows.with_columns(x__c=pl.lit(2**100, dtype=pl.Int128)))],
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_commit_whose_later_part_fails_leaves_nothing(book: Book, name: str) -> None:
    book.commit(book.head(), Commit("before", [setting("before")], {"n": 1}))
    before = state(book)
    with pytest.raises(BookError) as caught:
        book.commit(book.head(), FAILING[name])
    assert not isinstance(caught.value, ConflictError)
    assert "\n" not in str(caught.value)
    assert state(book) == before
    assert names(book) == ["before"]
    book.commit(book.head(), Commit("after", [setting("after")]))
    assert names(book) == ["after", "before"]


def test_a_full_disk_during_the_second_table_leaves_nothing(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(book)
    write = pl.DataFrame.write_parquet
    seen: list[Path] = []

    def fail_later(frame: pl.DataFrame, path: Path, **options: Any) -> None:  # noqa: ANN401 - passed on
        write(frame, path, **options)
        seen.append(path)
        if len(seen) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", fail_later)
    with pytest.raises(BookError, match=r"nothing was changed.*No space left"):
        book.commit(book.head(), Commit("x", [setting("s"), orders("O-1")]))
    assert len(seen) == 2
    assert state(book) == before


# ------------------------------------------------------------------ one winner


def test_of_two_commits_from_one_head_the_second_conflicts_and_leaves_nothing(book: Book) -> None:
    head = book.head()
    book.commit(head, Commit("first", [setting("first")]))
    before = state(book)
    with pytest.raises(ConflictError, match=r"came first.*run the command again"):
        book.commit(head, Commit("second", [setting("second"), orders("O-1")], {"n": 1}))
    assert state(book) == before
    assert names(book) == ["first"]


def test_a_second_handle_on_the_same_book_conflicts_too(book: Book) -> None:
    with Book(book.folder) as other:
        head = other.head()
        book.commit(book.head(), Commit("first", [setting("first")]))
        with pytest.raises(ConflictError):
            other.commit(head, Commit("second", [setting("second")]))
        other.commit(other.head(), Commit("third", [setting("third")]))
        assert names(book) == names(other) == ["first", "third"]


def test_of_many_threads_that_commit_from_one_head_one_wins(book: Book) -> None:
    head, outcomes = book.head(), queue.SimpleQueue[str]()
    barrier = threading.Barrier(4)

    def commit(n: int) -> None:
        with Book(book.folder) as own:
            barrier.wait(PATIENCE)
            outcomes.put(outcome(lambda: own.commit(head, Commit(str(n), [setting(str(n))]))))

    threads = [threading.Thread(target=commit, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
    assert sorted(outcomes.get(timeout=1) for _ in threads) == ["conflict"] * 3 + ["done"]
    assert len(names(book)) == 1
    assert on_disk(book) == registered(book)


def outcome(act: Callable[[], object]) -> str:
    """How a commit ended, as a word."""
    try:
        act()
    except ConflictError:
        return "conflict"
    except Exception as e:  # noqa: BLE001 - told to the test, which expects none
        return repr(e)
    return "done"


def _commit_at_once(book: Book, who: str, n: int, meet: Callable[[], object]) -> str:
    head = book.head()
    meet()
    return outcome(lambda: book.commit(head, Commit(who, [setting(f"{who}-{n}"), orders(f"{who}-{n}")])))


def _bill_at_once(book: Book, _: str, n: int, meet: Callable[[], object]) -> str:
    made: list[str | None] = []
    meet()
    ended = outcome(lambda: made.append(bill(book, asked(n + 1)).bill_run_number))
    return ended if made != [None] else "nothing due"


def _open_at_once(book: Book, _: str, n: int, meet: Callable[[], object]) -> str:
    copy = book.folder.with_name(f"copy-{n}")
    meet()
    return outcome(lambda: Book(copy).close())


def _worker(work: Work, folder: Path, who: str, barrier: Any, outcomes: Any) -> None:  # noqa: ANN401 - of multiprocessing
    try:
        with Book(folder) as book:
            for n in range(TRIES):
                outcomes.put((n, work(book, who, n, lambda: barrier.wait(PATIENCE))))
                barrier.wait(PATIENCE)
    except BaseException as e:
        outcomes.put((-1, f"{who}: {e!r}"))
        barrier.abort()
        raise


def both(work: Work, folder: Path) -> dict[int, list[str]]:
    """The outcomes of two processes that work at once, by try."""
    barrier, outcomes = _spawn.Barrier(2), _spawn.Queue()
    workers = [_spawn.Process(target=_worker, args=(work, folder, who, barrier, outcomes)) for who in ("one", "two")]
    return collected(workers, outcomes, 2 * TRIES)


def collected(workers: list[Any], outcomes: Any, count: int) -> dict[int, list[str]]:  # noqa: ANN401 - of multiprocessing
    """What processes tell, sorted, by try; they are ended whatever happens."""
    for w in workers:
        w.start()
    try:
        told: list[tuple[int, str]] = []
        while len(told) < count:
            told.append(outcomes.get(timeout=PATIENCE))
            assert told[-1][0] >= 0, told[-1][1]
        for w in workers:
            w.join(PATIENCE)
        assert [w.exitcode for w in workers] == [0] * len(workers)
    finally:
        for w in workers:
            w.kill()
    return {n: sorted(o for m, o in told if m == n) for n in {m for m, _ in told}}


def test_of_two_processes_that_commit_at_once_exactly_one_wins(book: Book) -> None:
    told = both(_commit_at_once, book.folder)
    assert told == {n: ["conflict", "done"] for n in range(TRIES)}
    assert [n.split("-")[1] for n in sorted(names(book), key=lambda s: s.split("-")[1])] == [
        str(n) for n in range(TRIES)
    ]
    assert names(book) == sorted(book.read("orders").collect()["order_number"])
    assert on_disk(book) == registered(book)


def test_two_processes_may_open_a_copied_book_at_once(empty_book: Path, book: Book) -> None:
    for n in range(TRIES):
        shutil.copytree(empty_book, book.folder.with_name(f"copy-{n}"))
    assert both(_open_at_once, book.folder) == {n: ["done", "done"] for n in range(TRIES)}


def test_two_runs_at_once_never_bill_a_line_twice(book: Book, tmp_path: Path) -> None:
    load(book, [f"accounts={write_rows(tmp_path / 'a.csv', [row('accounts', 'A-1')])}"])
    load(book, [f"order_line_items={due(tmp_path, *range(1, TRIES + 1))}"])
    told = both(_bill_at_once, book.folder)
    assert all(outcomes.count("done") == 1 for outcomes in told.values())
    assert {o for outcomes in told.values() for o in outcomes} <= {"done", "conflict", "nothing due"}
    items = book.sql("SELECT item_number FROM invoice_items ORDER BY 1").to_series().to_list()
    assert items == [f"due-{n}" for n in range(1, TRIES + 1)]
    runs = book.sql("SELECT bill_run_number FROM bill_runs ORDER BY 1").to_series().to_list()
    assert runs == [f"BR-{n:08d}" for n in range(1, TRIES + 1)]
    assert on_disk(book) >= registered(book)


def _commit_many(folder: Path, count: int, started: Any) -> None:  # noqa: ANN401 - of multiprocessing
    with Book(folder) as book:
        started.wait(PATIENCE)
        for n in range(count):
            rows = [setting(f"s-{n}"), orders(f"O-{n}")]
            replaced = Change("settings", pl.DataFrame({"name": ["s-0"], "value": [str(n)]}), replace=True)
            book.commit(book.head(), Commit(str(n), [*rows, replaced][: 2 + (n > 0)]))


def test_a_reader_beside_a_writer_sees_whole_commits_only(book: Book) -> None:
    count, started = 12, _spawn.Event()
    writer: BaseProcess = _spawn.Process(target=_commit_many, args=(book.folder, count, started))
    writer.start()
    seen: set[int] = set()
    try:
        with Book(book.folder, read_only=True) as reader:
            started.set()
            while writer.is_alive() or count not in seen:
                seen.add(_whole(reader))
                assert writer.exitcode in (None, 0)
        writer.join(PATIENCE)
    finally:
        writer.kill()
    assert max(seen) == count
    assert len(seen) > 1


def _whole(reader: Book) -> int:
    """How many commits a reader sees, having checked that each table shows the same number."""
    at = reader.head()
    frames = [reader.read(t, at.snapshot_id) for t in ("settings", "orders")]
    settings, ordered = (f.collect().height for f in frames)
    assert settings == ordered == at.version
    queried = reader.sql("SELECT (SELECT count(*) FROM settings) AS s, (SELECT count(*) FROM orders) AS o").row(0)
    assert queried[0] == queried[1] >= ordered
    return settings


# ------------------------------------------------------------------ folders that go elsewhere

PLACES = [
    "with space", "it's", 'quo"te;', "br[ack]et*", "curly{a,b}", "question?mark=1&x=2#y", "per%20cent $HOME ~",
    "ünïcödé 帳簿 🧾", "back\\slash,comma=1", "a'b\"c;[d]*",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_copied_book_opens_reads_loads_and_runs_wherever_it_is(filled: Path, tmp_path: Path, place: str) -> None:
    with Book(filled) as old:
        expected = contents(old)
        before = state(old)
    copy = shutil.copytree(filled, tmp_path / place / "book")
    with Book(copy) as book:
        assert all(frame.equals(expected[t]) for t, frame in contents(book).items())
        assert book.sql("SELECT name FROM accounts WHERE account_number = 'A-1'").item() == "renamed"
        renamed = write_rows(tmp_path / "a.csv", [row("accounts", "A-1", name="elsewhere")])
        load(book, [f"accounts={renamed}", f"order_line_items={due(tmp_path, 2, 3)}"])
        number = bill(book, asked(3)).bill_run_number
        assert number == "BR-00000002"
        post(book, number)
        assert book.sql("SELECT count(*) FROM invoice_items").item() == 3
        assert book.sql("SELECT name FROM accounts WHERE account_number = 'A-1'").item() == "elsewhere"
    with Book(filled) as old:
        assert state(old) == before
        assert all(frame.equals(expected[t]) for t, frame in contents(old).items())


@pytest.mark.parametrize("place", ["with space", "it's [here]*", "帳簿"])
def test_a_book_is_made_wherever_it_shall_be(tmp_path: Path, place: str) -> None:
    with Book.create(tmp_path / place) as book:
        load(book, [str(seed(tmp_path / "seed"))])
        assert book.read("accounts").collect().height == 2


def test_a_moved_book_and_its_copy_go_on_independently(filled: Path, tmp_path: Path) -> None:
    first = shutil.copytree(filled, tmp_path / "first")
    second = shutil.copytree(filled, tmp_path / "second")
    moved = first.rename(tmp_path / "moved")
    with Book(moved) as one, Book(second) as two:
        one.commit(one.head(), Commit("one", [setting("one")]))
        two.commit(two.head(), Commit("two", [setting("two")]))
        assert (names(one), names(two)) == (["one"], ["two"])
    assert not (tmp_path / "first").exists()


def test_a_book_is_named_by_a_relative_path_too(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(filled, tmp_path / "book")
    monkeypatch.chdir(tmp_path)
    with Book(Path("book")) as book:
        monkeypatch.chdir("/")
        book.commit(book.head(), Commit("x", [setting("x")]))
        assert names(book) == ["x"]


def test_a_book_is_reached_through_a_link(filled: Path, tmp_path: Path) -> None:
    real = shutil.copytree(filled, tmp_path / "real")
    (tmp_path / "link").symlink_to(real)
    with Book(tmp_path / "link") as book:
        book.commit(book.head(), Commit("x", [setting("x")]))
    with Book(real) as book:
        assert names(book) == ["x"]


# ------------------------------------------------------------------ other versions


def _statements(folder: Path, *statements: str) -> None:
    with closing(lake.attach(folder)) as connection:
        for s in statements:
            connection.execute(s)


def test_a_book_of_a_newer_version_is_refused(filled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    _statements(folder, "UPDATE billfold.head SET schema_version = 99")
    for read_only in (False, True):
        with pytest.raises(BookError, match=r"has version 99.*upgrade billfold"):
            Book(folder, read_only=read_only)


def test_a_book_of_a_newer_version_is_not_migrated_back(filled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    _statements(folder, "UPDATE billfold.head SET schema_version = 99")
    with pytest.raises(BookError):
        migrate(folder)


def test_a_book_of_an_older_version_is_refused_with_the_way_out(filled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    _statements(folder, "UPDATE billfold.head SET schema_version = 0")
    with pytest.raises(BookError, match=r"older version 0: `billfold migrate`"):
        Book(folder)


def test_migration_brings_back_tables_and_columns_and_keeps_the_rows(filled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    with Book(folder) as book:
        expected = contents(book)
    _statements(
        folder, "DROP TABLE invoice_schedules", "DROP TABLE usage", "ALTER TABLE accounts DROP COLUMN payment_term",
        "ALTER TABLE orders DROP COLUMN order_date", "UPDATE billfold.head SET schema_version = 0",
    )  # fmt: skip
    done = migrate(folder)
    assert sorted(done) == [
        "added the column accounts.payment_term", "added the column orders.order_date",
        "added the table invoice_schedules", "added the table usage",
    ]  # fmt: skip
    with Book(folder) as book:
        found = contents(book)
        assert found.pop("usage").is_empty()
        expected.pop("usage")
        assert all(f.select(sorted(f.columns)).equals(expected[t].select(sorted(f.columns))) for t, f in found.items())
        assert book.sql("SELECT count(*) FROM invoice_schedules").item() == 0
        changed = write_rows(tmp_path / "a.csv", [row("accounts", "A-1", payment_term="Net 30")])
        load(book, [f"accounts={changed}", f"order_line_items={due(tmp_path, 2)}"])
        assert bill(book, asked(2)).documents.invoices["payment_term"].to_list() == ["Net 30"]


def test_migration_of_a_book_that_is_up_to_date_changes_no_table(filled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    with Book(folder) as book:
        expected = contents(book)
    assert migrate(folder) == []
    with Book(folder) as book:
        assert all(frame.equals(expected[t]) for t, frame in contents(book).items())


def test_migration_where_there_is_no_book_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"There is no book"):
        migrate(tmp_path)


# ------------------------------------------------------------------ damage


def _truncated(folder: Path) -> None:
    catalog = folder / lake.CATALOG
    catalog.write_bytes(catalog.read_bytes()[:5000])


def _garbage(folder: Path) -> None:
    (folder / lake.CATALOG).write_bytes(b"this is no catalog" * 1000)


def _emptied(folder: Path) -> None:
    (folder / lake.CATALOG).write_bytes(b"")


def _foreign(folder: Path) -> None:
    (folder / lake.CATALOG).unlink()
    with closing(sqlite3.connect(folder / lake.CATALOG)) as catalog:
        catalog.execute("CREATE TABLE mine (a)")
        catalog.commit()


def _headless(folder: Path) -> None:
    _statements(folder, "DELETE FROM billfold.head")


def _but_logs(folder: Path) -> list[str]:
    """A book's files without those that SQLite makes and removes beside its own."""
    return sorted(p.name for p in folder.rglob("*") if not p.name.startswith(f"{lake.CATALOG}-"))


@pytest.mark.parametrize("damage", [_truncated, _garbage, _emptied, _foreign, _headless])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_damaged_catalog_is_refused_in_a_sentence(
    filled: Path, tmp_path: Path, damage: Callable[[Path], None], *, read_only: bool
) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    damage(folder)
    files = _but_logs(folder)
    with pytest.raises(BookError) as caught:
        Book(folder, read_only=read_only)
    assert "\n" not in str(caught.value)
    assert "damaged" in str(caught.value)
    assert _but_logs(folder) == files


@pytest.mark.parametrize("table", ["accounts", "order_line_items"])
def test_a_missing_data_file_is_told_in_a_sentence(filled: Path, tmp_path: Path, table: str) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    shutil.rmtree(folder / "data" / "main" / table)
    with Book(folder) as book:
        with pytest.raises(BookError):
            book.sql(f"SELECT * FROM {table}")  # noqa: S608 - a table of the test's
        before = book.head()
        for act in (lambda: bill(book, asked(31)), lambda: load(book, [f"{table}={_file_of(table, tmp_path)}"])):
            with pytest.raises(BillfoldError) as caught:
                act()
            assert "\n" not in str(caught.value)
        assert book.head() == before


def _file_of(table: str, folder: Path) -> Path:
    return write_rows(folder / f"{table}.csv", [row(table, "A-1" if table == "accounts" else "1")])


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written_is_told_in_a_sentence(filled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        with pytest.raises(BookError), Book(folder) as book:
            book.commit(book.head(), Commit("x", [setting("x")]))
    finally:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o700)


def test_a_book_opened_for_reading_cannot_be_written(filled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    with Book(folder, read_only=True) as book:
        before = state(book)
        for query in ("DELETE FROM accounts", "DROP TABLE accounts", "INSERT INTO settings VALUES ('a', 'b')",
                      "UPDATE billfold.head SET version = 0", "CREATE TABLE t (a INT)"):  # fmt: skip
            with pytest.raises(BookError):
                book.sql(query)
        with pytest.raises(BookError):
            book.commit(book.head(), Commit("x", [setting("x")]))
        assert state(book) == before
    with Book(folder) as book:
        assert state(book) == before


def _billfold(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "billfold", "--book", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


def test_the_sql_command_cannot_change_a_book(filled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    done = _billfold(folder, "sql", "DELETE FROM accounts")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    with Book(folder) as book:
        assert book.read("accounts").collect().height == 2


def test_a_query_that_is_wrong_is_refused_with_its_place(filled: Path) -> None:
    with Book(filled, read_only=True) as book:
        with pytest.raises(BookError, match="nmae"):
            book.sql("SELECT nmae FROM accounts")
        with pytest.raises(BookError, match="nowhere"):
            book.sql("SELECT * FROM nowhere")
        with pytest.raises(BookError):
            book.sql("SELEC 1")
        assert book.sql("SELECT 1 AS one").rows() == [(1,)]


def test_commands_tell_damage_without_a_traceback(filled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(filled, tmp_path / "book")
    _garbage(folder)
    done = _billfold(folder, "runs")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("billfold: ")
    assert done.stderr.strip().count("\n") == 0


def _with_a_started_charge(folder: Path) -> Path:
    seed(folder)
    write_rows(folder / "rate_plan_charges.csv", [row("rate_plan_charges", "C-1", effective_start_date="2024-01-01")])
    return folder


def test_migration_of_a_book_without_progress_sums_it_up_from_the_items(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    with Book.create(folder) as book:
        load(book, [str(_with_a_started_charge(tmp_path / "in"))])
        expected = bill(book, asked(2), post=True).documents.charge_progress
        assert expected.height
    _statements(
        folder, "DROP TABLE charge_progress", "DROP TABLE charges_to_review", "DROP TABLE late_usage",
        "DROP TABLE processed_usage", "UPDATE billfold.head SET schema_version = 1",
    )  # fmt: skip
    assert "summed up how far charges were billed" in migrate(folder)
    with Book(folder) as book:
        key = ["charge_number", "segment", "charged_through_date", "price"]
        assert book.read("charge_progress").select(key).sort(key).collect().equals(expected.select(key).sort(key))
        assert bill(book, asked(2)).bill_run_number is None


def test_migration_of_a_book_with_drafts_of_an_older_version_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    with Book.create(folder) as book:
        load(book, [str(_with_a_started_charge(tmp_path / "in"))])
        bill(book, asked(2))
    _statements(folder, "DROP TABLE charge_progress", "UPDATE billfold.head SET schema_version = 1")
    with pytest.raises(BookError, match=r"has drafts \(BR-00000001\): post or cancel them"):
        migrate(folder)
