"""The command line: thin commands that parse, call, and print. Heavy imports wait until a command needs them."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from billfold.cli import analysts, bills, books, documents, explain, orders, reports, rules, schedules
from billfold.cli.common import app, choose
from billfold.errors import BillfoldError

__all__ = [
    "analysts",
    "app",
    "bills",
    "books",
    "documents",
    "explain",
    "main",
    "orders",
    "reports",
    "rules",
    "schedules",
]


_ORDER = (
    "init", "load", "run", "post", "cancel", "retry", "night", "runs", "explain", "report", "render", "replay",
    "verify", "sql", "views", "export", "clean", "migrate",
)  # fmt: skip
"""Commands as a newcomer needs them."""

app.registered_commands.sort(key=lambda c: _ORDER.index(c.callback.__name__ if c.callback else ""))


def _show_version(*, wanted: bool) -> None:
    from billfold import __version__

    if wanted:
        typer.echo(f"billfold {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    book: Annotated[Path, typer.Option(envvar="BILLFOLD_BOOK", help="The book's folder.")] = Path("book"),
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=lambda v: _show_version(wanted=v), is_eager=True, help="Print it.")
    ] = False,
) -> None:
    choose(book)


def _book_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--book DIR` before the command, so that it may stand anywhere."""
    named: list[str] = []
    others = list(arguments)
    for place in range(len(others) - 1, -1, -1):
        if others[place].startswith("--book="):
            named = [others.pop(place), *named]
        elif others[place] == "--book" and place + 1 < len(others):
            named = [others.pop(place), others.pop(place), *named]
    return [*named, *others]


def main() -> NoReturn:
    """Run a command. What is refused ends in one sentence and exit code 1, never in a traceback."""
    try:
        app(_book_first(sys.argv[1:]), prog_name="billfold")
    except BillfoldError as e:
        typer.echo(f"billfold: {e}", err=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as e:
        if os.environ.get("BILLFOLD_DEBUG"):
            raise
        said = " ".join(str(e).split())[:300]
        hint = "BILLFOLD_DEBUG=1 shows where"
        typer.echo(f"billfold: failed unexpectedly ({type(e).__name__}: {said}); {hint}.", err=True)
    sys.exit(1)
