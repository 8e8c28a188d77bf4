"""How much memory a run may take, and what that means for how it is made. It never changes what is billed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from billfold.errors import BillfoldError

_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_WRITTEN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_LEAST: Final = 2**29
_SHARE: Final = 0.5
"""Of the machine's memory, when nothing else is said."""

_PROGRAM: Final = 2**29
"""What the program takes before it has read anything, and what a book's catalog does."""

_ROW: Final = 4_000
"""Bytes that a charge and what becomes of it take while they are billed, about."""

_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much memory a container may take."""


@dataclass(frozen=True)
class Budget:
    """Memory in bytes."""

    memory: int

    @classmethod
    def parse(cls, written: str | None) -> Budget:
        """A budget such as 4GB or 512MiB; a share of the machine's memory if nothing is written.

        Raises:
            BillfoldError: it is no size, or so small that nothing can be billed in it.
        """
        if written is None:
            return cls(int(machine_memory() * _SHARE))
        size = _WRITTEN.fullmatch(written.strip())
        memory = int(float(size[1]) * _UNITS[size[2].upper()]) if size else 0
        if memory < _LEAST:
            msg = f"--memory can't be {written!r}: it is a size such as 4GB, and at least 512MB."
            raise BillfoldError(msg)
        return cls(memory)

    @property
    def rows(self) -> int:
        """Charges that can be billed together."""
        return max((self.memory - _PROGRAM) // _ROW, 10_000)

    def at_once(self, rows: int) -> int:
        """How many parts of so many charges can be made side by side on this machine."""
        return max(1, min(pl.thread_pool_size(), self.rows // rows))


def machine_memory() -> int:
    """The bytes of memory that this machine, or the container that this is, may use."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 * 2**30
    for limit in map(Path, _LIMITS):
        if limit.is_file() and (told := limit.read_text(encoding="ascii").strip()).isdigit():
            return min(there, int(told))
    return there
