"""The command line: thin commands that parse, call, and print. Heavy imports wait until a command needs them."""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from billfold.errors import BillfoldError, InputError

app = typer.Typer(
    help="Batch bill runs on dataframes: subscriptions, charges and order lines in, grouped invoices out.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
settings_app = typer.Typer(help="The rules that a book's owner chooses by name.", no_args_is_help=True)
grouping_app = typer.Typer(help="Which fields' values decide about documents.", no_args_is_help=True)
app.add_typer(settings_app, name="settings")
app.add_typer(grouping_app, name="grouping")


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class Executor(StrEnum):
    """Where a run computes; so far only in this process, on all its cores."""

    LOCAL = "local"


class ChargeType(StrEnum):
    """Charge types, as Zuora spells them."""

    ONE_TIME = "OneTime"
    RECURRING = "Recurring"
    USAGE = "Usage"


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Accounts = Annotated[list[str] | None, typer.Option("--account", help="An account; may be repeated.", metavar="NUMBER")]
DAY: dict[str, Any] = {"formats": ["%Y-%m-%d"], "metavar": "DATE"}
TargetDate = Annotated[datetime, typer.Option(**DAY, help="Bill everything owed up to this day, inclusive.")]
InvoiceDate = Annotated[
    datetime | None, typer.Option(**DAY, help="The date on the documents, from which terms count; default today.")
]
Batches = Annotated[
    list[str] | None, typer.Option(help="Only accounts of this batch; may be repeated.", metavar="BATCH")
]
CycleDay = Annotated[str | None, typer.Option(help="Only accounts with this day: 1 to 31, or AsRunDay.", metavar="DAY")]
ChargeTypes = Annotated[
    list[ChargeType] | None,
    typer.Option(help="OneTime, Recurring or Usage: leave them for another run; at most two.", metavar="TYPE"),
]
EXIT_PARKED = 3

_book = Path("book")


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
    globals()["_book"] = book


@app.command()
def init() -> None:
    """Make an empty book."""
    from billfold.book import Book

    Book.create(_book).close()
    typer.echo(f"Made an empty book in {_book}. Next: billfold load FOLDER")


@app.command()
def migrate() -> None:
    """Bring a book of an older version up to date."""
    from billfold.book import migrate as migrate_book

    done = migrate_book(_book)
    typer.echo("\n".join([f"The book in {_book} is up to date.", *done]))


@app.command()
def load(
    sources: Annotated[list[str], typer.Argument(help="Folders, or table=FILE.", metavar="FOLDER|TABLE=FILE")],
    errors: Annotated[Path | None, typer.Option(help="Save every refused row to this CSV file.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check input tables and upsert them by key, all or nothing."""
    from billfold import printing
    from billfold.book import Book
    from billfold.intake import load as load_tables

    with Book(_book) as book, printing.working("load") as progress:
        try:
            loaded = load_tables(book, sources, progress=progress)
        except InputError as e:
            if errors is not None:
                printing.save_faults(e, errors)
            printing.show_faults(e)
            raise
    printing.show_loaded(loaded, as_json=as_json)


@app.command()
def run(
    target_date: TargetDate,
    invoice_date: InvoiceDate = None,
    account: Accounts = None,
    batch: Batches = None,
    bill_cycle_day: CycleDay = None,
    exclude_charge_type: ChargeTypes = None,
    *,
    no_subscriptions: Annotated[bool, typer.Option("--no-subscriptions", help="Leave all charges.")] = False,
    no_order_line_items: Annotated[bool, typer.Option("--no-order-line-items", help="Leave order lines.")] = False,
    post: Annotated[bool, typer.Option("--post", help="Make the documents final at once.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the same documents, write nothing.")] = False,
    _executor: Annotated[Executor, typer.Option("--executor", help="Where the run computes.")] = Executor.LOCAL,
    as_json: AsJson = False,
) -> None:
    """Bill everything owed up to the target date."""
    from billfold import printing
    from billfold.book import Book
    from billfold.requests import RunRequest, cycle_days
    from billfold.run import bill, preview

    excluded = tuple(dict.fromkeys(exclude_charge_type or ()))
    if len(excluded) == len(ChargeType) or (no_subscriptions and no_order_line_items):
        raise typer.BadParameter("that leaves nothing to bill.")
    today = datetime.now(UTC).astimezone().date()
    try:
        days = cycle_days(bill_cycle_day, today)
    except BillfoldError as e:
        raise typer.BadParameter(str(e)) from e
    request = RunRequest(
        target_date=target_date.date(), invoice_date=invoice_date.date() if invoice_date else today,
        accounts=tuple(account or ()), batches=tuple(batch or ()), bill_cycle_days=days,
        excluded_charge_types=tuple(t.value for t in excluded), subscriptions=not no_subscriptions,
        order_line_items=not no_order_line_items,
    )  # fmt: skip
    with Book(_book) as book, printing.working("run") as progress:
        if dry_run:
            receipt = preview(book, request, progress=progress)
        else:
            receipt = bill(book, request, post=post, progress=progress)
    printing.show_run(receipt, request, _book, dry_run=dry_run, as_json=as_json)
    if receipt.committed and receipt.documents.parked_accounts.height:
        raise typer.Exit(EXIT_PARKED)


@app.command()
def post(run_number: Annotated[str, typer.Argument(metavar="RUN")], *, as_json: AsJson = False) -> None:
    """Make a run's drafts final: numbers without gaps, and due dates."""
    from billfold import printing
    from billfold.book import Book
    from billfold.lifecycle import post as post_run

    with Book(_book) as book:
        receipt = post_run(book, run_number)
    printing.show_posted(receipt, as_json=as_json)


@app.command()
def cancel(run_number: Annotated[str, typer.Argument(metavar="RUN")], *, as_json: AsJson = False) -> None:
    """Cancel a run of drafts: what it billed becomes billable again."""
    from billfold import printing
    from billfold.book import Book
    from billfold.lifecycle import cancel as cancel_run

    with Book(_book) as book:
        cancel_run(book, run_number)
    printing.show_canceled(run_number, as_json=as_json)


@app.command()
def runs(run_number: Annotated[str | None, typer.Argument(metavar="RUN")] = None, *, as_json: AsJson = False) -> None:
    """List the bill runs, or show one."""
    from billfold import printing
    from billfold.book import Book
    from billfold.lifecycle import runs as stored_runs

    with Book(_book, read_only=True) as book:
        if run_number is None:
            printing.show_runs(stored_runs(book), as_json=as_json)
        else:
            parked = book.read("parked_accounts").filter(bill_run_number=run_number).collect()
            printing.show_one_run(stored_runs(book, run_number), parked, as_json=as_json)


@app.command()
def sql(
    query: str,
    output: Annotated[Format, typer.Option("--format")] = Format.TABLE,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of printing.")] = None,
) -> None:
    """Query the book's tables with DuckDB; the book is not changed."""
    from billfold.book import Book
    from billfold.console import show_rows

    with Book(_book, read_only=True) as book:
        show_rows(book.sql(query), output.value, out)


@settings_app.command("show")
def settings_show(*, as_json: AsJson = False) -> None:
    """Print every setting with its value."""
    from billfold import printing, settings
    from billfold.book import Book

    with Book(_book, read_only=True) as book:
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
    with Book(_book) as book:
        printing.show_settings(settings.change(book, wanted), settings.allowed, as_json=as_json)


@grouping_app.command("set")
def grouping_set(file: Path, account: Accounts = None, *, as_json: AsJson = False) -> None:
    """Store a configuration (the settings API's JSON) as the default, or as that of accounts."""
    from billfold import printing
    from billfold.book import Book
    from billfold.configure import configure, show
    from billfold.grouping import from_file

    group = from_file(file)
    with Book(_book) as book:
        configure(book, group, account or ())
        printing.show_grouping(show(book), as_json=as_json)


@grouping_app.command("show")
def grouping_show(*, as_json: AsJson = False) -> None:
    """Print the configurations in use."""
    from billfold import printing
    from billfold.book import Book
    from billfold.configure import show

    with Book(_book, read_only=True) as book:
        printing.show_grouping(show(book), as_json=as_json)


@grouping_app.command("clear")
def grouping_clear(account: Accounts = None, *, as_json: AsJson = False) -> None:
    """Remove the default configuration, or let accounts use the default one again."""
    from billfold import printing
    from billfold.book import Book
    from billfold.configure import clear, show

    with Book(_book) as book:
        clear(book, account or ())
        printing.show_grouping(show(book), as_json=as_json)


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
