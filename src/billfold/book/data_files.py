"""Where a book's data files are, and how rows become files there that a commit can register."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from billfold import failpoints
from billfold.book import lake
from billfold.book.place import FILE, S3
from billfold.book.server import reason
from billfold.errors import BookError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

SCRATCH: Final = "scratch"
"""Where runs that are under way keep what they need for themselves."""

PARTS: Final = ("main", "billfold")
"""Where the files of billfold's tables are, and where DuckLake may put those of the record of contents."""


@dataclass(frozen=True)
class File:
    """A data file: where it is, relative to the data, how many rows it has, and the hash of its bytes."""

    path: str
    rows: int
    sha256: str | None


class Listed(NamedTuple):
    """A file that is there, whoever wrote it: its address and how many bytes it has."""

    address: str
    size: int


class DataFiles(ABC):
    """The data of a book, in a folder or in a store. Nobody reads a file before a commit has registered it.

    It can be sent to another process or machine, and needs no open book.
    """

    @staticmethod
    def at(address: str) -> DataFiles:
        """The data at an address (`Place.data`)."""
        if address.startswith(S3):
            from billfold.book.s3 import S3Files  # noqa: PLC0415 - only books in a store need it

            return S3Files(address)
        return LocalFiles(address)

    @property
    @abstractmethod
    def root(self) -> str:
        """The address of the data, without a slash at its end."""

    @property
    def options(self) -> Mapping[str, str] | None:
        """What Polars has to know to read the files; None where it needs nothing."""
        return None

    @abstractmethod
    def write(self, table: str, rows: pl.DataFrame) -> File:
        """Write rows as a new file of a table, for good: the transaction relies on it."""

    @abstractmethod
    def sha256(self, file: str) -> str | None:
        """The hash of a file's bytes; None where they can't be read. `file` is relative to the data."""

    @abstractmethod
    def missing(self, files: Sequence[str]) -> list[str]:
        """Those of these files (relative to the data) that are not there."""

    @abstractmethod
    def listed(self) -> list[Listed]:
        """Parquet files of the book's tables, registered or not, and runs' scratch folders that are there, in order."""

    @abstractmethod
    def unlink(self, file: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def begin(self, note: str) -> bool:
        """Make the data ready for a new book and leave a note there that says whose it is; whether it was not there.

        Raises:
            BookError: something else is there already, or it can't be reached or written.
        """

    @abstractmethod
    def note(self) -> str | None:
        """The note that `begin` left; None where there is none."""

    @abstractmethod
    def end(self) -> None:
        """Take the note of a book away that could not be made."""

    def address(self, file: str) -> str:
        """Where a file is, as DuckDB and Polars read it."""
        return f"{self.root}/{file}"

    def relative(self, address: str) -> str:
        """A file's path relative to the data."""
        return address.removeprefix(f"{self.root}/")

    def place(self, file: File) -> str:
        """Where a file that was written is, as DuckDB and Polars read it."""
        return self.address(file.path)

    def scan(self, files: Sequence[str], schema: pl.Schema) -> pl.LazyFrame:
        """The rows of files (relative to the data) of a table with these columns; those that a file lacks are null."""
        return pl.scan_parquet(
            [self.address(file) for file in files], schema=schema, missing_columns="insert", extra_columns="ignore",
            glob=False, storage_options=self._told, credential_provider=None,
        ).select(schema.names())  # fmt: skip

    def read(self, file: str) -> pl.DataFrame:
        """The rows of one file."""
        address = self.address(file)
        return pl.scan_parquet(address, glob=False, storage_options=self._told, credential_provider=None).collect()

    def keep(self, rows: pl.DataFrame, address: str) -> None:
        """Write rows that are soon read again, as a scratch file."""
        rows.write_parquet(address, compression="lz4", storage_options=self._told, credential_provider=None)

    def kept(self, addresses: Sequence[str]) -> pl.LazyFrame:
        """The rows of scratch files."""
        return pl.scan_parquet(
            list(addresses), glob=False, hive_partitioning=False, storage_options=self._told, credential_provider=None
        )  # fmt: skip

    def remove(self, files: Iterable[File]) -> None:
        """Remove files that no commit has registered."""
        for file in files:
            self.unlink(file.path)

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """The address of a folder for files that nobody needs any more at the end of the block."""
        folder = f"{SCRATCH}/{uuid.uuid4().hex}"
        self.make(folder)
        try:
            yield self.address(folder)
        finally:
            self.clear(folder)

    @abstractmethod
    def make(self, folder: str) -> None:
        """Make a folder (relative to the data), if the place of the data has folders."""

    @abstractmethod
    def clear(self, folder: str) -> None:
        """Remove a folder (relative to the data) with all that is in it, if it is there."""

    @abstractmethod
    def keep_private(self, tables: Iterable[str]) -> None:
        """Let nobody else read the files that DuckDB has written, which say which rows of tables are gone."""

    @property
    def _told(self) -> dict[str, str] | None:
        return None if self.options is None else dict(self.options)


@dataclass(frozen=True)
class LocalFiles(DataFiles):
    """Data in a folder, of this machine or shared by several."""

    folder: str

    @property
    def root(self) -> str:
        """The folder."""
        return self.folder

    def write(self, table: str, rows: pl.DataFrame) -> File:
        """Write rows as a new file of a table, for good: the transaction relies on it."""
        folder = self._path("main") / table
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{uuid.uuid4().hex}.parquet"
        failpoints.reached(f"write.before:{table}")
        try:
            path.touch(mode=0o600)
            lake.write(rows, path)
            _save(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        failpoints.reached(f"write.after:{table}")
        return File(f"main/{table}/{path.name}", rows.height, lake.sha256(path))

    def sha256(self, file: str) -> str | None:
        """The hash of a file's bytes; None where they can't be read."""
        return lake.sha256(self._path(file))

    def missing(self, files: Sequence[str]) -> list[str]:
        """Those of these files that are not there."""
        return [file for file in files if not self._path(file).is_file()]

    def listed(self) -> list[Listed]:
        """Parquet files of the book's tables and runs' scratch folders that are there, in order."""
        there = sorted(path for part in PARTS for path in self._path(part).rglob("*.parquet"))
        return [Listed(str(path), size(path)) for path in (*there, *sorted(self._path(SCRATCH).glob("*")))]

    def unlink(self, file: str) -> None:
        """Remove a file, if it is there."""
        self._path(file).unlink(missing_ok=True)

    def make(self, folder: str) -> None:
        """Make a folder for nobody else's eyes."""
        self._path(folder).mkdir(parents=True, mode=0o700)

    def clear(self, folder: str) -> None:
        """Remove a folder with all that is in it, if it is there."""
        shutil.rmtree(self._path(folder), ignore_errors=True)

    def begin(self, note: str) -> bool:
        """Make the folder, if it is not there, and leave the note in it; whether it was not there.

        Raises:
            BookError: something else is in the folder already, or it can't be made or written.
        """
        path = Path(self.folder)
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            there = self.note()
            if {p.name for p in path.iterdir()} - {FILE} or there not in {None, note}:
                msg = f"The folder {path} is not empty: a book needs one of its own for its data."
                raise BookError(msg)
            self._path(FILE).write_text(note, encoding="utf-8")
        except OSError as e:
            msg = f"The data can't be kept in {path}: {e.strerror}."
            raise BookError(msg) from e
        return there is None

    def note(self) -> str | None:
        """What `begin` left."""
        path = self._path(FILE)
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def end(self) -> None:
        """Take the note away, and the folder if nothing is in it."""
        self.unlink(FILE)
        if not any(Path(self.folder).iterdir()):
            Path(self.folder).rmdir()

    def relative(self, address: str) -> str:
        """A file's path relative to the folder."""
        return Path(address).as_posix().removeprefix(f"{Path(self.folder).as_posix()}/")

    def keep_private(self, tables: Iterable[str]) -> None:
        """DuckDB leaves it to the umask who may read the files that say which rows are gone."""
        for table in tables:
            for path in (self._path("main") / table).glob("*-delete.parquet"):
                if path.stat().st_mode & 0o077:
                    path.chmod(0o600)

    def _path(self, file: str) -> Path:
        return Path(self.folder) / file


def size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else path.stat().st_size


@contextmanager
def refusing() -> Iterator[None]:
    """What a disk or a store refuses, in a sentence.

    Raises:
        BookError: something could not be written.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as e:
        msg = f"The book could not be written, nothing was changed: {reason(e)}"
        raise BookError(msg) from e


def _save(path: Path) -> None:
    """See that a file is on the disk, and not only on its way: a commit must survive the loss of power."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def hash_of(rows: pl.DataFrame) -> str | None:
    """The hash that a file of these rows has; the file is made and thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        lake.write(rows, path)
        return lake.sha256(path)
