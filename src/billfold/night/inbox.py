"""The inbox of a night: deliveries of input files, each loaded once, in the order of their names.

A delivery is a folder in the inbox, or the files that lie in the inbox itself. It is there from the moment it has its
final name: whoever brings it copies it under a name that begins with a point or ends in `.part` or `.tmp`, and then
renames it.

What was loaded is noted in the book's folder, so that a copy of the book knows it too. The commit's message says it as
well, so that a process may die between the commit and the note.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold import failpoints
from billfold.book import lake
from billfold.errors import BillfoldError
from billfold.files import write_whole
from billfold.intake import load
from billfold.intake.files import READERS
from billfold.night.care import patiently
from billfold.receipt import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from billfold.book import Book
    from billfold.intake import Loaded

NOTES: Final = "deliveries.json"
"""The file in a book's folder that says what was loaded: by name of delivery, its hash, and the version of the book."""

_UNFINISHED: Final = (".part", ".tmp")
_LOOSE: Final = "."
_LOAD: Final = r"^load [a-z_, ]*? from ((.*) \([0-9a-f]{64}\))$"
"""The message of a commit that loaded a delivery."""


@dataclass(frozen=True)
class Delivery:
    """Files that are loaded together. `name` is the folder's, or a point for files in the inbox itself."""

    name: str
    files: tuple[Path, ...]

    @property
    def source(self) -> str:
        """The delivery as the message of its commit names it: with a hash of its files' names and bytes."""
        told = "\n".join(f"{path.name} {lake.sha256(path)}" for path in self.files)
        return f"{self.name} ({hashlib.sha256(told.encode()).hexdigest()})"


@dataclass(frozen=True)
class Arrival:
    """A delivery that was loaded, and what its files brought."""

    delivery: Delivery
    loaded: tuple[Loaded, ...]


def deliveries(inbox: Path) -> list[Delivery]:
    """What lies in an inbox, whether it was loaded or not.

    Raises:
        BillfoldError: there is no such folder, or it has both files and folders, whose order nobody could tell.
    """
    try:
        found = _finished(inbox)
        folders = [Delivery(p.name, _tables(_finished(p))) for p in found if p.is_dir()]
    except OSError as e:
        msg = f"The inbox {inbox} can't be read ({e.strerror}): make the folder, or see that it is mounted."
        raise BillfoldError(msg) from e
    loose = Delivery(_LOOSE, _tables(found))
    if loose.files and folders:
        msg = f"The inbox {inbox} has both files and folders: put the files into a folder, whose name is their place."
        raise BillfoldError(msg)
    return [d for d in [loose, *folders] if d.files]


def load_deliveries(
    book: Book, inbox: Path, *, pauses: Sequence[float] = (), progress: Progress = silent
) -> list[Arrival]:
    """Load what is new in an inbox, a commit for each delivery. One that was loaded already is left alone.

    When another commit comes first, it is tried again after each of the `pauses`, in seconds.

    Raises:
        InputError: a delivery breaks a contract. Those before it are loaded, and nothing of it or of later ones.
        BillfoldError: the inbox or a file can't be read.
        ConflictError: another commit came first; nothing of this delivery was kept.
    """
    arrivals = []
    known = _known(book)
    for delivery in deliveries(inbox):
        source = delivery.source
        if known.get(delivery.name) != source:
            files = [f"{p.stem}={p}" for p in delivery.files]
            loading = partial(load, book, files, source=source, progress=progress)
            arrivals.append(Arrival(delivery, tuple(patiently(loading, pauses))))
            _note(book, delivery.name, source)
    return arrivals


def _finished(folder: Path) -> list[Path]:
    """What a folder holds, but for what is still being brought."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and not p.name.endswith(_UNFINISHED))


def _tables(paths: list[Path]) -> tuple[Path, ...]:
    return tuple(p for p in paths if p.is_file() and p.suffix.lower() in READERS)


def _known(book: Book) -> dict[str, str]:
    """What was loaded last under each name: as noted, or by a commit since the note."""
    notes = _notes(book)
    loads = book.contents().select(
        "version",
        pl.col("message").str.extract(_LOAD, 1).alias("source"),
        pl.col("message").str.extract(_LOAD, 2).alias("name"),
    )
    since = [(n, s) for v, s, n in loads.drop_nulls().iter_rows() if v > notes.get(n, {"version": -1})["version"]]
    return {name: note["source"] for name, note in notes.items()} | dict(since)


def _notes(book: Book) -> dict[str, Any]:
    """What the file says; nobody but `_note` writes it, and it is whole or not there."""
    try:
        return dict(json.loads((book.folder / NOTES).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def _note(book: Book, name: str, source: str) -> None:
    """Remember that a delivery is loaded as of the book's present version."""
    failpoints.reached("note.before")
    notes = _notes(book) | {name: {"source": source, "version": book.head().version}}
    write_whole(book.folder / NOTES, json.dumps(notes, indent=1, sort_keys=True).encode(), mode=0o600)
    failpoints.reached("note.after")
