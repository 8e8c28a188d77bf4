"""What the commands for analysts print: exports, what is wrong with one, and views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billfold.console import console, money, print_json, print_text, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from billfold.book.views import View
    from billfold.export import Exported, Manifest

_SHOWN_FAULTS = 20


def show_exported(folder: Path, manifest: Manifest, *, as_json: bool) -> None:
    """A line a table that has rows."""
    if as_json:
        tables = {name: _summary(table) for name, table in manifest.tables.items()}
        print_json({"folder": str(folder), "snapshot_id": manifest.snapshot_id, "tables": tables})
        return
    filled = {name: table for name, table in manifest.tables.items() if table.rows}
    table = table_of("table", "rows", "files", "amounts", right=["rows", "files", "amounts"])
    for name, each in filled.items():
        sums = "\n".join(f"{currency} {money(amount)}" for currency, amount in each.amounts.items())
        table.add_row(name, f"{each.rows:,}", f"{len(each.files):,}", sums)
    out = console()
    out.print(table, "", sep="\n")
    if empty := [name for name, each in manifest.tables.items() if not each.rows]:
        out.print(f"Without rows: {', '.join(empty)}", "", sep="\n")
    out.print(f"Snapshot {manifest.snapshot_id} of the book is in {folder}, with manifest.json.", soft_wrap=True)


def _summary(table: Exported) -> dict[str, object]:
    size = sum(f.bytes for f in table.files)
    return {"rows": table.rows, "files": len(table.files), "bytes": size, "amounts": table.amounts}


def show_checked(folder: Path, faults: Sequence[str], *, as_json: bool) -> None:
    """Whether an export is as it was written, and what is not."""
    if as_json:
        print_json({"folder": str(folder), "holds": not faults, "faults": faults})
        return
    if not faults:
        print_text(f"{folder} is as it was written.")
        return
    for fault in faults[:_SHOWN_FAULTS]:
        print_text(fault)
    more = len(faults) - _SHOWN_FAULTS
    print_text(f"… and {more:,} more; --json prints all." if more > 0 else f"{folder} is not as it was written.")


def show_views(views: Sequence[View], *, as_json: bool) -> None:
    """A line a view."""
    if as_json:
        print_json([_document(view) for view in views])
        return
    table = table_of("view", "what it holds")
    for view in views:
        table.add_row(view.name, view.meaning.partition(". ")[0].rstrip("."))
    console().print(table)


def show_view(view: View, *, as_json: bool) -> None:
    """What a view holds, and a line a column."""
    if as_json:
        print_json(_document(view))
        return
    table = table_of("column", "meaning")
    for column, meaning in view.columns.items():
        table.add_row(column, meaning)
    console().print(view.meaning, "", table, sep="\n")


def _document(view: View) -> dict[str, object]:
    return {"view": view.name, "meaning": view.meaning, "key": view.key, "columns": view.columns}
