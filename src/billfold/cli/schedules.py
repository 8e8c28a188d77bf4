"""Commands about invoice schedules: created, shown, listed, updated, executed, paused, attached, deleted, checked."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from billfold.cli.common import EXIT_PARKED, AsJson, Post, app, book_folder

schedule_app = typer.Typer(help="Invoice schedules: chosen amounts on chosen dates.", no_args_is_help=True)
app.add_typer(schedule_app, name="schedule")

EXIT_PARTLY = 3
EXIT_FOUND = 3
_MOST_ON_PAGE = 40

_FILE = typer.Argument(metavar="FILE", help="The request as JSON; - is standard input.")
Number = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's number or id.")]
File = Annotated[Path, _FILE]


class Status(StrEnum):
    """Statuses of schedules, as Zuora spells them."""

    PENDING = "Pending"
    PARTIALLY_PROCESSED = "PartiallyProcessed"
    PAUSED = "Paused"
    FULLY_PROCESSED = "FullyProcessed"


@schedule_app.command("create")
def schedule_create(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The request as JSON, or one a line as JSON lines; - is standard input."),
    ],
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="Asking again with this key gives the same answer and does nothing.", metavar="KEY"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Save the answers here, one a line as JSON.", metavar="FILE")] = None,
    *,
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing", help="Make nothing if any schedule of the file can't be made.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the schedules of a file; a bad one does not stop the others."""
    from billfold.book import Book
    from billfold.orders import files
    from billfold.printing import working
    from billfold.schedules import paper
    from billfold.schedules.create import create
    from billfold.schedules.models import CreateSchedule

    asked = files.many(file, CreateSchedule, idempotency_key)
    if out:
        files.check(out)
    with Book(book_folder()) as book, working("schedule") as progress:
        answers = create(book, asked.requests, all_or_nothing=all_or_nothing, progress=progress)
    if out:
        files.save(answers, out, "The schedules are made")
    paper.show_created(answers, several=asked.several, as_json=as_json)
    if failed := sum(not a.success for a in answers):
        raise typer.Exit(1 if failed == len(answers) else EXIT_PARTLY)


@schedule_app.command("show")
def schedule_show(
    number: Number,
    page: Annotated[int | None, typer.Option(min=1, help="Only this page of the items.", metavar="PAGE")] = None,
    page_size: Annotated[
        int | None, typer.Option(min=1, max=_MOST_ON_PAGE, help="Items on a page; default 20.", metavar="SIZE")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show a schedule and its items as they are now."""
    from billfold.book import Book, State
    from billfold.schedules import answers, paper
    from billfold.schedules.create import stored

    with Book(book_folder(), read_only=True) as book:
        book.refuse_older()
        schedule, items = stored(State.of(book), number)
    paper.show_schedule(answers.body(schedule, items, page=page, page_size=page_size), as_json=as_json)


@schedule_app.command("list")
def schedule_list(
    account: Annotated[str | None, typer.Option(help="Only of this account.", metavar="NUMBER")] = None,
    status: Annotated[
        Status | None, typer.Option(case_sensitive=False, help="Only in this status.", metavar="STATUS")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List schedules and where their money stands."""
    from billfold.book import Book, State
    from billfold.schedules import paper
    from billfold.schedules.create import listed

    with Book(book_folder(), read_only=True) as book:
        book.refuse_older()
        found = listed(State.of(book), account, status.value if status else None)
    paper.show_listed(found, as_json=as_json)


@schedule_app.command("update")
def schedule_update(number: Number, file: File, *, as_json: AsJson = False) -> None:
    """Give a schedule other items, orders, notes or dates."""
    from billfold.book import Book
    from billfold.orders import files
    from billfold.schedules import paper
    from billfold.schedules.models import UpdateSchedule
    from billfold.schedules.update import update

    asked = files.one(file, UpdateSchedule)
    with Book(book_folder()) as book:
        body = update(book, number, asked)
    paper.show_schedule(body, as_json=as_json)
    _end(body)


@schedule_app.command("execute")
def schedule_execute(
    number: Number,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The request as JSON, if there is one; - is standard input.")
    ] = None,
    item: Annotated[str | None, typer.Option(help="The item to bill: the next pending one.", metavar="ID")] = None,
    *,
    post: Post = False,
    as_json: AsJson = False,
) -> None:
    """Bill the next item now, whenever it is due; with nothing pending, credits that are due."""
    from billfold.book import Book
    from billfold.orders import files
    from billfold.printing import working
    from billfold.schedules import paper
    from billfold.schedules.answers import failure
    from billfold.schedules.execute import execute
    from billfold.schedules.models import ExecuteSchedule

    if file and item:
        raise typer.BadParameter("give FILE or --item, not both.")
    asked = files.one(file, ExecuteSchedule) if file else None
    if asked and asked.request is None:
        body = failure(asked.reasons)
        paper.show_executed(body, None, as_json=as_json)
        _end(body)
    wanted = asked.request.scheduleItemId if asked and asked.request else item
    with Book(book_folder()) as book, working("schedule") as progress:
        done = execute(book, number, wanted, post=post, progress=progress)
    paper.show_executed(done.body, done.receipt, as_json=as_json)
    _end(done.body)
    if done.receipt and done.receipt.documents.parked_accounts.height:
        raise typer.Exit(EXIT_PARKED)


@schedule_app.command("pause")
def schedule_pause(number: Number, *, as_json: AsJson = False) -> None:
    """Keep a schedule from being executed until it is resumed."""
    from billfold.book import Book
    from billfold.schedules import paper
    from billfold.schedules.update import pause

    with Book(book_folder()) as book:
        body = pause(book, number)
    paper.show_done(body, f"{number} is paused.", as_json=as_json)
    _end(body)


@schedule_app.command("resume")
def schedule_resume(number: Number, *, as_json: AsJson = False) -> None:
    """Take a pause away again."""
    from billfold.book import Book
    from billfold.schedules import paper
    from billfold.schedules.update import resume

    with Book(book_folder()) as book:
        body = resume(book, number)
    paper.show_done(body, f"{number} is resumed.", as_json=as_json)
    _end(body)


@schedule_app.command("attach")
def schedule_attach(number: Number, file: File, *, as_json: AsJson = False) -> None:
    """Take charges that were detached back into their schedule."""
    from billfold.book import Book
    from billfold.orders import files
    from billfold.schedules import paper
    from billfold.schedules.attach import attach
    from billfold.schedules.models import AttachDetach

    asked = files.one(file, AttachDetach)
    with Book(book_folder()) as book:
        body = attach(book, number, asked)
    paper.show_done(body, f"The charges are attached to {number}: it bills them again.", as_json=as_json)
    _end(body)


@schedule_app.command("detach")
def schedule_detach(number: Number, file: File, *, as_json: AsJson = False) -> None:
    """Give charges of a schedule back to bill runs."""
    from billfold.book import Book
    from billfold.orders import files
    from billfold.schedules import paper
    from billfold.schedules.attach import detach
    from billfold.schedules.models import AttachDetach

    asked = files.one(file, AttachDetach)
    with Book(book_folder()) as book:
        body = detach(book, number, asked)
    paper.show_done(body, f"The charges are detached from {number}: bill runs bill them by period.", as_json=as_json)
    _end(body)


@schedule_app.command("delete")
def schedule_delete(number: Number, *, as_json: AsJson = False) -> None:
    """Delete a schedule that has billed nothing: its charges are billed by period again."""
    from billfold.book import Book
    from billfold.schedules import paper
    from billfold.schedules.update import delete

    with Book(book_folder()) as book:
        body = delete(book, number)
    paper.show_done(body, f"{number} is deleted: its charges are billed by period again.", as_json=as_json)
    _end(body)


@schedule_app.command("check")
def schedule_check(*, as_json: AsJson = False) -> None:
    """Tell which schedules can't be billed, since their charges have drifted apart."""
    from billfold.book import Book
    from billfold.schedules import paper
    from billfold.schedules.check import check

    with Book(book_folder(), read_only=True) as book:
        book.refuse_older()
        found = check(book)
    paper.show_checked(found, as_json=as_json)
    if found.height:
        raise typer.Exit(EXIT_FOUND)


def _end(body: dict[str, Any]) -> None:
    """A refusal ends the command with 1."""
    if not body["success"]:
        raise typer.Exit(1)
