"""The parts of a large run are made here, in processes or on a cluster: the bytes are the same, whoever dies."""

from __future__ import annotations

import fcntl
import multiprocessing
import re
import resource
import signal
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from crash_book import copied, kept, on_disk
from crews import (
    FIRST,
    PARTS,
    PATIENCE,
    SECOND,
    SIZE,
    DyingFiles,
    always_dies,
    ask,
    breaks_a_promise,
    cluster,
    dies_once,
    drive,
    inputs,
    kills,
    later,
    waits,
)
from servers import needs_servers, running
from test_parts import contents, differing

from billfold import Book, bill, budget, executors, failpoints, parts
from billfold import run as line
from billfold.book import Change, Commit, Place, clean, deal, orphans
from billfold.budget import Budget
from billfold.errors import BillfoldError, BookError, ConflictError, PromiseError
from billfold.executors import Local, how, processes
from billfold.in_parts import How
from billfold.intake import load
from billfold.replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess

    from conftest import Command, Outcome
    from crash_book import Kept
    from crews import Cluster
    from servers import Servers

    from billfold.part import Line

ROOMY: Final = Budget(12 * 2**30)
SETTING: Final = pl.DataFrame({"name": ["ungrouped"], "value": ["pooled"]})
TO_RUN: Final = ("run", "--target-date", str(FIRST), "--invoice-date", str(FIRST), "--post")


def locally(at_once: int = 1, budget: Budget = ROOMY) -> How:
    return How(budget, Local(at_once))


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a loaded book, `start`, and what is loaded before its first and second run, `in`."""
    folder = tmp_path_factory.mktemp("fed")
    start, _ = inputs(folder / "in")
    with Book.create(folder / "start") as book:
        load(book, [str(start)])
    return folder


@pytest.fixture(autouse=True)
def small_parts() -> Iterator[None]:
    with in_small_parts():
        yield


@pytest.fixture(scope="module")
def first(fed: Path) -> Path:
    """The book after its first run, made in this process, one part after the other."""
    with in_small_parts(), Book(copied(fed / "start", fed / "first")) as book:
        bill(book, ask(FIRST), post=True, how=locally())
    return fed / "first"


@pytest.fixture(scope="module")
def lived(fed: Path, first: Path) -> Path:
    """The same after a second one."""
    with in_small_parts(), Book(copied(first, fed / "lived")) as book:
        later(book, locally(), fed / "in" / "more")
    return fed / "lived"


@pytest.fixture(scope="module")
def expected(first: Path) -> Kept:
    """What the book holds after its first run."""
    return kept(first)


@contextmanager
def in_small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART", SIZE)
        yield


@pytest.fixture
def folder(fed: Path, tmp_path: Path) -> Path:
    """A copy of the loaded book."""
    return copied(fed / "start", tmp_path / "book")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers | None]:
    """PostgreSQL and a store, where they are installed."""
    if needs_servers.args[0]:
        yield None
        return
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def dask(servers: Servers | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers, with the environment in which books on the servers can be reached."""
    environment = servers.environment if servers else {}
    with cluster(tmp_path_factory.mktemp("dask") / "cluster", 2, **environment) as started:
        yield started


# ------------------------------------------------------------------ the same bytes


def test_a_run_in_parts_makes_the_rows_of_a_whole_run(lived: Path, fed: Path, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, Book(folder) as book, Book(lived, read_only=True) as other:
        patch.setattr(parts, "PART", 10**9)
        bill(book, ask(FIRST), post=True)
        later(book, None, fed / "in" / "more")
        assert differing(contents(book), contents(other)) == []
        assert book.contents().filter(table_name="invoices").height == 2
        assert other.contents().filter(table_name="invoices").height == 2 * PARTS
        assert other.read("credit_memos").collect().height > PARTS


def test_a_run_in_parts_is_replayed_in_parts(lived: Path) -> None:
    with Book(lived, read_only=True) as book:
        assert replay(book, "BR-00000002").holds


def test_the_same_request_again_bills_nothing(lived: Path) -> None:
    before = kept(lived)
    with Book(lived) as book:
        assert bill(book, ask(SECOND), how=locally()).bill_run_number is None
    assert kept(lived) == before


def test_two_parts_at_once_each_in_several_shards_make_the_same_bytes(
    expected: Kept, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Budget, "rows", 130)
    with Book(folder) as book:
        bill(book, ask(FIRST), post=True, how=locally(2, Budget.parse("512MB")))
    assert kept(folder) == expected


def test_workers_of_dask_make_the_same_bytes(lived: Path, fed: Path, folder: Path, dask: Cluster) -> None:
    with Book(folder) as book:
        way = how(f"dask://{dask.address}")
        bill(book, ask(FIRST), post=True, how=way)
        later(book, way, fed / "in" / "more")
    assert kept(folder) == kept(lived)


def test_polars_with_one_thread_makes_the_same_bytes(
    expected: Kept, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")
    driver = _driver(folder, locally())
    driver.join(PATIENCE)
    assert driver.exitcode == 0
    assert kept(folder) == expected


@pytest.fixture
def reachable(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Servers:
    """The same, with the environment in which this process reaches books on them."""
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    return servers


@needs_servers
@pytest.mark.slow
def test_workers_of_a_book_on_servers_need_only_the_scheduler_and_their_environment(
    expected: Kept, fed: Path, tmp_path: Path, dask: Cluster, reachable: Servers
) -> None:
    spills: list[str] = []
    place = Place.on_server(tmp_path / "book", reachable.database.address, "s3://bills/book/data")
    with Book.create(tmp_path / "book", place) as book:
        load(book, [str(fed / "in" / "start")])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deal, "_limit", lambda _, spill, __: spills.append(spill))
            bill(book, ask(FIRST), post=True, how=how(f"dask://{dask.address}"))
        assert book.head().digest == expected.digest
        assert orphans(book) == []
    assert [Path(spill).is_absolute() for spill in spills] == [True], "DuckDB can't spill into a store"


# ------------------------------------------------------------------ workers that die


def test_processes_make_the_same_bytes_even_if_one_is_killed_and_its_parts_are_made_again(
    expected: Kept, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "documents_of", partial(dies_once, tmp_path / "died"))
    with Book(folder) as book:
        bill(book, ask(FIRST), post=True, how=How(ROOMY, processes(2)))
    assert (tmp_path / "died").exists()
    assert kept(folder) == expected


def test_a_worker_of_dask_that_is_killed_while_it_writes_leaves_at_worst_a_file_for_clean(
    expected: Kept, folder: Path, tmp_path: Path, dask: Cluster
) -> None:
    with Book(folder) as book:
        book.files = DyingFiles(book.place.data, tmp_path / "died")
        bill(book, ask(FIRST), post=True, how=how(f"dask://{dask.address}"))
    assert (tmp_path / "died").exists()
    dask.hire()
    assert kept(folder) == expected
    with Book(folder) as book:
        assert [Path(o.address).parent.name for o in clean(book)] == ["invoice_items"]
        assert_only_what_is_registered(book)


def test_a_part_that_no_process_survives_is_given_up(fed: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "documents_of", always_dies)
    with Book(folder) as book, pytest.raises(BillfoldError, match=r"died 3 times in a row: .*--memory less than"):
        bill(book, ask(FIRST), how=How(ROOMY, processes(1)))
    assert_untouched(folder, fed)


# ------------------------------------------------------------------ drivers that die or fail


def _driver(folder: Path, way: How, *made: Line) -> BaseProcess:
    """A process that makes the first run."""
    process = multiprocessing.get_context("spawn").Process(target=drive, args=(folder, way, *made))
    process.start()
    return process


def assert_only_what_is_registered(book: Book) -> None:
    rows = book.cursor().execute("SELECT path FROM __ducklake_metadata_book.ducklake_data_file").fetchall()
    registered = {path.rpartition("/")[2] for (path,) in rows}
    assert {p.name for p in on_disk(book.folder)} == registered
    assert scratch_of(book.folder) == []


def assert_untouched(folder: Path, fed: Path) -> None:
    """The book is as it was loaded, with no file more or less."""
    assert kept(folder) == kept(fed / "start")
    assert on_disk(folder) == on_disk(fed / "start")
    assert scratch_of(folder) == []


def scratch_of(folder: Path) -> list[Path]:
    """What runs that are under way, or died, keep for themselves."""
    return [*(folder / "data" / "scratch").glob("*")]


def test_a_driver_that_is_killed_before_its_commit_leaves_only_files_for_clean(
    expected: Kept, fed: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("BILLFOLD_FAILPOINT", "commit.before")
        driver = _driver(folder, locally())
        driver.join(PATIENCE)
    assert driver.exitcode == -signal.SIGKILL
    assert kept(folder) == kept(fed / "start")
    with Book(folder) as book:
        left = {Path(o.address).relative_to(folder / "data").parts[:2] for o in orphans(book)}
        assert {("main", "invoices"), ("main", "invoice_items"), ("main", "bill_runs")} <= left
        bill(book, ask(FIRST), post=True, how=locally())
        assert kept(folder) == expected
        assert clean(book)
        assert_only_what_is_registered(book)


def test_a_driver_that_is_killed_takes_its_processes_with_it(
    expected: Kept, fed: Path, folder: Path, tmp_path: Path
) -> None:
    at_work = tmp_path / "at work"
    at_work.mkdir()
    driver = _driver(folder, How(ROOMY, processes(2)), partial(waits, at_work))
    until(lambda: len([*at_work.iterdir()]) == 2)
    assert all(map(is_alive, at_work.iterdir()))
    driver.kill()
    until(lambda: not any(map(is_alive, at_work.iterdir())))
    assert kept(folder) == kept(fed / "start")
    with Book(folder) as book:
        assert {Path(o.address).relative_to(folder / "data").parts[0] for o in orphans(book)} == {"scratch"}
        bill(book, ask(FIRST), post=True, how=locally())
        assert kept(folder) == expected
        assert clean(book)
        assert_only_what_is_registered(book)


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    ends = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < ends, "nothing happens"
        time.sleep(0.05)


def is_alive(lock: Path) -> bool:
    """Whether the process that took a lock is there."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("where", ["local", "dask"])
def test_a_broken_promise_in_one_part_takes_all_others_back(
    where: str, fed: Path, folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: dict[str, Callable[[], How]] = {
        "local": lambda: locally(2),
        "dask": lambda: how(f"dask://{request.getfixturevalue('dask').address}"),
    }
    monkeypatch.setattr(line, "documents_of", breaks_a_promise)
    with Book(folder) as book, pytest.raises(PromiseError, match="The whale's documents are wrong"):
        bill(book, ask(FIRST), post=True, how=ways[where]())
    assert_untouched(folder, fed)


def test_a_run_that_is_interrupted_takes_everything_back(fed: Path, folder: Path, dask: Cluster) -> None:
    def interrupt(step: str, _share: float) -> None:
        if step == "rating and grouping":
            raise KeyboardInterrupt

    with Book(folder) as book, pytest.raises(KeyboardInterrupt):
        bill(book, ask(FIRST), how=how(f"dask://{dask.address}"), progress=interrupt)
    assert_untouched(folder, fed)


def test_of_a_run_that_another_commit_came_before_nothing_is_left(folder: Path) -> None:
    def interfere(step: str, _share: float) -> None:
        if step == "committing":
            with Book(folder) as other:
                other.commit(other.head(), Commit("other", [Change("settings", SETTING)]))

    with Book(folder) as book:
        with pytest.raises(ConflictError, match="Another commit to this book came first"):
            bill(book, ask(FIRST), how=locally(), progress=interfere)
        assert_only_what_is_registered(book)


@pytest.mark.parametrize("table", ["charge_progress", "invoices"])
def test_a_disk_that_is_full_on_the_way_is_told_in_a_sentence_and_leaves_nothing(
    table: str, fed: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def reached(name: str) -> None:
        if name == f"write.before:{table}":
            resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))

    monkeypatch.setattr(failpoints, "reached", reached)
    try:
        with Book(folder) as book, pytest.raises(BookError, match=r"^[^\n]*nothing was changed: [^\n]*$"):
            bill(book, ask(FIRST), how=locally())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_untouched(folder, fed)


# ------------------------------------------------------------------ memory


@pytest.mark.parametrize(
    ("written", "memory"),
    [
        ("4GB", 4 * 2**30),
        ("512MB", 2**29),
        ("0.5g", 2**29),
        (" 1.5 GiB ", 3 * 2**29),
        ("1T", 2**40),
        ("2147483648", 2**31),
    ],
)
def test_memory_is_written_as_people_write_it(written: str, memory: int) -> None:
    assert Budget.parse(written).memory == memory


@pytest.mark.parametrize(("limit", "share"), [("1073741824", 2**29), ("max", None), ("9223372036854771712", None)])
def test_without_a_word_a_run_takes_half_of_what_the_machine_or_container_has(
    limit: str, share: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_LIMITS", (str(tmp_path / "nothing"), str(tmp_path / "limit")))
    whole = Budget.parse(None).memory
    (tmp_path / "limit").write_text(f"{limit}\n", encoding="ascii")
    assert Budget.parse(None).memory == (share or whole)


def test_less_memory_means_fewer_parts_at_once_and_smaller_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl, "thread_pool_size", lambda: 4)
    assert [Budget.parse(f"{gb}GB").at_once(500_000) for gb in (1, 4, 6, 12, 100)] == [1, 1, 2, 4, 4]
    rows = [Budget.parse(size).rows for size in ("512MB", "1GB", "4GB")]
    assert rows == sorted(set(rows))


# ------------------------------------------------------------------ what is refused


def refused(outcome: Outcome, said: str) -> None:
    """One sentence that says this, and exit code 1."""
    assert (outcome.code, outcome.out) == (1, ""), outcome
    assert re.fullmatch(rf"billfold: [^\n]*{said}[^\n]*\.\n", outcome.err), outcome.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--executor", "nonsense"), "There is no executor 'nonsense': it is local, processes or dask://HOST:PORT."),
        (("--executor", "dask://scheduler"), "There is no executor 'dask://scheduler'"),
        (("--executor", "dask://"), "There is no executor 'dask://'"),
        (("--memory", "3"), "--memory can't be '3': it is a size such as 4GB, and at least 512MB."),
        (("--memory", "much"), "--memory can't be 'much'"),
    ],
)
def test_a_way_that_there_is_not_is_refused(options: tuple[str, str], said: str, quick: Command) -> None:
    for command in (("run", "--target-date", "2024-01-31"), ("night", "--target-date", "2024-01-31")):
        outcome = quick(*command, *options)
        assert (outcome.code, outcome.out) == (2, "")
        assert said in " ".join(re.sub(r"[│╭╮╰╯─]", " ", outcome.err).split())


def test_a_small_run_needs_no_workers(folder: Path, quick: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 1_000_000)
    assert folder.name == "book"
    assert quick(*TO_RUN, "--executor", "dask://127.0.0.1:1").code == 0


def test_without_the_extra_dask_is_refused(
    fed: Path, folder: Path, quick: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    refused(quick(*TO_RUN, "--executor", "dask://127.0.0.1:1"), r"pip install 'billfold\[cluster\]'")
    assert_untouched(folder, fed)


@pytest.mark.slow
def test_what_a_cluster_lacks_is_said_in_a_sentence(
    fed: Path, folder: Path, tmp_path: Path, quick: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "billfold-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: billfold\nVersion: 9.9\n", encoding="utf-8")
    monkeypatch.setattr(executors, "_PATIENCE", 2)
    with cluster(tmp_path / "cluster", 0, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as started:
        command = (*TO_RUN, "--executor", f"dask://{started.address}")
        refused(quick(*command), "has no worker: start some with `dask worker 127.0.0.1:")

        worker = started.hire(PYTHONPATH=str(other.parent))
        worker.tells("Registered to:")
        refused(quick(*command), "has billfold 9.9, and this is billfold 0.1.0: give all machines the same")
        worker.kill()
        started.scheduler.tells("Remove worker")

        for made, said in (
            (always_dies, "Workers died again and again over one part"),
            (partial(kills, started.scheduler.process.pid), "The Dask scheduler was lost"),
        ):
            started.hire().tells("Registered to:")
            monkeypatch.setattr(line, "documents_of", made)
            refused(quick(*command), said)
        refused(quick(*command), "There is no Dask scheduler at 127.0.0.1:")
    assert_untouched(folder, fed)


def test_a_worker_that_joins_with_another_version_refuses_its_part(folder: Path) -> None:
    task: Any = SimpleNamespace(version="9.9")
    with pytest.raises(
        BillfoldError, match=r"A worker has billfold 0\.1\.0.*billfold 9\.9: give all machines the same"
    ):
        executors.draft_there(Place.of(folder), task, 0)
