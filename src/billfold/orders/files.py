"""Files of requests: what the order commands read, and the answers that they save."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from billfold.errors import BillfoldError
from billfold.orders import answers
from billfold.orders.models import CreateOrder, PreviewOrder, UpdateOrderLines
from billfold.orders.parsing import Parsed, T, parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.orders.create import Answer

_STANDARD_INPUT: Final = Path("-")


@dataclass(frozen=True)
class Asked:
    """The orders of a file; `several` says that it has one a line."""

    orders: list[Parsed[CreateOrder]]
    several: bool


def orders(path: Path, idempotency_key: str | None = None) -> Asked:
    """Orders to create. With a key, every order has it as its own; in JSON lines, with the line behind it."""
    found, several = parsed(_content(path), CreateOrder)
    if idempotency_key:
        keyed = (_with_key(o, f"{idempotency_key}:{o.line}" if several else idempotency_key) for o in found)
        found = list(keyed)
    return Asked(found, several)


def preview(path: Path) -> Parsed[PreviewOrder]:
    """One order to preview."""
    found, several = parsed(_content(path), PreviewOrder)
    return _only(path, found, several=several)


def update(path: Path) -> Parsed[UpdateOrderLines]:
    """One update of order lines."""
    found, several = parsed(_content(path), UpdateOrderLines)
    return _only(path, found, several=several)


def check(path: Path) -> None:
    """See that answers can be saved, before anything is done.

    Raises:
        BillfoldError: nothing can be written there.
    """
    try:
        path.open("a").close()
    except OSError as e:
        msg = f"{path} can't be written, so nothing was done: {e.strerror}."
        raise BillfoldError(msg) from e


def save(given: Sequence[Answer], path: Path) -> None:
    """Save answers as JSON lines, in the order of the requests."""
    lines = "".join(f"{answers.text({'line': a.line, **a.body})}\n" for a in given)
    try:
        path.write_text(lines, encoding="utf-8")
    except OSError as e:
        msg = f"The orders are done, but {path} can't be written: {e.strerror}."
        raise BillfoldError(msg) from e


def _content(path: Path) -> bytes:
    if path == _STANDARD_INPUT:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as e:
        msg = f"{path} can't be read: {e.strerror}."
        raise BillfoldError(msg) from e


def _with_key(order: Parsed[CreateOrder], key: str) -> Parsed[CreateOrder]:
    if order.request is None or order.request.idempotencyKey:
        return order
    return replace(order, request=order.request.model_copy(update={"idempotencyKey": key}))


def _only(path: Path, found: list[Parsed[T]], *, several: bool) -> Parsed[T]:
    if several or len(found) != 1:
        msg = f"{path} has {len(found)} requests: give one."
        raise BillfoldError(msg)
    return found[0]
