"""What a load or an order makes of schedules: the amounts of their charges move, and perhaps the next run date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from billfold.book import Change
from billfold.rows import Only, collected
from billfold.schedules.consumption import SCHEDULE
from billfold.schedules.due import whole_schedules
from billfold.schedules.lines import with_actual
from billfold.schedules.standing import first_pending, stand
from billfold.schedules.units import CHARGE, units_of
from billfold.schedules.view import view

if TYPE_CHECKING:
    from billfold.book import State
    from billfold.lines import Schedules


def schedule_changes(after: State, subscriptions: pl.Series) -> list[Change]:
    """Rows of schedules that follow from changed subscriptions (or from charges of theirs), in the state after that."""
    only = Only(among=subscriptions.alias("subscription_number"))
    links = collected(after.read("invoice_schedule_charges", only).filter(~pl.col("is_detached")))
    if links.is_empty():
        return []
    named = Only(among=links[SCHEDULE].unique().alias("number"))
    was = whole_schedules(after.read, collected(after.read("invoice_schedules", named).sort("number")))
    seen = view(after, was.charges["subscription_number"])
    attached = was.charges.filter(~pl.col("is_detached"))
    units = units_of(attached, seen.charges, seen.discounts, seen.money).units
    known = attached.join(seen.charges, on="charge_number", how="semi")
    unseen = attached.join(known, on=CHARGE, how="anti")[SCHEDULE].unique()
    links = with_actual(was.charges, units)
    headers, items = stand(was.headers, was.items, links, seen.money)
    moved = _with_days(was, headers, items, links, _reduced_from(was.charges, links, units, seen.charges))
    owned = _with_owner(after, moved, links)
    frames = {
        "invoice_schedules": (was.headers, owned, ["number"]),
        "invoice_schedule_items": (was.items, items, ["item_id"]),
        "invoice_schedule_charges": (was.charges, links, CHARGE),
    }
    # A charge that nobody pays for just now has no total; its schedule stays as it is until somebody does.
    found = []
    for table, (old, new, keys) in frames.items():
        name = "number" if table == "invoice_schedules" else SCHEDULE
        rows = new.filter(~pl.col(name).is_in(unseen.implode()))
        changed = rows.join(old, on=rows.columns, how="anti", nulls_equal=True).sort(keys)
        found.append(Change(table, changed, replace=True))
    return [c for c in found if c.rows.height]


def _reduced_from(was: pl.DataFrame, now: pl.DataFrame, units: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """The day from which a schedule bills less: the end of a charge now, or its start if nothing is left of it."""
    ends = units.group_by(CHARGE).agg(until=pl.col("until").max())
    starts = charges.group_by("charge_number").agg(start=pl.col("start").min())
    return (
        now.join(was.select(*CHARGE, before="actual_amount"), on=CHARGE, maintain_order="left")
        .filter(pl.col("actual_amount") < pl.col("before"))
        .join(ends, on=CHARGE, how="left", maintain_order="left")
        .join(starts, on="charge_number", how="left", maintain_order="left")
        .group_by(number=SCHEDULE)
        .agg(reduced=pl.coalesce("until", "start", "from_date").min())
    )


def _with_days(
    was: Schedules, now: pl.DataFrame, items: pl.DataFrame, links: pl.DataFrame, reduced: pl.DataFrame
) -> pl.DataFrame:
    """Headers whose next run is pulled to the day of a reduction, if that is earlier or nothing else was planned.

    An item that waits for its date goes on waiting, unless there is a credit that can go with it. What is open when no
    item is pending is due at once.
    """
    over = links.filter(pl.col("billed_amount") > pl.col("actual_amount"), ~pl.col("is_detached"))[SCHEDULE].unique()
    now = now.with_columns(is_over=pl.col("number").is_in(over.implode()))
    before = was.headers.select("number", before="actual_amount")
    joined = now.join(reduced, on="number", how="left", maintain_order="left").join(
        before, on="number", maintain_order="left"
    )
    pending = first_pending(items).select("number", is_pending=pl.lit(value=True))
    last = items.group_by(number=SCHEDULE).agg(last_day=pl.col("run_date").max())
    joined = joined.join(pending, on="number", how="left", maintain_order="left").join(
        last, on="number", how="left", maintain_order="left"
    )
    is_less = pl.col("actual_amount") < pl.col("before")
    settled = pl.col("is_pending").is_null() & (pl.col("unbilled_amount") != 0)
    waits = pl.col("next_run_date").is_null() & pl.col("is_pending").is_not_null() & ~pl.col("is_over")
    earlier = pl.when(~waits).then(pl.min_horizontal("next_run_date", "reduced")).otherwise("next_run_date")
    owed = pl.when(settled).then(pl.coalesce("next_run_date", "last_day")).otherwise("next_run_date")
    moved = joined.with_columns(next_run_date=pl.when(is_less).then(earlier).otherwise(owed))
    return moved.select(was.headers.columns)


def _with_owner(after: State, headers: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Headers under the account that owns their subscriptions now, if it is one."""
    only = Only(among=links["subscription_number"].unique())
    owners = collected(after.read("subscriptions", only).select("subscription_number", owner="account_number"))
    attached = links.filter(~pl.col("is_detached")).join(owners, on="subscription_number")
    one = attached.group_by(number=SCHEDULE).agg(
        owner=pl.col("owner").unique().sort().first(), several=pl.col("owner").n_unique() > 1
    )
    joined = headers.join(one.filter(~pl.col("several")), on="number", how="left", maintain_order="left")
    return joined.with_columns(account_number=pl.coalesce("owner", "account_number")).select(headers.columns)
