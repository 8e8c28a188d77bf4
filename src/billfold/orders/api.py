"""Orders from Python: a request as a mapping or as JSON text, the response as a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from billfold.orders import answers
from billfold.orders.create import create
from billfold.orders.models import CreateOrder, PreviewOrder
from billfold.orders.parsing import parsed
from billfold.orders.previews import preview
from billfold.receipt import now

if TYPE_CHECKING:
    from datetime import date

    from billfold.book import Book

    Request = Mapping[str, Any] | str | bytes


def create_order(book: Book, request: Request, *, today: date | None = None) -> dict[str, Any]:
    """Do one order, and bill it if it asks for that; returns the API's response, or an error body.

    Amounts in the request should be text, int or Decimal: a float is taken as it prints.

    Raises:
        ConflictError: other commits came first again and again.
        BillfoldError: the book can't be read or written.
    """
    orders, _ = parsed(content(request), CreateOrder)
    return create(book, orders, today=today)[0].body


def preview_order(book: Book, request: Request, *, today: date | None = None) -> dict[str, Any]:
    """The documents that creating an order would give; nothing is written."""
    orders, _ = parsed(content(request), PreviewOrder)
    return preview(book, orders[0], today=today or now().astimezone().date()).body


def content(request: Request) -> bytes:
    """A request as the bytes that a file would have."""
    if isinstance(request, Mapping):
        return answers.text(request).encode()
    return request.encode() if isinstance(request, str) else request
