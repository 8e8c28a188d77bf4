"""Invoice schedules from Python: a request as a mapping or as JSON text, the response as a mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from billfold.book import State
from billfold.orders.api import content
from billfold.orders.parsing import parsed
from billfold.schedules import answers
from billfold.schedules.create import create, stored
from billfold.schedules.execute import execute
from billfold.schedules.models import CreateSchedule, ExecuteSchedule, UpdateSchedule
from billfold.schedules.update import update

if TYPE_CHECKING:
    from billfold.book import Book
    from billfold.orders.api import Request


def create_schedule(book: Book, request: Request) -> dict[str, Any]:
    """Make one schedule; returns the API's response, or an error body.

    Amounts in the request should be text, int or Decimal: a float is taken as it prints.

    Raises:
        ConflictError: other commits came first again and again.
        BillfoldError: the book can't be read or written.
    """
    asked, _ = parsed(content(request), CreateSchedule)
    return create(book, asked)[0].body


def update_schedule(book: Book, schedule: str, request: Request) -> dict[str, Any]:
    """Give a schedule, called by its number or id, other values; what the request does not name stays."""
    asked, _ = parsed(content(request), UpdateSchedule)
    return update(book, schedule, asked[0])


def execute_schedule(
    book: Book, schedule: str, request: Request | None = None, *, post: bool = False
) -> dict[str, Any]:
    """Bill a schedule's next item now, whenever it is due; the request may name the item."""
    asked, _ = parsed(content(request or {}), ExecuteSchedule)
    if asked[0].request is None:
        return answers.failure(asked[0].reasons)
    return execute(book, schedule, asked[0].request.scheduleItemId, post=post).body


def show_schedule(
    book: Book, schedule: str, *, page: int | None = None, page_size: int | None = None
) -> dict[str, Any]:
    """A schedule with its items as they are now: all of them, or one page."""
    return answers.body(*stored(State.of(book), schedule), page=page, page_size=page_size)
