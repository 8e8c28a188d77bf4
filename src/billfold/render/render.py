"""Invoices and credit memos as PDF files: chosen, put into data, set, and each written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from billfold.errors import BillfoldError
from billfold.files import make_folder, write_whole
from billfold.receipt import Progress, silent
from billfold.render.engine import Engine
from billfold.render.model import model
from billfold.render.papers import Papers, Wanted, papers
from billfold.render.style import Style, style_of
from billfold.render.templates import Templates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from billfold.book import Book

_PDF: Final = ".pdf"


@dataclass(frozen=True)
class Rendered:
    """What became of one document: a file with its SHA-256, or why there is none."""

    document_id: str
    document_number: str
    kind: str
    file: Path
    sha256: str | None = None
    size: int = 0
    warnings: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class _Press:
    """Everything that one document needs to become a file."""

    papers: Papers
    files: Sequence[Path]
    style: Style
    templates: Templates
    engine: Engine

    def printed(self, place: int) -> Rendered:
        """The document at a place becomes a file; what is wrong with it alone does not stop the others."""
        paper = self.papers.paper(place)
        header, file = paper.header, self.files[place]
        of_it = header["document_id"], header["document_number"], paper.kind, file
        try:
            template = self.templates.find(header["invoice_template"])
            made = self.engine.typeset(template, model(paper, self.style), header["document_date"])
            write_whole(file, made.content)
        except BillfoldError as e:
            return Rendered(*of_it, error=str(e).removesuffix("."))
        return Rendered(*of_it, hashlib.sha256(made.content).hexdigest(), len(made.content), made.warnings)


def render(  # noqa: PLR0913 - one argument for each thing that a person can choose
    book: Book,
    wanted: Wanted,
    out: Path | None = None,
    *,
    templates: Path | None = None,
    font_folders: Sequence[Path] = (),
    workers: int | None = None,
    progress: Progress = silent,
) -> list[Rendered]:
    """Write each wanted document as a PDF file; the same document gives the same bytes, however many `workers`.

    `out` is a folder, made if need be, or for a single document a file that ends in .pdf; by default the present
    folder. A document that can't be set has an `error` and no file; all others are written.

    Raises:
        BillfoldError: nothing matches, the folder can't be written, the templates' folder is faulty, typst is missing.
    """
    progress("reading", 0.0)
    found = Templates.of(book, templates)
    engine = Engine(found.folder, font_folders)
    chosen = papers(book, wanted)
    press = _Press(chosen, _files(chosen, out), style_of(found.folder), found, engine)
    return list(_all(press, workers or os.cpu_count() or 1, progress))


def data_of(book: Book, document: str, *, templates: Path | None = None) -> dict[str, Any]:
    """What a template gets for one document, by id or number.

    Raises:
        BillfoldError: there is no such document, or the templates' folder is faulty.
    """
    paper = papers(book, Wanted((document,))).paper(0)
    return model(paper, style_of(Templates.of(book, templates).folder))


def _all(press: _Press, workers: int, progress: Progress) -> Iterator[Rendered]:
    """Every document, in order. Typst works outside of Python's lock, so threads use all cores."""
    count = press.papers.headers.height
    with ThreadPoolExecutor(workers) as pool:
        try:
            for done, rendered in enumerate(pool.map(press.printed, range(count))):
                progress("setting documents", done / count)
                yield rendered
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _files(chosen: Papers, out: Path | None) -> list[Path]:
    """Where each document goes. The folder is there afterwards, and can be written.

    Raises:
        BillfoldError: it can't, or several documents would go to one file.
    """
    headers = chosen.headers
    if out is not None and out.suffix.lower() == _PDF and not out.is_dir():
        if headers.height > 1:
            msg = f"{headers.height} documents don't go into the one file {out}: give a folder with --out."
            raise BillfoldError(msg)
        make_folder(out.parent)
        return [out]
    folder = out or Path()
    make_folder(folder)
    return [folder / f"{name}{_PDF}" for name in _names(headers.iter_rows(named=True))]


def _names(headers: Iterator[Mapping[str, Any]]) -> list[str]:
    """Files are called by the number of a final document, and by the id of a draft, whose number will change.

    Numbers that differ in nothing but capitals would be one file on some systems.
    """
    rows = [(h["document_id"], h["document_number"], h["status"]) for h in headers]
    often = Counter(number.lower() for _, number, _ in rows)
    return [n if status == "Posted" and often[n.lower()] == 1 else i for i, n, status in rows]
