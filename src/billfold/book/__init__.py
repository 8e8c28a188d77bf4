"""The store: a DuckLake, in a folder or elsewhere, with atomic commits."""

from __future__ import annotations

from billfold.book.commits import Change, Commit, Head, Written, merged
from billfold.book.data_files import DataFiles, File, Listed, hash_of, refusing
from billfold.book.layout import SCHEMA_VERSION, migrate
from billfold.book.orphans import clean, orphans
from billfold.book.place import Place
from billfold.book.state import State
from billfold.book.store import Book
from billfold.book.views import definitions

__all__ = [
    "SCHEMA_VERSION",
    "Book",
    "Change",
    "Commit",
    "DataFiles",
    "File",
    "Head",
    "Listed",
    "Place",
    "State",
    "Written",
    "clean",
    "definitions",
    "hash_of",
    "merged",
    "migrate",
    "orphans",
    "refusing",
]
