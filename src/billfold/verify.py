"""`billfold verify`: every promise of the book, recomputed by the queries of `promises.sql` (design section 6).

DuckDB alone computes here. Nothing is shared with the line that makes the documents, so that a fault of the line can't
hide itself. The book is only read.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import duckdb
import polars as pl

from billfold.book import definitions
from billfold.book.lake import name, sentence, text
from billfold.contracts import TABLES, keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from billfold.book import Book, DataFiles

SHOWN: Final = 20
"""Offending rows that a verdict shows; it counts them all."""

_HEADING: Final = re.compile(r"^-- (word|promise): (.+)$", re.MULTILINE)
_USED: Final = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)")
_PLACE: Final = re.compile(r"\$(\w+)")
_DATA_FILE: Final = re.compile(r"main/\w+/[\w-]+\.parquet")
_BASE: Final = re.compile(r"base \d+")
_LINKS: Final = "invoice_schedule_charges"
"""A table that queries about runs read as it was then, and that older books did not have."""


@dataclass(frozen=True)
class Promise:
    """A promise: its name, what it proves, in a sentence or two, and its query as it is in the file."""

    name: str
    says: str
    query: str

    @property
    def sql(self) -> str:
        """The whole query, behind the words that it uses and that are not kept."""
        shown = f"SELECT broken, count(*) OVER () AS total FROM ({self.query}) ORDER BY broken LIMIT {SHOWN}"  # noqa: S608
        return _opening(self.query) + shown

    @property
    def is_about_tables(self) -> bool:
        """Whether it is asked for each table."""
        return "$table" in self.query

    @property
    def is_about_runs(self) -> bool:
        """Whether it is asked for each bill run."""
        return any(_is_of_run(q) for q in (self.query, *(_words()[w] for w in words_of(self.query))))


@dataclass(frozen=True)
class Verdict:
    """Whether a promise holds. `broken` has up to `SHOWN` sentences about what breaks it; `count` counts them all.

    `left_out` counts bill runs of older versions, which no query can follow: they kept too little, by other rules.
    """

    promise: str
    says: str
    query: str
    broken: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"broken": pl.String}))
    count: int = 0
    left_out: int = 0

    @property
    def holds(self) -> bool:
        """Nothing breaks the promise."""
        return self.count == 0


@dataclass(frozen=True)
class _Run:
    """A bill run, with the snapshots of the book that it read and that it left.

    `inputs` has what was sold as the run saw it: orders that were committed with it are in the one that it left.
    `has_links` says whether the book could have charges of invoice schedules by then.
    """

    number: str
    snapshot: int
    inputs: int
    after: int
    is_older: bool
    has_links: bool

    def places(self) -> dict[str, str]:
        """What fills the places of queries."""
        snapshots = {"snapshot": self.snapshot, "inputs": self.inputs, "after": self.after}
        tables = {"links": (_LINKS, self.snapshot), "parts": ("invoice_schedule_items", self.after)}
        queries = {
            place: f"FROM {table} AT (VERSION => {at})" if self.has_links else f"FROM {table} LIMIT 0"
            for place, (table, at) in tables.items()
        }
        return {"run": text(self.number), **{place: str(value) for place, value in snapshots.items()}, **queries}


def verify(book: Book, progress: Callable[[str, float], None] = lambda _step, _share: None) -> list[Verdict]:
    """A verdict on every promise, in the order of the file. `progress` hears what is done, and the share behind it.

    A query that fails, as with a damaged file, makes its promise one that can't be checked, which counts as broken.
    """
    book.refuse_older()
    with closing(book.cursor()) as cursor:
        asking = _Asking(cursor, book.files, progress)
        for about in (asking.about_runs, asking.about_tables, asking.about_book):
            about()
        return list(asking.verdicts.values())


@cache
def promises() -> tuple[Promise, ...]:
    """Every promise, as the file has them."""
    return tuple(Promise(title, says, query) for kind, title, says, query in _entries() if kind == "promise")


@cache
def kept() -> Mapping[str, str]:
    """The words about a run, as the file has them: tables that are made once for each run."""
    told = {title: query for kind, title, _, query in _entries() if kind == "word"}
    return {word: query for word, query in told.items() if _is_of_run(query)}


@cache
def _words() -> Mapping[str, str]:
    return {title: query for kind, title, _, query in _entries() if kind == "word"}


def _entries() -> Iterator[tuple[str, str, str, str]]:
    """Kind, name, comment and query of every entry."""
    parts = _HEADING.split(files("billfold").joinpath("promises.sql").read_text(encoding="utf-8"))[1:]
    for kind, title, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        lines = body.strip().split("\n")
        comment = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
        yield kind, title, " ".join(comment), "\n".join(line for line in lines if not line.startswith("-- "))


def words_of(query: str) -> dict[str, None]:
    """The words that a query uses, and those that these use, before the ones that use them."""
    found: dict[str, None] = {}
    for used in dict.fromkeys(_USED.findall(query)):
        if used in _words():
            found = found | words_of(_words()[used]) | {used: None}
    return found


def _opening(query: str) -> str:
    """The words that a query uses and that are not kept, as it needs them in front."""
    used = [f"{word} AS ({_words()[word]})" for word in words_of(query) if word not in kept()]
    return f"WITH {', '.join(used)} " if used else ""


def _is_of_run(query: str) -> bool:
    return any(place in query for place in ("$run", "$snapshot", "$inputs", "$after", "$links", "$parts"))


class _Asking:
    """One transaction, so that all queries see the book as it was at the first one, also while others write to it."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, data: DataFiles, progress: Callable[[str, float], None]
    ) -> None:
        self.cursor = cursor
        self.data = data
        self.progress = progress
        self.verdicts = {p.name: Verdict(p.name, p.says, p.query) for p in promises()}
        self.cursor.execute("BEGIN")
        self.lost: dict[str, Exception] = {}
        """Words that can't be made for the run that is looked at, and why."""

    def about_runs(self) -> None:
        """Run by run, so that what all queries need of a run is made once."""
        asked = [p for p in promises() if p.is_about_runs]
        try:
            runs = self._runs()
        except (duckdb.Error, ValueError) as e:
            self._refused(asked, "", e)
            return
        for promise in asked:
            left_out = sum(r.is_older for r in runs)
            self.verdicts[promise.name] = replace(self.verdicts[promise.name], left_out=left_out)
        for n, run in enumerate(r for r in runs if not r.is_older):
            self.progress(f"checking {run.number}", 0.6 * n / len(runs))
            self._about_run(run, asked)

    def _about_run(self, run: _Run, asked: Sequence[Promise]) -> None:
        values = run.places()
        self.lost = {}
        self._keep_words(values)
        for promise in asked:
            lost = [w for w in words_of(promise.query) if w in self.lost]
            if lost:
                self._refused([promise], run.number, self.lost[lost[0]])
            elif not self._ask(promise, run.number, values):
                self._keep_words(values)

    def _keep_words(self, values: Mapping[str, str]) -> None:
        """Make the tables of a run. One that fails takes the others with it, so they are made again without it."""
        try:
            for word, query in kept().items():
                if not self.lost.keys() & {word, *words_of(query)}:
                    making = word
                    sql = _filled(f"{_opening(query)}FROM ({query})", values)
                    self.cursor.execute(f"CREATE OR REPLACE TEMP TABLE {word} AS {sql}")
        except duckdb.Error as e:
            self.lost[making] = e
            self._begin_again()
            self._keep_words(values)

    def about_tables(self) -> None:
        """Each table against the record of what came into it."""
        asked = [p for p in promises() if p.is_about_tables]
        for n, table in enumerate(TABLES):
            self.progress(f"checking {table}", 0.6 + 0.2 * n / len(TABLES))
            for promise in asked:
                try:
                    values = self._of_table(table)
                except duckdb.Error as e:
                    self._begin_again()
                    self._refused([promise], table, e)
                else:
                    self._ask(promise, table, values)

    def about_book(self) -> None:
        """What one query can tell about the whole book."""
        asked = [p for p in promises() if not p.is_about_runs and not p.is_about_tables]
        for n, promise in enumerate(asked):
            self.progress(f"checking {promise.name}", 0.8 + 0.2 * n / len(asked))
            try:
                values = self._of_book(promise)
            except duckdb.Error as e:
                self._begin_again()
                self._refused([promise], "", e)
            else:
                self._ask(promise, "", values)

    def _ask(self, promise: Promise, what: str, values: Mapping[str, str]) -> bool:
        """Add what one query says to its verdict; whether it could be asked."""
        try:
            rows = self.cursor.execute(_filled(promise.sql, values)).fetchall()
        except duckdb.Error as e:
            self._begin_again()
            self._refused([promise], what, e)
            return False
        self._add(promise, [str(row[0]) for row in rows], int(rows[0][1]) if rows else 0)
        return True

    def _refused(self, asked: Sequence[Promise], what: str, error: Exception) -> None:
        """Promises that can't be checked do not hold."""
        of = f" for {what}" if what else ""
        for promise in asked:
            self._add(promise, [f"This can't be checked{of}: {sentence(error)}"], 1)

    def _add(self, promise: Promise, rows: list[str], count: int) -> None:
        verdict = self.verdicts[promise.name]
        more = pl.DataFrame({"broken": rows}, schema={"broken": pl.String})
        broken = pl.concat([verdict.broken, more]).head(SHOWN)
        self.verdicts[promise.name] = replace(verdict, broken=broken, count=verdict.count + count)

    def _begin_again(self) -> None:
        """A query that failed has ended the transaction."""
        self.cursor.execute("ROLLBACK")
        self.cursor.execute("BEGIN")

    def _runs(self) -> list[_Run]:
        """All bill runs. Those of older versions kept no version of their own."""
        left = "SELECT commit_message, min(snapshot_id) FROM ducklake_snapshots('book') GROUP BY ALL"
        after = dict(self.cursor.execute(left).fetchall())
        added = "SELECT max(begin_snapshot) FROM __ducklake_metadata_book.ducklake_table WHERE table_name = ?"
        first = int(self.cursor.execute(added, [_LINKS]).fetchall()[0][0] or 0)
        rows = self.cursor.execute(
            "SELECT bill_run_number, snapshot_id, billfold_version IS NULL FROM bill_runs ORDER BY ALL"
        ).fetchall()
        found = []
        for number, snapshot, is_older in rows:
            ordered = after.get(f"orders with run {number}")
            inputs = snapshot if ordered is None else ordered
            last = after.get(f"run {number}", snapshot + 1) if ordered is None else ordered
            snapshots = (int(snapshot), int(inputs), int(last))
            found.append(_Run(str(number), *snapshots, is_older=bool(is_older), has_links=int(snapshot) >= first))
        return found

    def _of_book(self, promise: Promise) -> Mapping[str, str]:
        """What whole-book queries need: the newest snapshot, and perhaps the files or the views as they are to be."""
        if "files_now" in promise.query:
            self._hash_files()
        if "own_views" in promise.query:
            own = pl.DataFrame(definitions(), schema=["kind", "name", "sql"], orient="row")
            self.cursor.register("own_views", own.to_arrow())
        newest = self.cursor.execute("FROM ducklake_current_snapshot('book')").fetchall()
        return {"now": str(int(newest[0][0]))}

    def _hash_files(self) -> None:
        """Files are hashed here and not by DuckDB, which would read each of them as one value into memory."""
        rows = self.cursor.execute("SELECT DISTINCT file FROM billfold.contents WHERE file IS NOT NULL").fetchall()
        told = [str(file) for (file,) in rows if _DATA_FILE.fullmatch(file)]
        with ThreadPoolExecutor() as pool:
            hashes = list(pool.map(self.data.sha256, told))
        frame = pl.DataFrame({"file": told, "sha256": hashes}, schema={"file": pl.String, "sha256": pl.String})
        self.cursor.register("files_now", frame.to_arrow())

    def _of_table(self, table: str) -> Mapping[str, str]:
        """What the query about a table's rows needs: its columns, its keys, and the rows of all its files."""
        types = {row[0]: row[1] for row in self.cursor.execute(f"DESCRIBE {name(table)}").fetchall()}
        recorded = "SELECT DISTINCT file, message, how FROM billfold.contents WHERE table_name = ? ORDER BY ALL"
        rows = self.cursor.execute(recorded, [table]).fetchall()
        told = [str(file) for file, _, _ in rows if file and _DATA_FILE.fullmatch(file)]
        missing = set(self.data.missing(told))
        there = [file for file in told if file not in missing]
        bases = [str(m) for _, m, how in rows if how == "base" and _BASE.fullmatch(m)]
        typed = ", ".join(f"CAST({name(c)} AS {t}) AS {name(c)}" for c, t in types.items())
        return {
            "table": text(table),
            "name": name(table),
            "columns": ", ".join(map(name, types)),
            "same": " AND ".join(f"later.{name(k)} = h.{name(k)}" for k in keys(TABLES[table])),
            "history": f"SELECT {typed}, file FROM ({self._rows_of(table, there, bases)})",  # noqa: S608 - quoted
        }

    def _rows_of(self, table: str, there: list[str], bases: list[str]) -> str:
        """A query for all rows that a table's files ever brought, with the file; columns that a file lacks are null."""
        parts = [f"SELECT *, CAST(NULL AS VARCHAR) AS file FROM {name(table)} WHERE FALSE"]  # noqa: S608 - quoted
        if there:
            paths = ", ".join(text(self.data.address(file)) for file in there)
            file = f"substr(filename, {len(self.data.address('')) + 1}) AS file"
            read = f"read_parquet([{paths}], union_by_name = true, filename = true)"
            parts.append(f"SELECT * EXCLUDE (filename), {file} FROM {read}")  # noqa: S608 - quoted
        for base in bases:
            at = f"AT (VERSION => {int(base.removeprefix('base '))})"
            parts.append(f"SELECT *, {text(base)} AS file FROM {name(table)} {at}")  # noqa: S608 - quoted, a number
        return " UNION ALL BY NAME ".join(parts)


def _filled(sql: str, values: Mapping[str, str]) -> str:
    """A query with its places filled; values are quoted names, quoted literals and numbers only."""
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), sql)
