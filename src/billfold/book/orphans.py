"""Files that a dying process left in a book: written, but never registered by a commit."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

from billfold.book import lake
from billfold.book.commits import Commit
from billfold.errors import BookError

if TYPE_CHECKING:
    from pathlib import Path

    from billfold.book.store import Book

_REGISTERED: Final = """
    SELECT path FROM __ducklake_metadata_book.ducklake_data_file
    UNION SELECT path FROM __ducklake_metadata_book.ducklake_delete_file
    UNION SELECT path FROM __ducklake_metadata_book.ducklake_files_scheduled_for_deletion
"""


def orphans(book: Book) -> list[Path]:
    """Data files that no snapshot of the book knows, and what unfinished `init`s left beside it, in order."""
    return _unknown(book, _there(book))


def clean(book: Book) -> list[Path]:
    """Remove the orphans and return them. A run that is about to commit fails then and has to be repeated.

    The files are listed first, then a commit moves the head: whoever wrote one of them read the head before that, so
    it either has committed, and its files are known, or it never will. Nothing that anyone needs is removed.

    Raises:
        ConflictError: another commit came first; nothing was removed.
        BookError: a file can't be removed.
    """
    there = _there(book)
    if not _unknown(book, there):
        return []
    book.commit(book.head(), Commit("clean"))
    unknown = _unknown(book, there)
    for path in unknown:
        _remove(path)
    return unknown


def _there(book: Book) -> list[Path]:
    files = (book.folder / lake.DATA).rglob("*.parquet")
    scratch = re.compile(rf"\.{re.escape(book.folder.name)}\.[0-9a-f]{{32}}")
    beside = (p for p in book.folder.parent.iterdir() if scratch.fullmatch(p.name))
    return sorted([*files, *beside])


def _unknown(book: Book, there: list[Path]) -> list[Path]:
    """Those that no commit registered; their names are unique, wherever the book was moved to."""
    registered = {path.rpartition("/")[2] for (path,) in book.cursor().execute(_REGISTERED).fetchall()}
    return [path for path in there if path.name not in registered]


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as e:
        msg = f"{path} can't be removed: {e.strerror}."
        raise BookError(msg) from e
