"""Commands about bill runs: made, posted, canceled, retried, replayed, listed; and whole nights of them."""

from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from billfold.cli.common import (
    DAY,
    EXIT_PARKED,
    Accounts,
    AsJson,
    Batches,
    ChargeType,
    ChargeTypes,
    CycleDay,
    InvoiceDate,
    Log,
    Memory,
    NoCeilings,
    Post,
    Run,
    TargetDate,
    Where,
    app,
    book_folder,
    today,
    way,
)
from billfold.errors import BillfoldError, InputError


@app.command()
def run(
    target_date: TargetDate,
    invoice_date: InvoiceDate = None,
    account: Accounts = None,
    batch: Batches = None,
    bill_cycle_day: CycleDay = None,
    exclude_charge_type: ChargeTypes = None,
    *,
    no_subscriptions: Annotated[bool, typer.Option("--no-subscriptions", help="Leave all charges.")] = False,
    no_order_line_items: Annotated[bool, typer.Option("--no-order-line-items", help="Leave order lines.")] = False,
    post: Post = False,
    no_ceilings: NoCeilings = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the same documents, write nothing.")] = False,
    executor: Where = "local",
    memory: Memory = None,
    as_json: AsJson = False,
) -> None:
    """Bill everything owed up to the target date."""
    from billfold import printing
    from billfold.book import Book
    from billfold.requests import RunRequest, cycle_days
    from billfold.run import bill, preview

    excluded = tuple(dict.fromkeys(exclude_charge_type or ()))
    if len(excluded) == len(ChargeType) or (no_subscriptions and no_order_line_items):
        raise typer.BadParameter("that leaves nothing to bill.")
    run_day = today()
    try:
        days = cycle_days(bill_cycle_day, run_day)
    except BillfoldError as e:
        raise typer.BadParameter(str(e)) from e
    request = RunRequest(
        target_date=target_date.date(), invoice_date=invoice_date.date() if invoice_date else run_day,
        accounts=tuple(account or ()), batches=tuple(batch or ()), bill_cycle_days=days,
        excluded_charge_types=tuple(t.value for t in excluded), subscriptions=not no_subscriptions,
        order_line_items=not no_order_line_items, ceilings=not no_ceilings,
    )  # fmt: skip
    how = way(executor, memory)
    with Book(book_folder()) as book, printing.working("run") as progress:
        if dry_run:
            receipt = preview(book, request, how=how, progress=progress)
        else:
            receipt = bill(book, request, post=post, how=how, progress=progress)
    printing.show_run(receipt, request, book_folder(), dry_run=dry_run, as_json=as_json)
    if receipt.committed and receipt.documents.parked_accounts.height:
        raise typer.Exit(EXIT_PARKED)


@app.command()
def post(
    run_number: Run,
    document: Annotated[
        list[str] | None, typer.Option(help="Only this draft, by id or number; may be repeated.", metavar="DOCUMENT")
    ] = None,
    invoice_date: Annotated[datetime | None, typer.Option(**DAY, help="A new date for the documents.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a run's drafts final: numbers without gaps, and due dates."""
    from billfold import printing
    from billfold.book import Book
    from billfold.lifecycle import post as post_run

    with Book(book_folder()) as book:
        day = invoice_date.date() if invoice_date else None
        receipt = post_run(book, run_number, documents=tuple(document or ()), invoice_date=day)
    printing.show_posted(receipt, as_json=as_json)


@app.command()
def cancel(run_number: Run, *, as_json: AsJson = False) -> None:
    """Cancel a run of drafts: what it billed becomes billable again."""
    from billfold import printing
    from billfold.book import Book
    from billfold.lifecycle import cancel as cancel_run

    with Book(book_folder()) as book:
        cancel_run(book, run_number)
    printing.show_canceled(run_number, as_json=as_json)


@app.command()
def retry(run_number: Run, *, post: Post = False, no_ceilings: NoCeilings = False, as_json: AsJson = False) -> None:
    """Bill the accounts that a run parked, once their data are mended."""
    from billfold import printing
    from billfold.book import Book
    from billfold.run import retry as retry_run

    with Book(book_folder()) as book, printing.working("retry") as progress:
        receipt, request = retry_run(book, run_number, post=post, ceilings=not no_ceilings, progress=progress)
    printing.show_run(receipt, request, book_folder(), dry_run=False, as_json=as_json)
    if receipt.committed and receipt.documents.parked_accounts.height:
        raise typer.Exit(EXIT_PARKED)


@app.command()
def replay(run_number: Run, *, as_json: AsJson = False) -> None:
    """Make a run again from what it read, and compare every table with what it wrote, byte by byte."""
    from billfold import proofs
    from billfold.book import Book
    from billfold.printing import working
    from billfold.replay import replay as replay_run

    with Book(book_folder(), read_only=True) as book, working("replay") as progress:
        replayed = replay_run(book, run_number, progress=progress)
    proofs.show_replay(replayed, as_json=as_json)
    if not replayed.holds:
        raise typer.Exit(1)


@app.command()
def night(
    target_date: Annotated[
        str, typer.Option(metavar="DATE|today", help="Bill everything owed up to this day; it is on the documents too.")
    ],
    inbox: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Load what is new in this folder first.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the run's report into this folder.")
    ] = None,
    log: Log = None,
    executor: Where = "local",
    memory: Memory = None,
    *,
    post: Annotated[bool, typer.Option("--post", help="Make the documents final, earlier nights' too.")] = False,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Don't prove the promises before posting.")] = False,
    as_json: AsJson = False,
) -> None:
    """Load, run, verify, post and report: what has to be done every night, once."""
    from billfold.book import Book
    from billfold.events import journal
    from billfold.night import night as whole_night
    from billfold.night import paper
    from billfold.night.steps import today as today_of
    from billfold.printing import show_faults, working

    day, how = _day(target_date), way(executor, memory)
    with Book(book_folder()) as book, working("night") as progress:
        try:
            done = whole_night(
                book, day or today_of(book), inbox=inbox, post=post, verify=not no_verify, reports=report,
                how=how, journal=journal(log), progress=progress,
            )  # fmt: skip
        except InputError as e:
            show_faults(e)
            raise
    paper.show(done, as_json=as_json)
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def _day(word: str) -> date | None:
    """A day as it was typed; None for today, which is the book's to know."""
    if word.lower() == "today":
        return None
    with suppress(ValueError):
        return date.fromisoformat(word)
    raise typer.BadParameter(f"--target-date can't be {word!r}: it is a day such as 2024-02-29, or today.")


@app.command()
def runs(run_number: Annotated[str | None, typer.Argument(metavar="RUN")] = None, *, as_json: AsJson = False) -> None:
    """List the bill runs, or show one."""
    from billfold import printing
    from billfold.book import Book
    from billfold.lifecycle import runs as stored_runs

    with Book(book_folder(), read_only=True) as book:
        if run_number is None:
            printing.show_runs(stored_runs(book), as_json=as_json)
        else:
            parked = book.read("parked_accounts").filter(bill_run_number=run_number).collect()
            printing.show_one_run(stored_runs(book, run_number), parked, as_json=as_json)
