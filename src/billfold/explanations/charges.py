"""What billed a charge, and why it is not billed, or not further, as the book is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from billfold.errors import BillfoldError
from billfold.explanations.billed import amounts, billed_by
from billfold.explanations.models import CarrierWhy, Reason, SegmentFacts
from billfold.explanations.texts import counted, listed
from billfold.explanations.waiting import of_account, of_day, together
from billfold.rating.due import is_ratable
from billfold.rating.spans import with_spans
from billfold.rows import Only, collected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Read = Callable[..., pl.LazyFrame]
    Row = Mapping[str, Any]

_DISCOUNT = "DiscountPercentage"


def charge_why(read: Read, charge_number: str, segment: int | None) -> CarrierWhy:
    """The explanation of a charge, or of one of its segments.

    Raises:
        BillfoldError: the charge has no such segment.
    """
    frame = _segments(read, charge_number)
    every = frame.to_dicts()
    chosen = [row for row in every if segment in {None, row["segment"]}]
    if not chosen:
        numbers = listed([str(row["segment"]) for row in every])
        msg = f"The charge {charge_number} has no segment {segment}: it has {numbers}."
        raise BillfoldError(msg)
    conditions = [pl.col("charge_number") == charge_number]
    conditions += [pl.col("segment") == segment] if segment is not None else []
    billed, canceled = billed_by(read, *conditions)
    last = max((b.bill_run_number for b in billed), default=None)
    row = chosen[-1]
    owner = row["invoice_owner_account_number"] or row["account_number"]
    return CarrierWhy(
        what=f"charge {charge_number}" + ("" if segment is None else f" segment {segment}"),
        account_number=row["account_number"],
        invoice_owner_account_number=owner,
        billed=billed,
        billed_amounts=amounts(billed),
        canceled_items=canceled,
        segments=tuple(_facts(r) for r in chosen),
        reasons=together(_reasons(read, chosen), of_account(read, owner, last)),
    )


def _segments(read: Read, charge_number: str) -> pl.DataFrame:
    """All segments of a charge with their subscription's dates, their progress, and their days of service."""
    only = Only(among=pl.Series("charge_number", [charge_number]))
    progress = read("charge_progress", only=only).select(
        "charge_number", "segment", "next_due_date", billed_through="charged_through_date"
    )
    charges = collected(read("rate_plan_charges", only=only))
    owner = pl.coalesce("invoice_owner_account_number", "account_number")
    subscriptions = collected(read("subscriptions", only=Only(among=charges["subscription_number"].unique())).select(
        "subscription_number", "account_number", "invoice_owner_account_number", "contract_effective_date",
        "service_activation_date", "customer_acceptance_date", "subscription_start_date", "term_type",
        "term_start_date", "term_end_date", "cancelled_date", subscription_status="status", owner=owner,
    ))  # fmt: skip
    accounts = read("accounts", only=Only(among=subscriptions["owner"].unique().alias("account_number")))
    owners = accounts.select(owner="account_number", account_bill_cycle_day="bill_cycle_day")
    known = (
        charges.lazy()
        .join(subscriptions.lazy(), on="subscription_number")
        .join(owners, on="owner")
        .join(progress, on=["charge_number", "segment"], how="left")
    )
    return with_spans(collected(known.sort("segment"))).with_columns(is_ratable=is_ratable())


def _facts(row: Row) -> SegmentFacts:
    names = ("segment", "charge_name", "charge_type", "charge_model", "start", "end", "next_due_date")
    return SegmentFacts(charged_through_date=row["through"], **{n: row[n] for n in names})


def _reasons(read: Read, segments: Sequence[Row]) -> Iterator[Reason]:
    row = segments[-1]
    if row["subscription_status"] in {"Draft", "Expired"}:
        said = f"The subscription {row['subscription_number']} is {row['subscription_status']}"
        yield Reason("subscription", f"{said}: it is not billed.")
    if row["charge_model"] == _DISCOUNT:
        yield Reason("discount", "A discount is billed together with what it reduces, on items beside it.")
        return
    yield from _schedules(read, row["charge_number"])
    for segment in segments:
        yield from _of_segment(read, segment)
    late = read("late_usage", only=Only(among=pl.Series("charge_number", [row["charge_number"]])))
    if count := int(collected(late.select(pl.len())).item()):
        came = f"{counted(count, 'usage record')} came after the period had been billed"
        yield Reason("late_usage", f"{came}: they wait in the table late_usage until that run is canceled.")


def _of_segment(read: Read, row: Row) -> Iterator[Reason]:
    what, start, end = f"Segment {row['segment']}", row["start"], row["end"]
    if start is None:
        said = f"{what} has not begun: the date of its trigger {row['trigger_event']} is not known"
        yield Reason("not_begun", f"{said}.")
    elif not row["is_ratable"]:
        kind = ", ".join(str(row[c]) for c in ("charge_type", "charge_model", "billing_period") if row[c])
        yield Reason("not_ratable", f"{what} is a kind of charge that is not rated yet ({kind}).")
    elif end is not None and start >= end:
        yield Reason("no_days", f"{what} has no days of service: it would start on {start} and end on {end}.")
    elif row["next_due_date"] is not None:
        yield of_day(read, row["next_due_date"], what)
    elif row["through"] is None and _waits_for_review(read, row):
        yield of_day(read, start, what)
    elif row["charge_type"] == "OneTime":
        if row["through"] is not None:
            yield Reason("ended", f"{what} is owed once, and has been billed.")
    elif end is not None and row["through"] is not None and row["through"] >= end:
        yield Reason("ended", f"{what} ended on {end} (exclusive), and is billed up to then.")


def _waits_for_review(read: Read, row: Row) -> bool:
    """Whether no run has looked at a segment since it was loaded or changed."""
    waiting = read("charges_to_review", only=Only(among=pl.Series("charge_number", [row["charge_number"]])))
    return collected(waiting.filter(segment=row["segment"])).height > 0


def _schedules(read: Read, charge_number: str) -> Iterator[Reason]:
    links = read("invoice_schedule_charges", only=Only(among=pl.Series("charge_number", [charge_number])))
    attached = collected(links.filter(~pl.col("is_detached")).sort("invoice_schedule_number")).to_dicts()
    for link in attached:
        number = link["invoice_schedule_number"]
        header = collected(read("invoice_schedules", only=Only(among=pl.Series("number", [number])))).row(0, named=True)
        following = f"next on {header['next_run_date']}" if header["next_run_date"] else f"it is {header['status']}"
        days = f"from {link['from_date']} up to {link['through_date']} exclusive"
        said = f"Invoice schedule {number} bills it {days}, by its items instead of by period"
        yield Reason("scheduled", f"{said} ({following}).")
