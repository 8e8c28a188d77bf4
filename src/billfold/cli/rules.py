"""Commands about the rules of a book: settings and grouping."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from billfold.cli.common import DAY, Accounts, AsJson, InvoiceDate, app, book_folder, today

settings_app = typer.Typer(help="The rules that a book's owner chooses by name.", no_args_is_help=True)
grouping_app = typer.Typer(help="Which fields' values decide about documents.", no_args_is_help=True)
app.add_typer(settings_app, name="settings")
app.add_typer(grouping_app, name="grouping")


@settings_app.command("show")
def settings_show(*, as_json: AsJson = False) -> None:
    """Print every setting with its value."""
    from billfold import printing, settings
    from billfold.book import Book

    with Book(book_folder(), read_only=True) as book:
        printing.show_settings(settings.show(book), settings.allowed, as_json=as_json)


@settings_app.command("set")
def settings_set(
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=VALUE ...|FILE.toml")], *, as_json: AsJson = False
) -> None:
    """Change settings, all of those given or none."""
    from billfold import printing, settings
    from billfold.book import Book

    wanted = _wanted(assignments)
    with Book(book_folder()) as book:
        printing.show_settings(settings.change(book, wanted), settings.allowed, as_json=as_json)


def _wanted(assignments: list[str]) -> dict[str, str]:
    """Settings from NAME=VALUE arguments and TOML files; arguments win."""
    from billfold import settings

    files = [a for a in assignments if a.endswith(".toml") and "=" not in a]
    wanted = settings.parse([a for a in assignments if a not in files])
    for file in files:
        wanted = settings.from_toml(Path(file)) | wanted
    return wanted


@grouping_app.command("set")
def grouping_set(file: Path, account: Accounts = None, *, as_json: AsJson = False) -> None:
    """Store a configuration (the settings API's JSON) as the default, or as that of accounts."""
    from billfold import printing
    from billfold.book import Book
    from billfold.configure import configure, show
    from billfold.grouping import from_file

    group = from_file(file)
    with Book(book_folder()) as book:
        configure(book, group, account or ())
        printing.show_grouping(show(book), as_json=as_json)


@grouping_app.command("show")
def grouping_show(*, as_json: AsJson = False) -> None:
    """Print the configurations in use."""
    from billfold import printing
    from billfold.book import Book
    from billfold.configure import show

    with Book(book_folder(), read_only=True) as book:
        printing.show_grouping(show(book), as_json=as_json)


@grouping_app.command("clear")
def grouping_clear(account: Accounts = None, *, as_json: AsJson = False) -> None:
    """Remove the default configuration, or let accounts use the default one again."""
    from billfold import printing
    from billfold.book import Book
    from billfold.configure import clear, show

    with Book(book_folder()) as book:
        clear(book, account or ())
        printing.show_grouping(show(book), as_json=as_json)


class Rows(StrEnum):
    """What a row of a saved comparison is."""

    DOCUMENTS = "documents"
    ACCOUNTS = "accounts"


@grouping_app.command("diff")
def grouping_diff(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Another configuration.")] = None,
    target_date: Annotated[
        datetime | None, typer.Option(**DAY, help="Compare a run now, up to this day, inclusive.")
    ] = None,
    invoice_date: InvoiceDate = None,
    run: Annotated[
        str | None, typer.Option(help="Instead, compare a run that was made, from what it read.", metavar="RUN")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another setting, or FILE.toml; may be repeated.", metavar="NAME=VALUE"),
    ] = None,
    account: Accounts = None,
    for_account: Annotated[
        list[str] | None,
        typer.Option(help="FILE is this account's own, not the default; may be repeated.", metavar="NUMBER"),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="So many accounts that change most.", metavar="N")] = 5,
    out: Annotated[Path | None, typer.Option(help="Save all rows, as .csv, .parquet or .json.", metavar="FILE")] = None,
    rows: Annotated[Rows, typer.Option(help="What a saved row is.")] = Rows.DOCUMENTS,
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Without the configuration that there is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what another grouping or other settings would do to a run; nothing is written to the book."""
    from billfold.book import Book
    from billfold.console import show_rows
    from billfold.grouping import from_file
    from billfold.printing import working
    from billfold.requests import RunRequest
    from billfold.whatif import compare, paper

    if file is None and not set_ and not clear:
        raise typer.BadParameter("say what would be different: FILE, --set NAME=VALUE or --clear.")
    if clear and file:
        raise typer.BadParameter("give FILE or --clear, not both.")
    if for_account and not (file or clear):
        raise typer.BadParameter("--for-account needs FILE or --clear.")
    if out and out.suffix[1:].lower() not in paper.FORMATS:
        raise typer.BadParameter(f"--out {out}: the name must end in .{', .'.join(paper.FORMATS)}.")
    if (target_date is None) == (run is None):
        raise typer.BadParameter("give either --target-date DATE or --run RUN.")
    if run and (account or invoice_date):
        raise typer.BadParameter("--run is compared as it was asked: leave --account and --invoice-date.")
    group, wanted = from_file(file) if file else None, _wanted(set_ or [])
    asked: RunRequest | str = run or ""
    if target_date:
        dated = invoice_date.date() if invoice_date else today()
        asked = RunRequest(target_date=target_date.date(), invoice_date=dated, accounts=tuple(account or ()))
    with Book(book_folder(), read_only=True) as book, working("grouping diff") as progress:
        book.refuse_older()
        found = compare(book, asked, group, settings=wanted, accounts=for_account or (), clear=clear, progress=progress)
    if out:
        show_rows(getattr(found, rows.value), out.suffix[1:].lower(), out)
    paper.show_comparison(found, top=top, as_json=as_json)
