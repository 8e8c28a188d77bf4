"""What commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import io
import json
import sys
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import typer
from rich import box
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
from rich.table import Table

from billfold.errors import BillfoldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from billfold.errors import InputError
    from billfold.intake import Loaded
    from billfold.receipt import Receipt
    from billfold.requests import RunRequest

_SHOWN_ROWS: Final = 200
_SHOWN_FAULTS: Final = 20
_FORMATS: Final = ("table", "csv", "json", "parquet")


def _console() -> Console:
    """Tables keep their full width when the output is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def _print_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: object) -> object:
    """Decimals, dates and times as text."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _table(*columns: str, title: str | None = None, right: Sequence[str] = ()) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


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


def money(amount: Decimal | str) -> str:
    """An amount with thousands separators and at least two decimals."""
    text = format(Decimal(amount), ",f")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def show_faults(error: InputError) -> None:
    """The first refused cells, on standard error."""
    console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 140)
    table = _table("file", "row", "column", "value", "rule", right=["row"])
    for row in error.failures.head(_SHOWN_FAULTS).iter_rows():
        table.add_row(*(escape(str(v)) for v in row))
    console.print(table)
    more = error.failures.height - _SHOWN_FAULTS
    if more > 0:
        console.print(f"… and {more:,} more; --errors FILE saves them all.")


def save_faults(error: InputError, path: Path) -> None:
    """Every refused cell as CSV."""
    try:
        error.failures.write_csv(path)
    except OSError as e:
        msg = f"{path} can't be written: {e.strerror}."
        raise BillfoldError(msg) from e


def show_loaded(loaded: Sequence[Loaded], *, as_json: bool) -> None:
    """A line a table."""
    if as_json:
        _print_json({r.table: {"rows": r.rows, "new": r.new, "changed": r.changed} for r in loaded})
        return
    table = _table("table", "rows", "new", "changed", "unchanged", right=["rows", "new", "changed", "unchanged"])
    for r in loaded:
        table.add_row(r.table, *(f"{n:,}" for n in (r.rows, r.new, r.changed, r.rows - r.new - r.changed)))
    _console().print(table)


def show_run(receipt: Receipt, request: RunRequest, book: Path, *, dry_run: bool, as_json: bool) -> None:
    """The receipt of a run."""
    if as_json:
        _print_json(_run_document(receipt, dry_run=dry_run))
        return
    console = _console()
    if receipt.bill_run_number is None:
        console.print(f"Nothing is due up to {request.target_date} that was not billed before; nothing was written.")
        _show_parked(console, receipt)
        return
    verb = "Would make (dry run, nothing was written)" if dry_run else f"{receipt.status}"
    dates = f"target date {request.target_date}  ·  invoice date {request.invoice_date}"
    console.print(f"[bold]{receipt.bill_run_number}[/bold]  {verb}  ·  {dates}")
    _show_counts(console, receipt)
    _show_amounts(console, receipt)
    _show_parked(console, receipt)
    _show_largest(console, receipt)
    lines = receipt.documents.invoice_items.height + receipt.documents.credit_memo_items.height
    console.print(
        f"{lines:,} lines in {receipt.seconds:.1f} s ({lines / max(receipt.seconds, 0.001):,.0f} lines a second)"
    )
    _show_next(console, receipt, book, dry_run=dry_run)


def _run_document(receipt: Receipt, *, dry_run: bool) -> dict[str, object]:
    documents = receipt.documents
    due = receipt.bill_run_number is not None
    return {
        "bill_run_number": receipt.bill_run_number,
        "status": receipt.status,
        "dry_run": dry_run,
        "snapshot_id": receipt.snapshot_id,
        "invoices": documents.invoices.height if due else 0,
        "credit_memos": documents.credit_memos.height if due else 0,
        "items": documents.invoice_items.height + documents.credit_memo_items.height if due else 0,
        "parked_accounts": documents.parked_accounts.height,
        "accounts_billed": receipt.accounts_billed,
        "accounts_nothing_due": receipt.accounts_nothing_due,
        "amounts": receipt.amounts,
        "parked": documents.parked_accounts.select("account_number", "step", "reason", "detail").to_dicts(),
    }


def _show_counts(console: Console, receipt: Receipt) -> None:
    documents = receipt.documents
    table = _table("", "count", right=["count"])
    for label, count in (
        ("invoices", documents.invoices.height), ("  items", documents.invoice_items.height),
        ("credit memos", documents.credit_memos.height), ("  items", documents.credit_memo_items.height),
        ("accounts billed", receipt.accounts_billed), ("accounts with nothing due", receipt.accounts_nothing_due),
        ("accounts parked", documents.parked_accounts.height),
    ):  # fmt: skip
        table.add_row(label, f"{count:,}")
    console.print("", table, "", sep="\n")


def _show_amounts(console: Console, receipt: Receipt) -> None:
    table = _table("currency", "invoiced", "credited", "net", right=["invoiced", "credited", "net"])
    for currency, sums in receipt.amounts.items():
        invoiced, credited = Decimal(sums["invoices"]), Decimal(sums["credit_memos"])
        table.add_row(currency, money(invoiced), money(credited), money(invoiced - credited))
    console.print(table, "", sep="\n")


def _show_parked(console: Console, receipt: Receipt) -> None:
    parked = receipt.documents.parked_accounts
    if parked.is_empty():
        return
    table = _table("account", "step", "reason", title="Parked accounts")
    for row in parked.head(_SHOWN_FAULTS).select("account_number", "step", "reason").iter_rows():
        table.add_row(*map(escape, row))
    console.print(table)
    if parked.height > _SHOWN_FAULTS:
        console.print(f"… and {parked.height - _SHOWN_FAULTS:,} more, in the table parked_accounts.")
    console.print()


def _show_largest(console: Console, receipt: Receipt) -> None:
    invoices = receipt.documents.invoices
    if invoices.is_empty():
        return
    table = _table("number", "account", "group", "items", "amount", title="Largest invoices", right=["items", "amount"])
    largest = invoices.sort("amount", "invoice_id", descending=[True, False]).head(10)
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
    if receipt.status == "Completed" and not dry_run:
        console.print(f"  billfold{option} post {receipt.bill_run_number}")
    console.print(f"  billfold{option} runs")
    query = "SELECT account_number, sum(amount) AS invoiced FROM invoices GROUP BY ALL ORDER BY invoiced DESC LIMIT 5"
    console.print(f'  billfold{option} sql "{query}"', soft_wrap=True)


def show_posted(receipt: Receipt, *, as_json: bool) -> None:
    """What was made final."""
    if as_json:
        _print_json(
            {
                k: v
                for k, v in _run_document(receipt, dry_run=False).items()
                if k in ("bill_run_number", "status", "invoices", "credit_memos", "amounts")
            }
        )
        return
    console = _console()
    documents = receipt.documents
    counts = f"{documents.invoices.height:,} invoices, {documents.credit_memos.height:,} credit memos"
    console.print(f"[bold]{receipt.bill_run_number}[/bold]  Posted  ·  {counts}")
    for kind, number in (("invoices", "invoice_number"), ("credit_memos", "credit_memo_number")):
        numbers = getattr(documents, kind)[number]
        if len(numbers):
            console.print(f"  {numbers.min()} … {numbers.max()}")
    _show_amounts(console, receipt)


def show_canceled(run_number: str, *, as_json: bool) -> None:
    """That a run was canceled."""
    if as_json:
        _print_json({"bill_run_number": run_number, "status": "Canceled"})
    else:
        typer.echo(f"{run_number} is canceled: everything it billed can be billed again.")


def show_runs(rows: pl.DataFrame, *, as_json: bool) -> None:
    """A line a run."""
    if as_json:
        parsed = rows.to_dicts()
        _print_json([{**r, "request": json.loads(r["request"]), "amounts": json.loads(r["amounts"])} for r in parsed])
        return
    if rows.is_empty():
        typer.echo("There are no bill runs yet: `billfold run --target-date YYYY-MM-DD` makes one.")
        return
    numbers = ("invoices", "credit_memos", "items", "parked_accounts")
    table = _table("run", "status", "target date", "invoices", "memos", "items", "parked", "invoiced", "credited",
                   right=["invoices", "memos", "items", "parked", "invoiced", "credited"])  # fmt: skip
    for row in rows.iter_rows(named=True):
        sums: Mapping[str, Mapping[str, str]] = json.loads(row["amounts"])
        both = ["\n".join(f"{c} {money(s[k])}" for c, s in sums.items()) for k in ("invoices", "credit_memos")]
        table.add_row(
            row["bill_run_number"], row["status"], str(row["target_date"]), *(f"{row[n]:,}" for n in numbers), *both
        )
    _console().print(table)


def show_settings(values: Mapping[str, str], choices: Mapping[str, Sequence[str]], *, as_json: bool) -> None:
    """A line a setting, with what else it could be."""
    if as_json:
        _print_json(values)
        return
    table = _table("setting", "value", "may be")
    for name, value in values.items():
        table.add_row(name, value, ", ".join(choices.get(name, ("1, 2 or 5 times a power of ten",))))
    _console().print(table)


def show_grouping(groups: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """The configurations in use."""
    if as_json:
        _print_json(groups)
        return
    if not groups:
        typer.echo("No grouping is configured: attributes, group numbers and settings alone decide.")
        return
    table = _table("number", "name", "used by", "charges grouped by", "order lines grouped by")
    for group in groups:
        used = (["all other accounts"] if group["is_default"] else []) + list(group["accounts"])
        sides = [
            ", ".join(f"{f['objectType']}.{f['field']}" for f in group["meta"].get(side, []))
            for side in ("subscriptionGroup", "orderLineItemGroup")
        ]
        table.add_row(group["number"], escape(group["name"]), escape(", ".join(used)), *map(escape, sides))
    _console().print(table)


def check_format(output: str) -> None:
    """Refuse an unknown output format before the query runs."""
    if output not in _FORMATS:
        msg = f"--format can't be {output!r}: it is one of {', '.join(_FORMATS)}."
        raise BillfoldError(msg)


def show_rows(rows: pl.DataFrame, output: str, out: Path | None) -> None:
    """The rows of a query."""
    if output == "table" and out is None:
        _show_table(rows)
        return
    if output == "parquet" and out is None and sys.stdout.isatty():
        msg = "Parquet is not for a terminal: add --out FILE, or send the output to a file."
        raise BillfoldError(msg)
    content = _encoded(rows, output)
    if out is None:
        sys.stdout.buffer.write(content)
        return
    try:
        out.write_bytes(content)
    except OSError as e:
        msg = f"{out} can't be written: {e.strerror}."
        raise BillfoldError(msg) from e


def _encoded(rows: pl.DataFrame, output: str) -> bytes:
    match output:
        case "json":
            return (json.dumps(rows.to_dicts(), indent=2, default=_plain, ensure_ascii=False) + "\n").encode()
        case "parquet":
            buffer = io.BytesIO()
            rows.write_parquet(buffer)
            return buffer.getvalue()
        case _:
            nested = [c for c, t in rows.schema.items() if t.is_nested()]
            flat = rows.with_columns(
                pl.Series(
                    c,
                    [
                        None if v is None else json.dumps(v, default=_plain, ensure_ascii=False)
                        for v in rows[c].to_list()
                    ],
                    dtype=pl.String,
                )
                for c in nested
            )
            return flat.write_csv().encode()


def _show_table(rows: pl.DataFrame) -> None:
    numeric = [c for c, t in rows.schema.items() if t.is_numeric()]
    table = _table(*rows.columns, right=numeric)
    for row in rows.head(_SHOWN_ROWS).iter_rows():
        table.add_row(
            *(
                ""
                if v is None
                else escape(str(_plain(v)) if not isinstance(v, dict | list) else json.dumps(v, default=_plain))
                for v in row
            )
        )
    console = _console()
    console.print(table)
    if rows.height > _SHOWN_ROWS:
        console.print(f"… {rows.height - _SHOWN_ROWS:,} more rows; --format csv prints all.")
