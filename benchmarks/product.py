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
from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_DONE: Final = (0, 3)
"""Exit codes: done, and done with parked accounts."""

RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Measured:
    """One step: how long it took, how long processors worked, the most memory it held, and what it made.

    On a busy machine, processors' seconds tell more than those of the clock. Of several processes, the peak is that of
    the largest one.
    """

    step: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    rows: int = 0
    unit: str = ""


def measured(
    step: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None, *, quiet: bool = False
) -> tuple[Measured, str]:
    """Run a Python module in a process of its own; returns the measurement and what it printed.

    With `quiet`, what it says on standard error is shown only if it fails.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed, tempfile.TemporaryFile("w+") as said:
        started = time.perf_counter()
        command, errors = [sys.executable, "-m", *arguments], said if quiet else None
        process = subprocess.Popen(command, stdout=printed, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in _DONE:
            said.seek(0)
            msg = f"{step} failed with exit code {process.returncode}: {' '.join(arguments)}\n{said.read()}".rstrip()
            raise RuntimeError(msg)
        printed.seek(0)
        cpu_seconds = usage.ru_utime + usage.ru_stime
        return Measured(step, seconds, cpu_seconds, usage.ru_maxrss * RSS_UNIT), printed.read()


def told(step: str, arguments: Sequence[str]) -> tuple[Measured, Any]:
    """`measured`, for a module that prints one JSON document."""
    done, printed = measured(step, arguments)
    return done, json.loads(printed)


def medians(rounds: Iterable[Iterable[Measured]]) -> list[Measured]:
    """Every step with the medians of its time and memory over all rounds."""
    return [_median(same) for same in zip(*rounds, strict=True)]


def _median(same: tuple[Measured, ...]) -> Measured:
    middle = {name: median(getattr(m, name) for m in same) for name in ("seconds", "cpu_seconds", "peak_bytes")}
    return replace(same[0], **middle)
