"""Views for analysts, kept in the book's catalog: `views.sql` has their queries and says what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from billfold.book.lake import name, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

_HEADING: Final = re.compile(r"^-- view: (\w+)$", re.MULTILINE)
_COLUMN: Final = re.compile(r"-- \* (\w+): (.+)")
_DAY: Final = "$day"
_NEWEST: Final = "(SELECT max(document_date) FROM posted)"


@dataclass(frozen=True)
class View:
    """A view: its name, what a row of it is, the meaning of its columns by name, and its query as the file has it."""

    name: str
    meaning: str
    columns: Mapping[str, str]
    query: str

    @property
    def takes_a_day(self) -> bool:
        """Whether it is a table macro too, which takes a day."""
        return _DAY in self.query

    def statements(self) -> list[str]:
        """What makes the view, or makes it anew, in the current database."""
        view = f"CREATE OR REPLACE VIEW {name(self.name)} AS {self.query.replace(_DAY, _NEWEST)}"
        made = [view, f"COMMENT ON VIEW {name(self.name)} IS {text(self.meaning)}"]
        if self.takes_a_day:
            query = self.query.replace(_DAY, "CAST(day AS DATE)")
            made.append(f"CREATE OR REPLACE MACRO {name(self.name)}(day) AS TABLE {query}")
        return made


@cache
def views() -> tuple[View, ...]:
    """Every view, those that others use before them."""
    parts = _HEADING.split(files("billfold.book").joinpath("views.sql").read_text(encoding="utf-8"))[1:]
    return tuple(_view(title, body.strip()) for title, body in zip(parts[::2], parts[1::2], strict=True))


def _view(title: str, body: str) -> View:
    lines = body.split("\n")
    comments = [line for line in lines if line.startswith("-- ")]
    columns = {found[1]: found[2] for line in comments if (found := _COLUMN.fullmatch(line))}
    meaning = " ".join(line.removeprefix("-- ") for line in comments if not _COLUMN.fullmatch(line))
    return View(title, meaning, columns, "\n".join(line for line in lines if line not in comments))


def make_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every view as this version has it, in the current database."""
    for view in views():
        for statement in view.statements():
            connection.execute(statement)


def missing_views(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the views that the current database does not have."""
    there = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    return [view.name for view in views() if view.name not in there]
