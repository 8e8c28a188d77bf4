"""The parts of a large run: ranges of accounts, each with all rows that bear on it, so that memory stays flat.

Where parts begin follows from the book and the request alone, and every part becomes one file a table: neither memory
nor threads nor machines change a byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.book.deal import OTHERS, Dealt, Wanted, deal
from billfold.lines import UNBILLED
from billfold.requests import ID_DIGITS
from billfold.rows import Only, collected
from billfold.schedules.due import also_billed, due_schedules
from billfold.steps.load import TO_SELECT, selected
from billfold.steps.resolve import OF_CHARGES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from billfold.book import Book, State
    from billfold.requests import RunRequest

PART: Final = 500_000
"""Charges and order lines of a part, about; an account is never torn. A run of up to half as much more is whole."""

_CHARGE: Final = ["charge_number", "segment"]


def work_of(state: State, request: RunRequest) -> int:
    """How many charge segments and order lines a run has to look at, about.

    Order lines up to the target date of an earlier run were mostly billed by it, and are passed over quickly.
    """
    due = Only(between={"next_due_date": (None, request.target_date)})
    before = collected(state.read("bill_runs").filter(pl.col("status") != "Canceled"))["target_date"].max()
    lines = state.read("order_line_items")
    if before is not None:
        lines = lines.filter(pl.col("bill_target_date") > before)
    tables = [state.read("charge_progress", only=due), state.read("charges_to_review"), lines]
    return sum(int(collected(t.select(pl.len())).item()) for t in tables)


def are_several(state: State, request: RunRequest, work: int) -> bool:
    """Whether a run is made in parts: a large one, not for some orders or schedules, nor with pending changes."""
    return 2 * work > 3 * PART and not (request.orders or request.schedules or state.pending)


def digits_of(work: int) -> int:
    """Digits of documents' numbers in a run that is made in parts: enough, whatever becomes of the work.

    A charge or order line can make two documents, an invoice and a credit memo, and few make any more.
    """
    return max(ID_DIGITS, len(str(4 * work)))


def dealt(state: State, settings: Mapping[str, str], request: RunRequest, folder: str, memory: int) -> Dealt:
    """The parts of a run, as files in `folder`; `memory` in bytes is what that may take."""
    accounts = collected(selected(state.read("accounts", TO_SELECT), request).select("account_number"))
    also = also_billed(state.read, due_schedules(state.read, settings, request), request)
    there = state.book.schema("rate_plan_charges", state.head.snapshot_id)
    columns = [c for c in there if c in OF_CHARGES or c.endswith("__c")]
    wanted = Wanted(accounts, also, columns, request.target_date)
    return deal(state, wanted, PART, folder, memory)


@dataclass(frozen=True)
class FilesOfPart:
    """A part's rows (`lines.Part`), scanned from its files."""

    book: Book
    snapshot_id: int
    dealt: Dealt
    number: int

    def read(self, table: str, only: Only | None = None) -> pl.LazyFrame:
        """The rows of a table that bear on the part's accounts."""
        marks = {"is_billed": pl.Boolean()} if table == "accounts" else {}
        rows = self._in_order(table, self._schema(table) | marks)
        return only.of(rows) if only else rows

    def charges(self) -> pl.LazyFrame:
        """Charges that may owe something, with their progress and `is_reviewed`."""
        return self._charges(self.number)

    def billed_order_lines(self) -> pl.LazyFrame:
        """Those of the part's order lines that are on documents which count."""
        return self._scan("billed_order_lines", dict.fromkeys(("order_number", "item_number"), pl.String()))

    def usage(self, first: date, last: date) -> pl.LazyFrame | None:
        """Usage that starts on these days; None where the files begin later."""
        if self.dealt.first_use is None or first < self.dealt.first_use:
            return None
        return Only(between={"start_date": (first, last)}).of(self._scan("usage", self._schema("usage")))

    def others_to_review(self) -> pl.LazyFrame:
        """Charges of accounts that no part bills, which other runs have to look at."""
        return self._charges(OTHERS).filter("is_reviewed").select(_CHARGE).sort(_CHARGE)

    def _charges(self, part: int) -> pl.LazyFrame:
        known = {c: t for c, t in self._schema("rate_plan_charges").items() if c in OF_CHARGES or c.endswith("__c")}
        return self._in_order("charges", known | UNBILLED | {"is_reviewed": pl.Boolean()}, part)

    def _schema(self, table: str) -> dict[str, pl.DataType]:
        return dict(self.book.schema(table, self.snapshot_id))

    def _in_order(self, table: str, schema: Mapping[str, pl.DataType], part: int | None = None) -> pl.LazyFrame:
        """Rows in the order that they have in the book."""
        return self._scan(table, {**schema, "place": pl.Int64()}, part).sort("place").drop("place")

    def _scan(self, table: str, schema: Mapping[str, pl.DataType], part: int | None = None) -> pl.LazyFrame:
        files = self.dealt.files.get((table, self.number if part is None else part))
        if not files:
            return pl.LazyFrame(schema=schema)
        rows = self.book.files.kept(files)
        return rows.select(pl.col(c).cast(t) for c, t in schema.items())
