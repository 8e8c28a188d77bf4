"""The store: a DuckLake folder with atomic commits."""

from __future__ import annotations

from billfold.book.store import SCHEMA_VERSION, Book, Change, Commit, Head, empty, migrate

__all__ = ["SCHEMA_VERSION", "Book", "Change", "Commit", "Head", "empty", "migrate"]
