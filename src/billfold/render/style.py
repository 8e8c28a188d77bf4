"""How documents look: `sender.toml` in the folder of templates says who sends them and how values are put."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from billfold.errors import BillfoldError
from billfold.names import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

SENDER: Final = "sender.toml"

WORDS: Final[Mapping[str, str]] = {
    "invoice": "Invoice",
    "credit_memo": "Credit memo",
    "draft": "DRAFT",
    "canceled": "CANCELED",
    "bill_to": "Bill to",
    "sold_to": "Sold to",
    "tax_id": "Tax id",
    "date": "Date",
    "due_date": "Due date",
    "payment_term": "Payment term",
    "account": "Account",
    "currency": "Currency",
    "subscription": "Subscription",
    "order": "Order",
    "group_number": "Group number",
    "group_value": "Group",
    "credit_for": "Credit for",
    "more": "and {count} more",
    "description": "Description",
    "period": "Service period",
    "quantity": "Quantity",
    "unit_price": "Unit price",
    "amount": "Amount",
    "subtotal": "Subtotal",
    "charges": "Charges",
    "discounts": "Discounts",
    "credits": "Credits",
    "total": "Total",
    "total_credit": "Total credit",
    "page": "Page {page} of {pages}",
}
"""Everything that a document says besides its data, by name; `[words]` of `sender.toml` translates it."""

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_LISTS: Final = ("address", "details")
_TEXTS: Final = ("name", "logo", "footer")
_TABLES: Final = ("format", "words", "custom")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "currency": ("code", "symbol"),
    "paper": ("a4", "us-letter"),
}
_FORMAT: Final[Mapping[str, str]] = {
    "thousands": ",",
    "decimal": ".",
    "currency": "code",
    "date": "D MMM YYYY",
    "paper": "a4",
    "language": "en",
    "font": "Libertinus Serif",
}


@dataclass(frozen=True)
class Style:
    """Who sends documents, and how numbers, dates and words are put. `sender` is None when nobody said."""

    sender: Mapping[str, Any] | None = None
    formats: Mapping[str, str] = field(default_factory=lambda: _FORMAT)
    words: Mapping[str, str] = field(default_factory=lambda: WORDS)
    months: tuple[str, ...] = MONTHS
    custom: Mapping[str, Any] = field(default_factory=dict)


def style_of(folder: Path | None) -> Style:
    """What the folder's `sender.toml` says; without one, nothing is made up.

    Raises:
        BillfoldError: the file can't be read, or says something that nobody understands.
    """
    path = folder / SENDER if folder else None
    if path is None or not path.is_file():
        return Style()
    said = _read(path)
    _refuse_unknown(path, "", said, (*_TEXTS, *_LISTS, *_TABLES))
    tables = {name: said.pop(name, {}) for name in _TABLES}
    for name, table in tables.items():
        _refuse_other(path, name, table, isinstance(table, dict), "a table")
    months = tables["words"].pop("months", list(MONTHS))
    _refuse_other(path, "months", months, _texts(months) and len(months) == len(MONTHS), "a list of twelve texts")
    return Style(
        sender=_sender(path, said),
        formats=_formats(path, tables["format"]),
        words=_over(path, "words", tables["words"], WORDS),
        months=tuple(months),
        custom=tables["custom"],
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        msg = f"{path} can't be read: {e.strerror}."
        raise BillfoldError(msg) from e
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        msg = f"{path} can't be read as TOML: {e}."
        raise BillfoldError(msg) from e


def _sender(path: Path, said: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The sender's block: a name, and whatever else is known."""
    if not said:
        return None
    if "name" not in said:
        msg = f'{path} says who sends the documents but not the name: add name = "…" at its top.'
        raise BillfoldError(msg)
    for key, value in said.items():
        if key in _LISTS:
            _refuse_other(path, key, value, _texts(value), "a list of texts")
        else:
            _refuse_other(path, key, value, isinstance(value, str), "a text")
    _refuse_lost_logo(path, said.get("logo"))
    return {**dict.fromkeys(_LISTS, ()), **said}


def _refuse_lost_logo(path: Path, logo: str | None) -> None:
    """A logo is a file beside `sender.toml`, or below it."""
    if logo is not None:
        there = (path.parent / logo).resolve()
        if not there.is_file() or not there.is_relative_to(path.parent.resolve()):
            msg = f"{path}: there is no logo {logo!r} in that folder."
            raise BillfoldError(msg)


def _formats(path: Path, said: Mapping[str, Any]) -> Mapping[str, str]:
    formats = _over(path, "format", said, _FORMAT)
    for name, values in _CHOICES.items():
        _refuse_other(path, name, formats[name], formats[name] in values, f"one of {', '.join(values)}")
    if formats["thousands"] == formats["decimal"] or not formats["decimal"]:
        msg = f"{path}: decimal and thousands separate different things, so they must differ, and decimal not be blank."
        raise BillfoldError(msg)
    return formats


def _over(path: Path, table: str, said: Mapping[str, Any], defaults: Mapping[str, str]) -> Mapping[str, str]:
    """Texts of a table over their defaults."""
    _refuse_unknown(path, f"[{table}] ", said, defaults)
    for name, value in said.items():
        _refuse_other(path, name, value, isinstance(value, str), "a text")
    return {**defaults, **said}


def _refuse_unknown(path: Path, where: str, said: Mapping[str, Any], known: Collection[str]) -> None:
    for name in said:
        if name not in known:
            msg = f"{path}: {where}has no {name!r}{nearest(name, known)}; there are {', '.join(known)}."
            raise BillfoldError(msg)


def _refuse_other(path: Path, name: str, value: object, holds: bool, what: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        msg = f"{path}: {name} can't be {value!r}: it is {what}."
        raise BillfoldError(msg)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)
