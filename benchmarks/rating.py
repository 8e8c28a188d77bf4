"""`python -m benchmarks.rating`: a first run over a book of all charge models, and the nights after it.

Every step is a process of its own. The first run and the night are also made once more on a copy of the book, with
timers around the line's functions, for the share that rating has.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from functools import wraps
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.product import RSS_UNIT, Measured, measured, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# `rating_book.TARGET`, written again because importing it would bring Polars into the measuring process.
_TARGET: Final = date(2025, 7, 1)
_NIGHT: Final = _TARGET + timedelta(days=1)
_TIMED: Final = ("billfold.steps.", "billfold.rating.")
_RATING: Final = ("steps.rate", "rating.")
_DRY, _FIRST, _ONE, _NONE = "dry run", "first run", "night", "same night again"
_MIB: Final = 2**20


@dataclass(frozen=True)
class _Spent:
    """Seconds, those of processors, and the bytes by which the peak of memory rose."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    rise_bytes: int = 0

    def __add__(self, other: _Spent) -> _Spent:
        of_processors = self.cpu_seconds + other.cpu_seconds
        return _Spent(self.seconds + other.seconds, of_processors, self.rise_bytes + other.rise_bytes)

    def __sub__(self, other: _Spent) -> _Spent:
        return self + _Spent(-other.seconds, -other.cpu_seconds, -other.rise_bytes)

    @staticmethod
    def now() -> _Spent:
        """What this process has spent so far."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
        return _Spent(time.perf_counter(), time.process_time(), peak)


@dataclass
class _Timers:
    """What was spent by module, without what was spent in timed functions that it called."""

    spent: dict[str, _Spent] = field(default_factory=dict)
    _inner: list[_Spent] = field(default_factory=lambda: [_Spent()])

    def timed(self, module: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with a timer that counts for the module."""

        @wraps(function)
        def wrapper(*arguments: object, **named: object) -> object:
            self._inner.append(_Spent())
            before = _Spent.now()
            try:
                return function(*arguments, **named)
            finally:
                spent = _Spent.now() - before
                self.spent[module] = self.spent.get(module, _Spent()) + spent - self._inner.pop()
                self._inner[-1] += spent

        return wrapper

    def everywhere(self) -> None:
        """Put timers around every function that one module of billfold has from a module of the line."""
        for module in [m for name, m in sys.modules.items() if name.startswith("billfold.")]:
            for name, value in list(vars(module).items()):
                there = getattr(value, "__module__", "")
                if isinstance(value, FunctionType) and there.startswith(_TIMED) and there != module.__name__:
                    setattr(module, name, self.timed(there.removeprefix("billfold."), value))


def profile(folder: Path, target: date) -> dict[str, Any]:
    """Bill a book in this process; what that took, by module of the line."""
    # Heavy modules, which the measuring process must not have.
    from billfold import run  # noqa: PLC0415
    from billfold.book import Book  # noqa: PLC0415
    from billfold.requests import RunRequest  # noqa: PLC0415

    timers = _Timers()
    timers.everywhere()
    with Book(folder) as book:
        book.commit = timers.timed("commit", book.commit)  # type: ignore[method-assign]
        timers.timed("other", run.bill)(book, RunRequest(target_date=target, invoice_date=target))
    return {module: asdict(spent) for module, spent in timers.spent.items()}


def bench(folder: Path, source: Path) -> Iterator[tuple[Measured, dict[str, Any]]]:
    """Each step's measurement, and the profile of the first run and of the night (else nothing).

    Raises:
        RuntimeError: a step failed, a night billed nothing, or the same night billed something again.
    """
    book = folder / "book"
    shutil.rmtree(book, ignore_errors=True)
    billfold = ["billfold", "--book", str(book)]
    measured("init", [*billfold, "init"])
    loaded, said = told("load", [*billfold, "load", str(source), "--json"])
    yield replace(loaded, rows=sum(table["rows"] for table in said.values()), unit="rows"), {}
    for step, target in ((_DRY, _TARGET), (_FIRST, _TARGET), (_ONE, _NIGHT), (_NONE, _NIGHT)):
        profiled = _profiled(folder, book, target) if step in {_FIRST, _ONE} else {}
        run = [*billfold, "run", "--target-date", f"{target}", "--invoice-date", f"{target}", "--json"]
        done, receipt = told(step, [*run, *(["--dry-run"] if step == _DRY else [])])
        if (receipt["items"] == 0) != (step == _NONE):
            msg = f"The step {step!r} made {receipt['items']:,} items."
            raise RuntimeError(msg)
        _say_parked(step, receipt)
        yield replace(done, rows=receipt["items"], unit="items"), profiled


def _profiled(folder: Path, book: Path, target: date) -> dict[str, Any]:
    """The profile of a run on a copy of the book; files of rows never change, so links to them do."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(book, copy, copy_function=lambda a, b: (os.link if a.endswith(".parquet") else shutil.copy2)(a, b))
    _, said = told("profile", ["benchmarks.rating", "--profile", str(copy), "--target-date", f"{target}"])
    shutil.rmtree(copy)
    return dict(said)


def _say_parked(step: str, receipt: dict[str, Any]) -> None:
    parked = receipt.get("parked_accounts")
    if parked:
        print(f"{step}: {len(parked) if isinstance(parked, list) else parked} accounts parked", file=sys.stderr)


def ratios(measurements: dict[str, Measured], profiles: dict[str, dict[str, Any]]) -> dict[str, str]:
    """What one wants to know of another size or machine."""
    load, first, night = (measurements[step] for step in ("load", _FIRST, _ONE))
    again = measurements[_NONE]
    return {
        "night / first run, items": f"{night.rows / first.rows:.4f}",
        "night / first run, seconds": f"{night.seconds / first.seconds:.3f}",
        "night / first run, CPU seconds": f"{night.cpu_seconds / first.cpu_seconds:.3f}",
        "night / first run, peak memory": f"{night.peak_bytes / first.peak_bytes:.3f}",
        "same night again / first run, seconds": f"{again.seconds / first.seconds:.3f}",
        "dry run / first run, seconds": f"{measurements[_DRY].seconds / first.seconds:.3f}",
        "rating / first run, CPU seconds": f"{rating_share(profiles[_FIRST]):.3f}",
        "rating / night, CPU seconds": f"{rating_share(profiles[_ONE]):.3f}",
        "items a second, first run": f"{first.rows / first.seconds:,.0f}",
        "items a second, night": f"{night.rows / night.seconds:,.0f}",
        "peak bytes an item, first run": f"{first.peak_bytes / first.rows:,.0f}",
        "peak bytes a row, load": f"{load.peak_bytes / load.rows:,.0f}",
    }


def rating_share(profiled: dict[str, Any]) -> float:
    """The share of a run's processor seconds that its rating took; those of the clock vary on a busy machine."""
    seconds = {module: float(spent["cpu_seconds"]) for module, spent in profiled.items()}
    return sum(s for module, s in seconds.items() if module.startswith(_RATING)) / sum(seconds.values())


def _shown(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for n, column in enumerate(columns):
        table.add_column(column, justify="right" if n else "left")
    return table


def tables(measurements: dict[str, Measured], profiles: dict[str, dict[str, Any]]) -> Iterator[Table]:
    """The steps, the line's modules in both runs, and the ratios."""
    steps = _shown("Steps", "step", "seconds", "CPU seconds", "peak MiB", "made", "a second")
    for m in measurements.values():
        made, rate = (f"{m.rows:,} {m.unit}", f"{m.rows / m.seconds:,.0f}") if m.rows else ("", "")
        steps.add_row(m.step, f"{m.seconds:.2f}", f"{m.cpu_seconds:.2f}", f"{m.peak_bytes / _MIB:,.0f}", made, rate)
    yield steps
    for step, profiled in profiles.items():
        within = _shown(f"Within the {step}", "module", "seconds", "CPU seconds", "share", "peak rose by MiB")
        total = sum(spent["cpu_seconds"] for spent in profiled.values())
        for module, spent in sorted(profiled.items(), key=lambda s: -float(s[1]["cpu_seconds"])):
            seconds, cpu_seconds, rise = spent["seconds"], spent["cpu_seconds"], spent["rise_bytes"] / _MIB
            within.add_row(module, f"{seconds:.2f}", f"{cpu_seconds:.2f}", f"{cpu_seconds / total:.1%}", f"{rise:,.0f}")
        yield within
    compared = _shown("Ratios", "ratio", "")
    for name, ratio in ratios(measurements, profiles).items():
        compared.add_row(name, ratio)
    yield compared


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rating", description=__doc__)
    parser.add_argument("--charges", type=int, default=1_000_000, help="rows of charges; ten an account")
    parser.add_argument("--usage", type=int, default=1_000_000, help="rows of usage")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other rows")
    parser.add_argument("--folder", type=Path, help="keep all files here, instead of in a temporary folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--profile", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target-date", type=date.fromisoformat, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure every step and print the tables."""
    arguments = _arguments()
    if arguments.profile:
        print(json.dumps(profile(arguments.profile, arguments.target_date)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.folder or Path(temporary)
        source = folder / "input"
        size = ["--charges", f"{arguments.charges}", "--usage", f"{arguments.usage}", "--seed", f"{arguments.seed}"]
        made = measured("generate", ["benchmarks.rating_book", str(source), *size])[0]
        done = [(made, {}), *bench(folder, source)]
    measurements = {m.step: m for m, _ in done}
    profiles = {m.step: profiled for m, profiled in done if profiled}
    if arguments.json:
        steps = [asdict(m) for m in measurements.values()]
        found = {"steps": steps, "profiles": profiles, "ratios": ratios(measurements, profiles)}
        print(json.dumps({"machine": machine(), **found}, indent=2))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print("  ·  ".join(f"{name} {value}" for name, value in machine().items()))
    for table in tables(measurements, profiles):
        console.print(table)


if __name__ == "__main__":
    main()
