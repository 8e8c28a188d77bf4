"""Why a bill is unusual, in words."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from billfold.report.tables import money, number, percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable

TITLES: Final = {
    "own": "Far off the account's own earlier bills",
    "large": "Invoices far above the others of the run",
    "small": "Invoices far below the others of the run",
    "zero": "Accounts with documents of nothing",
    "negative": "Documents below zero",
    "documents": "Accounts with very many documents",
    "items": "Documents with very many items",
}

RULES: Final = (
    "An account's net is far off if it differs from the middle of its earlier bills of this kind, at least 3, by more "
    "than half, and by more than 5 times their usual spread. An invoice is far above or below the others, and a count "
    "very high, if it lies 3 times as far out as the quartiles lie apart, measured in ratios, among at least 20."
)

_FEW: Final = Decimal(2)
"""Ratios from here on are worth telling."""


def reason(row: dict[str, Any]) -> str:
    """The sentence for a row of `Report.unusual`."""
    return _REASONS[row["kind"]](row)


def _own(row: dict[str, Any]) -> str:
    usual, now = row["usual"], row["amount"]
    known = f"the middle of its earlier bills, {money(usual, row['currency'])}"
    if usual > 0 and now / usual >= _FEW:
        return f"{_times(now / usual)} {known}"
    share = f"{percent(abs(now - usual), usual)} " if usual > 0 else ""
    return f"{share}{'above' if now > usual else 'below'} {known}"


def _large(row: dict[str, Any]) -> str:
    return f"{_times(row['amount'] / row['usual'])} the run's middle invoice, {money(row['usual'], row['currency'])}"


def _small(row: dict[str, Any]) -> str:
    return f"the run's middle invoice is {money(row['usual'], row['currency'])}"


def _times(ratio: Decimal) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"  # noqa: PLR2004 - two digits


def _zero(row: dict[str, Any]) -> str:
    return f"{plural(row['measure'], 'document')} of nothing{', this is the first' if row['measure'] > 1 else ''}"


def _negative(_row: dict[str, Any]) -> str:
    return "its amount has a minus"


def _documents(row: dict[str, Any]) -> str:
    return f"{plural(row['measure'], 'document')}; the middle account has {number(row['usual_measure'])}"


def _items(row: dict[str, Any]) -> str:
    return f"{plural(row['measure'], 'item')}; the middle document has {number(row['usual_measure'])}"


_REASONS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "own": _own, "large": _large, "small": _small, "zero": _zero, "negative": _negative, "documents": _documents,
    "items": _items,
}  # fmt: skip
