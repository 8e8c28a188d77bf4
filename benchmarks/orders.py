"""`python -m benchmarks.orders`: a file of many orders, done, billed and asked for again, and single ones beside it.

Every step is a process of its own. The floor is what Python's own JSON reader takes for the lines of the same file:
nothing in Python that reads them can go below it, and it checks, looks up and keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.product import Measured, measured, told

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEFORE: Final = date(2025, 7, 1)
"""The book is billed up to here before the orders come, as books are."""

_RUN, _FLOOR, _CREATE, _BILLED, _AGAIN = "run", "floor: json.loads", "create", "create, billed", "create again"
_ONE, _ONE_BILLED, _PREVIEW, _UPDATE = "one order", "one order, billed", "preview of one", "update, billed"
_MIB: Final = 2**20


def bench(folder: Path, orders: int) -> Iterator[Measured]:
    """Each step's measurement.

    Raises:
        RuntimeError: a step failed, refused an order, or made something else than it should.
    """
    book = folder / "orders_book"
    shutil.rmtree(book, ignore_errors=True)
    measured("init", ["billfold", "--book", str(book), "init"])
    loaded, said = told("load", ["billfold", "--book", str(book), "load", str(folder / "book"), "--json"])
    yield replace(loaded, rows=sum(table["rows"] for table in said.values()), unit="rows")
    run = ["billfold", "--book", str(book), "run", "--target-date", f"{_BEFORE}", "--invoice-date", f"{_BEFORE}"]
    receipt = told(_RUN, [*run, "--json"])
    yield replace(receipt[0], rows=receipt[1]["items"], unit="items")
    floor, read = told(_FLOOR, ["benchmarks.orders", "--floor", str(folder / "orders.jsonl")])
    yield _made(floor, read, orders)
    copy = _copy(book)
    billed, said = _asked(_BILLED, copy, "create", folder / "billed.jsonl")
    _expect(_BILLED, "documents", any(o.get("invoiceNumbers") for o in said["orders"]), wanted=True)
    yield _made(billed, said["created"], orders)
    shutil.rmtree(copy)
    for step, key in ((_CREATE, "created"), (_AGAIN, "repeated")):
        done, said = _asked(step, book, "create", folder / "orders.jsonl")
        yield _made(done, said[key], orders)
    yield from _single(folder, book)


def _single(folder: Path, book: Path) -> Iterator[Measured]:
    """One request at a time, on the book that has the file's orders."""
    preview, said = _asked(_PREVIEW, book, "preview", folder / "preview.json")
    _expect(_PREVIEW, "invoices", len(said["previewResult"]["invoices"]) > 0, wanted=True)
    yield preview
    yield replace(_asked(_ONE, book, "create", folder / "one.json")[0], rows=1, unit="orders")
    yield replace(_asked(_ONE_BILLED, book, "create", folder / "one_billed.json")[0], rows=1, unit="orders")
    lines = len(json.loads((folder / "update.json").read_bytes())["orderLineItems"])
    updated, said = _asked(_UPDATE, book, "update", folder / "update.json")
    _expect(_UPDATE, "lines", len(said["orderLineItems"]), wanted=lines)
    yield replace(updated, rows=lines, unit="lines")


def _asked(step: str, book: Path, command: str, file: Path) -> tuple[Measured, Any]:
    """An order command and its answer, if nothing was refused."""
    done, said = told(step, ["billfold", "--book", str(book), "order", command, str(file), "--json"])
    _expect(step, "success", said["success"], wanted=True)
    return done, said


def _made(done: Measured, orders: int, wanted: int) -> Measured:
    _expect(done.step, "orders", orders, wanted=wanted)
    return replace(done, rows=orders, unit="orders")


def _expect(step: str, what: str, found: object, *, wanted: object) -> None:
    if found != wanted:
        msg = f"The step {step!r} should have {what} {wanted}, and has {found}."
        raise RuntimeError(msg)


def _copy(book: Path) -> Path:
    """A copy of a book; files of rows never change, so links to them do."""
    copy = book.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(book, copy, copy_function=lambda a, b: (os.link if a.endswith(".parquet") else shutil.copy2)(a, b))
    return copy


def table(measurements: dict[str, Measured]) -> Table:
    """The steps, each with its time beside that of the floor, where it has the same orders."""
    shown = Table(title="Steps", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("step")
    for column in ("seconds", "CPU seconds", "peak MiB", "made", "a second", "x floor"):
        shown.add_column(column, justify="right")
    floor = measurements[_FLOOR]
    for m in measurements.values():
        made, rate = (f"{m.rows:,} {m.unit}", f"{m.rows / m.seconds:,.0f}") if m.rows else ("", "")
        figures = (f"{m.seconds:.2f}", f"{m.cpu_seconds:.2f}", f"{m.peak_bytes / _MIB:,.0f}", made, rate)
        same = (m.rows, m.unit) == (floor.rows, floor.unit)
        shown.add_row(m.step, *figures, f"{m.seconds / floor.seconds:.1f}" if same else "")
    return shown


def _floor(file: Path) -> int:
    """Read every line, keep it as a program would that has more to do with it, and count."""
    with file.open(encoding="utf-8") as lines:
        return len([json.loads(line) for line in lines])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orders", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000, help="orders of the file")
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts of the book; ten charges each")
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
        size = ["--orders", f"{arguments.orders}", "--accounts", f"{arguments.accounts}", "--seed", f"{arguments.seed}"]
        made = measured("generate", ["benchmarks.orders_file", str(folder), *size])[0]
        done = {m.step: m for m in (made, *bench(folder, arguments.orders))}
    if arguments.json:
        print(json.dumps({"machine": machine(), "steps": [asdict(m) for m in done.values()]}, indent=2))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print("  ·  ".join(f"{name} {value}" for name, value in machine().items()))
    console.print(table(done))


if __name__ == "__main__":
    main()
