"""What every part of the oracle uses: rows, dates, and amounts that are rounded once."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Row: TypeAlias = "Mapping[str, Any]"

MINOR_UNITS: Final = {"JPY": 0, "KWD": 3, "CLF": 4}
"""Decimals of the currencies that the tests use and that have not two."""

LIMIT: Final = Decimal(10) ** 14
HALF: Final = Fraction(1, 2)


def rounded(amount: Decimal | Fraction, currency: str, settings: Mapping[str, str]) -> Decimal:
    """To the currency's increment, once; half away from zero unless the mode says up or down (P14)."""
    unit = Decimal(1).scaleb(-MINOR_UNITS.get(currency, 2))
    increment = Decimal(settings.get(f"rounding_increment.{currency}", unit))
    return to_step(Fraction(amount), increment, settings.get("rounding_mode", "half_up"))


def to_step(amount: Fraction, step: Decimal, mode: str) -> Decimal:
    """The whole number of steps that a number is; up is away from zero, down towards it."""
    steps = abs(amount) / Fraction(step)
    whole = {"half_up": math.floor(steps + HALF), "up": math.ceil(steps), "down": math.floor(steps)}[mode]
    with localcontext(prec=80):
        return step * (whole if amount >= 0 else -whole)


def number(row: Row, name: str) -> Fraction:
    """An exact number; a blank is none at all."""
    return Fraction(Decimal(row[name])) if row.get(name) is not None else Fraction(0)


def decimal(value: Fraction) -> Decimal:
    """A number of at most 18 decimals as a decimal."""
    with localcontext(prec=80):
        return Decimal(value.numerator) / Decimal(value.denominator)


def own(row: Row, column: str) -> str | None:
    """A text that is more than blanks."""
    return (row.get(column) or "").strip() or None


def first_of(row: Row, *names: str) -> date | None:
    """The first date that there is."""
    return next((date.fromisoformat(row[n]) for n in names if row.get(n) is not None), None)


def day(row: Row, name: str) -> date:
    """A date that there must be."""
    return date.fromisoformat(row[name])
