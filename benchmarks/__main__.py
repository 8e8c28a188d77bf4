"""`make bench`: load, run and post at size, beside hand-written SQL that makes the same documents."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.product import Measured, measured, steps

_BY_HAND: Final = "by hand"
_REAL: Final = Path(__file__).parents[1] / "data" / "online_retail"
# `generate.TARGET`, written again because importing it would bring Polars into the measuring process.
_MADE_UP_TARGET: Final = date(2025, 6, 30)
_REAL_TARGET: Final = date(2010, 12, 31)


def bench(folder: Path, source: Path, hand_source: Path, target: date, repeat: int) -> list[Measured]:
    """The medians of every step, of billfold and by hand, after a check that both make the same documents.

    Raises:
        RuntimeError: a step failed, or the documents differ.
    """
    book, out = folder / "book", folder / "by_hand"
    by_hand = ["benchmarks.by_hand", str(hand_source), str(out), f"{target}"]
    rounds = []
    for _ in range(repeat):
        shutil.rmtree(book, ignore_errors=True)
        rounds.append([*steps(book, source, target), measured(_BY_HAND, by_hand)[0]])
    measured("comparing", ["benchmarks.compare", str(book), str(out)])
    lines = next(m for m in rounds[0] if m.step == "run")
    medians = [_median(same) for same in zip(*rounds, strict=True)]
    return [replace(m, rows=lines.rows, unit=lines.unit) if m.step == _BY_HAND else m for m in medians]


def _median(same: tuple[Measured, ...]) -> Measured:
    middle = {name: median(getattr(m, name) for m in same) for name in ("seconds", "cpu_seconds", "peak_bytes")}
    return replace(same[0], **middle)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {name: version(name) for name in ("billfold", "polars", "duckdb")}
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "python": platform.python_version(),
        **versions,
    }


def table(title: str, measurements: list[Measured]) -> Table:
    """One book's figures. Ratios are times of the hand-written SQL, which does the work of `run` only."""
    shown = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("step")
    for column in ("seconds", "CPU seconds", "peak MiB", "made", "a second", "x by hand"):
        shown.add_column(column, justify="right")
    by_hand = next(m.seconds for m in measurements if m.step == _BY_HAND)
    for m in measurements:
        made, rate = (f"{m.rows:,} {m.unit}", f"{m.rows / m.seconds:,.0f}") if m.rows else ("", "")
        figures = (f"{m.seconds:.2f}", f"{m.cpu_seconds:.2f}", f"{m.peak_bytes / 2**20:,.0f}", made, rate)
        shown.add_row(m.step, *figures, f"{m.seconds / by_hand:.2f}")
    return shown


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts of the made-up book")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other rows")
    parser.add_argument("--repeat", type=int, default=1, help="show the medians of so many rounds")
    parser.add_argument("--folder", type=Path, help="keep all files here, instead of in a temporary folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def main() -> None:
    """Measure both books and print their tables."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.folder or Path(temporary)
        made_up, real = folder / "made_up", folder / "online_retail"
        size = ["--accounts", f"{arguments.accounts}", "--seed", f"{arguments.seed}"]
        measured("generate", ["benchmarks.generate", str(made_up / "input"), *size])
        measured("generate", ["benchmarks.generate", str(real / "input"), "--like", str(_REAL)])
        results = {
            f"{arguments.accounts:,} made-up accounts": bench(
                made_up, made_up / "input", made_up / "input", _MADE_UP_TARGET, arguments.repeat
            ),
            "online retail": bench(real, _REAL, real / "input", _REAL_TARGET, arguments.repeat),
        }
    if arguments.json:
        books = {title: [asdict(m) for m in measurements] for title, measurements in results.items()}
        print(json.dumps({"machine": machine(), "books": books}, indent=2))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print("  ·  ".join(f"{name} {value}" for name, value in machine().items()))
    for title, measurements in results.items():
        console.print(table(title, measurements))


if __name__ == "__main__":
    main()
