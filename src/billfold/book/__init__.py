"""The store: a DuckLake folder with atomic commits."""

from __future__ import annotations

from billfold.book.layout import SCHEMA_VERSION, empty, migrate
from billfold.book.store import Book, Change, Commit, Head

__all__ = ["SCHEMA_VERSION", "Book", "Change", "Commit", "Head", "empty", "migrate"]
