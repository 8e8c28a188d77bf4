"""What a load makes a run look at again: charges whose data changed, and usage that comes too late."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from billfold.book import Change, State
from billfold.contracts import TABLES, empty, keys
from billfold.intake.merge import is_empty
from billfold.intake.parts import ROWS, Parts, blocks
from billfold.rating.spans import with_spans
from billfold.rating.usage import RECORD, with_charges
from billfold.rows import Only, collected
from billfold.schedules.changes import schedule_changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from billfold.book import Written
    from billfold.intake.incoming import Incoming

_CHARGE: Final = ["charge_number", "segment"]
_DATES: Final = (
    "subscription_number", "contract_effective_date", "service_activation_date", "customer_acceptance_date",
    "term_type", "term_end_date", "cancelled_date",
)  # fmt: skip


def review(state: State, changed: Mapping[str, pl.DataFrame]) -> list[Change]:
    """Changes of the tables that tell runs what to look at, for rows that an order adds or changes."""
    after = _After(state, state.after([Change(t, rows, replace=True) for t, rows in changed.items()]))
    scanned = {table: rows.lazy() for table, rows in changed.items()}
    found = [Change("charges_to_review", _concerned(after, scanned), replace=True)]
    if changed.get("usage", pl.DataFrame()).height:
        found.append(Change("late_usage", _late(after, changed["usage"].select(RECORD)), replace=True))
    found += schedule_changes(after.state, _touched(scanned))
    return [c for c in found if c.rows.height]


@dataclass(frozen=True)
class _After:
    """The input tables as they are, and as they will be."""

    before: State
    state: State


def _values(changed: Mapping[str, pl.LazyFrame], table: str, column: str) -> pl.Series:
    """Distinct values of a column in changed rows."""
    if table not in changed:
        return pl.Series(column, [], pl.String)
    return collected(changed[table].select(column).drop_nulls().unique())[column]


def _concerned(after: _After, changed: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    """Segments that changed, or whose subscription or paying account did. Discounts have no progress of their own."""
    subscriptions = pl.concat([
        _values(changed, "subscriptions", "subscription_number"),
        _of_accounts(after.before, _values(changed, "accounts", "account_number")),
    ])  # fmt: skip
    frames = [changed["rate_plan_charges"]] if "rate_plan_charges" in changed else []
    frames.append(_of_subscriptions(after.before, subscriptions))
    return collected(pl.concat(map(segments, frames)).unique().sort(_CHARGE))


def segments(charges: pl.LazyFrame) -> pl.LazyFrame:
    """Keys of the segments that a run has to look at."""
    return charges.filter(pl.col("charge_model") != "DiscountPercentage").select(_CHARGE)


def _of_subscriptions(state: State, subscriptions: pl.Series) -> pl.LazyFrame:
    """Charges that the book has of some subscriptions."""
    only = Only(among=subscriptions.unique().alias("subscription_number"))
    return state.read("rate_plan_charges", only) if subscriptions.len() else empty(TABLES["rate_plan_charges"]).lazy()


def _touched(changed: Mapping[str, pl.LazyFrame]) -> pl.Series:
    """Subscriptions that changed, or whose charges did."""
    tables = ("subscriptions", "rate_plan_charges")
    return pl.concat([_values(changed, table, "subscription_number") for table in tables]).unique()


def _of_accounts(state: State, accounts: pl.Series) -> pl.Series:
    """Subscriptions in the book that accounts have or pay for."""
    if accounts.is_empty():
        return pl.Series("subscription_number", [], pl.String)
    either = pl.any_horizontal(pl.col("account_number", "invoice_owner_account_number").is_in(accounts.implode()))
    found = state.read("subscriptions").filter(either.fill_null(value=False)).select("subscription_number")
    return collected(found)["subscription_number"]


def _late(after: _After, loaded: pl.DataFrame) -> pl.DataFrame:
    """Loaded usage whose period is already billed, and records that changed after they were."""
    records = with_charges(loaded, lambda: _dated(after, None))
    wanted = records["charge_number"].unique()
    progress = after.before.read("charge_progress", only=Only(among=wanted)).select(
        *_CHARGE, billed_through="charged_through_date"
    )
    segments = with_spans(_dated(after, wanted).join(progress, on=_CHARGE, how="left").collect()).select(
        *_CHARGE, "start", "end", "through"
    )
    closed = records.join(
        segments.filter(pl.col("through").is_not_null()).sort(_CHARGE), on="charge_number", maintain_order="left_right"
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
    charges = after.state.read("rate_plan_charges", Only(among=numbers)).filter(pl.col("charge_type") == "Usage")
    theirs = Only()
    if numbers is not None:
        charges = collected(charges).lazy()
        theirs = Only(among=collected(charges.select("subscription_number").unique())["subscription_number"])
    subscriptions = after.state.read("subscriptions", theirs).select(*_DATES, subscriber="account_number")
    return charges.join(subscriptions, on="subscription_number")


@dataclass(frozen=True)
class _Loaded(State):
    """The book as it will be after a load, whose rows need not be in memory together."""

    files: Mapping[str, Incoming] = field(default_factory=dict)

    def read(self, table: str, only: Only | None = None) -> pl.LazyFrame:
        """A table: columns of the contract, then custom fields."""
        rows = super().read(table, only)
        if table not in self.files or not self.files[table].parts.rows:
            return rows
        new = self.files[table].parts.scan()
        if not self.files[table].is_first:
            rows = rows.join(new, on=list(keys(TABLES[table])), how="anti", maintain_order="left")
        return pl.concat([rows, only.of(new) if only else new], how="diagonal")


class Review:
    """The same for the rows of a load, part by part."""

    def __init__(self, state: State, files: Mapping[str, Incoming]) -> None:
        """Nothing is found yet."""
        self._state, self._files = state, files
        self._after = _After(state, _Loaded(state.book, state.head, files=files))
        self._parts = [Parts(state.book.files, table) for table in ("charges_to_review", "late_usage")]
        self._schedules: list[Change] = []

    def find(self) -> None:
        """Look for all of it, once every file was read."""
        charges, late = self._parts
        self._add(charges, self._segments(), _CHARGE)
        if self._may_be_late():
            usage = self._files["usage"].parts.pieces(*RECORD)
            self._add(late, (_late(self._after, rows) for rows in usage), ["usage_id"])
        if (touched := self._scheduled()).len():
            self._schedules = schedule_changes(self._after.state, touched)

    def changes(self) -> list[Change | Written]:
        """What the commit does."""
        return [*(c for parts in self._parts for c in parts.changes()), *self._schedules]

    def forget(self) -> None:
        """Remove what was written."""
        for parts in self._parts:
            parts.remove()

    def _add(self, parts: Parts, frames: Iterable[pl.DataFrame], key: list[str]) -> None:
        """Rows in files that are sorted each by itself."""
        replaces = not is_empty(self._state, parts.table)
        for block in blocks(frames, ROWS):
            parts.add(block.sort(key), replaces=replaces)
        parts.end()

    def _segments(self) -> Iterator[pl.DataFrame]:
        """Segments that were loaded, then others of subscriptions and paying accounts that change."""
        loaded = self._files.get("rate_plan_charges")
        if loaded is not None:
            for rows in loaded.parts.pieces(*_CHARGE, "charge_model"):
                yield collected(segments(rows.lazy()))
        others = segments(_of_subscriptions(self._state, self._changed_subscriptions()))
        if loaded is not None and loaded.parts.rows:
            others = others.join(loaded.parts.scan(), on=_CHARGE, how="anti")
        yield collected(others)

    def _changed_subscriptions(self) -> pl.Series:
        """Those that the book has and that change, or an account that has or pays for them does."""
        named = {table: self._replaced(table) for table in ("accounts", "subscriptions")}
        of_accounts = _of_accounts(self._state, named["accounts"])
        return pl.concat([s.alias("subscription_number") for s in (named["subscriptions"], of_accounts)]).unique()

    def _replaced(self, table: str) -> pl.Series:
        known = self._files[table].told.replaced if table in self._files else []
        return pl.concat([pl.Series("key", [], pl.String), *(k.alias("key") for k in known)])

    def _may_be_late(self) -> bool:
        """Whether usage came, and anything was ever billed for which it could be too late."""
        if "usage" not in self._files or not self._files["usage"].parts.rows:
            return False
        charges = self._files.get("rate_plan_charges")
        if charges is not None and charges.told.opened:
            return True
        if not all(is_empty(self._state, table) for table in ("charge_progress", "processed_usage")):
            return True
        opened = self._state.read("rate_plan_charges").filter(pl.col("charged_through_date").is_not_null())
        return not collected(opened.filter(pl.col("charge_type") == "Usage").select("charge_number").head(1)).is_empty()

    def _scheduled(self) -> pl.Series:
        """Subscriptions that invoice schedules bill and that changed, or whose charges did."""
        links = self._state.read("invoice_schedule_charges").filter(~pl.col("is_detached"))
        linked = collected(links.select("subscription_number").unique())["subscription_number"]
        if linked.is_empty():
            return linked
        scanned = {t: f.parts.scan().filter(pl.col("subscription_number").is_in(linked.implode()))
                   for t, f in self._files.items() if t in {"subscriptions", "rate_plan_charges"}}  # fmt: skip
        return _touched(scanned)
