"""What the commands print that prove something: replay, verify, clean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.syntax import Syntax

from billfold.console import console, print_json, show_records, table_of
from billfold.errors import BillfoldError
from billfold.lifecycle import runs
from billfold.replay import IDENTICAL, UNKNOWN, Compared, Replay, replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from billfold.book import Book, Listed
    from billfold.receipt import Progress
    from billfold.verify import Verdict


def show_replay(replayed: Replay, *, as_json: bool) -> None:
    """A line a table."""
    if as_json:
        print_json({"bill_run_number": replayed.bill_run_number, "snapshot_id": replayed.snapshot_id,
                    "identical": replayed.holds, "tables": [vars(t) for t in replayed.tables]})  # fmt: skip
        return
    out = console()
    said = "every table is the same, byte by byte" if replayed.holds else "[bold]not the same[/bold]"
    out.print(f"[bold]{replayed.bill_run_number}[/bold]  made again from snapshot {replayed.snapshot_id}: {said}\n")
    table = table_of("table", "rows", "result", "what differs", right=["rows"])
    for t in replayed.tables:
        table.add_row(t.table, f"{t.rows:,}", t.result, escape(t.said))
    out.print(table)


def replays(book: Book, progress: Progress) -> list[Replay]:
    """Every run made again. One that nobody can make again, such as another version's, breaks nothing."""
    numbers = runs(book)["bill_run_number"].to_list()
    made = []
    for place, number in enumerate(numbers):
        progress(f"replaying {number}", place / len(numbers))
        made.append(_replay(book, number))
    return made


def _replay(book: Book, number: str) -> Replay:
    try:
        return replay(book, number)
    except BillfoldError as e:
        return Replay(number, 0, (Compared("run", 0, UNKNOWN, str(e)),))


def show_verdicts(
    verdicts: Sequence[Verdict], replays: Sequence[Replay], digest: str, *, brief: bool, as_json: bool
) -> None:
    """Every promise with its query and what the query found, then the runs that were made again."""
    if as_json:
        print_json({
            "holds": hold(verdicts, replays), "digest": digest,
            "promises": [{"promise": v.promise, "says": v.says, "holds": v.holds, "broken": v.count,
                          "left_out": v.left_out, "rows": v.broken.to_dicts()} for v in verdicts],
            "replays": {r.bill_run_number: _result(r) for r in replays},
        })  # fmt: skip
        return
    out = console()
    for verdict in verdicts:
        _show_verdict(out, verdict, brief=brief)
    for replayed in replays:
        out.print(f"{_MARKS[replayed.holds]} replay of {replayed.bill_run_number}: {_result(replayed)}", soft_wrap=True)
    broken = {v.promise for v in verdicts if not v.holds} | {"replay" for r in replays if not r.holds}
    out.print(f"\nDigest of the book: {digest or 'none, it is empty'}", soft_wrap=True)
    out.print(
        f"[bold]Broken: {escape(', '.join(sorted(broken)))}[/bold]" if broken else "[bold]All promises hold.[/bold]"
    )


def hold(verdicts: Sequence[Verdict], replays: Sequence[Replay]) -> bool:
    """Whether nothing is broken."""
    return all(v.holds for v in verdicts) and all(r.holds for r in replays)


_MARKS: Final = {True: "[green]✓[/green]", False: "[red]✗[/red]"}


def _show_verdict(out: Console, verdict: Verdict, *, brief: bool) -> None:
    found = "" if verdict.holds else f": {verdict.count:,} broken"
    if verdict.left_out:
        found += f" (but for {verdict.left_out:,} runs of older versions)"
    says = "" if brief and verdict.holds else f"  {escape(verdict.says)}"
    out.print(f"{_MARKS[verdict.holds]} [bold]{escape(verdict.promise)}[/bold]{found}{says}", soft_wrap=True)
    if not brief:
        out.print(
            Syntax(verdict.query, "sql", theme="ansi_dark", background_color="default", word_wrap=True), "", sep="\n"
        )
    if not verdict.holds:
        show_records(out, verdict.broken.to_dicts())


def _result(replayed: Replay) -> str:
    """What came of making a run again, in a line."""
    different = [t for t in replayed.tables if t.result != IDENTICAL]
    return "; ".join(f"{t.table} {t.result}: {t.said}" for t in different) if different else IDENTICAL


def show_orphans(found: Sequence[Listed], *, removed: bool, as_json: bool) -> None:
    """Files that no commit knows, and their bytes."""
    if as_json:
        print_json({"removed": removed, "files": [{"file": f, "bytes": n} for f, n in found]})
        return
    out = console()
    if not found:
        out.print("No orphan files: everything in the book's folder belongs to it.")
        return
    table = table_of("file", "bytes", right=["bytes"])
    for address, count in found:
        table.add_row(escape(address), f"{count:,}")
    out.print(table)
    out.print(f"\n{len(found):,} files, {sum(n for _, n in found):,} bytes"
              + (" removed." if removed else ". Nothing was removed: `billfold clean --yes` does it."))  # fmt: skip
