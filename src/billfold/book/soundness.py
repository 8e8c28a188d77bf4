"""Whether the data files that were read still have the bytes that were written: Parquet itself would not tell."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from billfold.book.data_files import DataFiles


class Soundness:
    """Which files were read, and which of them were found to be as they were written."""

    def __init__(self, files: DataFiles) -> None:
        """Nothing was read yet."""
        self._files = files
        self._read: dict[str, str] = {}
        self._checked: set[str] = set()

    def was_read(self, table: str, files: Sequence[str]) -> None:
        """Remember files of a table, relative to the data, that a result may rest on."""
        self._read |= dict.fromkeys(files, table)

    def damaged(self, hashes: Mapping[str, str]) -> tuple[str, str] | None:
        """The first file, with its table, whose hash is not the recorded one; each file is looked at once.

        `hashes` are by file. Files of before there was a record are not known.
        """
        files = sorted(self._read.keys() - self._checked)
        with ThreadPoolExecutor() as pool:
            now = pool.map(self._files.sha256, (file for file in files if hashes.get(file)))
            for file in files:
                if hashes.get(file) and hashes[file] != next(now):
                    return self._files.address(file), self._read[file]
                self._checked.add(file)
        return None
