"""Markup that can't be broken by data: every text is escaped, unless it is markup that was made here."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Html(str):
    """Markup. It goes into other markup as it is; any other text is escaped on the way."""

    __slots__ = ()


def element(name: str, *content: str, **attributes: str | None) -> Html:
    """An element. `class_` is written `class`, `aria_label` is `aria-label`; attributes that are None are left out."""
    told = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    given = "".join(f' {key}="{escape(value)}"' for key, value in told.items())
    return Html(f"<{name}{given}>{joined(content)}</{name}>")


def joined(parts: Iterable[str], between: str = "") -> Html:
    """Parts one behind the other."""
    return Html(between.join(part if isinstance(part, Html) else escape(part) for part in parts))
