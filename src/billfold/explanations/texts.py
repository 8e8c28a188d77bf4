"""Numbers and lists as people read them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from billfold.console import money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from fractions import Fraction

_DECIMALS: Final = 9
"""Exact amounts with more decimals than this end in … for people; the values have them all."""

DOCUMENTS: Final[Mapping[str, str]] = {"invoice": "invoice", "credit_memo": "credit memo"}


def in_currency(currency: str, amount: Decimal) -> str:
    """An amount with its currency: `EUR 1,234.50`."""
    return f"{currency} {money(amount)}"


def exactly(amount: Decimal) -> str:
    """An amount before rounding, cut after nine decimals."""
    cut = amount.quantize(Decimal(1).scaleb(-_DECIMALS), rounding="ROUND_DOWN")
    return money(amount) if cut == amount else f"{cut:,f}…"


def number(value: Decimal | int) -> str:
    """A quantity without idle zeros."""
    whole, point, decimals = format(Decimal(value), ",f").partition(".")
    rest = decimals.rstrip("0")
    return f"{whole}{point}{rest}" if rest else whole


def mixed(value: Fraction) -> str:
    """A fraction as people write it: 2 10/31."""
    whole, rest = divmod(value, 1)
    if not rest:
        return str(whole)
    return f"{whole} {rest}" if whole else str(rest)


def span(first: date, last: date) -> str:
    """Days, both inclusive."""
    return str(first) if first == last else f"{first} to {last}"


def counted(count: int, one: str) -> str:
    """`1 invoice`, `3 invoices`, `2 order lines`."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def listed(texts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
