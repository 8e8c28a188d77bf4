"""What a load makes a run look at again: charges whose data changed, and usage that comes too late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.book import Change, State
from billfold.contracts import TABLES, columns
from billfold.rating.spans import with_spans
from billfold.rating.usage import RECORD, with_charges
from billfold.rows import Only
from billfold.schedules.changes import schedule_changes

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHARGE: Final = ["charge_number", "segment"]
_DATES: Final = (
    "subscription_number", "contract_effective_date", "service_activation_date", "customer_acceptance_date",
    "term_type", "term_end_date", "cancelled_date",
)  # fmt: skip


def review(state: State, changed: Mapping[str, pl.DataFrame]) -> list[Change]:
    """Changes of the tables that tell runs what to look at, for rows that a load or an order adds or changes."""
    after = _After(state, changed)
    found = [Change("charges_to_review", _concerned(after), replace=True)]
    if changed.get("usage", pl.DataFrame()).height:
        found.append(Change("late_usage", _late(after), replace=True))
    found += schedule_changes(after.state, _subscriptions(after))
    return [c for c in found if c.rows.height]


class _After:
    """The input tables as they are, and as they will be after the load."""

    def __init__(self, state: State, changed: Mapping[str, pl.DataFrame]) -> None:
        self.before = state
        self.changed = changed
        self.state = state.after([Change(t, rows, replace=True) for t, rows in changed.items()])
        self.rows = self.state.read

    def values(self, table: str, column: str) -> pl.Series:
        """Values of a column in loaded rows."""
        return (
            self.changed[table][column].drop_nulls().unique()
            if table in self.changed
            else pl.Series(column, [], pl.String)
        )


def _concerned(after: _After) -> pl.DataFrame:
    """Segments that changed, or whose subscription or paying account did. Discounts have no progress of their own."""
    frames = [after.changed["rate_plan_charges"].lazy()] if "rate_plan_charges" in after.changed else []
    subscriptions = pl.concat([after.values("subscriptions", "subscription_number"), _of_accounts(after)]).unique()
    if subscriptions.len():
        frames.append(
            after.before.read("rate_plan_charges", only=Only(among=subscriptions.alias("subscription_number")))
        )
    regular = [f.filter(pl.col("charge_model") != "DiscountPercentage").select(_CHARGE) for f in frames]
    none = pl.LazyFrame(schema={c: columns(TABLES["charges_to_review"])[c].dtype for c in _CHARGE})
    return pl.concat([none, *regular]).unique().sort(_CHARGE).collect()


def _subscriptions(after: _After) -> pl.Series:
    """Subscriptions that changed, or whose charges did."""
    own = [after.values(table, "subscription_number") for table in ("subscriptions", "rate_plan_charges")]
    return pl.concat(own).unique()


def _of_accounts(after: _After) -> pl.Series:
    """Subscriptions in the book that changed accounts have or pay for."""
    accounts = after.values("accounts", "account_number").implode()
    either = pl.col("account_number").is_in(accounts) | pl.col("invoice_owner_account_number").is_in(accounts)
    if "accounts" not in after.changed:
        return pl.Series("subscription_number", [], pl.String)
    return (
        after.before.read("subscriptions").filter(either).select("subscription_number").collect()["subscription_number"]
    )


def _late(after: _After) -> pl.DataFrame:
    """Loaded usage whose period is already billed, and records that changed after they were."""
    loaded = after.changed["usage"].select(RECORD)
    records = with_charges(loaded, lambda: _dated(after, None))
    wanted = records["charge_number"].unique()
    progress = after.before.read("charge_progress", only=Only(among=wanted)).select(
        *_CHARGE, billed_through="charged_through_date"
    )
    segments = with_spans(_dated(after, wanted).join(progress, on=_CHARGE, how="left").collect()).select(
        *_CHARGE, "start", "end", "through"
    )
    closed = records.join(
        segments.filter(pl.col("through").is_not_null()), on="charge_number", maintain_order="left"
    ).filter(
        (pl.col("start_date") >= pl.col("start")) & (pl.col("start_date") < pl.col("through")),
        (pl.col("end") > pl.col("start_date")).fill_null(value=True),
    )
    late = [_billed(after, loaded), closed]
    return (
        pl.concat(f.select("usage_id", "account_number", *_CHARGE, "start_date") for f in late)
        .unique("usage_id", keep="first", maintain_order=True)
        .sort("usage_id")
    )


def _billed(after: _After, loaded: pl.DataFrame) -> pl.DataFrame:
    """Records that a run which counts has billed as they were; their day is that of the period that it billed."""
    canceled = after.before.read("bill_runs").filter(status="Canceled")
    billed = (
        after.before.read("processed_usage", only=Only(among=loaded["usage_id"]))
        .join(canceled, on="bill_run_number", how="anti")
        .select("usage_id", *_CHARGE, billed_on="service_start_date")
        .collect()
    )
    return loaded.select("usage_id", "account_number").join(billed, on="usage_id").rename({"billed_on": "start_date"})


def _dated(after: _After, numbers: pl.Series | None) -> pl.LazyFrame:
    """Usage charges with the dates of their subscriptions."""
    charges = after.rows("rate_plan_charges", Only(among=numbers)).filter(pl.col("charge_type") == "Usage")
    subscriptions = after.rows("subscriptions").select(*_DATES, subscriber="account_number")
    return charges.join(subscriptions, on="subscription_number")
