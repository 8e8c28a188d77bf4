"""Numbers of documents: temporary ones for drafts, and at posting the final ones, without gaps, in the order of ids.

A counter is the last number given under a prefix. Sets with one prefix share its counter (spec/grouping.md section 7).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from billfold.terms import due_dates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from billfold.lines import Documents

    Give = Callable[[pl.DataFrame, str, pl.DataFrame, Mapping[str, int]], tuple[pl.DataFrame, Mapping[str, int]]]

_DIGITS: Final = 8
_BUILT_IN: Final = {"invoice": "INV", "credit_memo": "CM"}
_TEMPORARY: Final = {"invoice": "TMP-INV-", "credit_memo": "TMP-CM-"}


@dataclass(frozen=True)
class Headers:
    """Invoices and credit memos to be numbered, and the counters after that."""

    invoices: pl.DataFrame
    credit_memos: pl.DataFrame
    counters: Mapping[str, int]

    @classmethod
    def of(cls, documents: Documents, counters: Mapping[str, int]) -> Self:
        """The headers of some documents."""
        return cls(documents.invoices, documents.credit_memos, counters)

    def on(self, documents: Documents) -> Documents:
        """Documents with these headers."""
        return replace(documents, invoices=self.invoices, credit_memos=self.credit_memos)


def number_drafts(headers: Headers, sets: pl.DataFrame) -> Headers:
    """Temporary numbers; they go on from the final ones, so that a draft often shows the number that it will get."""
    return _both(headers, sets, _temporary)


def post(headers: Headers, sets: pl.DataFrame, settings: Mapping[str, str], posting: int = 1) -> Headers:
    """Final numbers and the status Posted; invoices get their due dates. `posting` counts the run's postings."""
    posted = _both(headers, sets, _final)
    final = {"status": pl.lit("Posted"), "posting": pl.lit(posting, dtype=pl.Int64)}
    return replace(
        posted,
        invoices=posted.invoices.with_columns(**final, due_date=due_dates(posted.invoices, settings)),
        credit_memos=posted.credit_memos.with_columns(**final),
    )


def _both(headers: Headers, sets: pl.DataFrame, give: Give) -> Headers:
    invoices, after = give(headers.invoices, "invoice", sets, headers.counters)
    memos, counters = give(headers.credit_memos, "credit_memo", sets, after)
    return Headers(invoices, memos, counters)


def _temporary(
    rows: pl.DataFrame, kind: str, sets: pl.DataFrame, counters: Mapping[str, int]
) -> tuple[pl.DataFrame, Mapping[str, int]]:
    if rows.is_empty():
        return rows, counters
    prefix = _TEMPORARY[kind]
    last = _last(rows, kind, sets, counters)
    place = pl.col(f"{kind}_id").rank("ordinal").cast(pl.Int64)
    numbered = rows.with_columns(_number(pl.lit(prefix), place + last).alias(f"{kind}_number"))
    return numbered, {**counters, prefix: last + rows.height}


def _last(rows: pl.DataFrame, kind: str, sets: pl.DataFrame, counters: Mapping[str, int]) -> int:
    """The number before the first draft's: no draft shows a number that a final document has."""
    final = _prefixed(rows, kind, sets, counters)["last"].max()
    return max(counters.get(_TEMPORARY[kind], 0), final if isinstance(final, int) else 0)


def begun(present: Headers, sets: pl.DataFrame, *, posting: bool) -> dict[str, int]:
    """The counters before a run that is numbered part by part: `present` has its sequence sets, a row each.

    Every part then counts on as if all documents were numbered together.
    """
    counters = dict(present.counters)
    for rows, kind in ((present.invoices, "invoice"), (present.credit_memos, "credit_memo")):
        if rows.height:
            counters[_TEMPORARY[kind]] = _last(rows, kind, sets, present.counters)
        if posting:
            lasts = _prefixed(rows, kind, sets, present.counters).group_by("prefix").agg(pl.col("last").max())
            counters |= dict(lasts.iter_rows())
    return counters


def _final(
    rows: pl.DataFrame, kind: str, sets: pl.DataFrame, counters: Mapping[str, int]
) -> tuple[pl.DataFrame, Mapping[str, int]]:
    if rows.is_empty():
        return rows, counters
    place = pl.col(f"{kind}_id").rank("ordinal").over("prefix").cast(pl.Int64)
    numbered = _prefixed(rows, kind, sets, counters).with_columns(sequence=pl.col("last") + place)
    given = numbered.group_by("prefix").agg(pl.col("sequence").max()).sort("prefix")
    final = numbered.with_columns(_number(pl.col("prefix"), pl.col("sequence")).alias(f"{kind}_number"))
    return final.select(rows.columns), {**counters, **dict(given.iter_rows())}


def _prefixed(rows: pl.DataFrame, kind: str, sets: pl.DataFrame, counters: Mapping[str, int]) -> pl.DataFrame:
    """Rows with the prefix of their sequence set, and `last`: the number before the next one under it."""
    of_sets = sets.select(sequence_set="name", prefix=f"{kind}_prefix", start=f"{kind}_start")
    prefixed = rows.join(of_sets, on="sequence_set", how="left", maintain_order="left").with_columns(
        pl.col("prefix").fill_null(_BUILT_IN[kind]), pl.col("start").fill_null(1)
    )
    used = pl.col("prefix").replace_strict(dict(counters), default=0, return_dtype=pl.Int64)
    return prefixed.with_columns(last=pl.max_horizontal(pl.col("start").max().over("prefix") - 1, used))


def _number(prefix: pl.Expr, sequence: pl.Expr) -> pl.Expr:
    return pl.concat_str(prefix, sequence.cast(pl.String).str.zfill(_DIGITS))
