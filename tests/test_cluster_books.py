"""Books whose catalog is PostgreSQL and whose data is in an S3-compatible store or a shared folder, on real servers."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast
from uuid import uuid4

import duckdb
import polars as pl
import pytest
from conftest import bare_environment
from servers import needs_servers, running
from test_book import TRIES, _commit_at_once, asked, both, names, orders, setting

from billfold import Book, bill, failpoints
from billfold.book import Change, Commit, DataFiles, Place, Written, clean, lake, orphans, turns
from billfold.errors import BookError, ConflictError, DamagedError, UncertainError
from billfold.events import Step
from billfold.intake import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Command, Outcome
    from servers import Servers

pytestmark = needs_servers

T = TypeVar("T")

SAAS: Final = Path(__file__).parents[1] / "data" / "saas"
DAYS: Final = {day: ("--target-date", day, "--invoice-date", day) for day in ("2024-02-15", "2024-03-01")}
LIFE: Final = (
    ("load", SAAS / "start"),
    ("run", *DAYS["2024-02-15"], "--post"),
    ("load", SAAS / "february"),
    ("run", *DAYS["2024-03-01"]),
    ("cancel", "BR-00000002"),
    ("replay", "BR-00000002"),
    ("explain", "INV00000001"),
    ("runs",),
    ("sql", "SELECT count(*) AS accounts FROM accounts AT (VERSION => 1)"),
    ("clean",),
    ("migrate",),
)
"""What is done to a book, and asked of it."""

_CONTENTS: Final = (
    "SELECT version, message, table_name, how, row_count, sha256, chain FROM billfold.contents "
    "WHERE table_name <> 'bill_runs' ORDER BY version, position"
)
SCHEMAS: Final = "SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^pg_'"
CUT: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> 'psql'"
_CLOCK: Final = re.compile(r"in \d+\.\d s.*")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running() as started:
        yield started


@pytest.fixture(autouse=True)
def reachable(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment in which books on the servers can be reached."""
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)


def data_of(name: str) -> str:
    return f"s3://bills/{name}/data"


@pytest.fixture
def name() -> str:
    """A name that no other book has."""
    return f"book_{uuid4().hex}"


@pytest.fixture
def book(servers: Servers, tmp_path: Path, name: str) -> Iterator[Book]:
    """An empty book on the servers, open; its folder has the book's name."""
    folder = tmp_path / name
    with Book.create(folder, Place.on_server(folder, servers.database.address, data_of(name))) as opened:
        yield opened


def stored(servers: Servers, name: str) -> set[str]:
    """Names of the files that the store has of a book, but for the note that says whose they are."""
    return servers.store.names(f"bills/{name}") - {"book.toml"}


def registered(book: Book) -> set[str]:
    """Names of the files that the catalog knows."""
    rows = book.cursor().execute("SELECT path FROM __ducklake_metadata_book.ducklake_data_file").fetchall()
    return {path.rpartition("/")[2] for (path,) in rows}


def refused(outcome: Outcome, *words: str) -> None:
    """One sentence that says these words, and exit code 1."""
    assert outcome.code == 1, outcome
    assert outcome.out == ""
    assert re.fullmatch(r"billfold: [^\n]+\.\n", outcome.err), outcome.err
    assert [word for word in words if word not in outcome.err] == [], outcome.err


def everything(folder: Path) -> dict[str, pl.DataFrame]:
    """All rows of all tables, and the record of what came into them, but for what tells the time."""
    with Book(folder, read_only=True) as book:
        tables = book.sql("SHOW TABLES FROM main")["name"].to_list()
        views = {
            v for (v,) in book.cursor().execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        }
        read = {
            t: book.read(t).drop("started_at", "finished_at", strict=False).collect() for t in tables if t not in views
        }
        return read | {"contents": book.sql(_CONTENTS), "head": pl.DataFrame({"digest": [book.head().digest]})}


# ------------------------------------------------------------------ the same book


def test_the_same_commands_make_the_same_book_in_one_folder_and_on_servers(
    servers: Servers, quick: Command, tmp_path: Path, name: str
) -> None:
    assert quick("--book", "alone", "init").code == 0
    made = quick("--book", name, "init", "--catalog", servers.database.address, "--data", data_of(name))
    assert made.out == f"Made an empty book in {name}. Next: billfold load FOLDER\n"
    assert [p.name for p in (tmp_path / name).iterdir()] == ["book.toml"]
    for command in LIFE:
        told = [quick("--book", folder, *command) for folder in ("alone", name)]
        said = [_CLOCK.sub("", t.out.replace(folder, "BOOK")) for t, folder in zip(told, ("alone", name), strict=True)]
        assert [t.code for t in told] == [0, 0], told
        assert said[0] == said[1], command
    here, there = everything(tmp_path / "alone"), everything(tmp_path / name)
    assert here["invoice_items"].height
    assert there.keys() == here.keys()
    assert [t for t in here if not here[t].equals(there[t])] == []
    proved = quick("--book", name, "verify", "--brief", "--no-replay")
    assert proved.out.endswith(f"Digest of the book: {here['head'].item()}\nAll promises hold.\n"), proved


def test_a_book_of_a_catalog_elsewhere_has_its_data_in_its_folder_if_nothing_else_is_said(
    servers: Servers, quick: Command, tmp_path: Path, name: str
) -> None:
    assert quick("--book", name, "init", "--catalog", servers.database.address).code == 0
    assert quick("--book", name, "load", SAAS / "start").code == 0
    moved = tmp_path / "moved"
    (tmp_path / name).rename(moved)
    assert 'data = "data"' in (moved / "book.toml").read_text(encoding="utf-8")
    assert sorted(p.name for p in (moved / "data" / "main").iterdir()) == [
        "accounts", "charges_to_review", "rate_plan_charges", "subscriptions", "usage",
    ]  # fmt: skip
    assert quick("--book", moved, "run", *DAYS["2024-02-15"]).code == 0


def test_data_may_be_in_a_folder_that_several_machines_share(
    servers: Servers, quick: Command, tmp_path: Path, name: str
) -> None:
    init = ("init", "--catalog", servers.database.address, "--schema", name, "--data", "shared/book")
    assert quick("--book", "one", *init).code == 0
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert quick("--book", "one", "load", SAAS / "start").code == 0
    assert quick("--book", "two", "run", *DAYS["2024-02-15"], "--post").code == 0
    assert quick("--book", "one", "replay", "BR-00000001").code == 0
    assert {p.suffix for p in (tmp_path / "shared" / "book" / "main").rglob("*") if p.is_file()} == {".parquet"}


def test_a_database_holds_several_books(book: Book, servers: Servers, tmp_path: Path) -> None:
    other = f"book_{uuid4().hex}"
    place = Place.on_server(tmp_path / "other", servers.database.address, data_of(other), schema=other)
    book.commit(book.head(), Commit("one", [setting("mine")]))
    with Book.create(tmp_path / "other", place) as second:
        assert names(second) == []
        second.commit(second.head(), Commit("one", [setting("yours")]))
        assert (names(book), names(second)) == (["mine"], ["yours"])
        assert orphans(book) == orphans(second) == []


def test_a_plain_duckdb_attaches_the_book_as_documented(book: Book, servers: Servers, name: str) -> None:
    book.commit(book.head(), Commit("one", [setting("mine")]))
    with closing(duckdb.connect()) as analyst:
        for extension in ("postgres_scanner", "httpfs", "ducklake"):
            lake._load(analyst, extension)
        analyst.execute(
            "CREATE SECRET (TYPE s3, KEY_ID 'who', SECRET 'shh', REGION 'us-east-1', URL_STYLE 'path', USE_SSL false, "
            f"ENDPOINT '127.0.0.1:{servers.store.port}')"
        )
        source = f"ducklake:postgres:{servers.database.address}"
        analyst.execute(f"ATTACH '{source}' AS book (READ_ONLY, METADATA_SCHEMA '{name}')")
        assert analyst.execute("SELECT name FROM book.settings").fetchall() == [("mine",)]
        assert analyst.execute("USE book; FROM ageing(DATE '2024-01-01')").fetchall() == []


def test_who_may_only_read_the_catalog_can_ask_and_not_write(book: Book, servers: Servers, name: str) -> None:
    book.commit(book.head(), Commit("one", [setting("mine")]))
    analyst = f"analyst_{uuid4().hex}"
    servers.database.tell(
        f"CREATE ROLE {analyst} LOGIN PASSWORD 'opensesame'; GRANT USAGE ON SCHEMA {name} TO {analyst}; "
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {analyst}"
    )
    place = Place(book.place.catalog.replace("billfold@", f"{analyst}@"), book.place.data, name)
    with Book.at(place, read_only=True) as reading:
        assert names(reading) == ["mine"]
    with Book.at(place) as writing, pytest.raises(BookError, match="permission denied"):
        writing.commit(writing.head(), Commit("two", [setting("theirs")]))
    assert names(book) == ["mine"]
    assert orphans(book) == []


# ------------------------------------------------------------------ workers


def sent(what: T) -> T:
    """What another process gets."""
    return cast("T", pickle.loads(pickle.dumps(what)))  # noqa: S301 - of this test


def test_a_worker_opens_the_book_without_its_folder_and_writes_files_that_the_driver_commits(
    book: Book,
) -> None:
    book.commit(book.head(), Commit("one", [orders("O-1")]))
    place, files = sent((book.place, book.files))
    shutil.rmtree(book.folder)
    with Book.at(place, read_only=True) as worker:
        rows = worker.read("orders", worker.head().snapshot_id).collect()
        with pytest.raises(BookError, match="without its folder"):
            _ = worker.folder
    more = rows.with_columns(order_number=pl.lit("O-2"))
    parts = (files.write("orders", more), files.write("orders", more.with_columns(order_number=pl.lit("O-3"))))
    assert book.read("orders").collect().height == 1
    book.commit(book.head(), Commit("two", [Written("orders", parts, more.schema)]))
    assert sorted(book.read("orders").collect()["order_number"]) == ["O-1", "O-2", "O-3"]
    assert book.contents().tail(2)["sha256"].to_list() == [part.sha256 for part in parts]
    assert [files.sha256(part.path) for part in parts] == [part.sha256 for part in parts]
    assert orphans(book) == []


def test_events_name_the_tables_of_a_store_as_openlineage_has_it(book: Book) -> None:
    step = Step("load", book.folder)
    step._writes({"accounts": 2})
    bucket, name = "s3://bills", f"{book.place.schema}/data/main/accounts"
    assert [(out["namespace"], out["name"]) for out in step.outputs] == [(bucket, name)]


def test_a_place_of_one_folder_opens_that_book(empty_book: Path) -> None:
    place = sent(Place.of(empty_book))
    with Book.at(place, read_only=True) as book:
        assert book.folder == empty_book
        assert DataFiles.at(place.data) == book.files


# ------------------------------------------------------------------ several at once


def test_of_two_processes_that_commit_at_once_exactly_one_wins(book: Book, servers: Servers, name: str) -> None:
    told = both(_commit_at_once, book.folder)
    assert told == {n: ["conflict", "done"] for n in range(TRIES)}
    assert sorted(n.split("-")[1] for n in names(book)) == [str(n) for n in range(TRIES)]
    assert names(book) == sorted(book.read("orders").collect()["order_number"])
    assert stored(servers, name) == registered(book)


def test_a_commit_on_an_older_state_is_refused_and_leaves_nothing(book: Book, servers: Servers, name: str) -> None:
    before = book.head()
    book.commit(before, Commit("one", [setting("first")]))
    with pytest.raises(ConflictError, match="Another commit to this book came first"):
        book.commit(before, Commit("two", [setting("second")]))
    assert names(book) == ["first"]
    assert stored(servers, name) == registered(book)


def test_a_commit_does_not_wait_forever_for_one_that_hangs(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_SET", turns._SET.replace("'60s'", "'100ms'"))
    with Book(book.folder) as other, turns.alone(other._connection, other.place):
        with pytest.raises(ConflictError, match="run the command again"):
            book.commit(book.head(), Commit("one", [setting("x")]))
        assert names(other) == []
    assert orphans(book) == []
    book.commit(book.head(), Commit("two", [setting("x")]))


# ------------------------------------------------------------------ processes and connections that die


def _killed(folder: Path, point: str, *arguments: str | Path) -> None:
    """A command that dies when it reaches a point."""
    kept = {k: v for k, v in os.environ.items() if k.startswith(("PG", "AWS_"))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "billfold", *map(str, arguments)],
        cwd=folder, env={**bare_environment(folder), **kept, "BILLFOLD_FAILPOINT": point},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done


@pytest.mark.parametrize("point", ["commit.before", "commit.after"])
def test_a_killed_run_leaves_nothing_but_orphans(
    book: Book, servers: Servers, name: str, tmp_path: Path, point: str
) -> None:
    load(book, [str(SAAS / "start")])
    before = stored(servers, name)
    _killed(tmp_path, point, "--book", name, "run", *DAYS["2024-02-15"])
    committed = point == "commit.after"
    assert book.read("bill_runs").collect().height == committed
    assert {o.address.rpartition("/")[2] for o in orphans(book)} == (
        set() if committed else stored(servers, name) - before
    )
    assert bool(orphans(book)) != committed
    assert bill(book, asked(31)).documents.invoices.height == 0 if committed else clean(book)
    assert stored(servers, name) == registered(book)


@pytest.mark.parametrize("point", ["rename.before", "rename.after"])
def test_init_that_dies_leaves_a_book_or_can_be_given_again(
    servers: Servers, quick: Command, tmp_path: Path, name: str, point: str
) -> None:
    init = ("--book", name, "init", "--catalog", servers.database.address, "--data", data_of(name))
    _killed(tmp_path, point, *init)
    if point != "rename.after":
        refused(quick("--book", name, "runs"), "There is no book in the schema", name)
        assert quick(*init).code == 0
    for _ in range(2):
        assert quick("--book", name, "load", SAAS / "start").code == 0
        refused(quick(*init), f"The schema {name} is there already", "book.toml")
    assert quick("--book", name, "clean").code == 0
    assert servers.store.names(f"bills/{name}") >= {"book.toml"}


def _cut_at(point: str, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server end all connections when a commit reaches a point."""

    def reached(name: str) -> None:
        if name == point:
            servers.database.tell(CUT)

    monkeypatch.setattr(failpoints, "reached", reached)


def test_a_connection_that_is_lost_before_the_commit_leaves_nothing(
    book: Book, servers: Servers, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cut_at("register.after:settings", servers, monkeypatch)
    with pytest.raises(BookError, match="nothing was changed") as caught:
        book.commit(book.head(), Commit("one", [setting("x"), orders("O-1")]))
    assert not isinstance(caught.value, UncertainError)
    assert stored(servers, name) == set()
    with Book(book.folder) as again:
        assert names(again) == []


def test_a_connection_that_is_lost_in_the_commit_keeps_the_files_for_it_may_have_been_made(
    book: Book, servers: Servers, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _cut_at("commit.before", servers, patch)
        with pytest.raises(UncertainError, match="billfold runs"):
            book.commit(book.head(), Commit("one", [setting("x")]))
    assert len(stored(servers, name)) == 1
    with Book(book.folder) as again:
        assert names(again) == []
        assert len(clean(again)) == 1
    assert stored(servers, name) == set()


def test_a_server_that_is_down_is_told_in_a_sentence(servers: Servers, quick: Command, name: str, book: Book) -> None:
    book.close()
    servers.database.stop()
    try:
        for command in (["runs"], ["load", SAAS / "start"], ["run", *DAYS["2024-02-15"]], ["migrate"]):
            refused(quick("--book", name, *command), "Connection refused")
    finally:
        assert servers.database.start()
    assert quick("--book", name, "runs").code == 0


# ------------------------------------------------------------------ data that is not as it was


@pytest.fixture
def loaded(book: Book) -> Book:
    load(book, [str(SAAS / "start")])
    return book


def _only_file(book: Book, table: str) -> str:
    return str(book.contents().filter(table_name=table)["file"].item())


def test_a_missing_file_of_the_store_is_told_as_one_of_a_folder_is(loaded: Book) -> None:
    file = _only_file(loaded, "accounts")
    loaded.files.unlink(file)
    lost = re.escape(f"has lost a data file of accounts: put {data_of(loaded.place.schema)}/{file} back from a copy.")
    with pytest.raises(BookError, match=lost):
        loaded.read("accounts")


def test_a_damaged_file_of_the_store_stops_the_commit_that_rests_on_it(loaded: Book, servers: Servers) -> None:
    file = _only_file(loaded, "accounts")
    with servers.store.files.open_output_stream(f"{loaded.place.data.removeprefix('s3://')}/{file}") as stream:
        rows = loaded.read("accounts").collect()
        rows.with_columns(name=pl.lit("Mallory")).write_parquet(stream)
    with pytest.raises(DamagedError, match=file):
        bill(loaded, asked(31))
    assert loaded.read("bill_runs").collect().is_empty()


def test_a_restored_catalog_never_removes_files_of_the_original(book: Book, servers: Servers, name: str) -> None:
    book.files.write("settings", pl.DataFrame({"name": ["x"], "value": ["y"]}))
    book.close()
    servers.database.tell(f"ALTER SCHEMA {name} RENAME TO {name}_copy")
    place = Place(book.place.catalog, book.place.data, f"{name}_copy")
    with Book.at(place) as restored:
        assert len(orphans(restored)) == 1
        with pytest.raises(BookError, match=f"belongs to the book in schema {name} of"):
            clean(restored)
    assert len(stored(servers, name)) == 1


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, {"--catalog": "postgresql://billfold@127.0.0.1:1/books"}, ["Connection refused"]),
        ({}, {"--catalog": "postgresql://billfold:pw@127.0.0.1/books"}, ["must not have a password", "PGPASSWORD"]),
        ({}, {"--catalog": "postgresql://billfold@h/books?password=pw"}, ["must not have a password"]),
        ({}, {"--catalog": "postgresql://127.0.0.1"}, ["is no address of a catalog", "postgresql://USER@HOST"]),
        ({}, {"--catalog": "mysql://127.0.0.1/books"}, ["is no address of a catalog"]),
        ({}, {"--schema": "Books!"}, ["'Books!'", "--schema"]),
        ({}, {"--schema": "public"}, ["schema public", "already"]),
        ({}, {"--data": "gs://bucket/x"}, ["is no address of data", "s3://BUCKET/PREFIX"]),
        ({}, {"--data": "s3://bills/with blanks"}, ["is no address of data", "letters"]),
        ({}, {"--data": "s3://nowhere/x"}, ["s3://nowhere/x", "bucket does not exist"]),
        ({}, {"--data": "/proc/nowhere"}, ["/proc/nowhere"]),
        ({"PGPASSWORD": "wrong"}, {}, ["password authentication failed"]),
        ({"AWS_SECRET_ACCESS_KEY": ""}, {}, ["set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"]),
        ({"AWS_ENDPOINT_URL": "localhost"}, {}, ["must begin with http://"]),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, {}, ["Could not connect to server"]),
    ],
)  # fmt: skip
def test_init_says_what_it_can_not_use_and_leaves_nothing(  # noqa: PLR0913, PLR0917 - fixtures, and what differs
    servers: Servers, quick: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str,
    change: dict[str, str], options: dict[str, str], words: list[str],
) -> None:  # fmt: skip
    for variable, value in change.items():
        monkeypatch.setenv(variable, value)
    before = servers.database.tell(SCHEMAS)
    given = {"--catalog": servers.database.address, "--data": data_of(name), **options}
    refused(quick("--book", name, "init", *(part for pair in given.items() for part in pair)), *words)
    assert list(tmp_path.iterdir()) == []
    assert stored(servers, name) == set()
    assert servers.database.tell(SCHEMAS) == before


def test_data_elsewhere_goes_with_a_catalog_elsewhere(quick: Command) -> None:
    refused(quick("init", "--data", "s3://bills/x"), "go with --catalog")


def test_data_of_another_book_is_refused(servers: Servers, book: Book, quick: Command) -> None:
    init = ("--book", "other", "init", "--catalog", servers.database.address, "--schema", f"{book.place.schema}_other")
    refused(quick(*init, "--data", book.place.data), "is not empty", "prefix of its own")


def test_a_schema_that_is_taken_is_refused(servers: Servers, book: Book, quick: Command) -> None:
    init = ("--book", "other", "init", "--catalog", servers.database.address, "--schema", book.place.schema)
    refused(quick(*init, "--data", "elsewhere"), f"schema {book.place.schema}", "already", "book.toml")


@pytest.mark.parametrize(
    "content", ["catalog = ", "catalog = 'postgresql://u@h/d'\n", "catalog = 1\ndata = 2\nschema = 3\n"]
)
def test_a_book_toml_that_can_not_be_understood_is_told(quick: Command, tmp_path: Path, content: str) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "book.toml").write_text(content, encoding="utf-8")
    refused(quick("runs"), "book.toml")


@pytest.mark.parametrize("extension", ["postgres_scanner", "httpfs"])
def test_without_the_extra_one_sentence_says_what_to_install(
    book: Book, quick: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extension: str
) -> None:
    monkeypatch.setitem(sys.modules, f"duckdb_extension_{extension}", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    refused(quick("--book", book.folder, "runs"), extension, "pip install 'billfold[cluster]'")


def test_a_change_of_many_rows_is_the_same_file_in_the_store_and_in_a_folder(book: Book, tmp_path: Path) -> None:
    rows = pl.DataFrame({"name": [f"s-{n}" for n in range(300_000)], "value": ["v"] * 300_000})
    there, here = book.files.write("settings", rows), DataFiles.at(str(tmp_path / "here")).write("settings", rows)
    assert (there.rows, there.sha256) == (here.rows, here.sha256)
    assert book.files.read(there.path).equals(rows)
    book.commit(book.head(), Commit("many", [Change("settings", rows, whole=True)]))
    assert book.read("settings").collect().equals(rows)
