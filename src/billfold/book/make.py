"""An empty book is made: it appears whole or not at all."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import duckdb

from billfold import failpoints
from billfold.book import server
from billfold.book.data_files import DataFiles
from billfold.book.layout import make_catalog
from billfold.book.place import DATA, FILE, Place
from billfold.errors import BillfoldError, BookError
from billfold.files import make_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def book(folder: Path, place: Place | None = None) -> None:
    """Make an empty book in a folder, or at a place elsewhere that the folder is to name.

    Raises:
        BookError: something else is there already, or the disk, the server or the store refuses.
    """
    _refuse_used(folder, place)
    with _told(folder):
        if place is None:
            _inside(folder.resolve())
        else:
            _elsewhere(folder.resolve(), place)


def _refuse_used(folder: Path, place: Place | None) -> None:
    """Nothing but what an `init` for the same place has left, that did not come to its end."""
    if not folder.exists():
        return
    left = None if place is None else place.written(folder.resolve())
    if not folder.is_dir() or any(p.name not in {FILE, DATA} or left is None for p in folder.iterdir()):
        msg = f"{folder} exists and is not empty: choose another folder, or remove it."
        raise BookError(msg)
    file = folder / FILE
    if file.exists() and file.read_text(encoding="utf-8") != left:
        msg = f"{folder} names a book already: choose another folder."
        raise BookError(msg)


def _inside(folder: Path) -> None:
    scratch = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        (scratch / DATA).mkdir(parents=True, mode=0o700)
        scratch.chmod(0o700)
        failpoints.reached("create.before")
        make_catalog(Place.in_folder(scratch))
        failpoints.reached("rename.before")
        scratch.rename(folder)
        failpoints.reached("rename.after")
    except (OSError, sqlite3.Error, duckdb.Error):
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _elsewhere(folder: Path, place: Place) -> None:
    """The name of the schema comes last: before, there is no book, and the same can be asked for again.

    What was there already stays, whatever happens.
    """
    server.refuse_taken(place)
    files = DataFiles.at(place.data)
    with ExitStack() as undo:
        if not folder.exists():
            make_folder(folder)
            undo.callback(_without_fuss, folder.rmdir)
        if not (folder / FILE).exists():
            write_whole(folder / FILE, place.written(folder).encode(), mode=0o600)
            undo.callback(_without_fuss, (folder / FILE).unlink)
        if files.begin(place.written()):
            undo.callback(_without_fuss, files.end)
        failpoints.reached("create.before")
        server.make(place, make_catalog)
        undo.pop_all()


def _without_fuss(undo: Callable[[], object]) -> None:
    """Take back one step of what has failed anyway, if that is possible."""
    with suppress(BillfoldError, OSError):
        undo()


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, duckdb.Error) as e:
        said = e.strerror if isinstance(e, OSError) else server.reason(e)
        msg = f"A book can't be made in {folder}: {said}."
        raise BookError(msg) from e
