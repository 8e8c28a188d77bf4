"""Where a book's data files are, and how rows become files there that a commit can register."""

from __future__ import annotations

import os
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from billfold import failpoints
from billfold.book import lake

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl


@dataclass(frozen=True)
class File:
    """A data file: where it is, relative to the data, how many rows it has, and the hash of its bytes."""

    path: str
    rows: int
    sha256: str | None


@dataclass(frozen=True)
class DataFiles:
    """The folder of a book's data. Nobody reads a file before a commit has registered it."""

    folder: Path

    def write(self, table: str, rows: pl.DataFrame) -> File:
        """Write rows as a new file of a table, for good: the transaction relies on it."""
        folder = self.folder / "main" / table
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
        return File(path.relative_to(self.folder).as_posix(), rows.height, lake.sha256(path))

    def place(self, file: File) -> str:
        """Where a file is, as DuckDB and Polars read it."""
        return str(self.folder / file.path)

    def remove(self, files: Iterable[File]) -> None:
        """Remove files that no commit has registered."""
        for file in files:
            (self.folder / file.path).unlink(missing_ok=True)


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
