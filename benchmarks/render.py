"""`python -m benchmarks.render`: documents as PDF files, in bulk and one alone.

On a book of the real sample: invoices of 1 to 30 items, spread over the whole run, with one worker and with two. All
files must be the same bytes. `--book` takes a billed book instead of making one.
"""

from __future__ import annotations

import argparse
import hashlib
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_REAL: Final = Path(__file__).parents[1] / "data" / "online_retail"
_DAY: Final = ("--target-date", "2010-12-31", "--invoice-date", "2010-12-31")
_MOST_ITEMS: Final = 30
_ONE, _TWO, _ALONE, _LARGEST = "one worker", "two workers", "one document alone", "the largest document alone"
_MIB: Final = 2**20


def billed(folder: Path) -> Path:
    """The sample's book, loaded, billed and posted."""
    book = folder / "render_book"
    shutil.rmtree(book, ignore_errors=True)
    for arguments in (["init"], ["load", str(_REAL)]):
        measured(arguments[0], _billfold(book, *arguments))
    measured("run", _billfold(book, "run", *_DAY, "--post"))
    return book


def bench(book: Path, folder: Path, documents: int) -> Iterator[Measured]:
    """Each way's measurement.

    Raises:
        RuntimeError: a way failed, or made other bytes than the others.
    """
    ids = _sample(book, documents)
    digests = set()
    for name, workers in ((_ONE, 1), (_TWO, 2)):
        out = folder / f"pdf_{workers}"
        shutil.rmtree(out, ignore_errors=True)
        done, said = told(name, _render(book, ids, out, "--workers", str(workers)))
        digests.add(_digest(said))
        yield replace(done, rows=len(ids), unit="documents")
    if len(digests) > 1:
        msg = "one worker and two made different bytes"
        raise RuntimeError(msg)
    largest = _rows(book, "SELECT invoice_id FROM invoices ORDER BY item_count DESC, invoice_id LIMIT 1")
    for name, one in ((_ALONE, ids[0]), (_LARGEST, largest[0]["invoice_id"])):
        yield replace(measured(name, _render(book, [one], folder / "one"))[0], rows=1, unit="document")


def _sample(book: Path, documents: int) -> list[str]:
    """Ids of ordinary invoices, evenly spread."""
    rows = _rows(book, f"SELECT invoice_id FROM invoices WHERE item_count <= {_MOST_ITEMS} ORDER BY 1")  # noqa: S608 - a constant
    return [row["invoice_id"] for row in rows[:: max(1, len(rows) // documents)]][:documents]


def _rows(book: Path, query: str) -> Any:  # noqa: ANN401 - rows of any query
    return told("sql", _billfold(book, "sql", query, "--format", "json"))[1]


def _digest(said: Any) -> str:  # noqa: ANN401 - the command's document
    if said["failed"]:
        msg = f"not made: {said['failed'][0]}"
        raise RuntimeError(msg)
    return hashlib.sha256("".join(file["sha256"] for file in said["files"]).encode()).hexdigest()


def _render(book: Path, ids: Sequence[str], out: Path, *options: str) -> list[str]:
    return _billfold(book, "render", *ids, "--out", str(out), *options, "--json")


def _billfold(book: Path, *arguments: str) -> list[str]:
    return ["billfold", "--book", str(book), *arguments]


def table(measurements: Sequence[Measured]) -> Table:
    """The ways, with documents a minute: of the clock, and what one processor makes in a minute of work."""
    shown = Table(title="Documents", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("way")
    for column in ("seconds", "CPU seconds", "peak MiB", "made", "a minute", "a CPU minute"):
        shown.add_column(column, justify="right")
    for m in measurements:
        rates = (f"{60 * m.rows / seconds:,.0f}" for seconds in (m.seconds, m.cpu_seconds))
        figures = (f"{m.seconds:.2f}", f"{m.cpu_seconds:.2f}", f"{m.peak_bytes / _MIB:,.0f}", f"{m.rows:,} {m.unit}")
        shown.add_row(m.step, *figures, *rates)
    return shown


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__)
    parser.add_argument("--documents", type=int, default=2_000, help="how many")
    parser.add_argument("--book", type=Path, help="a billed book, instead of the sample's")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        book = arguments.book or billed(Path(scratch))
        done = list(bench(book, Path(scratch), arguments.documents))
    ratio = done[0].seconds / done[1].seconds
    if arguments.json:
        steps = [asdict(m) for m in done]
        print(json.dumps({"machine": machine(), "ratio": ratio, "steps": steps}, indent=2))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print("  ·  ".join(f"{name} {value}" for name, value in machine().items()))
    console.print(table(done))
    console.print(f"Two workers are {ratio:.2f} times as fast as one.")


if __name__ == "__main__":
    main()
