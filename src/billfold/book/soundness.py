"""Whether the data files that were read still have the bytes that were written: Parquet itself would not tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from billfold.book.lake import DATA, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Soundness:
    """Which files were read, and which of them were found to be as they were written."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._read: dict[Path, str] = {}
        self._checked: set[Path] = set()

    def was_read(self, table: str, paths: Sequence[str]) -> None:
        """Remember files of a table that a result may rest on."""
        self._read |= dict.fromkeys(map(Path, paths), table)

    def damaged(self, hashes: Mapping[str, str]) -> tuple[Path, str] | None:
        """The first file, with its table, whose hash is not the recorded one; each file is looked at once.

        `hashes` are by file, relative to the folder of data. Files of before there was a record are not known.
        """
        for path in sorted(self._read.keys() - self._checked):
            recorded = hashes.get(path.as_posix().rpartition(f"/{DATA}/")[2])
            if recorded and recorded != sha256(path):
                return path, self._read[path]
            self._checked.add(path)
        return None
