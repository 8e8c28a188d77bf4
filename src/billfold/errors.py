"""What billfold refuses, in one sentence: where, what, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


class BillfoldError(Exception):
    """The input or the book refuses what was asked; the message is one sentence for people."""


class BookError(BillfoldError):
    """The book can't be opened, read or written."""


class DamagedError(BookError):
    """A data file of the book has not the bytes that were written."""


class ConflictError(BookError):
    """Another commit came first; nothing of this one was kept."""


class UncertainError(BookError):
    """The way to the catalog broke while a commit was made, so that nobody can know here whether it was."""


class PromiseError(BillfoldError):
    """A run broke one of its own promises: a fault of billfold, found before anything was written."""


class InputError(BillfoldError):
    """Rows that break a contract.

    `failures` has one row a fault: file, row (counted from 1, headings not counted), column, value, rule.
    """

    def __init__(self, message: str, failures: pl.DataFrame) -> None:
        """Keep the message and the table of faults."""
        super().__init__(message)
        self.failures = failures
