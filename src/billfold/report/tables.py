"""Tables for people, with a bar beside the number that it draws."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from billfold.money import CURRENCIES
from billfold.report.html import Html, element, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MINUS: Final = "\N{MINUS SIGN}"
_THINNEST: Final = 0.4
"""Per cent of the width: what is not nothing can be seen."""


@dataclass(frozen=True)
class Row:
    """Cells of a row, the first of which names it; its bar, if the table has any; and how it looks."""

    cells: Sequence[str]
    bar: Html | None = None
    look: str | None = None


def table(
    caption: str, headings: Sequence[str], rows: Iterable[Row], *, texts: Sequence[str] = (), minor: Sequence[str] = ()
) -> Html:
    """A table. Columns but the first and those in `texts` hold numbers; a column of bars follows the first one.

    Columns in `minor` are left out where there is no room for them.
    """
    rows = list(rows)
    has_bars = any(row.bar for row in rows)
    looks = [None, *(_look(h, texts, minor) for h in headings[1:])]
    head = [element("th", h, scope="col", class_=look) for h, look in zip(headings, looks, strict=True)]
    if has_bars:
        head.insert(1, element("th", element("span", "bar", class_="hidden"), scope="col", class_="bar"))
    whole = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head)),
        element("tbody", *(_row(row, looks, has_bars=has_bars) for row in rows)),
        class_="bars" if has_bars else None,
    )
    return element("div", whole, class_="wide", tabindex="0", role="region", aria_label=caption)


def _look(heading: str, texts: Sequence[str], minor: Sequence[str]) -> str:
    kind = "t" if heading in texts else "n"
    return f"{kind} minor" if heading in minor else kind


def _row(row: Row, looks: Sequence[str | None], *, has_bars: bool) -> Html:
    cells = [element("td", cell, class_=look) for cell, look in zip(row.cells[1:], looks[1:], strict=True)]
    if has_bars:
        cells.insert(0, element("td", row.bar or "", class_="bar"))
    return element("tr", element("th", row.cells[0], scope="row"), *cells, class_=row.look)


@dataclass(frozen=True)
class Scale:
    """What the left and the right end of a table's bars stand for."""

    low: Decimal
    high: Decimal

    @classmethod
    def over(cls, values: Iterable[Decimal | int]) -> Scale:
        """A scale that has room for all values, and for nothing."""
        every = [Decimal(0), *map(Decimal, values)]
        return cls(min(every), max(every))

    def bar(self, label: str, *pieces: tuple[Decimal | int, Decimal | int, str]) -> Html:
        """Pieces from one value to another, each with its look; `label` says it to those who can't see it."""
        drawn = [self._piece(Decimal(start), Decimal(end), look) for start, end, look in pieces if start != end]
        zero = f"{self._at(Decimal(0)):.2f}%"
        axis = element("line", x1=zero, x2=zero, y1="0", y2="100%", class_="axis")
        return element("svg", axis, *drawn, role="img", aria_label=label, class_="bar", height="14", width="100%")

    def _piece(self, start: Decimal, end: Decimal, look: str) -> Html:
        first, last = sorted((self._at(start), self._at(end)))
        width = max(last - first, _THINNEST)
        return element(
            "rect", x=f"{min(first, 100 - _THINNEST):.2f}%", width=f"{width:.2f}%", y="1", height="12", class_=look
        )

    def _at(self, value: Decimal) -> float:
        """Where a value lies, in per cent of the width: lengths are drawn, so they may be floats."""
        span = self.high - self.low
        return float((value - self.low) / span * 100) if span else 0.0


def number(count: int) -> str:
    """A count with thousands separators."""
    return f"{count:,}".replace("-", _MINUS)


def amount(value: Decimal, currency: str) -> str:
    """An amount in the decimals of its currency: none of JPY, three of KWD; further ones only if they say something."""
    digits = CURRENCIES.get(currency, 2)
    whole, _, decimals = format(value, ",f").partition(".")
    shown = decimals.rstrip("0").ljust(digits, "0")
    return (f"{whole}.{shown}" if shown else whole).replace("-", _MINUS)


def money(value: Decimal, currency: str) -> str:
    """An amount with its currency; the two stay on one line."""
    return f"{currency}\N{NO-BREAK SPACE}{amount(value, currency)}"


def change(difference: Decimal | int, text: str) -> str:
    """A difference with its sign."""
    return f"+{text}" if difference > 0 else text


def percent(part: Decimal | int, whole: Decimal | int) -> str:
    """A share or a change in per cent, with one decimal; nothing, of nothing."""
    if not whole:
        return ""
    return f"{Decimal(part) / abs(Decimal(whole)) * 100:,.1f} %".replace("-", _MINUS)


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count and what is counted."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def lines(*texts: str | None) -> Html:
    """Texts of one cell below each other: the first one, then smaller ones."""
    first, *others = texts
    return joined([first or "", *(element("small", t) for t in others if t)], "\N{EN SPACE}")
