"""`billfold load`: files checked against the contracts and each other, then upserted by key in one commit.

Files are read part by part, and what is good goes into new data files of the book at once: nobody reads these before
the commit, and they are removed if there is none. What needs the whole of a file, or of several, is checked afterwards
over hashes of keys (`values`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from billfold.book import Book, Commit, State
from billfold.configure import refuse_while_drafts
from billfold.errors import InputError
from billfold.intake.conform import FAULT
from billfold.intake.files import sources
from billfold.intake.incoming import Incoming
from billfold.intake.references import broken
from billfold.intake.review import Review
from billfold.receipt import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Loaded:
    """What one file brought: rows read, rows that were new, rows that changed others."""

    table: str
    path: Path
    rows: int
    new: int
    changed: int


def load(book: Book, arguments: Sequence[str], *, source: str = "", progress: Progress = silent) -> list[Loaded]:
    """Load folders or `table=FILE` arguments; all of them or nothing.

    A row replaces the row with its key. Columns that a file does not have keep what the book has. What the files are
    known as, their `source`, becomes part of the commit's message.

    Raises:
        InputError: rows break a contract or refer to nothing; it holds every fault.
        BillfoldError: a file can't be read, or its columns are wrong.
    """
    paths = sources(arguments)
    state = State.of(book)
    files = {table: Incoming(state, table, path) for table, path in paths.items()}
    review = Review(state, files)
    try:
        _read(files, progress)
        _refuse(files, {t: f.faults() for t, f in files.items()})
        progress("checking references", 0.8)
        _refuse(files, broken(state, files))
        if any(f.told.regrouped for f in files.values()):
            refuse_while_drafts(book)
        progress("looking for what runs have to see again", 0.85)
        review.find()
    except BaseException:
        for file in files.values():
            file.forget()
        review.forget()
        raise
    progress("committing", 0.95)
    changed = [table for table, file in files.items() if file.parts.rows]
    changes = [c for file in files.values() for c in file.parts.changes()] + review.changes()
    if changes:
        book.commit(state.head, Commit(f"load {', '.join(changed)}{source and f' from {source}'}", changes))
    return [Loaded(t, f.path, f.rows, f.new, f.changed) for t, f in files.items()]


def _read(files: Mapping[str, Incoming], progress: Progress) -> None:
    """Read every file, however wrong one is, so that all faults are told at once."""
    sizes = {table: f.path.stat().st_size if f.path.is_file() else 0 for table, f in files.items()}
    behind = 0
    for table, file in files.items():
        share = 0.8 * behind / max(sum(sizes.values()), 1)
        good = all(f.faults().is_empty() for f in files.values())
        file.read(partial(_seen, progress, file.path.name, share), keep=good)
        behind += sizes[table]


def _seen(progress: Progress, name: str, share: float, rows: int) -> None:
    progress(f"reading {name}, {rows:,} rows", share)


def _refuse(files: Mapping[str, Incoming], faults: Mapping[str, pl.DataFrame]) -> None:
    """Refuse all files for the faults of some.

    Raises:
        InputError: there are faults.
    """
    bad = {table: f for table, f in faults.items() if f.height}
    if not bad:
        return
    rows = pl.concat(f.select(pl.lit(str(files[t].path)).alias("file"), *FAULT.names()) for t, f in bad.items())
    read_rows = sum(f.rows for f in files.values())
    places = rows.select("file", "row").n_unique()
    first = rows.row(0, named=True)
    cell = f"{first['column']} {(first['value'] or '')[:60]!r}, rule: " if first["column"] else ""
    where = f"{first['file']}, row {first['row']}: {cell}{first['rule']}"
    msg = f"{places:,} of {read_rows:,} rows refused, so nothing was loaded; mend them and load again ({where})."
    raise InputError(msg, rows)
