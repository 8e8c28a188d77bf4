"""How a night takes care: one at a time, and patient with other commits."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from billfold.errors import BookError, ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from billfold.book import Book

PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further try, when another commit came first."""

_LOCK: Final = ".night"

T = TypeVar("T")


@contextmanager
def alone(book: Book) -> Iterator[None]:
    """Let only one night work on a book. The lock goes with the process that holds it, however that ends.

    Where there are no such locks, as on Windows, two nights get into each other's way like any two commands: the commit
    that comes second fails and is tried again.

    Raises:
        BookError: another night is at work.
    """
    try:
        import fcntl  # noqa: PLC0415 - not everywhere
    except ImportError:
        yield
        return
    lock = os.open(book.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            other = os.read(lock, 20).decode()
            msg = f"Another night is at work on the book in {book.folder} (process {other}), so this one did nothing."
            raise BookError(msg) from e
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(lock)


def patiently(work: Callable[[], T], pauses: Sequence[float]) -> T:
    """Do something that ends in a commit; when another commit came first, try again after each pause.

    Raises:
        ConflictError: another one came first at every try.
    """
    for pause in pauses:
        try:
            return work()
        except ConflictError:
            time.sleep(pause)
    return work()
