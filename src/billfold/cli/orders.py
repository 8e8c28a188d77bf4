"""Commands about orders: created, previewed, shown, their lines updated."""

from pathlib import Path
from typing import Annotated

import typer

from billfold.cli.common import AsJson, app, book_folder, today

order_app = typer.Typer(help="Orders: subscriptions and goods, as the Orders API takes them.", no_args_is_help=True)
app.add_typer(order_app, name="order")

_FILE = typer.Argument(metavar="FILE", help="The request as JSON, or one a line as JSON lines; - is standard input.")
EXIT_PARTLY = 3


@order_app.command("create")
def order_create(
    file: Annotated[Path, _FILE],
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="Asking again with this key gives the same answer and does nothing.", metavar="KEY"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Save the answers here, one a line as JSON.", metavar="FILE")] = None,
    *,
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing", help="Do nothing if any order of the file can't be done.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Do the orders of a file, and bill those that ask for it; a bad one does not stop the others."""
    from billfold.book import Book
    from billfold.orders import files, paper
    from billfold.orders.create import create
    from billfold.orders.models import CreateOrder
    from billfold.printing import working

    asked = files.many(file, CreateOrder, idempotency_key)
    if out:
        files.check(out)
    with Book(book_folder()) as book, working("order") as progress:
        answers = create(book, asked.requests, all_or_nothing=all_or_nothing, today=today(), progress=progress)
    if out:
        files.save(answers, out, "The orders are done")
    paper.show_created(answers, several=asked.several, as_json=as_json)
    if failed := sum(not a.success for a in answers):
        raise typer.Exit(1 if failed == len(answers) else EXIT_PARTLY)


@order_app.command("preview")
def order_preview(file: Annotated[Path, _FILE], *, as_json: AsJson = False) -> None:
    """Show the documents that creating an order would give; nothing is written."""
    from billfold.book import Book
    from billfold.orders import files, paper
    from billfold.orders.models import PreviewOrder
    from billfold.orders.previews import preview

    asked = files.one(file, PreviewOrder)
    with Book(book_folder(), read_only=True) as book:
        book.refuse_older()
        previewed = preview(book, asked, today=today())
    paper.show_preview(previewed, as_json=as_json)
    if not previewed.body["success"]:
        raise typer.Exit(1)


@order_app.command("update")
def order_update(file: Annotated[Path, _FILE], *, as_json: AsJson = False) -> None:
    """Change order lines, all of the file or none, and bill them if that is asked for."""
    from billfold.book import Book
    from billfold.orders import files, paper
    from billfold.orders.models import UpdateOrderLines
    from billfold.orders.update import update

    asked = files.one(file, UpdateOrderLines)
    with Book(book_folder()) as book:
        body = update(book, asked, today=today())
    paper.show_updated(body, as_json=as_json)
    if not body["success"]:
        raise typer.Exit(1)


@order_app.command("show")
def order_show(number: Annotated[str, typer.Argument(metavar="ORDER")], *, as_json: AsJson = False) -> None:
    """Show an order: what it did to subscriptions, and its lines as they are now."""
    from billfold.book import Book
    from billfold.orders import paper
    from billfold.orders.show import show

    with Book(book_folder(), read_only=True) as book:
        book.refuse_older()
        paper.show_order(show(book, number), as_json=as_json)
