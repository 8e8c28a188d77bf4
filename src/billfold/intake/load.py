"""`billfold load`: files checked against the contracts and each other, then upserted by key in one commit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from billfold.book import Book, Change, Commit, State
from billfold.configure import refuse_while_drafts
from billfold.contracts import INPUTS, columns, keys
from billfold.errors import BillfoldError, InputError
from billfold.intake.conform import FAULT, Conformed, conform
from billfold.intake.files import read, sources
from billfold.intake.references import CHECKS, Parents
from billfold.intake.review import review
from billfold.receipt import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Loaded:
    """What one file brought: rows read, rows that were new, rows that changed others."""

    table: str
    path: Path
    rows: int
    new: int
    changed: int


def load(book: Book, arguments: Sequence[str], *, source: str = "", progress: Progress = silent) -> list[Loaded]:
    """Load folders or `table=FILE` arguments; all of them or nothing.

    A row replaces the row with its key. Columns that a file does not have keep what the book has. What the files are
    known as, their `source`, becomes part of the commit's message.

    Raises:
        InputError: rows break a contract or refer to nothing; it holds every fault.
        BillfoldError: a file can't be read, or its columns are wrong.
    """
    paths = sources(arguments)
    state = State.of(book)
    conformed = _read_all(state, paths, progress)
    _refuse_faults(conformed, paths, {t: c.faults for t, c in conformed.items()})
    progress("checking references", 0.7)
    merged = {table: _merge(state, table, c) for table, c in conformed.items()}
    parents = Parents(state, {t: m[0] for t, m in merged.items()})
    _refuse_faults(conformed, paths, {t: _between_tables(t, rows, parents) for t, (rows, _) in merged.items()})
    changed = {table: _changed(rows, existing) for table, (rows, existing) in merged.items()}
    _refuse_regrouping(book, changed.get("accounts"), merged.get("accounts"))
    progress("writing", 0.8)
    changes = [
        Change(table, rows, replace=not merged[table][1].is_empty()) for table, rows in changed.items() if rows.height
    ]
    changes += review(state, changed)
    if changes:
        message = f"load {', '.join(t for t, rows in changed.items() if rows.height)}{source and f' from {source}'}"
        book.commit(state.head, Commit(message, changes))
    return [_receipt(table, paths[table], merged[table], changed[table]) for table in paths]


def _read_all(state: State, paths: Mapping[str, Path], progress: Progress) -> dict[str, Conformed]:
    sizes = {table: path.stat().st_size if path.is_file() else 0 for table, path in paths.items()}
    conformed: dict[str, Conformed] = {}
    for table, path in paths.items():
        behind = sum(sizes[t] for t in conformed) / max(sum(sizes.values()), 1)
        progress(f"reading {path.name}", 0.7 * behind)
        conformed[table] = _read(state, table, path)
    return conformed


def _read(state: State, table: str, path: Path) -> Conformed:
    standard = columns(INPUTS[table])
    custom = {n: t for n, t in state.read(table).collect_schema().items() if n not in standard}
    rows = read(path)
    own = [c for c in rows.columns if c in standard and standard[c].is_own]
    if own:
        msg = f"{path}: {', '.join(own)} is written by billfold alone; leave the column out."
        raise BillfoldError(msg)
    return conform(path, rows, INPUTS[table], custom)


def _between_tables(table: str, rows: pl.DataFrame, parents: Parents) -> pl.DataFrame:
    return pl.concat(check(table, rows, parents) for check in CHECKS)


def _merge(state: State, table: str, conformed: Conformed) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows as they are to stand in the book, and the ones that they replace."""
    on = list(keys(INPUTS[table]))
    rows = conformed.rows
    existing = state.read(table).join(rows.lazy().select(on), on=on, how="semi").collect()
    untold = [c for c in existing.columns if c not in conformed.given]
    if existing.is_empty():
        untold = [c for c in untold if c not in rows.columns]
    if untold:
        kept = existing.select(*on, *(pl.col(c).alias(f"{c} kept") for c in untold), _there=pl.lit(value=True))
        rows = rows.with_columns(
            pl.lit(None, dtype=existing.schema[c]).alias(c) for c in untold if c not in rows.columns
        )
        rows = (
            rows.join(kept, on=on, how="left", maintain_order="left")
            .with_columns(pl.when(pl.col("_there")).then(f"{c} kept").otherwise(c).alias(c) for c in untold)
            .drop("_there", *(f"{c} kept" for c in untold))
        )
    return rows, existing


def _changed(rows: pl.DataFrame, existing: pl.DataFrame) -> pl.DataFrame:
    """Rows that differ from what the book has."""
    shared = [c for c in rows.columns if c in existing.columns]
    if existing.is_empty() or len(shared) < len(rows.columns):
        return rows
    numbered = _comparable(rows).with_row_index("_row")
    differs = numbered.join(_comparable(existing), on=shared, how="anti", nulls_equal=True)
    return rows[differs["_row"].sort()]


def _comparable(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with nested cells as text, since joins can't compare them."""
    nested = [c for c, t in rows.schema.items() if t.is_nested()]
    return rows.with_columns(
        pl.Series(c, [None if v is None else json.dumps(v, default=str) for v in rows[c].to_list()], dtype=pl.String)
        for c in nested
    )


def _refuse_faults(conformed: dict[str, Conformed], paths: dict[str, Path], faults: dict[str, pl.DataFrame]) -> None:
    bad = {table: f for table, f in faults.items() if f.height}
    if not bad:
        return
    rows = pl.concat(f.select(pl.lit(str(paths[t])).alias("file"), *FAULT.names()) for t, f in bad.items())
    read_rows = sum(c.rows.height for c in conformed.values())
    places = rows.select("file", "row").n_unique()
    first = rows.row(0, named=True)
    cell = f"{first['column']} {(first['value'] or '')[:60]!r}, rule: " if first["column"] else ""
    where = f"{first['file']}, row {first['row']}: {cell}{first['rule']}"
    msg = f"{places:,} of {read_rows:,} rows refused, so nothing was loaded; mend them and load again ({where})."
    raise InputError(msg, rows)


def _refuse_regrouping(
    book: Book, changed: pl.DataFrame | None, merged: tuple[pl.DataFrame, pl.DataFrame] | None
) -> None:
    """Giving an account another grouping is a change of configuration, which waits for drafts to be settled."""
    if changed is None or merged is None:
        return
    before = merged[1].select("account_number", before="invoice_group")
    regrouped = changed.join(before, on="account_number").filter(pl.col("before").ne_missing(pl.col("invoice_group")))
    if regrouped.height:
        refuse_while_drafts(book)


def _receipt(table: str, path: Path, merged: tuple[pl.DataFrame, pl.DataFrame], changed: pl.DataFrame) -> Loaded:
    rows, existing = merged
    new = rows.height - existing.height
    return Loaded(table, path, rows.height, new, changed.height - new)
