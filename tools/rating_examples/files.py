"""The files: a folder for every case, and the list of all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from make_examples import said, write_csv, write_json
from pydantic import TypeAdapter

from rating_examples.case import Book, Case, Row, Tables
from rating_examples.encode import encode, encoded
from rating_examples.status import status

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES: Final = Path(__file__).parents[2] / "data" / "rating_examples"


def about(case: Case) -> Row:
    """Where a case comes from."""
    return {
        "id": case.id,
        "area": case.area,
        "kind": case.kind,
        "tier": case.tier,
        "origin": case.origin,
        "source_url": case.source_url,
    }


def write_case(case: Case, folder: Path) -> None:
    """Write the tables of every step once, and what is set, run and expected."""
    loaded: list[Tables] = []
    books = [book_of(book, loaded) for book in encode(case)]
    for n, one in enumerate(loaded):
        place = folder / folder_of(n, loaded)
        place.mkdir(parents=True, exist_ok=True)
        for table, rows in one.items():
            write_csv(rows, place / f"{table}.csv")
    for book in books:
        for step in book["steps"]:
            if "load" in step:
                step["load"] = folder_of(step["load"], loaded)
    remarks = {"assumed": case.assumed or None, "encoded": encoded(case)}
    notes = {"note": case.note or None, "doc_issue": case.doc_issue or None}
    flags = {"periods_recomputed": case.periods_recomputed or None}
    write_json(about(case) | {"books": books} | said(remarks | notes | flags), folder / "expected.json")


def folder_of(n: int, loaded: Sequence[Tables]) -> str:
    """A case with one set of tables has them beside its expected.json; others number them."""
    return "." if len(loaded) == 1 else str(n + 1)


def book_of(book: Book, loaded: list[Tables]) -> Row:
    """A book with its steps; `load` is the number of a set of tables."""
    steps = []
    for step in book.steps:
        rows = {name: table for name, table in step.tables.items() if table}
        if rows and rows not in loaded:
            loaded.append(rows)
        asked = {"target_date": step.target, "invoice_date": step.target, **step.asked}
        steps.append(({"load": loaded.index(rows)} if rows else {}) | {"run": asked} | step.outcome)
    return {"name": book.name} | ({"settings": book.settings} if book.settings else {}) | {"steps": steps}


def write_all(source: Path, out: Path = EXAMPLES) -> None:
    """Write a folder for every case that is or will be billed, and the list of all."""
    adapter, index = TypeAdapter(list[Case]), []
    for file in (source / "rating.json", EXAMPLES / "extra_cases.json"):
        for case in adapter.validate_json(file.read_bytes()):
            state, reason = status(case)
            index.append(said({**about(case), "status": state, "reason": reason, "encoded": encoded(case, state)}))
            folder = out / case.id
            shutil.rmtree(folder, ignore_errors=True)
            if state == "runnable":
                write_case(case, folder)
            elif state == "waiting":
                folder.mkdir(parents=True, exist_ok=True)
                write_json(
                    case.model_dump(mode="json", exclude_defaults=True) | {"waits_for": reason}, folder / "case.json"
                )
    write_json(index, out / "index.json")
