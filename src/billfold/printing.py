"""What commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from billfold.console import console, harmless, money, print_json, show_records, table_of, table_or_blocks
from billfold.errors import BillfoldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from billfold.errors import InputError
    from billfold.intake import Loaded
    from billfold.receipt import Receipt
    from billfold.requests import RunRequest

_SHOWN_FAULTS: Final = 20
_RATE_FROM: Final = 1_000


@contextmanager
def working(what: str) -> Iterator[Callable[[str, float], None]]:
    """A bar with what is being done, time gone and time left; nothing when the output is not a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn(f"{what}: {{task.description}}"), BarColumn(), TaskProgressColumn(show_speed=True),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("opening the book", total=1.0)
        yield lambda step, share: progress.update(task, description=escape(step), completed=share)


def show_faults(error: InputError) -> None:
    """The first refused cells, on standard error."""
    console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 140)
    table = table_of("file", "row", "column", "value", "rule", right=["row"])
    for row in error.failures.head(_SHOWN_FAULTS).iter_rows():
        table.add_row(*(escape(str(v)) for v in row))
    console.print(table)
    more = error.failures.height - _SHOWN_FAULTS
    if more > 0:
        console.print(f"… and {more:,} more; --errors FILE saves them all.")


def save_faults(error: InputError, path: Path) -> None:
    """Every refused cell as CSV."""
    try:
        harmless(error.failures).write_csv(path)
    except OSError as e:
        msg = f"{path} can't be written: {e.strerror}."
        raise BillfoldError(msg) from e


def show_loaded(loaded: Sequence[Loaded], *, as_json: bool) -> None:
    """A line a table."""
    if as_json:
        print_json({r.table: {"rows": r.rows, "new": r.new, "changed": r.changed} for r in loaded})
        return
    table = table_of("table", "rows", "new", "changed", "unchanged", right=["rows", "new", "changed", "unchanged"])
    for r in loaded:
        table.add_row(r.table, *(f"{n:,}" for n in (r.rows, r.new, r.changed, r.rows - r.new - r.changed)))
    console().print(table)


def show_run(receipt: Receipt, request: RunRequest, book: Path, *, dry_run: bool, as_json: bool) -> None:
    """The receipt of a run."""
    if as_json:
        print_json(_run_document(receipt, dry_run=dry_run))
        return
    out = console()
    if receipt.bill_run_number is None:
        said = f"Nothing is due up to {request.target_date} that was not billed before; nothing was written."
        parked = receipt.documents.parked_accounts.height
        none = receipt.accounts_nothing_due + parked == 0
        out.print("No active account matches; nothing was written." if none else said, soft_wrap=True)
        if parked:
            out.print("Still parked, as an earlier run has reported:\n")
            _show_parked(out, receipt)
        _show_late(out, receipt)
        return
    verb = "Would make (dry run, nothing was written)" if dry_run else f"{receipt.status}"
    dates = f"target date {request.target_date}  ·  invoice date {request.invoice_date}"
    out.print(f"[bold]{receipt.bill_run_number}[/bold]  {verb}  ·  {dates}")
    _show_counts(out, receipt)
    _show_amounts(out, receipt)
    _show_parked(out, receipt)
    _show_late(out, receipt)
    _show_largest(out, receipt)
    lines = receipt.totals.items
    rate = f" ({lines / receipt.seconds:,.0f} lines a second)" if lines >= _RATE_FROM and receipt.seconds else ""
    out.print(f"{lines:,} lines in {receipt.seconds:.1f} s{rate}")
    _show_next(out, receipt, book, dry_run=dry_run)


def _run_document(receipt: Receipt, *, dry_run: bool) -> dict[str, object]:
    rows = receipt.totals.rows
    return {
        "bill_run_number": receipt.bill_run_number,
        "status": receipt.status,
        "dry_run": dry_run,
        "snapshot_id": receipt.snapshot_id,
        "invoices": rows["invoices"],
        "credit_memos": rows["credit_memos"],
        "items": receipt.totals.items,
        "parked_accounts": rows["parked_accounts"],
        "accounts_billed": receipt.accounts_billed,
        "accounts_nothing_due": receipt.accounts_nothing_due,
        "late_usage": receipt.late_usage,
        "amounts": receipt.amounts,
        "parked": receipt.documents.parked_accounts.select("account_number", "step", "reason", "detail").to_dicts(),
    }


def _show_counts(console: Console, receipt: Receipt) -> None:
    rows = receipt.totals.rows
    table = table_of("", "count", right=["count"])
    for label, count in (
        ("invoices", rows["invoices"]), ("  items", rows["invoice_items"]),
        ("credit memos", rows["credit_memos"]), ("  items", rows["credit_memo_items"]),
        ("accounts billed", receipt.accounts_billed), ("accounts with nothing due", receipt.accounts_nothing_due),
        ("accounts parked", rows["parked_accounts"]),
    ):  # fmt: skip
        table.add_row(label, f"{count:,}")
    console.print("", table, "", sep="\n")


def _show_amounts(console: Console, receipt: Receipt) -> None:
    if not receipt.amounts:
        return
    table = table_of("currency", "invoiced", "credited", "net", right=["invoiced", "credited", "net"])
    for currency, sums in receipt.amounts.items():
        invoiced, credited = Decimal(sums["invoices"]), Decimal(sums["credit_memos"])
        table.add_row(currency, money(invoiced), money(credited), money(invoiced - credited))
    console.print(table, "", sep="\n")


def _show_late(console: Console, receipt: Receipt) -> None:
    if receipt.late_usage:
        said = "Usage records that came after their period was billed, and wait in the table late_usage"
        console.print(f"{said}: {receipt.late_usage:,}", "", sep="\n")


def _show_parked(console: Console, receipt: Receipt) -> None:
    show_parked(console, receipt.documents.parked_accounts)


def show_parked(console: Console, parked: pl.DataFrame) -> None:
    """Who could not be billed, with the step and the reason."""
    if parked.is_empty():
        return
    table = table_of("account", "step", "reason", title="Parked accounts")
    for row in parked.head(_SHOWN_FAULTS).select("account_number", "step", "reason").iter_rows():
        table.add_row(*map(escape, row))
    console.print(table)
    if parked.height > _SHOWN_FAULTS:
        console.print(f"… and {parked.height - _SHOWN_FAULTS:,} more, in the table parked_accounts.")
    console.print()


def _show_largest(console: Console, receipt: Receipt) -> None:
    largest = receipt.totals.largest
    if largest.is_empty():
        return
    table = table_of(
        "number", "account", "group", "items", "amount", title="Largest invoices", right=["items", "amount"]
    )
    for row in largest.iter_rows(named=True):
        group = row["invoice_group_value"] or row["invoice_group_number"] or ""
        amount = f"{row['currency']} {money(row['amount'])}"
        table.add_row(
            row["invoice_number"], escape(row["account_number"]), escape(group), f"{row['item_count']:,}", amount
        )
    console.print(table, "", sep="\n")


def _show_next(console: Console, receipt: Receipt, book: Path, *, dry_run: bool) -> None:
    option = "" if str(book) == "book" else f" --book {book}"
    console.print("\nNext:")
    if dry_run:
        console.print("  the same command without --dry-run")
        return
    if receipt.status == "Completed":
        console.print(f"  billfold{option} post {receipt.bill_run_number}")
    console.print(f"  billfold{option} runs {receipt.bill_run_number}")
    query = "SELECT account_number, sum(amount) AS invoiced FROM invoices GROUP BY ALL ORDER BY invoiced DESC LIMIT 5"
    console.print(f'  billfold{option} sql "{query}"', soft_wrap=True)


def show_posted(receipt: Receipt, *, as_json: bool) -> None:
    """What was made final."""
    if as_json:
        print_json(
            {
                k: v
                for k, v in _run_document(receipt, dry_run=False).items()
                if k in ("bill_run_number", "status", "invoices", "credit_memos", "amounts")
            }
        )
        return
    out = console()
    documents = receipt.documents
    counts = f"{documents.invoices.height:,} invoices, {documents.credit_memos.height:,} credit memos"
    out.print(f"[bold]{receipt.bill_run_number}[/bold]  Posted  ·  {counts}")
    for kind, number in (("invoices", "invoice_number"), ("credit_memos", "credit_memo_number")):
        numbers = getattr(documents, kind)[number]
        if len(numbers):
            out.print(f"  {numbers.min()} … {numbers.max()}")
    _show_amounts(out, receipt)


def show_canceled(run_number: str, *, as_json: bool) -> None:
    """That a run was canceled."""
    if as_json:
        print_json({"bill_run_number": run_number, "status": "Canceled"})
    else:
        typer.echo(f"{run_number} is canceled: everything it billed can be billed again.")


def show_runs(rows: pl.DataFrame, *, as_json: bool) -> None:
    """A line a run."""
    if as_json:
        print_json([_parsed(row) for row in rows.to_dicts()])
        return
    if rows.is_empty():
        typer.echo("There are no bill runs yet: `billfold run --target-date YYYY-MM-DD` makes one.")
        return
    numbers = ("invoices", "credit_memos", "items", "parked_accounts")
    table = table_of("run", "status", "target date", "invoices", "memos", "items", "parked", "invoiced", "credited",
                   right=["invoices", "memos", "items", "parked", "invoiced", "credited"])  # fmt: skip
    blocks = []
    for row in rows.iter_rows(named=True):
        sums: Mapping[str, Mapping[str, str]] = json.loads(row["amounts"])
        both = [[f"{c} {money(s[k])}" for c, s in sums.items()] for k in ("invoices", "credit_memos")]
        cells = [row["bill_run_number"], row["status"], str(row["target_date"]), *(f"{row[n]:,}" for n in numbers)]
        table.add_row(*cells, *map("\n".join, both))
        blocks.append(dict(zip((str(c.header) for c in table.columns), [*cells, *map(", ".join, both)], strict=True)))
    table_or_blocks(console(), table, blocks)


def show_one_run(run: pl.DataFrame, parked: pl.DataFrame, *, as_json: bool) -> None:
    """Everything about one run."""
    row = _parsed(run.row(0, named=True))
    if as_json:
        print_json({**row, "parked": parked.drop("bill_run_number").to_dicts()})
        return
    out = console()
    show_records(out, [{k: v for k, v in row.items() if k not in ("request", "amounts")}])
    sums: Mapping[str, Mapping[str, str]] = row["amounts"]
    for currency, both in sums.items():
        out.print(f"{currency}: {money(both['invoices'])} invoiced, {money(both['credit_memos'])} credited")
    out.print(f"request: {json.dumps(row['request'])}\n", soft_wrap=True)
    show_parked(out, parked)


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "request": json.loads(row["request"]), "amounts": json.loads(row["amounts"])}


def show_settings(values: Mapping[str, str], allowed: Callable[[str], Sequence[str]], *, as_json: bool) -> None:
    """A line a setting, with what else it could be."""
    if as_json:
        print_json(values)
        return
    table = table_of("setting", "value", "may be")
    for name, value in values.items():
        table.add_row(name, value, ", ".join(allowed(name)))
    console().print(table)


def show_grouping(groups: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """The configurations in use."""
    if as_json:
        print_json(groups)
        return
    if not groups:
        typer.echo("No grouping is configured: attributes, group numbers and settings alone decide.")
        return
    table = table_of("number", "name", "used by", "charges grouped by", "order lines grouped by")
    for group in groups:
        used = (["all other accounts"] if group["is_default"] else []) + list(group["accounts"])
        sides = [
            ", ".join(f"{f['objectType']}.{f['field']}" for f in group["meta"].get(side, []))
            for side in ("subscriptionGroup", "orderLineItemGroup")
        ]
        table.add_row(group["number"], escape(group["name"]), escape(", ".join(used)), *map(escape, sides))
    console().print(table)
