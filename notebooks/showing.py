"""What the notebooks share: which book they are about, questions to it, and tables and sentences for people.

Everything that comes out of a book is escaped before it becomes part of a page: a customer's name is never markup.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import datetime
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import marimo as mo
import polars as pl

from billfold import Book
from billfold.book.lake import text
from billfold.console import money
from billfold.errors import BillfoldError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import altair as alt

    Row = Mapping[str, object]

SMALL: Final = 20
"""So many rows are shown at once; more come in pages."""

_SHORT: Final = 36
"""Longer texts are broken into lines; a table of shorter ones is as wide as they are, and scrolls."""

_PLACE: Final = re.compile(r"\$(\w+)")
_CELL: Final = "padding:0.3rem 1.4rem 0.3rem 0;vertical-align:top;border-bottom:1px solid rgba(128,128,128,0.25);"
_HEAD: Final = "font-weight:600;vertical-align:bottom;border-bottom:1px solid rgba(128,128,128,0.7);"
_TABLE: Final = "border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:0.92rem;margin:0.3rem 0;"


def argument(name: str) -> str | None:
    """What follows `--name` behind the `--` of the command line; an empty text for a name that stands alone."""
    given = mo.cli_args().get(name)
    return None if given is None else str(given)


def folder() -> Path:
    """The book that is meant: `--book DIR`, else the environment's BILLFOLD_BOOK, else `book` here."""
    return Path(argument("book") or os.environ.get("BILLFOLD_BOOK") or "book")


def is_script() -> bool:
    """Whether the notebook runs as a program, where nobody sees the page."""
    return mo.app_meta().mode in {None, "script"}


def at_once() -> bool:
    """Whether what takes long is done without a press of its button: as a program, or with `--at-once`."""
    return is_script() or argument("at-once") is not None


def opened() -> Book:
    """The book, open for reading. Where there is none, the notebook ends here, with a sentence."""
    try:
        book = Book(folder(), read_only=True)
        book.refuse_older()
    except BillfoldError as e:
        ended(str(e))
    return book


def ended(said: str) -> NoReturn:
    """End the notebook with a sentence; as a program it fails with it."""
    if is_script():
        sys.exit(said)
    mo.stop(True, mo.callout(sentence(said), kind="warn"))  # noqa: FBT003 - always, and this is how it is spelled
    raise AssertionError


def ask(book: Book, query: str, **values: str | int) -> pl.DataFrame:
    """The rows of a query, in which `$name` stands for a value: a text or a whole number, quoted as such."""
    literals = {name: text(value) if isinstance(value, str) else str(int(value)) for name, value in values.items()}
    return book.sql(_PLACE.sub(lambda place: literals[place[1]], query))


def words(value: object) -> str:
    """A value for people: money and counts with separators, days as dates, nothing for null."""
    match value:
        case None:
            said = ""
        case bool():
            said = "yes" if value else "no"
        case Decimal():
            said = money(value)
        case int():
            said = f"{value:,}"
        case datetime():
            said = f"{value:%Y-%m-%d %H:%M:%S}"
        case _:
            said = str(value)
    return said


def counted(count: int, what: str) -> str:
    """So many of something, with a plural where it needs one."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def sentence(said: str) -> mo.Html:
    """A paragraph of plain text."""
    return mo.Html(f"<p style='margin:0.4rem 0'>{escape(said)}</p>")


def verdict(said: str, *, holds: bool) -> mo.Html:
    """A sentence in green, or in red where something does not hold."""
    return mo.callout(sentence(said), kind="success" if holds else "danger")


def table(
    rows: pl.DataFrame | Sequence[Row], *, empty: str = "Nothing.", strong: Callable[[Row], bool] = lambda _: False
) -> mo.Html:
    """A small table: numbers to the right, wide ones scroll. `strong` says which rows stand out."""
    found = rows.to_dicts() if isinstance(rows, pl.DataFrame) else rows
    if not found:
        return sentence(empty)
    right = {name: _is_numeric([row[name] for row in found]) for name in found[0]}
    head = "".join(_cell("th", name, right=is_right) for name, is_right in right.items())
    body = "".join(_row(row, right, bold=strong(row)) for row in found)
    return mo.Html(
        f"<div style='overflow-x:auto'><table style='{_TABLE}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def _is_numeric(values: Sequence[object]) -> bool:
    given = [v for v in values if v is not None]
    return bool(given) and all(isinstance(v, int | Decimal) and not isinstance(v, bool) for v in given)


def _row(row: Row, right: Mapping[str, bool], *, bold: bool) -> str:
    cells = "".join(_cell("td", words(v), right=right[name], bold=bold) for name, v in row.items())
    return f"<tr>{cells}</tr>"


def _cell(tag: str, said: str, *, right: bool, bold: bool = False) -> str:
    aligned = "text-align:right;" if right else "text-align:left;"
    width = "white-space:nowrap;" if len(said) <= _SHORT else "min-width:18rem;"
    style = _CELL + (_HEAD if tag == "th" else "") + aligned + width + ("font-weight:600;" if bold else "")
    return f"<{tag} style='{style}'>{escape(said)}</{tag}>"


def pages(
    rows: pl.DataFrame, *, size: int = 10, wrapped: Sequence[str] = (), hidden: Sequence[str] = (), choose: bool = False
) -> mo.ui.table:
    """A table of many rows, some at a time, to search and sort; with `choose`, the first row is chosen at first."""
    numeric = [name for name, dtype in rows.schema.items() if dtype.is_numeric()]
    return mo.ui.table(
        rows.with_columns(pl.col(pl.String).fill_null("")),
        selection="single" if choose else None,
        initial_selection=[0] if choose else None,
        page_size=size,
        show_column_summaries=False,
        show_data_types=False,
        format_mapping=dict.fromkeys(numeric, words),
        text_justify_columns=dict.fromkeys(numeric, "right"),
        wrapped_columns=list(wrapped),
        hidden_columns=list(hidden),
    )


def shown(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """A chart without the menu that would send it elsewhere."""
    chart.usermeta = {"embedOptions": {"actions": False}}  # type: ignore[attr-defined]
    return chart


def titled(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows under names for people, and with such types of documents."""
    types = [pl.col(c).str.replace_all("_", " ") for c in rows.columns if c == "document_type"]
    return rows.with_columns(types).rename(lambda name: name.replace("_", " "))


def length(column: str) -> pl.Expr:
    """An amount as the length of a bar: the only place where money may be a float."""
    return pl.col(column).cast(pl.Float64)


def told(sentences: Sequence[str], *, fails: bool) -> None:
    """As a program, print the sentences, and fail if something does not hold; a page shows them where they belong."""
    if is_script():
        sys.stdout.write("\n".join(sentences) + "\n")
        if fails:
            sys.exit(1)
