"""The book as plain Parquet files with a manifest, for tools that know no DuckLake.

A folder a table. Documents and their items are parted by bill run: a run is what is added to a book, so the files of
posted runs stay the same from export to export, and a tool that keeps a copy reads the new ones only.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from billfold import __version__
from billfold.book.lake import name, sha256, text
from billfold.book.plain import Rows, Snapshot
from billfold.book.views import views as all_views
from billfold.contracts import TABLES, keys
from billfold.errors import BillfoldError
from billfold.lifecycle import runs
from billfold.names import nearest
from billfold.receipt import Progress, message_of, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from billfold.book import Book
    from billfold.book.views import View

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
"""Version of the manifest's layout."""

PartitionBy = Literal["run", "month", "none"]

_COLUMN: Final = {"run": "bill_run_number", "month": "document_month"}
_OF_DOCUMENTS: Final = {"invoices": "invoice", "credit_memos": "credit_memo"}
_OF_ITEMS: Final = {"invoice_items": "invoice", "credit_memo_items": "credit_memo"}


@dataclass(frozen=True)
class File:
    """One file of an export: its path within the folder, and what must be true of it."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Exported:
    """A table or view of an export. `columns` are SQL types by name, `amounts` sums by currency, as text."""

    kind: Literal["table", "view"]
    columns: dict[str, str]
    partitioned_by: str | None
    sorted_by: list[str]
    rows: int
    amounts: dict[str, str]
    files: list[File]


@dataclass(frozen=True)
class Manifest:
    """What an export holds: all of it follows from the snapshot and from what was asked for."""

    format: int
    billfold_version: str
    snapshot_id: int
    snapshot_time: str
    digest: str
    tables: dict[str, Exported]

    def text(self) -> str:
        """The manifest as it is in its file."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def export(  # noqa: PLR0913 - one argument for each choice
    book: Book,
    folder: Path,
    *,
    tables: Sequence[str] = (),
    views: bool = False,
    snapshot_id: int | None = None,
    partition_by: PartitionBy = "run",
    replace: bool = False,
    progress: Progress = silent,
) -> Manifest:
    """Write tables of a snapshot (default: all of the newest) to a folder that is new, and return the manifest.

    `tables` may name views as well; `views` adds all of them. With `replace`, an earlier export goes. The folder
    appears whole or not at all, and the same snapshot gives the same bytes.

    Raises:
        BillfoldError: the folder has something else in it, or no such table or snapshot exists.
        DamagedError: a data file of the book is damaged.
        BookError: DuckDB or the disk refuses.
    """
    _refuse_folder(book, folder, replace=replace)
    if snapshot_id == 0:
        msg = "In snapshot 0 the book had no tables yet: name a later one."
        raise BillfoldError(msg)
    head = book.head(snapshot_id)
    target = folder.resolve()
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        scratch.mkdir(parents=True)
        with closing(Snapshot(book, head.snapshot_id, scratch / ".spill")) as snapshot:
            chosen = _chosen(snapshot, tables, views=views)
            progress("checking the book's files", 0.0)
            snapshot.refuse_damaged(_read_for(chosen) & snapshot.names())
            found = {}
            for number, each in enumerate(chosen):
                progress(f"writing {each}", (1 + number) / (1 + len(chosen)))
                found[each] = _exported(snapshot, each, scratch, _COLUMN.get(partition_by))
        manifest = Manifest(FORMAT, __version__, head.snapshot_id, _time_of(book, head.snapshot_id), head.digest, found)
        (scratch / MANIFEST).write_text(manifest.text(), encoding="utf-8")
        shutil.rmtree(scratch / ".spill", ignore_errors=True)
        _put(scratch, target)
    except OSError as e:
        msg = f"The export can't be written to {folder}: {e.strerror}."
        raise BillfoldError(msg) from e
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest


def snapshot_of(book: Book, bill_run_number: str) -> int:
    """The snapshot in which a run left the book.

    Raises:
        BillfoldError: there is no such run, or its commit is not known any more.
    """
    runs(book, bill_run_number)
    messages = [message_of(bill_run_number, orders=orders) for orders in (False, True)]
    asked = "SELECT min(snapshot_id) FROM ducklake_snapshots('book') WHERE commit_message IN (?, ?)"
    found = book.cursor().execute(asked, messages).fetchall()[0][0]
    if found is None:
        msg = f"The book does not keep the snapshot of {bill_run_number} any more: name one with --snapshot."
        raise BillfoldError(msg)
    return int(found)


def check(folder: Path) -> list[str]:
    """What of an export is not as its manifest says, a sentence each: files that are missing, changed, or not its own.

    Raises:
        BillfoldError: there is no manifest.
    """
    files = _files_of(folder)
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
    faults = [f"{path} is missing" for path in sorted(files.keys() - there)]
    faults += [f"{path} is not of this export" for path in sorted(there - files.keys())]
    changed = [path for path in sorted(there & files.keys()) if sha256(folder / path) != files[path]]
    return faults + [f"{path} is not as it was written" for path in changed]


def _files_of(folder: Path) -> dict[str, str]:
    """Hashes of an export's files by path."""
    try:
        manifest: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            msg = f"{folder} is an export of another version of billfold, {manifest['billfold_version']}."
            raise BillfoldError(msg)
        return {f["path"]: f["sha256"] for table in manifest["tables"].values() for f in table["files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        msg = f"{folder} is not an export of billfold: it has no {MANIFEST} that can be read."
        raise BillfoldError(msg) from e


def _refuse_folder(book: Book, folder: Path, *, replace: bool) -> None:
    """Nothing that is not an export may be lost, and files inside the book would be taken for its orphans."""
    if folder.resolve().is_relative_to(book.folder):
        msg = f"{folder} is inside the book: choose a folder elsewhere."
        raise BillfoldError(msg)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not replace:
        hint = "an earlier export goes with --replace" if (folder / MANIFEST).is_file() else "choose another"
        msg = f"{folder} is not an empty folder: {hint}."
        raise BillfoldError(msg)
    if strange := [fault for fault in check(folder) if fault.endswith("is not of this export")]:
        msg = f"{folder} can't be replaced: {strange[0]}; move it away, or choose another folder."
        raise BillfoldError(msg)


def _put(scratch: Path, target: Path) -> None:
    """The new folder in the old one's place; the old one is only removed when the new one is there."""
    if not target.exists():
        scratch.rename(target)
        return
    old = target.with_name(f"{scratch.name}.old")
    target.rename(old)
    try:
        scratch.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def _views() -> dict[str, View]:
    return {view.name: view for view in all_views()}


def _chosen(snapshot: Snapshot, tables: Sequence[str], *, views: bool) -> list[str]:
    """Names of what is exported, in the order of the data dictionary, views last."""
    known, there = [*TABLES, *_views()], snapshot.names()
    for table in tables:
        if table not in known:
            msg = f"There is no table or view {table!r}{nearest(table, known)}; `billfold views` lists the views."
            raise BillfoldError(msg)
    wanted = {*(tables or TABLES), *(_views() if views else ())}
    if lacking := sorted((wanted - there) & {*tables, *_views()}):
        hint = "`billfold migrate` adds them" if lacking[0] in _views() else "name a later one"
        msg = f"The book had no {', '.join(lacking)} in that snapshot: {hint}."
        raise BillfoldError(msg)
    return [each for each in known if each in wanted & there]


def _read_for(chosen: Sequence[str]) -> set[str]:
    """Tables that are read for an export: views may read any, items go by their documents."""
    if any(each in _views() for each in chosen):
        return set(TABLES)
    return {*chosen, *(f"{_OF_ITEMS[each]}s" for each in chosen if each in _OF_ITEMS)}


def _exported(snapshot: Snapshot, table: str, scratch: Path, partition: str | None) -> Exported:
    """Write one table or view."""
    view = _views().get(table)
    rows = _rows(table, view.key if view else keys(TABLES[table]), partition)
    columns = snapshot.columns(rows.query)
    parts = snapshot.write(rows, scratch / table)
    files = [
        File(p.path.relative_to(scratch).as_posix(), p.rows, p.path.stat().st_size, _sha256(p.path)) for p in parts
    ]
    return Exported(
        kind="view" if view else "table",
        columns=columns,
        partitioned_by=rows.parted_by,
        sorted_by=list(rows.sorted_by),
        rows=sum(f.rows for f in files),
        amounts=_amounts(snapshot, rows.query) if {"currency", "amount"} <= columns.keys() else {},
        files=files,
    )


def _rows(table: str, key: Sequence[str], partition: str | None) -> Rows:
    """The rows of a table or view: documents and their items with the column of the document that parts them."""
    source = f"main.{name(table)}"
    kind = (_OF_DOCUMENTS | _OF_ITEMS).get(table)
    if partition is None or kind is None:
        return Rows(f"SELECT * FROM {source}", key)  # noqa: S608 - quoted
    part = "bill_run_number" if partition == _COLUMN["run"] else f"strftime({kind}_date, '%Y-%m')"
    if table in _OF_DOCUMENTS:
        more = "" if part == partition else f", {part} AS {partition}"
        return Rows(f"SELECT *{more} FROM {source}", key, partition)  # noqa: S608 - quoted
    documents = f"SELECT {kind}_id, {part} AS {partition} FROM main.{kind}s"  # noqa: S608 - constants
    return Rows(f"SELECT * FROM {source} JOIN ({documents}) USING ({kind}_id)", key, partition)  # noqa: S608 - quoted


def _amounts(snapshot: Snapshot, query: str) -> dict[str, str]:
    sums = f"SELECT currency, sum(amount)::VARCHAR FROM ({query}) GROUP BY currency ORDER BY currency"  # noqa: S608 - quoted
    return {str(currency): str(amount) for currency, amount in snapshot.fetch(sums)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _time_of(book: Book, snapshot_id: int) -> str:
    """When a snapshot was committed, UTC."""
    asked = f"SELECT epoch_us(snapshot_time) FROM ducklake_snapshots({text('book')}) WHERE snapshot_id = ?"  # noqa: S608 - constant
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=int(book.cursor().execute(asked, [snapshot_id]).fetchall()[0][0])
    )
    return moment.isoformat()
