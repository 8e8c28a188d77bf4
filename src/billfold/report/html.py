"""Markup that can't be broken by data: every text is escaped, unless it is markup that was made here."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNSEEN: Final = dict.fromkeys(
    [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\N{REPLACEMENT CHARACTER}"
)
"""Control characters: what nobody sees, or what turns the order of others around, is shown as such."""


class Html(str):
    """Markup. It goes into other markup as it is; any other text is escaped on the way."""

    __slots__ = ()


def element(name: str, *content: str, **attributes: str | None) -> Html:
    """An element. `class_` is written `class`, `aria_label` is `aria-label`; attributes that are None are left out."""
    told = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    given = "".join(f' {key}="{_text(value)}"' for key, value in told.items())
    return Html(f"<{name}{given}>{joined(content)}</{name}>")


def joined(parts: Iterable[str], between: str = "") -> Html:
    """Parts one behind the other."""
    return Html(between.join(part if isinstance(part, Html) else _text(part) for part in parts))


def _text(text: str) -> str:
    """A text as markup shows it."""
    return escape(text.translate(_UNSEEN))
