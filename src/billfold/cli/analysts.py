"""Commands for analysts: the book as plain files, and its views."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from billfold.cli.common import AsJson, app, book_folder


class PartitionBy(StrEnum):
    """What parts the files of documents and items."""

    RUN = "run"
    MONTH = "month"
    NONE = "none"


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A folder that is new or empty.", metavar="FOLDER")],
    table: Annotated[
        list[str] | None, typer.Option(help="Only this table or view; may be repeated.", metavar="NAME")
    ] = None,
    snapshot: Annotated[
        int | None, typer.Option(min=0, help="The book as it was in this snapshot; default the newest.", metavar="N")
    ] = None,
    run_number: Annotated[
        str | None, typer.Option("--run", help="The book as this run left it.", metavar="RUN")
    ] = None,
    partition_by: Annotated[
        PartitionBy,
        typer.Option(help="What parts the files of documents and items: run, month (of the document), none."),
    ] = PartitionBy.RUN,
    *,
    views: Annotated[bool, typer.Option("--views", help="All views as well.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="An earlier export in the folder goes.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: see that an export's files are as its manifest says.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the book as plain Parquet files with a manifest, for tools that know no DuckLake."""
    from billfold import analysts
    from billfold import export as exports
    from billfold.book import Book
    from billfold.printing import working

    if check:
        if table or snapshot is not None or run_number or views or replace:
            raise typer.BadParameter("--check looks at what is there: it goes with FOLDER alone.")
        faults = exports.check(folder)
        analysts.show_checked(folder, faults, as_json=as_json)
        raise typer.Exit(1 if faults else 0)
    if run_number and snapshot is not None:
        raise typer.BadParameter("give --snapshot or --run, not both.")
    with Book(book_folder(), read_only=True) as book, working("export") as progress:
        book.refuse_older()
        manifest = exports.export(
            book, folder, tables=table or (), views=views, partition_by=partition_by.value, replace=replace,
            snapshot_id=exports.snapshot_of(book, run_number) if run_number else snapshot, progress=progress,
        )  # fmt: skip
    analysts.show_exported(folder, manifest, as_json=as_json)


@app.command()
def views(
    view: Annotated[str | None, typer.Argument(help="One of them: what its columns mean.", metavar="VIEW")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the views that every book has for analysts, or the columns of one."""
    from billfold import analysts
    from billfold.book.views import view_of
    from billfold.book.views import views as all_views

    if view is None:
        analysts.show_views(all_views(), as_json=as_json)
    else:
        analysts.show_view(view_of(view), as_json=as_json)
