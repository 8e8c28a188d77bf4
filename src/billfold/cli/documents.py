"""`billfold render`: documents to send."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billfold.cli.common import Accounts, AsJson, app, book_folder
from billfold.errors import BillfoldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.render import Rendered

_LISTED = 20
_RATE_FROM = 1_000

Folder = Annotated[
    Path | None,
    typer.Option(help="Templates and sender.toml; by default the folder templates of the book.", metavar="FOLDER"),
]


@app.command()
def render(
    document: Annotated[
        list[str] | None, typer.Argument(help="Invoices and credit memos, by number or id.", metavar="DOCUMENT")
    ] = None,
    run: Annotated[str | None, typer.Option(help="All documents of this run; needs --out.", metavar="RUN")] = None,
    account: Accounts = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only Draft, Posted or Canceled ones; may be repeated.", metavar="STATUS")
    ] = None,
    *,
    pdf: Annotated[
        bool, typer.Option("--pdf/--data", help="Write PDF files, or print the JSON that a template gets.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="A folder, or for one document a file that ends in .pdf.", metavar="PATH")
    ] = None,
    templates: Folder = None,
    font_path: Annotated[
        list[Path] | None, typer.Option(help="A folder of further fonts; may be repeated.", metavar="FOLDER")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; as many as processors by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make documents that people can send: invoices and credit memos as PDF files."""
    from billfold.book import Book
    from billfold.console import print_json
    from billfold.printing import working
    from billfold.render import Wanted, data_of
    from billfold.render import render as render_documents

    named = tuple(document or ())
    _refuse_unclear(named, run, out)
    if named and (account or status):
        raise typer.BadParameter("--account and --status narrow a --run, not documents that are named.")
    if not pdf and (len(named) != 1 or out or font_path or workers):
        raise typer.BadParameter("--data prints the data of one document, which is named; no file is made.")
    wanted = Wanted(named, run, tuple(account or ()), tuple(_statuses(status or ())))
    started = time.monotonic()
    with Book(book_folder(), read_only=True) as book, working("render") as progress:
        if not pdf:
            print_json(data_of(book, named[0], templates=templates))
            return
        made = render_documents(
            book, wanted, out, templates=templates, font_folders=font_path or (), workers=workers, progress=progress
        )
    failed = [r for r in made if r.error]
    if as_json:
        print_json(_document(made))
    else:
        _show(made, time.monotonic() - started)
    if failed:
        raise BillfoldError(_sentence(made, failed))


def _refuse_unclear(named: tuple[str, ...], run: str | None, out: Path | None) -> None:
    """Refuse a command line that names no documents, or two ways, or nowhere to put a run's."""
    if bool(named) == (run is not None):
        raise typer.BadParameter("name documents, or give a run with --run: one of both.")
    if run is not None and out is None:
        raise typer.BadParameter("--run needs a folder for its documents: --out FOLDER.")


def _statuses(given: "Sequence[str]") -> list[str]:
    """Statuses as the book spells them."""
    known = {s.lower(): s for s in ("Draft", "Posted", "Canceled")}
    for status in given:
        if status.lower() not in known:
            raise typer.BadParameter(f"--status can't be {status!r}: it is one of {', '.join(known.values())}.")
    return [known[s.lower()] for s in given]


def _document(made: "Sequence[Rendered]") -> dict[str, object]:
    """The files and the failures, for programs."""
    files = [
        {"document_id": r.document_id, "document_number": r.document_number, "kind": r.kind, "file": r.file.as_posix(),
         "sha256": r.sha256, "bytes": r.size, "warnings": list(r.warnings)}
        for r in made if not r.error
    ]  # fmt: skip
    failed = [
        {"document_id": r.document_id, "document_number": r.document_number, "error": r.error} for r in made if r.error
    ]
    return {"files": files, "failed": failed}


def _show(made: "Sequence[Rendered]", seconds: float) -> None:
    """The files, or how many there are; then what is not as it should be, each once."""
    from billfold.console import print_text

    written = [r for r in made if not r.error]
    if len(written) <= _LISTED:
        for r in written:
            print_text(r.file.as_posix())
    else:
        rate = (
            f" in {seconds:.0f} s ({60 * len(written) / seconds:,.0f} a minute)" if len(written) >= _RATE_FROM else ""
        )
        print_text(f"{len(written):,} documents in {written[0].file.parent.as_posix()}{rate}")
    _show_troubles("note on", [(r.document_number, w) for r in written for w in r.warnings])
    if len(made) > 1:
        _show_troubles("not made:", [(r.document_number, r.error) for r in made if r.error])


def _show_troubles(title: str, troubles: "Sequence[tuple[str, str]]") -> None:
    """Sentences with the first document that each is about, and how many more, on standard error."""
    about: dict[str, list[str]] = {}
    for number, said in troubles:
        about.setdefault(said, []).append(number)
    for said, numbers in list(about.items())[:_LISTED]:
        more = f" and {len(numbers) - 1:,} more" if len(numbers) > 1 else ""
        typer.echo(f"{title} {numbers[0]}{more}: {said}.", err=True)
    if len(about) > _LISTED:
        typer.echo(f"… and {len(about) - _LISTED:,} more sentences; --json has all.", err=True)


def _sentence(made: "Sequence[Rendered]", failed: "Sequence[Rendered]") -> str:
    """What is said last when some documents could not be made."""
    if len(made) == 1:
        return f"{failed[0].document_number} was not made: {failed[0].error}."
    return f"{len(failed):,} of {len(made):,} documents were not made; the others are whole."
