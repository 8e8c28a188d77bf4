"""`python -m benchmarks.schedules`: a file of many invoice schedules, made, billed for two months and verified.

Every step is a process of its own. The floor is what Python's own JSON reader takes for the lines of the same file:
nothing in Python that reads them can go below it, and it checks, looks up and keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.product import Measured, measured, told
from benchmarks.schedules_file import FIRST, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

_FLOOR, _CREATE, _RUN, _AGAIN, _POST = "floor: json.loads", "schedule create", "run", "run again", "post"
_NEXT, _CANCEL, _VERIFY = "run of the next month", "cancel it", "verify"
_MIB: Final = 2**20


def bench(folder: Path, schedules: int) -> Iterator[Measured]:
    """Each step's measurement.

    Raises:
        RuntimeError: a step failed, refused a schedule, or made something else than it should.
    """
    book, file = folder / "schedules_book", folder / "schedules.jsonl"
    shutil.rmtree(book, ignore_errors=True)
    measured("init", _billfold(book, "init"))
    loaded, said = told("load", _billfold(book, "load", str(folder / "book"), "--json"))
    yield replace(loaded, rows=sum(table["rows"] for table in said.values()), unit="rows")
    floor, items = told(_FLOOR, ["benchmarks.schedules", "--floor", str(file)])
    yield replace(floor, rows=schedules, unit="schedules")
    created, said = told(_CREATE, _billfold(book, "schedule", "create", str(file), "--json"))
    _expect(_CREATE, "success", said["success"], wanted=True)
    _expect(_CREATE, "items", _count(book, "invoice_schedule_items"), wanted=items)
    yield replace(created, rows=schedules, unit="schedules")
    yield from _runs(book)
    verified, said = told(_VERIFY, _billfold(book, "verify", "--no-replay", "--json"))
    _expect(_VERIFY, "promises that are broken", [p["promise"] for p in said["promises"] if not p["holds"]], wanted=[])
    yield verified


def _runs(book: Path) -> Iterator[Measured]:
    """A run that is posted, and one that is canceled; between them the first again, when nothing is due."""
    first, number = _billed(_RUN, book, FIRST)
    yield first
    again, said = told(_AGAIN, _run(book, FIRST))
    _expect(_AGAIN, "number", said["bill_run_number"], wanted=None)
    yield again
    posted, said = told(_POST, _billfold(book, "post", number, "--json"))
    yield replace(posted, rows=said["invoices"] + said["credit_memos"], unit="documents")
    following, number = _billed(_NEXT, book, SECOND)
    yield following
    yield replace(measured(_CANCEL, _billfold(book, "cancel", number, "--json"))[0], rows=following.rows, unit="items")


def _billed(step: str, book: Path, target: date) -> tuple[Measured, str]:
    """A run's measurement, by the items of schedules that it processed, and its number."""
    due = _count(book, f"invoice_schedule_items WHERE status = 'Pending' AND run_date <= DATE '{target}'")
    done, receipt = told(step, _run(book, target))
    number = receipt["bill_run_number"]
    processed = _count(book, f"invoice_schedule_items WHERE bill_run_number = '{number}'")
    _expect(step, "items", processed, wanted=due)
    _expect(step, "parked accounts", receipt["parked_accounts"], wanted=0)
    return replace(done, rows=processed, unit="items"), number


def _run(book: Path, target: date) -> Sequence[str]:
    return _billfold(book, "run", "--target-date", f"{target}", "--invoice-date", f"{target}", "--json")


def _billfold(book: Path, *arguments: str) -> Sequence[str]:
    return ["billfold", "--book", str(book), *arguments]


def _count(book: Path, rows: str) -> int:
    """How many rows a table of the book has, or those of them that a condition names; not measured."""
    found: list[dict[str, int]]
    query = f"SELECT count(*) AS n FROM {rows}"  # noqa: S608 - written here
    _, found = told("sql", _billfold(book, "sql", query, "--format", "json"))
    return found[0]["n"]


def _expect(step: str, what: str, found: object, *, wanted: object) -> None:
    if found != wanted:
        msg = f"The step {step!r} should have {what} {wanted}, and has {found}."
        raise RuntimeError(msg)


def table(measurements: dict[str, Measured]) -> Table:
    """The steps, each with its time beside that of the floor."""
    shown = Table(title="Steps", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("step")
    for column in ("seconds", "CPU seconds", "peak MiB", "made", "a second", "x floor"):
        shown.add_column(column, justify="right")
    floor = measurements[_FLOOR]
    for m in measurements.values():
        made, rate = (f"{m.rows:,} {m.unit}", f"{m.rows / m.seconds:,.0f}") if m.rows else ("", "")
        figures = (f"{m.seconds:.2f}", f"{m.cpu_seconds:.2f}", f"{m.peak_bytes / _MIB:,.0f}", made, rate)
        shown.add_row(m.step, *figures, f"{m.seconds / floor.seconds:.1f}")
    return shown


def _floor(file: Path) -> int:
    """Read every line, keep it as a program would that has more to do with it, and count the items."""
    with file.open(encoding="utf-8") as lines:
        read: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return sum(len(schedule["scheduleItems"]) for schedule in read)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedules", description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000, help="schedules of the file, one an account")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other rows")
    parser.add_argument("--folder", type=Path, help="keep all files here, instead of in a temporary folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--floor", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure every step and print the table."""
    arguments = _arguments()
    if arguments.floor:
        print(_floor(arguments.floor))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.folder or Path(temporary)
        size = ["--schedules", f"{arguments.schedules}", "--seed", f"{arguments.seed}"]
        made = measured("generate", ["benchmarks.schedules_file", str(folder), *size])[0]
        done = {m.step: m for m in (made, *bench(folder, arguments.schedules))}
    if arguments.json:
        print(json.dumps({"machine": machine(), "steps": [asdict(m) for m in done.values()]}, indent=2))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print("  ·  ".join(f"{name} {value}" for name, value in machine().items()))
    console.print(table(done))


if __name__ == "__main__":
    main()
