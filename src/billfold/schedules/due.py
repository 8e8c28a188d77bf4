"""Which schedules a run bills, and what it has to know of the others: read at one snapshot (docs/schedules.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.lines import ALSO_BILLED, Schedules
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from billfold.requests import RunRequest

    Read = Callable[..., pl.LazyFrame]

NUMBER: Final = "invoice_schedule_number"


def due_schedules(
    read: Read, settings: Mapping[str, str], request: RunRequest, among: pl.Series | None = None
) -> Schedules:
    """The schedules that are due on the target date, or that the request names; `among` some charges' if given."""
    if not request.subscriptions:
        return Schedules.none()
    if request.schedules:
        only = Only(among=pl.Series("number", request.schedules))
    else:
        only = Only(between={"next_run_date": (None, request.target_date)})
    headers = collected(read("invoice_schedules", only=only).sort("number"))
    if request.schedules or settings["paused_schedules"] == "skipped":
        headers = headers.filter(pl.col("status") != "Paused")
    found = whole_schedules(read, headers)
    left_out = _left_out(read, found, request)
    if among is not None:
        concerned = found.charges.filter(pl.col("charge_number").is_in(among.implode()))[NUMBER]
        left_out = pl.concat([left_out, found.charges.filter(~pl.col(NUMBER).is_in(concerned.implode()))[NUMBER]])
    if left_out.is_empty():
        return found
    return found.among(headers.filter(~pl.col("number").is_in(left_out.implode()))["number"])


def whole_schedules(read: Read, headers: pl.DataFrame) -> Schedules:
    """Schedules with all their items and charges."""
    if headers.is_empty():
        return Schedules.none()
    theirs = Only(among=headers["number"].alias(NUMBER))
    items = collected(read("invoice_schedule_items", only=theirs).sort(NUMBER, "sequence_number"))
    return Schedules(headers, items, collected(read("invoice_schedule_charges", only=theirs).sort(NUMBER, "position")))


def covered(read: Read, charges: pl.Series | None = None) -> pl.LazyFrame:
    """From when to when schedules bill charges instead of their periods: charge_number, scheduled_from and _through.

    Terms that follow each other are one such span. Of several, it is the last; `scheduled_before` is the end of the one
    before it.
    """
    only = Only(among=None if charges is None else charges.alias("charge_number"))
    links = read("invoice_schedule_charges", only=only)
    spans = links.filter(~pl.col("is_detached")).sort("charge_number", "from_date")
    apart = pl.col("from_date") > pl.col("through_date").shift(1).over("charge_number")
    numbered = spans.with_columns(span=apart.fill_null(value=False).cast(pl.Int32).cum_sum().over("charge_number"))
    whole = numbered.group_by("charge_number", "span").agg(
        scheduled_from=pl.col("from_date").min(), scheduled_through=pl.col("through_date").max()
    )
    ordered = whole.sort("charge_number", "span").group_by("charge_number", maintain_order=True)
    return ordered.agg(
        pl.col("scheduled_from", "scheduled_through").last(),
        scheduled_before=pl.col("scheduled_through").shift(1).last(),
    )


def also_billed(read: Read, due: Schedules, request: RunRequest) -> pl.DataFrame:
    """Subscriptions that due items bring along, of the schedule's account, up to a day after the target date."""
    told = due.headers.filter(pl.col("additional_subscriptions_to_bill").str.len_chars() > len("[]"))
    if told.is_empty():
        return ALSO_BILLED.to_frame()
    pending = due.items.filter(pl.col("status") != "Processed")
    is_next = pl.col("sequence_number") == pl.col("sequence_number").min().over(NUMBER)
    is_due = is_next if request.schedules else is_next | (pl.col("run_date") <= request.target_date)
    day = pl.coalesce("target_date_for_additional_subscriptions", "run_date")
    days = pending.filter(is_due.fill_null(value=False)).group_by(number=NUMBER).agg(until=day.max())
    listed = (
        told.join(days, on="number")
        .with_columns(
            subscription_number=pl.col("additional_subscriptions_to_bill").str.json_decode(pl.List(pl.String))
        )
        .explode("subscription_number")
    )
    wanted = Only(among=listed["subscription_number"].unique())
    owned = collected(read("subscriptions", only=wanted).select("subscription_number", "account_number"))
    latest = listed.join(owned, on=["subscription_number", "account_number"]).group_by(
        "subscription_number", "account_number"
    ).agg(pl.col("until").max())  # fmt: skip
    after = latest if request.schedules else latest.filter(pl.col("until") > request.target_date)
    return after.sort("subscription_number").select(pl.col(c).cast(t) for c, t in ALSO_BILLED.items())


def _left_out(read: Read, due: Schedules, request: RunRequest) -> pl.Series:
    """Schedules with charges of types that the run leaves out."""
    types = [t for t in request.excluded_charge_types if t != "Usage"]
    if not types or due.headers.is_empty():
        return pl.Series(NUMBER, [], pl.String)
    numbers = Only(among=due.charges["charge_number"].unique())
    excluded = collected(
        read("rate_plan_charges", only=numbers).filter(pl.col("charge_type").is_in(types)).select("charge_number")
    )
    attached = due.charges.filter(~pl.col("is_detached"))
    return attached.join(excluded, on="charge_number", how="semi")[NUMBER].unique()
