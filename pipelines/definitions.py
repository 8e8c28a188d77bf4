"""The nightly run as Dagster sees it: load -> run -> (promises) -> post -> report, a partition for each target date.

What a step does is `billfold.night.steps`, which the command `billfold night` uses as well; here it only gets a name, a
place in the graph, and something to read on Dagster's page. Environment variables say where things are:

    BILLFOLD_BOOK       the book's folder; default book
    BILLFOLD_INBOX      a folder with deliveries (`billfold.night.inbox`); without it nothing is loaded
    BILLFOLD_REPORTS    where reports go; default reports
    BILLFOLD_EXPORT     where the book goes as plain Parquet files after each night; without it nowhere
    BILLFOLD_POST       yes makes documents final; without it they stay drafts
    BILLFOLD_LOG        a file for OpenLineage events, or - for standard error
    BILLFOLD_HOUR       the hour of the night in the book's time zone; default 2
    BILLFOLD_FIRST_DAY  the first target date; default 2024-01-01
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl

from billfold import Book
from billfold.errors import BillfoldError, ConflictError, InputError
from billfold.events import About, Step, journal
from billfold.export import export as export_book
from billfold.night.care import PAUSES
from billfold.night.inbox import load_deliveries
from billfold.night.steps import drafts, make_drafts, nightly_runs, post_drafts, prove, write_reports
from billfold.receipt import Receipt
from billfold.settings import show
from billfold.verify import promises as all_promises

JOB: Final = "night"
PARKED: Final = "nobody_parked"
REPLAY: Final = "replay"
_SHOWN: Final = 50


class Place(dg.ConfigurableResource):
    """Where a night finds its book and its files, and whether it makes documents final."""

    book: str = "book"
    inbox: str = ""
    reports: str = "reports"
    export: str = ""
    post: bool = False
    log: str = ""

    @classmethod
    def of_environment(cls) -> Self:
        """The place that the environment names."""
        names = ("book", "inbox", "reports", "export", "log")
        given: dict[str, Any] = {
            n: os.environ[f"BILLFOLD_{n.upper()}"] for n in names if f"BILLFOLD_{n.upper()}" in os.environ
        }
        return cls(**given, post=os.environ.get("BILLFOLD_POST", "").lower() in {"yes", "1", "true"})

    def time_zone(self) -> str:
        """The name of the book's time zone."""
        with Book(Path(self.book), read_only=True) as book:
            return show(book)["time_zone"]


Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


@contextmanager
def _opened(context: Context, place: Place, name: str) -> Iterator[tuple[Book, date, Step]]:
    """The book, the target date, and a step that is told about in the log.

    A conflict is tried again after a pause that grows; bad input never is, since it would be as bad again.
    """
    day = date.fromisoformat(context.partition_key)
    try:
        with Book(Path(place.book)) as book:
            about = About(journal(place.log), book.folder, day, context.run.run_id)
            with about.step(name, lambda what, share: context.log.debug("%s (%.0f %%)", what, 100 * share)) as step:
                yield book, day, step
    except ConflictError as e:
        pause = PAUSES[min(context.retry_number, len(PAUSES) - 1)]
        raise dg.RetryRequested(max_retries=len(PAUSES), seconds_to_wait=pause) from e
    except InputError as e:
        raise dg.Failure(str(e), metadata={"refused": _table(e.failures)}, allow_retries=False) from e
    except BillfoldError as e:
        raise dg.Failure(str(e), allow_retries=False) from e


def load(context: dg.AssetExecutionContext, place: Place) -> dg.MaterializeResult:
    """Load what is new in the inbox."""
    with _opened(context, place, "load") as (book, _, step):
        arrivals = load_deliveries(book, Path(place.inbox), progress=step.progress) if place.inbox else []
        step.loaded(arrivals)
    rows = [{"delivery": a.delivery.name, "table": r.table, "rows": r.rows, "new": r.new, "changed": r.changed}
            for a in arrivals for r in a.loaded]  # fmt: skip
    read = sum(r.rows for a in arrivals for r in a.loaded)
    return dg.MaterializeResult(
        metadata={"deliveries": len(arrivals), "dagster/row_count": read, "files": _markdown(rows)}
    )


def run(context: dg.AssetExecutionContext, place: Place) -> dg.MaterializeResult:
    """Bill everything owed up to the target date, as drafts; what was billed before is left alone."""
    with _opened(context, place, "run") as (book, day, step):
        receipt = make_drafts(book, day, progress=step.progress)
        step.billed(receipt)
        runs = nightly_runs(book, day).filter(target_date=day)
    parked = receipt.documents.parked_accounts
    check = dg.AssetCheckResult(
        passed=parked.is_empty(), check_name=PARKED, severity=dg.AssetCheckSeverity.WARN,
        description=f"Accounts parked: {parked.height:,}",
        metadata={"accounts": _table(parked.select("account_number", "step", "reason"))},
    )  # fmt: skip
    return dg.MaterializeResult(metadata=_of_run(receipt, runs), check_results=[check])


def promises(context: dg.AssetCheckExecutionContext, place: Place) -> Iterator[dg.AssetCheckResult]:
    """Recompute every promise over the whole book, and make the drafts again: what is broken is not posted."""
    with _opened(context, place, "verify") as (book, day, step):
        proof = prove(book, day, progress=step.progress)
        step.proved(proof)
    for v in proof.verdicts:
        query = dg.MetadataValue.md(f"```sql\n{v.query}\n```")
        yield dg.AssetCheckResult(
            passed=v.holds, check_name=check_name(v.promise), asset_key="run",
            metadata={"broken": v.count, "rows": _table(v.broken), "query": query},
        )  # fmt: skip
    again = [{"run": r.bill_run_number, "table": t.table, "rows": t.rows, "result": t.result, "what differs": t.said}
             for r in proof.replays for t in r.tables]  # fmt: skip
    holds = all(r.holds for r in proof.replays)
    yield dg.AssetCheckResult(passed=holds, check_name=REPLAY, asset_key="run", metadata={"tables": _markdown(again)})


def post(context: dg.AssetExecutionContext, place: Place) -> dg.MaterializeResult:
    """Make drafts final, also those that an earlier night left behind; without `post`, leave them."""
    with _opened(context, place, "post") as (book, day, step):
        receipts = post_drafts(book, day) if place.post else []
        step.posted(receipts)
        left = drafts(book, day)
    documents = sum(r.documents.invoices.height + r.documents.credit_memos.height for r in receipts)
    posted = ", ".join(str(r.bill_run_number) for r in receipts)
    waiting = ", ".join(left)
    return dg.MaterializeResult(metadata={"posted": posted, "dagster/row_count": documents, "left as drafts": waiting})


def report(context: dg.AssetExecutionContext, place: Place) -> dg.MaterializeResult:
    """Write the report of the run, and of those before it that have none."""
    with _opened(context, place, "report") as (book, day, step):
        pages = write_reports(book, day, Path(place.reports), progress=step.progress)
        step.reported(pages)
    written = {page.name: dg.MetadataValue.path(str(page.resolve())) for page in pages}
    return dg.MaterializeResult(metadata={"pages": len(pages), **written})


def export(context: dg.AssetExecutionContext, place: Place) -> dg.MaterializeResult:
    """Write the book as plain Parquet files, in place of those of the night before."""
    with _opened(context, place, "export") as (book, _, step):
        export_book(book, Path(place.export), replace=True, progress=step.progress)
    return dg.MaterializeResult(metadata={"folder": dg.MetadataValue.path(str(Path(place.export).resolve()))})


def check_name(promise: str) -> str:
    """A promise as Dagster can name it: `sums: headers` becomes `sums_headers`."""
    return re.sub(r"\W+", "_", promise)


def definitions(place: Place, *, hour: int = 2, first_day: str = "2024-01-01") -> dg.Definitions:
    """Assets, checks, and a schedule for a book that is there already: it says in which time zone its nights are."""
    zone = place.time_zone()
    days = dg.DailyPartitionsDefinition(start_date=first_day, timezone=zone, end_offset=1)
    parked = dg.AssetCheckSpec(PARKED, asset="run", description="Everybody who owes something was billed.")
    assets = [
        _asset(load, days),
        _asset(run, days, "load", [parked]),
        _asset(post, days, "run"),
        _asset(report, days, "post"),
    ]
    assets += [_asset(export, days, "post")] if place.export else []
    job = dg.define_asset_job(JOB, dg.AssetSelection.assets(*assets), description="Everything, once a night.")
    return dg.Definitions(
        assets=assets, asset_checks=[dg.multi_asset_check(specs=_specs())(promises)], jobs=[job],
        schedules=[_schedule(zone, hour)], resources={"place": place}, executor=dg.in_process_executor,
    )  # fmt: skip


def _asset(
    step: Callable[..., dg.MaterializeResult],
    days: dg.DailyPartitionsDefinition,
    after: str = "",
    checks: Sequence[dg.AssetCheckSpec] = (),
) -> dg.AssetsDefinition:
    made = dg.asset(
        partitions_def=days, group_name="night", deps=[after] if after else [], check_specs=checks, kinds={"billfold"}
    )
    return made(step)


def _specs() -> list[dg.AssetCheckSpec]:
    """A check for each promise. Nothing is posted unless they all hold, since what is posted never changes."""
    said = {check_name(p.name): p.says for p in all_promises()}
    said[REPLAY] = "A run of drafts, made again from what it read, gives the same bytes."
    return [dg.AssetCheckSpec(name, asset="run", blocking=True, description=says) for name, says in said.items()]


def _schedule(zone: str, hour: int) -> dg.ScheduleDefinition:
    """Every night, up to the day that has just begun where the book is kept."""

    @dg.schedule(
        job_name=JOB, cron_schedule=f"0 {hour} * * *", execution_timezone=zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )  # fmt: skip
    def nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = f"{context.scheduled_execution_time.astimezone(ZoneInfo(zone)):%Y-%m-%d}"
        return dg.RunRequest(run_key=day, partition_key=day)

    return nightly


def _of_run(receipt: Receipt, runs: pl.DataFrame) -> dict[str, Any]:
    """What was billed up to the day, by whichever try: a repeated night shows the same figures."""
    sums = [{"run": r["bill_run_number"], "status": r["status"], "currency": currency, **amounts}
            for r in runs.to_dicts() for currency, amounts in json.loads(r["amounts"]).items()]  # fmt: skip
    counts = ("invoices", "credit_memos", "accounts_billed", "accounts_nothing_due", "parked_accounts")
    made = receipt.documents.invoice_items.height + receipt.documents.credit_memo_items.height
    return {
        "runs": _markdown(sums), "dagster/row_count": int(runs["items"].sum()),
        **{count: int(runs[count].sum()) for count in counts},
        "made by this try": receipt.bill_run_number or "nothing: nothing was due that was not billed before",
        "lines a second": round(made / receipt.seconds) if receipt.seconds else 0, "snapshot": receipt.snapshot_id,
    }  # fmt: skip


def _table(rows: pl.DataFrame) -> dg.MarkdownMetadataValue:
    return _markdown(rows.head(_SHOWN).to_dicts(), more=rows.height - _SHOWN)


def _markdown(rows: Sequence[dict[str, Any]], more: int = 0) -> dg.MarkdownMetadataValue:
    """Rows as a table for Dagster's page."""
    if not rows:
        return dg.MetadataValue.md("none")
    lines = [" | ".join(rows[0]), " | ".join("---" for _ in rows[0])]
    lines += [
        " | ".join(str("" if v is None else v).replace("|", "\\|").replace("\n", " ") for v in r.values()) for r in rows
    ]
    return dg.MetadataValue.md(
        "\n".join(f"| {line} |" for line in lines) + (f"\n\n… and {more:,} more" if more > 0 else "")
    )


def of_environment() -> dg.Definitions:
    """The definitions as the environment has them."""
    hour, first = int(os.environ.get("BILLFOLD_HOUR", "2")), os.environ.get("BILLFOLD_FIRST_DAY", "2024-01-01")
    return definitions(Place.of_environment(), hour=hour, first_day=first)
