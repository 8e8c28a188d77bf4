"""Views for analysts, kept in the book's catalog: `views.sql` has their queries and says what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from billfold.book.lake import name, text
from billfold.errors import BillfoldError
from billfold.names import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

_HEADING: Final = re.compile(r"^-- view: (\w+)\n-- key: (.+)$", re.MULTILINE)
_COLUMN: Final = re.compile(r"-- \* (\w+): (.+)")
_DAY: Final = "$day"
_NEWEST: Final = "(SELECT max(document_date) FROM posted)"


@dataclass(frozen=True)
class View:
    """A view: its name, what a row of it is, the meaning of its columns by name, and its query as the file has it.

    `key` are the columns that tell its rows apart.
    """

    name: str
    key: tuple[str, ...]
    meaning: str
    columns: Mapping[str, str]
    query: str

    @property
    def takes_a_day(self) -> bool:
        """Whether it is a table macro too, which takes a day."""
        return _DAY in self.query

    def definitions(self) -> dict[str, str]:
        """Its query as a view, and as a macro if it is one."""
        found = {"view": self.query.replace(_DAY, _NEWEST)}
        return found | ({"macro": self.query.replace(_DAY, "CAST(day AS DATE)")} if self.takes_a_day else {})

    def statements(self) -> list[str]:
        """What makes the view, or makes it anew, in the current database."""
        queries = self.definitions()
        made = [f"CREATE OR REPLACE VIEW {name(self.name)} AS {queries['view']}"]
        made.append(f"COMMENT ON VIEW {name(self.name)} IS {text(self.meaning)}")
        if "macro" in queries:
            made.append(f"CREATE OR REPLACE MACRO {name(self.name)}(day) AS TABLE {queries['macro']}")
        return made


@cache
def views() -> tuple[View, ...]:
    """Every view, those that others use before them."""
    parts = _HEADING.split(files("billfold.book").joinpath("views.sql").read_text(encoding="utf-8"))[1:]
    entries = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return tuple(_view(title, tuple(key.split(", ")), body.strip()) for title, key, body in entries)


def _view(title: str, key: tuple[str, ...], body: str) -> View:
    lines = body.split("\n")
    comments = [line for line in lines if line.startswith("-- ")]
    columns = {found[1]: found[2] for line in comments if (found := _COLUMN.fullmatch(line))}
    meaning = " ".join(line.removeprefix("-- ") for line in comments if not _COLUMN.fullmatch(line))
    return View(title, key, meaning, columns, "\n".join(line for line in lines if line not in comments))


def definitions() -> list[tuple[str, str, str]]:
    """Kind (view or macro), name and query of everything that a book has for analysts."""
    return [(kind, view.name, query) for view in views() for kind, query in view.definitions().items()]


def view_of(wanted: str) -> View:
    """The view of that name.

    Raises:
        BillfoldError: there is none.
    """
    known = {view.name: view for view in views()}
    if wanted not in known:
        msg = f"There is no view {wanted!r}{nearest(wanted, known)}; they are {', '.join(known)}."
        raise BillfoldError(msg)
    return known[wanted]


def make_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every view as this version has it, in the current database."""
    for view in views():
        for statement in view.statements():
            connection.execute(statement)


def missing_views(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the views that the current database does not have."""
    there = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    return [view.name for view in views() if view.name not in there]
