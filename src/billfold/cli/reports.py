"""`billfold report`: a run, for those who look rather than read."""

from pathlib import Path
from typing import Annotated

import typer

from billfold.cli.common import Run, app, book_folder


@app.command()
def report(
    run_number: Run,
    out: Annotated[Path | None, typer.Option(help="The file to write; default RUN.html.", metavar="FILE")] = None,
    *,
    replay: Annotated[bool, typer.Option("--replay", help="Also make the run again, and compare.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON instead of writing a page.")
    ] = False,
) -> None:
    """Show a run as one HTML file: totals, promises, waterfall, changes, unusual bills, parked accounts."""
    from billfold.book import Book
    from billfold.printing import working
    from billfold.report import paper, report

    if out and as_json:
        raise typer.BadParameter("--json prints the figures and writes no file: leave --out.")
    with Book(book_folder(), read_only=True) as book, working("report") as progress:
        found = report(book, run_number, replay=replay, progress=progress)
    if as_json:
        paper.show_json(found)
    else:
        path = out or Path(f"{run_number}.html")
        paper.save(found, path)
        paper.show_saved(found, path)
    if not found.holds:
        raise typer.Exit(1)
