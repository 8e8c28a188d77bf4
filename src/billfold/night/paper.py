"""What `billfold night` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from billfold.console import console, print_json, table_of
from billfold.printing import show_parked, show_runs

if TYPE_CHECKING:
    from rich.console import Console

    from billfold.night import Night
    from billfold.night.inbox import Arrival


def show(night: Night, *, as_json: bool) -> None:
    """What came in, what was billed, what was proved, what waits."""
    if as_json:
        print_json(_document(night))
        return
    out = console()
    out.print(f"[bold]Night of {night.target_date}[/bold]\n")
    _show_arrivals(out, night)
    if night.runs.is_empty():
        out.print(f"Nothing is due up to {night.target_date} that was not billed before.\n")
    else:
        show_runs(night.runs, as_json=False)
        out.print()
    show_parked(out, night.parked)
    for said in _ends(night):
        out.print(escape(said), soft_wrap=True)


def _show_arrivals(out: Console, night: Night) -> None:
    if not night.arrivals:
        return
    counts = ("rows", "new", "changed", "unchanged")
    table = table_of("delivery", "table", *counts, right=counts)
    for arrival in night.arrivals:
        for r in arrival.loaded:
            numbers = (r.rows, r.new, r.changed, r.rows - r.new - r.changed)
            table.add_row(escape(arrival.delivery.name), r.table, *(f"{n:,}" for n in numbers))
    out.print(table, "", sep="\n")


def _ends(night: Night) -> list[str]:
    """What there is to say in a line each."""
    said = []
    if night.proof:
        again = f"; {', '.join(r.bill_run_number for r in night.proof.replays)} made again, byte by byte"
        said.append(f"All {len(night.proof.verdicts)} promises hold{again if night.proof.replays else ''}.")
    if night.drafts:
        said.append(f"Drafts that wait to be posted: {', '.join(night.drafts)}.")
    return [*said, *(f"Report: {page}" for page in night.pages)]


def _document(night: Night) -> dict[str, object]:
    receipt = night.receipt
    return {
        "target_date": night.target_date,
        "deliveries": {a.delivery.name: _counts(a) for a in night.arrivals},
        "bill_run_number": receipt.bill_run_number,
        "amounts": receipt.amounts,
        "runs": {r["bill_run_number"]: r["status"] for r in night.runs.to_dicts()},
        "promises": len(night.proof.verdicts) if night.proof else None,
        "posted": [r.bill_run_number for r in night.posted],
        "drafts": night.drafts,
        "reports": night.pages,
        "parked": night.parked.select("account_number", "step", "reason", "detail").to_dicts(),
        "digest": night.digest,
        "exit_code": night.exit_code,
    }


def _counts(arrival: Arrival) -> dict[str, dict[str, int]]:
    return {r.table: {"rows": r.rows, "new": r.new, "changed": r.changed} for r in arrival.loaded}
