"""Crashes: a command that is killed, wherever it is, costs nothing; commands at the same time never double anything.

The full proofs of kills at every failpoint, of kills at random moments, and of commands at the same time:
`POINTS=all pytest tests/test_crashes.py -k failpoint`,
`KILLS=200 KILL_ACCOUNTS=50000 pytest tests/test_crashes.py -k random -s`,
`TRIES=50 pytest tests/test_crashes.py -k simultaneous -s`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import pytest
from conftest import ROOT, Outcome, bare_environment
from crash_book import (
    PATIENCE,
    SEEN,
    TO_RUN,
    Gate,
    History,
    Kept,
    ask_a_new_book,
    ask_duckdb,
    ask_one_book,
    copied,
    data_files,
    differing,
    done,
    forking,
    kept,
    on_disk,
    orphaned,
    run,
    shared_history,
    start,
    tables,
    watch,
)

from billfold import Book
from billfold.book import clean, orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

KILLS: Final = int(os.environ.get("KILLS", "6"))
KILL_ACCOUNTS: Final = int(os.environ.get("KILL_ACCOUNTS", "2000"))
POINTS: Final = os.environ.get("POINTS", "3")
TRIES: Final = int(os.environ.get("TRIES", "4"))
SEED: Final = int(os.environ.get("KILL_SEED", time.time_ns() % 1_000_000))

KILLED: Final = -signal.SIGKILL
LATEST: Final = "BR-00000003"
CONFLICT: Final = "billfold: Another commit to this book came first, so nothing was written: run the command again.\n"


def _random() -> random.Random:
    return random.Random(SEED)  # noqa: S311 - nobody is to be surprised


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with shared_history(tmp_path_factory.mktemp("stages")) as made:
        yield made


# ------------------------------------------------------------------ at every failpoint


@dataclass(frozen=True)
class Case:
    """A command at a stage: the tables that it changes, and what it says when it is given once more after all."""

    stage: str
    arguments: tuple[str, ...]
    tables: str
    whole: str = ""
    """Tables that it empties, so that there is no file to write."""

    again: int = 0
    says: str = "Nothing is due"


_OF_RUN: Final = (
    "invoices invoice_items credit_memos credit_memo_items parked_accounts processed_usage charge_progress bill_runs"
)
_INPUTS: Final = "accounts subscriptions rate_plan_charges usage orders order_line_items sequence_sets"
_LEFT: Final = "charges_to_review late_usage"
CASES: Final = {
    "load": Case("posted", ("load", "{more}"), f"{_INPUTS} charges_to_review", says="unchanged"),
    "run": Case("due", TO_RUN, _OF_RUN, _LEFT),
    "run and post": Case("due", (*TO_RUN, "--post"), _OF_RUN, _LEFT),
    "post": Case("drafts", ("post", LATEST), "bill_runs invoices credit_memos", again=1, says="is Posted"),
    "post one": Case(
        "drafts", ("post", LATEST, "--document", f"{LATEST}-000001"), "bill_runs invoices", again=1, says="has no draft"
    ),
    "cancel": Case(
        "drafts", ("cancel", LATEST), "bill_runs invoices credit_memos charge_progress charges_to_review",
        again=1, says="is Canceled",
    ),
    "retry": Case("mended", ("retry", LATEST), "invoices invoice_items bill_runs"),
    "settings": Case("posted", ("settings", "set", "ungrouped=pooled"), "settings", says="pooled"),
}  # fmt: skip


def points(case: Case) -> list[str]:
    """The failpoints that a case has to reach, in order."""
    changed = case.tables.split()
    written = [f"write.{when}:{t}" for t in changed for when in ("before", "after")]
    both = sorted([*changed, *case.whole.split()])
    registered = [f"register.{when}:{t}" for t in both for when in ("before", "after")]
    return sorted([*written, *registered, "head.before", "head.after", "commit.before", "commit.after"])


@pytest.mark.parametrize("name", CASES)
def test_a_command_that_dies_at_any_failpoint_costs_nothing(stages: History, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    stage, arguments = stages.book(case.stage), stages.filled(case.arguments)
    log, whole = tmp_path / "reached", copied(stage, tmp_path / "whole")
    uninterrupted = run(whole, *arguments, failpoint=f"log:{log}")
    assert uninterrupted.code in {0, 3}, uninterrupted
    reached = log.read_text(encoding="utf-8").split()
    assert sorted(reached) == points(case)
    changed = [*case.tables.split(), *case.whole.split()]
    expected = Expected(kept(stage), kept(whole), tables(whole, changed), uninterrupted.code)
    for point in _chosen(reached):
        _dies_at(point, case, stage, arguments, expected, tmp_path / point)


def _chosen(reached: list[str]) -> list[str]:
    """All failpoints, or some: drawn ones, and the one after the commit."""
    if POINTS == "all":
        return reached
    return [*_random().sample(reached[:-1], int(POINTS) - 1), reached[-1]]


@dataclass(frozen=True)
class Expected:
    """A book before and after a command that nobody interrupted, and the command's exit code."""

    before: Kept
    after: Kept
    tables: dict[str, pl.DataFrame]
    code: int


def _dies_at(  # noqa: PLR0913, PLR0917 - one argument for each thing that differs
    point: str, case: Case, stage: Path, arguments: Sequence[str], expected: Expected, folder: Path
) -> None:
    book = copied(stage, folder / "book")
    assert run(book, *arguments, failpoint=point).code == KILLED, point
    committed = point == "commit.after"
    left = on_disk(book) - on_disk(stage)
    assert kept(book) == (expected.after if committed else expected.before), point
    again = run(book, *arguments)
    assert again.code == (case.again if committed else expected.code), (point, again)
    assert not committed or case.says in again.out + again.err, again
    assert kept(book) == expected.after, point
    _cleans(book, set() if committed else left, point)
    assert differing(expected.tables, tables(book, expected.tables)) == [], point
    shutil.rmtree(folder)


def _cleans(book: Path, left: set[Path], why: object) -> None:
    """The orphans are what the dead command had written, all of it and nothing else; removing them removes them."""
    there = on_disk(book)
    assert all(path.suffix == ".parquet" for path in left), why
    with Book(book) as opened:
        assert {Path(p.address).relative_to(opened.folder) for p in orphans(opened)} == left, why
        assert {Path(p.address).relative_to(opened.folder) for p in clean(opened)} == left, why
        assert orphans(opened) == [], why
    assert on_disk(book) == there - left, why


def test_init_that_dies_leaves_a_book_or_none(tmp_path: Path) -> None:
    log = tmp_path / "reached"
    empty = kept(_made(tmp_path / "whole" / "book", f"log:{log}", 0))
    reached = log.read_text(encoding="utf-8").split()
    assert reached == ["create.before", "rename.before", "rename.after"]
    for point in reached:
        book = _made(tmp_path / point / "book", point, KILLED)
        there, left = point == "rename.after", {p.name for p in book.parent.glob(".book.*")}
        assert book.exists() == there
        again = run(book, "init")
        assert (again.code, "exists and is not empty" in again.err) == ((1, True) if there else (0, False))
        assert kept(book) == empty
        assert {p.name for p in orphaned(book)} == left
        assert len(left) == (0 if there else 1)
        done(book, "clean", "--yes")
        assert (orphaned(book), list(book.parent.glob(".book.*"))) == (set(), [])
        assert kept(book) == empty


def _made(book: Path, failpoint: str, code: int) -> Path:
    book.parent.mkdir()
    assert run(book, "init", failpoint=failpoint).code == code, failpoint
    return book


def test_clean_that_dies_removes_nothing_that_is_needed_and_can_be_given_again(stages: History, tmp_path: Path) -> None:
    stage, log = copied(stages.book("due"), tmp_path / "stage"), tmp_path / "reached"
    assert run(stage, *TO_RUN, failpoint="commit.before").code == KILLED
    before, orphans_there = kept(stage), orphaned(stage)
    assert orphans_there == on_disk(stage) - on_disk(stages.book("due"))
    done(copied(stage, tmp_path / "whole"), "clean")
    assert run(tmp_path / "whole", "clean", "--yes", failpoint=f"log:{log}").code == 0
    reached = log.read_text(encoding="utf-8").split()
    assert reached == ["head.before", "head.after", "commit.before", "commit.after"]
    for point in reached:
        book = copied(stage, tmp_path / point)
        assert run(book, "clean", "--yes", failpoint=point).code == KILLED
        assert (kept(book), orphaned(book)) == (before, orphans_there)
        done(book, "clean", "--yes")
        assert (kept(book), orphaned(book), on_disk(book)) == (before, set(), on_disk(stages.book("due")))
        assert differing(tables(book), tables(stages.book("due"))) == []


def test_the_environment_names_the_failpoint(stages: History, tmp_path: Path) -> None:
    book = copied(stages.book("due"), tmp_path / "book")
    command = [sys.executable, "-m", "billfold", "--book", str(book), *TO_RUN]
    asked = bare_environment(tmp_path) | {"BILLFOLD_FAILPOINT": "commit.before"}
    died = subprocess.run(command, env=asked, capture_output=True, check=False, timeout=PATIENCE)
    assert died.returncode == KILLED
    assert kept(book) == kept(stages.book("due"))


# ------------------------------------------------------------------ at random moments


BIG_RUN: Final = ("run", "--target-date", "2025-07-01", "--invoice-date", "2025-07-01", "--post")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of many accounts, with a charge each on average, before its first run: it is the kills that count."""
    folder = tmp_path_factory.mktemp("large")
    made = [sys.executable, "-m", "benchmarks.generate", str(folder / "in"), "--accounts", str(KILL_ACCOUNTS)]
    subprocess.run(made, cwd=ROOT, check=True, timeout=PATIENCE)
    charges = folder / "in" / "rate_plan_charges.parquet"
    pl.read_parquet(charges).gather_every(10).write_parquet(charges)
    (folder / "in" / "usage.parquet").unlink()  # of charges that were left away
    done(folder / "book", "init")
    done(folder / "book", "load", folder / "in")
    return folder / "book"


BILLED: Final = ("invoices", "invoice_items", "credit_memos", "credit_memo_items", "charge_progress", "bill_runs")


@dataclass
class Pace:
    """How long a run takes until its first file is there, and from then on to its end; the latest one tells."""

    thinking: float = 0.0
    writing: float = 0.0


def _paced(book: Path, there: set[Path], pace: Pace) -> Outcome:
    """A run from its start to its end, timed."""
    began, running = time.monotonic(), start(book, *BIG_RUN)
    _wait_for_a_file(book, there, running.is_alive)
    wrote = time.monotonic()
    outcome = running.ended()
    if on_disk(book) != there:
        pace.thinking, pace.writing = wrote - began, time.monotonic() - wrote
    return outcome


def _wait_for_a_file(book: Path, there: set[Path], is_alive: Callable[[], bool]) -> None:
    while is_alive() and on_disk(book) == there:
        time.sleep(0.001)


def _killed_somewhere(book: Path, there: set[Path], pace: Pace, draw: random.Random) -> tuple[Outcome, str]:
    """A run that is killed: one of three anywhere, the others while it writes and commits."""
    moment, running = draw.random(), start(book, *BIG_RUN)
    if draw.randrange(3):
        _wait_for_a_file(book, there, running.is_alive)
        time.sleep(moment * pace.writing)
        return running.kill(), f"{moment:.3f} of the time from its first file on"
    time.sleep(moment * (pace.thinking + pace.writing))
    return running.kill(), f"{moment:.3f} of its time"


def test_a_run_killed_at_random_moments_ends_as_if_it_had_not_been(large: Path, tmp_path: Path) -> None:
    there, shared, before, pace, draw = on_disk(large), data_files(large), kept(large), Pace(), _random()
    whole = copied(large, tmp_path / "whole")
    code = _paced(whole, there, pace).code
    after, rows, phases = (
        kept(whole),
        tables(whole, BILLED),
        dict.fromkeys(("rating", "writing", "registering", "done"), 0),
    )
    files = len(on_disk(whole) - there)
    print(f"KILL_SEED={SEED}, {after.runs[0]['items']} items, {pace}")  # noqa: T201 - for those who wait
    for attempt in range(KILLS * 10):
        book = copied(large, tmp_path / f"book-{attempt}")
        died, when = _killed_somewhere(book, there, pace, draw)
        if died.code == KILLED:
            found, left = kept(book), on_disk(book) - there
            assert found in (before, after), when
            committed = found == after
            phase = "done" if committed else "registering" if len(left) >= files else "writing" if left else "rating"
            phases[phase] += 1
            print(f"{sum(phases.values())}: killed at {when}: {phase}, {len(left)} files", flush=True)  # noqa: T201
            assert _paced(book, there | left, pace).code == (0 if committed else code), when
            assert kept(book) == after, when
            assert differing(rows, tables(book, rows)) == [], when
            _cleans(book, set() if committed else left, when)
            assert differing(rows, tables(book, rows)) == [], when
        shutil.rmtree(book)
        if sum(phases.values()) == KILLS:
            break
    print(phases)  # noqa: T201
    assert sum(phases.values()) == KILLS
    assert phases["writing"] + phases["registering"] >= KILLS // 6
    assert data_files(large) == shared


# ------------------------------------------------------------------ at the same time


PAIRS: Final = {
    "two runs": ("due", TO_RUN, TO_RUN),
    "a run and a run of one account": ("due", (*TO_RUN, "--post"), (*TO_RUN, "--account", "A-1", "--post")),
    "a run and a load": ("due", TO_RUN, ("load", "{mended}")),
    "a run and a post": ("mended", TO_RUN, ("post", LATEST)),
    "a post and a cancel": ("drafts", ("post", LATEST), ("cancel", LATEST)),
    "a retry and a run": ("mended", ("retry", LATEST), TO_RUN),
}
TWICE: Final = """
    WITH items AS (
        SELECT i.*, status FROM invoice_items i JOIN invoices USING (invoice_id)
        UNION ALL BY NAME
        SELECT i.*, status FROM credit_memo_items i JOIN credit_memos USING (credit_memo_id)
    )
    SELECT charge_number, segment, charge_name, order_number, item_number, service_start_date, service_end_date,
           processing_type, applied_to_item_id, count(*) AS times
    FROM items WHERE status <> 'Canceled' GROUP BY ALL HAVING times > 1
"""


@dataclass(frozen=True)
class Order:
    """Commands in some order, one after the other: the exit code of each by its place, and the book afterwards."""

    codes: dict[int, int]
    book: Kept


def _orders(stage: Path, commands: Sequence[Sequence[str]], folder: Path) -> list[Order]:
    """Each command alone, and each with the other after it."""
    orders = []
    for first, second in permutations(range(2)):
        book = copied(stage, folder / f"{first} first")
        codes = {first: run(book, *commands[first]).code}
        orders.append(Order(codes, kept(book)))
        orders.append(Order({**codes, second: run(book, *commands[second]).code}, kept(book)))
    return orders


@pytest.mark.parametrize("name", PAIRS)
def test_simultaneous_commands_are_as_good_as_one_after_the_other(stages: History, tmp_path: Path, name: str) -> None:
    """One may lose, and says so; then it was as if it had never been given."""
    stage_name, *texts = PAIRS[name]
    stage, commands = stages.book(stage_name), [stages.filled(t) for t in texts]
    draw, began = _random(), time.monotonic()
    orders = _orders(stage, commands, tmp_path)
    spread, lost = (time.monotonic() - began) / 4, 0
    for attempt in range(TRIES if name == "two runs" else -(-TRIES // 4)):
        book, barrier = copied(stage, tmp_path / f"try-{attempt}"), forking().Barrier(2)
        delays = draw.choice([(0.0, 0.0), (0.0, draw.uniform(0, spread)), (draw.uniform(0, spread), 0.0)])
        started = [start(book, *c, gate=Gate(barrier, d)) for c, d in zip(commands, delays, strict=True)]
        ended = [running.ended() for running in started]
        settled = {n: e.code for n, e in enumerate(ended) if e.err != CONFLICT}
        assert all(e.code == 1 for e in ended if e.err == CONFLICT), ended
        assert settled, ended
        assert Order(settled, kept(book)) in orders, (SEED, delays, ended)
        with Book(book) as opened:
            assert opened.sql(TWICE).rows() == []
            assert orphans(opened) == []
        lost += len(settled) < 2
    print(f"{name}: in {lost} of {attempt + 1} tries one came too late")  # noqa: T201


# ------------------------------------------------------------------ readers


def test_readers_in_other_processes_see_whole_runs_only(large: Path, tmp_path: Path) -> None:
    book, context = copied(large, tmp_path / "book"), forking()
    done(book, "settings", "set", "ungrouped=auto")  # opened for writing, so that a plain ATTACH finds the copy
    told, over = context.Queue(), context.Event()
    readers = []
    for asking in (ask_one_book, ask_a_new_book, ask_duckdb):
        ready = context.Event()
        readers.append(context.Process(target=watch, args=(asking, book, told, ready, over)))
        readers[-1].start()
        assert ready.wait(PATIENCE)
    for part in (("--bill-cycle-day", "1"), ()):
        done(book, *BIG_RUN, *part)
    over.set()
    watched = [told.get(timeout=PATIENCE) for _ in readers]
    final = Book(book, read_only=True).sql(SEEN).row(0)
    assert final[1] > KILL_ACCOUNTS
    for name, seen, reads in watched:
        print(f"{name}: {reads} reads of {len(seen)} states")  # noqa: T201
        for items, counted, documents, counted_documents, invoiced, of_items, credited, of_credits in seen:
            assert items == counted, name
            assert documents == counted_documents, name
            assert (invoiced, credited) == (of_items, of_credits), name
        assert seen[0][0] == 0
        assert seen[-1] == final
        assert 2 <= len(seen) <= 3
    for reader in readers:
        reader.join(PATIENCE)
