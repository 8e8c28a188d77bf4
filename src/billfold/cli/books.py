"""Commands about the book itself: made, filled, asked, proved, tidied."""

from pathlib import Path
from typing import Annotated

import typer

from billfold.cli.common import AsJson, Format, app, book_folder
from billfold.errors import BookError, InputError


@app.command()
def init(
    catalog: Annotated[
        str | None,
        typer.Option(help="Keep the catalog in PostgreSQL.", metavar="postgresql://USER@HOST:PORT/DATABASE"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="With --catalog: keep the data files there.", metavar="s3://BUCKET/PREFIX|FOLDER"),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="With --catalog: the book's schema in the database; default the folder's name."),
    ] = None,
) -> None:
    """Make an empty book: a folder with everything in it, or one that names a catalog elsewhere."""
    from billfold.book import Book, Place

    if catalog is None and (data or schema):
        msg = "--data and --schema go with --catalog: a book whose catalog is a file is one folder, data and all."
        raise BookError(msg)
    place = None if catalog is None else Place.on_server(book_folder(), catalog, data, schema)
    Book.create(book_folder(), place).close()
    typer.echo(f"Made an empty book in {book_folder()}. Next: billfold load FOLDER")


@app.command()
def migrate() -> None:
    """Bring a book of an older version up to date."""
    from billfold.book import migrate as migrate_book

    done = migrate_book(book_folder())
    typer.echo("\n".join([f"The book in {book_folder()} is up to date.", *done]))


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

    with Book(book_folder()) as book, printing.working("load") as progress:
        try:
            loaded = load_tables(book, sources, progress=progress)
        except InputError as e:
            if errors is not None:
                printing.save_faults(e, errors)
            printing.show_faults(e)
            raise
    printing.show_loaded(loaded, as_json=as_json)


@app.command()
def sql(
    query: str,
    output: Annotated[Format, typer.Option("--format")] = Format.TABLE,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of printing.")] = None,
) -> None:
    """Query the book's tables with DuckDB; the book is not changed."""
    from billfold.book import Book
    from billfold.console import show_rows

    with Book(book_folder(), read_only=True) as book:
        show_rows(book.sql(query), output.value, out)


@app.command()
def verify(
    *,
    brief: Annotated[bool, typer.Option("--brief", help="A line a promise, without the queries.")] = False,
    no_replay: Annotated[bool, typer.Option("--no-replay", help="Don't make every run again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute every promise over the whole book, and print each query with its result."""
    from billfold import proofs
    from billfold.book import Book
    from billfold.printing import working
    from billfold.verify import verify as verify_book

    with Book(book_folder(), read_only=True) as book, working("verify") as progress:
        verdicts = verify_book(book, progress=progress)
        replays = [] if no_replay else proofs.replays(book, progress)
        digest = book.head().digest
    proofs.show_verdicts(verdicts, replays, digest, brief=brief, as_json=as_json)
    if not proofs.hold(verdicts, replays):
        raise typer.Exit(1)


@app.command()
def clean(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; a run that is about to commit fails.")] = False,
    as_json: AsJson = False,
) -> None:
    """List files that a process left when it died before its commit, and with --yes remove them."""
    from billfold import proofs
    from billfold.book import Book, orphans
    from billfold.book import clean as clean_book

    with Book(book_folder()) as book:
        found = clean_book(book) if yes else orphans(book)
    proofs.show_orphans(found, removed=yes, as_json=as_json)
