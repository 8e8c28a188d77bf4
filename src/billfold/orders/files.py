"""Files of requests: what the commands about orders and schedules read, and the answers that they save."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from billfold.errors import BillfoldError
from billfold.orders import answers
from billfold.orders.fields import Keyed
from billfold.orders.parsing import Parsed, T, parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.orders.create import Answer

_STANDARD_INPUT: Final = Path("-")
K = TypeVar("K", bound=Keyed)


@dataclass(frozen=True)
class Asked(Generic[K]):
    """The requests of a file; `several` says that it has one a line."""

    requests: list[Parsed[K]]
    several: bool


def many(path: Path, model: type[K], idempotency_key: str | None = None) -> Asked[K]:
    """Requests of a kind. With a key, each has it as its own; in JSON lines, with the line behind it."""
    found, several = parsed(_content(path), model)
    if idempotency_key:
        keyed = (_with_key(o, f"{idempotency_key}:{o.line}" if several else idempotency_key) for o in found)
        found = list(keyed)
    return Asked(found, several)


def one(path: Path, model: type[T]) -> Parsed[T]:
    """The only request of a file.

    Raises:
        BillfoldError: it has several.
    """
    found, several = parsed(_content(path), model)
    if several or len(found) != 1:
        msg = f"{path} has {len(found)} requests: give one."
        raise BillfoldError(msg)
    return found[0]


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


def save(given: Sequence[Answer], path: Path, done: str) -> None:
    """Save answers as JSON lines, in the order of the requests; `done` is said if they can't be."""
    lines = "".join(f"{answers.text({'line': a.line, **a.body})}\n" for a in given)
    try:
        path.write_text(lines, encoding="utf-8")
    except OSError as e:
        msg = f"{done}, but {path} can't be written: {e.strerror}."
        raise BillfoldError(msg) from e


def _content(path: Path) -> bytes:
    if path == _STANDARD_INPUT:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as e:
        msg = f"{path} can't be read: {e.strerror}."
        raise BillfoldError(msg) from e


def _with_key(asked: Parsed[K], key: str) -> Parsed[K]:
    if asked.request is None or asked.request.idempotencyKey:
        return asked
    return replace(asked, request=asked.request.model_copy(update={"idempotencyKey": key}))
