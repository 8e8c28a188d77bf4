"""Step 1: the book at one snapshot, lazily, narrowed to what this run asks for and to what may be due."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.ceilings import NO_CEILING
from billfold.lines import LAST_BILL, SCHEDULED, UNBILLED, Inputs
from billfold.rows import Only, collected
from billfold.schedules.due import also_billed, covered, due_schedules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from billfold.lines import Part, Schedules
    from billfold.requests import RunRequest

    Read = Callable[..., pl.LazyFrame]

_CHARGE: Final = ["charge_number", "segment"]
_OF_ITEMS: Final = (
    "charge_number", "segment", "charge_name", "service_start_date", "service_end_date", "amount",
    "applied_to_item_id", "processing_type", "invoice_schedule_number",
)  # fmt: skip


def load(read: Read, settings: Mapping[str, str], request: RunRequest, part: Part | None = None) -> Inputs:
    """Tables of one snapshot, filtered to the accounts and kinds of lines that are asked for, and to a part of them."""
    near = part.read if part else read
    accounts, subscriptions, order_lines = near("accounts"), near("subscriptions"), near("order_line_items")
    own = _of_orders(read, request.orders) if request.orders else None
    due = due_schedules(read, settings, request, own)
    also = also_billed(read, due, request)
    if part:
        known = collected(part.charges())
        to_review, work, charges = known.filter("is_reviewed").select(_CHARGE), known.height, known.lazy()
    else:
        to_review = collected(read("charges_to_review"))
        awake = _awake(read, to_review, request, own, also)
        charges, work = _with_progress(read, awake, to_review), _work(awake, order_lines, request)
    charges = _beside_schedules(charges, collected(covered(read, None if part else awake)))
    charges = charges.filter(~pl.col("charge_type").is_in(request.excluded_charge_types))
    late = _late_usage(read, near)
    return Inputs(
        accounts=selected(accounts.filter("is_billed") if part else accounts, request),
        all_accounts=accounts,
        subscriptions=subscriptions,
        charged=subscriptions,
        rate_plan_charges=charges if request.subscriptions else charges.clear(),
        discounts=_of_kind(near, "charge_model", "DiscountPercentage"),
        usage_charges=lambda: _of_kind(near, "charge_type", "Usage"),
        usage=_usage(read, part, late),
        processed=lambda ids: _processed(read, ids),
        order_line_items=order_lines,
        items=_items_that_count(read),
        billed_order_lines=part.billed_order_lines() if part else _billed_order_lines(read),
        invoice_groups=collected(read("invoice_groups")),
        last_bills=_last_bills(read, settings, request),
        to_review=to_review,
        late_usage=late,
        settings=settings,
        request=request,
        currencies=_currencies(accounts, subscriptions, order_lines),
        schedules=due,
        scheduled_charges=of_schedules(read, due),
        also_billed=also,
        work=work,
    )


def _usage(read: Read, part: Part | None, late: pl.DataFrame) -> Callable[[date, date], pl.LazyFrame]:
    """Usage by its days, without records that came after their period was billed for good."""
    closed = late.filter(~pl.col("is_open"))["usage_id"]

    def usage(first: date, last: date) -> pl.LazyFrame:
        window = part.usage(first, last) if part else None
        if window is None:
            window = read("usage", only=Only(between={"start_date": (first, last)}))
        return window.filter(~pl.col("usage_id").is_in(closed.implode())) if closed.len() else window

    return usage


def _work(awake: pl.Series, lines: pl.LazyFrame, request: RunRequest) -> int:
    """How many charges and order lines there are to look at, about."""
    if request.orders:
        lines = lines.filter(pl.col("order_number").is_in(request.orders))
    return awake.len() + int(collected(lines.select(pl.len())).item())


def _of_orders(read: Read, orders: Sequence[str]) -> pl.Series:
    """Numbers of the charges of subscriptions that some orders made or changed."""
    named = Only(among=pl.Series("order_number", orders))
    changed = collected(read("order_actions", only=named).select("subscription_number"))["subscription_number"].unique()
    return collected(read("rate_plan_charges", only=Only(among=changed)).select("charge_number"))["charge_number"]


def _currencies(*tables: pl.LazyFrame) -> list[str]:
    found = pl.concat(t.select("currency").unique() for t in tables).drop_nulls().unique().sort("currency")
    return collected(found)["currency"].to_list()


def _awake(
    read: Read, to_review: pl.DataFrame, request: RunRequest, own: pl.Series | None, also: pl.DataFrame
) -> pl.Series:
    """Numbers of the charges that may owe something: those that are due, and those that changed.

    `own` are those that the run is limited to, if any; `also` has subscriptions that are billed beyond the target date.
    """
    if request.schedules:
        return _due_later(read, to_review, also)
    only = Only(between={"next_due_date": (None, request.target_date)})
    if own is not None:
        only, to_review = replace(only, among=own), Only(among=own).of(to_review.lazy()).collect()
    due = collected(read("charge_progress", only=only).select("charge_number"))
    found = pl.concat([due["charge_number"], to_review["charge_number"]])
    return pl.concat([found, _due_later(read, to_review, also)]).unique() if also.height else found


def _due_later(read: Read, to_review: pl.DataFrame, also: pl.DataFrame) -> pl.Series:
    """Charges of some subscriptions that may owe something up to a day of their own."""
    theirs = read("rate_plan_charges", only=Only(among=also["subscription_number"])).select("charge_number")
    numbers = collected(theirs)["charge_number"].unique()
    only = Only(among=numbers, between={"next_due_date": (None, also["until"].max())})  # type: ignore[dict-item]
    due = collected(read("charge_progress", only=only).select("charge_number"))
    changed = to_review.filter(pl.col("charge_number").is_in(numbers.implode()))
    return pl.concat([due["charge_number"], changed["charge_number"]]).unique()


def of_schedules(read: Read, due: Schedules) -> pl.LazyFrame:
    """Segments of the charges of schedules, as if nothing of them was billed by period."""
    only = Only(among=due.charges["charge_number"].unique())
    nothing = {c: pl.lit(None, dtype=t) for c, t in (UNBILLED | SCHEDULED).items()}
    return read("rate_plan_charges", only=only).with_columns(**nothing, is_reviewed=pl.lit(value=False))


def _with_progress(read: Read, awake: pl.Series, to_review: pl.DataFrame) -> pl.LazyFrame:
    """All segments of these charges, since they share a grid, with how far they were billed and on what terms."""
    reviewed = to_review.lazy().with_columns(is_reviewed=pl.lit(value=True))
    progress = (
        read("charge_progress", only=Only(among=awake))
        .join(reviewed, on=_CHARGE, how="left")
        .select(
            *_CHARGE, "is_reviewed", billed_through="charged_through_date", billed_price="price",
            billed_quantity="quantity", billed_tiers="tiers", billed_by="bill_run_number",
        )
    )  # fmt: skip
    charges = read("rate_plan_charges", only=Only(among=awake)).filter(pl.col("charge_model") != "DiscountPercentage")
    known = charges.join(progress, on=_CHARGE, how="left")
    return known.with_columns(pl.col("is_reviewed").fill_null(value=False))


def _beside_schedules(charges: pl.LazyFrame, spans: pl.DataFrame) -> pl.LazyFrame:
    """Charges with the days that schedules bill. Most books have none, and joining costs the same."""
    if spans.is_empty():
        return charges.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in SCHEDULED.items())
    return charges.join(spans.lazy(), on="charge_number", how="left")


def _of_kind(read: Read, column: str, value: str) -> pl.LazyFrame:
    """Charges with a value in a column."""
    return read("rate_plan_charges", only=Only(among=pl.Series(column, [value])))


TO_SELECT: Final = Only(columns=("account_number", "status", "batch", "bill_cycle_day"))
"""What of accounts says which ones a run bills."""


def selected(accounts: pl.LazyFrame, request: RunRequest) -> pl.LazyFrame:
    """The accounts that a run bills."""
    chosen = accounts.filter(status="Active")
    if request.accounts:
        chosen = chosen.filter(pl.col("account_number").is_in(request.accounts))
    if request.batches:
        chosen = chosen.filter(pl.col("batch").is_in(request.batches))
    if request.bill_cycle_days:
        chosen = chosen.filter(pl.col("bill_cycle_day").is_in(request.bill_cycle_days))
    return chosen


def _items_that_count(read: Read) -> pl.LazyFrame:
    """Items of charges on documents that were not canceled, with amounts as they are owed: memos with a minus.

    Those that `is_scheduled` marks are their schedule's affair: runs credit them by schedule, not by period.
    """
    frames = []
    for documents, items, key, sign in (
        ("invoices", "invoice_items", "invoice", 1),
        ("credit_memos", "credit_memo_items", "credit_memo", -1),
    ):
        canceled = read(documents).filter(status="Canceled").select(f"{key}_id")
        told = read(items).select(f"{key}_id", *_OF_ITEMS, item_id=f"{key}_item_id")
        counting = told.join(canceled, on=f"{key}_id", how="anti").drop(f"{key}_id")
        frames.append(counting.with_columns(pl.col("amount") * sign))
    attached = (
        read("invoice_schedule_charges")
        .filter(~pl.col("is_detached"))
        .select("invoice_schedule_number", "charge_number", is_scheduled=pl.lit(value=True))
    )
    known = pl.concat(frames).join(attached, on=["invoice_schedule_number", "charge_number"], how="left")
    return known.with_columns(pl.col("is_scheduled").fill_null(value=False))


def _last_bills(read: Read, settings: Mapping[str, str], request: RunRequest) -> pl.DataFrame:
    """The net amount of every account's latest run by currency, if changes have a ceiling."""
    if settings["change_ceiling"] == NO_CEILING or not request.ceilings:
        return LAST_BILL.to_frame()
    headers = [
        read(f"{kind}s").select(*LAST_BILL, "status").with_columns(pl.col("amount") * sign)
        for kind, sign in (("invoice", 1), ("credit_memo", -1))
    ]
    bills = pl.concat(headers).filter(pl.col("status") != "Canceled")
    latest = pl.col("bill_run_number") == pl.col("bill_run_number").max().over("account_number", "currency")
    by = ["account_number", "currency", "bill_run_number"]
    return collected(bills.filter(latest).group_by(by).agg(pl.col("amount").sum()).sort(by))


def _billed_order_lines(read: Read) -> pl.LazyFrame:
    """Order lines on documents that were not canceled."""
    frames = []
    for documents, items, key in (
        ("invoices", "invoice_items", "invoice_id"),
        ("credit_memos", "credit_memo_items", "credit_memo_id"),
    ):
        canceled = read(documents).filter(status="Canceled").select(key)
        lines = read(items).filter(source_type="OrderLineItem").select(key, "order_number", "item_number")
        frames.append(lines.join(canceled, on=key, how="anti").drop(key))
    return pl.concat(frames).unique()


def _processed(read: Read, usage_ids: pl.Series) -> pl.Series:
    """Those of some usage records that runs which count have billed."""
    canceled = read("bill_runs").filter(status="Canceled").select("bill_run_number")
    rows = read("processed_usage", only=Only(among=usage_ids)).join(canceled, on="bill_run_number", how="anti")
    return collected(rows.select("usage_id"))["usage_id"]


def _late_usage(read: Read, near: Read) -> pl.DataFrame:
    """Usage that was loaded after its period was billed; `is_open` says that the period can be billed again.

    A canceled run may leave a charge that was never billed, here or elsewhere: then every period is open.
    """
    late = collected(read("late_usage"))
    if late.is_empty():
        return late.with_columns(is_open=pl.lit(value=True))
    only = Only(among=late["charge_number"].unique())
    billed = read("charge_progress", only=only).select(*_CHARGE, through="charged_through_date")
    before = near("rate_plan_charges", only=only).select(*_CHARGE, before="charged_through_date")
    joined = (
        late.lazy()
        .join(billed, on=_CHARGE, how="left", maintain_order="left")
        .join(before, on=_CHARGE, how="left", maintain_order="left")
    )
    through = pl.coalesce("through", "before")
    is_open = (through <= pl.col("start_date")).fill_null(value=True)
    return collected(joined.with_columns(is_open=is_open).drop("through", "before"))
