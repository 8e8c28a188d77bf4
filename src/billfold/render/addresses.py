"""Whom a document is for: the rows of `contacts`, else plain names, as lines of an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold.render.style import Style

_CODE_LAST: Final = frozenset(
    ("gb", "gbr", "uk", "united kingdom", "great britain", "england", "scotland", "wales", "northern ireland", "ie",
     "irl", "ireland")
)  # fmt: skip
"""Countries that put the postal code in a line of its own, behind the city."""


def party(
    name: str | None, contacts: Mapping[str, Mapping[str, Any]], owner: str | None, style: Style
) -> dict[str, Any]:
    """The contact of that name: `lines` of the address, `details` below it, and the row of `contacts` or null.

    `owner` is the account's name, or its number: whom the contact belongs to where it names no company.
    """
    row = contacts.get(name) if name else None
    if row is None:
        return {"name": name, "lines": _filled(owner, name), "details": [], "contact": None}
    person = " ".join(_filled(row["first_name"], row["last_name"]))
    lines = _filled(
        row["company"] or owner, person, row["address1"], row["address2"], *_towns(row), row["county"], row["country"]
    )
    tax = [f"{style.words['tax_id']} {row['tax_id']}"] if row["tax_id"] else []
    return {"name": name, "lines": lines, "details": [*tax, *_filled(row["work_email"])], "contact": dict(row)}


def _towns(row: Mapping[str, Any]) -> list[str]:
    """City, state and postal code as the post there wants them."""
    city, state, code = row["city"], row["state"], row["postal_code"]
    if state:
        return [", ".join(_filled(city, " ".join(_filled(state, code))))]
    if (row["country"] or "").strip().lower() in _CODE_LAST:
        return _filled(city, code)
    return [" ".join(_filled(code, city))]


def _filled(*texts: str | None) -> list[str]:
    """The texts that say something, each once where it would follow itself."""
    said = [t for t in texts if t]
    return [t for n, t in enumerate(said) if n == 0 or t != said[n - 1]]
