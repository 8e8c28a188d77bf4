"""Commands about the rules of a book: settings and grouping."""

from pathlib import Path
from typing import Annotated

import typer

from billfold.cli.common import Accounts, AsJson, app, book_folder

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

    files = [a for a in assignments if a.endswith(".toml") and "=" not in a]
    wanted = settings.parse([a for a in assignments if a not in files])
    for file in files:
        wanted = settings.from_toml(Path(file)) | wanted
    with Book(book_folder()) as book:
        printing.show_settings(settings.change(book, wanted), settings.allowed, as_json=as_json)


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
