"""Files of requests: what the schedule commands read, and the answers that they save."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from billfold.errors import BillfoldError
from billfold.orders import answers
from billfold.orders.files import _content, _only, check
from billfold.orders.parsing import Parsed, parsed
from billfold.schedules.models import AttachDetach, CreateSchedule, ExecuteSchedule, UpdateSchedule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from billfold.orders.create import Answer

__all__ = ["Asked", "charges", "check", "execution", "save", "schedules", "update"]


@dataclass(frozen=True)
class Asked:
    """The schedules of a file; `several` says that it has one a line."""

    schedules: list[Parsed[CreateSchedule]]
    several: bool


def schedules(path: Path, idempotency_key: str | None = None) -> Asked:
    """Schedules to create. With a key, every one has it as its own; in JSON lines, with the line behind it."""
    found, several = parsed(_content(path), CreateSchedule)
    if idempotency_key:
        keyed = (_with_key(s, f"{idempotency_key}:{s.line}" if several else idempotency_key) for s in found)
        found = list(keyed)
    return Asked(found, several)


def update(path: Path) -> Parsed[UpdateSchedule]:
    """One update of a schedule."""
    found, several = parsed(_content(path), UpdateSchedule)
    return _only(path, found, several=several)


def execution(path: Path) -> Parsed[ExecuteSchedule]:
    """One wish to bill a schedule now."""
    found, several = parsed(_content(path), ExecuteSchedule)
    return _only(path, found, several=several)


def charges(path: Path) -> Parsed[AttachDetach]:
    """The charges to attach or to detach."""
    found, several = parsed(_content(path), AttachDetach)
    return _only(path, found, several=several)


def save(given: Sequence[Answer], path: Path) -> None:
    """Save answers as JSON lines, in the order of the requests."""
    lines = "".join(f"{answers.text({'line': a.line, **a.body})}\n" for a in given)
    try:
        path.write_text(lines, encoding="utf-8")
    except OSError as e:
        msg = f"The schedules are made, but {path} can't be written: {e.strerror}."
        raise BillfoldError(msg) from e


def _with_key(asked: Parsed[CreateSchedule], key: str) -> Parsed[CreateSchedule]:
    if asked.request is None or asked.request.idempotencyKey:
        return asked
    return replace(asked, request=asked.request.model_copy(update={"idempotencyKey": key}))
