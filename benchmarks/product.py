"""The commands, each as a process of its own, with its time and peak memory.

The measuring process imports nothing heavy: on Linux a child's peak counts from its parent's size at the start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from pathlib import Path

_DONE: Final = (0, 3)
"""Exit codes: done, and done with parked accounts."""

RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Measured:
    """One step: how long it took, how long processors worked, the most memory it held, and what it made.

    On a busy machine, processors' seconds tell more than those of the clock.
    """

    step: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    rows: int = 0
    unit: str = ""


def measured(step: str, arguments: Sequence[str]) -> tuple[Measured, str]:
    """Run a Python module in a process of its own; returns the measurement and what it printed.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in _DONE:
            msg = f"{step} failed with exit code {process.returncode}: {' '.join(arguments)}"
            raise RuntimeError(msg)
        printed.seek(0)
        cpu_seconds = usage.ru_utime + usage.ru_stime
        return Measured(step, seconds, cpu_seconds, usage.ru_maxrss * RSS_UNIT), printed.read()


def steps(book: Path, source: Path, target: date) -> Iterator[Measured]:
    """A new book: loaded, run, posted, and run again, when nothing is due any more."""
    billfold = ["billfold", "--book", str(book)]
    run = [*billfold, "run", "--target-date", f"{target}", "--invoice-date", f"{target}", "--json"]
    yield measured("init", [*billfold, "init"])[0]
    loaded, said = told("load", [*billfold, "load", str(source), "--json"])
    yield replace(loaded, rows=sum(table["rows"] for table in said.values()), unit="rows")
    drafted, receipt = told("run", run)
    yield replace(drafted, rows=receipt["items"], unit="lines")
    posted, said = told("post", [*billfold, "post", receipt["bill_run_number"], "--json"])
    yield replace(posted, rows=said["invoices"] + said["credit_memos"], unit="documents")
    again, said = told("run again", run)
    if said["bill_run_number"] is not None:
        msg = "The second run billed something again."
        raise RuntimeError(msg)
    yield again


def told(step: str, arguments: Sequence[str]) -> tuple[Measured, Any]:
    """`measured`, for a module that prints one JSON document."""
    done, printed = measured(step, arguments)
    return done, json.loads(printed)
