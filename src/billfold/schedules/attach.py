"""`schedule detach` and `attach`: charges go back to bill runs, and come again (spec/schedules.md 5.3, 5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from billfold.book import Change, Commit, State
from billfold.orders.errors import OrderError, reason
from billfold.rows import Only, collected
from billfold.schedules import answers
from billfold.schedules.consumption import SCHEDULE
from billfold.schedules.create import by_key, stored
from billfold.schedules.lines import with_actual
from billfold.schedules.standing import first_pending, stand
from billfold.schedules.units import CHARGE, units_of
from billfold.schedules.update import reviewed
from billfold.schedules.view import view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billfold.book import Book
    from billfold.lines import Schedules
    from billfold.orders.parsing import Parsed
    from billfold.schedules.models import AttachDetach
    from billfold.schedules.view import View

_BEGUN: Final = ("PartiallyProcessed", "FullyProcessed")


def detach(book: Book, key: str, asked: Parsed[AttachDetach]) -> dict[str, Any]:
    """Give charges of a schedule back to bill runs: these bill and credit them by period from here on.

    Raises:
        BillfoldError: there is no such schedule, or the book can't be written.
        ConflictError: another commit came first.
    """
    return _changed(book, key, asked, _detached)


def attach(book: Book, key: str, asked: Parsed[AttachDetach]) -> dict[str, Any]:
    """Let a schedule bill charges again that were detached from it.

    Raises:
        BillfoldError: there is no such schedule, or the book can't be written.
        ConflictError: another commit came first.
    """
    return _changed(book, key, asked, _attached)


def _changed(book: Book, key: str, asked: Parsed[AttachDetach], how: Any) -> dict[str, Any]:  # noqa: ANN401 - one of two functions
    if asked.request is None:
        return answers.failure(asked.reasons)
    state = State.of(book)
    was = by_key(state, key)
    number, status = was.headers["number"][0], was.headers["status"][0]
    try:
        _check_status(number, status)
        named = _named(was.charges, asked.request)
        seen = view(state, was.charges["subscription_number"])
        links, more = how(state, was, named, seen)
    except OrderError as e:
        return answers.failure([reason(e.category, str(e))])
    headers, items = stand(was.headers, was.items, links, seen.money)
    headers = _with_day(headers, items)
    frames = {"invoice_schedules": headers, "invoice_schedule_items": items, "invoice_schedule_charges": links}
    changes = [Change(t, rows, replace=True) for t, rows in frames.items()]
    book.commit(state.head, Commit(f"schedule {number}", [*changes, *more]))
    return answers.body(*stored(State.of(book), number))


def _check_status(number: str, status: str) -> None:
    if status not in _BEGUN:
        words = "only PartiallyProcessed or FullyProcessed schedules give charges back and take them again"
        raise OrderError("", f"{number} is {status}: {words}.")


def _named(links: pl.DataFrame, request: AttachDetach) -> list[tuple[str, str]]:
    """The charges that are named, and where.

    Raises:
        OrderError: one of them is not in the schedule.
    """
    found: list[tuple[str, str]] = []
    for n, each in enumerate(request.specificSubscriptions):
        path = f"specificSubscriptions[{n}]"
        own = links.filter(order_number=each.orderKey, subscription_number=each.subscriptionKey)
        if own.is_empty():
            said = f"names {each.subscriptionKey!r} of order {each.orderKey!r}, of which the schedule has no charge."
            raise OrderError(f"{path}.subscriptionKey", said)
        for place, charge in enumerate(each.chargeNumbers):
            if charge not in own["charge_number"]:
                raise OrderError(f"{path}.chargeNumbers[{place}]", f"names {charge!r}, which is not in the schedule.")
        numbers = each.chargeNumbers or own["charge_number"].to_list()
        found += [(charge, path) for charge in numbers]
    return found


def _detached(
    state: State, was: Schedules, named: Sequence[tuple[str, str]], seen: View
) -> tuple[pl.DataFrame, list[Change]]:
    """Links without the named charges, and how far runs take these for billed."""
    _refuse_drafts(state, was.headers["number"][0])
    for charge, path in named:
        if was.charges.filter(charge_number=charge)["is_detached"][0]:
            raise OrderError(path, f"names {charge!r}, which is detached already.")
    is_named = pl.col("charge_number").is_in([c for c, _ in named])
    done = was.items.filter(status="Processed").height
    days = _billed_days(state, was.charges.filter(is_named))
    stood = _progressed(state, named).rename({"through": "progressed"})
    links = (
        was.charges.join(days, on="charge_number", how="left", maintain_order="left")
        .join(stood, on="charge_number", how="left", maintain_order="left")
        .with_columns(
            is_detached=pl.col("is_detached") | is_named,
            actual_amount=pl.when(is_named).then("billed_amount").otherwise("actual_amount"),
            detached_after=pl.when(is_named).then(done).otherwise("detached_after"),
            detached_through=pl.when(is_named).then(pl.coalesce("through", "progressed")).otherwise("detached_through"),
        )
        .select(was.charges.columns)
    )
    given = links.filter(is_named)
    return links, [*_progress(state, given, seen), *reviewed(state, given)]


def _attached(
    state: State, was: Schedules, named: Sequence[tuple[str, str]], seen: View
) -> tuple[pl.DataFrame, list[Change]]:
    """Links with the named charges again."""
    is_named = pl.col("charge_number").is_in([c for c, _ in named])
    links = was.charges.with_columns(is_detached=pl.col("is_detached") & ~is_named)
    units = units_of(links.filter(is_named), seen.charges, seen.discounts, seen.money)
    again = with_actual(links, units.units) if not units.units.is_empty() else links
    done = was.items.filter(status="Processed").height
    known = again.join(_progressed(state, named), on="charge_number", how="left", maintain_order="left")
    rows = {r["charge_number"]: r for r in known.iter_rows(named=True)}
    before = {r["charge_number"]: r for r in was.charges.iter_rows(named=True)}
    for charge, path in named:
        _check_again(before[charge], rows[charge], path, done)
    blank = {"detached_after": pl.lit(None, dtype=pl.Int64), "detached_through": pl.lit(None, dtype=pl.Date)}
    fresh = again.with_columns(pl.when(is_named).then(e).otherwise(c).alias(c) for c, e in blank.items())
    kept = links.join(fresh.filter(is_named).select(*CHARGE, actual="actual_amount"), on=CHARGE, how="left",
                      maintain_order="left")  # fmt: skip
    after = fresh.with_columns(actual_amount=pl.coalesce(kept["actual"], kept["actual_amount"]))
    return after, [*_unbilled(state, after.filter(is_named), seen), *reviewed(state, after.filter(is_named))]


def _progressed(state: State, named: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """How far runs take charges for billed."""
    only = Only(among=pl.Series("charge_number", [c for c, _ in named]))
    progress = collected(state.read("charge_progress", only))
    return progress.group_by("charge_number").agg(through=pl.col("charged_through_date").max())


def _check_again(before: dict[str, Any], now: dict[str, Any], path: str, done: int) -> None:
    """Only what was detached, and is as it was then, can be attached again."""
    charge = before["charge_number"]
    if not before["is_detached"]:
        raise OrderError(path, f"names {charge!r}, which is not detached.")
    if before["detached_after"] != done:
        raise OrderError(path, f"names {charge!r}, but an item was processed since it was detached.")
    if now["through"] != before["detached_through"]:
        raise OrderError(path, f"names {charge!r}, which was billed since it was detached.")
    if now["actual_amount"] != before["total_amount"]:
        raise OrderError(path, f"names {charge!r}, whose amount has changed.")


def _refuse_drafts(state: State, number: str) -> None:
    """Charges are detached when everything that the schedule billed is final."""
    for kind in ("invoice", "credit_memo"):
        drafts = state.read(f"{kind}s").filter(status="Draft")
        items = state.read(f"{kind}_items").filter(pl.col(SCHEDULE) == number)
        found = collected(
            drafts.join(items, on=f"{kind}_id", how="semi").select(f"{kind}_number").sort(f"{kind}_number")
        )
        if found.height:
            said = f"{number} has the draft {found[0, 0]}: post or cancel it before charges are detached."
            raise OrderError("", said)


def _billed_days(state: State, links: pl.DataFrame) -> pl.DataFrame:
    """Up to which day, exclusive, items of charges reach that were not taken back; null for those without any."""
    number = links[SCHEDULE][0]
    found = []
    for kind in ("invoice", "credit_memo"):
        canceled = state.read(f"{kind}s").filter(status="Canceled")
        items = state.read(f"{kind}_items", Only(among=pl.Series(SCHEDULE, [number]))).filter(processing_type="Charge")
        counting = items.join(canceled, on=f"{kind}_id", how="anti")
        found.append(
            counting.select("charge_number", "service_start_date", "service_end_date", "applied_to_item_id", "segment")
        )
    is_credit = pl.col("applied_to_item_id").is_not_null()
    days = collected(pl.concat(found)).group_by("charge_number").agg(
        reached=pl.col("service_end_date").filter(~is_credit).max().dt.offset_by("1d"),
        credited=pl.col("service_start_date").filter(is_credit).min(),
    )  # fmt: skip
    return days.select("charge_number", through=pl.min_horizontal("reached", "credited"))


def _progress(state: State, links: pl.DataFrame, seen: View) -> list[Change]:
    """How far detached charges are billed, segment by segment, and on which terms."""
    days = links.select("charge_number", "detached_through").drop_nulls()
    segments = seen.charges.join(days, on="charge_number").filter(pl.col("start") < pl.col("detached_through"))
    following = pl.col("start").shift(-1).over("charge_number", order_by="segment")
    rows = segments.with_columns(
        through=pl.min_horizontal("detached_through", following.fill_null(pl.date(9999, 12, 31)))
    )
    return _as_progress(state, rows, pl.col("through"))


def _unbilled(state: State, links: pl.DataFrame, seen: View) -> list[Change]:
    """Charges that a schedule bills again: runs billed them up to the days that it covers, or not at all."""
    only = Only(among=links["charge_number"])
    covered = links.select("charge_number", "from_date")
    progress = collected(state.read("charge_progress", only))
    known = progress.join(covered, on="charge_number", maintain_order="left").join(
        seen.charges.select("charge_number", "segment", "start"), on=["charge_number", "segment"], how="left",
        maintain_order="left",
    )  # fmt: skip
    before = pl.when(pl.col("start") < pl.col("from_date")).then("from_date")
    rows = known.with_columns(charged_through_date=before, next_due_date=pl.lit(None, dtype=pl.Date)).select(
        progress.columns
    )
    return [Change("charge_progress", rows, replace=True)] if rows.height else []


def _as_progress(state: State, rows: pl.DataFrame, through: pl.Expr) -> list[Change]:
    blank = {"next_due_date": pl.lit(None, dtype=pl.Date), "bill_run_number": pl.lit(None, dtype=pl.String)}
    schema = state.read("charge_progress").collect_schema()
    told = rows.with_columns(charged_through_date=through, **blank)
    found = told.select(pl.col(c).cast(t) for c, t in schema.items()).sort("charge_number", "segment")
    return [Change("charge_progress", found, replace=True)] if found.height else []


def _with_day(headers: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """The next run date stays, unless nothing is left for it: no pending item, and no credit."""
    pending = first_pending(items).height > 0
    idle = not pending and headers["unbilled_amount"][0] == 0
    return headers.with_columns(next_run_date=pl.lit(None, dtype=pl.Date)) if idle else headers
