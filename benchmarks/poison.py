"""What one account costs whose data break a whole frame: the same run with and without it, in one go.

`python -m benchmarks.poison --accounts 100000` makes a book of so many accounts (ten charges each) and bills it
several times in turn: honestly, and with a step of the line that Polars refuses for one charge.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import polars as pl

import billfold.run
from benchmarks.generate import TARGET, tables, write
from billfold import Book, RunRequest, bill
from billfold.intake import load

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = RunRequest(target_date=TARGET, invoice_date=TARGET)


@contextmanager
def poisoned(charge: str) -> Iterator[None]:
    """A line whose rating breaks on one charge: the cast of a word to a number, which fails for the whole column."""
    line: Any = billfold.run
    honest = line.rate

    def breaks(carriers: Any, *rest: Any) -> Any:  # noqa: ANN401 - passed on
        rated = honest(carriers, *rest)
        word = pl.when(pl.col("charge_number") == charge).then(pl.lit("poison")).otherwise(pl.lit("1"))
        carriers.charges.select(word.cast(pl.Int8))
        return rated

    line.rate = breaks
    try:
        yield
    finally:
        line.rate = honest


def timed(source: Path) -> tuple[float, Any]:
    """Seconds of a run on a copy of a book, and what it made."""
    with tempfile.TemporaryDirectory() as scratch, Book(shutil.copytree(source, Path(scratch) / "book")) as book:
        begun = time.perf_counter()
        receipt = bill(book, REQUEST)
        return time.perf_counter() - begun, receipt


def main() -> None:
    """Print the ratio, and what the poisoned run did."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--accounts", type=int, default=100_000)
    asked.add_argument("--repeat", type=int, default=3)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows"
        write(rows, tables(options.accounts, 1))
        charge = f"R-{options.accounts * 7:08d}"
        Book.create(Path(scratch) / "book").close()
        with Book(Path(scratch) / "book") as book:
            load(book, [str(rows)])
        honest, broken, receipt = [], [], None
        for _ in range(options.repeat):
            honest.append(timed(Path(scratch) / "book")[0])
            with poisoned(charge):
                seconds, receipt = timed(Path(scratch) / "book")
                broken.append(seconds)
    print(
        f"honest {median(honest):.2f} s, poisoned {median(broken):.2f} s: {median(broken) / median(honest):.2f} times"
    )
    print(receipt.documents.parked_accounts.select("account_number", "step", "reason").to_dicts() if receipt else "")


if __name__ == "__main__":
    main()
