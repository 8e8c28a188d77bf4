"""Which template sets a document: the one called like its `invoice_template`, `default.typ`, or the built-in one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from unicodedata import normalize

from billfold.errors import BillfoldError
from billfold.render.engine import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from billfold.book import Book

FOLDER: Final = "templates"
"""Name of the folder, in a book's folder, that is used when no other is given."""

_DEFAULT: Final = "default"
_IN_NO_NAME: Final = re.compile(r'[/\\:*?"<>|\x00-\x1f]')
_DOWNLOAD: Final = re.compile(r'"@preview/([\w-]+):([\w.]+)"')


@dataclass(frozen=True)
class Templates:
    """The templates of a folder, by the name that documents give."""

    folder: Path | None
    files: Mapping[str, Path]

    @classmethod
    def of(cls, book: Book, folder: Path | None) -> Self:
        """The templates of a folder, else those in the book's own one, if it has any.

        Raises:
            BillfoldError: the folder is not there, or a template would have to be downloaded in part.
        """
        if folder is None:
            folder = book.folder / FOLDER
            if not folder.is_dir():
                return cls(None, {})
        elif not folder.is_dir():
            msg = f"There is no folder of templates {folder}."
            raise BillfoldError(msg)
        for path in sorted(folder.rglob("*.typ")):
            _refuse_download(folder, path)
        return cls(folder, {normalize("NFC", p.stem): p for p in sorted(folder.glob("*.typ"))})

    def find(self, name: str | None) -> Path | None:
        """The file for a template's name, or None for the built-in one.

        The name never makes a path: it is looked up among the files that are there, with `_` for what no file's name
        can have.
        """
        called = normalize("NFC", _IN_NO_NAME.sub("_", name or _DEFAULT))
        return self.files.get(called) or self.files.get(_DEFAULT)


def _refuse_download(folder: Path, path: Path) -> None:
    """A package that is not there would be fetched from the network."""
    for package, version in _DOWNLOAD.findall(path.read_text(encoding="utf-8", errors="replace")):
        there = folder / PACKAGES / "preview" / package / version
        if not there.is_dir():
            msg = (
                f"{path} imports the package {package} {version}, and billfold downloads nothing: put it into {there}."
            )
            raise BillfoldError(msg)
