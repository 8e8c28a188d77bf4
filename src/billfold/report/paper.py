"""What `billfold report` leaves: the file and a few lines about it, or the figures as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from billfold.console import print_json, print_text
from billfold.files import write_whole
from billfold.report.page import page
from billfold.report.tables import money, plural

if TYPE_CHECKING:
    from pathlib import Path

    from billfold.report.figures import Report

_FRAMES = ("totals", "waterfall", "sizes", "accounts", "groups", "sources", "parked", "unusual", "history")

_PLAIN: Final = str.maketrans("\N{MINUS SIGN}\N{NO-BREAK SPACE}", "- ")
"""What a page has for the eye, as a terminal has it."""


def save(report: Report, path: Path) -> None:
    """Write the page: whole, or not at all.

    Raises:
        BillfoldError: it can't be written there.
    """
    write_whole(path, page(report).encode("utf-8"))


def show_saved(report: Report, path: Path) -> None:
    """What is in the file, in a few lines."""
    run = report.run
    nets = ", ".join(money(r["net"], r["currency"]) for r in report.totals.iter_rows(named=True)).translate(_PLAIN)
    broken = sum(not v.holds for v in report.verdicts)
    print_text(f"{path}: {run['bill_run_number']}, {run['status']}")
    documents = plural(run["invoices"] + run["credit_memos"], "document")
    print_text(f"  {documents}{', net ' + nets if nets else ''}")
    print_text(f"  {plural(broken, 'promise is', 'promises are')} broken" if broken else "  all promises hold")
    if report.replay is not None:
        print_text(f"  made again: {'identical' if report.replay.holds else 'not the same'}")
    unusual = int(report.unusual.unique(["kind", "currency"])["count"].sum())
    print_text(f"  {plural(run['parked_accounts'], 'parked account')}, {plural(unusual, 'unusual bill')}")


def show_json(report: Report) -> None:
    """The figures as one JSON document."""
    print_json(figures(report))


def figures(report: Report) -> dict[str, Any]:
    """The figures as plain objects: a list of rows for each frame."""
    found = report.changes
    changes = {c: f.to_dicts() for c, f in vars(found).items()} if found else None
    return {
        "run": report.run,
        "kind": report.kind,
        "previous": report.previous["bill_run_number"] if report.previous else None,
        "holds": report.holds,
        "promises": [
            {"promise": v.promise, "holds": v.holds, "broken": v.count, "rows": v.broken["broken"].to_list()}
            for v in report.verdicts
        ],
        "replay": None if report.replay is None else {t.table: t.result for t in report.replay.tables},
        **{name: getattr(report, name).to_dicts() for name in _FRAMES},
        "changes": changes,
    }
