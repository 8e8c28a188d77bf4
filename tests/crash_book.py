"""Books for the tests of crashes: made, copied, worked on by processes that may be killed, and compared."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pytest
from conftest import Outcome
from inputs import row, write_rows

from billfold import Book, failpoints
from billfold.book import lake
from billfold.cli import main
from billfold.contracts import TABLES

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from multiprocessing.process import BaseProcess

    import polars as pl

PATIENCE: Final = 600
"""Seconds after which a process that does not end is a failure; nothing waits that long otherwise."""

CLOCKS: Final = ("started_at", "finished_at")
"""Columns of `bill_runs` that two runs of one history never share."""

_FULL: Final = "full:"

TARGET: Final = "2024-03-05"
"""Up to when the runs under test bill."""

# --- processes ----------------------------------------------------------------------------------------------------


def forking() -> Any:  # noqa: ANN401 - of multiprocessing
    """Processes that start with billfold already imported, in a few milliseconds; they have run nothing before."""
    context = multiprocessing.get_context("forkserver")
    of_billfold = ("run", "lifecycle", "intake", "printing", "proofs", "replay", "settings", "cli")
    context.set_forkserver_preload(["pytest", "crash_book", *(f"billfold.{m}" for m in of_billfold)])
    return context


@contextmanager
def trusting() -> Iterator[None]:
    """DuckDB without checking who signed its extensions: that takes most of the time of opening a book."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb, "connect", partial(duckdb.connect, config={"allow_unsigned_extensions": "true"}))
        yield


@dataclass(frozen=True)
class Running:
    """A command at work in a process of its own."""

    process: BaseProcess
    printed: Path

    def is_alive(self) -> bool:
        """Whether it is still at work."""
        return self.process.exitcode is None

    def kill(self) -> Outcome:
        """End it as a loss of power would, so that no handler runs; it may have ended before."""
        self.process.kill()
        return self.ended()

    def ended(self) -> Outcome:
        """Wait for the end."""
        self.process.join(PATIENCE)
        code = self.process.exitcode
        assert code is not None, "the command does not end"
        printed = [self.printed.with_suffix(f".{s}") for s in ("out", "err")]
        out, err = (
            p.read_text(encoding="utf-8") if p.exists() else "" for p in printed
        )  # it may die before it has any
        return Outcome(code, out, err)


@dataclass(frozen=True)
class Gate:
    """Where several commands wait for each other; one may then let the others go ahead for some seconds."""

    barrier: Any
    delay: float = 0.0

    def wait(self) -> None:
        """Go on when all are there."""
        self.barrier.wait(PATIENCE)
        time.sleep(self.delay)


def start(book: Path, *arguments: str | Path, failpoint: str = "", gate: Gate | None = None) -> Running:
    """Start a command on a book: dying at a failpoint, or from `full:NAME` on with a full disk; waiting at a gate."""
    printed = book.with_name(f"{book.name} {time.monotonic_ns()}")
    words = ["billfold", "--book", str(book), *map(str, arguments)]
    process = forking().Process(target=_command, args=(words, printed, failpoint, gate))
    process.start()
    return Running(process, printed)


def run(book: Path, *arguments: str | Path, failpoint: str = "") -> Outcome:
    """Start a command and wait for its end."""
    return start(book, *arguments, failpoint=failpoint).ended()


def done(book: Path, *arguments: str | Path) -> Outcome:
    """Give a command that has to succeed; accounts may be parked."""
    outcome = run(book, *arguments)
    assert outcome.code in {0, 3}, outcome
    return outcome


def _command(words: list[str], printed: Path, failpoint: str, gate: Gate | None) -> None:
    """What the process does: the command line's main function, with its output in files."""
    for stream, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(printed.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    if failpoint.startswith(_FULL):
        failpoints.reached = partial(_full_from, failpoint.removeprefix(_FULL))
    else:
        failpoints._ASKED = failpoint  # type: ignore[misc] # the environment was read before this process began
    sys.argv = words
    with trusting():
        if gate is not None:
            gate.wait()
        main()


def _full_from(place: str, name: str) -> None:
    """From some place on no file can grow beyond a few bytes: writing more fails as on a full disk."""
    if name == place:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))


# --- books --------------------------------------------------------------------------------------------------------


def copied(book: Path, to: Path) -> Path:
    """A copy of a book. Its data files are shared: nobody ever changes one in place, which `data_files` lets check."""
    for path in book.rglob("*"):
        target = to / path.relative_to(book)
        if path.is_dir():
            target.mkdir(parents=True)
        elif path.suffix == ".parquet":
            target.hardlink_to(path)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    return to


def on_disk(book: Path) -> set[Path]:
    """Everything in a book's data folder that is no folder, and what an unfinished `init` left beside it."""
    inside = {p.relative_to(book) for p in (book / lake.DATA).rglob("*") if not p.is_dir()}
    return inside | {Path("..", p.name) for p in book.parent.glob(f".{book.name}.*")}


@contextmanager
def shared_history(folder: Path) -> Iterator[History]:
    """Small books at every stage; nobody may change a data file of theirs, which all their copies share."""
    made = history(folder)
    before = {book: data_files(book) for book in made.books()}
    yield made
    assert {book: data_files(book) for book in before} == before


def data_files(book: Path) -> dict[str, tuple[int, int, str]]:
    """Every data file with its size, the time when it was last written, and the hash of its bytes."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns, _sha256(p)) for p in (book / lake.DATA).rglob("*.parquet")}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Kept:
    """What a book holds, apart from clock times and the names of its files."""

    digest: str
    contents: Sequence[Mapping[str, object]]
    runs: Sequence[Mapping[str, object]]
    counters: Mapping[str, int]
    broken: Sequence[str] = field(default_factory=list)
    """Files whose bytes are not those that the commit recorded: always none."""


def kept(book: Path) -> Kept:
    """What a reader finds in a book."""
    with Book(book, read_only=True) as opened:
        contents = opened.contents()
        files = contents.drop_nulls("file").select("file", "sha256").rows()
        return Kept(
            digest=opened.head().digest,
            contents=[_without_clock(r) for r in contents.drop("file").iter_rows(named=True)],
            runs=opened.read("bill_runs").drop(CLOCKS).sort("bill_run_number").collect().to_dicts(),
            counters=opened.counters(),
            broken=[f for f, sha256 in files if _sha256(book / lake.DATA / f) != sha256],
        )


def _without_clock(change: dict[str, object]) -> Mapping[str, object]:
    """A change as recorded; the bytes of the run's own row tell the time."""
    hidden = {"sha256", "chain"} if change["table_name"] == "bill_runs" else set()
    return {k: v for k, v in change.items() if k not in hidden}


def orphaned(book: Path) -> set[Path]:
    """What `billfold clean` lists."""
    listed = done(book, "clean", "--json").json()["files"]
    return {Path(os.path.relpath(f["file"], book)) for f in listed}


def tables(book: Path, names: Iterable[str] = TABLES) -> dict[str, pl.DataFrame]:
    """The rows of tables, in order, without clock times."""
    with Book(book, read_only=True) as opened:
        return {t: opened.read(t).collect().drop(CLOCKS, strict=False) for t in names}


def differing(one: Mapping[str, pl.DataFrame], other: Mapping[str, pl.DataFrame]) -> list[str]:
    """Names of the tables that differ."""
    return [t for t in one if not one[t].equals(other[t])]


# --- a small history with everything in it ------------------------------------------------------------------------

_MONTHLY: Final = {"billing_period": "Month", "effective_start_date": "2024-01-01"}
_USAGE: Final = {"charge_type": "Usage", "charge_model": "PerUnit", "price": "0.5", "uom": "GB", **_MONTHLY}
_SENT: Final = {"item_state": "SentToBilling", "bill_target_date": "2024-01-15"}
_REFUND: Final = {"item_category": "Return", "amount_per_unit": "-4"}


def _charge(number: str, subscription: str, **changes: object) -> dict[str, Any]:
    return row("rate_plan_charges", number, subscription_number=subscription, **{**_MONTHLY, **changes})


def _used(number: str, day: str, quantity: str = "7") -> dict[str, Any]:
    return row("usage", number, charge_number="C-3", uom="GB", quantity=quantity, start_date=day)


def _line(number: str, account: str = "A-1", **changes: object) -> dict[str, Any]:
    order = f"O-{account}"
    return row("order_line_items", number, order_number=order, account_number=account, **{**_SENT, **changes})


def _subscription(number: str, account: str, **changes: object) -> dict[str, Any]:
    return row("subscriptions", number, account_number=account, contract_effective_date="2024-01-01", **changes)


INPUT_FILES: Final[Mapping[str, Mapping[str, Sequence[dict[str, Any]]]]] = {
    "start": {
        "accounts": [row("accounts", f"A-{n}", payment_term="Net 30", bill_cycle_day=1) for n in (1, 2, 3)],
        "sequence_sets": [row("sequence_sets", "Q-1")],
        "subscriptions": [_subscription("S-1", "A-1"), _subscription("S-2", "A-2")],
        "rate_plan_charges": [
            _charge("C-1", "S-1"),
            _charge("C-2", "S-2", charge_model="PerUnit", quantity="3"),
            _charge("C-3", "S-1", **_USAGE),
            _charge("C-4", "S-1", charge_model="DiscountPercentage", price=None, discount_percentage="10"),
            _charge("C-5", "S-2", charge_type="OneTime", billing_period=None, price="99.95"),
        ],
        "usage": [_used("U-1", "2024-01-03"), _used("U-2", "2024-01-20")],
        "orders": [row("orders", f"O-A-{n}", account_number=f"A-{n}") for n in (1, 3)],
        "order_line_items": [_line("1"), _line("2", **_REFUND)],
    },
    "more": {
        "accounts": [row("accounts", n, name=n, Region__c="EMEA") for n in ("A-1", "A-4")],
        "sequence_sets": [row("sequence_sets", "Q-1", invoice_prefix="J")],
        "subscriptions": [_subscription("S-2", "A-2", cancelled_date="2024-01-20"), _subscription("S-4", "A-4")],
        "rate_plan_charges": [_charge("C-1", "S-1", price="12"), _charge("C-6", "S-4")],
        "usage": [_used("U-3", "2024-02-03"), _used("U-4", "2024-02-20")],
        "orders": [row("orders", "O-A-4", account_number="A-4"), row("orders", "O-A-1", order_date="2024-02-01")],
        "order_line_items": [
            _line("3"),
            _line("4", "A-3", amount_per_unit="-1"),
            _line("2", Color__c="red", **_REFUND),
        ],
    },
    "late": {"usage": [_used("U-5", "2024-02-10")]},
    "mended": {"order_line_items": [_line("4", "A-3", amount_per_unit="1")]},
}
"""What is loaded one after the other: all tables; rows that change, credit, park and bring fields; usage that comes
after its month was billed; and what mends the parked account."""

TO_RUN: Final = ("run", "--target-date", TARGET, "--invoice-date", TARGET)


@dataclass(frozen=True)
class History:
    """Books as they stood one after the other, and the files that were loaded."""

    folder: Path

    def book(self, name: str) -> Path:
        """The book at a stage."""
        return self.folder / name

    def files(self, name: str) -> Path:
        """A folder to load."""
        return self.folder / "in" / name

    def books(self) -> list[Path]:
        """The books of all stages."""
        return sorted(p.parent for p in self.folder.glob(f"*/{lake.CATALOG}"))

    def filled(self, arguments: Sequence[str]) -> list[str]:
        """A command with the folders that it names by `{more}` and the like."""
        return [a.format_map({n: self.files(n) for n in INPUT_FILES}) for a in arguments]

    def stage(self, name: str, before: str, *commands: Sequence[str | Path]) -> None:
        """A further book: one from before, after some commands."""
        book = copied(self.book(before), self.book(name))
        for command in commands:
            done(book, *command)


def history(folder: Path) -> History:
    """A small book at every stage that a command of the crash tests starts from."""
    made = History(folder)
    for name, files in INPUT_FILES.items():
        for table, rows in files.items():
            write_rows(made.files(name) / f"{table}.csv", rows)
    Book.create(made.book("empty")).close()
    january = ("run", "--target-date", "2024-02-01", "--invoice-date", "2024-02-01", "--post")
    made.stage("posted", "empty", ("load", made.files("start")), january)
    loads = [("load", made.files(name)) for name in ("more", "late", "mended")]
    made.stage("due", "posted", loads[0], TO_RUN, loads[1], ("cancel", "BR-00000002"))
    made.stage("drafts", "due", TO_RUN)
    made.stage("mended", "drafts", loads[2])
    return made


# --- readers ------------------------------------------------------------------------------------------------------

SEEN: Final = """
    SELECT (SELECT coalesce(sum(items), 0) FROM bill_runs)::BIGINT AS told,
           (SELECT count(*) FROM invoice_items) + (SELECT count(*) FROM credit_memo_items) AS items,
           (SELECT coalesce(sum(invoices + credit_memos), 0) FROM bill_runs)::BIGINT AS documents_told,
           (SELECT count(*) FROM invoices) + (SELECT count(*) FROM credit_memos) AS documents,
           (SELECT sum(amount) FROM invoices) AS invoiced, (SELECT sum(amount) FROM invoice_items) AS of_items,
           (SELECT sum(amount) FROM credit_memos) AS credited, (SELECT sum(amount) FROM credit_memo_items) AS of_credits
"""
"""What the runs tell about their documents, and what is there of them."""


def ask_one_book(book: Path) -> Callable[[], Any]:
    opened = Book(book, read_only=True)
    return lambda: opened.sql(SEEN).row(0)


def ask_a_new_book(book: Path) -> Callable[[], Any]:
    def ask() -> Any:  # noqa: ANN401 - a row
        with Book(book, read_only=True) as opened:
            return opened.sql(SEEN).row(0)

    return ask


def ask_duckdb(book: Path) -> Callable[[], Any]:
    analyst = duckdb.connect()
    for extension in ("sqlite_scanner", "ducklake"):
        lake._load(analyst, extension)
    analyst.execute(f"ATTACH 'ducklake:sqlite:{book / lake.CATALOG}' AS book (READ_ONLY)")
    analyst.execute("USE book")
    return lambda: analyst.execute(SEEN).fetchone()


def watch(asking: Callable[[Path], Callable[[], Any]], book: Path, told: Any, ready: Any, over: Any) -> None:  # noqa: ANN401 - of multiprocessing
    """Read until the writer is done, and once more; tell what was seen, and how often."""
    ask, seen, reads, last = asking(book), [], 0, False
    while not last:
        last, reads = over.is_set(), reads + 1
        row = ask()
        seen += [row] if row not in seen else []
        ready.set()
    told.put((asking.__name__, seen, reads))
