"""Payment terms: from when an invoice is dated to when it is due (spec/bill_run.md I18).

A term says itself what it means, in any case: `Net 30` (days after the invoice date), `Due Upon Receipt`,
`End of Month` or `EOM` (the last day of the invoice's month), `Net 30 EOM` (days after that day), and
`Prox 20 Cutoff 12 Months 2`: due on the 20th, two months on, or one more when the invoice is dated after the 12th.
Without a cutoff there is none, without months it is one; a day may be EOM. Terms that are called something else are
defined by the setting `payment_term.NAME`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.periods import boundary, month_of

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "payment_term."
_DAY: Final = r"(\d{1,2}(?:st|nd|rd|th)?|eom|end of month)"
_NET: Final = re.compile(r"net (\d{1,4})(?: days?)?( eom| end of month)?")
_PROX: Final = re.compile(rf"(?:prox {_DAY}|{_DAY} prox)((?: (?:months? \d{{1,2}}|cutoff {_DAY}))*)")
_AT_ONCE: Final = ("due upon receipt", "due on receipt")
_LAST: Final = 31
_TERM: Final = {
    "days": pl.Int64,
    "from_month_end": pl.Boolean,
    "day": pl.Int32,
    "months": pl.Int32,
    "cutoff": pl.Int32,
}


def meaning(term: str) -> dict[str, object] | None:
    """What a term says: days, counted from the month's end or not, or the day, months on, cutoff; None for nothing."""
    said = _spelled(term)
    if said in _AT_ONCE:
        return {"days": 0, "from_month_end": False}
    if said in {"eom", "end of month"}:
        return {"days": 0, "from_month_end": True}
    if net := _NET.fullmatch(said):
        return {"days": int(net[1]), "from_month_end": net[2] is not None}
    return _prox(said)


def _spelled(term: str) -> str:
    """A term without regard to case and blanks."""
    return " ".join(term.lower().split())


def _prox(said: str) -> dict[str, object] | None:
    prox = _PROX.fullmatch(said)
    if not prox:
        return None
    months = re.search(r"months? (\d+)", prox[3])
    cutoff = re.search(rf"cutoff {_DAY}", prox[3])
    day, last = _day(prox[1] or prox[2]), _day(cutoff[1]) if cutoff else _LAST
    if not (1 <= day <= _LAST and 1 <= last <= _LAST):
        return None
    return {"day": day, "months": int(months[1]) if months else 1, "cutoff": last}


def _day(said: str) -> int:
    digits = re.match(r"\d+", said)
    return int(digits[0]) if digits else _LAST


def due_dates(invoices: pl.DataFrame, settings: Mapping[str, str]) -> pl.Series:
    """When invoices are due, by `payment_term` and `invoice_date`; null where the term says no day."""
    terms = invoices["payment_term"].unique().drop_nulls().sort().to_list()
    defined = {_spelled(name.removeprefix(PREFIX)): term for name, term in settings.items() if name.startswith(PREFIX)}
    known = [(t, meaning(defined.get(_spelled(t), t))) for t in terms]
    rows = [{"payment_term": t, **dict.fromkeys(_TERM), **m} for t, m in known if m]
    table = pl.DataFrame(rows, schema={"payment_term": pl.String, **_TERM})
    date = pl.col("invoice_date")
    late = (date.dt.day() > pl.col("cutoff")).cast(pl.Int32)
    of_prox = boundary(month_of(date) + pl.col("months") + late, pl.col("day"))
    since = pl.when("from_month_end").then(date.dt.month_end()).otherwise(date)
    due = pl.when(pl.col("day").is_not_null()).then(of_prox).otherwise(since + pl.duration(days="days"))
    return (
        invoices.select("payment_term", "invoice_date")
        .join(table, on="payment_term", how="left", maintain_order="left")
        .select(due_date=pl.when(due <= pl.date(9999, 12, 31)).then(due))["due_date"]
    )
