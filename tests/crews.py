"""A book that is billed in several parts, who may make them, and lines of work that fail on the way."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any, Final

from inputs import write_rows

from billfold import parts, run
from billfold.book import Book
from billfold.book.data_files import LocalFiles
from billfold.errors import PromiseError
from billfold.intake import load
from billfold.requests import RunRequest
from billfold.run import bill, documents_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from billfold.book import File
    from billfold.in_parts import How
    from billfold.lines import Documents, Inputs
    from billfold.part import Line
    from billfold.requests import RunIdentity

ACCOUNTS: Final = 200
WHALE: Final = 120
"""The account with most charges, in the middle of the others."""

SIZE: Final = 330
"""Charges and order lines of a part: the whale has more."""

PARTS: Final = 4
FIRST: Final = date(2024, 1, 31)
SECOND: Final = date(2024, 2, 29)
"""Up to when the two runs of a book's life bill."""

PATIENCE: Final = 60
"""Seconds after which something that hangs is a failure."""


# ------------------------------------------------------------------ the book


def inputs(folder: Path) -> tuple[Path, Path]:
    """Folders of what is loaded before the first and the second run."""
    for name, tables in (("start", _start()), ("more", _more())):
        for table, rows in tables.items():
            write_rows(folder / name / f"{table}.jsonl", rows)
    return folder / "start", folder / "more"


def _start() -> Mapping[str, Sequence[dict[str, Any]]]:
    numbers = range(ACCOUNTS)
    return {
        "accounts": [
            {"account_number": _account(n), "currency": _currency(n), "payment_term": "Net 30",
             "sequence_set": "Q" if n % 5 == 0 else None}
            for n in numbers
        ],
        "sequence_sets": [{"name": "Q", "invoice_prefix": "Q-", "credit_memo_prefix": "QC-"}],
        "subscriptions": [
            {"subscription_number": f"S{n}", "account_number": _account(n), "contract_effective_date": "2024-01-01",
             "invoice_owner_account_number": _account(_payer(n)), "currency": _currency(_payer(n)),
             "invoice_group_number": "PO 1" if n % 4 == 0 else None, "Region__c": "N" if n % 2 else "S"}
            for n in numbers
        ],
        "rate_plan_charges": [charge for n in numbers for charge in _charges(n)],
        "usage": [
            {"usage_id": f"U{n}-{day}", "account_number": _account(n), "charge_number": f"U{n}", "uom": "GB",
             "quantity": "7.5", "start_date": f"2024-0{month}-{day:02}"}
            for n in numbers if n % 4 == 1 for month, day in ((1, 3), (1, 20), (2, 11))
        ],
        "order_line_items": [
            {"order_number": f"O{n}", "item_number": "1", "account_number": _account(n), "amount_per_unit": "12.5",
             "item_state": "SentToBilling", "item_category": "Return" if n % 20 == 0 else "Sales",
             "bill_target_date": "2024-01-15" if n % 4 else "2024-02-15", "Region__c": "N"}
            for n in numbers if n % 2 == 0
        ],
    }  # fmt: skip


def _account(number: int) -> str:
    return f"A{number:03}"


def _payer(number: int) -> int:
    """Who gets the invoices of an account's subscription: mostly itself, else an account of another part."""
    return (number + 60) % ACCOUNTS if number % 40 == 7 else number


def _currency(number: int) -> str:
    return "EUR" if number % 3 else "JPY"


def _charges(number: int) -> Iterator[dict[str, Any]]:
    of = {"segment": 1, "subscription_number": f"S{number}", "effective_start_date": "2024-01-01"}
    monthly = {**of, "charge_type": "Recurring", "billing_period": "Month", "charge_model": "FlatFee"}
    for fee in range(400 if number == WHALE else 2):
        yield {**monthly, "charge_number": f"C{number}-{fee}", "price": str(10 + fee)}
    if number % 4 == 1:
        yield {**monthly, "charge_number": f"U{number}", "charge_type": "Usage", "charge_model": "PerUnit",
               "price": "0.5", "uom": "GB"}  # fmt: skip
    if number % 10 == 3:
        yield {**monthly, "charge_number": f"D{number}", "charge_model": "DiscountPercentage",
               "discount_percentage": "10"}  # fmt: skip


def _more() -> Mapping[str, Sequence[dict[str, Any]]]:
    """A price that changes, subscriptions that end before they were billed up to, and usage that comes too late."""
    ended = [s | {"cancelled_date": "2024-01-20"} for n, s in enumerate(_start()["subscriptions"]) if n % 25 == 2]
    risen = [c | {"price": "31"} for n in range(0, ACCOUNTS, 30) for c in list(_charges(n))[:1]]
    late = {"usage_id": "late", "account_number": _account(1), "charge_number": "U1", "uom": "GB", "quantity": "3"}
    return {
        "subscriptions": ended,
        "rate_plan_charges": risen,
        "usage": [late | {"start_date": "2024-01-05"}],
    }


# ------------------------------------------------------------------ its life


def ask(day: date) -> RunRequest:
    """A run up to a day, which is on its documents, too."""
    return RunRequest(target_date=day, invoice_date=day)


def later(book: Book, way: How | None, more: Path) -> None:
    """Load what has changed since the first month, and draft the second."""
    load(book, [str(more)])
    bill(book, ask(SECOND), how=way)


def drive(folder: Path, way: How, line: Line = documents_of) -> None:
    """Bill the first month, in a process that may be killed; `line` is how documents are made."""
    parts.PART = SIZE  # type: ignore[misc] # it is no constant here
    run.documents_of = line  # type: ignore[assignment]
    with Book(folder) as book:
        bill(book, ask(FIRST), post=True, how=way)


# ------------------------------------------------------------------ what goes wrong on the way


def dies_once(marker: Path, inputs: Inputs, of: RunIdentity) -> list[Documents]:
    """Make documents; but the first process that comes to the whale dies."""
    if _has_whale(inputs) and _is_first(marker):
        os.kill(os.getpid(), signal.SIGKILL)
    return documents_of(inputs, of)


def always_dies(inputs: Inputs, of: RunIdentity) -> list[Documents]:
    """Make documents; but whoever comes to the whale dies."""
    if _has_whale(inputs):
        os.kill(os.getpid(), signal.SIGKILL)
    return documents_of(inputs, of)


def breaks_a_promise(inputs: Inputs, of: RunIdentity) -> list[Documents]:
    """Make documents; but those of the whale are wrong."""
    if _has_whale(inputs):
        msg = "The whale's documents are wrong."
        raise PromiseError(msg)
    return documents_of(inputs, of)


def kills(process: int, inputs: Inputs, of: RunIdentity) -> list[Documents]:
    """Make documents; but at the whale another process is killed."""
    if _has_whale(inputs):
        os.kill(process, signal.SIGKILL)
    return documents_of(inputs, of)


def waits(folder: Path, inputs: Inputs, of: RunIdentity) -> list[Documents]:
    """Hold a lock of this process in a folder, and make no document as long as somebody may look at it."""
    with (folder / str(os.getpid())).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        time.sleep(2 * PATIENCE)
    return documents_of(inputs, of)


def _has_whale(inputs: Inputs) -> bool:
    return bool(inputs.accounts.filter(account_number=_account(WHALE)).collect().height)


def _is_first(marker: Path) -> bool:
    """Whether no process has been here before."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@dataclass(frozen=True)
class DyingFiles(LocalFiles):
    """Data files; the first process that has written the whale's items dies."""

    marker: Path

    def write(self, table: str, rows: pl.DataFrame) -> File:
        """Write, and perhaps die."""
        file = super().write(table, rows)
        if table == "invoice_items" and rows.filter(account_number=_account(WHALE)).height and _is_first(self.marker):
            os.kill(os.getpid(), signal.SIGKILL)
        return file


# ------------------------------------------------------------------ a cluster


@dataclass(frozen=True)
class Program:
    """A program of Python in an almost empty environment, which finds the tests' modules."""

    process: Popen[bytes]
    log: Path

    @classmethod
    def start(cls, folder: Path, environment: Mapping[str, str], module: str, *options: str) -> Program:
        """Start it in a folder."""
        there = {"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(Path(__file__).parent), **environment}
        log = folder / f"{time.monotonic_ns()}.log"
        with log.open("wb") as told:
            command = [sys.executable, "-W", "ignore", "-m", module, *options]
            return cls(Popen(command, cwd=folder, env=there, stdout=told, stderr=told), log)

    def tells(self, word: str) -> str:
        """Wait for a line with a word that it prints."""
        for _ in range(PATIENCE * 20):
            *lines, _ = self.log.read_text(encoding="utf-8").split("\n")
            if found := [line for line in lines if word in line]:
                return found[0].strip()
            assert self.process.poll() is None, lines
            time.sleep(0.05)
        raise TimeoutError(word)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Cluster:
    """A scheduler of Dask and workers with a thread each, as processes of this machine."""

    folder: Path
    scheduler: Program
    workers: list[Program]

    @property
    def address(self) -> str:
        """The host and port of the scheduler."""
        return self.scheduler.tells("Scheduler at:").split("//")[1]

    def hire(self, **environment: str) -> Program:
        """Start a worker, which knows the scheduler's address and its environment, and nothing else."""
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        command = ("distributed.cli.dask_worker", f"tcp://{self.address}", *options)
        self.workers.append(Program.start(self.folder, environment, *command))
        return self.workers[-1]


@contextmanager
def cluster(folder: Path, workers: int, **environment: str) -> Iterator[Cluster]:
    """A cluster in a folder of its own, gone after the block."""
    folder.mkdir()
    at = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    made = Cluster(folder, Program.start(folder, environment, "distributed.cli.dask_scheduler", *at), [])
    try:
        for worker in [made.hire(**environment) for _ in range(workers)]:
            worker.tells("Registered to:")
        yield made
    finally:
        for program in (*made.workers, made.scheduler):
            program.kill()
