"""Values as people read them: money by its currency's decimals, numbers, dates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from billfold.money import CURRENCIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from decimal import Decimal

    from billfold.render.style import Style

SYMBOLS: Final[Mapping[str, str]] = {
    "AUD": "A$", "BRL": "R$", "CAD": "CA$", "CNY": "CN¥", "EUR": "€", "GBP": "£", "HKD": "HK$", "ILS": "₪", "INR": "₹",
    "JPY": "¥", "KRW": "₩", "MXN": "MX$", "NZD": "NZ$", "PHP": "₱", "TWD": "NT$", "USD": "$", "VND": "₫",
}  # fmt: skip
"""Signs of currencies, as the world outside of their countries tells them apart; others have their code."""

_TO: Final = "\N{EN DASH}"
_PATTERN: Final = re.compile("YYYY|MMMM|MMM|MM|M|DD|D")


def number(value: Decimal, style: Style, decimals: int = 0) -> str:
    """A number with at least some decimals, and as many more as it has."""
    whole, _, fraction = format(value, ",f").partition(".")
    fraction = fraction.rstrip("0").ljust(decimals, "0")
    grouped = whole.replace(",", style.formats["thousands"])
    return f"{grouped}{style.formats['decimal']}{fraction}" if fraction else grouped


def amount(value: Decimal, currency: str, style: Style) -> str:
    """Money without its currency, with the decimals of the currency: 1,234.50 in EUR, 1,235 in JPY."""
    return number(value, style, CURRENCIES[currency])


def money(value: Decimal, currency: str, style: Style) -> str:
    """Money with its currency: GBP 1,234.50, or £1,234.50."""
    sign = "-" if value < 0 else ""
    digits = amount(abs(value), currency, style)
    symbol = SYMBOLS.get(currency) if style.formats["currency"] == "symbol" else None
    return f"{sign}{symbol}{digits}" if symbol else f"{currency} {sign}{digits}"


def exact(value: Decimal, decimals: int = 0) -> str:
    """A number for programs: a point, no separators, idle zeros only up to some decimals."""
    whole, _, fraction = format(value, "f").partition(".")
    fraction = fraction.rstrip("0").ljust(decimals, "0")
    return f"{whole}.{fraction}" if fraction else whole


def day(value: date, style: Style) -> str:
    """A date in the pattern of the style: YYYY, MMMM (name), MMM (its first three letters), MM, M, DD, D."""
    name = style.months[value.month - 1]
    parts = {
        "YYYY": f"{value.year:04}", "MMMM": name, "MMM": name[:3],
        "MM": f"{value.month:02}", "M": str(value.month), "DD": f"{value.day:02}", "D": str(value.day),
    }  # fmt: skip
    return _PATTERN.sub(lambda found: parts[found[0]], style.formats["date"])


def period(first: date, last: date, style: Style) -> str:
    """Days of service, both inclusive; one day is said once."""
    return day(first, style) if first == last else f"{day(first, style)} {_TO} {day(last, style)}"
