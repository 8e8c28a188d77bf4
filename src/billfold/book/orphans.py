"""Files that a dying process left in a book: written, but never registered by a commit."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from billfold.book.commits import Commit
from billfold.book.data_files import SCRATCH, Listed, size
from billfold.book.place import understood
from billfold.errors import BookError

if TYPE_CHECKING:
    from billfold.book.store import Book

_REGISTERED: Final = """
    SELECT path FROM __ducklake_metadata_book.ducklake_data_file
    UNION SELECT path FROM __ducklake_metadata_book.ducklake_delete_file
    UNION SELECT path FROM __ducklake_metadata_book.ducklake_files_scheduled_for_deletion
"""


def orphans(book: Book) -> list[Listed]:
    """Data files that no snapshot of the book knows, scratch of runs, and what unfinished `init`s left, in order."""
    return _unknown(book, _there(book))


def clean(book: Book) -> list[Listed]:
    """Remove the orphans and return them. A run that is about to commit fails then and has to be repeated.

    The files are listed first, then a commit moves the head: whoever wrote one of them read the head before that, so
    it either has committed, and its files are known, or it never will. Nothing that anyone needs is removed.

    Raises:
        ConflictError: another commit came first; nothing was removed.
        BookError: a file can't be removed, or the data is another book's.
    """
    there = _there(book)
    if not _unknown(book, there):
        return []
    _refuse_data_of_others(book)
    book.commit(book.head(), Commit("clean"))
    unknown = _unknown(book, there)
    for orphan in unknown:
        _remove(book, orphan)
    return unknown


def _refuse_data_of_others(book: Book) -> None:
    """A catalog that was restored beside the original knows fewer files than that does."""
    if (note := book.files.note()) is None:
        return
    owner = understood(note, Path(book.place.data), f"The note in {book.place.data}")
    if (owner.catalog, owner.schema) != (book.place.catalog, book.place.schema):
        msg = (
            f"The data in {book.place.data} belongs to the book in {owner.shown}, so nothing was removed: if the "
            "catalog has moved, put its new book.toml there."
        )
        raise BookError(msg)


def _there(book: Book) -> list[Listed]:
    return [*book.files.listed(), *([] if book.place.has_server else _beside(book.folder))]


def _beside(folder: Path) -> list[Listed]:
    scratch = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{32}}")
    return [Listed(str(p), size(p)) for p in sorted(folder.parent.iterdir()) if scratch.fullmatch(p.name)]


def _unknown(book: Book, there: list[Listed]) -> list[Listed]:
    """Those that no commit registered; their names are unique, wherever the book was moved to."""
    known = book.cursor().execute(_REGISTERED).fetchall()
    registered = {path.rpartition("/")[2] for (path,) in known}
    return [file for file in there if Path(file.address).name not in registered]


def _remove(book: Book, orphan: Listed) -> None:
    file = book.files.relative(orphan.address)
    try:
        if file.startswith(f"{SCRATCH}/"):
            book.files.clear(file)
        elif file.endswith(".parquet"):
            book.files.unlink(file)
        else:
            shutil.rmtree(orphan.address)
    except OSError as e:
        msg = f"{orphan.address} can't be removed: {e.strerror}."
        raise BookError(msg) from e
